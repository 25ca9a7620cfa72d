"""Every elementwise row of the table: values, gradients and second gradients, against PyTorch and quotients."""

from typing import Any

import numpy as np
import pytest
from elementwise import (
    DIFFERENTIABLE,
    NOT_IN_TORCH,
    OPS,
    cotangent,
    differentiable,
    ids,
    sample,
    taken,
    tensors,
    torch_function,
)  # fmt: skip
from numpy.testing import assert_allclose, assert_array_equal
from support import assert_same, difference_quotient, host, ours, theirs

import autograd_gpu as ag
from autograd_gpu import backends
from autograd_gpu.op import Op
from autograd_gpu.tensor import wrap

Generator = np.random.Generator
CUDA_MISSING = backends.why_no_cuda()
FLOATS = ("float32", "float64", "complex64", "complex128", "float16", "bfloat16")


def cases(*dtypes: str) -> list[Any]:
    return [pytest.param(op, dtype, id=f"{op.name}-{dtype}") for op in OPS for dtype in taken(op, *dtypes)]


# --- against torch --------------------------------------------------------------------------------


@pytest.mark.parametrize(("op", "dtype"), cases(*FLOATS, "int64", "uint8", "bool"))
def test_values_and_gradients_are_those_of_torch(op: Op, dtype: str, rng: Generator) -> None:
    torch = pytest.importorskip("torch")
    if (op.name, dtype) in NOT_IN_TORCH:
        pytest.skip(f"torch does not have {NOT_IN_TORCH[op.name, dtype]}")
    operands = sample(op, rng, dtype, (3, 4))
    recorded = differentiable(op, operands)
    mine, torchs = tensors(ours, operands, recorded), tensors(theirs, operands, recorded)
    y, expected = op(*mine), torch_function(op)(*torchs)
    assert_same(y, expected, what=op.name)
    assert y.requires_grad == expected.requires_grad or op.name == "imag"
    if not expected.requires_grad or op.partials is NotImplemented:
        return
    loose = 100 if (op.name, dtype) == ("hardsigmoid", "float64") else 1  # torch's 1/6 there is a float32
    g = cotangent(rng, y)
    inputs, theirs_inputs = [mine[i] for i in recorded], [torchs[i] for i in recorded]
    first = ag.autograd.grad(y, inputs, ours(g), create_graph=True)
    wanted = torch.autograd.grad(expected, theirs_inputs, theirs(g), create_graph=True)
    for i, a, b in zip(recorded, first, wanted, strict=True):
        assert_same(a, b, scale=4 * loose, what=f"{op.name}, gradient {i}")
    unrecorded = ag.autograd.grad(op(*mine), inputs, ours(g))
    for i, a, b in zip(recorded, unrecorded, wanted, strict=True):
        assert_same(a, b, scale=4 * loose, what=f"{op.name}, gradient {i} without a graph")
    if any(b.requires_grad for b in wanted) and op.name != "hardsigmoid":  # torch has no second one
        compare_second(op, first, wanted, inputs, theirs_inputs)


def compare_second(op: Op, first: Any, wanted: Any, inputs: list[Any], theirs_inputs: list[Any]) -> None:
    """The gradients of the sum of the gradients' sizes are torch's."""
    import torch

    pairs = [(a, b) for a, b in zip(first, wanted, strict=True) if b.requires_grad]
    recorded = any(a.requires_grad for a, _ in pairs)  # torch records second gradients that are always 0, too
    total = sum((abs(a) if a.dtype.is_complex else a).sum() for a, _ in pairs)
    their_total = sum((abs(b) if b.is_complex() else b).sum() for _, b in pairs)
    second = ag.autograd.grad(total, inputs, materialize_grads=True) if recorded else map(ag.zeros_like, inputs)
    expected = torch.autograd.grad(their_total, theirs_inputs, materialize_grads=True)
    for a, b in zip(second, expected, strict=True):
        assert_same(a, b, scale=20, what=f"{op.name}, second gradient")


SPECIAL = np.array(
    [np.nan, np.inf, -np.inf, 0.0, -0.0, 1.0, -1.0, 0.5, -0.5, 2.5, -2.5, 3.0, -3.0, 6.0, 20.0, -100.0, 1e-40, 1e30]
)
# Where torch's own kernels disagree with each other or with mathematics, at these operands.
UNLIKE_TORCH = {
    "logaddexp2": {-1.0},  # 0 is right, torch is 1e-8 off
    "logit": {-0.0},  # torch has inf or -inf, depending on the length
    "clamped_logit": {np.nan},  # the gradient is nan or 0, depending on the dtype
    "digamma": {-np.inf, -1.0, -3.0, -100.0},  # the gradient at poles is inf, torch has large numbers
    "polygamma": {np.inf, -np.inf, -1.0, -3.0, -100.0},  # the same
    "elu": {np.nan}, "selu": {np.nan}, "celu": {np.nan}, "hardswish": {np.nan},  # as clamped_logit
    "fmod": {1e-40}, "remainder": {1e-40},  # torch has nan for tiny float32 divisors
    "gelu": {np.inf, -3.0},  # inf is right, torch has nan; torch is 1e-7 off near -3
}  # fmt: skip


