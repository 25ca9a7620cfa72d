"""A plan found again by its walk: only for a graph that is alike, and with all that the first pass checks."""

import threading

import numpy as np
import pytest
from numpy.testing import assert_allclose
from support import host, ours

import autograd_gpu as ag
from autograd_gpu import fusion, planned, walks

cudasim = pytest.importorskip("cudasim", reason="counts kernels: needs the simulated device")
pytestmark = pytest.mark.gpu

N = 12


@pytest.fixture
def leaf(rng):
    """Makes leaves on the device, with values between 0.5 and 1.5."""

    def make(*shape):
        return ours((rng.random(shape or N) + 0.5).astype(np.float32), "cuda", requires_grad=True)

    return make


@pytest.fixture
def plans(monkeypatch):
    """Plans of this test only."""
    monkeypatch.setattr(planned, "PLANS", planned.Plans())
    return planned.PLANS


def grads(function, *leaves):
    """The leaves' gradients of ``function(*leaves)``, and how many plans were built and found for them."""
    for t in leaves:
        t.grad = None
    y = function(*leaves)
    before = fusion.stats()
    y.backward(ag.ones_like(y))
    after = fusion.stats()
    counts = after.plans_built - before.plans_built, after.plans_hit - before.plans_hit
    return [None if t.grad is None else host(t.grad) for t in leaves], counts


def unplanned(function, *leaves):
    """The leaves' gradients, node by node."""
    with fusion.fuse("off"):
        return grads(function, *leaves)[0]


BUILT, FOUND = (1, 0), (0, 1)


def check(function, leaves, expected):
    """That the gradients by a plan are those node by node, and how the plan was come by."""
    found, counts = grads(function, *leaves)
    assert counts == expected
    for a, b in zip(found, unplanned(function, *leaves), strict=True):
        assert (a is None) == (b is None)
        if a is not None:
            assert_allclose(a, b, rtol=1e-5, atol=1e-7)


def chain(x, w):
    return (x * w).tanh() * 1.5


def test_a_graph_that_is_alike_finds_its_plan(leaf, plans):
    check(chain, (leaf(), leaf()), BUILT)
    check(chain, (leaf(), leaf()), FOUND)
    check(chain, (leaf(3, 5), leaf(3, 5)), FOUND)
    assert len(plans.kept) == 1


@pytest.mark.parametrize("depth", [walks.TOGETHER - 1, walks.TOGETHER, 3 * walks.TOGETHER + 1])
def test_graphs_that_several_functions_walk(depth, leaf, plans):
    def deep(x, w):
        first = x = x * w
        for _ in range(depth - 3):
            x = x * 1.01 if depth % 2 else x.sin()
        return x * first * w

    for expected in BUILT, FOUND:
        check(deep, (leaf(), leaf()), expected)


def square(x):
    return x * x


def swapped(x, y):
    return y * x


UNLIKE = {
    "another operation": (lambda x, w: (x * w).tanh(), lambda x, w: (x * w).sin()),
    "another operand": (lambda x, w: x * w * w, lambda x, w: x * w * x),
    "one leaf for two": (lambda x, w: x * w, lambda x, w: x * x + 0 * w),
    "a constant for a leaf": (lambda x, w: x * w, lambda x, w: x * w.detach()),
    "a number for a constant": (lambda x, w: x * w.detach(), lambda x, w: x * 2.5),
    "a constant for a number": (lambda x, w: x * 2.5, lambda x, w: x * w.detach()),
    "two arrays for one": (lambda x, w: x * w.detach() * w.detach(), lambda x, w: x * w.detach() * (w + 1).detach()),
    "one node for two": (lambda x, w: x.exp() * x.exp() + w, lambda x, w: square(x.exp()) + w),
    "another order": (lambda x, w: x.exp() * w.sin(), lambda x, w: swapped(w.sin(), x.exp())),
    "another dtype": (lambda x, w: (x * w).double() * w, lambda x, w: (x * w).half() * w),
    "a broadcast operand": (lambda x, w: x * w, lambda x, w: x * w[:1]),
    "one more part": (lambda x, w: ag.cat([x, w]), lambda x, w: ag.cat([x, w, x])),
}


@pytest.mark.parametrize("pair", UNLIKE.values(), ids=UNLIKE)
def test_a_graph_that_is_unlike_gets_a_plan_of_its_own(pair, leaf, plans):
    first, second = pair
    x, w = leaf(), leaf()
    check(lambda x, w: first(x, w) * 2, (x, w), BUILT)
    check(lambda x, w: second(x, w) * 2, (x, w), BUILT)
    check(lambda x, w: first(x, w) * 2, (x, w), FOUND)
    check(lambda x, w: second(x, w) * 2, (x, w), FOUND)


def test_many_graphs_that_end_alike_are_all_found(leaf, plans):
    def power(n):
        def function(x):
            for _ in range(n):
                x = x.sin()
            return x * 2

        return function

    x = leaf()
    for expected in BUILT, FOUND, FOUND:
        for n in range(2 * planned.MAX_GUESSES):
            check(power(n), (x,), expected)
    assert all(len(guesses) <= planned.MAX_GUESSES for guesses in plans.guesses.values())


def test_the_plans_kept_are_bounded(leaf, plans, monkeypatch):
    monkeypatch.setattr(planned, "MAX_PLANS", 3)
    x = leaf()
    for n in range(1, 8):

        def powers(x, n=n):
            for _ in range(n):
                x = x * x
            return x + 1

        check(powers, (x,), BUILT)
        assert len(plans.kept) <= 3
        assert len(plans.guesses) <= 3


