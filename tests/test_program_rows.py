"""Programs with reductions: along rows, over rows and over all, one inside another, are what double precision gives."""

from math import inf, nan

import numpy as np
import pytest
from formulas import check, mean, program_of, reference, to_device, to_host
from numpy.testing import assert_allclose, assert_array_equal

from autograd_gpu.dtypes import BY_NAME
from autograd_gpu.fusion.expr import Expr, const, slot
from autograd_gpu.fusion.interpret import exactly
from autograd_gpu.fusion.reductions import (
    ALL,
    COUNT,
    COUNT_ALL,
    COUNT_ROWS,
    ELEMENT,
    MAX,
    MAX_ALL,
    MAX_ROWS,
    MIN,
    MIN_ALL,
    MIN_ROWS,
    POSITION,
    ROW,
    SUM,
    SUM_ALL,
    SUM_ROWS,
)
from autograd_gpu.fusion.reverse import pull
from autograd_gpu.op import TABLE

x, y, z, w = map(slot, range(4))
COLUMNS = (1, 2, 7, 10, 32, 33, 64, 100, 129, 200, 256, 257, 768, 1000, 4097, 20_000, 70_000)


def rows_for(columns):
    """Few rows where they are long; never as many as a block takes at a time."""
    return max(min(20_000 // columns, 11), 2) if columns > 1 else 37


def normal(rng, *shape, dtype=np.float32):
    return np.asarray(rng.standard_normal(shape)).astype(dtype)


def softmax(v):
    e = TABLE.exp(v - Expr(MAX, v))
    return e / Expr(SUM, e)


def logsumexp(v):
    top = Expr(MAX, v)
    return TABLE.log(Expr(SUM, TABLE.exp(v - top))) + top


def layer_norm(v, weight, bias):
    centre = v - mean(v, SUM)
    return centre * TABLE.rsqrt(mean(centre * centre, SUM) + const(1e-5)) * weight + bias


def picked(v, target):
    """Of each row the element that ``target`` names."""
    return Expr(SUM, TABLE.where(TABLE.eq(target, Expr(POSITION)), v, const(0.0)))


# --- along rows ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("columns", COLUMNS)
def test_reductions_along_rows_of_any_length(columns, device, rng):
    values = [normal(rng, rows_for(columns), columns)]
    check(
        [Expr(SUM, x * x), Expr(MAX, x), Expr(MIN, x), Expr(SUM, x * x) + Expr(MAX, x)],
        values,
        levels=[ROW] * 4,
        device=device,
    )


@pytest.mark.parametrize("columns", COLUMNS)
def test_softmax_and_its_gradient(columns, device, rng):
    values = [normal(rng, rows_for(columns), columns) for _ in range(2)]
    check([softmax(x)], values[:1], device=device)
    gradient = pull(softmax(x), y, {0: ELEMENT, 1: ELEMENT})[0]
    check([gradient], values, device=device, scale=4)


@pytest.mark.parametrize("columns", COLUMNS)
def test_logsumexp_and_its_gradient(columns, device, rng):
    rows = rows_for(columns)
    check([logsumexp(x)], [normal(rng, rows, columns)], levels=[ROW], device=device)
    gradient = pull(logsumexp(x), y, {0: ELEMENT, 1: ROW})[0]
    check([gradient], [normal(rng, rows, columns), normal(rng, rows, 1)], device=device)


@pytest.mark.parametrize("columns", [7, 33, 200, 768, 4097, 20_000])
def test_layer_norm_and_its_gradients(columns, device, rng):
    rows = rows_for(columns)
    values = [normal(rng, rows, columns), normal(rng, columns), normal(rng, columns), normal(rng, rows, columns)]
    forward = layer_norm(x, y, z)
    check([forward, mean(x, SUM)], values[:3], levels=[ELEMENT, ROW], device=device, scale=4)
    found = pull(forward, w, {0: ELEMENT, 1: ELEMENT, 2: ELEMENT, 3: ELEMENT})
    targets = [None, (columns,), (columns,)]
    check([found[0], found[1], found[2]], values, targets=targets, device=device, scale=8)


@pytest.mark.parametrize("rows", [1, 3, 500, 5000])
def test_sums_over_rows_beside_reductions_along_them(rows, device, rng):
    values = [normal(rng, rows, 40), normal(rng, 40), normal(rng, 40), normal(rng, rows, 40)]
    found = pull(layer_norm(x, y, z), w, dict.fromkeys(range(4), ELEMENT))
    check(
        [found[0], found[1], found[2], found[0], Expr(SUM, x * w)],
        values,
        levels=[ELEMENT] * 4 + [ROW],
        targets=[None, (40,), (1, 40), (40,), (1, 1)],
        device=device,
        scale=20,
    )


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
@pytest.mark.parametrize("columns", [12, 96, 390, 768])
def test_values_of_each_column_that_differ_by_batch(columns, dtype, device, rng):
    values = [normal(rng, 3, 50, columns, dtype=dtype), normal(rng, 3, 1, columns, dtype=dtype)]
    check([x * y + y, x * y], values, targets=[None, (3, 1, columns)], device=device, scale=20)
    check([softmax(x * y), x * x], values, targets=[None, (3, 1, columns)], device=device, scale=20)


@pytest.mark.parametrize(
    ("domain", "axes"), [((4, 3, 7), 2), ((2, 3, 4, 5), 2), ((2, 3, 4, 5), 3), ((6, 8), 2), ((9,), 1)]
)
def test_rows_of_several_axes(domain, axes, device, rng):
    outer, row = domain[: len(domain) - axes], domain[len(domain) - axes :]
    values = [normal(rng, *domain), normal(rng, *row), normal(rng, *outer, *(1,) * axes)]
    check([softmax(x * y + z)], values, axes=axes, device=device)
    check([logsumexp(x + y)], values, levels=[ROW], axes=axes, device=device)


@pytest.mark.parametrize(
    "layout",
    {
        "transposed": lambda r: [r(40, 12).T, r(12, 40)],
        "backwards": lambda r: [r(12, 40)[::-1, ::-1], r(12, 40)],
        "part of the columns": lambda r: [r(12, 40)[:, 3:], r(12, 37)],
        "off by one element": lambda r: [r(481)[1:].reshape(12, 40), r(12, 40)],
        "row and column": lambda r: [r(40), r(12, 1)],
        "stride 0": lambda r: [np.broadcast_to(r(40), (12, 40)), np.broadcast_to(r(12, 1), (12, 40))],
        "batches in another order": lambda r: [r(5, 4, 9).transpose(1, 0, 2), r(4, 1, 9)],
        "batches of rows beside a bias for each": lambda r: [r(4, 5, 9), r(4, 1, 1)],
        "one row": lambda r: [r(1, 300), r(300)],
        "one axis": lambda r: [r(300), r()],
    }.items(),
    ids=lambda item: item[0],
)
def test_rows_of_any_layout(layout, device, rng):
    values = layout[1](lambda *shape: normal(rng, *shape))
    check([softmax(x * y), x + Expr(SUM, y)], values, device=device, scale=4)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float64"])
@pytest.mark.parametrize("columns", [33, 1000])
def test_rows_of_other_dtypes(columns, dtype, device, rng):
    values = [normal(rng, 5, columns, dtype=BY_NAME[dtype].numpy) for _ in range(2)]
    check([softmax(x), x - mean(y, SUM)], values, outputs=[dtype], device=device)


@pytest.mark.parametrize("columns", [5, 200])
def test_complex_rows(columns, device, rng):
    values = [(normal(rng, 6, columns) + 1j * normal(rng, 6, columns)).astype(np.complex64) for _ in range(2)]
    check([x - mean(x * y, SUM)], values, outputs=["complex64"], device=device, scale=4)
    check([Expr(SUM, x), Expr(SUM_ALL, x)], values, levels=[ROW, ALL], outputs=["complex64"], device=device, scale=4)


# --- over all --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("domain", [(), (1,), (7,), (300, 20), (1000, 70), (3, 4, 5), (0,), (0, 3)], ids=str)
def test_totals_and_what_is_made_of_them(domain, device, rng):
    axes = min(len(domain), 1)
    values = [normal(rng, *domain) + 3]
    check([Expr(SUM_ALL, x * x), mean(x, SUM_ALL)], values, domain, levels=[ALL] * 2, axes=axes, device=device)
    if all(domain):
        roots = [
            Expr(MAX_ALL, x),
            TABLE.sqrt(Expr(SUM_ALL, x * x)) + Expr(MIN_ALL, x),
            x / TABLE.sqrt(Expr(SUM_ALL, x * x)),
        ]
        check(roots, values, domain, levels=[ALL, ALL, ELEMENT], axes=axes, device=device)


@pytest.mark.parametrize("rows", [1, 9, 400])
def test_totals_of_values_of_rows(rows, device, rng):
    values = [normal(rng, rows, 50)]
    over = Expr(SUM, x)
    roots = [
        mean(logsumexp(x), SUM_ROWS),
        Expr(MAX_ROWS, over),
        Expr(MIN_ROWS, over),
        logsumexp(x) - Expr(MAX_ROWS, over),
    ]
    check(roots, values, levels=[ALL, ALL, ALL, ROW], device=device, scale=4)


def test_totals_of_what_is_made_of_totals(device, rng):
    centre = x - mean(x, SUM_ALL)
    check([mean(centre * centre, SUM_ALL), centre / TABLE.sqrt(Expr(SUM_ALL, centre * centre))], [normal(rng, 60, 70)],
          levels=[ALL, ELEMENT], device=device)  # fmt: skip


def test_counts(device, rng):
    check(
        [x * Expr(COUNT), Expr(SUM, x) / Expr(COUNT), Expr(SUM_ALL, x) / Expr(COUNT_ALL), Expr(SUM_ROWS, Expr(SUM, x)) / Expr(COUNT_ROWS)],
        [normal(rng, 12, 34)],
        levels=[ELEMENT, ROW, ALL, ALL],
        device=device,
    )  # fmt: skip


# --- cross entropy: integers compared with places ----------------------------------------------------------


@pytest.mark.parametrize(("rows", "classes"), [(400, 10), (60, 1000), (3, 20_000)])
@pytest.mark.parametrize("kind", ["int64", "int32", "uint8"])
def test_picking_by_class_numbers(rows, classes, kind, device, rng):
    values = [normal(rng, rows, classes), rng.integers(0, min(classes, 255), (rows, 1)).astype(kind), normal(rng)]
    loss = logsumexp(x) - picked(x, y)
    check([mean(loss, SUM_ROWS), loss], values[:2], levels=[ALL, ROW], device=device)
    gradient = pull(mean(loss, SUM_ROWS), z, {0: ELEMENT, 1: ROW, 2: ALL})[0]
    check([gradient], values, device=device)


def test_class_numbers_beyond_what_single_precision_holds(device):
    """2**24 + 1 is no float32: the comparison has to be one of integers."""
    targets = np.array([[2**24 + 1], [1], [2**40 + 1], [-1]])
    check([picked(x, y)], [np.ones((4, 3), np.float32), targets], levels=[ROW], device=device)


# --- values that are special -------------------------------------------------------------------------------

SPECIAL = np.array(
    [[1, nan, inf, -inf], [nan, 1, 2, 3], [3, 2, 1, nan], [inf, 1, 2, 3], [-inf, -inf, -inf, -inf], [-inf, 1, inf, 2],
     [0.0, -0.0, 0.0, -0.0], [5, 5, 1, 5], [-3, -1, -2, -1]], np.float32)  # fmt: skip


@pytest.mark.parametrize("columns", [4, 40, 200, 1500])
def test_special_values_in_rows(columns, device):
    """nan wins over every number, also in extremes; a row of -inf has nan for its softmax."""
    values = [np.tile(SPECIAL, (1, columns // 4))]
    roots = [Expr(MAX, x), Expr(MIN, x), Expr(SUM, x), logsumexp(x), softmax(x)]
    check(roots, values, levels=[ROW] * 4 + [ELEMENT], device=device)


@pytest.mark.parametrize("row", range(len(SPECIAL)))
def test_special_values_in_totals(row, device):
    values = [np.tile(SPECIAL[row], 300)]
    check([Expr(MAX_ALL, x), Expr(MIN_ALL, x), Expr(SUM_ALL, x)], values, levels=[ALL] * 3, device=device)


@pytest.mark.parametrize("columns", [4, 40, 1500])
def test_equal_extremes_share_the_gradient(columns, device):
    values = [np.tile(SPECIAL[-3:], (1, columns // 4)), np.ones((3, 1), np.float32)]
    roots = [pull(Expr(reduction, x), y, {0: ELEMENT, 1: ROW})[0] for reduction in (MAX, MIN)]
    for mine in check(roots, values, device=device):
        assert_allclose(mine.sum(1), 1, rtol=1e-6)


@pytest.mark.parametrize("domain", [(3, 0), (0, 3), (0, 0)], ids=str)
def test_reductions_of_nothing(domain, device):
    values = [np.empty(domain, np.float32)]
    roots = [Expr(SUM, x), Expr(MAX, x), Expr(SUM_ALL, x), softmax(x), Expr(SUM_ROWS, Expr(SUM, x))]
    check(roots, values, domain, levels=[ROW, ROW, ALL, ELEMENT, ALL], device=device)


# --- numbers and conditions --------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [2, 2.5, -0.0, inf, nan, 1e-30, True])
def test_numbers_are_arguments(number, device, rng):
    made = [program_of([x * y + Expr(SUM, x)], [normal(rng, 3, 5), n]) for n in (number, 7.0)]
    assert made[0] is made[1]
    check([x * y + Expr(SUM, x), x * y], [normal(rng, 3, 5), number], device=device)


@pytest.mark.parametrize("number", [2**53 + 1, -(2**62) - 1])
def test_large_integers_are_exact(number, device):
    for domain in (9,), (3, 3):
        (mine,) = check([x + y], [np.arange(9).reshape(domain), number], outputs=["int64"], device=device)
        assert_array_equal(mine, np.arange(9).reshape(domain) + number)


@pytest.mark.parametrize("number", [2 - 3j, 1.5, complex(0, -0.0)])
def test_complex_numbers(number, device, rng):
    check([x * y, x + y], [normal(rng, 5).astype(np.complex64), number], outputs=["complex64"], device=device)


def test_conditions(device, rng):
    values = [rng.integers(0, 2, (6, 40)).astype(bool), normal(rng, 6, 40), rng.integers(0, 2, 40).astype(bool)]
    chosen = TABLE.where(x, y, const(-1.5))
    check([chosen, TABLE.where(z, y, 0.0) + Expr(SUM, chosen)], values, device=device)


def test_the_same_bits_twice(device, rng):
    values = [to_device(normal(rng, 3000, 130), device)]
    made = program_of([softmax(x), mean(logsumexp(x), SUM_ROWS), softmax(x)], values, levels=[ELEMENT, ALL, ELEMENT])
    once, again = (made.run(values, (3000, 130), [None, None, (130,)]) for _ in range(2))
    for a, b in zip(once, again, strict=True):
        assert to_host(a).tobytes() == to_host(b).tobytes()


def test_double_precision_on_the_cpu_is_the_reference(rng):
    """``exactly``, which checks kernels at run time, against whole arrays."""
    values = [normal(rng, 300, 70), normal(rng, 70)]
    made = program_of([softmax(x) * y, logsumexp(x), mean(x, SUM_ALL)], values, levels=[ELEMENT, ROW, ALL])
    for targets in [None, None, None], [(70,), (1, 1), ()]:
        for mine, known in zip(
            exactly(made, values, (300, 70), targets), reference(made, values, (300, 70), targets), strict=True
        ):
            assert_allclose(mine, known, rtol=1e-12)
