"""Shows the kernels that the backward pass of a small model runs, and how many there would be node by node.

python examples/fused_kernels.py [cpu | cuda]
"""

import sys

import autograd_gpu as torch
import autograd_gpu.nn.functional as F
from autograd_gpu import Tensor, fusion


@torch.fuse
def residual_norm(x: Tensor, y: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """Layer norm of a sum: one kernel forward, one or two backward."""
    z = x + y
    centred = z - z.mean(-1, keepdim=True)
    scale = torch.rsqrt((centred * centred).mean(-1, keepdim=True) + 1e-5)
    return centred * scale * weight + bias


def model(x: Tensor, target: Tensor, parameters: list[Tensor]) -> Tensor:
    """A block of a transformer without its attention, and a classifier."""
    w1, b1, w2, weight, bias, w3 = parameters
    hidden = F.gelu(x @ w1 + b1, approximate="tanh")
    return F.cross_entropy(residual_norm(x, hidden @ w2, weight, bias) @ w3, target)


def main(device: str) -> None:
    """Explain one backward pass, then count the launches of two on a GPU."""
    torch.manual_seed(0)
    sizes = (64, 256), (256,), (256, 64), (64,), (64,), (64, 10)
    parameters = [(torch.randn(*size, device=device) * 0.1).requires_grad_() for size in sizes]
    x, target = torch.randn(128, 64, device=device), torch.randint(10, (128,), device=device)

    explanation = fusion.explain(model(x, target, parameters))
    if explanation.kernels:
        kernel = max(explanation.kernels, key=lambda kernel: len(kernel.source))
        lines = kernel.source.splitlines()
        start = next(i for i, line in enumerate(lines) if "__global__" in line)
        print(f"\nThe longest, {kernel.name}, has {len(lines)} lines of CUDA C, among them")
        print("\n".join(lines[start : start + 20]))

    if device == "cpu":
        return
    print()
    for mode, name in ("on", "fused"), ("off", "node by node"):
        with fusion.fuse(mode):
            loss = model(x, target, parameters)
            before = fusion.stats().launches
            loss.backward()
            print(f"{name}: {fusion.stats().launches - before} launches beside the matrix products and views")


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "cuda" if torch.cuda.is_available() else "cpu")