def layouts(x):
    """Arrays of the shape (N, N) that lie in other ways."""
    wide = ag.ones(N, 2 * N, device="cuda").cumsum(1)
    return {
        "transposed": x.T,
        "every second": wide[:, ::2],
        "columns": wide[:, 1 : N + 1],
        "misaligned": wide.reshape(-1)[1 : N * N + 1].reshape(N, N),
        "broadcast": wide[:1, :N].expand(N, N),
        "turned": x.flip(0),
        "dense": x + 1,
    }


@pytest.mark.parametrize(
    "layout", ["transposed", "every second", "columns", "misaligned", "broadcast", "turned", "dense"]
)
def test_arrays_that_lie_in_another_way(layout, leaf, plans):
    x = leaf(N, N)
    dense = leaf(N, N).detach()
    other = layouts(leaf(N, N).detach())[layout]
    check(lambda x: (x * dense).sin(), (x,), BUILT)
    gapless = layout in ("turned", "dense")
    for expected in FOUND if gapless else BUILT, FOUND:
        check(lambda x: (x * other).sin(), (x,), expected)
    for seed in dense, other:
        x.grad = None
        (x * dense).sin().backward(seed)
        assert_allclose(host(x.grad), host(seed * dense * (x * dense).cos()), rtol=1e-5)


def written(x, *, before):
    """A graph that saved an array which was written to before that, or since."""
    y = x.exp()
    if before:
        y = y.clone().mul_(2)
        return y.sin() * 2
    z = y.sin() * 2
    with ag.no_grad():
        y += 1
    return z


def test_what_was_written_to_since_is_refused_with_the_same_words(leaf, plans):
    x, words = leaf(), []
    for _ in range(2):
        z = written(x, before=False)
        with pytest.raises(RuntimeError, match="modified by an inplace operation") as error:
            z.backward(ag.ones_like(z))
        words.append(str(error.value))
        assert x.grad is None
        grads(lambda x: x.exp().sin() * 2, x)  # the plan for the second time
        x.grad = None
    assert words[0] == words[1]


def test_what_was_written_to_before_is_no_matter(leaf, plans):
    x = leaf()
    for expected in BUILT, FOUND, FOUND:
        check(lambda x: written(x, before=True), (x,), expected)


def test_a_graph_that_is_kept_is_found_twice_and_one_that_was_freed_is_refused(leaf, plans):
    x, w = leaf(), leaf()
    grads(chain, x, w)
    y = chain(x, w)
    before = fusion.stats()
    y.backward(ag.ones_like(y), retain_graph=True)
    y.backward(ag.ones_like(y))
    assert fusion.stats().plans_hit == before.plans_hit + 2
    kept = host(x.grad)
    with pytest.raises(RuntimeError, match="backward through the graph a second time"):
        y.backward(ag.ones_like(y))
    assert_allclose(host(x.grad), kept)
    assert_allclose(kept, 3 * unplanned(chain, x, w)[0], rtol=1e-5)


def test_a_hook_that_appears_takes_another_plan(leaf, plans):
    x, w = leaf(), leaf()
    expected, _ = grads(chain, x, w)

    def hooked(x, w):
        y = x * w
        y.register_hook(lambda g: g * 3)
        return y.tanh() * 1.5

    for counted in BUILT, FOUND:
        found, counts = grads(hooked, x, w)
        assert counts == counted
        assert_allclose(found[0], 3 * expected[0], rtol=1e-5)
    check(chain, (x, w), FOUND)


def test_a_leaf_that_is_one_no_more_gets_no_gradient(leaf, plans):
    x, w = leaf(), leaf()
    grads(chain, x, w)
    x.grad = w.grad = None
    y = chain(x, w)
    w.requires_grad_(False)
    y.backward(ag.ones_like(y))
    assert w.grad is None
    assert x.grad is not None


def test_products_with_the_same_two_arrays_are_one_kernel(leaf, plans):
    def products(x, w, b):
        for _ in range(25):
            x = x * w + b
        return x

    leaves = leaf(), leaf(), leaf()
    check(products, leaves, BUILT)
    y = products(*leaves)
    with cudasim.trace() as trace:
        y.backward(ag.ones_like(y) * 1)
    assert sum("bwd" in kernel.name for kernel in trace.kernels) == 1


def test_numbers_do_not_count_as_inputs(leaf, plans):
    def scaled(x):
        for i in range(60):
            x = x * (1 + i / 1000)
        return x

    x = leaf()
    check(scaled, (x,), BUILT)
    y = scaled(x)
    with cudasim.trace() as trace:
        y.backward(ag.ones_like(y) * 1)
    assert sum("bwd" in kernel.name for kernel in trace.kernels) == 1


def test_threads_share_plans(leaf, plans):
    x, w = leaf(), leaf()
    expected, _ = grads(chain, x, w)
    found = []

    def work():
        mine = [ours(host(t), "cuda", requires_grad=True) for t in (x, w)]
        for _ in range(20):
            found.append([host(g) for g in ag.autograd.grad(chain(*mine).sum(), mine)])
            for t in mine:
                t.grad = None
            y = chain(*mine)
            y.backward(ag.ones_like(y))
            found.append([host(t.grad) for t in mine])

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 160
    for mine in found:
        for a, b in zip(mine, expected, strict=True):
            assert_allclose(a, b, rtol=1e-5)


def test_a_result_is_written_where_16_bytes_do_not_begin(leaf):
    x, wide = leaf(64).detach(), ag.ones(65, device="cuda")
    out = wide[1:]
    ag.mul(x, 3.0, out=out)
    out.add_(x)
    assert_allclose(host(wide), [1, *(4 * host(x))], rtol=1e-6)
