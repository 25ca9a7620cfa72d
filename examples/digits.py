"""Train a small network on real handwritten digits: on the GPU when one is there, on NumPy otherwise.

64 inputs, 128 hidden units with relu, 10 classes, softmax cross-entropy, mini-batch gradient descent on
images with a little noise: all of it plain tensors, ``loss.backward()`` does the rest.

    python examples/digits.py --plot loss.png
"""

import argparse
import importlib.util
import sys
import time
from itertools import pairwise
from pathlib import Path

import numpy as np

import autograd_gpu as ag
import autograd_gpu.nn.functional as F
from autograd_gpu import Tensor
from autograd_gpu.optim import SGD
from autograd_gpu.optim.lr_scheduler import LambdaLR

DATA = Path(__file__).parent / "data" / "digits.npz"
HELD_OUT = 360  # of 1797 images
SIZES = (64, 128, 10)
NOISE = 0.2  # standard deviation, of pixels in 0..1; keeps the network from learning the images by heart


def load(device: str) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Images in 0..1 and labels of the training set, then of the held-out set, split at random."""
    with np.load(DATA) as data:
        images = ag.from_numpy(data["images"]).float() / 16
        labels = ag.from_numpy(data["labels"]).long()
    order = ag.randperm(len(labels))
    test, train = order[:HELD_OUT], order[HELD_OUT:]
    parts = images[train], labels[train], images[test], labels[test]
    return tuple(part.to(device) for part in parts)


def parameters(device: str) -> list[Tensor]:
    """Weights (He's scale for relu, drawn on the CPU so that every device starts alike) and zero biases."""
    made = []
    for inputs, outputs in pairwise(SIZES):
        made += [ag.randn(inputs, outputs) * (2 / inputs) ** 0.5, ag.zeros(outputs)]
    return [p.to(device).requires_grad_() for p in made]


def network(x: Tensor, w1: Tensor, b1: Tensor, w2: Tensor, b2: Tensor) -> Tensor:
    """Scores of the ten classes."""
    return ag.relu(x @ w1 + b1) @ w2 + b2


def train_epoch(optimizer: SGD, images: Tensor, labels: Tensor, size: int) -> list[float]:
    """One pass over the images in random order; the losses stay on the device until its end."""
    params = optimizer.param_groups[0]["params"]
    noisy = images + NOISE * ag.randn_like(images)
    losses = []
    for batch in ag.randperm(len(labels)).to(images.device).split(size):
        optimizer.zero_grad()
        loss = F.cross_entropy(network(noisy[batch], *params), labels[batch])
        loss.backward()
        optimizer.step()
        losses.append(loss.detach())
    return ag.stack(losses).tolist()  # the only wait for the device


def accuracy(params: list[Tensor], images: Tensor, labels: Tensor) -> float:
    """Share of the images whose highest score is their label's, in percent."""
    with ag.no_grad():
        return 100 * (network(images, *params).argmax(dim=1) == labels).float().mean().item()


def show(epoch: int, epochs: int, text: str) -> None:
    """A progress bar that redraws itself; where stderr is a file or a pipe, ten lines in all."""
    if sys.stderr.isatty():
        bar = ("#" * (30 * epoch // epochs)).ljust(30, ".")
        end = "\n" if epoch == epochs else ""
        print(f"\r\x1b[K[{bar}] {epoch}/{epochs}  {text}", end=end, file=sys.stderr, flush=True)
    elif epoch * 10 // epochs > (epoch - 1) * 10 // epochs:
        print(f"epoch {epoch}/{epochs}  {text}", file=sys.stderr, flush=True)


def plot(history: list[list[float]], path: Path) -> None:
    """Draw the loss of each step and its mean over each epoch."""
    from matplotlib.figure import Figure

    losses = np.array(history)
    epochs, steps = losses.shape
    figure = Figure(figsize=(6, 4), layout="constrained")
    axes = figure.subplots()
    axes.semilogy(np.arange(1, losses.size + 1) / steps, losses.ravel(), alpha=0.3, label="each step")
    axes.semilogy(range(1, epochs + 1), losses.mean(axis=1), label="mean of the epoch")
    axes.set(xlabel="epoch", ylabel="cross-entropy", title=f"digits, a {'-'.join(map(str, SIZES))} network")
    axes.legend()
    figure.savefig(path, dpi=150)


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        description="Train a small network on handwritten digits.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    default = "cuda" if ag.cuda.is_available() else "cpu"
    parser.add_argument("--device", default=default, help="cpu, cuda or cuda:1")
    parser.add_argument("--epochs", type=int, default=60, help="passes over the training images")
    parser.add_argument("--batch-size", type=int, default=32, help="images per step")
    parser.add_argument("--lr", type=float, default=0.5, help="learning rate at the start; it falls to 0")
    parser.add_argument("--seed", type=int, default=0, help="of the split, the weights, the noise, the order")
    parser.add_argument("--plot", type=Path, metavar="FILE.png", help="draw the loss curve")
    args = parser.parse_args()
    if min(args.epochs, args.batch_size) < 1:
        parser.error("--epochs and --batch-size are at least 1")
    if args.plot and importlib.util.find_spec("matplotlib") is None:
        print("no plot without matplotlib: pip install matplotlib", file=sys.stderr)
        args.plot = None
    return args


def main() -> None:
    """Train, and tell how well and how fast."""
    args = arguments()
    ag.manual_seed(args.seed)
    images, labels, test_images, test_labels = load(args.device)
    params = parameters(args.device)
    count = sum(p.numel() for p in params)
    name = ag.cuda.get_device_name(images.device) if images.is_cuda else f"NumPy {np.__version__}"
    print(f"device: {images.device} ({name})")
    print(f"data: {len(labels)} training images, {len(test_labels)} held out; {count} parameters")

    optimizer = SGD(params, lr=args.lr)
    schedule = LambdaLR(optimizer, lambda epoch: 1 - epoch / args.epochs)
    history, seconds = [], 0.0
    for epoch in range(args.epochs):
        start = time.perf_counter()
        losses = train_epoch(optimizer, images, labels, args.batch_size)
        schedule.step()
        seconds += time.perf_counter() - start
        history.append(losses)
        score = accuracy(params, test_images, test_labels)
        show(epoch + 1, args.epochs, f"loss {np.mean(losses):.4f}  held-out accuracy {score:.1f} %")

    steps = len(history) * len(losses)
    print(f"loss: {history[0][0]:.4f} at the first step, {np.mean(losses):.4f} over the last epoch")
    print(f"held-out accuracy: {score:.2f} %")
    print(f"speed: {steps * count / seconds:,.0f} gradients/s ({steps} backward passes of {count} gradients")
    print(f"       each in {seconds:.2f} s, forward and update included: {steps / seconds:,.0f} passes/s)")
    if args.plot:
        plot(history, args.plot)
        print(f"loss curve: {args.plot}")


if __name__ == "__main__":
    main()
