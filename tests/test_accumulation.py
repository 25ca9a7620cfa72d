"""What becomes of a gradient at its leaf: ``.grad`` takes its memory where nobody else has it, and is added to there."""

import numpy as np
import pytest
from against_torch import on_gpu
from support import host, ours

import autograd_gpu as ag

SHARING = {  # of leaves x and z, whose gradients are views of one array, or the array itself
    "two views of a sum": lambda x, z: x.view(6) + z.view(6),
    "a view and the sum": lambda x, z: x + z.view(3, 2).view(2, 3),
    "two transposed views": lambda x, z: (x.T + z.T).T,
    "parts of a sum": lambda x, z: ag.cat([x, z]),
    "a view of a product": lambda x, z: x.view(6) * 1 + z.sum(),
    "a view of a leaf": lambda x, z: x.T + z.sum(),
}


@pytest.mark.parametrize("make", SHARING.values(), ids=SHARING)
def test_gradients_have_memory_of_their_own(make, device):
    for _ in range(3):  # the first pass, a plan made and a plan replayed
        x, z = (ours(np.ones((2, 3), np.float32), device, requires_grad=True) for _ in range(2))
        y = make(x, z)
        seed = ours(np.arange(y.numel(), dtype=np.float32).reshape(y.shape), device)
        y.backward(seed)
        seen = [x.grad, z.grad, seed]
        for i, grad in enumerate(seen):
            before = [host(other).copy() for other in seen]
            grad.mul_(-3)
            before[i] *= -3
            np.testing.assert_equal([host(other) for other in seen], before)


def test_what_a_hook_kept_is_not_the_gradient(device):
    for _ in range(3):
        x = ours(np.ones((2, 3), np.float32), device, requires_grad=True)
        kept = []
        y = x.view(6)
        y.register_hook(kept.append)
        (y * 2).sum().backward()
        x.grad.zero_()
        assert host(kept[0]).tolist() == [2] * 6


def test_a_hook_after_accumulation_may_write_to_the_gradient(device):
    x, z = (ours(np.ones((2, 3), np.float32), device, requires_grad=True) for _ in range(2))
    for leaf in (x, z):
        leaf.register_post_accumulate_grad_hook(lambda leaf: leaf.grad.zero_())
    for _ in range(3):
        (x.view(6) + z.view(3, 2).view(6)).sum().backward()
        assert not host(x.grad).any()
        assert not host(z.grad).any()


def test_adding_to_a_gradient_keeps_its_memory(device):
    x = ours(np.arange(6.0).reshape(2, 3), device, requires_grad=True)
    (x * x).sum().backward()
    before = x.grad.data_ptr()
    (x.T * 3).sum().backward()
    assert x.grad.data_ptr() == before
    np.testing.assert_array_equal(host(x.grad), host(x) * 2 + 3)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float64", "complex64"])
def test_gradients_of_all_dtypes_and_layouts_are_added_up(dtype, device):
    x = ours(np.ones((4, 3)), device).to(getattr(ag, dtype)).requires_grad_()
    x.grad = ours(np.ones((8, 3)), device).to(getattr(ag, dtype))[::2]
    for _ in range(2):
        (x.T * 2).sum().abs().backward()
    assert host(x.grad).tolist() == [[5] * 3] * 4


@on_gpu
def test_a_gradient_is_added_by_one_kernel_with_wide_loads():
    cudasim = pytest.importorskip("cudasim")
    x = ours(np.ones((64, 64), np.float32), "cuda", requires_grad=True)
    g = ours(np.ones((64, 64), np.float32), "cuda")
    for _ in range(2):
        with cudasim.trace() as trace:
            x.backward(g)
    (kernel,) = trace.kernels
    assert kernel.bytes == 3 * x.nbytes
    assert kernel.grid[0] * kernel.block[0] * 4 <= x.numel()


@on_gpu
def test_gradients_of_weights_are_not_copied():
    cudasim = pytest.importorskip("cudasim")
    x, weight, bias = (ours(np.ones(shape, np.float32), "cuda", requires_grad=True) for shape in ((5, 4), (3, 4), (3,)))
    for _ in range(2):
        x.grad = weight.grad = bias.grad = None
        y = ag.nn.functional.linear(x, weight, bias)
        g = ours(np.ones((5, 3), np.float32), "cuda")
        with cudasim.trace() as trace:
            y.backward(g)
    assert [record.kind for record in trace.of("kernel", "d2d", "memset", "blas")].count("blas") == 2
    assert len(trace.of("kernel", "d2d", "memset")) == 1  # the sum for the bias
