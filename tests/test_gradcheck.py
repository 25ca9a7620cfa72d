"""gradcheck and gradgradcheck: what passes, what fails and with which words, as in torch."""

import re

import numpy as np
import pytest
from programs import message
from support import ours

import autograd_gpu as ag
from autograd_gpu import autograd
from autograd_gpu.autograd import GradcheckError, gradcheck, gradgradcheck


def wrong(m):
    """The square, with a gradient that is twice what it should be."""

    class Wrong(m.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x)
            return x * x

        @staticmethod
        def backward(ctx, g):
            (x,) = ctx.saved_tensors
            return g * x * 4

    return Wrong


FUNCTIONS = {
    "square": lambda m, x, y: x * x,
    "product": lambda m, x, y: x * y,
    "two results": lambda m, x, y: (x * y, (x + y).sin()),
    "one result without gradient": lambda m, x, y: (x.exp(), (x * y).detach()),
    "an unused input": lambda m, x, y: x.tanh(),
    "sum": lambda m, x, y: (x * x * y).sum(),
    "reused": lambda m, x, y: x.exp() * x.sin() + x,
    "view and write": lambda m, x, y: (x * 1).t().mul_(y.t()),
}


@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.parametrize("kind", ["float64", "complex128"])
def test_right_gradients_pass(name, kind, device, rng):
    def make():
        values = rng.uniform(0.5, 1.5, (2, 3))
        if kind == "complex128":
            values = values + 1j * rng.uniform(0.5, 1.5, (2, 3))
        return ours(values, device, requires_grad=True)

    x, y = make(), make()
    before = x.tolist()
    function = FUNCTIONS[name]
    assert gradcheck(lambda x, y: function(ag, x, y), (x, y))
    assert x.tolist() == before, "inputs are put back"
    if device == "cpu":
        assert gradgradcheck(lambda x, y: function(ag, x, y), (x, y))


def test_more_inputs():
    x = ours(np.arange(1.0, 3.0), requires_grad=True)
    assert gradcheck(lambda x, n, y: x**n * y, (x, 3, ours(2.0)))
    assert gradcheck(lambda x: x * x, x)
    assert gradcheck(lambda x: x * x, [x])
    assert gradcheck(lambda x: (x * x).sum(), ours(np.ones((0, 2)), requires_grad=True))
    assert gradcheck(lambda x: x * x, ours(np.ones((3, 4)).T[::2], requires_grad=True))
    assert gradgradcheck(lambda x: x * x * x, x, ours([1.0, 2.0], requires_grad=True))
    assert gradgradcheck(lambda x: x * x * x, x, gen_non_contig_grad_outputs=True)


def both(program):
    torch = pytest.importorskip("torch")
    from torch.autograd.gradcheck import GradcheckError as TorchsError

    with pytest.raises(TorchsError) as torchs:
        program(torch)
    with pytest.raises(GradcheckError) as mine:
        program(ag)
    return message(mine.value), message(torchs.value)


def test_a_wrong_gradient_is_shown_as_torch_shows_it():
    def program(m):
        x = m.tensor([1.0, 2.0], dtype=m.float64, requires_grad=True)
        m.autograd.gradcheck(wrong(m).apply, (x,))

    mine, torchs = both(program)

    def numbers(text):
        return np.array([float(number) for number in re.findall(r"-?\d+\.\d+(?:e[+-]\d+)?", text)])

    assert mine.startswith(
        "Jacobian mismatch for output 0 with respect to input 0,\nnumerical:tensor([[2.0000, 0.0000],"
    )
    assert "\nanalytical:tensor([[4., 0.],\n" in mine
    assert re.sub(r"[\d.]+", "#", mine) == re.sub(r"[\d.]+", "#", torchs)
    np.testing.assert_allclose(numbers(mine), numbers(torchs), atol=1e-4)


@pytest.mark.parametrize("part", ["real", "imaginary"])
def test_a_wrong_complex_gradient_is_shown_as_torch_shows_it(part):
    def program(m):
        class Wrong(m.autograd.Function):
            @staticmethod
            def forward(ctx, x):
                return x * 2

            @staticmethod
            def backward(ctx, g):
                return m.complex(g.real * (3 if part == "real" else 2), g.imag * (2 if part == "real" else 3))

        x = m.tensor([1.0 + 1j], dtype=m.complex128, requires_grad=True)
        m.autograd.gradcheck(Wrong.apply, (x,))

    mine, torchs = both(program)
    head = re.compile(
        r"^While considering the (real|imaginary) part of complex outputs only, Jacobian mismatch for output 0"
    )
    assert head.match(mine)[0] == head.match(torchs)[0]


