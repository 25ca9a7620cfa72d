"""Elementwise operations made of a formula, of a function, or of CUDA code: values, derivatives, errors."""

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy.special import j0, j1
from support import TOLERANCE, host, ours

import autograd_gpu as ag
from autograd_gpu.autograd import grad, gradcheck, gradgradcheck
from autograd_gpu.errors import DeviceError, DtypeError, GraphError
from autograd_gpu.op import TABLE

REAL = [  # a formula, and the same in NumPy
    ("x*x + y*sin(x)", lambda x, y: x * x + y * np.sin(x)),
    ("exp(-y * x) / (1 + x**2)", lambda x, y: np.exp(-y * x) / (1 + x**2)),
    ("x**3 - 2**0.5 * y", lambda x, y: x**3 - 2**0.5 * y),
    ("maximum(x, y) - abs(x)", lambda x, y: np.maximum(x, y) - np.abs(x)),
    ("x if x > y else y * y", lambda x, y: np.where(x > y, x, y * y)),
    ("x * log(x) if x > 0 else y", lambda x, y: np.where(x > 0, x * np.log(np.abs(x)), y)),
    ("x % 2 + 0 * y", lambda x, y: np.mod(x, 2) + 0 * y),
    ("(-1 < x < 1 and not y > 0) * tanh(x) + y", lambda x, y: ((x > -1) & (x < 1) & ~(y > 0)) * np.tanh(x) + y),
    ("clamp(x, -1, y) + leaky_relu(y, 0.1)", lambda x, y: np.minimum(np.maximum(x, -1), y) + np.where(y > 0, y, 0.1 * y)),
    ("pi * x - y // 2", lambda x, y: np.pi * x - y // 2),
]  # fmt: skip
COMPLEX = [
    ("abs(z)**2 * z", lambda z, w: abs(z) ** 2 * z),
    ("exp(1j * z) * w", lambda z, w: np.exp(1j * z) * w),
    ("z / w + conj(z)", lambda z, w: z / w + np.conj(z)),
    ("abs(z) * 2", lambda z, w: abs(z) * 2),
    ("abs(z) if abs(z) > 1 else w", lambda z, w: np.where(abs(z) > 1, abs(z), w)),
    ("imag(z * w)**2 + real(z)", lambda z, w: (z * w).imag ** 2 + z.real),
    ("complex(real(z), imag(w)) + (1 + 2j) * abs(w)", lambda z, w: z.real + 1j * w.imag + (1 + 2j) * abs(w)),
    ("2 * abs(z)**3 / 2j", lambda z, w: abs(z) ** 3 / 1j),
]
both = pytest.mark.parametrize(("text", "function"), REAL, ids=[text for text, _ in REAL])


def points(rng, shape=(3, 4), *, is_complex=False):
    """Numbers away from the edges of the formulas, which lie at 0, 1 and -1."""
    values = rng.uniform(0.1, 0.9, shape) + rng.integers(-2, 2, shape)
    return values + 1j * points(rng, shape) if is_complex else values


@both
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_values_are_numpys(text, function, dtype, device, rng):
    x, y = points(rng).astype(dtype), points(rng, (4,)).astype(dtype)
    result = ag.elementwise(text, operands="x, y")(ours(x, device), ours(y, device))
    rtol, atol = TOLERANCE[np.dtype(dtype).name]
    assert result.dtype.numpy == dtype
    assert_allclose(host(result), function(x.astype(float), y.astype(float)), rtol=rtol, atol=atol)


@both
def test_derivatives_of_first_and_second_order(text, function, device, rng):
    op = ag.elementwise(text, operands="x, y")
    operands = [ours(a, device, requires_grad=True) for a in (points(rng, (2, 3)), points(rng, (3,)))]
    assert gradcheck(op, operands)
    assert gradgradcheck(op, operands)


@pytest.mark.parametrize(("text", "function"), COMPLEX, ids=[text for text, _ in COMPLEX])
def test_complex_numbers(text, function, device, rng):
    op = ag.elementwise(text)
    arrays = points(rng, (2, 3), is_complex=True), points(rng, (3,), is_complex=True)
    operands = [ours(a, device, requires_grad=True) for a in arrays[: op.arity]]
    assert_allclose(host(op(*operands)), function(*arrays))
    assert gradcheck(op, operands)
    assert gradgradcheck(op, operands)
    for mixed in ([ours(arrays[0].real, device, requires_grad=True), *operands[1:]], operands[:1] * op.arity):
        assert gradcheck(op, mixed)


def test_float16_gradients_are_computed_in_float32(device, rng):
    op = ag.elementwise("exp(x) - exp(x - y)", operands="x, y")
    arrays = [rng.uniform(0, 1, 5).astype(np.float16) for _ in range(2)]
    x, y = (ours(a, device, requires_grad=True) for a in arrays)
    found = grad(op(x, y).sum(), (x, y))
    a, b = (array.astype(float) for array in arrays)
    for mine, expected in zip(found, (np.exp(a) - np.exp(a - b), np.exp(a - b)), strict=True):
        assert mine.dtype is ag.float16
        assert_allclose(host(mine), expected, atol=6e-4, rtol=6e-4)


def test_integers_and_truth_values_are_computed_in_floating_point(device):
    square = ag.elementwise("x * x")
    assert square(ag.tensor([2, 3], device=device)).tolist() == [4.0, 9.0]
    positive = ag.elementwise("x > 0")(ag.tensor([-1.0, 2.0], device=device))
    assert positive.dtype is ag.float32
    assert positive.tolist() == [0.0, 1.0]
    chosen = ag.elementwise("a if mask else b")(
        *(ag.tensor(v, device=device) for v in ([1.0, 2.0], [True, False], [3.0, 4.0]))
    )
    assert chosen.tolist() == [1.0, 4.0]


def test_operands_come_as_they_appear_or_as_named():
    assert ag.elementwise("a * exp(-b * t)").operands == ("a", "b", "t")
    decay = ag.elementwise("a * exp(-b * t)", operands="t, a, b")
    assert decay(ag.tensor(0.0), 3, 2).item() == 3
    assert decay(b=2, a=3, t=ag.tensor(0.0)).item() == 3
    with pytest.raises(TypeError, match=r"neg_mul_exp\(t, a, b\): missing a required argument"):
        decay(ag.tensor(0.0))


def test_numbers_and_arrays_are_operands_too(device):
    op = ag.elementwise("x - y", name="minus")
    assert op(ag.tensor([1.0], device=device), 2).tolist() == [-1.0]
    assert op(ours(np.ones(2), device).array, 3.0).tolist() == [-2, -2]


@pytest.mark.parametrize("x", [0.0, -1.0])
def test_a_branch_that_is_not_taken_has_no_part_in_any_derivative(x, device):
    op = ag.elementwise("x * log(x) + sqrt(x) if x > 0 else x * x")
    point = ag.tensor(x, device=device, requires_grad=True)
    (first,) = grad(op(point), point, create_graph=True)
    (second,) = grad(first, point)
    assert (first.item(), second.item()) == (2 * x, 2.0)


def test_nor_has_it_in_cotangents_of_complex_numbers(device):
    op = ag.elementwise("2 * log(abs(z)) if abs(z) > 0 else w")
    z, w = (ag.tensor(v, device=device, requires_grad=True) for v in ([0j, 2j], [1 + 1j, 1j]))
    found = grad(op(z, w).real.sum(), (z, w))
    assert [part.tolist() for part in found] == [[0, 1j], [1, 0]]


def test_nor_inside_a_fused_function(device):
    op = ag.elementwise("3 * sqrt(x) if x > 0 else 0")
    x = ag.tensor([0.0, 1.0, 4.0], device=device, requires_grad=True)
    for f in (op, ag.fuse(lambda x: op(x) * 2 / 2)):
        assert grad(f(x).sum(), x)[0].tolist() == [0, 1.5, 0.75]


def test_choices_by_one_condition_stay_one_choice():
    op = ag.elementwise("4*e*((s/r)**12 - (s/r)**6) if r < c else 0")
    assert all(line.count("if") <= 1 for line in op.__doc__.splitlines())


def test_nodes_and_texts_show_what_is_computed():
    damped = ag.elementwise("x**2 + y*sin(x)", name="damped_wave")
    assert repr(damped) == "<elementwise damped_wave(x, y) = x ** 2 + y * sin(x)>"
    assert "d/dx = y * cos(x) + 2 * x\n    d/dy = sin(x)" in damped.__doc__
    result = damped(ag.tensor(1.0, requires_grad=True), 2)
    assert result.grad_fn.name() == "DampedWaveBackward0"
    assert ag.elementwise("x*sin(x)").node == "SinMulBackward0"
    assert "d x = -(1j * (g * conj(exp(1j * x))))" in ag.elementwise("exp(1j*x)").__doc__
    assert "damped_wave" not in TABLE


def test_only_what_the_derivatives_read_is_saved():
    x, y = ag.ones(3, requires_grad=True), ag.ones(3)
    node = ag.elementwise("x * y + sin(y)")(x, y).grad_fn
    assert [value is None for value in node.saved] == [True, False, True]


# --- functions ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "function",
    [
        lambda x, y: x * x + y * ag.sin(x),
        lambda x, y: ag.add(ag.pow(x, 2), ag.mul(y, x.sin())),
        lambda x, y: ag.where(x > 5, 0, x**2 + y * ag.sin(x)) * (x < 5),
        lambda x, y: ag.elementwise("a * b")(x, x) + y * TABLE.sin(x),
        lambda x, y: np.float64(1) * x**2 + (np.float32(1) * x).sin() * +y,
        lambda x, y: (
            ag.where(~(x > 5) & (y != 9), x.square().multiply(y // 1 + 1), 0) - x * x * (y // 1) + y * ag.sin(x)
        ),
        lambda x, y: ag.fuse(lambda a, b: a * a + b)(x, y * x.sin()),
    ],
)
def test_a_function_of_elementwise_operations_is_a_formula(function, device, rng):
    op = ag.elementwise(function)
    a, b = points(rng), points(rng)
    x, y = ours(a, device, requires_grad=True), ours(b, device)
    result = op(x, y)
    assert_allclose(host(result), a * a + b * np.sin(a))
    assert_allclose(host(grad(result.sum(), x)[0]), 2 * a + b * np.cos(a))


def test_elementwise_is_a_decorator():
    @ag.elementwise
    def soft_step(x, width):
        return 1 / (1 + ag.exp(-x / width))

    assert repr(soft_step) == "<elementwise soft_step(x, width) = 1 / (1 + exp(-x / width))>"
    assert soft_step(ag.tensor(0.0), width=0.1).item() == 0.5


def test_long_formulas_need_no_stack_and_share_what_is_equal():
    def grown(x):
        for _ in range(400):
            x = ag.sin(x) * 0.5 + x * 0.5  # 2**400 paths
        return x

    op = ag.elementwise(grown)
    assert "operations" in repr(op)
    assert grown(ag.tensor(1.0)).item() == pytest.approx(op(ag.tensor(1.0)).item(), rel=1e-5)


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (lambda x: 1 if x > 0 else 0, r"is no formula: it asks for the value of a tensor; where\(condition, a, b\)"),
        (lambda x: x * ag.ones(2), r"mul\(\) takes a tensor from outside of the function: make it an argument"),
        (lambda x: x * 1j, r"mul\(\) takes a complex number"),
        (lambda x: x.sum(), r"it calls sum_all\(\)"),
        (lambda x: x.T, r"it asks for \.T of a tensor\.\nAt .*test_custom.py:\d+: .*\nA formula is made of"),
        (lambda x: x[0], "it takes a part of a tensor"),
        (lambda x: (x, x), "must return one formula, got a tuple"),
        (lambda x: None, "must return one formula, got a NoneType"),
        (lambda *x: x[0], "operands are plain positional arguments"),
        (lambda x: ag.exp(x, out=ag.ones(1)), r"exp\(\) writes to a tensor, with out="),
        (lambda x: x << 2, "bitwise_left_shift takes integers alone"),
        (lambda x: np.sin(x) + 1, "does not support ufuncs"),
        (lambda x: x + "1", r"add\(\): argument 'other' \(position 2\) must be Tensor, not str"),
    ],
)
def test_what_a_function_cannot_do(function, message):
    with pytest.raises(TypeError, match=message):
        ag.elementwise(function)


