"""Programs compiled for the CPU give what double precision gives, whatever the compiler, the cache or the threads do."""

import json
import os
import shutil
import subprocess
import sys
import textwrap
import threading
from pathlib import Path

import numpy as np
import pytest
from elementwise import DIFFERENTIABLE, OPS, sample, taken
from formulas import check, program_of, wide
from numpy.testing import assert_allclose, assert_array_equal
from test_programs import DOMAINS, LAYOUTS, SPECIAL, UNSIGNED, between, targets

import autograd_gpu as ag
from autograd_gpu.dtypes import BY_NAME
from autograd_gpu.fusion import compiler, compiling, interpret, native
from autograd_gpu.fusion.expr import Expr, slot, vjp
from autograd_gpu.fusion.reductions import COUNT, ELEMENT, MAX, MAX_ALL, MIN_ALL, POSITION, ROW, SUM, SUM_ALL, SUM_ROWS
from autograd_gpu.op import TABLE

x, y = slot(0), slot(1)
TESTS = Path(__file__).parent
COMPILERS = [name for name in compiler.NAMES if shutil.which(name)]
needs_compiler = pytest.mark.skipif(not COMPILERS, reason="no C++ compiler")


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


def test_nan_wins_in_extremes(compiled):
    values = np.zeros((40, 1000), np.float32)
    values[3, 500] = np.nan
    program = program_of([Expr(MAX, x), Expr(MIN_ALL, x)], [values], levels=[ROW, 0])
    largest, least = program.run([values])
    assert_array_equal(np.flatnonzero(np.isnan(largest)), [3])
    assert np.isnan(least)


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


# --- processes: the compiler and its cache ---------------------------------------------------------------

SCRIPT = """
import json, sys
import numpy as np
import autograd_gpu as ag
from autograd_gpu import fusion

f = ag.fuse(lambda x, w: ((x * w).tanh() + 2 * w).exp())
x = ag.tensor(np.linspace(-1, 1, 40_000, dtype=np.float32), requires_grad=True)
y = f(x, 0.5 * x.detach())
y.sum().backward()
print(json.dumps({
    "compiled": fusion.stats().compiled,
    "value": y.detach().numpy()[::100].tolist(),
    "gradient": x.grad.numpy()[::100].tolist(),
    "notes": [note for note in ag.show_config("dicts")["notes"] if "compile" in note],
}))
"""


def outcome(cache, script=SCRIPT, **variables):
    """What the script prints in a process of its own."""
    own = {"AUTOGRAD_GPU_CACHE": str(cache), "AUTOGRAD_GPU_COMPILER": None, "PYTHONPATH": str(TESTS.parent)}
    environment = {**os.environ, **own, **variables}
    environment = {name: value for name, value in environment.items() if value is not None}
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def close(one, other):
    assert_allclose(one["value"], other["value"], rtol=1e-6)
    assert_allclose(one["gradient"], other["gradient"], rtol=1e-6)


@needs_compiler
def test_a_second_process_compiles_nothing(tmp_path):
    first, second = outcome(tmp_path / "kernels"), outcome(tmp_path / "kernels")
    assert first["compiled"] >= 2
    assert second["compiled"] == 0
    assert first["value"] == second["value"]
    assert first["notes"] == second["notes"] == []
    assert (tmp_path / "kernels").stat().st_mode & 0o777 == 0o700
    assert {path.suffix for path in (tmp_path / "kernels").iterdir()} == {".so"}


