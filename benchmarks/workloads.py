"""The work that ``traffic.py`` counts, each defined once for this package and for PyTorch.

A workload is a generator: what runs after it yields the name of a pass, up to its next yield, is that pass, and
it goes round for ever. Its arguments are the library, its ``nn.functional``, a source of arrays, and sizes.
"""

# ruff: noqa: ARG001, N803  all workloads take the same arguments, and F is its customary name

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

Passes = Iterator[str]


class Source:
    """Arrays for a workload, the same for every library; ``leaves`` are those that want a gradient."""

    def __init__(self, library: Any, functional: Any, device: str) -> None:
        self.library, self.functional, self.device = library, functional, device
        self.rng = np.random.default_rng(0)
        self.leaves: list[Any] = []

    def __call__(self, *shape: int) -> Any:
        """Normal numbers."""
        return self.library.from_numpy(self.rng.standard_normal(shape, np.float32)).to(self.device)

    def leaf(self, *shape: int) -> Any:
        """Normal numbers that want a gradient."""
        self.leaves.append(self(*shape).requires_grad_())
        return self.leaves[-1]

    def weights(self, outputs: int, inputs: int) -> Any:
        """A matrix that keeps the scale of what it is multiplied with, as a leaf."""
        self.leaves.append((self(outputs, inputs) * inputs**-0.5).requires_grad_())
        return self.leaves[-1]

    def labels(self, count: int, classes: int) -> Any:
        """Class indices."""
        return self.library.from_numpy(self.rng.integers(classes, size=count)).to(self.device)

    def optimizer(self, name: str, parameters: list[Any], **options: float) -> Any:
        """An optimizer as it comes on a CUDA device, where torch chooses its foreach form."""
        form = {"foreach": True} if self.library.__name__ == "torch" else {}
        return getattr(self.library.optim, name)(parameters, **options, **form)

    def fuse(self, function: Any) -> Any:
        """``function`` as one operation where the library has that."""
        return function if self.library.__name__ == "torch" else self.library.fuse(function)


# Single operations.


def chain(torch: Any, F: Any, new: Source, elements: int) -> Passes:
    """30 operations with one operand each; 18 of them save an array."""
    x, g = new.leaf(elements), new(elements)
    while True:
        yield "forward"
        y = x
        for _ in range(6):
            y = torch.sigmoid(torch.sin(torch.tanh(y) * 1.5) + 0.5)
        yield "backward"
        y.backward(g)


def multiply_add(torch: Any, F: Any, new: Source, elements: int) -> Passes:
    """Three leaves."""
    x, y, z, g = new.leaf(elements), new.leaf(elements), new.leaf(elements), new(elements)
    while True:
        yield "forward"
        result = x * y + z
        yield "backward"
        result.backward(g)


def bias_gelu(torch: Any, F: Any, new: Source, rows: int, columns: int) -> Passes:
    """Both gradients."""
    x, bias, g = new.leaf(rows, columns), new.leaf(columns), new(rows, columns)
    activation = new.fuse(lambda x, bias: F.gelu(x + bias, approximate="tanh"))
    while True:
        yield "forward"
        y = activation(x, bias)
        yield "backward"
        y.backward(g)


def layer_norm(torch: Any, F: Any, new: Source, rows: int, columns: int) -> Passes:
    """All three gradients."""
    x, weight, bias, g = new.leaf(rows, columns), new.leaf(columns), new.leaf(columns), new(rows, columns)
    while True:
        yield "forward"
        y = F.layer_norm(x, (columns,), weight, bias)
        yield "backward"
        y.backward(g)


def batch_norm(torch: Any, F: Any, new: Source, examples: int, channels: int, side: int) -> Passes:
    """All three gradients, and running statistics."""
    shape = examples, channels, side, side
    x, weight, bias, g = new.leaf(*shape), new.leaf(channels), new.leaf(channels), new(*shape)
    mean, var = new(channels), new(channels)
    while True:
        yield "forward"
        y = F.batch_norm(x, mean, var, weight, bias, training=True)
        yield "backward"
        y.backward(g)


