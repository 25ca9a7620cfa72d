"""From which sizes on a program on NumPy arrays is compiled, threads share it, and backward passes are planned.

The constants ``FROM`` of autograd_gpu/fusion/native.py, ``ALONE`` of fusion/threads.py and ``LARGE`` of nodes.py come
from this script. Times are medians in microseconds, interleaved in one run. Of one call of a program, without what
records it: ``NumPy`` is the straight NumPy function (from 2^16 elements of float32 on, tile by tile), ``compiled`` a
kernel on one thread, ``threads`` the same on two. A small program has two operations, a large one is the slope of gelu.
Of a backward pass of three operations, and of 17: by a ``plan``, on one thread, and ``node by node``.

    python benchmarks/thresholds.py
"""

import argparse
import statistics
import time
from collections.abc import Callable
from functools import reduce
from typing import Any

import numpy as np

import autograd_gpu as ag
from autograd_gpu import functions, planned, record
from autograd_gpu.dtypes import float32
from autograd_gpu.fusion import compiling, fuse, interpret, native, threads
from autograd_gpu.fusion.expr import Expr, slot, vjp
from autograd_gpu.fusion.program import Program
from autograd_gpu.fusion.reductions import ELEMENT
from autograd_gpu.op import TABLE

x, y, z = map(slot, range(3))
SLOPE = vjp(TABLE.gelu)[0]  # of operand, result and cotangent
FORMULAS = {"x · y + x": x * y + x, "slope of gelu": SLOPE}
SIZES = [1 << n for n in range(8, 23)]
GRAPHS = {
    "backward of (x · w).tanh().sum()": lambda x, w: (x * w).tanh().sum(),
    "backward of 17 operations": lambda x, w: reduce(lambda y, _: (y * w).tanh() * 1.5 + 0.5, range(4), x).mean(),
}


def program_of(formula: Expr | None, inputs: int) -> Program:
    """The program of one formula."""
    assert formula is not None
    return Program((formula,), (ELEMENT,), (float32,) * inputs, (float32,), float32)


def medians(runs: dict[str, Callable[[], object]], repeats: int) -> dict[str, float]:
    """The median time of each of ``runs`` in microseconds, one after the other in each turn."""
    times: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(repeats):
        for name, run in runs.items():
            start = time.perf_counter()
            run()
            times[name].append(1e6 * (time.perf_counter() - start))
    return {name: statistics.median(all_times) for name, all_times in times.items()}


def measure(program: Program, size: int, repeats: int) -> dict[str, float]:
    """Times of the roads of ``program`` on ``size`` elements."""
    rng = np.random.default_rng(0)
    values = [rng.standard_normal(size).astype(np.float32) for _ in program.inputs]
    arguments = values, (size,), (None,)
    alone = threads.ALONE

    def on(number: int, least: int) -> Callable[[], object]:
        def run() -> object:
            threads.THREADS.number, threads.ALONE = number, least
            with compiling("always"):
                return native.run(program, *arguments)

        return run

    runs = {
        "NumPy": lambda: interpret.run(program, *arguments),
        "compiled": on(1, 1),
        "threads": on(2, 1),
    }
    for run in runs.values():
        run()
    try:
        return medians(runs, repeats)
    finally:
        threads.ALONE = alone


def passes(graph: Callable[..., Any], size: int, repeats: int) -> dict[str, float]:
    """Times of the roads of a backward pass over arrays of ``size`` elements."""
    x, w = (ag.rand(size).requires_grad_() for _ in range(2))
    times: dict[str, list[float]] = {"on": [], "off": []}
    for _ in range(repeats + 3):
        for mode, of_mode in times.items():
            x.grad = w.grad = None
            y = graph(x, w)
            with fuse(mode):
                start = time.perf_counter()
                y.backward()
                of_mode.append(1e6 * (time.perf_counter() - start))
    return {mode: statistics.median(of_mode[3:]) for mode, of_mode in times.items()}


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=101, help="calls of each, of which the median counts")
    repeats = parser.parse_args().repeats
    for name, formula in FORMULAS.items():
        program = program_of(formula, 3)
        print(f"\n{name}\n\n| elements | NumPy | compiled | threads |\n|---:|---:|---:|---:|")
        for size in SIZES:
            times = measure(program, size, repeats)
            print(f"| {size} | " + " | ".join(f"{times[road]:.1f}" for road in ("NumPy", "compiled", "threads")) + " |")
    ag.set_num_threads(1)
    planned.Plans.came_before = lambda _, __: True
    for names in (*(f.__globals__ for f in functions.FUNCTIONS), vars(record)):
        names["LARGE"] = 0
    for name, graph in GRAPHS.items():
        print(f"\n{name}\n\n| elements | plan | node by node |\n|---:|---:|---:|")
        for size in SIZES[4:-3]:
            times = passes(graph, size, repeats)
            print(f"| {size} | {times['on']:.1f} | {times['off']:.1f} |")


if __name__ == "__main__":
    main()
