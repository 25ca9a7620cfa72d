"""Forward and backward passes on the CPU beside PyTorch, torch.compile, jax.jit, HIPS/autograd and MyGrad.

Each library runs in a process of its own, with the same number of threads for its own kernels and for BLAS, and all
take turns in every round. A cell of the table is the time relative to PyTorch's, the median over the rounds (below 1 is
faster), for one thread and for two. ``fused`` uses ``ag.fuse``, ``plain`` is the same without it, ``tiled`` the first
without a compiler; ``PyTorch, primitives`` spells out functions that PyTorch has. Nothing is compiled while time is
taken, and all libraries must have PyTorch's results. What the better of ``fused`` and ``plain`` is to reach stands at
the end of a row. The last row is how far memory grows at most, beside the operands.

    python benchmarks/cpu.py --table README.md --plots plots
"""

import argparse
import importlib.metadata
import importlib.util
import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from cpu_libraries import LIBRARIES, environment, installed, operands, set_threads
from cpu_report import Numbers, Row, plot, table
from cpu_works import LARGE, ROWS, WORKS, Step, Work
from marks import write

SPAN = 0.1  # seconds that a turn takes at least
ALIKE = 1e-3  # how far results may be from PyTorch's, relative to them
STATUS = Path("/proc/self/status")  # Linux tells there what memory a process has; elsewhere that row is left out
MEMORY, LIGHTER = f"peak memory of {LARGE.title}", {"PyTorch": 0.7}

# A worker process: one library, which does what each line of its input says and answers with a number.


def turn(step: Step) -> float:
    """The median time of a step in milliseconds."""
    step()  # its data come back to the caches
    times: list[float] = []
    while sum(times) < SPAN:
        start = time.perf_counter()
        step()
        times.append(time.perf_counter() - start)
    settle()
    return 1e3 * float(np.median(times))


def settle() -> None:
    """Wait until no thread of this process spins any more: those of OpenBLAS go on for a tenth of a second."""
    busy = 1.0
    while busy > 1e-3:
        start = time.process_time()
        time.sleep(0.01)
        busy = time.process_time() - start


def fingerprint(results: Sequence[Any]) -> float:
    """A product with random numbers, which tells results apart that are not the same."""
    rng = np.random.default_rng(1)
    arrays = [np.asarray(result.detach() if hasattr(result, "detach") else result) for result in results]
    return float(sum(np.vdot(rng.standard_normal(array.shape), array) for array in arrays))


def status(field: str) -> float:
    """A size of this process in MiB."""
    lines = STATUS.read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith(field))


def peak(name: str, size: tuple[int, ...]) -> float:
    """How many MiB two passes need at most, beside their operands and the incoming gradient."""
    make = LIBRARIES[name].step
    for small in 10**5, 10**5 + 8:  # what is imported does not count, nor what is compiled for all sizes
        make(LARGE, (small,))()
    given = sum(array.nbytes for arrays in operands(LARGE, size) for array in arrays) + 4 * size[0]
    before = status("VmRSS")
    step = make(LARGE, size)
    step()
    step()
    return status("VmHWM") - before - given / 2**20


def serve(name: str, threads: int, *, tiny: bool) -> None:
    """Make what is asked for, and measure it."""
    set_threads(LIBRARIES[name].package, threads)
    step: Step = list
    for line in sys.stdin:
        order, _, title = line.strip().partition(" ")
        answer = 0.0
        if order == "make":
            del step  # before the next one, for its memory
            work = WORKS[title]
            step = LIBRARIES[name].step(work, work.tiny if tiny else work.size)
            answer = fingerprint(step())
            settle()
        elif order == "turn":
            answer = turn(step)
        else:
            answer = peak(name, (10**6,) if tiny else LARGE.size)
        print(json.dumps(answer), flush=True)


# The driver.


class Workers:
    """A process for each of ``names``, with ``threads`` threads, until it is left."""

    def __init__(self, names: Sequence[str], threads: int, *, tiny: bool) -> None:
        command = [sys.executable, __file__, "--threads", str(threads), *["--tiny"] * tiny, "--worker"]
        pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
        env = os.environ | environment(threads)
        self.running = {name: subprocess.Popen([*command, name], env=env, **pipes) for name in names}  # noqa: S603

    def __enter__(self) -> "Workers":
        return self

    def __exit__(self, *_: object) -> None:
        for worker in self.running.values():
            worker.communicate()  # closes its input, which ends it

    def ask(self, name: str, order: str) -> float:
        """What that library answers."""
        worker = self.running[name]
        with suppress(BrokenPipeError):  # it has ended, and does not answer
            print(order, file=worker.stdin, flush=True)
        if not (answer := worker.stdout.readline()):
            raise SystemExit(f"{name} failed at {order!r}; leave it out with --libraries")
        return float(json.loads(answer))


