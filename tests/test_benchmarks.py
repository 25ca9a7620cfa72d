"""The benchmarks do the same work with this package and with PyTorch, and count PyTorch's operators right."""

import contextlib
import sys
from pathlib import Path

import pytest
from numpy.testing import assert_allclose
from support import host

import autograd_gpu as ag

sys.path.append(str(Path(__file__).parents[1] / "benchmarks"))

import traffic
from workloads import ROWS, Source, counted


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
