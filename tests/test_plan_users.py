"""Planned passes that stop where users see cotangents: hooks, custom Functions, and operations of several results."""

import numpy as np
import pytest
from numpy.testing import assert_allclose
from support import host, ours

import autograd_gpu as ag
from autograd_gpu import fusion, planned

SHAPE = 520, 260  # large enough for a plan on the CPU
BUILT, FOUND = (1, 0), (0, 1)


@pytest.fixture(autouse=True)
def plans(monkeypatch):
    """Plans of this test only, made for the first graph of a kind."""
    monkeypatch.setattr(planned, "PLANS", planned.Plans())
    monkeypatch.setattr(planned.Plans, "came_before", lambda *_: True)
    return planned.PLANS


@pytest.fixture
def leaf(rng, device):
    """Makes leaves with values between 0.5 and 1.5."""

    def make():
        return ours((rng.random(SHAPE) + 0.5).astype(np.float32), device, requires_grad=True)

    return make


def gradients(function, leaves):
    """The leaves' gradients of ``function(*leaves)``, and how many plans were built and found."""
    for t in leaves:
        t.grad = None
    y = function(*leaves)
    before = fusion.stats()
    y.backward()
    after = fusion.stats()
    counts = after.plans_built - before.plans_built, after.plans_hit - before.plans_hit
    return [None if t.grad is None else host(t.grad).copy() for t in leaves], counts


def check(function, leaves):
    """That a plan is built and found, and gives what node by node gives, also where hooks and Functions look."""
    for expected in BUILT, FOUND:
        found, counts = gradients(function, leaves)
        assert counts == expected
        with fusion.fuse("off"):
            known, _ = gradients(function, leaves)
        for mine, other in zip(found, known, strict=True):
            assert (mine is None) == (other is None)
            if other is not None:
                assert_allclose(mine, other, rtol=2e-4, atol=1e-6)


class Doubled(ag.autograd.Function):
    """The product, with twice its gradient."""

    @staticmethod
    def forward(ctx, x, w):
        ctx.save_for_backward(x, w)
        return x * w

    @staticmethod
    def backward(ctx, g):
        x, w = ctx.saved_tensors
        return 2 * g * w, 2 * g * x


class Kept(ag.autograd.Function):
    """The identity; what comes back is written to."""

    @staticmethod
    def forward(ctx, x):
        return x.clone()

    @staticmethod
    def backward(ctx, g):
        g *= 3
        return g


class Two(ag.autograd.Function):
    """Two results."""

    @staticmethod
    def forward(ctx, x, w):
        ctx.save_for_backward(x, w)
        return x + w, x * w

    @staticmethod
    def backward(ctx, g, h):
        x, w = ctx.saved_tensors
        return g + h * w, g + h * x


class Half(ag.autograd.Function):
    """The sum, with no gradient of the second operand."""

    @staticmethod
    def forward(ctx, x, w):
        return x + w

    @staticmethod
    def backward(ctx, g):
        return g, None


def two(x, w):
    a, b = Two.apply(x.sin(), w)
    return (a.tanh() * b).sum()


def parts(x, w):
    a, b = (x * w).chunk(2, 0)
    c, d, *_ = w.exp().unbind(1)
    return (a.tanh() * b).sum() + (c * d).sin().sum()


def one_part(x, w):
    return (x * w).sin().split(260)[1].tanh().sum() + w.exp().sum()


GRAPHS = {
    "custom": lambda x, w: (Doubled.apply(x.sin(), w).tanh() * x).sum(),
    "written": lambda x, w: (Kept.apply((x * w).sin()).tanh() * w).sum(),
    "first": lambda x, w: Kept.apply((x * w).sum()),
    "two": two,
    "none": lambda x, w: (Half.apply(x.sin(), w.exp()) * x).sum(),
    "parts": parts,
    "one part": one_part,
    "largest": lambda x, w: ((x * w).max(1).values.exp() * w[:, 0]).sum() + (x * w).tanh().sum(),
}


@pytest.mark.parametrize("graph", GRAPHS)
def test_gradients(graph, leaf):
    check(GRAPHS[graph], (leaf(), leaf()))


def hooked(register, seen):
    """A graph with a hook in its middle."""

    def graph(x, w):
        y = (x.sin() * w).exp()
        register(y, seen)
        return (y.tanh() * w).sum()

    return graph


def shown(seen, factor):
    """A tensor hook that notes what it sees, and returns a multiple."""

    def hook(g):
        seen.append(host(g).copy())
        return None if factor is None else g * factor

    return hook


