"""The same function of nn.functional here and in PyTorch: value, gradient and second gradient."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
from support import assert_same, difference_quotient, host, ours, theirs

import autograd_gpu as ag
import autograd_gpu.nn.functional as F
from autograd_gpu.dtypes import BY_NAME

Function = Callable[..., Any]  # of nn.functional, ours or torch's, and tensors


def is_floating(array: np.ndarray) -> bool:
    return array.dtype.kind in "fV"


def cast(array: np.ndarray, dtype: str) -> np.ndarray:
    """A floating array in ``dtype``; another one as it is."""
    return array.astype(BY_NAME[dtype].numpy) if is_floating(array) else array


def derivatives(grad: Function, y: Any, xs: Sequence[Any], g: Any, directions: Sequence[Any]) -> list[Any]:
    """The gradients of ``y`` along ``g`` and, if there are ``directions``, of their products with these."""
    found = list(grad(y, xs, g, create_graph=bool(directions), materialize_grads=True))
    dots = [(d * v).sum() for d, v in zip(found, directions, strict=False) if d.requires_grad]
    if dots:
        return found + list(grad(sum(dots), xs, materialize_grads=True))
    return found + [0 * x.detach() for x in xs[: len(directions)]]  # the gradients are constant


def edges(y: Any) -> list[bool]:
    """Which operands of the operation that made ``y`` gradients flow to, of those that can have one."""
    return [node is not None for node, _ in y.grad_fn.next_functions]


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
    wanted = [i for i, array in enumerate(arrays) if orders and is_floating(array) and i not in constant]
    mine = [ours(array, device, requires_grad=i in wanted) for i, array in enumerate(arrays)]
    torchs = [theirs(array, requires_grad=i in wanted) for i, array in enumerate(arrays)]
    y, expected = function(F, *mine), function(torch.nn.functional, *torchs)
    assert_same(y, expected, scale=scale, what="value")
    if not orders:
        return y
    if node:
        assert y.grad_fn.name() == expected.grad_fn.name()
        assert edges(y) == edges(expected)
    g = cast(rng.normal(size=tuple(expected.shape)), dtype)
    directions = [cast(rng.normal(size=arrays[i].shape), dtype) for i in wanted] if orders > 1 else []
    found = derivatives(
        ag.autograd.grad, y, [mine[i] for i in wanted], ours(g, device), [ours(v, device) for v in directions]
    )
    known = derivatives(
        torch.autograd.grad, expected, [torchs[i] for i in wanted], theirs(g), list(map(theirs, directions))
    )
    for i, (a, b) in enumerate(zip(found, known, strict=True)):
        what = f"derivative of order {1 + i // len(wanted)} by operand {wanted[i % len(wanted)]}"
        assert_same(a, b, scale=scale, what=what)
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


def assert_on_device(trace: Any) -> None:
    """Kernels ran, and nothing waited for the device or was copied to or from it."""
    assert trace.launches
    assert not trace.syncs
    assert not trace.h2d_bytes
    assert not trace.d2h_bytes


def check_stays_on_device(function: Function, arrays: Sequence[np.ndarray], constant: Sequence[int] = ()) -> None:
    """Both passes of ``function(F, *tensors)`` stay on the simulated device, once they are warm."""
    cudasim = pytest.importorskip("cudasim")
    for _ in range(2):
        xs = [ours(cast(array, "float32"), "cuda") for array in arrays]
        for i, x in enumerate(xs):
            x.requires_grad = x.dtype.is_floating_point and i not in constant
        with cudasim.trace() as forward:
            loss = function(F, *xs).sum()
        with cudasim.trace() as backward:
            loss.backward()
    assert_on_device(forward)
    assert_on_device(backward)
