"""Programs compiled for the CPU give what double precision gives, whatever the compiler, the cache or the threads do."""

import shutil
import threading
import time

import numpy as np
import pytest
from elementwise import DIFFERENTIABLE, OPS, sample, taken
from formulas import check, program_of, wide
from numpy.testing import assert_allclose, assert_array_equal
from test_programs import DOMAINS, LAYOUTS, SPECIAL, UNSIGNED, between, targets

import autograd_gpu as ag
from autograd_gpu.dtypes import BY_NAME
from autograd_gpu.fusion import compiler, compiling, interpret, native, threads
from autograd_gpu.fusion.expr import Expr, slot, vjp
from autograd_gpu.fusion.reductions import (
    COUNT,
    ELEMENT,
    MAX,
    MAX_ALL,
    MIN,
    MIN_ALL,
    POSITION,
    ROW,
    SUM,
    SUM_ALL,
    SUM_ROWS,
)
from autograd_gpu.op import TABLE

x, y = slot(0), slot(1)
COMPILERS = [name for name in compiler.NAMES if shutil.which(name)]


@pytest.fixture
def compiled():
    """Everything is compiled; nothing may fail."""
    if not COMPILERS or compiler.is_off():
        pytest.skip("no C++ compiler")
    with compiling("always"):
        yield
    assert not compiler.COMPILER.notes


@pytest.fixture(autouse=True)
def _same_threads():
    before = ag.get_num_threads()
    yield
    ag.set_num_threads(before)


def mean(root):
    return Expr(SUM, root) / Expr(COUNT)


def softmax(root):
    e = TABLE.exp(root - Expr(MAX, root))
    return e / Expr(SUM, e)


def normalised(root):
    centred = root - mean(root)
    return centred * TABLE.rsqrt(mean(centred * centred) + 1e-5)


# --- values ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("op", "dtype"),
    [
        pytest.param(op, dtype, id=f"{op.name}-{dtype}", marks=() if dtype == "float32" else pytest.mark.slow)
        for op in DIFFERENTIABLE
        for dtype in taken(op, "float32", "float64", "float16", "bfloat16")
        if op.result != "complex"
    ],
)
def test_the_value_and_cotangents_of_an_operation(op, dtype, compiled, rng):
    computed = op.computes_in(BY_NAME[dtype])
    operands = sample(op, rng, dtype, (3, 19))
    value = op.numpy(*map(wide, operands)).astype(op.gives(computed).numpy)
    g = rng.standard_normal((3, 19)).astype(op.gives(computed).numpy)
    check(
        [Expr(op, *map(slot, range(op.arity))), *(part for part in vjp(op) if part is not None)],
        [*operands, value, g],
        outputs=[computed.name],
        computed=computed.name,
        device="cpu",
    )


@pytest.mark.parametrize("op", [op for op in OPS if op.result == "bool"], ids=lambda op: op.name)
@pytest.mark.parametrize("out", ["bool", "float32"])
def test_truth_values(op, out, compiled, rng):
    operands = [rng.integers(-1, 2, 77).astype(np.float32) for _ in range(op.arity)]
    check([Expr(op, *map(slot, range(op.arity)))], operands, outputs=[out], computed="float32", device="cpu")


@pytest.mark.parametrize(
    "op",
    [op for op in DIFFERENTIABLE if op.arity <= 2 and not op.conditions and not op.numbers and op.result != "complex"],
    ids=lambda op: op.name,
)
def test_special_values(op, compiled):
    """As NumPy in single precision; with the signs of its zeros."""
    values = [np.ascontiguousarray(SPECIAL[:, i]) for i in range(op.arity)]
    program = program_of([Expr(op, *map(slot, range(op.arity)))], values)
    mine, known = program.run(values)[0], interpret.run(program, values, (len(SPECIAL),), (None,))[0]
    assert_allclose(mine, known, rtol=2e-5)
    if getattr(np, op.numpy.__name__, None) is op.numpy and op.name not in UNSIGNED:
        assert_array_equal(np.signbit(mine[known == 0]), np.signbit(known[known == 0]))


