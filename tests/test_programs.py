"""Programs: elementwise formulas over arrays of any layout, and their sums, are what double precision gives."""

import itertools
from math import inf, nan

import numpy as np
import pytest
from elementwise import DIFFERENTIABLE, sample, taken
from formulas import check, program_of, to_device, to_host, wide
from numpy.testing import assert_allclose, assert_array_equal

from autograd_gpu.dtypes import BY_NAME
from autograd_gpu.fusion.expr import Expr, slot, vjp
from autograd_gpu.op import TABLE

x, y = slot(0), slot(1)
FLOATS = ("float32", "float64", "float16", "bfloat16", "complex64", "complex128")


def between(rng, *shape, dtype="float32"):
    """Values between 0.5 and 1.5, of whose sums and products no digits cancel."""
    return np.asarray(rng.random(shape) + 0.5).astype(BY_NAME[dtype].numpy)


# --- every operation -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("op", "dtype"),
    [
        pytest.param(op, dtype, id=f"{op.name}-{dtype}", marks=() if dtype == "float32" else pytest.mark.slow)
        for op in DIFFERENTIABLE
        for dtype in taken(op, *FLOATS)
    ],
)
def test_the_value_and_cotangents_of_an_operation(op, dtype, device, rng):
    computed = op.computes_in(BY_NAME[dtype])
    result = op.gives(computed)
    operands = sample(op, rng, dtype, (2, 9))
    with np.errstate(all="ignore"):
        value = op.numpy(*map(wide, operands)).astype(result.numpy)
    g = rng.standard_normal((2, 9)) + (1j * rng.standard_normal((2, 9)) if result.is_complex else 0)
    cotangents = [part for part in vjp(op, complex=computed.is_complex) if part is not None]
    check(
        [Expr(op, *map(slot, range(op.arity))), *cotangents],
        [*operands, value, g.astype(result.numpy)],
        outputs=[result.name] + [computed.name] * len(cotangents),
        computed=computed.name,
        device=device,
    )


# --- layouts ---------------------------------------------------------------------------------------------

LAYOUTS = {
    "dense": lambda r: [r(1000), r(1000)],
    "odd": lambda r: [r(1003), r(1003)],
    "0-d": lambda r: [r(), r()],
    "one": lambda r: [r(1), r(1, 1)],
    "empty": lambda r: [r(0), r(0)],
    "no rows": lambda r: [r(0, 5), r(5)],
    "no batches": lambda r: [r(0, 2, 0), r(1, 2, 1)],
    "no batches of rows": lambda r: [r(0, 2, 3), r(1, 2, 1)],
    "no columns": lambda r: [r(5, 0), r(5, 1)],
    "0-d beside dense": lambda r: [r(17), r()],
    "row": lambda r: [r(50, 20), r(20)],
    "column": lambda r: [r(50, 20), r(50, 1)],
    "outer product": lambda r: [r(50, 1), r(20)],
    "middle axis": lambda r: [r(6, 50, 20), r(6, 1, 20)],
    "outer and inner axes": lambda r: [r(6, 50, 20), r(1, 50, 1)],
    "four axes in turn": lambda r: [r(3, 1, 4, 1), r(1, 5, 1, 6)],
    "five axes in turn": lambda r: [r(2, 1, 3, 1, 4), r(3, 1, 2, 1)],
    "transposed": lambda r: [r(50, 20).T, r(20, 50)],
    "both transposed": lambda r: [r(50, 20).T, r(50, 20).T],
    "axes in another order": lambda r: [r(4, 5, 6).transpose(2, 0, 1), r(6, 4, 5)],
    "four axes in another order": lambda r: [r(3, 4, 5, 6).transpose(3, 1, 0, 2), r(6, 4, 3, 5)],
    "every other column": lambda r: [r(50, 20)[:, ::2], r(50, 10)],
    "every other element": lambda r: [r(200)[::2], r(100)],
    "part of the columns": lambda r: [r(50, 20)[:, 3:17], r(50, 20)[:, 2:16]],
    "backwards": lambda r: [r(100)[::-1], r(100)],
    "backwards in rows and columns": lambda r: [r(50, 20)[::-1, ::-2], r(50, 10)],
    "all strides 0": lambda r: [np.broadcast_to(r(1), (50, 20)), r(50, 20)],
    "row of stride 0": lambda r: [np.broadcast_to(r(20), (50, 20)), np.broadcast_to(r(50, 1), (50, 20))],
    "nothing but strides of 0": lambda r: [np.broadcast_to(r(), (7, 9)), np.broadcast_to(r(), (7, 9))],
    "off by one element": lambda r: [r(1001)[1:], r(1000)],
    "both off": lambda r: [r(1001)[1:], r(1003)[3:]],
    "rows off by one element": lambda r: [r(1001)[1:].reshape(50, 20), r(20)],
    "diagonal": lambda r: [r(30, 30).diagonal(), r(30)],
    "windows": lambda r: [np.ndarray((33, 8), np.float32, r(40), strides=(4, 4)), r(33, 8)],
}


