"""Backward passes over large NumPy arrays: planned when a graph comes the second time, and right in every way."""

import numpy as np
import pytest
from numpy.testing import assert_allclose
from support import assert_same, host, ours, theirs

import autograd_gpu as ag
from autograd_gpu import fusion, planned
from autograd_gpu.nn import functional as F
from autograd_gpu.nodes import LARGE

ROWS, COLUMNS = 520, 130
assert ROWS * COLUMNS >= LARGE


@pytest.fixture(autouse=True)
def plans(monkeypatch):
    """Plans of this test only."""
    monkeypatch.setattr(planned, "PLANS", planned.Plans())
    return planned.PLANS


@pytest.fixture
def leaf(rng):
    """Makes leaves with values between 0.5 and 1.5."""

    def make(*shape, dtype=np.float32):
        return ours((rng.random(shape or (ROWS, COLUMNS)) + 0.5).astype(dtype), requires_grad=True)

    return make


def passes(function, leaves, times=3):
    """The leaves' gradients of ``times`` passes, and how many plans were built and found in each."""
    found, counts = [], []
    for _ in range(times):
        for t in leaves:
            t.grad = None
        before = fusion.stats()
        function(*leaves).backward()
        after = fusion.stats()
        found.append([None if t.grad is None else host(t.grad).copy() for t in leaves])
        counts.append((after.plans_built - before.plans_built, after.plans_hit - before.plans_hit))
    return found, counts


STEPWISE, BUILT, FOUND = (0, 0), (1, 0), (0, 1)

GRAPHS = {
    "chain": (lambda m, x, w, b: ((x * w).tanh() * 1.5).sum(), 3),
    "bias": (lambda m, x, w, b: (x * w + b).sin().mean(), 3),
    "fan-out": (lambda m, x, w, b: ((x.exp() * x).log() * w + x).sum() + (x * b).sum() * 0.5, 3),
    "one leaf again and again": (lambda m, x, w, b: (((x * b + b) * b).tanh() * b).mean(), 3),
    "views": (lambda m, x, w, b: (x.T[1:] * w.T[:-1]).sin().sum() + x[1:, ::3].exp().mean(), 3),
    "products": (lambda m, x, w, b: m.relu(x @ w.T).sqrt().sum() + (x * b).sum(), 3),
    "choices": (lambda m, x, w, b: m.where(x > w, x * b, w / b).clamp(0.2, 2).sum(), 3),
    "small parts": (lambda m, x, w, b: (b.exp() * 2 + b).sum() * (x * w).mean(), 3),
    "rows": (lambda m, x, w, b: ((x * w).softmax(-1) * b).sum() + m.logsumexp(x + b, 1).mean(), 3),
}


def of_torch(graph, leaves, cast=lambda t: t):
    """torch's gradients of ``graph``."""
    torch = pytest.importorskip("torch")
    own = [theirs(host(t), requires_grad=True) for t in leaves]
    graph(torch, *own).backward()
    return [t.grad for t in own]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("graph", GRAPHS)
def test_gradients_are_those_of_torch(graph, dtype, leaf):
    function = GRAPHS[graph][0]
    leaves = leaf(dtype=dtype), leaf(dtype=dtype), leaf(COLUMNS, dtype=dtype)
    found, counts = passes(lambda *ts: function(ag, *ts), leaves)
    assert counts == [STEPWISE, BUILT, FOUND]
    for own in found:
        for mine, known in zip(own, of_torch(function, leaves), strict=True):
            assert (mine is None) == (known is None)
            if known is not None:
                assert_same(ours(mine), known, scale=50)


@pytest.mark.parametrize("compiling", ["on", "off"])
def test_a_loss_and_a_norm(compiling, leaf, rng):
    torch = pytest.importorskip("torch")
    x, w, b = leaf(), leaf(COLUMNS), leaf(COLUMNS)
    labels = rng.integers(0, COLUMNS, ROWS)

    def loss(f, x, w, b, labels):
        return f.cross_entropy(f.gelu(f.layer_norm(x * 1.5, (COLUMNS,), w, b)), labels)

    with fusion.compiling(compiling):
        found, counts = passes(lambda *ts: loss(F, *ts, ag.tensor(labels)), (x, w, b))
    assert counts == [STEPWISE, BUILT, FOUND]
    known = of_torch(lambda m, *ts: loss(torch.nn.functional, *ts, torch.tensor(labels)), (x, w, b))
    for own in found:
        for mine, expected in zip(own, known, strict=True):
            assert_allclose(mine, host(expected), rtol=1e-3, atol=1e-7)


@pytest.mark.parametrize("dtype", ["float16", "complex64"])
def test_dtypes_that_are_not_compiled(dtype, leaf):
    x, w = leaf(dtype=dtype), leaf(dtype=dtype)

    def graph(x, w):
        return ((x * w).exp() * 0.5 + x).abs().sum()

    found, counts = passes(graph, (x, w))
    assert counts == [STEPWISE, BUILT, FOUND]
    for own in found[1:]:
        for mine, expected in zip(own, found[0], strict=True):
            assert mine.dtype == expected.dtype
            assert_allclose(mine, expected, rtol=4e-3 if dtype == "float16" else 1e-4)


