"""The benchmarks do the same work with this package and with PyTorch, and count PyTorch's operators right."""

import contextlib
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from numpy.testing import assert_allclose
from support import host
from test_native import COMPILERS

import autograd_gpu as ag

sys.path.append(str(Path(__file__).parents[1] / "benchmarks"))

import cpu
import cpu_report
import cpu_works
import marks
import traffic
from cpu_libraries import LIBRARIES
from workloads import ROWS, Source, counted

ROOT = Path(__file__).parents[1]


def run(row, library, functional):
    """Two rounds of a row at its tiny size: its passes, and the leaves that they changed."""
    library.manual_seed(0)
    new = Source(library, functional, "cpu")
    passes = counted(row.work, row.tiny, new, contextlib.nullcontext)
    return list(passes), new.leaves


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.work.__name__)
def test_a_row_is_the_same_work_in_torch(row):
    torch = pytest.importorskip("torch")
    from dispatched import FUNCTIONAL

    passes, leaves = run(row, ag, ag.nn.functional)
    torchs_passes, torchs_leaves = run(row, torch, FUNCTIONAL)
    assert passes == torchs_passes
    assert set(row.ideal) <= set(passes)
    for mine, torchs in zip(leaves, torchs_leaves, strict=True):
        assert_allclose(host(mine), host(torchs), rtol=1e-4, atol=1e-5)
        assert_allclose(host(mine.grad), host(torchs.grad), rtol=1e-4, atol=1e-5 * float(abs(torchs.grad).max()))


N = 24  # elements of a matrix of 4 × 6
WORK = {  # launches, matrix products, and float32 numbers read and written
    "x*y + z": (lambda torch, x, y, row: x * y + y, (2, 0, 6 * N)),
    "one tensor twice": (lambda torch, x, y, row: x * x, (1, 0, 2 * N)),
    "in place": (lambda torch, x, y, row: x.add_(y), (1, 0, 3 * N)),
    "only written": (lambda torch, x, y, row: x.copy_(y).zero_(), (2, 0, 3 * N)),
    "views": (lambda torch, x, y, row: x.t().reshape(3, 8)[1:].detach().unsqueeze(0), (1, 0, 2 * N)),
    "broadcast": (lambda torch, x, y, row: x * row.expand(4, 6), (1, 0, 2 * N + 6)),
    "no kernels": (lambda torch, x, y, row: torch.empty_like(x).shape, (0, 0, 0)),
    "several outputs": (lambda torch, x, y, row: torch.var_mean(x, 1), (1, 0, N + 8)),
    "a list": (lambda torch, x, y, row: torch._foreach_mul_([x, y], 2), (1, 0, 4 * N)),
    "products": (lambda torch, x, y, row: x @ y.t() + 1, (1, 1, 2 * 16)),
    "dropout": (lambda torch, x, y, row: torch.native_dropout(x, 0.5, True), (1, 0, 2 * N + N / 4)),
}


@pytest.mark.parametrize("name", WORK)
def test_the_operators_of_torch_are_counted(name):
    torch = pytest.importorskip("torch")
    from dispatched import Dispatched

    work, (launches, matmuls, numbers) = WORK[name]
    x, y, row = torch.ones(4, 6), torch.ones(4, 6), torch.ones(6)
    with Dispatched() as counts:
        work(torch, x, y, row)
    assert counts == {"launches": launches, "matmuls": matmuls, "bytes": 4 * numbers}


def test_the_table_has_a_line_for_each_pass_and_tells_of_waits():
    row = next(row for row in ROWS if row.title.startswith("layer_norm"))
    ours = {"launches": 3, "matmuls": 1, "bytes": 5 * 4 * row.elements, "host": 0}
    theirs = {"launches": 1, "matmuls": 0, "bytes": 2 * 4 * row.elements}
    counts = {"forward": ours, "backward": {**ours, "host": 2}}
    text = traffic.markdown([row], {row.title: counts}, {row.title: {"forward": theirs, "backward": theirs}})
    assert text.splitlines()[2:] == [
        f"| {row.title} | forward | 3 + 1 mm | 1 | 5.00 | 2.00 | 2 | 2.50 |",
        f"| {row.title} | backward | 3 + 1 mm | 1 | 5.00 | 2.00 | 3 | 1.67 |",
        f"{row.title}, backward: 2 copies to or from the host and waits for the device",
    ]


def test_without_a_simulated_device_it_says_what_to_do(monkeypatch):
    monkeypatch.delenv("CUDASIM", raising=False)
    monkeypatch.setattr(sys, "argv", ["traffic.py"])
    with pytest.raises(SystemExit, match="cudasim/run python benchmarks/traffic.py"):
        traffic.main()