def special_operands(op: Op, dtype: str, special: np.ndarray = SPECIAL) -> list[Any]:
    """Every combination of special values, one axis long."""
    places = [i for i in range(op.arity) if i not in op.numbers]
    values = special if len(places) < 3 else special[:7]
    choices = [np.array([False, True]) if i in op.conditions else values.astype(dtype) for i in places]
    grids = iter([grid.ravel() for grid in np.meshgrid(*choices, indexing="ij")])
    like = sample(op, np.random.default_rng(0), dtype, ())
    return [next(grids) if i in places else like[i] for i in range(op.arity)]


@pytest.mark.filterwarnings("ignore:overflow encountered in cast")
@pytest.mark.parametrize(("op", "dtype"), cases("float32", "float64"))
def test_special_values_are_treated_as_torch_does(op: Op, dtype: str) -> None:
    torch = pytest.importorskip("torch")
    operands = special_operands(op, dtype)
    recorded = differentiable(op, operands)
    mine, torchs = tensors(ours, operands, recorded), tensors(theirs, operands, recorded)
    y, expected = op(*mine), torch_function(op)(*torchs)
    left_out = UNLIKE_TORCH.get(op.name, set())
    arrays = [x for x in operands if isinstance(x, np.ndarray) and x.dtype.kind == "f"]
    compared = ~np.any([same(x, v) for x in arrays for v in left_out] or [np.zeros(y.shape, bool)], axis=0)

    def compare(a: Any, b: Any, what: str) -> None:
        tight = {"rtol": 1e-4, "atol": 1e-37} if dtype == "float32" else {"rtol": 1e-7, "atol": 1e-300}
        assert_allclose(host(a)[compared], host(b)[compared], **tight, err_msg=f"{op.name}: {what}")

    compare(y, expected, "value")
    if expected.requires_grad and op.partials is not NotImplemented:
        g = np.full(y.shape, 1.5, y.dtype.numpy)
        inputs, theirs_inputs = [mine[i] for i in recorded], [torchs[i] for i in recorded]
        first = ag.autograd.grad(y, inputs, ours(g))
        for i, a, b in zip(recorded, first, torch.autograd.grad(expected, theirs_inputs, theirs(g)), strict=True):
            compare(a, b, f"gradient {i}")


def same(x: np.ndarray, value: float) -> np.ndarray:
    """Where ``x`` is ``value``, with its sign if it is 0, or nan if it is."""
    value = x.dtype.type(value)
    return (x == value) & (np.signbit(x) == np.signbit(value)) | (np.isnan(x) & np.isnan(value))


LAYOUTS = {
    "0-d": lambda x: x[1:2, 2].reshape(()),
    "empty": lambda x: x[:0],
    "transposed": lambda x: x.T,
    "strided": lambda x: x[::2, 1::2],
    "reversed": lambda x: x[::-1, ::-1],
}


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("op", OPS, ids=ids(OPS))
def test_layouts_make_no_difference(op: Op, layout: str, rng: Generator) -> None:
    dtype = taken(op, "float32", "complex64", "int64")[0]
    operands = [LAYOUTS[layout](x) if isinstance(x, np.ndarray) else x for x in sample(op, rng, dtype, (4, 6))]
    plain = [np.array(x, order="C") if isinstance(x, np.ndarray) else x for x in operands]
    recorded = differentiable(op, operands)

    def run(operands: list[Any]) -> list[Any]:
        leaves = tensors(keep_layout, operands, recorded)
        y = op(*leaves)
        if not y.requires_grad or op.partials is NotImplemented:
            return [y]
        g = keep_layout(cotangent(np.random.default_rng(1), y))
        return [y, *ag.autograd.grad(y, [leaves[i] for i in recorded], g)]

    for a, b in zip(run(operands), run(plain), strict=True):
        assert isinstance(a.array, np.ndarray)
        assert a.shape == b.shape
        assert_allclose(host(a), host(b), rtol=1e-5, atol=1e-6)


