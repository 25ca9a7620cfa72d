"""Custom Functions that do what they must not: as torch refuses it."""

import re

import numpy as np
import pytest
from custom_functions import add_one, cube, define, double
from programs import Programs, assert_fails_alike, leaf
from support import ours

import autograd_gpu as ag
from autograd_gpu.autograd import Function

fails = Programs()


@fails.parametrize()
def test_misuse_is_refused_in_torchs_words(program):
    assert_fails_alike(program)


def backward_returns(value, arguments=()):
    def program(m, device):
        x = leaf(m, device)
        define(m, double, lambda ctx, g: value(m, g)).apply(x, *arguments).sum().backward()

    return program


for _name, _value, _arguments in (
    ("too_many_gradients", lambda m, g: (g, g), ()),
    ("too_few_gradients", lambda m, g: g, (1,)),
    ("a_gradient_of_a_number", lambda m, g: (g, g), (1,)),
    ("a_list_of_gradients", lambda m, g: [g], ()),
    ("a_number_as_gradient", lambda m, g: 3, ()),
    ("a_gradient_of_another_size", lambda m, g: m.ones(5), ()),
    ("a_0d_gradient", lambda m, g: g.sum(), ()),
    ("a_gradient_with_one_element", lambda m, g: m.ones(1), ()),
):
    _program = backward_returns(_value, _arguments)
    _program.__name__ = _name
    fails(_program)


@fails
def no_forward(m, device):
    type("F", (m.autograd.Function,), {}).apply(leaf(m, device))


@fails
def no_backward(m, device):
    type("F", (m.autograd.Function,), {"forward": staticmethod(double)}).apply(leaf(m, device)).sum().backward()


@fails
def both_backward_and_vjp(m, device):
    define(m, double, vjp=staticmethod(double)).apply(leaf(m, device)).sum().backward()


@fails
def saving_a_number(m, device):
    define(m, lambda ctx, x: ctx.save_for_backward(3)).apply(leaf(m, device))


@fails
def a_saved_argument_was_written_to(m, device):
    t = leaf(m, device) * 1
    y = cube(m).apply(t)
    t.add_(1)
    y.sum().backward()


@fails
def a_saved_leaf_was_written_to(m, device):
    x = leaf(m, device)
    y = cube(m).apply(x)
    with m.no_grad():
        x.add_(1)
    y.sum().backward()


@fails
def a_saved_result_was_written_to(m, device):
    def forward(ctx, x):
        y = x * 2
        ctx.save_for_backward(y)
        return y

    y = define(m, forward, lambda ctx, g: ctx.saved_tensors[0]).apply(leaf(m, device))
    y.add_(1)
    y.sum().backward()


@fails
def a_second_backward(m, device):
    y = cube(m).apply(leaf(m, device)).sum()
    y.backward()
    y.backward()


@fails
def saved_tensors_after_they_were_freed(m, device):
    y = cube(m).apply(leaf(m, device)).sum()
    node = y.grad_fn.next_functions[0][0]
    y.backward()
    return node.saved_tensors


@fails
def a_write_to_a_leaf(m, device):
    define(m, add_one).apply(leaf(m, device))


@fails
def a_written_argument_that_is_not_returned(m, device):
    def forward(ctx, x):
        ctx.mark_dirty(x)
        return x * 2

    define(m, forward).apply(leaf(m, device) * 1)


@fails
def a_written_view_beside_another_result(m, device):
    def forward(ctx, x):
        x.add_(1)
        ctx.mark_dirty(x)
        return x, x * 2

    define(m, forward).apply((leaf(m, device) * 1)[:2])


@fails
def a_write_to_an_argument_returned_as_it_is(m, device):
    define(m, lambda ctx, x: x).apply(leaf(m, device) * 1).add_(1)


@fails
def a_write_to_a_view_of_an_argument(m, device):
    define(m, lambda ctx, x: x.view(3, 1)).apply(leaf(m, device) * 1).add_(1)


@fails
def a_write_to_one_of_several_views(m, device):
    define(m, lambda ctx, x: (x.view(3, 1), x * 2)).apply(leaf(m, device) * 1)[0].add_(1)