@pytest.fixture
def _simulated():
    pytest.importorskip("cudasim", reason="it counts the launches")


@pytest.mark.gpu
@pytest.mark.usefixtures("_simulated")
def test_the_simulated_device_counts_ours():
    x, y, z = (ag.ones(4, 6, device="cuda") for _ in range(3))
    x * y + z
    with traffic.simulated() as counts:
        x * y + z
    assert counts == {"launches": 2, "matmuls": 0, "bytes": 4 * 6 * N, "host": 0}


@pytest.mark.gpu
@pytest.mark.usefixtures("_simulated")
@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.work.__name__)
def test_no_row_copies_to_the_host_or_waits(row):
    counts = counted(row.work, row.tiny, Source(ag, ag.nn.functional, "cuda"), traffic.simulated)
    assert {name: count["host"] for name, count in counts.items()} == dict.fromkeys(counts, 0)


@pytest.mark.gpu
def test_the_chains_have_the_gradients_that_cupy_gives_by_hand():
    import cupy
    import overhead_cuda

    arrays = [cupy.full(7, value, "float32") for value in (0.5, 1.0001, 0.0001, 1.0)]
    for _ in range(2):  # the second time by the plans of the first
        overhead_cuda.starts(arrays)


@pytest.mark.gpu
def test_passes_are_timed_one_by_one_on_the_device():
    import gpu

    row = next(row for row in ROWS if row.title.startswith("layer_norm"))
    times, _ = gpu.measured(replace(row, size=row.tiny, longer=2), [ag, ag], rounds=3)
    assert list(times) == ["forward", "backward"]
    assert all(device > 0 and host > 0 for pairs in times.values() for device, host in pairs)
    assert all(len(pairs) == 3 for pairs in times.values())


def test_a_line_of_the_gpu_table_has_medians_ratios_and_the_floor():
    import gpu

    row = replace(ROWS[0], elements=1000, longer=2, size=(1000,), ideal={"backward": 20})
    ours, theirs = {"backward": [(80, 5), (100, 7), (90, 6)]}, {"backward": [(160, 10), (50, 7), (180, 3)]}
    # the floor: 20 arrays of 2000 float32 numbers at 2000 bytes a µs
    assert gpu.line(row, "backward", ours, theirs, 2000.0) == [
        "chain of 30 unary ops, 2,000", "backward", "90", "160", "0.50", "1.12", "6", "7", "1.00",
    ]  # fmt: skip


# benchmarks/cpu.py

IN_PROCESS = set(LIBRARIES) - {"PyTorch", "torch.compile", "jax.jit"}  # JAX leaves threads behind
CASES = [
    pytest.param(work, name, id=f"{work.title}, {name}")
    for work in cpu_works.ROWS
    for name in LIBRARIES
    if name in IN_PROCESS and LIBRARIES[name].can(work, name)
]


@pytest.mark.parametrize(("work", "name"), CASES)
def test_a_work_has_the_results_of_torch_in_all_libraries(work, name):
    pytest.importorskip("torch")
    pytest.importorskip(LIBRARIES[name].package)
    steps = [LIBRARIES[of].step(work, work.tiny) for of in ("PyTorch", name)]
    for _ in range(2):  # the second pass may go by what the first has left
        torchs, mine = (step() for step in steps)
    assert len(mine) == len(torchs)
    for a, b in zip(mine, torchs, strict=True):
        assert host(a).dtype == host(b).dtype
        assert_allclose(host(a), host(b), rtol=1e-4, atol=1e-6)


def test_a_row_is_measured_and_written(tmp_path):
    pytest.importorskip("torch")
    options = ["--tiny", "--rounds=1", "--threads=1", "--libraries=fused", "--only=digits"]
    command = [sys.executable, ROOT / "benchmarks" / "cpu.py", *options, f"--table={tmp_path / 'table.md'}"]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    assert done.stdout == (tmp_path / "table.md").read_text()
    *_, line, empty, caption = done.stdout.splitlines()
    assert re.fullmatch(r"\| digits network, [\w ]+ \| [\d.]+ ms \| \d+\.\d\d \| (\*\*)?≤ 0\.9.* \|", line)
    assert not empty
    assert caption.startswith("Medians of 1 round; numpy ")


@pytest.mark.skipif(not cpu.STATUS.exists(), reason="a process's memory is read there")
@pytest.mark.skipif(not COMPILERS, reason="no C++ compiler: tiles use the memory again that small passes gave back")
def test_the_peak_memory_of_a_pass_is_that_of_its_results(monkeypatch):
    monkeypatch.delenv("AUTOGRAD_GPU_COMPILER", raising=False)
    (mebibytes,) = cpu.peaks(["fused"], tiny=True)[1]["fused"]
    results = 3 * 4 * 10**6 / 2**20  # the value and both gradients
    assert 0.9 * results < mebibytes < 2 * results