@needs_compiler
def test_damaged_files_are_compiled_again(tmp_path):
    first = outcome(tmp_path)
    files = sorted(tmp_path.iterdir())
    for i, path in enumerate(files):
        body = path.read_bytes()
        path.write_bytes([b"", body[: len(body) // 2], body[:2000] + bytes([body[2000] ^ 1]) + body[2001:]][i % 3])
    again = outcome(tmp_path)
    assert again["compiled"] == first["compiled"] == len(files)
    assert again["value"] == first["value"]
    assert outcome(tmp_path)["compiled"] == 0


@needs_compiler
def test_processes_share_the_cache(tmp_path):
    found = []
    users = [threading.Thread(target=lambda: found.append(outcome(tmp_path))) for _ in range(3)]
    for user in users:
        user.start()
    for user in users:
        user.join()
    assert len(found) == 3
    assert all(one["value"] == found[0]["value"] and not one["notes"] for one in found)


@needs_compiler
@pytest.mark.skipif(not hasattr(os, "getuid"), reason="no modes of files")
def test_a_folder_that_others_may_write_to_is_not_used(tmp_path):
    tmp_path.chmod(0o777)
    one = outcome(tmp_path)
    assert one["compiled"]
    assert not list(tmp_path.iterdir())
    assert f"compiled kernels are not kept: {tmp_path} cannot be used (others may write to it)" in one["notes"][0]


def test_without_a_compiler_numpy_computes(tmp_path):
    known = outcome(tmp_path, AUTOGRAD_GPU_COMPILER="off")
    assert known["notes"] == ["no compiled kernels: AUTOGRAD_GPU_COMPILER is off"]
    missing = outcome(tmp_path, PATH="", CC=None)
    assert missing["notes"] == ["no compiled kernels: no C++ compiler is found; install gcc or clang, or set CC to one"]
    failing = outcome(tmp_path, CC=shutil.which("false"))
    assert failing["notes"][0].startswith("no compiled kernels: ")
    assert known["compiled"] == missing["compiled"] == failing["compiled"] == 0
    for one in missing, failing:
        close(one, known)
    if COMPILERS:
        close(outcome(tmp_path), known)


@needs_compiler
@pytest.mark.parametrize("name", COMPILERS)
def test_each_compiler(name, tmp_path):
    one = outcome(tmp_path, CC=name)
    assert one["compiled"]
    close(one, outcome(tmp_path, AUTOGRAD_GPU_COMPILER="off"))


FORK = """
import json, os
import numpy as np
import autograd_gpu as ag

ag.set_num_threads(4)
f = ag.fuse(lambda x: (x * x).tanh().sum())
x = ag.tensor(np.linspace(-1, 1, 2_000_000, dtype=np.float32))
before = f(x).item()
child = os.fork()
if not child:
    os._exit(0 if f(x).item() == before else 1)
print(json.dumps({"status": os.waitpid(child, 0)[1], "same": f(x).item() == before}))
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")
def test_a_forked_process_computes(tmp_path):
    assert outcome(tmp_path, FORK, PYTHONWARNINGS="ignore") == {"status": 0, "same": True}


SANITIZED = """
import json, sys
sys.path.insert(0, {tests!r})
import numpy as np
from autograd_gpu.fusion import compiler, compiling
from autograd_gpu.fusion.expr import Expr
compiler.FLAGS += ("-fsanitize=address,undefined", "-fno-sanitize-recover=all", "-fno-omit-frame-pointer")
import formulas, test_native as t
rng = np.random.default_rng(0)
with compiling("always"):
    for layout in t.LAYOUTS.values():
        values = layout(lambda *shape: t.between(rng, *shape))
        formulas.check([t.x * t.y + t.x, t.TABLE.tanh(t.x) - t.y], values, device="cpu")
    for shape in (70, 33), (3, 1000), (5, 7, 9):
        for dtype in "float32", "float16", "bfloat16", "float64":
            values = [t.between(rng, *shape, dtype=dtype), t.between(rng, shape[-1], dtype=dtype)]
            roots = [t.softmax(t.x), t.normalised(t.x) * t.y, Expr(t.SUM_ALL, t.x), t.TABLE.exp(t.x) * t.y]
            targets, levels = [None, None, None, (shape[-1],)], [t.ELEMENT, t.ELEMENT, 0, t.ELEMENT]
            formulas.check(roots, values, targets=targets, levels=levels, outputs=[dtype], device="cpu")
print(json.dumps(list(compiler.COMPILER.notes)))
"""


@needs_compiler
@pytest.mark.slow
def test_kernels_stay_inside_their_arrays(tmp_path):
    """Under gcc's sanitizers of addresses and of undefined behaviour."""
    found = subprocess.run(["cc", "-print-file-name=libasan.so"], capture_output=True, text=True, check=False)
    library = Path(found.stdout.strip())
    if not library.is_absolute():
        pytest.skip("no libasan")
    script = SANITIZED.format(tests=str(TESTS))
    assert outcome(tmp_path, script, LD_PRELOAD=str(library), ASAN_OPTIONS="detect_leaks=0") == []


def test_large_arrays_alone_are_compiled(rng):
    values = [between(rng, native.FROM - 1)]
    before = len(compiler.COMPILER.functions)
    program_of([x * 3.0 + 0.125], values).run(values)
    assert len(compiler.COMPILER.functions) == before