@fails
def differentiating_twice_what_is_once_differentiable(m, device):
    x = leaf(m, device)
    y = define(m, double, m.autograd.function.once_differentiable(lambda ctx, g: g * 2)).apply(x)
    (g,) = m.autograd.grad((y * y).sum(), x, create_graph=True)
    g.sum().backward()


@fails
def an_argument_returned_as_it_is_and_saved_in_setup_context(m, device):
    class F(m.autograd.Function):
        @staticmethod
        def forward(x):
            return x

        @staticmethod
        def setup_context(ctx, inputs, output):
            ctx.save_for_backward(inputs[0])

    F.apply(leaf(m, device))


def test_what_a_custom_function_does_not_hide():
    x = ours([1.0], requires_grad=True)

    class Broken(Function):
        @staticmethod
        def forward(ctx, x):
            return x * 2

        @staticmethod
        def backward(ctx, g):
            raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        Broken.apply(x).backward()
    assert x.grad is None


def test_instances_and_legacy_calls_are_refused():
    class Old(Function):
        def forward(self, x):
            return x

        def backward(self, g):
            return g

    text = re.escape("Old'> should not be instantiated. Methods on autograd functions are all static, so you should")
    with pytest.warns(DeprecationWarning, match=text):
        old = Old()
    with pytest.raises(
        RuntimeError, match="^Legacy autograd function with non-static forward method is deprecated."
    ) as e:
        old(ours([1.0]))
    assert str(e.value).endswith("(Example: https://pytorch.org/docs/stable/autograd.html#torch.autograd.Function)")


def test_marking_dirty_what_is_no_argument_warns():
    class Marks(Function):
        @staticmethod
        def forward(ctx, x):
            y = x * 2
            ctx.mark_dirty(y)
            return y

        @staticmethod
        def backward(ctx, g):
            return g

    with pytest.warns(UserWarning, match=r"^ctx.mark_dirty\(\) received a tensor that was not an input"):
        Marks.apply(ours([1.0], requires_grad=True))


def test_wrong_arguments_of_the_context():
    ctx = Function.__subclasses__()[0]._ctx_class()
    with pytest.raises(TypeError, match="^mark_dirty can only accept variables, but argument 1 is of type int$"):
        ctx.mark_dirty(ours([1.0]), 3)
    with pytest.raises(
        TypeError, match="^mark_non_differentiable only accepts variable arguments, but argument 0 is of"
    ):
        ctx.mark_non_differentiable(None)


def test_a_complex_gradient_of_a_real_argument_is_refused():
    class Complex(Function):
        @staticmethod
        def forward(ctx, x):
            return x * 2

        @staticmethod
        def backward(ctx, g):
            return g * 1j

    with pytest.raises(
        RuntimeError, match="^Function ComplexBackward returned an invalid gradient at index 0 - got a c"
    ):
        Complex.apply(ours([1.0], requires_grad=True)).backward()


def test_names_and_texts_of_nodes():
    y = cube(ag).apply(ours([1.0], requires_grad=True))
    assert re.fullmatch(r"<autograd_gpu.autograd.function.CubeBackward object at 0x[0-9a-f]+>", repr(y.grad_fn))
    assert "saved_tensors" in dir(y.grad_fn)
    assert "needs_input_grad" in dir(y.grad_fn)
    with pytest.raises(AttributeError, match="nothing"):
        y.grad_fn.nothing  # noqa: B018


def test_a_view_whose_base_is_written_to_loses_the_custom_backward_and_says_so():
    class Row(Function):
        @staticmethod
        def forward(ctx, x):
            return x.view(2, 1)

        @staticmethod
        def backward(ctx, g):
            return g.view(2) * 100

    x = ours([1.0, 2.0], requires_grad=True)
    base = x * 1
    row = Row.apply(base)
    base.mul_(2)
    base.sum().backward(retain_graph=True)
    np.testing.assert_array_equal(x.grad.array, [2, 2])
    text = (
        "^Output 0 of Row is a view and its base or another view of its base has been modified inplace. This view was"
    )
    with pytest.raises(RuntimeError, match=text):
        row.sum().backward()