@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=list(LAYOUTS))
def test_arrays_of_any_layout(layout, device, rng):
    check([x * y + x, TABLE.tanh(x) - y], layout(lambda *shape: between(rng, *shape)), device=device)


@pytest.mark.parametrize("dtype", ["float16", "float64", "complex64"])
@pytest.mark.parametrize("layout", ["odd", "row", "transposed", "off by one element"])
def test_arrays_of_any_layout_and_other_dtypes(layout, dtype, device, rng):
    check([x * y + x], LAYOUTS[layout](lambda *s: between(rng, *s, dtype=dtype)), outputs=[dtype], device=device)


@pytest.mark.parametrize(
    "dtypes", [("float16", "float32"), ("int64", "float64"), ("uint8", "bfloat16"), ("bool", "int32")]
)
def test_operands_of_several_dtypes(dtypes, device, rng):
    a, b = (rng.integers(0, 2, (9, 33)).astype(BY_NAME[name].numpy) for name in dtypes)
    check([x * y + y], [a, b], outputs=[dtypes[1]], device=device)


@pytest.mark.parametrize("out", ["float16", "bfloat16", "float64", "complex64"])
def test_roots_leave_in_the_dtype_asked_for(out, device, rng):
    check(
        [x * y, x + y],
        [between(rng, 41), between(rng, 41)],
        outputs=["float32", out],
        computed="float32",
        device=device,
    )


def test_outputs_are_new_arrays(device, rng):
    values = [to_device(between(rng, 30), device) for _ in range(2)]
    made = program_of([x, x, y, x + y], values).run(values, (30,), [None] * 4)
    before = to_host(values[0]).copy()
    for i, one in enumerate(made):
        kept = [to_host(other).copy() for other in made]
        one[...] = i
        assert all(
            np.array_equal(to_host(other), old) for j, (other, old) in enumerate(zip(made, kept, strict=True)) if j != i
        )
    assert_array_equal(to_host(values[0]), before)


# --- sums ------------------------------------------------------------------------------------------------


def targets(*domain):
    """Every shape that broadcasts to ``domain``, and those that have fewer axes."""
    full = list(itertools.product(*((1, size) for size in domain)))
    return full + [shape[i:] for shape in full for i in range(1, len(shape) + 1) if set(shape[:i]) == {1}]


DOMAINS = [(37,), (5, 9), (300, 65), (4, 6, 10), (2, 3, 4, 5)]


@pytest.mark.parametrize("domain", DOMAINS, ids=str)
def test_sums_to_every_shape_that_broadcasts(domain, device, rng):
    values = [between(rng, *domain), between(rng, *domain)]
    for target in dict.fromkeys(targets(*domain)):
        check([x * y], values, targets=[target], device=device)


@pytest.mark.parametrize("domain", DOMAINS[:4], ids=str)
def test_sums_to_several_shapes_at_once(domain, device, rng):
    values = [between(rng, *domain), between(rng, *domain)]
    full = targets(*domain)
    for several in zip(full, full[::-1], full[1:] + full[:1], strict=True):
        check([x * y, x + y, x - 2 * y, y], values, targets=[*several, None], device=device)


