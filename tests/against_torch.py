"""The same function here and in PyTorch: value, gradient and second gradient."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
from support import assert_same, difference_quotient, host, ours, theirs

import autograd_gpu as ag
import autograd_gpu.nn.functional as F
from autograd_gpu.dtypes import BY_NAME

Function = Callable[..., Any]  # of a namespace such as torch.nn.functional, and tensors


def is_floating(array: np.ndarray) -> bool:
    return array.dtype.kind in "fV"


def cast(array: np.ndarray, dtype: str) -> np.ndarray:
    """A floating array in ``dtype``; another one as it is."""
    return array.astype(BY_NAME[dtype].numpy) if is_floating(array) else array


def derivatives(grad: Function, y: Any, xs: Sequence[Any], g: Any, directions: Sequence[Any], orders: int) -> list[Any]:
    """The gradients of ``y`` along ``g``, and then those of their products with ``directions``."""
    found = list(grad(y, xs, g, create_graph=orders > 1, allow_unused=True))
    if orders > 1:
        dots = [(d * v).sum() for d, v in zip(found, directions, strict=True) if d is not None and d.requires_grad]
        found += list(grad(sum(dots), xs, allow_unused=True)) if dots else []
    return found


def check(
    function: Function,
    arrays: Sequence[np.ndarray],
    rng: np.random.Generator,
    device: str = "cpu",
    dtype: str = "float64",
    *,
    orders: int = 2,
    constant: Sequence[int] = (),
    scale: float = 1.0,
    node: bool = True,
) -> Any:
    """Compare ``function(F, *tensors)`` with torch's, by all floating ``arrays`` that are not ``constant``.

    The dtype of floating arrays is ``dtype``, and derivatives go up to ``orders``. Returns our result.
    """
    torch = pytest.importorskip("torch")
    arrays = [cast(array, dtype) for array in arrays]
    wanted = [i for i, array in enumerate(arrays) if is_floating(array) and i not in constant]
    mine = [ours(array, device, requires_grad=i in wanted) for i, array in enumerate(arrays)]
    torchs = [theirs(array, requires_grad=i in wanted) for i, array in enumerate(arrays)]
    y, expected = function(F, *mine), function(torch.nn.functional, *torchs)
    assert_same(y, expected, scale=scale, what="value")
    if not orders:
        return y
    if node:
        assert y.grad_fn.name() == expected.grad_fn.name()
    g = cast(rng.normal(size=tuple(expected.shape)), dtype)
    directions = [cast(rng.normal(size=arrays[i].shape), dtype) for i in wanted]
    found = derivatives(
        ag.autograd.grad, y, [mine[i] for i in wanted], ours(g, device), [ours(v, device) for v in directions], orders
    )
    known = derivatives(
        torch.autograd.grad, expected, [torchs[i] for i in wanted], theirs(g), [theirs(v) for v in directions], orders
    )
    for i, (a, b) in enumerate(zip(found, known, strict=True)):
        assert_same(a, b, scale=scale, what=f"derivative {i} of order {1 + i // len(wanted)}")
    return y


def check_quotient(function: Function, arrays: Sequence[np.ndarray], rng: np.random.Generator) -> None:
    """Compare the gradient of ``function(F, *tensors)`` with a difference quotient in a random direction."""
    directions = [rng.normal(size=array.shape) for array in arrays]
    xs = [ours(array, requires_grad=True) for array in arrays]
    y = function(F, *xs)
    g = rng.normal(size=tuple(y.shape))
    quotient = difference_quotient(lambda *xs: function(F, *xs), list(arrays), directions)
    slopes = ag.autograd.grad(y, xs, ours(g))
    along = sum((host(s) * v).sum() for s, v in zip(slopes, directions, strict=True))
    np.testing.assert_allclose(along, (g * quotient).sum(), rtol=1e-6, atol=1e-8)


def backward_trace(function: Function, arrays: Sequence[np.ndarray]) -> Any:
    """What the simulated device did in the backward pass of ``function(F, *tensors)``, after a first one."""
    cudasim = pytest.importorskip("cudasim")
    for _ in range(2):
        xs = [ours(array, "cuda", requires_grad=is_floating(array)) for array in arrays]
        loss = function(F, *xs).sum()
        with cudasim.trace() as trace:
            loss.backward()
    return trace