def test_exp_in_single_precision(compiled):
    """To an ulp everywhere, of results that are subnormal too, and as it has to be beyond."""
    values = np.concatenate([np.linspace(-110, 95, 1 << 20), [88.72283, 88.72284, np.inf, -np.inf, np.nan, 0.0, -0.0]])
    values = values.astype(np.float32)
    (found,) = program_of([TABLE.exp(x)], [values]).run([values])
    with np.errstate(over="ignore"):
        known = np.exp(values.astype(np.float64))
        single = known.astype(np.float32)
    finite = np.isfinite(single)
    assert (np.abs(found[finite] - known[finite]) <= np.spacing(single[finite])).all()
    assert_array_equal(found[~finite], single[~finite])
    assert_array_equal(found[-2:], [1, 1])


def test_small_numbers_are_kept(compiled):
    for name, least in ("float32", 1e-45), ("float64", 5e-324), ("float16", 6e-8):
        values = [np.full(70, least, BY_NAME[name].numpy)]
        assert_array_equal(program_of([x * 1.0], values, outputs=[name]).run(values)[0], values[0])


@pytest.mark.parametrize("name", ["float16", "bfloat16"])
def test_every_half_is_read_and_written(name, compiled):
    halves = np.arange(1 << 16, dtype=np.uint16).view(BY_NAME[name].numpy)
    (read,) = program_of([x], [halves], outputs=["float32"]).run([halves])
    assert_array_equal(read, halves.astype(np.float32))
    (written,) = program_of([x], [read], outputs=[name], computed="float32").run([read])
    assert_array_equal(written.astype(np.float32), halves.astype(np.float32))


@pytest.mark.parametrize("name", ["float16", "bfloat16"])
def test_halves_are_rounded_to_nearest_and_ties_to_even(name, compiled, rng):
    bits = rng.integers(0, 1 << 32, 1 << 16, dtype=np.uint32)
    bits[::2] &= 0xFFFFF000  # ties are among these
    bits[::4] = bits[::4] & 0x807FF000 | rng.integers(95, 146, 1 << 14).astype(np.uint32) << 23
    values = bits.view(np.float32)
    with np.errstate(all="ignore"):
        known = values.astype(BY_NAME[name].numpy)
    (mine,) = program_of([x], [values], outputs=[name], computed="float32").run([values])
    assert_array_equal(mine.astype(np.float32), known.astype(np.float32))


# --- layouts and sums ------------------------------------------------------------------------------------


@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=list(LAYOUTS))
def test_arrays_of_any_layout(layout, compiled, rng):
    values = layout(lambda *shape: between(rng, *shape))
    check([x * y + x, TABLE.tanh(x) - y], values, device="cpu")


def test_arrays_that_are_not_aligned(compiled, rng):
    raw = np.zeros(401, np.uint8)
    raw[1:] = between(rng, 100).view(np.uint8)
    record = np.zeros(100, [("a", "i1"), ("b", "f4")])
    record["b"] = between(rng, 100)
    check([x * y], [raw[1:].view(np.float32), record["b"]], device="cpu")


def test_results_lie_as_the_arguments_do(compiled, rng):
    values = [between(rng, 30, 20, 10).transpose(2, 0, 1) for _ in range(2)]
    (made,) = check([x * y], values, device="cpu")
    assert made.strides == values[0].strides
    (made,) = check([x * Expr(SUM, y)], [between(rng, 9, 8, 7).transpose(1, 0, 2)] * 2, device="cpu")
    assert made.strides == (28, 8 * 28, 4)


@pytest.mark.parametrize("domain", DOMAINS, ids=str)
def test_sums_to_every_shape_that_broadcasts(domain, compiled, rng):
    values = [between(rng, *domain), between(rng, *domain)]
    for target in dict.fromkeys(targets(*domain)):
        check([x * y], values, targets=[target], device="cpu")


@pytest.mark.parametrize("shape", [(40, 1000), (1000, 40), (3, 7, 501), (2, 90_000), (90_000, 2)], ids=str)
@pytest.mark.parametrize("dtype", ["float32", "float64", "float16"])
def test_rows_are_reduced_in_stages(shape, dtype, compiled, rng):
    values = [rng.standard_normal(shape).astype(dtype), between(rng, shape[-1], dtype=dtype)]
    roots = [softmax(x), normalised(x) * y, Expr(MAX, x * y), softmax(x * x) * y]
    check(
        roots,
        values,
        targets=[None, None, None, (shape[-1],)],
        levels=[ELEMENT, ELEMENT, ROW, ELEMENT],
        outputs=[dtype],
        device="cpu",
    )