def test_operands_of_two_functions_do_not_mix():
    with pytest.raises(TypeError, match="takes a tensor from outside of the function: make it an argument"):
        ag.fuse(lambda x: ag.elementwise(lambda y: y * x)(x))(ag.ones(2))


# --- texts that are no formulas -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "message", "column"),
    [
        ("x^2", "a power is written **", 0),
        ("1 + x @ y", "a formula is elementwise", 4),
        ("2 * sine(x)", "no elementwise operation is called 'sine'; did you mean sin or sinh or sinc?", 4),
        ("x + sum(x)", "no elementwise operation is called 'sum'", 4),
        ("sin(x, y)", "sin(input) takes 1 operands, got 2", 0),
        ("x + round_to(y, x)", "decimals must be a number", 4),
        ("x + 1j", "a complex number may only be a factor", 0),
        ("x.real", "but not this", 0),
        ("x +", "not a formula: invalid syntax", 3),
        ("é * foo[0]", "but not this", 4),
    ],
)
def test_texts_that_are_no_formula(text, message, column):
    with pytest.raises(ValueError, match="\n    ") as error:
        ag.elementwise(text)
    said, shown, marker = str(error.value).split("\n")
    assert message in said
    assert shown.strip() == text
    assert marker.index("^") == 4 + column


