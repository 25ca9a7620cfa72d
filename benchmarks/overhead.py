"""What one recorded operation costs on small arrays, forward and backward, beside other libraries.

Each library runs in a process of its own, and all take turns in every round, so that a disturbance of the
machine meets them alike. Ratios are taken within a round; medians over the rounds are printed.

    python benchmarks/overhead.py --rounds 15 --json overhead.json

With ``--cuda``: chains on CuPy arrays, backward by plans, beside CuPy calls by hand (overhead_cuda.py).
"""

import argparse
import gc
import importlib.metadata
import importlib.util
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

OPS = 1000  # operations in each graph
REPEATS = 5  # runs of a graph in a round; the fastest counts
ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")

Steps = Iterator[Any]  # its first step runs a graph forward, its second backward, which gives x's gradient

# The graphs, on whatever has + and *, and each with its derivatives by hand for bare arrays.


def chain(x: Any, w: Any, b: Any, ops: int = OPS) -> Any:
    """Multiply by w and add b, again and again: each operation differentiates both operands."""
    for _ in range(ops // 2):
        x = x * w + b
    return x


def chain_by_hand(x: Any, w: Any, b: Any, g: Any) -> Steps:
    """Keep the factors of w."""
    kept = []
    for _ in range(OPS // 2):
        kept.append(x)
        x = x * w + b
    yield
    gw, gb = np.zeros_like(w), np.zeros_like(b)
    for y in reversed(kept):
        gb += g
        gw += g * y
        g = g * w
    yield g


def scalars(x: Any, _w: Any, _b: Any, ops: int = OPS) -> Any:
    """Multiply by a Python number and add another."""
    for _ in range(ops // 2):
        x = x * 1.0001 + 0.0001
    return x


def scalars_by_hand(x: Any, w: Any, b: Any, g: Any, ops: int = OPS) -> Steps:
    """Nothing to keep."""
    yield scalars(x, w, b, ops)
    for _ in range(ops // 2):
        g = g * 1.0001
    yield g


def fan_out(x: Any, w: Any, b: Any) -> Any:
    """Add the same product many times: the gradients of x and w have many parts."""
    for _ in range(OPS // 2):
        b = b + x * w
    return b


def fan_out_by_hand(x: Any, w: Any, b: Any, g: Any) -> Steps:
    """Nothing to keep but the operands."""
    yield fan_out(x, w, b)
    gx, gw = np.zeros_like(x), np.zeros_like(w)
    for _ in range(OPS // 2):
        gx += g * w
        gw += g * x
    yield gx


WORKLOADS: dict[str, tuple[Callable[..., Any], Callable[..., Steps], tuple[int, ...]]] = {
    "scalar chain": (chain, chain_by_hand, ()),
    "10 elements": (chain, chain_by_hand, (10,)),
    "1000 elements": (chain, chain_by_hand, (1000,)),
    "Python scalars": (scalars, scalars_by_hand, ()),
    "fan-out": (fan_out, fan_out_by_hand, (10,)),
}

# The libraries: a graph and the arrays x, w, b and incoming gradient become Steps.

Runner = Callable[..., Steps]


def with_tensors(tensor: Callable[[Any], Any], constant: Callable[[Any], Any]) -> Runner:
    """Libraries with ``y.backward(gradient)`` and ``x.grad``."""

    def steps(graph: Callable[..., Any], *arrays: Any) -> Steps:
        x, w, b = map(tensor, arrays[:3])
        y = graph(x, w, b)
        yield
        y.backward(constant(arrays[3]))
        del y  # freeing the graph is part of the cost
        yield x.grad

    return steps


def load_autograd_gpu() -> Runner:
    """Ours."""
    import autograd_gpu as ag

    return with_tensors(lambda a: ag.from_numpy(a).requires_grad_(), ag.from_numpy)


def load_pytorch() -> Runner:
    """PyTorch, on one thread."""
    import torch

    torch.set_num_threads(1)
    return with_tensors(lambda a: torch.from_numpy(a).requires_grad_(), torch.from_numpy)


def load_mygrad() -> Runner:
    """MyGrad."""
    import mygrad

    return with_tensors(mygrad.tensor, np.asarray)


def load_autograd() -> Runner:
    """HIPS/autograd."""
    from autograd.differential_operators import make_vjp

    def steps(graph: Callable[..., Any], *arrays: Any) -> Steps:
        vjp, _ = make_vjp(graph, argnum=(0, 1, 2))(*arrays[:3])
        yield
        gradient = vjp(arrays[3])[0]
        del vjp
        yield gradient

    return steps


LIBRARIES: dict[str, tuple[str, Callable[[], Runner]]] = {  # ours first; the name that pip knows
    "autograd_gpu": ("autograd_gpu", load_autograd_gpu),
    "PyTorch": ("torch", load_pytorch),
    "HIPS/autograd": ("autograd", load_autograd),
    "MyGrad": ("mygrad", load_mygrad),
    "NumPy by hand": ("numpy", lambda: lambda by_hand, *arrays: by_hand(*arrays)),
}

# A worker process: one library, which waits for the name of a workload and answers with its cost.


def measure(start: Callable[[], Steps], ops: int = OPS) -> tuple[float, float]:
    """Microseconds for each of ``ops`` operations, forward and backward."""
    gc.collect()
    runs = []
    for _ in range(REPEATS):
        t0, steps = time.perf_counter(), start()
        next(steps)
        t1 = time.perf_counter()
        next(steps)
        runs.append((t1 - t0, time.perf_counter() - t1))
    forward, backward = min(runs, key=sum)
    return forward / ops * 1e6, backward / ops * 1e6


def work(name: str) -> None:
    """Check the library's gradients against those by hand, then measure what is asked for."""
    run = LIBRARIES[name][1]()
    starts = {}
    for workload, (graph, by_hand, shape) in WORKLOADS.items():
        arrays = [np.full(shape, value, np.float32) for value in (1.0, 1.0001, 0.0001, 1.0)]
        call = (by_hand if name == "NumPy by hand" else graph, *arrays)
        starts[workload] = lambda call=call: run(*call)
        *_, gradient = run(*call)
        *_, expected = by_hand(*arrays)
        np.testing.assert_allclose(np.asarray(gradient), expected, rtol=1e-3, err_msg=workload)
    for line in sys.stdin:
        print(json.dumps(measure(starts[line.strip()])), flush=True)


def ask(worker: subprocess.Popen[str], workload: str) -> list[float]:
    """The cost of ``workload`` in that worker."""
    print(workload, file=worker.stdin, flush=True)
    if not (answer := worker.stdout.readline()):
        raise SystemExit(f"{worker.args[-1]} failed at {workload}")
    return json.loads(answer)


# The driver.

Times = dict[str, dict[str, list[list[float]]]]  # workload, library, round: forward and backward


def run_rounds(names: list[str], rounds: int) -> Times:
    """Let every library measure every workload once in each round, and once before, to warm up."""
    pipes = {
        "stdin": subprocess.PIPE,
        "stdout": subprocess.PIPE,
        "text": True,
        "env": os.environ | ONE_THREAD,
    }
    command = [sys.executable, __file__, "--worker"]
    workers = {name: subprocess.Popen([*command, name], **pipes) for name in names}  # noqa: S603
    times: Times = {workload: {name: [] for name in names} for workload in WORKLOADS}
    for done in range(rounds + 1):
        for workload, columns in times.items():
            for name, column in columns.items():
                column.append(ask(workers[name], workload))
        print(f"\rround {done} of {rounds}", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)
    for worker in workers.values():
        worker.communicate()  # closes its input, which ends it
    return {w: {name: column[1:] for name, column in columns.items()} for w, columns in times.items()}


def cost(rounds: list[list[float]]) -> str:
    """Forward + backward, each the median of the rounds."""
    return " + ".join(f"{statistics.median(part):.2f}" for part in zip(*rounds, strict=True))


def ratio(ours: list[list[float]], theirs: list[list[float]]) -> str:
    """Forward and backward together: the median of the rounds' ratios."""
    return f"{statistics.median(sum(a) / sum(b) for a, b in zip(ours, theirs, strict=True)):.2f}"


def table(title: str, heads: list[str], rows: dict[str, list[str]]) -> None:
    """Print a row for each workload and a column for each library."""
    print(f"\n{title}\n")
    for name, cells in {"": heads, **rows}.items():
        print(f"{name:16}" + "".join(f"{cell:>16}" for cell in cells))


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=15, help="how often all is measured (%(default)s)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every measured time to FILE")
    parser.add_argument("--cuda", action="store_true", help="measure chains on CuPy arrays instead")
    parser.add_argument("--worker", choices=LIBRARIES, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.worker:
        work(args.worker)
        return
    if args.cuda:
        import overhead_cuda

        overhead_cuda.report(args.rounds, args.json)
        return
    names = [name for name, (package, _) in LIBRARIES.items() if importlib.util.find_spec(package)]
    times = run_rounds(names, args.rounds)
    versions = {name: importlib.metadata.version(LIBRARIES[name][0]) for name in names}
    print(", ".join(map(" ".join, versions.items())))
    if absent := [name for name in LIBRARIES if name not in names]:
        print(f"left out, not installed: {', '.join(absent)}")
    ours, *peers = names
    costs = {w: [cost(column) for column in columns.values()] for w, columns in times.items()}
    table(f"µs per operation, forward + backward (median of {args.rounds} rounds)", names, costs)
    ratios = {w: [ratio(columns[ours], columns[peer]) for peer in peers] for w, columns in times.items()}
    table(f"{ours} ÷ the other, forward and backward together", peers, ratios)
    if args.json:
        args.json.write_text(json.dumps({"versions": versions, "ops": OPS, "us_per_op": times}, indent=1))


if __name__ == "__main__":
    main()
