"""The planned road on the device: few kernels, few bytes, nothing composed or compiled twice."""

import numpy as np
import pytest
from numpy.testing import assert_allclose
from support import host, ours

import autograd_gpu as ag
import autograd_gpu.nn.functional as F
from autograd_gpu import fusion

cudasim = pytest.importorskip("cudasim", reason="counts kernels and bytes: needs the simulated device")
pytestmark = pytest.mark.gpu

N = 1000


@pytest.fixture
def leaf(rng):
    """Makes leaves on the device, with values between 0.5 and 1.5."""

    def make(*shape, dtype=np.float32):
        return ours((rng.random(shape) + 0.5).astype(dtype), "cuda", requires_grad=True)

    return make


def traced(function, *leaves):
    """The trace of a backward pass of ``function(*leaves)`` whose plan and kernels exist already."""
    for _ in range(2):
        for t in leaves:
            t.grad = None
        y = function(*leaves)
        seed = ag.ones_like(y)
        before = fusion.stats()
        with cudasim.trace() as trace:
            y.backward(seed)
    after = fusion.stats()
    assert (after.plans_built, after.plans_hit) == (before.plans_built, before.plans_hit + 1)
    assert not trace.copies
    assert not trace.syncs
    return trace


def both_roads(function, *leaves):
    """The leaves' gradients by a plan and, kernel by kernel, without."""
    grads = []
    for mode in ("on", "off"):
        for t in leaves:
            t.grad = None
        with fusion.fuse(mode):
            y = function(*leaves)
            y.backward(ag.ones_like(y))
        grads.append([host(t.grad) for t in leaves])
    return grads


def chain(x):
    for _ in range(7):
        x = ((x * 1.01).tanh() + 0.5).exp().log()
    return x


def product_and_sum(x, y, z):
    return x * y + z


def diamond(x, y):
    a = x * y
    return a.tanh() * a.exp() + a


def bias(x, b):
    return (x + b).tanh()


def network(x, w, b):
    return ((x @ w + b).relu() * 2).sigmoid().sum()


PROGRAMS = {
    chain: [(N,)],
    product_and_sum: [(N,), (N,), (N,)],
    diamond: [(N,), (N,)],
    bias: [(50, 20), (20,)],
    network: [(8, 5), (5, 3), (3,)],
}


@pytest.mark.parametrize(("program", "shapes"), PROGRAMS.items(), ids=lambda p: getattr(p, "__name__", ""))
def test_a_plan_gives_what_the_engine_gives(program, shapes, leaf):
    planned, unplanned = both_roads(program, *(leaf(*shape) for shape in shapes))
    for a, b in zip(planned, unplanned, strict=True):
        assert_allclose(a, b, rtol=1e-5, atol=1e-7)


def test_a_chain_of_28_operations_is_one_kernel(leaf):
    trace = traced(chain, leaf(N))
    assert trace.launches == 1
    saved = 7 * 3  # of each round: the results of tanh and exp, and log's operand, which is exp's result again
    assert trace.kernel_bytes <= (1 + saved + 1) * 4 * N


def test_operations_that_take_long_to_compile_share_kernels_by_tens(leaf):
    def sines(x):
        for _ in range(25):
            x = x.sin()
        return x

    x = leaf(N)
    assert traced(sines, x).launches == 3
    planned, unplanned = both_roads(sines, x)
    assert_allclose(planned[0], unplanned[0], rtol=1e-5)


def test_three_leaves_of_a_product_and_a_sum_leave_in_one_kernel(leaf):
    trace = traced(product_and_sum, leaf(N), leaf(N), leaf(N))
    assert trace.launches == 1
    assert trace.kernel_bytes == (2 + 1 + 3) * 4 * N


def test_a_fan_out_is_summed_inside_the_kernel(leaf):
    trace = traced(diamond, leaf(N), leaf(N))
    assert trace.launches == 1


def test_gradients_of_two_leaves_never_share_memory(leaf):
    x, y = leaf(N), leaf(N)
    (x + y).sum().backward()
    x.grad.zero_()
    assert_allclose(host(y.grad), np.ones(N))


def test_another_size_needs_no_other_plan_and_no_compilation(leaf):
    both = [leaf(64, 3), leaf(37, 3)]
    (both[0] * 2).exp().sum().backward()
    before = fusion.stats()
    with cudasim.trace() as trace:
        (both[1] * 3.5).exp().sum().backward()
    after = fusion.stats()
    assert after.plans_built == before.plans_built
    assert after.kernels == before.kernels
    assert not trace.copies


def test_another_batch_and_learning_rate_compile_nothing(leaf, rng):
    parameters = [leaf(64, 128), leaf(128), leaf(128), leaf(128), leaf(128, 10), leaf(10)]
    optimizer = ag.optim.Adam(parameters, lr=0.1)

    def step(count, lr):
        w1, b1, scale, shift, w2, b2 = parameters
        x, target = ours(rng.random((count, 64), np.float32), "cuda"), ours(rng.integers(10, size=count), "cuda")
        optimizer.param_groups[0]["lr"] = lr
        hidden = F.layer_norm(F.gelu(x @ w1 + b1), (128,), scale, shift)
        optimizer.zero_grad()
        F.cross_entropy(F.dropout(hidden, 0.1) @ w2 + b2, target).backward()
        optimizer.step()

    step(64, 0.1)
    before = fusion.stats()
    step(37, 0.01)
    after = fusion.stats()
    assert (after.kernels, after.plans_built) == (before.kernels, before.plans_built)


@pytest.mark.parametrize(("wanted", "plans"), [((0, 1), 1), ((0,), 0)], ids=["all leaves", "one of two"])
def test_grad_goes_by_a_plan_where_it_asks_for_all_leaves(wanted, plans, leaf):
    leaves = leaf(N), leaf(N)
    inputs = [leaves[i] for i in wanted]
    expected = both_roads(diamond, *leaves)[1]
    ag.autograd.grad(diamond(*leaves).sum(), inputs)
    before = fusion.stats().plans_hit
    found = ag.autograd.grad(diamond(*leaves).sum(), inputs)
    assert fusion.stats().plans_hit == before + plans
    for i, grad in zip(wanted, found, strict=True):
        assert_allclose(host(grad), expected[i], rtol=1e-5)


def test_saved_arrays_are_checked_and_freed(leaf):
    x = leaf(N)
    y = x.exp()
    z = (y * y).sum()
    z.backward()
    with pytest.raises(RuntimeError, match="backward through the graph a second time"):
        z.backward()
    y = x.exp()
    z = (y * y).sum()
    with ag.no_grad():
        y += 1
    kept = host(x.grad)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        z.backward()
    assert_allclose(host(x.grad), kept)


@pytest.mark.parametrize("dtype", ["float16", "float64", "complex64"])
def test_other_dtypes(dtype, leaf):
    x, y = leaf(30, dtype=dtype), leaf(30, dtype=dtype)
    planned, unplanned = both_roads(diamond, x, y)
    for a, b in zip(planned, unplanned, strict=True):
        assert a.dtype == dtype
        assert_allclose(a, b, rtol=1e-2 if dtype == "float16" else 1e-5)
