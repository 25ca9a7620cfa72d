"""How many kernels a pass launches and how many bytes they move: this package beside PyTorch in eager mode.

This package runs on a simulated CUDA device, which counts every launch and every byte that a kernel's loads and
stores ask for. PyTorch runs on the CPU, where its dispatched operators are counted as if each were one launch that
reads each of its input tensors once and writes each of its outputs once (in-place operators do both; a broadcast
tensor is read at its own size, one of which single elements are picked not at all). Views, allocations and what knows
only shapes count nothing. On a GPU some of these operators are several launches, so the column is a lower bound;
where the CPU takes a decomposition and CUDA one operator (dropout), or CUDA another default (Adam's foreach form),
CUDA's is counted.

Counted is the second run of each pass, when all kernels and plans exist. Matrix products are counted apart, "+2 mm",
and their bytes not at all, on both sides. Bytes are in units of N float32 numbers, N being the elements of the row;
the ideal is what must at least move: what a pass reads and what it leaves behind, once each (see ``workloads.py``).

    ../shared/cudasim/run python benchmarks/traffic.py --markdown README.md
"""

import argparse
import contextlib
import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from marks import write
from workloads import ROWS, Row, Source, counted

NO_SIMULATOR = (
    "traffic.py counts kernels on a simulated CUDA device, and this process does not run on one. Start it by\n"
    "    ../shared/cudasim/run python benchmarks/traffic.py"
)
HEADS = [
    "work", "pass", "launches (ours)", "launches (torch eager)", "bytes (ours, N)", "bytes (torch, N)", "ideal",
    "ours/ideal",
]  # fmt: skip

Count = dict[str, int]  # launches, matmuls, bytes; on the device also host: copies to or from it, and waits for it
Counts = dict[str, dict[str, Count]]  # by the row's title and the pass


@contextlib.contextmanager
def simulated() -> Iterator[Count]:
    """Counts of the simulated device."""
    import cudasim

    found: Count = {}
    with cudasim.trace() as trace:
        yield found
    found["matmuls"] = len(trace.blas)
    found["launches"] = trace.launches - len(trace.blas)
    found["bytes"] = trace.bytes_of("kernel", "d2d", "memset")
    found["host"] = len(trace.of("h2d", "d2h", "sync"))


def count_ours(rows: list[Row]) -> Counts:
    """Our own, on the simulated device."""
    import autograd_gpu as ag

    return measure(rows, lambda: Source(ag, ag.nn.functional, "cuda"), simulated)


def count_torch(rows: list[Row]) -> Counts:
    """PyTorch on the CPU."""
    import torch
    from dispatched import FUNCTIONAL, Dispatched

    return measure(rows, lambda: Source(torch, FUNCTIONAL, "cpu"), Dispatched)


def measure(rows: list[Row], source: Callable[[], Source], counter: Callable[[], Any]) -> Counts:
    """The counts of every pass of ``rows``, each with arrays from a ``source`` of its own."""
    counts: Counts = {}
    for row in rows:
        new = source()
        print(f"{new.library.__name__}: {row.title}", file=sys.stderr, flush=True)
        counts[row.title] = counted(row.work, row.size, new, counter)
    return counts


def ask_torch(only: str) -> Counts:
    """PyTorch's counts, from a process of its own: its libraries and the simulated ones do not mix."""
    command = [sys.executable, __file__, "--torch", "--only", only]
    return json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)  # noqa: S603


def line(row: Row, name: str, ours: Count, theirs: Count | None) -> list[str]:
    """A line of the table: one pass of a workload."""
    unit, ideal = 4 * row.elements, row.ideal[name]
    moved = ours["bytes"] / unit
    torchs = [launches(theirs), f"{theirs['bytes'] / unit:.2f}"] if theirs else ["–", "–"]
    return [row.title, name, launches(ours), torchs[0], f"{moved:.2f}", torchs[1], f"{ideal:g}", f"{moved / ideal:.2f}"]


def launches(count: Count) -> str:
    """Launches, those of matrix products apart."""
    return f"{count['launches']}" + (f" + {count['matmuls']} mm" if count["matmuls"] else "")


def markdown(rows: list[Row], ours: Counts, theirs: Counts) -> str:
    """The table, and what was not as it should be."""
    lines = [
        line(row, name, ours[row.title][name], theirs.get(row.title, {}).get(name))
        for row in rows
        for name in row.ideal
    ]
    rule = ["---", "---", *["---:"] * (len(HEADS) - 2)]
    table = [f"| {' | '.join(cells)} |" for cells in (HEADS, rule, *lines)]
    waits = [
        f"{row.title}, {name}: {count['host']} copies to or from the host and waits for the device"
        for row in rows
        for name, count in ours[row.title].items()
        if count["host"]
    ]
    return "\n".join([*table, *waits])


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="write the table to FILE, between its marks")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all counts to FILE")
    parser.add_argument("--only", default="", metavar="TEXT", help="only the rows with TEXT in their title")
    parser.add_argument("--torch", action="store_true", help="print PyTorch's counts alone, as JSON")
    args = parser.parse_args()
    if not (rows := [row for row in ROWS if args.only in row.title]):
        parser.error(f"no row has {args.only!r} in its title; there are {'; '.join(row.title for row in ROWS)}")
    if args.torch:
        print(json.dumps(count_torch(rows)))
        return
    if not (importlib.util.find_spec("cudasim") and os.environ.get("CUDASIM")):
        raise SystemExit(NO_SIMULATOR)
    ours = count_ours(rows)
    theirs = ask_torch(args.only) if importlib.util.find_spec("torch") else {}
    print(table := markdown(rows, ours, theirs))
    if args.markdown:
        write(f"{table}\n", args.markdown, "traffic")
    if args.json:
        args.json.write_text(json.dumps({"autograd_gpu": ours, "torch": theirs}, indent=1))


if __name__ == "__main__":
    main()