@pytest.mark.parametrize(
    ("domain", "target"),
    [
        ((0, 5), (5,)),
        ((0, 5), (0, 1)),
        ((5, 0), (5, 1)),
        ((5, 0), ()),
        ((2, 0, 3), (2, 1, 3)),
        ((1, 1), ()),
        ((100_000,), ()),
        ((3, 50_000), (3, 1)),
        ((3, 50_000), (50_000,)),
        ((20_000, 3), (3,)),
        ((20_000, 3), (20_000, 1)),
        ((70, 3, 700), (3, 1)),
        ((300, 20, 30), (20, 1)),
    ],
    ids=str,
)
def test_sums_of_nothing_and_of_much(domain, target, device, rng):
    check([x * y], [between(rng, *domain), between(rng, *domain)], targets=[target], device=device)


@pytest.mark.parametrize(
    "layout", ["row", "column", "outer product", "transposed", "backwards in rows and columns", "row of stride 0"]
)
def test_sums_of_arrays_of_any_layout(layout, device, rng):
    values = LAYOUTS[layout](lambda *shape: between(rng, *shape))
    rows, columns = np.broadcast_shapes(*map(np.shape, values))
    check([x * y] * 4, values, targets=[(columns,), (rows, 1), (), None], device=device)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float64", "complex64", "int64"])
def test_sums_of_other_dtypes(dtype, device, rng):
    values = [between(rng, 70, 33, dtype=dtype), (4 * between(rng, 33)).astype(BY_NAME[dtype].numpy)]
    check([x * y] * 3, values, targets=[(33,), (70, 1), ()], outputs=[dtype], device=device)


def test_the_same_bits_twice(device, rng):
    values = [to_device(array, device) for array in rng.standard_normal((2, 700, 130)).astype(np.float32)]
    made = program_of([x * y] * 4, values)
    once, again = (made.run(values, (700, 130), [(), (130,), (700, 1), None]) for _ in range(2))
    for a, b in zip(once, again, strict=True):
        assert to_host(a).tobytes() == to_host(b).tobytes()


# --- values that are special -----------------------------------------------------------------------------

# neither the squares of these nor their reciprocals are so small that a device makes them 0
SPECIAL = np.array(list(itertools.product([nan, inf, -inf, 0.0, -0.0, 1.0, -1.0, 2.0**100], repeat=2)), np.float32)
UNSIGNED = (
    "maximum",
    "minimum",
    "fmax",
    "fmin",
    "clamp_min",
    "clamp_max",
    "clamp_from_below",
    "clamp_from_above",
)  # of 0.0 and -0.0 they may give either


@pytest.mark.gpu
@pytest.mark.parametrize(
    "op",
    [op for op in DIFFERENTIABLE if op.arity <= 2 and not op.conditions and not op.numbers and op.result != "complex"],
    ids=lambda op: op.name,
)
def test_special_values(op):
    """As NumPy in single precision, with the signs of its zeros."""
    values = [np.ascontiguousarray(SPECIAL[:, i]) for i in range(op.arity)]
    made = program_of([Expr(op, *map(slot, range(op.arity)))], values)
    mine, known = (to_host(made.run([to_device(value, d) for value in values])[0]) for d in ("cuda", "cpu"))
    assert_allclose(mine, known, rtol=2e-5)
    if getattr(np, op.numpy.__name__, None) is op.numpy and op.name not in UNSIGNED:
        assert_array_equal(np.signbit(mine[mine == 0]), np.signbit(known[mine == 0]))


@pytest.mark.gpu
@pytest.mark.parametrize(("dtype", "least"), [("float32", 1e-40), ("float64", 1e-310), ("float16", 6e-8)])
def test_denormal_numbers(dtype, least):
    """CuPy compiles with -ftz=true: those of float32, and of no other dtype, count as 0 on the device."""
    values = [np.array([least], BY_NAME[dtype].numpy), np.array([0.75], BY_NAME[dtype].numpy)]
    (made,) = program_of([x * y], values, outputs=[dtype]).run([to_device(value, "cuda") for value in values])
    assert (to_host(made)[0] == 0) == (dtype == "float32")