def group_norm(torch: Any, F: Any, new: Source, examples: int, channels: int, side: int) -> Passes:
    """All three gradients; groups of 8 channels."""
    shape = examples, channels, side, side
    x, weight, bias, g = new.leaf(*shape), new.leaf(channels), new.leaf(channels), new(*shape)
    while True:
        yield "forward"
        y = F.group_norm(x, channels // 8, weight, bias)
        yield "backward"
        y.backward(g)


def cross_entropy(torch: Any, F: Any, new: Source, rows: int, classes: int) -> Passes:
    """Softmax is part of it."""
    x, labels = new.leaf(rows, classes), new.labels(rows, classes)
    while True:
        yield "forward"
        loss = F.cross_entropy(x, labels)
        yield "backward"
        loss.backward()


def dropout_residual(torch: Any, F: Any, new: Source, rows: int, columns: int) -> Passes:
    """The gradient of the dropped branch; that of the other is ``g`` itself."""
    x, h, g = new(rows, columns), new.leaf(rows, columns), new(rows, columns)
    residual = new.fuse(lambda x, h: x + F.dropout(h, 0.1))
    while True:
        yield "forward"
        y = residual(x, h)
        yield "backward"
        y.backward(g)


def product_sum(torch: Any, F: Any, new: Source, rows: int, columns: int) -> Passes:
    """The gradient of a factor of one row: a product summed over axis 0."""
    x, w, g = new(rows, columns), new.leaf(columns), new(rows, columns)
    while True:
        yield "forward"
        y = x * w
        yield "backward"
        y.backward(g)


def adam(torch: Any, F: Any, new: Source, width: int, count: int) -> Passes:
    """Parameters of mixed shapes."""
    shapes = [(width, width), (width,), (width // 2, 3, 5), (4 * width,), (1,)]
    parameters = [new.leaf(*shapes[i % len(shapes)]) for i in range(count)]
    gradients = [new(*p.shape) for p in parameters]
    optimizer = new.optimizer("Adam", parameters)
    while True:
        yield "step"
        for p, g in zip(parameters, gradients, strict=True):
            p.grad = g
        optimizer.step()


# Models.


def digits(torch: Any, F: Any, new: Source, batch: int, hidden: int) -> Passes:
    """A step of examples/digits.py."""
    images, labels = new(20 * batch, 64), new.labels(20 * batch, 10)
    chosen = new.labels(batch, 20 * batch)
    w1, b1, w2, b2 = new.weights(64, hidden), new.leaf(hidden), new.weights(hidden, 10), new.leaf(10)
    optimizer = new.optimizer("SGD", [w1, b1, w2, b2], lr=0.5)
    while True:
        yield "step"
        scores = torch.relu(images[chosen] @ w1 + b1) @ w2 + b2
        F.cross_entropy(scores, labels[chosen]).backward()
        optimizer.step()


def transformer(torch: Any, F: Any, new: Source, batch: int, tokens: int, heads: int) -> Passes:
    """A pre-norm block with 64 features a head: attention written out, MLP with GELU, dropout after both."""
    width = 64 * heads
    x, g = new.leaf(batch, tokens, width), new(batch, tokens, width)
    norm1, norm2 = [(new.leaf(width), new.leaf(width)) for _ in range(2)]
    qkv = new.weights(3 * width, width)
    sizes = [(width, width), (4 * width, width), (width, 4 * width)]
    projection, up, down = [(new.weights(*size), new.leaf(size[0])) for size in sizes]
    optimizer = new.optimizer("Adam", new.leaves[1:])
    while True:
        yield "forward"
        parts = F.linear(F.layer_norm(x, (width,), *norm1), qkv).reshape(batch, tokens, 3, heads, 64)
        q, k, v = (parts[:, :, i].transpose(1, 2) for i in range(3))
        attention = F.softmax(q @ k.transpose(-1, -2) * 0.125, dim=-1)
        mixed = (attention @ v).transpose(1, 2).reshape(batch, tokens, width)
        y = x + F.dropout(F.linear(mixed, *projection), 0.1)
        h = F.gelu(F.linear(F.layer_norm(y, (width,), *norm2), *up))
        y = y + F.dropout(F.linear(h, *down), 0.1)
        yield "backward"
        y.backward(g)
        yield "Adam"
        optimizer.step()


def unet(torch: Any, F: Any, new: Source, batch: int, channels: int, side: int) -> Passes:
    """Residual blocks at three resolutions, down and up again, with skip connections; convolutions are 1 × 1."""
    image, target = new(batch, channels, side, side), new(batch, channels, side, side)
    blocks = [(new.weights(channels, channels), new.leaf(channels), new.leaf(channels)) for _ in range(5)]
    optimizer = new.optimizer("Adam", new.leaves)

    def block(x: Any, weights: Any, scale: Any, shift: Any) -> Any:
        mixed = torch.bmm(weights.expand(batch, -1, -1), x.reshape(batch, channels, -1)).reshape(x.shape)
        return x + F.silu(F.group_norm(mixed, 8, scale, shift))

    def halved(x: Any) -> Any:
        side = x.shape[-1] // 2
        return x.reshape(batch, channels, side, 2, side, 2).mean((3, 5))

    def doubled(x: Any) -> Any:
        side = x.shape[-1]
        spread = x.reshape(batch, channels, side, 1, side, 1).expand(batch, channels, side, 2, side, 2)
        return spread.reshape(batch, channels, 2 * side, 2 * side)

    while True:
        yield "forward"
        fine = block(image, *blocks[0])
        middle = block(halved(fine), *blocks[1])
        coarse = block(halved(middle), *blocks[2])
        result = block(doubled(coarse) + middle, *blocks[3])
        result = block(doubled(result) + fine, *blocks[4])
        loss = F.mse_loss(result, target)
        yield "backward"
        loss.backward()
        yield "Adam"
        optimizer.step()


@dataclass(frozen=True)
class Row:
    """A workload at the size that is counted, and at one for tests; ``pattern`` names it and shows its size.

    ``ideal`` says for each pass to count what it must move at least, beside its matmuls, in units of ``elements``:
    what it reads and what it leaves behind, once each. On a GPU the first number of the size is ``longer`` times
    that, so that no cache holds the arrays.
    """

    pattern: str
    work: Callable[..., Passes]
    size: tuple[int, ...]
    tiny: tuple[int, ...]
    elements: int
    ideal: dict[str, float]
    longer: int = 1

    @property
    def title(self) -> str:
        """The name at the size that is counted."""
        return self.pattern.format(*self.size)

    @property
    def large(self) -> tuple[int, ...]:
        """The size for a GPU."""
        return self.size[0] * self.longer, *self.size[1:]

    @property
    def model(self) -> bool:
        """Whether there are matrix products in it, which ``ideal`` leaves out."""
        return self.work in {digits, transformer, unet}


# Of the models, what lies between two matmuls is one step that reads its inputs and writes its results once:
# transformer, where the attention's scores are 2 N and the hidden layer 4 N:
#   forward   norm 2, softmax 4, dropout + residual + norm 4, GELU 8, dropout + residual 3
#   backward  dropout 2, GELU 12, norm + residual + dropout 5, softmax 6, norm + residual 4
# unet, whose resolutions have n = N, N / 4 and N / 16 elements:
#   forward   a block 3 n, halving n / 4 more, doubling + skip 2.25 n, loss 2
#   backward  a block 3 n and, but for the first, 3 n for its input; doubling n / 4, halving + skip 2.25 n; loss 3
# Adam: 7 for each parameter
# digits, where N is the hidden layer's 32 × 128:
#   step      images of the batch 1, bias + relu 2, cross-entropy 0.2, relu backward 3, update 3 for each parameter: 7
ROWS = [
    # the chain's backward reads g and 18 saved arrays, and leaves a result
    Row("chain of 30 unary ops, {0:,}", chain, (1 << 20,), (7,), 1 << 20, {"backward": 20}, 32),
    Row("x*y + z, {0:,}", multiply_add, (1 << 22,), (7,), 1 << 22, {"backward": 6}, 16),
    Row(
        "bias + GELU(tanh), {} × {}",
        bias_gelu,
        (2048, 3072),
        (5, 6),
        2048 * 3072,
        {"forward": 2, "backward": 3},
        16,
    ),
    Row("layer_norm, {} × {}", layer_norm, (8192, 768), (5, 6), 8192 * 768, {"forward": 2, "backward": 3}, 16),
    # a value is read once for the statistics of all examples, and once more with them
    Row(
        "batch_norm, {0} × {1} × {2} × {2}",
        batch_norm,
        (64, 64, 16),
        (3, 2, 2),
        1 << 20,
        {"forward": 3, "backward": 5},
        64,
    ),
    Row(
        "group_norm, {0} × {1} × {2} × {2}",
        group_norm,
        (64, 64, 16),
        (3, 8, 2),
        1 << 20,
        {"forward": 2, "backward": 3},
        64,
    ),
    Row(
        "softmax + cross_entropy, {} × {}",
        cross_entropy,
        (4096, 1000),
        (5, 6),
        4096 * 1000,
        {"forward": 1, "backward": 2},
        16,
    ),
    Row(
        "dropout + residual, {} × {}",
        dropout_residual,
        (4096, 1024),
        (5, 6),
        1 << 22,
        {"forward": 3, "backward": 2},
        16,
    ),
    Row("sum of g*x over axis 0, {} × {}", product_sum, (65536, 64), (5, 6), 1 << 22, {"backward": 2}, 16),
    Row("Adam, {1} parameters", adam, (768, 50), (8, 7), 5_994_250, {"step": 7}),
    Row("digits network, batch of {0}", digits, (32, 128), (4, 6), 32 * 128, {"step": 13.2}),
    Row(
        "transformer block, {} × {} tokens, {} heads",
        transformer,
        (8, 128, 4),
        (2, 3, 2),
        1 << 18,
        {"forward": 21, "backward": 29, "Adam": 21.1},
        8,
    ),
    Row(
        "U-Net, {0} × {1} × {2} × {2}",
        unet,
        (4, 32, 64),
        (2, 16, 8),
        1 << 19,
        {"forward": 12.8, "backward": 18.5, "Adam": 0.07},
        16,
    ),
]


def counted(
    work: Callable[..., Passes], size: tuple[int, ...], new: Source, counter: Callable[[], Any]
) -> dict[str, Any]:
    """What ``counter()``, a context manager, counts in each pass of the second round, when all kernels exist."""
    steps = work(new.library, new.functional, new, *size)
    counts: dict[str, Any] = {}
    name = next(steps)
    for _ in range(2):
        for leaf in new.leaves:
            leaf.grad = None
        started = set()
        while name not in started:
            started.add(name)
            with counter() as counts[name]:
                following = next(steps)
            name = following
    return counts
