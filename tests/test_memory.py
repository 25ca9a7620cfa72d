"""Memory is freed by reference counts alone, at once: after backward, without it, after errors, writes, hooks."""

import gc
import weakref
from collections.abc import Iterator

import numpy as np
import pytest
from support import ours

import autograd_gpu as ag
from autograd_gpu import autograd


@pytest.fixture(autouse=True)
def _without_the_collector() -> Iterator[None]:
    gc.collect()
    gc.disable()
    yield
    gc.enable()


class Watched:
    """Weak references to tensors, their arrays and their nodes."""

    def __init__(self):
        self.refs = []

    def __call__(self, *tensors):
        for tensor in tensors:
            self.refs.append(weakref.ref(tensor))
            if isinstance(tensor, ag.Tensor):
                self.refs.append(weakref.ref(tensor.array))
                if tensor.grad_fn is not None:
                    self.refs += [weakref.ref(tensor.grad_fn), weakref.ref(tensor._node)]
        return tensors[0]

    def assert_dead(self):
        alive = [ref() for ref in self.refs if ref() is not None]
        assert not alive, f"{len(alive)} of {len(self.refs)} are alive: {alive}"


@pytest.fixture
def watch(device):
    return Watched()


def leaf(device, values=(1.0, 2.0, 3.0)):
    return ours(np.array(values, np.float32), device, requires_grad=True)


class Square(autograd.Function):
    @staticmethod
    def forward(ctx, x):
        y = x * x
        ctx.save_for_backward(x, y)
        ctx.note = "kept"
        return y

    @staticmethod
    def backward(ctx, g):
        x, _ = ctx.saved_tensors
        return 2 * x * g


class Broken(autograd.Function):
    @staticmethod
    def forward(ctx, x):
        return x * 1

    @staticmethod
    def backward(ctx, g):
        raise ZeroDivisionError


def program_plain(watch, x):
    return (watch(watch(x * 2).exp()) * x).sum()


def program_result_saved(watch, x):
    return watch(watch((x * x).tanh()).exp()).sum()


def program_custom(watch, x):
    return watch(Square.apply(watch(x * 1))).sum()


def program_several_results(watch, x):
    a, b, c = watch(x * 2).unbind()
    watch(a, b, c)
    return a * b + c


def program_views(watch, x):
    y = watch(x * 2)
    v = watch(y[:2])
    return (watch(v.view(2, 1)) * v).sum()


def program_writes(watch, x):
    y = watch(x * 1)
    y.mul_(2)
    y.add_(x)
    y.exp_()
    return watch(y * y).sum()


def program_writes_to_views(watch, x):
    y = watch(x * 1)
    v = watch(y[:2])
    v.mul_(3)
    y[1] = v[0] * 2
    w = watch(y.view(3, 1))
    y.mul_(2)
    return (w * w).sum() + v.sum()


def program_hooks(watch, x):
    y = watch(x * 2)
    y.register_hook(lambda g: g * 2)
    y.grad_fn.register_hook(lambda ins, outs: None)
    y.grad_fn.register_prehook(lambda outs: outs)
    y.retain_grad()
    y.grad_fn.metadata["note"] = 1
    return (y * y).sum()


def program_hooks_that_keep_gradients(watch, x):
    kept = []
    y = watch(x * 2)
    y.register_hook(lambda g: kept.append(g.detach()))
    return (y * y).sum()


def program_cat_and_index(watch, x):
    y = watch(ag.cat([watch(x * 2), x]))
    return watch(y[[0, 2, 4]]).sum()


def program_saved_attributes(watch, x):
    y = watch(x.exp())
    watch(y.grad_fn._saved_result)
    return (y * watch(y.grad_fn.next_functions[0][0])._sequence_nr() * 0 + y).sum()


PROGRAMS = [value for name, value in list(globals().items()) if name.startswith("program_")]


@pytest.mark.parametrize("program", PROGRAMS, ids=[p.__name__.removeprefix("program_") for p in PROGRAMS])
@pytest.mark.parametrize("way", ["backward", "kept graph", "grad", "second derivative", "never", "error"])
def test_nothing_survives(program, way, device, watch):
    x = leaf(device)
    y = program(watch, x)
    watch(y)
    match way:
        case "backward":
            y.backward()
        case "kept graph":
            y.backward(retain_graph=True)
        case "grad":
            autograd.grad(y, x)
        case "second derivative":
            (g,) = autograd.grad(y, x, create_graph=True)
            watch(g)
            if g.requires_grad:
                autograd.grad(g.sum(), x)
            del g
        case "error":
            z = watch(Broken.apply(y))
            with pytest.raises(ZeroDivisionError):
                z.backward()
            del z
            assert x.grad is None
    del y
    watch.assert_dead()
    alive = [weakref.ref(x), weakref.ref(x.array)]
    if x.grad is not None:
        alive += [weakref.ref(x.grad), weakref.ref(x.grad.array)]
    del x
    assert [ref() for ref in alive] == [None] * len(alive)