def test_other_errors():
    with pytest.raises(ValueError, match="'z' is not among the operands, which are x, y"):
        ag.elementwise("x + z", operands="x, y")
    with pytest.raises(ValueError, match="different names"):
        ag.elementwise("x", operands="x, x")
    with pytest.raises(ValueError, match="the formula is a number"):
        ag.elementwise("1 + pi")
    with pytest.raises(TypeError, match="one of the two"):
        ag.elementwise()
    with pytest.raises(TypeError, match="a formula needs none of them"):
        ag.elementwise("x", numpy=np.sin)
    with pytest.raises(DtypeError, match="gt does not take complex numbers: take real"):
        ag.elementwise("1j * x if x > 0 else x")
    with pytest.raises(DtypeError, match="step: gt does not take complex numbers"):
        ag.elementwise("x if x > 0 else 0", name="step")(ag.ones(2, dtype=ag.complex64))
    with pytest.raises(GraphError, match="has an operation that has none"):
        ag.elementwise("heaviside(x, 1) * x")(ag.ones(2, requires_grad=True)).sum().backward()


# --- CUDA code ------------------------------------------------------------------------------------


def bessel(**more):
    first = ag.elementwise(cuda="j1(x)", operands="x", numpy=j1, name="bessel1")
    return ag.elementwise(
        cuda="scale * j0(x)", operands="scale, x", numpy=lambda s, x: s * j0(x), name="bessel0",
        partials=[lambda s, x: ag.elementwise(cuda="j0(x)", operands="x", numpy=j0)(x), lambda s, x: -s * first(x)],
    )  # fmt: skip