def measured(works: Sequence[Work], names: Sequence[str], threads: int, rounds: int, *, tiny: bool) -> dict[str, Any]:
    """For each work and library, the milliseconds of each round."""
    found = {}
    with Workers(names, threads, tiny=tiny) as workers:
        for work in works:
            able = [name for name in names if LIBRARIES[name].can(work, name)]
            print(f"{work.title}, {threads} thread{'s' * (threads > 1)}", file=sys.stderr, flush=True)
            results = {name: workers.ask(name, f"make {work.title}") for name in able}
            agree(work.title, results)
            times: dict[str, list[float]] = {name: [] for name in able}
            for _ in range(-(-rounds // 3) if work.heavy else rounds):
                for name in able:
                    times[name].append(workers.ask(name, "turn"))
            found[work.title] = times
    return found


def agree(title: str, results: dict[str, float]) -> None:
    """Raise SystemExit unless all libraries have PyTorch's results."""
    expected = results["PyTorch"]
    if wrong := [name for name, value in results.items() if not abs(value - expected) <= ALIKE * abs(expected)]:
        raise SystemExit(f"{title}: the results of {', '.join(wrong)} are not those of PyTorch")


def peaks(names: Sequence[str], *, tiny: bool) -> Numbers:
    """The peak memory of each library, in a process that has done nothing else."""
    found = {}
    for name in names:
        print(f"{MEMORY}: {name}", file=sys.stderr, flush=True)
        with Workers([name], 1, tiny=tiny) as workers:
            found[name] = [workers.ask(name, "peak")]
    return {1: found}


def versions(names: Sequence[str]) -> str:
    """Which versions were measured."""
    packages = dict.fromkeys(["numpy", *(LIBRARIES[name].package for name in names)])
    return ", ".join(f"{package} {importlib.metadata.version(package)}" for package in packages)


def arguments(words: Sequence[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=15, help="of which the median counts (%(default)s)")
    parser.add_argument("--only", nargs="+", default=[""], metavar="ROW", help="rows with one of these in their titles")
    parser.add_argument("--libraries", nargs="+", choices=LIBRARIES, metavar="NAME", help=f"of {', '.join(LIBRARIES)}")
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2], help="numbers of threads (1 2)")
    parser.add_argument("--table", type=Path, metavar="FILE", help="write the table to FILE, between its marks")
    parser.add_argument("--plots", type=Path, metavar="DIR", help="draw a figure for each group of rows")
    parser.add_argument("--tiny", action="store_true", help="few elements, to see whether all runs")
    parser.add_argument("--worker", choices=LIBRARIES, help=argparse.SUPPRESS)
    options = parser.parse_args(words)
    if min(options.rounds, *options.threads) < 1:
        parser.error("--rounds and --threads are at least 1")
    if options.plots and importlib.util.find_spec("matplotlib") is None:
        parser.error("no plots without matplotlib: pip install matplotlib")
    titles = [*WORKS, *[MEMORY] * STATUS.exists()]
    options.rows = [title for title in titles if any(text in title for text in options.only)]
    if not options.rows:
        parser.error(f"no row has {' or '.join(map(repr, options.only))} in its title; there are {'; '.join(titles)}")
    return options


def main(words: Sequence[str] | None = None) -> None:
    """Measure, and print the table."""
    options = arguments(words)
    if options.worker:
        serve(options.worker, options.threads[0], tiny=options.tiny)
        return
    there = installed()
    names = [name for name in there if name in {"PyTorch", *(options.libraries or there)}]
    if "PyTorch" not in names:
        raise SystemExit("all times are divided by PyTorch's: pip install torch")
    if absent := [name for name in options.libraries or LIBRARIES if name not in there]:
        print(f"not installed, left out: {', '.join(absent)}", file=sys.stderr)
    works = [work for work in ROWS if work.title in options.rows]
    found = {n: measured(works, names, n, options.rounds, tiny=options.tiny) for n in options.threads}
    rows = [Row(w.title, w.group, "ms", w.most, {n: found[n][w.title] for n in options.threads}) for w in works]
    if MEMORY in options.rows:
        able = [name for name in names if LIBRARIES[name].can(LARGE, name)]
        rows.append(Row(MEMORY, "memory", "MiB", LIGHTER, peaks(able, tiny=options.tiny)))
    text = f"{table(rows, names)}\nMedians of {options.rounds} round{'s' * (options.rounds > 1)}; {versions(names)}.\n"
    sys.stdout.write(text)
    if options.table:
        write(text, options.table, "cpu")
    if options.plots:
        plot(rows, names, options.plots)


if __name__ == "__main__":
    main()