HOOKS = {
    "looks": lambda y, seen: y.register_hook(shown(seen, None)),
    "changes": lambda y, seen: y.register_hook(shown(seen, 2)),
    "changes in place": lambda y, seen: y.register_hook(lambda g: g.mul_(2)),
    "node, before": lambda y, seen: y.grad_fn.register_prehook(lambda gs: (gs[0] * 3,)),
    "node, after": lambda y, seen: y.grad_fn.register_hook(lambda ins, outs: (ins[0] + outs[0],)),
    "retains": lambda y, seen: y.retain_grad(),
}


@pytest.mark.parametrize("hook", HOOKS)
def test_hooks(hook, leaf):
    seen = []
    check(hooked(HOOKS[hook], seen), (leaf(), leaf()))
    for planned_one, other in zip(seen[::2], seen[1::2], strict=True):
        assert_allclose(planned_one, other, rtol=2e-4, atol=1e-6)


def test_retained_gradients_are_stored_and_hooks_may_change(leaf):
    x, w = leaf(), leaf()
    for factor in 1, 2, 3:
        x.grad = w.grad = None
        y = (x.sin() * w).exp()
        y.retain_grad()
        y.register_hook(lambda g, factor=factor: g * factor)
        (y * w).sum().backward()
        assert_allclose(host(y.grad), factor * host(w), rtol=1e-6)
        expected = factor * host(w) * host(y) * host(w) * np.cos(host(x))
        assert_allclose(host(x.grad), expected, rtol=2e-5)


def test_a_graph_with_a_hook_and_one_without_have_plans_of_their_own(leaf):
    x, w = leaf(), leaf()

    def graph(factor):
        def made(x, w):
            y = x * w
            if factor is not None:
                y.register_hook(lambda g: g * factor)
            return y.exp().sum()

        return made

    plain, counts = gradients(graph(None), (x, w))
    assert counts == BUILT
    doubled, counts = gradients(graph(2), (x, w))
    assert counts == BUILT
    again, counts = gradients(graph(None), (x, w))
    assert counts == FOUND
    assert_allclose(doubled[0], 2 * plain[0], rtol=1e-6)
    assert_allclose(again[0], plain[0], rtol=1e-6)


def test_a_function_that_withholds_a_gradient_another_time(leaf):
    class Sometimes(ag.autograd.Function):
        @staticmethod
        def forward(ctx, x, w, withheld):
            ctx.withheld = withheld
            return x + w

        @staticmethod
        def backward(ctx, g):
            return g, None if ctx.withheld else g, None

    x, w = leaf(), leaf()
    for withheld in (False, False, True, True, False):
        found, _ = gradients(lambda x, w, withheld=withheld: Sometimes.apply(x, w.exp(), withheld).sin().sum(), (x, w))
        assert (found[1] is None) == withheld
        slope = np.cos(host(x) + np.exp(host(w)))
        assert_allclose(found[0], slope, rtol=1e-4, atol=1e-5)
        if not withheld:
            assert_allclose(found[1], slope * np.exp(host(w)), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("times", [1, 2])
def test_a_hook_that_fails_stops_all_gradients(times, leaf):
    x, w = leaf(), leaf()

    def fail(g):
        raise RuntimeError("no more")

    for _ in range(times):
        hooked(HOOKS["looks"], [])(x, w).backward()
    before = host(x.grad).copy(), host(w.grad).copy()
    with pytest.raises(RuntimeError, match="no more"):
        hooked(lambda y, _: y.register_hook(fail), [])(x, w).backward()
    for t, known in zip((x, w), before, strict=True):
        np.testing.assert_array_equal(host(t.grad), known)


@pytest.mark.gpu
def test_around_a_function_all_is_fused():
    cudasim = pytest.importorskip("cudasim", reason="counts kernels: needs the simulated device")
    x = ag.rand(1000, device="cuda", requires_grad=True)
    for _ in range(2):
        x.grad, y = None, x
        for _ in range(5):
            y = y.sin() * 1.5
        y = Kept.apply(y)
        for _ in range(5):
            y = y.tanh() + 0.5
        y.register_hook(lambda g: g)
        for _ in range(5):
            y = y.exp() * 0.1
        seed = ag.ones_like(y)
        with cudasim.trace() as trace:
            y.backward(seed)
    assert trace.launches == 4  # before the hook, up to the Function, its own product, and what is behind it