def test_cuda_code_with_derivatives_by_hand(device, rng):
    op = bessel()
    a, b = points(rng, (2, 3)), points(rng, (3,))
    s, x = ours(a, device, requires_grad=True), ours(b, device, requires_grad=True)
    assert_allclose(host(op(s, x)), a * j0(b))
    assert gradcheck(op, (s, x))
    half = op(s.detach().half(), x.detach().half())
    assert half.dtype is ag.float16
    assert_allclose(host(half), a * j0(b), rtol=5e-3, atol=5e-3)


def test_cuda_code_with_texts_as_derivatives_has_every_order(device, rng):
    op = ag.elementwise(
        cuda="quadratic(x, y)", operands="x, y", numpy=lambda x, y: x * x * y, partials=["2*x*y", "x**2"],
        preamble="template <class T> __device__ T quadratic(T x, T y) { return x * x * y; }",
    )  # fmt: skip
    operands = [ours(points(rng), device, requires_grad=True) for _ in range(2)]
    assert gradcheck(op, operands)
    assert gradgradcheck(op, operands)


def test_what_cuda_code_lacks(device):
    x = ag.ones(2, device=device, requires_grad=True)
    with pytest.raises(
        GraphError, match=r"bessel1\(\) has no derivative: j1\(x\) is CUDA code, give elementwise\(\) partials="
    ):
        ag.elementwise(cuda="j1(x)", operands="x", numpy=j1, name="bessel1")(x).sum().backward()
    with pytest.raises(DeviceError, match=r"alone: move its operands with .cuda\(\), or give elementwise\(\) numpy="):
        ag.elementwise(cuda="j1(x)", operands="x")(ag.ones(2))
    with pytest.raises(DtypeError, match="CUDA code is of real numbers"):
        ag.elementwise(cuda="j1(x)", operands="x", numpy=j1)(x.detach() * 1j)
    with pytest.raises(TypeError, match="needs operands="):
        ag.elementwise(cuda="x")
    with pytest.raises(ValueError, match="for each of x, y, got 1"):
        ag.elementwise(cuda="x", operands="x, y", partials=["1"])
    with pytest.raises(TypeError, match="a function in partials= takes x, y, got x"):
        ag.elementwise(cuda="x", operands="x, y", partials=["1", lambda x: x])


@pytest.mark.gpu
@pytest.mark.parametrize("op", [ag.elementwise("exp(-x*x) * sin(y) + x"), bessel()], ids=["formula", "CUDA"])
def test_one_kernel_forward_and_one_backward(op, rng):
    cudasim = pytest.importorskip("cudasim")
    x, y = (ours(points(rng).astype(np.float32), "cuda", requires_grad=True) for _ in range(2))
    g = ag.ones(3, 4, device="cuda")
    for _ in range(2):
        with cudasim.trace() as forward:
            result = op(x, y)
        with cudasim.trace() as backward:
            result.backward(g)
        x.grad = y.grad = None
    assert (forward.launches, backward.launches) == (1, 1)


@pytest.mark.gpu
def test_the_backward_pass_fuses_with_what_is_around(rng):
    cudasim = pytest.importorskip("cudasim")
    op = ag.elementwise("exp(-x*x) * sin(y) + x")
    x, y = (ours(points(rng).astype(np.float32), "cuda", requires_grad=True) for _ in range(2))
    result, g = ag.tanh(op(x * 2, y)) * 3, ag.ones(3, 4, device="cuda")
    with cudasim.trace() as trace:
        result.backward(g)
    assert trace.launches == 1
