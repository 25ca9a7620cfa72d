"""Functions with a backward of their own: as torch runs, checks and differentiates them."""

import gc
import weakref

import pytest
from custom_functions import add_one, cube, define, double
from programs import Programs, assert_agrees, leaf
from support import ours

import autograd_gpu as ag
from autograd_gpu.autograd import Function
from autograd_gpu.autograd.function import once_differentiable

agrees = Programs()


@agrees.parametrize()
def test_custom_functions_agree_with_torch(program, device):
    assert_agrees(program, device)


def swap(m):
    """Two results, of which the second squares the first argument; saves an argument and a result."""

    class Swap(m.autograd.Function):
        @staticmethod
        def forward(ctx, x, y):
            square = x * x
            ctx.save_for_backward(x, square)
            return y * 1, square

        @staticmethod
        def backward(ctx, gy, gs):
            x, square = ctx.saved_tensors
            return 2 * x * gs + 0 * square, gy

    return Swap


# --- what it computes ------------------------------------------------------------------------------


@agrees
def one_result(m, device):
    x = leaf(m, device)
    y = cube(m).apply(x)
    y.sum().backward()
    return y, y.grad_fn, y.grad_fn.next_functions[0][0], x.grad


@agrees
def second_and_third_derivative(m, device):
    x = leaf(m, device)
    found = [cube(m).apply(x).sum()]
    for _ in range(3):
        found.append(m.autograd.grad(found[-1].sum(), x, create_graph=True)[0])
    return found


