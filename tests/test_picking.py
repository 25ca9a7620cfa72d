"""gather() in fused functions: an element of each row by its place."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from support import host, ours

import autograd_gpu as ag
from autograd_gpu.errors import FusionError


@ag.fuse
def loss(x, index):
    return x.exp().sum(-1, keepdim=True).log() - x.gather(-1, index)


@pytest.mark.parametrize("dtype", ["int64", "int32"])
@pytest.mark.parametrize("shape", [(4, 5), (2, 3, 5), (5,), (3, 1), (0, 5), (700, 130)], ids=str)
def test_it_is_gather(shape, dtype, device, rng):
    x = ours(rng.normal(size=shape), device, requires_grad=True)
    index = ours(rng.integers(0, shape[-1], (*shape[:-1], 1)).astype(dtype), device)
    y, expected = loss(x, index), loss.__wrapped__(x, index)
    assert_allclose(host(y), host(expected), rtol=1e-12)
    g = ours(rng.normal(size=tuple(y.shape)), device)
    grads = [host(ag.autograd.grad(z, x, g)[0]) for z in (y, expected)]
    assert_allclose(grads[0], grads[1], rtol=1e-9, atol=1e-12)


def test_second_derivatives(rng):
    index = ours(np.array([[1], [0], [2]]))
    assert ag.autograd.gradgradcheck(lambda x: loss(x, index), [ours(rng.normal(size=(3, 3)), requires_grad=True)])


def test_outside_of_the_row_there_is_nan_that_no_gradient_comes_from(device):
    x = ours(np.array([[1.0, 2.0], [3.0, 4.0], [5.0, np.inf]]), device, requires_grad=True)
    y = ag.fuse(lambda x, index: x.gather(-1, index))(x, ours(np.array([[2], [-1], [0]]), device))
    assert_array_equal(host(y), [[np.nan], [np.nan], [5]])
    y.sum().backward()
    assert_array_equal(host(x.grad), [[0, 0], [0, 0], [1, 0]])


@pytest.mark.parametrize("dim", [0, 1])
def test_several_elements_of_a_row_are_refused(dim):
    with pytest.raises(FusionError, match=r"it gathers \[3, 3\] elements of \[3, 3\] where one of each row can be"):
        ag.fuse(lambda x, index: x.gather(dim, index))(ag.ones(3, 3), ag.zeros(3, 3, dtype=ag.int64))
