"""What the passes of ``workloads.py`` cost on a GPU, beside PyTorch in eager mode.

Both libraries take turns in one process, on the same stream. A pass is queued behind a kernel that only waits, so that
the device starts it when all of it is there: its time is the device's alone, by events, and the time until all is
queued is the host's alone. A pass takes the longer of the two. Medians over the rounds; the ratio is ours ÷ PyTorch's.

The floor is the time that a copy on this device takes to move the fewest bytes that a pass can do with, each input read
and each result written once; models, whose matrix products count too, have none. All arrays are larger than caches.

    python benchmarks/gpu.py --markdown README.md
"""

import argparse
import importlib.util
import json
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from marks import write
from workloads import ROWS, Row, Source

NO_DEVICE = "gpu.py takes times on a GPU, and needs CuPy, PyTorch with CUDA, and a device for both: {}"
WAIT = r"""
extern "C" __global__ void wait(long long cycles) {
    long long start = clock64();
    while (clock64() - start < cycles);
}"""
WARM = 3  # rounds that compile, plan and allocate
HEADS = ["work", "pass", "device µs, ours", "PyTorch", "ratio", "÷ floor", "host µs, ours", "PyTorch", "ratio"]

Pair = tuple[float, float]  # µs of the device and of the host
Times = dict[str, list[Pair]]  # by the pass, in each round


class Clock:
    """Times of what is queued on the device, behind a kernel that waits."""

    def __init__(self) -> None:
        import cupy

        self.cuda = cupy.cuda
        self.wait = cupy.RawKernel(WAIT, "wait")
        self.longest = 1e-3  # seconds that the host took for a pass so far

    def __call__(self, queue: Callable[[], Any]) -> Pair:
        """The µs that the device takes for what ``queue()`` queues, and those that ``queue()`` takes."""
        start, end = self.cuda.Event(), self.cuda.Event()
        self.cuda.Device().synchronize()
        self.wait((1,), (1,), (int(3e9 * self.longest),))
        start.record()
        before = time.perf_counter()
        queue()
        host = time.perf_counter() - before
        end.record()
        end.synchronize()
        self.longest = max(self.longest, host)
        return 1e3 * self.cuda.get_elapsed_time(start, end), 1e6 * host


def untimed(queue: Callable[[], Any]) -> Pair:
    """Only queue it."""
    queue()
    return 0.0, 0.0


class OnDevice(Source):
    """Arrays that are made where they are needed: large ones take the host seconds."""

    def __call__(self, *shape: int) -> Any:
        """Normal numbers."""
        return self.library.randn(*shape, device=self.device)


class Turns:
    """A workload in one library, whose passes are done one at a time."""

    def __init__(self, row: Row, library: Any) -> None:
        self.new = OnDevice(library, library.nn.functional, "cuda")
        self.steps = row.work(library, self.new.functional, self.new, *row.large)
        self.following = next(self.steps)

    def round(self, clock: Callable[[Callable[[], Any]], Pair]) -> dict[str, Pair]:
        """The times of each pass."""
        for leaf in self.new.leaves:
            leaf.grad = None
        times: dict[str, Pair] = {}
        while (name := self.following) not in times:
            times[name] = clock(self.go)
        return times

    def go(self) -> None:
        """Do a pass."""
        self.following = next(self.steps)


def measured(row: Row, libraries: list[Any], rounds: int) -> list[Times]:
    """The times of a row in each library."""
    turns = [Turns(row, library) for library in libraries]
    for turn in turns * WARM:
        turn.round(untimed)
    clock = Clock()
    found = [[turn.round(clock) for turn in turns] for _ in range(rounds)]
    return [{name: [times[name] for times in rounds] for name in rounds[0]} for rounds in zip(*found, strict=True)]


def bandwidth(clock: Clock) -> float:
    """Bytes that a copy reads and writes in a µs."""
    import cupy

    source, target = cupy.ones((2, 1 << 28), cupy.float32)
    times = [clock(lambda: cupy.copyto(target, source))[0] for _ in range(10)]
    return 2 * source.nbytes / statistics.median(times)


def line(row: Row, name: str, ours: Times, theirs: Times, speed: float) -> list[str]:
    """A line of the table: one pass of a workload, of which ``speed`` is the fastest that the device moves bytes."""
    device, host = (
        (statistics.median(a), statistics.median(b), statistics.median(x / y for x, y in zip(a, b, strict=True)))
        for a, b in zip(zip(*ours[name], strict=True), zip(*theirs[name], strict=True), strict=True)
    )
    floor = 0 if row.model else 4 * row.ideal.get(name, 0) * row.elements * row.longer / speed
    cells = [*(f"{x:.0f}" for x in device[:2]), f"{device[2]:.2f}", f"{device[0] / floor:.2f}" if floor else "–"]
    return [row.pattern.format(*row.large), name, *cells, *(f"{x:.0f}" for x in host[:2]), f"{host[2]:.2f}"]


def markdown(lines: list[list[str]], speed: float) -> str:
    """The table, and what it was measured on."""
    import cupy

    rule = ["---", "---", *["---:"] * (len(HEADS) - 2)]
    rows = [f"| {' | '.join(cells)} |\n" for cells in (HEADS, rule, *lines)]
    name = cupy.cuda.runtime.getDeviceProperties(0)["name"].decode()
    versions = ", ".join(f"{package} {sys.modules[package].__version__}" for package in ("numpy", "cupy", "torch"))
    return f"{''.join(rows)}\n{name}, which copies at {speed / 1e6:.2f} TB/s; {versions}.\n"


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=15, help="of which the median counts (%(default)s)")
    parser.add_argument("--only", default="", metavar="TEXT", help="only the rows with TEXT in their title")
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="write the table to FILE, between its marks")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all times to FILE")
    args = parser.parse_args()
    import autograd_gpu as ag

    if not ag.cuda.is_available():
        raise SystemExit(NO_DEVICE.format("CuPy has no device"))
    if not importlib.util.find_spec("torch"):
        raise SystemExit(NO_DEVICE.format("PyTorch is not installed"))
    import torch

    if not torch.cuda.is_available():
        raise SystemExit(NO_DEVICE.format("this PyTorch has no device"))
    speed = bandwidth(Clock())
    lines, everything = [], {}
    for row in ROWS:
        if args.only in row.title:
            ours, theirs = measured(row, [ag, torch], args.rounds)
            lines += [line(row, name, ours, theirs, speed) for name in ours]
            everything[row.title] = {"autograd_gpu": ours, "torch": theirs}
            print(*(" | ".join(cells) for cells in lines[-len(ours) :]), sep="\n", file=sys.stderr, flush=True)
    print(text := markdown(lines, speed))
    if args.markdown:
        write(text, args.markdown, "gpu")
    if args.json:
        args.json.write_text(json.dumps(everything, indent=1))


if __name__ == "__main__":
    main()