def test_small_graphs_are_never_planned(leaf):
    _, counts = passes(lambda x, b: (x * b + b).exp().sum(), (leaf(20, 10), leaf(10)))
    assert counts == [STEPWISE] * 3


def test_a_graph_that_is_no_more_alike(leaf):
    x, w = leaf(), leaf()
    _, counts = passes(lambda x, w: (x * w).exp().sum(), (x, w))
    assert counts == [STEPWISE, BUILT, FOUND]
    _, counts = passes(lambda x, w: (x * w.detach()).exp().sum(), (x, w), 2)
    assert counts == [STEPWISE, BUILT]
    _, counts = passes(lambda x, w: (x * w).exp().sum(), (leaf(300, 500), leaf(300, 500)), 1)
    assert counts == [FOUND]
    handle = x.register_hook(lambda g: g * 2)
    (hooked,), _ = passes(lambda x, w: (x * w).exp().sum(), (x, w), 1)
    handle.remove()
    (plain,), _ = passes(lambda x, w: (x * w).exp().sum(), (x, w), 1)
    assert_allclose(hooked[0], 2 * plain[0], rtol=1e-6)
    assert_allclose(hooked[1], plain[1], rtol=1e-6)


def test_hooks_inside(leaf):
    def hooked(x, w):
        y = x * w
        y.register_hook(lambda g: g * 2)
        return y.exp().sum()

    x, w = leaf(), leaf()
    found, counts = passes(hooked, (x, w))
    assert counts == [STEPWISE, BUILT, FOUND]
    for gx, _ in found:
        assert_allclose(gx, 2 * host(w) * np.exp(host(x) * host(w)), rtol=1e-5)


def step(x, w):
    """A graph, from its middle and its end."""
    inner = (x * w).exp()
    return inner, (inner * w).sum()


@pytest.mark.parametrize("times", [1, 2, 3])
def test_what_was_written_to_since_raises_and_changes_nothing(times, leaf):
    x, w = leaf(), leaf()
    for _ in range(times):
        step(x, w)[1].backward()
    before = host(x.grad).copy(), host(w.grad).copy()
    inner, loss = step(x, w)
    with ag.no_grad():
        inner += 1
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        loss.backward()
    for t, known in zip((x, w), before, strict=True):
        np.testing.assert_array_equal(host(t.grad), known)


@pytest.mark.parametrize("times", [1, 2, 3])
def test_a_second_pass_needs_the_graph(times, leaf):
    x, w = leaf(), leaf()
    for _ in range(times):
        loss = step(x, w)[1]
        loss.backward(retain_graph=True)
        loss.backward()
        with pytest.raises(RuntimeError, match="second time"):
            loss.backward()
    assert_allclose(host(x.grad), 2 * times * host(w) ** 2 * np.exp(host(x) * host(w)), rtol=1e-5)


def test_no_two_gradients_share_memory(leaf):
    x, w, seed = leaf(), leaf(), leaf().detach()
    for _ in range(3):
        x.grad = w.grad = None
        (x + w).backward(seed)
        arrays = [x.grad.array, w.grad.array, seed.array]
        assert not any(np.shares_memory(a, b) for i, a in enumerate(arrays) for b in arrays[:i])
        np.testing.assert_array_equal(host(x.grad), host(seed))


def test_overflow_is_as_quiet_as_node_by_node(leaf):
    x = leaf()
    found, counts = passes(lambda x: ((x * 1e30).square() * (x - x)).log().sum(), (x,))
    assert counts == [STEPWISE, BUILT, FOUND]
    assert all(np.isnan(own[0]).all() for own in found)


def test_gradients_asked_for(leaf):
    x, w = leaf(), leaf()
    for expected in STEPWISE, BUILT, FOUND:
        before = fusion.stats()
        gx, gw = ag.autograd.grad(step(x, w)[1], (x, w))
        after = fusion.stats()
        assert (after.plans_built - before.plans_built, after.plans_hit - before.plans_hit) == expected
        assert_allclose(host(gx), host(w) ** 2 * np.exp(host(x) * host(w)), rtol=1e-5)
        assert_allclose(host(gw), (1 + host(x) * host(w)) * np.exp(host(x) * host(w)), rtol=1e-5)
    (only,) = ag.autograd.grad(step(x, w)[1], x)
    assert_allclose(host(only), host(gx), rtol=1e-5)


def test_switched_off(leaf):
    with fusion.fuse("off"):
        _, counts = passes(lambda x, w: step(x, w)[1], (leaf(), leaf()))
    assert counts == [STEPWISE] * 3


def test_explained(leaf):
    found = fusion.explain(step(leaf(), leaf())[1])
    assert [step.name for step in found.steps] == ["SumBackward0", "bwd_mul_add"]