def test_saved_arrays_are_freed_by_backward_itself(device):
    x = leaf(device)
    y = (x * 2).exp()
    saved = weakref.ref(y.array)
    z = y.sum()
    del y
    assert saved() is not None
    z.backward()
    assert saved() is None


def test_saved_arrays_are_freed_as_the_pass_goes_on(device):
    x = leaf(device)
    for _ in range(2):  # the pass for which a plan is made holds them to its end
        first = y = x.exp()
        saved, alive = [], []
        for _ in range(5):
            y = y.exp()
            saved.append(weakref.ref(y.array))
        first.register_hook(lambda g, saved=saved, alive=alive: alive.append([ref() is not None for ref in saved]))
        z = y.sum()
        del y
        z.backward()
    assert alive == [[False] * 5]


def test_a_graph_dies_with_its_last_tensor(device):
    x = leaf(device)
    trunk = x * 2
    node = weakref.ref(trunk.grad_fn)
    first, second = trunk.exp(), trunk.sin()
    del trunk
    del first
    assert node() is not None
    del second
    assert node() is None


def test_gradients_of_a_created_graph_die_when_they_are_reset(device):
    x = leaf(device)
    with pytest.warns(UserWarning, match="create_graph=True will create a reference cycle"):
        (x * x * x).sum().backward(create_graph=True)
    grad = weakref.ref(x.grad)
    x.grad = None
    assert grad() is None
    alive = weakref.ref(x)
    del x
    assert alive() is None


def test_errors_while_building_leave_nothing_behind(device, watch):
    x = leaf(device)
    y = watch(x * 2)
    with pytest.raises(RuntimeError):
        y * ours(np.ones(4, np.float32), device)
    with pytest.raises(RuntimeError):
        y.add_(ours(np.ones((2, 3), np.float32), device))
    with pytest.raises(RuntimeError):
        y.backward()
    with pytest.raises(RuntimeError):
        y.unbind()[0].add_(1)
    del y
    watch.assert_dead()


def test_many_views_of_a_base_do_not_pile_up(device):
    base = leaf(device) * 1
    for _ in range(1000):
        base[0]
    assert len(base._views) <= 128
    kept = [base[0] for _ in range(300)]
    base.mul_(2)
    assert all(type(row.grad_fn).__name__ == "AsStridedBackward0" for row in kept)


@pytest.mark.parametrize(
    "function", [lambda y: y * 1.01, lambda y: y + 1, lambda y: Square.apply(y) * 0.1, lambda y: y[None][0]]
)
def test_long_chains_are_freed_without_recursion(function):
    x = ours(np.float32(0.5), requires_grad=True)
    y = x
    nodes = []
    for i in range(20_000):
        y = function(y)
        if not i % 1000:
            nodes.append(weakref.ref(y.grad_fn))
    del y
    assert [ref() for ref in nodes] == [None] * 20


@pytest.mark.gpu
def test_a_whole_backward_pass_stays_on_the_device():
    cudasim = pytest.importorskip("cudasim")
    rng = np.random.default_rng(0)

    def make(*shape):
        return ours(rng.normal(size=shape).astype(np.float32), "cuda", requires_grad=True)

    x, parameters = make(8, 4).detach(), [make(4, 16), make(16), make(16, 3), make(3)]
    target = ours(rng.integers(0, 3, 8), "cuda")

    def loss():
        w1, b1, w2, b2 = parameters
        hidden = (x @ w1 + b1).relu()
        hidden = hidden * hidden.tanh() + hidden[:, :1].exp() / (1 + hidden.sum(1, keepdim=True).square())
        return ag.nn.functional.cross_entropy(hidden @ w2 + b2, target) + (w1 * w1).mean()

    for _ in range(2):  # the second time, .grad is added to
        value = loss()
        with cudasim.trace() as trace:
            value.backward()
        assert trace.launches
        assert not trace.syncs
        assert not trace.h2d_bytes
        assert not trace.d2h_bytes
    assert all(type(p.grad.array).__module__.startswith("cupy") for p in parameters)