def test_results_that_are_not_those_of_torch_stop_it():
    cpu.agree("x * y", {"PyTorch": 2.0, "fused": 2.0001})
    with pytest.raises(SystemExit, match="x \\* y: the results of plain, tiled are not those of PyTorch"):
        cpu.agree("x * y", {"PyTorch": 2.0, "fused": 2.0, "plain": 2.1, "tiled": float("nan")})


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--only", "convolution"], "no row has 'convolution' in its title; there are chain, 10⁶;"),
        (["--rounds", "0"], "--rounds and --threads are at least 1"),
        (["--threads", "1", "0"], "--rounds and --threads are at least 1"),
    ],
)
def test_options_that_make_no_sense_are_refused(capsys, options, message):
    with pytest.raises(SystemExit):
        cpu.main(options)
    assert message in capsys.readouterr().err


def rows_of(numbers, threads=(1, 2)):
    """Every row with the same numbers for each library that takes part."""
    rows = []
    for work in cpu_works.ROWS:
        columns = {name: numbers for name in LIBRARIES if LIBRARIES[name].can(work, name)}
        rows.append(cpu_report.Row(work.title, work.group, "ms", work.most, dict.fromkeys(threads, columns)))
    part = {name: numbers for name in LIBRARIES if LIBRARIES[name].can(cpu_works.LARGE, name)}
    return [*rows, cpu_report.Row(cpu.MEMORY, "memory", "MiB", cpu.LIGHTER, {1: part})]


def test_the_table_has_medians_of_ratios_and_marks_what_is_missed():
    numbers = {
        1: {"PyTorch": [1.0, 2.0, 8.0], "fused": [0.6, 0.8, 9.0], "jax.jit": [1.0, 1.0, 10.0]},
        2: {"PyTorch": [1.0], "fused": [0.7], "plain": [0.5], "jax.jit": [1.0]},
    }
    row = cpu_report.Row("chain", "elementwise", "ms", {"PyTorch": 0.5, "jax.jit": 1.2, "MyGrad": 1}, numbers)
    assert cpu_report.table([row], ["PyTorch", "fused", "plain", "jax.jit", "MyGrad"]).splitlines() == [
        "| 1 / 2 threads | PyTorch | fused | plain | jax.jit | MyGrad | fused or plain is to be |",
        "| --- | ---: | ---: | ---: | ---: | ---: | --- |",
        "| chain | 2.00 / 1.00 ms | 0.60 / 0.70 | 0.50 | 1.00 / 1.00 | – | **≤ 0.5: missed, 0.60**, ≤ 1.2 × jax.jit, ≤ 1 × MyGrad |",
    ]


def test_the_readme_has_the_rows_and_columns_that_the_script_writes():
    text = re.search("<!-- cpu:begin -->.*<!-- cpu:end -->", (ROOT / "README.md").read_text(), re.DOTALL)[0]
    shown = [line.split(" | ") for line in text.splitlines() if line.startswith("|")]
    threads = [int(number) for number in re.findall(r"\d+", shown[0][0])]
    written = [line.split(" | ") for line in cpu_report.table(rows_of([1.0], threads), list(LIBRARIES)).splitlines()]
    assert shown[:2] == written[:2]
    assert [line[0] for line in shown] == [line[0] for line in written]
    for mine, own in zip(shown[2:], written[2:], strict=True):
        kinds = [[(cell == "–", cell.count("/")) for cell in line[1:-1]] for line in (mine, own)]
        assert kinds[0] == kinds[1], mine[0]


def test_a_table_goes_between_its_marks_or_into_a_file_of_its_own(tmp_path):
    marked, own = tmp_path / "README.md", tmp_path / "table.md"
    marked.write_text("before\n<!-- cpu:begin -->\nold\n<!-- cpu:end -->\nafter\n")
    for path in marked, own, own:
        marks.write("| new |\n", path, "cpu")
    assert marked.read_text() == "before\n<!-- cpu:begin -->\n| new |\n<!-- cpu:end -->\nafter\n"
    assert own.read_text() == "| new |\n"


def test_there_is_a_figure_for_each_group(tmp_path):
    pytest.importorskip("matplotlib")
    rows = [row for row in rows_of([1.0, 2.0]) if row.group in {"composites", "memory"}]
    composites, memory = cpu_report.plot(rows, list(LIBRARIES), tmp_path / "plots")
    assert all(f"<!-- {row.title} -->" in composites.read_text() for row in rows[:-1])
    assert f"<!-- {cpu.MEMORY} -->" in memory.read_text()