@agrees
def second_derivative_through_a_saved_result(m, device):
    class Exp(m.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            y = x.exp()
            ctx.save_for_backward(y)
            return y

        @staticmethod
        def backward(ctx, g):
            (y,) = ctx.saved_tensors
            return g * y

    x = leaf(m, device, (0.1, 0.2))
    found = [Exp.apply(x)]
    for _ in range(3):
        found.append(m.autograd.grad(found[-1].sum(), x, create_graph=True)[0])
    return found


@agrees
def several_results(m, device):
    x, y = leaf(m, device), leaf(m, device)
    a, b = swap(m).apply(x, y)
    (a * b).sum().backward()
    return a, b, a.output_nr, b.output_nr, a.grad_fn is b.grad_fn, x.grad, y.grad


@agrees
def several_results_twice_differentiated(m, device):
    x, y = leaf(m, device), leaf(m, device)
    a, b = swap(m).apply(x, y)
    gx, gy = m.autograd.grad((a * b).sum(), (x, y), create_graph=True)
    return gx, gy, m.autograd.grad((gx * gx).sum() + gy.sum(), (x, y))


@agrees
def hooks_on_a_saved_result_run_once_in_a_second_derivative(m, device):
    x, y, log = leaf(m, device), leaf(m, device), []

    def backward(ctx, gy, gs):
        x, square = ctx.saved_tensors
        return 2 * x * gs * square, gy

    def forward(ctx, x, y):
        square = x * x
        ctx.save_for_backward(x, square)
        return y * 1, square

    a, b = define(m, forward, backward).apply(x, y)
    b.register_hook(log.append)
    (gx,) = m.autograd.grad(b.sum(), x, create_graph=True)
    (ggx,) = m.autograd.grad(gx.sum() + b.sum(), x)
    return gx, ggx, log


@agrees
def unused_results_have_zero_or_no_gradient(m, device):
    found = []
    for materialize in (True, False):

        def forward(ctx, x):
            ctx.set_materialize_grads(materialize)
            return x * 2, x * 3, x.sum()

        def backward(ctx, a, b, c):
            found.append((a, b, c))
            return b

        x = leaf(m, device)
        define(m, forward, backward).apply(x)[1].sum().backward()
        found.append(x.grad)
    return found


@agrees
def non_tensor_arguments_and_results(m, device):
    seen = []

    def forward(ctx, x, n, flag, text=None):
        ctx.n = n
        seen.append(ctx.needs_input_grad)
        return x * n, "text", None, n

    def backward(ctx, *grads):
        seen.append(grads)
        return grads[0] * ctx.n, None, None

    x = leaf(m, device)
    y, *rest = define(m, forward, backward).apply(x, 3, True)
    y.sum().backward()
    return y, rest, seen, x.grad


@agrees
def keyword_arguments(m, device):
    seen = []

    def forward(ctx, x, n=2, t=None):
        seen.append(ctx.needs_input_grad)
        return x * n

    x = leaf(m, device)
    define(m, forward, lambda ctx, g: (g, None)).apply(x, n=3).sum().backward()
    return seen, x.grad


@agrees
def needs_input_grad_says_which_arguments_require_it(m, device):
    seen = []

    def forward(ctx, a, b, c):
        seen.append(ctx.needs_input_grad)
        return a * b * c

    x, y = leaf(m, device), leaf(m, device)
    z = define(m, forward, lambda ctx, g: (g, g, g)).apply(x, y.detach(), y * 2)
    z.sum().backward()
    return seen, z.grad_fn.next_functions[1], x.grad, y.grad


@agrees
def forward_does_not_record(m, device):
    seen = []

    def forward(ctx, x):
        y = x * 2
        seen.append((x.requires_grad, y.requires_grad, m.is_grad_enabled()))
        return y

    def backward(ctx, g):
        seen.append((m.is_grad_enabled(), g.requires_grad))
        return g * 5

    x = leaf(m, device)
    y = define(m, forward, backward).apply(x)
    m.autograd.grad(y.sum(), x, retain_graph=True)
    (g,) = m.autograd.grad((y * y).sum(), x, create_graph=True)
    return seen, g


@agrees
def nothing_is_recorded_under_no_grad(m, device):
    x = leaf(m, device)
    with m.no_grad():
        y = cube(m).apply(x)
        same = define(m, lambda ctx, x: x).apply(x)
    constant = cube(m).apply(x.detach())
    return y, same, same is x, constant, constant.grad_fn


@agrees
def the_gradient_is_fitted_to_the_argument(m, device):
    found = []
    for make in (
        lambda g: g.double(),
        lambda g: m.stack([g, g]),
        lambda g: None,
        lambda g: (g, None, None),
        lambda g: (g * 7).to(m.float16),
    ):
        x = leaf(m, device)
        define(m, double, lambda ctx, g, make=make: make(g)).apply(x).sum().backward()
        found.append(x.grad)
    return found


@agrees
def broadcast_gradients_are_summed(m, device):
    x = m.tensor([[1.0], [2.0]], device=device, requires_grad=True)
    y = define(m, lambda ctx, x: x.expand(2, 3) * 1, lambda ctx, g: g).apply(x)
    y.sum().backward()
    return x.grad


@agrees
def an_argument_used_twice(m, device):
    x = leaf(m, device)
    multiply = define(m, lambda ctx, a, b: a * b, lambda ctx, g: (2 * g, 3 * g))
    multiply.apply(x, x).sum().backward()
    return x.grad


@agrees
def zero_dimensional_and_empty(m, device):
    found = []
    for shape in ((), (0,), (2, 0, 3)):
        x = m.ones(shape, device=device, requires_grad=True)
        cube(m).apply(x).sum().backward()
        found.append(x.grad)
    return found


@agrees
def a_function_inside_a_function(m, device):
    inner = cube(m)

    def forward(ctx, x):
        ctx.save_for_backward(x)
        return inner.apply(x)

    def backward(ctx, g):
        (x,) = ctx.saved_tensors
        with m.enable_grad():
            y = x.detach().requires_grad_()
            inner.apply(y).backward(g)
        return y.grad

    x = leaf(m, device)
    define(m, forward, backward).apply(x).sum().backward()
    return x.grad


@agrees
def recording_inside_forward_is_overruled(m, device):
    def forward(ctx, x):
        with m.enable_grad():
            return x * 2

    x = leaf(m, device)
    y = define(m, forward, lambda ctx, g: g * 10).apply(x)
    y.sum().backward()
    return y.grad_fn, x.grad


@agrees
def the_same_result_twice(m, device):
    def forward(ctx, x):
        y = x * 2
        return y, y

    x = leaf(m, device)
    a, b = define(m, forward, lambda ctx, g, h: g + 10 * h).apply(x)
    (a + b).sum().backward()
    return a is b, x.grad


@agrees
def vjp_is_another_name_of_backward(m, device):
    class V(m.autograd.Function):
        forward = staticmethod(double)

        @staticmethod
        def vjp(ctx, g):
            return g * 7

    x = leaf(m, device)
    V.apply(x).sum().backward()
    return x.grad


@agrees
def setup_context_in_a_second_part(m, device):
    seen = []

    class Two(m.autograd.Function):
        @staticmethod
        def forward(x, n=2):
            return x * n, x * n * x

        @staticmethod
        def setup_context(ctx, inputs, output):
            x, ctx.n = inputs
            seen.append((m.is_grad_enabled(), len(output)))
            ctx.mark_non_differentiable(output[0])
            ctx.save_for_backward(x)

        @staticmethod
        def backward(ctx, g, h):
            (x,) = ctx.saved_tensors
            return h * ctx.n * x, None

    found = []
    for kwargs in ({}, {"n": 5}):
        x = leaf(m, device)
        a, b = Two.apply(x, **kwargs)
        b.sum().backward()
        found.append((a, b, x.grad))
    return seen, found


@agrees
def once_differentiable_can_be_differentiated_once(m, device):
    from_torch = m.autograd.function.once_differentiable
    x = leaf(m, device)
    y = define(m, double, from_torch(lambda ctx, g: g * 2)).apply(x)
    (constant,) = m.autograd.grad(y.sum(), x, create_graph=True, retain_graph=True)
    (g,) = m.autograd.grad((y * y).sum(), x, create_graph=True)
    return constant, g.detach(), g.requires_grad, type(g.grad_fn).__name__


# --- arguments that come back as results, views, and writes ------------------------------------------


@agrees
def an_argument_returned_as_it_is(m, device):
    x = leaf(m, device)
    y = define(m, lambda ctx, x: x, lambda ctx, g: g * 3).apply(x)
    y.sum().backward()
    return y is x, y.grad_fn, y._base is x, x.grad


@agrees
def a_view_of_an_argument(m, device):
    x = leaf(m, device)
    y = define(m, lambda ctx, x: x.view(3, 1), lambda ctx, g: g.view(3) * 3).apply(x)
    y.sum().backward()
    return y, y.grad_fn, x.grad


@agrees
def results_without_gradient(m, device):
    def forward(ctx, x):
        y, z = x * 2, x * 3
        ctx.mark_non_differentiable(z)
        return y, z, x.long()

    grads = []
    x = leaf(m, device)
    y, z, i = define(m, forward, lambda ctx, *g: (grads.append(g), g[0])[1]).apply(x)
    y.sum().backward()
    return y, z, i, z.grad_fn, grads, x.grad


@agrees
def an_argument_returned_without_gradient(m, device):
    def forward(ctx, x):
        ctx.mark_non_differentiable(x)
        return x, x * 2

    x = leaf(m, device)
    y, _ = define(m, forward).apply(x)
    return y is x, y.requires_grad


@agrees
def a_write_to_an_argument(m, device):
    x = leaf(m, device)
    t = x * 1
    y = define(m, add_one, lambda ctx, g: g * 5).apply(t)
    before = y is t, t._version, t.is_leaf, t.grad_fn
    (t * t).sum().backward()
    return before, x.grad


@agrees
def a_write_to_a_view(m, device):
    x = leaf(m, device)
    base = x * 1
    view = base[:2]
    y = define(m, add_one, lambda ctx, g: g * 5).apply(view)
    same = y is view, base.grad_fn, view._version, base._version
    (base * base).sum().backward()
    return same, base, x.grad


@agrees
def a_write_to_an_argument_without_gradient(m, device):
    t = m.tensor([1.0, 2.0], device=device)
    y = define(m, add_one).apply(t)
    return y is t, t, t._version


@agrees
def a_written_argument_saved_for_backward(m, device):
    def forward(ctx, x):
        x.mul_(2)
        ctx.mark_dirty(x)
        ctx.save_for_backward(x)
        return x

    x = leaf(m, device)
    y = define(m, forward, lambda ctx, g: g * ctx.saved_tensors[0]).apply(x * 1)
    (g,) = m.autograd.grad(y.sum(), x, create_graph=True)
    return g, m.autograd.grad(g.sum(), x)


@agrees
def versions_of_saved_tensors_count_from_when_they_were_saved(m, device):
    x = leaf(m, device)
    t = x * 1
    t.add_(1)
    y = cube(m).apply(t)
    y.sum().backward()
    return x.grad


@agrees
def saved_tensors_of_the_node(m, device):
    x = leaf(m, device)
    y = cube(m).apply(x)
    node = y.grad_fn
    return node.saved_tensors, node.saved_tensors[0] is x, node.needs_input_grad, node.name()


@agrees
def attributes_of_the_context_may_have_any_name(m, device):
    names = ["parents", "saved", "hooks", "line", "sequence", "shape", "fit", "trace", "results", "inputs", "op"]

    def forward(ctx, x):
        for name in names:
            setattr(ctx, name, name)
        return x * 2

    seen = []

    def backward(ctx, g):
        seen.extend(getattr(ctx, name) for name in names)
        return g

    x = leaf(m, device)
    define(m, forward, backward).apply(x).sum().backward()
    return seen, x.grad


@agrees
def without_saved_tensors_it_can_be_run_again(m, device):
    x = leaf(m, device)
    y = define(m, double).apply(x)
    y.backward(m.ones(3, device=device))
    y.backward(m.ones(3, device=device))
    return x.grad


@pytest.mark.parametrize("save", ["argument", "result", "both"])
@pytest.mark.parametrize("backward", [False, True])
def test_nothing_refers_in_a_circle(save, backward):
    class F(Function):
        @staticmethod
        def forward(ctx, x):
            y = x * 2
            ctx.save_for_backward(*{"argument": (x,), "result": (y,), "both": (x, y)}[save])
            return y

        @staticmethod
        @once_differentiable
        def backward(ctx, g):
            return g * ctx.saved_tensors[0]

    gc.disable()
    try:
        x = ours([1.0, 2.0], requires_grad=True)
        t = x * 1
        y = F.apply(t)
        alive = [weakref.ref(t), weakref.ref(y), weakref.ref(y.grad_fn), weakref.ref(y.array), weakref.ref(t.array)]
        if backward:
            y.sum().backward()
        del t, y
        assert [ref() for ref in alive] == [None] * len(alive)
    finally:
        gc.enable()


def test_a_long_chain_of_custom_functions():
    square = cube(ag)
    x = ours(1.0, requires_grad=True)
    y = x
    for _ in range(20_000):
        y = square.apply(y) * (1 / 3)
    y.backward()
    del y
    assert x.grad.shape == ()


@pytest.mark.gpu
def test_backward_stays_on_the_device():
    cudasim = pytest.importorskip("cudasim")
    a, b = swap(ag).apply(ours([1.0, 2.0], "cuda", requires_grad=True), ours([3.0, 4.0], "cuda", requires_grad=True))
    loss = (a * b).sum()
    with cudasim.trace() as trace:
        loss.backward()
    assert trace.launches
    assert not trace.syncs
    assert not trace.h2d_bytes
    assert not trace.d2h_bytes