def test_the_wrong_one_of_several_is_named():
    x, y = (ours([1.0, 2.0], requires_grad=True) for _ in range(2))
    right = lambda x, y: (x * y, wrong(ag).apply(y) + x)  # noqa: E731
    with pytest.raises(GradcheckError, match="^Jacobian mismatch for output 1 with respect to input 1,\nnumerical:"):
        gradcheck(right, (x, y))
    assert not gradcheck(right, (x, y), raise_exception=False)
    assert gradcheck(right, (x, y), atol=10)


def test_a_wrong_second_derivative_fails():
    class Half(autograd.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x)
            return x * x * x

        @staticmethod
        def backward(ctx, g):
            (x,) = ctx.saved_tensors
            return g * 3 * x * x.detach()

    x = ours([1.0, 2.0], requires_grad=True)
    assert gradcheck(Half.apply, x)
    with pytest.raises(GradcheckError, match="^Jacobian mismatch for output 0 with respect to input 0,"):
        gradgradcheck(Half.apply, x)
    assert not gradgradcheck(Half.apply, x, raise_exception=False)


def test_a_result_that_depends_but_has_no_gradient_fails():
    x = ours([1.0, 2.0], requires_grad=True)
    with pytest.raises(GradcheckError, match="^Numerical gradient for function expected to be zero$"):
        gradcheck(lambda x: x.detach() * 2, x)
    assert gradcheck(lambda x: ag.zeros(2, dtype=ag.float64), x)


def test_a_backward_that_changes_its_mind_fails():
    calls = []

    class Moody(autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x * 2

        @staticmethod
        def backward(ctx, g):
            calls.append(1)
            return g * (2 + 1e-9 * len(calls))

    with pytest.raises(
        GradcheckError, match="^Backward is not reentrant, i.e., running backward with same input and grad"
    ):
        gradcheck(Moody.apply, ours([1.0], requires_grad=True))
    assert gradcheck(Moody.apply, ours([1.0], requires_grad=True), nondet_tol=1e-6)


def test_errors_of_a_backward_pass_through():
    class Picky(autograd.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.set_materialize_grads(False)
            return x * 2, x * 3

        @staticmethod
        def backward(ctx, a, b):
            if a is None or b is None:
                raise RuntimeError("both, please")
            return a * 2 + b * 3

    def both_wanted(x):
        a, b = Picky.apply(x)
        return a + 0 * b, b + 0 * a

    x = ours([1.0], requires_grad=True)
    assert gradcheck(both_wanted, x)
    with pytest.raises(RuntimeError, match="^both, please$"):
        gradcheck(Picky.apply, x)


def test_a_backward_that_adds_a_constant_fails():
    class Adds(autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x * 2

        @staticmethod
        def backward(ctx, g):
            return g * 2 + 1e-6

    x = ours([1.0], requires_grad=True)
    with pytest.raises(GradcheckError, match="^backward not multiplied by grad_output$"):
        gradcheck(Adds.apply, x)
    assert not gradcheck(Adds.apply, x, raise_exception=False)


def test_bad_inputs():
    text = (
        "^Input #1 requires gradient and is not a double precision floating point or complex. This check will likely fail "
        "if all the inputs are not of double precision floating point or complex. $"
    )
    x = ours(np.ones(2, np.float32), requires_grad=True)
    with pytest.warns(UserWarning, match=text):
        gradcheck(lambda n, x: x * 2.0, (1, x), eps=1e-2)
    with pytest.raises(
        ValueError, match="^gradcheck expects at least one input tensor to require gradient, but none of"
    ):
        gradcheck(lambda x: x, ours([1.0]))
    wide = ours([1.0]).expand(3).detach().requires_grad_()
    with pytest.raises(
        RuntimeError, match="^The 0th input has a dimension with stride 0. gradcheck only supports inputs"
    ):
        gradcheck(lambda x: x * 2, wide)
    with pytest.raises(
        AssertionError, match="^Expected at least one of check_forward_ad or check_backward_ad to be True$"
    ):
        gradcheck(lambda x: x, ours([1.0], requires_grad=True), check_backward_ad=False)
    for option in ("check_forward_ad", "check_batched_grad", "check_batched_forward_grad"):
        with pytest.raises(ag.errors.Unsupported, match=rf"^gradcheck\({option}=True\) needs"):
            gradcheck(lambda x: x, ours([1.0], requires_grad=True), **{option: True})


def test_errors_of_the_function_pass_through():
    x = ours([1.0, 2.0], requires_grad=True)
    with pytest.raises(RuntimeError) as error:
        gradcheck(lambda x: x * ours([1.0, 2.0, 3.0]), x)
    assert message(error.value).startswith("The size of tensor a (2) must match the size of tensor b (3)")
