"""Reductions on the device: programs of our own over any axes, values and gradients PyTorch's."""

import math

import numpy as np
import pytest
from support import assert_same, ours, theirs

import autograd_gpu as ag

cudasim = pytest.importorskip("cudasim", reason="counts kernels and bytes: needs the simulated device")
torch = pytest.importorskip("torch")
pytestmark = pytest.mark.gpu

DIMS = [None, 0, 1, -1, (0, 2), (1, 2)]


def kernels_of(function):
    """What ``function`` returns, and what it launches once it has run before."""
    function()
    with cudasim.trace() as trace:
        result = function()
    assert not trace.copies
    assert not trace.syncs
    return result, trace


def values(rng, dtype, shape):
    """Some, a few of them equal, and with nan and infinities where there are such."""
    x = rng.integers(-40, 40, shape)
    if dtype == "bool":
        return x > 30
    if dtype.startswith(("int", "uint")):
        return x.astype(dtype)
    x = (x / 8).astype(np.float32)
    x.flat[:: x.size // 3 + 1] = [np.nan, np.inf, -np.inf][: len(x.flat[:: x.size // 3 + 1])]
    return x.astype(dtype)


def called(x, name, dim):
    result = getattr(x, name)() if dim is None else getattr(x, name)(dim)
    return tuple(result) if isinstance(result, tuple) else result


@pytest.mark.parametrize("dtype", ["float32", "float16", "int64", "uint8", "bool"])
@pytest.mark.parametrize("name", ["amax", "amin", "any", "all", "count_nonzero"])
def test_reductions_over_any_axes_are_torchs(name, dtype, rng):
    x = values(rng, dtype, (4, 30, 3))
    mine, torchs = ours(x, "cuda"), theirs(x)
    for dim in DIMS:
        result, trace = kernels_of(lambda dim=dim: called(mine, name, dim))
        assert_same(result, called(torchs, name, dim), what=f"{name}({dim})")
        others = {kernel.name for kernel in trace.kernels if kernel.name.startswith("cupy")}
        assert others <= {"cupy_copy__bool_uint8"}
    assert_same(called(mine.mT, name, 1), called(torchs.mT, name, 1))


@pytest.mark.parametrize("dtype", ["float32", "float16", "int64", "uint8"])
@pytest.mark.parametrize("name", ["argmax", "argmin", "max", "min"])
def test_places_of_extremes_are_torchs(name, dtype, rng):
    x = values(rng, dtype, (4, 30, 3))
    mine, torchs = ours(x, "cuda"), theirs(x)
    for dim in 0, 1, 2:
        result, trace = kernels_of(lambda dim=dim: called(mine, name, dim))
        assert_same(result, called(torchs, name, dim), what=f"{name}({dim})")
        assert not any(kernel.name.startswith("cupy") for kernel in trace.kernels)


@pytest.mark.parametrize("name", ["amax", "sum", "any", "mean"])
def test_columns_are_read_once_by_many_blocks(name):
    x = ag.ones(16384, 64, device="cuda")
    _, trace = kernels_of(lambda: called(x, name, 0))
    assert len(trace.kernels) == 2
    assert math.prod(trace.kernels[0].grid) >= 100
    assert trace.kernel_bytes <= 1.1 * 4 * 16384 * 64


# launches forward and backward, over the last axis, the first, and all
WORKS = {
    "amax": (lambda x, dim: x.amax(dim), (1, 1), (1, 2), (2, 1)),
    "max": (lambda x, _: x.max(), (2, 1), (2, 1), (2, 1)),
    "var": (lambda x, dim: x.var(dim), (1, 1), (1, 2), (2, 1)),
    "std": (lambda x, dim: x.std(dim, correction=0), (1, 1), (1, 2), (2, 1)),
    "norm": (lambda x, dim: x.norm(dim=dim), (1, 1), (1, 2), (2, 1)),
    "norm of order 3": (lambda x, dim: x.norm(3, dim=dim), (1, 1), (1, 2), (2, 1)),
    "largest size": (lambda x, dim: x.norm(math.inf, dim=dim), (1, 1), (1, 2), (2, 1)),
    "nansum": (lambda x, dim: x.nansum(dim), (1, 2), (1, 2), (2, 1)),
    "logsumexp": (lambda x, dim: x.logsumexp(dim), (1, 1), (1, 2), (2, 1)),
}


@pytest.mark.parametrize("name", WORKS)
def test_a_reduction_and_its_gradient_are_few_kernels(name, rng):
    function, *limits = WORKS[name]
    array = (rng.integers(1, 30, (40, 50)) / 8).astype(np.float32)
    for dim, (ahead, back) in zip((1, 0, (0, 1)), limits, strict=True):
        x = ours(array, "cuda", requires_grad=True)
        y, forward = kernels_of(lambda dim=dim, x=x: function(x, dim))
        y.backward(ag.ones_like(y))
        x.grad = None
        y, seed = function(x, dim), ag.full_like(y, 2.0)
        with cudasim.trace() as backward:
            y.backward(seed)
        assert (len(forward.kernels), len(backward.kernels)) <= (ahead, back)
        assert len(backward.kernels) <= back
        known = theirs(array, requires_grad=True)
        expected = function(known, dim)
        expected.backward(torch.full_like(expected, 2.0))
        assert_same(y, expected, scale=5, what=f"{name}({dim})")
        assert_same(x.grad, known.grad, scale=5, what=f"gradient of {name}({dim})")


@pytest.mark.parametrize("name", ["amax", "amin", "max", "min"])
@pytest.mark.parametrize("row", [[1.0, np.nan, 3.0, np.nan], [np.inf, np.inf, 1.0], [2.0, 2.0, 1.0], [np.nan]])
def test_gradients_at_nan_and_ties_are_torchs(name, row):
    x, known = ours(np.array(row), "cuda", requires_grad=True), theirs(np.array(row), requires_grad=True)
    getattr(x, name)().backward()
    getattr(known, name)().backward()
    assert_same(x.grad, known.grad)


def test_extremes_of_nothing_are_refused():
    for shape, dim in ((0, 3), 0), ((3, 0), (0, 1)):
        with pytest.raises((RuntimeError, IndexError), match="have non-zero size"):
            ag.ones(*shape, device="cuda").amax(dim)
    assert ag.ones(0, 3, device="cuda").amax(1).shape == (0,)
