"""What the host spends on one operation of a chain on CuPy arrays, backward by plans, beside CuPy calls by hand.

On a simulated CUDA device kernels are recorded and not run, so that only Python, CuPy and this package are timed;
on a GPU the arrays are small, and what is timed is until all kernels are queued. Both take turns in every round;
medians of the rounds are printed. By hand, each operation of a gradient is one call of a CuPy ufunc.

    ../shared/cudasim/run python benchmarks/overhead.py --cuda --rounds 15 --json overhead_cuda.json
"""

import contextlib
import importlib.util
import json
import os
import statistics
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from overhead import Steps, Times, chain, cost, measure, scalars, scalars_by_hand, table

import autograd_gpu as ag

OPS = 50  # operations in each graph
ELEMENTS = 1000
NO_DEVICE = (
    "--cuda needs a CUDA device, real or simulated, and there is none. For the simulated one:\n"
    "    ../shared/cudasim/run python benchmarks/overhead.py --cuda"
)

# The graphs on Tensors, and each with its derivatives by hand on CuPy arrays; x, w, b and g are as in overhead.py.


def unary(x: Any, _w: Any, _b: Any) -> Any:
    """Functions of one operand, and numbers."""
    for _ in range(OPS // 5):
        x = ag.exp(ag.sin(ag.tanh(x) * 1.5)) - 0.5
    return x


def unary_by_hand(x: Any, _w: Any, _b: Any, g: Any) -> Steps:
    """Keep what the derivatives read."""
    import cupy

    kept = []
    for _ in range(OPS // 5):
        tanh = cupy.tanh(x)
        scaled = tanh * 1.5
        exp = cupy.exp(cupy.sin(scaled))
        kept.append((tanh, scaled, exp))
        x = exp - 0.5
    yield
    for tanh, scaled, exp in reversed(kept):
        g = g * exp * cupy.cos(scaled) * 1.5 * (1 - tanh * tanh)
    yield g


def products_by_hand(x: Any, w: Any, b: Any, g: Any) -> Steps:
    """Keep the factors of w."""
    kept = []
    for _ in range(OPS // 2):
        kept.append(x)
        x = x * w + b
    yield
    gw, gb = g * kept.pop(), g
    for y in reversed(kept):
        g = g * w
        gw += g * y
        gb = gb + g
    yield g * w


WORKLOADS: dict[str, tuple[Callable[..., Any], Callable[..., Steps]]] = {
    "unary functions": (unary, unary_by_hand),
    "x * w + b": (partial(chain, ops=OPS), products_by_hand),
    "Python scalars": (partial(scalars, ops=OPS), partial(scalars_by_hand, ops=OPS)),
}
COLUMNS = ["autograd_gpu", "CuPy by hand"]


def with_tensors(graph: Callable[..., Any], *arrays: Any) -> Steps:
    """A graph on Tensors: its step forward, then its step backward."""
    *leaves, g = map(ag.asarray, arrays)
    x, w, b = (leaf.detach().requires_grad_() for leaf in leaves)
    y = graph(x, w, b)
    yield
    y.backward(g)
    del y  # freeing the graph is part of the cost
    yield x.grad.array


def starts(arrays: list[Any]) -> dict[str, dict[str, Callable[[], Steps]]]:
    """What runs each graph, by its name and column. All have run once, and given the same gradient of x."""
    found = {}
    for name, (graph, by_hand) in WORKLOADS.items():
        runs = partial(with_tensors, graph, *arrays), partial(by_hand, *arrays)
        (*_, ours), (*_, expected) = (run() for run in runs)
        np.testing.assert_allclose(ours.get(), expected.get(), rtol=1e-3, err_msg=name)
        found[name] = dict(zip(COLUMNS, runs, strict=True))
    return found


def recorded_only() -> contextlib.AbstractContextManager[None]:
    """On a simulated device, kernels are recorded and not run."""
    if os.environ.get("CUDASIM") and importlib.util.find_spec("cudasim"):
        import cudasim

        return cudasim.no_execution()
    return contextlib.nullcontext()


def ratio(ours: list[list[float]], by_hand: list[list[float]], part: int) -> str:
    """How many times what is done by hand costs, forward (0) or backward (1): the median of the rounds."""
    return f"{statistics.median(b[part] / a[part] for a, b in zip(ours, by_hand, strict=True)):.2f}"


def report(rounds: int, json_file: Path | None) -> None:
    """Measure, print the tables, and write every measured time to ``json_file``."""
    if not ag.cuda.is_available():
        raise SystemExit(NO_DEVICE)
    import cupy

    runs = starts([cupy.full(ELEMENTS, value, np.float32) for value in (0.5, 1.0001, 0.0001, 1.0)])
    times: Times = {name: {column: [] for column in columns} for name, columns in runs.items()}
    with recorded_only():
        for _ in range(rounds):
            for name, columns in runs.items():
                for column, start in columns.items():
                    cupy.cuda.Device().synchronize()
                    times[name][column].append(list(measure(start, OPS)))
    costs = {name: [cost(rounds) for rounds in columns.values()] for name, columns in times.items()}
    table(f"µs per operation, forward + backward (median of {rounds} rounds)", COLUMNS, costs)
    ratios = {name: [ratio(*columns.values(), part) for part in (0, 1)] for name, columns in times.items()}
    table("CuPy by hand ÷ autograd_gpu", ["forward", "backward"], ratios)
    if json_file:
        json_file.write_text(json.dumps({"ops": OPS, "us_per_op": times}, indent=1))