def keep_layout(x: np.ndarray, *, requires_grad: bool = False) -> Any:
    """``x`` as a Tensor on its very memory."""
    tensor = wrap(x)
    tensor.requires_grad = requires_grad
    return tensor


# --- against difference quotients -----------------------------------------------------------------

BROADCAST = {
    "equal": [(3, 4)],
    "0-d": [()],
    "first grows": [(4,), (3, 1), (3, 4)],
    "last grows": [(3, 4), (1, 4), ()],
    "both grow": [(3, 1), (1, 4), (3, 4)],
}


@pytest.mark.parametrize("shapes", BROADCAST.values(), ids=BROADCAST)
@pytest.mark.parametrize("op", DIFFERENTIABLE, ids=ids(DIFFERENTIABLE))
def test_the_vjp_agrees_with_a_difference_quotient(op: Op, shapes: list[tuple[int, ...]], rng: Generator) -> None:
    if not taken(op, "float64"):
        pytest.skip("takes no real numbers")
    operands = sample(op, rng, "float64", *shapes)
    recorded = differentiable(op, operands)

    def function(*leaves: Any) -> Any:
        given = list(operands)
        for i, leaf in zip(recorded, leaves, strict=True):
            given[i] = leaf
        return op(*(ours(x) if isinstance(x, np.ndarray) else x for x in given))

    arrays = [operands[i] for i in recorded]
    directions = [rng.standard_normal(x.shape) for x in arrays]
    leaves = [ours(x, requires_grad=True) for x in arrays]
    y = function(*leaves)
    g = cotangent(rng, y)
    along = sum((host(p) * v).sum() for p, v in zip(ag.autograd.grad(y, leaves, ours(g)), directions, strict=True))
    numeric = (g * difference_quotient(function, arrays, directions).conj()).sum().real
    assert_allclose(along, numeric, rtol=1e-6, atol=1e-7)


# --- on the device --------------------------------------------------------------------------------

on_the_device = [
    pytest.mark.gpu,
    pytest.mark.skipif(CUDA_MISSING is not None, reason=str(CUDA_MISSING)),
]


def gpu(test: Any) -> Any:
    for mark in on_the_device:
        test = mark(test)
    return test


def run_on(device: str, op: Op, operands: list[Any], seed: int) -> list[Any]:
    """The value and the gradients of ``op``."""
    recorded = differentiable(op, operands)
    leaves = tensors(ours, operands, recorded, device)
    y = op(*leaves)
    if not y.requires_grad or op.partials is NotImplemented:
        return [y]
    g = ours(cotangent(np.random.default_rng(seed), y), device)
    return [y, *ag.autograd.grad(y, [leaves[i] for i in recorded], g)]


def assert_close_on_devices(op: Op, operands: list[Any]) -> None:
    for a, b in zip(run_on("cuda", op, operands, 1), run_on("cpu", op, operands, 1), strict=True):
        assert a.dtype is b.dtype
        assert a.shape == b.shape
        assert_allclose(host(a), host(b), rtol=1e-4, atol=1e-5, err_msg=op.name)


@gpu
@pytest.mark.filterwarnings("ignore:overflow encountered in cast")
@pytest.mark.parametrize(("op", "dtype"), cases("float32"))
def test_cupy_computes_what_numpy_does_special_values_included(op: Op, dtype: str, rng: Generator) -> None:
    normal = SPECIAL[SPECIAL != 1e-40]  # CuPy compiles with -ftz=true: kernels take tiny float32 numbers as 0
    special, usual = special_operands(op, dtype, normal), sample(op, rng, dtype, (50,))
    both = [np.append(x, y) if isinstance(x, np.ndarray) else x for x, y in zip(special, usual, strict=True)]
    assert_close_on_devices(op, both)


@gpu
@pytest.mark.parametrize(("op", "dtype"), cases("complex64"))
def test_cupy_computes_complex_numbers_and_broadcasts_as_numpy_does(op: Op, dtype: str, rng: Generator) -> None:
    assert_close_on_devices(op, sample(op, rng, dtype, (3, 4), (4,), (3, 1)))


INTEGER_OPS = [op for op in OPS if taken(op, "int64") and op.result != "float"]


@gpu
@pytest.mark.parametrize("op", INTEGER_OPS, ids=ids(INTEGER_OPS))
def test_cupy_computes_integers_as_numpy_does(op: Op, rng: Generator) -> None:
    operands = sample(op, rng, "int64", (3, 4))
    (a,), (b,) = run_on("cuda", op, operands, 1), run_on("cpu", op, operands, 1)
    assert a.dtype is b.dtype
    assert_array_equal(host(a), host(b))