def test_what_is_reduced_over_all(compiled, rng):
    values = [rng.standard_normal((70, 900)).astype(np.float32), between(rng, 900)]
    roots = [
        x / Expr(SUM_ALL, x * x),
        TABLE.exp(x - Expr(MAX_ALL, x)),
        Expr(MIN_ALL, x * y),
        Expr(SUM_ROWS, Expr(MAX, x)),
    ]
    check(roots, values, levels=[ELEMENT, ELEMENT, 0, 0], device="cpu")


def test_places_in_the_row(compiled, rng):
    labels = rng.integers(0, 50, (600, 1))
    values = [rng.standard_normal((600, 50)).astype(np.float32), labels]
    check([TABLE.where(TABLE.eq(Expr(POSITION), y), x, 0.0)], values, device="cpu")


@pytest.mark.parametrize("columns", [5, 300])
def test_one_column_of_a_row(columns, compiled, rng):
    """Picked, or unlike the others, or neither, where a row has none."""
    labels = rng.integers(-2, columns + 2, (200, 1))
    values = [rng.standard_normal((200, columns)).astype(np.float32), labels, labels.astype(np.float32) / 2]
    at, half = TABLE.eq(Expr(POSITION), y), TABLE.eq(slot(2), Expr(POSITION))
    picked = Expr(SUM, TABLE.where(at, TABLE.exp(x), 0.0))
    check(
        [picked, TABLE.where(at, x - 1.0, TABLE.exp(x)) * x, Expr(SUM, TABLE.where(half, x, 0.0)), x - picked],
        values,
        levels=[ROW, ELEMENT, ROW, ELEMENT],
        device="cpu",
    )
    check([TABLE.where(half, x, x * x)], values, device="cpu")
    check([TABLE.where(at, x, 0.0), TABLE.where(half, x, 0.0)], values, device="cpu")


@pytest.mark.parametrize("name", ["float32", "float16", "float64"])
@pytest.mark.parametrize("shape", [(1000, 7), (130, 1), (3, 50, 20), (16, 24)], ids=str)
def test_short_rows(shape, name, compiled, rng):
    """Of which several are computed at a time."""
    labels = rng.integers(0, shape[-1], (*shape[:-1], 1))
    weight, each = between(rng, shape[-1], dtype=name), between(rng, *shape[:-1], 1, dtype=name)
    values = [rng.standard_normal(shape).astype(name), weight, labels, each]
    least = Expr(MIN, x * slot(3))
    roots = [softmax(x), normalised(x) * y, Expr(MAX, x) + least, softmax(x * x) * y, Expr(SUM_ALL, least)]
    roots += [TABLE.where(TABLE.eq(Expr(POSITION), slot(2)), x, Expr(SUM, x) * slot(3))]
    check(
        roots,
        values,
        targets=[None, None, None, (shape[-1],), None, (*shape[:-1], 1)],
        levels=[ELEMENT, ELEMENT, ROW, ELEMENT, 0, ELEMENT],
        outputs=[name],
        device="cpu",
    )


@pytest.mark.parametrize(("shape", "axes"), [((60, 90), (1, 0)), ((4, 30, 70), (0, 2, 1)), ((500, 17), (1, 0))])
def test_rows_whose_columns_lie_far_apart(shape, axes, compiled, rng):
    values = [rng.standard_normal(shape).astype(np.float32).transpose(axes) for _ in range(2)]
    values.append(rng.standard_normal(values[0].shape).astype(np.float32))
    roots = [softmax(x) * y, normalised(x), Expr(MAX, x * y), normalised(x * slot(2)), softmax(x) + slot(2)]
    targets = [None, None, None, values[0].shape[-1:], None]
    check(roots, values, targets=targets, levels=[ELEMENT, ELEMENT, ROW, ELEMENT, ELEMENT], device="cpu")


@pytest.mark.parametrize("shape", [(40, 1000), (1000, 8)], ids=str)
def test_nan_wins_in_extremes(shape, compiled):
    values = np.zeros(shape, np.float32)
    values[3, 5] = np.nan
    values[4] = -np.inf
    program = program_of([Expr(MAX, x), Expr(MIN, x), Expr(MIN_ALL, x)], [values], levels=[ROW, ROW, 0])
    largest, least, least_of_all = program.run([values])
    for found in largest, least:
        assert_array_equal(np.flatnonzero(np.isnan(found)), [3])
        assert_array_equal(np.flatnonzero(np.isinf(found)), [4])
    assert np.isnan(least_of_all)


