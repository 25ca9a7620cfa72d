"""One line of Python run here and in PyTorch: values, dtypes, node names, gradients and second gradients agree."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose
from support import assert_same, difference_quotient, host, ours

import autograd_gpu as ag
from autograd_gpu import backends
from autograd_gpu.backward import grad
from autograd_gpu.tensor import Tensor, wrap
from conftest import CUDA_MISSING

Case = Callable[..., Any]


def on_gpu(test: Callable[..., Any]) -> Any:
    """Mark a test as one that needs a CUDA device."""
    return pytest.mark.gpu(pytest.mark.skipif(CUDA_MISSING is not None, reason=str(CUDA_MISSING))(test))


def case(text: str) -> Case:
    """``text`` as a function of a torch module ``t`` and the tensors ``x`` and ``z``."""
    return eval(f"lambda t, x, z=None: {text}")


def tensors_of(result: Any, kind: type) -> list[Any]:
    """The tensors in a result: itself, or those of a tuple."""
    if isinstance(result, kind):
        return [result]
    return [tensor for part in result for tensor in tensors_of(part, kind)] if isinstance(result, tuple | list) else []


def here(array: np.ndarray, device: str, *, requires_grad: bool) -> Tensor:
    """A Tensor on ``array`` as it is (strides included), or on a copy on the device."""
    tensor = wrap(array) if device == "cpu" else wrap(backends.cuda().xp.asarray(array))
    return tensor.requires_grad_() if requires_grad else tensor


def there(array: np.ndarray, *, requires_grad: bool) -> Any:
    """torch's tensor on the same memory."""
    torch = pytest.importorskip("torch")
    if array.dtype.name == "bfloat16":
        tensor = torch.from_numpy(array.astype(np.float32)).to(torch.bfloat16)
    else:
        tensor = torch.from_numpy(array)
    return tensor.requires_grad_() if requires_grad else tensor


def random_like(tensor: Any, rng: np.random.Generator) -> np.ndarray:
    """Random values of the shape and dtype of one of torch's tensors."""
    values = rng.normal(size=tuple(tensor.shape))
    if tensor.is_complex():
        values = values + 1j * rng.normal(size=tuple(tensor.shape))
    name = str(tensor.dtype).removeprefix("torch.")
    return np.asarray(values).astype(getattr(ag, name).numpy)


def names(tensor: Any) -> list[str]:
    """The names of the nodes from a tensor back along the first operand of each."""
    found, node = [], tensor.grad_fn
    while node is not None and type(node).__name__ != "AccumulateGrad":
        found.append(type(node).__name__)
        node = node.next_functions[0][0] if node.next_functions else None
    return found


def assert_gradients(mine: Any, torchs: Any, scale: float, what: str) -> None:
    """Equal gradients, where None means zeros."""
    for i, (a, b) in enumerate(zip(mine, torchs, strict=True)):
        if a is None or b is None:
            present = b if a is None else a
            assert present is None or not host(present).any(), f"{what} {i}: {a} here, {b} in torch"
        else:
            assert_same(a, b, scale=scale, what=f"{what} {i}")


def agree(
    function: Case, *arrays: np.ndarray, rng: np.random.Generator, device: str = "cpu",
    scale: float = 1.0, second: bool = True, same_nodes: bool = True,
) -> None:  # fmt: skip
    """Assert that ``function`` of ``arrays`` does the same here as in PyTorch, derivatives included."""
    torch = pytest.importorskip("torch")
    differentiable = [a.dtype.kind in "fcV" for a in arrays]
    xs = [here(a, device, requires_grad=d) for a, d in zip(arrays, differentiable, strict=True)]
    ys = [there(a, requires_grad=d) for a, d in zip(arrays, differentiable, strict=True)]
    result, expected = function(ag, *xs), function(torch, *ys)
    assert type(result).__name__ == type(expected).__name__
    mine, torchs = tensors_of(result, Tensor), tensors_of(expected, torch.Tensor)
    assert_same(mine, torchs, scale=scale)
    assert [m.requires_grad for m in mine] == [t.requires_grad for t in torchs]
    if same_nodes:
        assert [names(m) for m in mine] == [names(t) for t in torchs]
    mine, torchs = [m for m in mine if m.requires_grad], [t for t in torchs if t.requires_grad]
    if not mine:
        return
    xs, ys = [x for x in xs if x.requires_grad], [y for y in ys if y.requires_grad]
    cotangents = [random_like(t, rng) for t in torchs]
    first = grad(mine, xs, [ours(c, device) for c in cotangents], create_graph=second, allow_unused=True)
    seeds = [there(c, requires_grad=False) for c in cotangents]
    torch_first = torch.autograd.grad(torchs, ys, seeds, create_graph=second, allow_unused=True)
    assert_gradients(first, torch_first, scale, "gradient")
    pairs = [(a, b) for a, b in zip(first, torch_first, strict=True) if a is not None and b is not None]
    pairs = [(a, b) for a, b in pairs if second and a.requires_grad and b.requires_grad]
    if pairs:
        cotangents = [random_like(b, rng) for _, b in pairs]
        again = grad([a for a, _ in pairs], xs, [ours(c, device) for c in cotangents], allow_unused=True)
        seeds = [there(c, requires_grad=False) for c in cotangents]
        torch_again = torch.autograd.grad([b for _, b in pairs], ys, seeds, allow_unused=True)
        assert_gradients(again, torch_again, scale * 10, "second gradient")


def fits_difference_quotient(function: Case, *arrays: np.ndarray, rng: np.random.Generator) -> None:
    """Assert that the gradient of ``function`` along a random direction is its difference quotient."""
    xs = [ours(a, requires_grad=True) for a in arrays]
    outs = [out for out in tensors_of(function(ag, *xs), Tensor) if out.requires_grad]
    weights = [rng.normal(size=tuple(out.shape)) for out in outs]
    directions = [rng.normal(size=a.shape) for a in arrays]
    slopes = grad(outs, xs, [ours(w) for w in weights])
    along = sum((host(s) * v).sum() for s, v in zip(slopes, directions, strict=True))

    def weighted(*inputs: Tensor) -> Tensor:
        found = [out for out in tensors_of(function(ag, *inputs), Tensor) if out.dtype.is_floating_point]
        return ag.tensor(sum((host(out) * w).sum() for out, w in zip(found, weights, strict=True)), dtype=ag.float64)

    assert_allclose(along, difference_quotient(weighted, list(arrays), directions), rtol=1e-5, atol=1e-7)


def layouts(rng: np.random.Generator, dtype: str = "float64") -> Iterator[tuple[str, np.ndarray]]:
    """Arrays of shape (2, 3) that lie in memory in different ways, none with equal elements."""
    values = (rng.permutation(60)[:24] / 8 + 0.25).astype(dtype)
    yield "contiguous", values[:6].reshape(2, 3)
    yield "transposed", values[:6].reshape(3, 2).T
    yield "strided", values.reshape(4, 6)[::2, ::2]
    yield "offset", values[5:11].reshape(2, 3)