# --- updates in place ------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["float32", "float64", "float16", "bfloat16", "complex64"])
def test_steps_of_an_optimizer(dtype, compiled, rng):
    """Also of parameters that do not lie one element after the other."""
    starts = [rng.standard_normal((30, 40)).astype(BY_NAME[dtype].numpy) for _ in range(3)]
    found = []
    for mode in "always", "off":
        parameters = [ag.tensor(starts[0]), ag.tensor(starts[1]).t(), ag.tensor(starts[2])[::2, 1:]]
        optimizer = ag.optim.Adam([p.requires_grad_() for p in parameters], lr=0.1, weight_decay=0.1)
        with compiling(mode):
            for n in 1, 2, 3:
                for p in parameters:
                    p.grad = (p.detach() * n).cos()
                optimizer.step()
        found.append([wide(p.detach().numpy()) for p in parameters])
    tolerance = {"float16": 4e-3, "bfloat16": 4e-2}.get(dtype, 1e-5)
    for mine, known in zip(*found, strict=True):
        assert_allclose(mine, known, rtol=tolerance, atol=tolerance)


# --- threads ---------------------------------------------------------------------------------------------


def several(rng):
    values = [rng.standard_normal((500, 1500)).astype(np.float32) for _ in range(2)]
    program = program_of(
        [TABLE.exp(x) * y, x * y, softmax(x), x - y, Expr(SUM_ALL, x)], values, levels=[ELEMENT] * 4 + [0]
    )
    return lambda: program.run(values, (500, 1500), [None, (1500,), None, (500, 1), None])


def test_the_same_bits_on_any_number_of_threads(compiled, rng):
    run, found = several(rng), []
    for number in 1, 2, 3, 8:
        ag.set_num_threads(number)
        found.append([part.tobytes() for part in run()])
    assert all(one == found[0] for one in found)


def test_threads_that_sleep_are_woken(compiled, rng):
    run, found = several(rng), set()
    ag.set_num_threads(3)
    for pause in 0, 0.01, 0, 0.02:
        time.sleep(pause)
        found.add(b"".join(part.tobytes() for part in run()))
    assert len(found) == 1


def test_few_long_rows_are_shared_by_threads(compiled, rng, monkeypatch):
    values = [rng.standard_normal((2, 300_000)).astype(np.float32)]
    parts = []
    share = threads.Threads.share
    monkeypatch.setattr(
        threads.Threads, "share", lambda self, f, a, n, elements: parts.append(n) or share(self, f, a, n, elements)
    )
    check([Expr(SUM, x * x)], values, levels=[ROW], device="cpu")
    assert parts[0] >= 16


def test_several_threads_of_the_user_at_once(compiled, rng):
    run = several(rng)
    known, found = [part.tobytes() for part in run()], []

    def work():
        with compiling("always"):
            found.extend([part.tobytes() for part in run()] for _ in range(3))

    users = [threading.Thread(target=work) for _ in range(4)]
    for user in users:
        user.start()
    for number in 1, 2, 3:  # while others are at work
        ag.set_num_threads(number)
    for user in users:
        user.join()
    assert len(found) == 12
    assert all(one == known for one in found)


def test_numbers_of_threads():
    ag.set_num_threads(3)
    assert ag.get_num_threads() == 3
    for wrong in 2.0, "2", True:
        with pytest.raises(TypeError, match="set_num_threads expects an int, but got"):
            ag.set_num_threads(wrong)
    with pytest.raises(RuntimeError, match="set_num_threads expects a positive integer"):
        ag.set_num_threads(0)
    assert ag.get_num_threads() == 3


def test_modes_are_named():
    with (
        pytest.raises(ValueError, match="compiling\\(\\) takes 'on', 'off' or 'always', got 'never'"),
        compiling("never"),
    ):
        pass


def test_large_arrays_alone_are_compiled(rng):
    values = [between(rng, native.FROM - 1)]
    before = len(compiler.COMPILER.functions)
    program_of([x * 3.0 + 0.125], values).run(values)
    assert len(compiler.COMPILER.functions) == before
