"""Formulas that write into arrays, as NumPy calls on one cache-sized tile after another."""

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from ..dtypes import REDUCED, float32
from ..dtypes import of as dtype_of
from ..op import Op
from .expr import Expr, fold

TILE = 1 << 15  # elements: a few tiles of float32 fit into a core's cache


class Tiles:
    """``roots[i]``, of the slots of ``arrays`` arrays and then numbers, written into array ``first + i``."""

    def __init__(self, name: str, roots: tuple[Expr, ...], arrays: int, first: int, numbers: int) -> None:
        self.first = first
        self.run, self.scratch = compile_tile(name, roots, arrays, first, numbers)

    def __call__(self, tensors: Sequence[Sequence[np.ndarray]], numbers: Sequence[float]) -> None:
        """Update each of ``tensors``, whose arrays have one axis, one length and one dtype."""
        stored = tensors[0][0].dtype
        narrow = dtype_of(stored) in REDUCED
        computed = float32.numpy if narrow else stored
        scalars = as_arrays(computed, *numbers)
        longest = min(TILE, max([arrays[0].size for arrays in tensors]))
        scratch = [np.empty(longest, computed) for _ in range(self.scratch)]
        for arrays in tensors:
            size = arrays[0].size
            if size <= TILE and not narrow:
                self.run(*arrays, *scalars, *[part[:size] for part in scratch])
                continue
            for start in range(0, size, TILE):
                tiles = [array[start : start + TILE] for array in arrays]
                rest = tiles[0].size
                wide = [tile.astype(computed) for tile in tiles] if narrow else tiles
                self.run(*wide, *scalars, *[part[:rest] for part in scratch])
                if narrow:
                    for tile, value in zip(tiles[self.first :], wide[self.first :], strict=True):
                        tile[...] = value


@lru_cache(maxsize=64)
def as_arrays(computed: np.dtype, *numbers: float) -> tuple[np.ndarray, ...]:
    """Numbers as arrays, which NumPy takes faster: those of the steps of an optimizer are often the same."""
    return tuple(np.asarray(number, computed) for number in numbers)


def compile_tile(
    name: str, roots: tuple[Expr, ...], arrays: int, first: int, numbers: int
) -> tuple[Callable[..., None], int]:
    """A function of arrays, numbers and scratch arrays that runs the formulas, and how many scratch arrays it needs.

    A formula's last call writes into its array at once where the old values are not read any more.
    """
    steps: list[tuple[Op, tuple[str, ...]]] = []
    namespace: dict[str, Any] = {}

    def let_constant(value: float) -> str:
        constant = f"k{len(namespace)}"
        namespace[constant] = value
        return constant

    def let(op: Op, *operands: str) -> str:
        if not isinstance(op.numpy, np.ufunc):  # which may write to what it reads
            raise TypeError(f"{name}: {op.name} is not one ufunc of NumPy; write it with operations that are")
        steps.append((op, operands))
        return f"v{len(steps) - 1}"

    values = fold(roots, var="x{}".format, const=let_constant, call=let)
    for i, value in enumerate(values, first):
        if value.startswith("x") and int(value[1:]) < arrays and value != f"x{i}":
            raise TypeError(f"{name}: the new value of array {i} is array {value[1:]} as it is; compute it from that")
    last = {operand: i for i, (_, operands) in enumerate(steps) for operand in operands}
    place: dict[str, str] = {}  # where values lie
    for i, value in enumerate(values, first):
        if value.startswith("v") and value not in place and last.get(f"x{i}", 0) <= int(value[1:]):
            place[value] = f"x{i}"
    kept = {value for i, value in enumerate(values, first) if place.get(value) != f"x{i}"}
    free: list[str] = []
    lines, scratch = [], 0
    for i, (op, operands) in enumerate(steps):
        names = [place.get(operand, operand) for operand in operands]
        done = {operand for operand in operands if last[operand] == i and operand not in kept}
        free += sorted(place[operand] for operand in done if place.get(operand, "").startswith("t"))
        if f"v{i}" not in place:
            if not free:
                free.append(f"t{scratch}")
                scratch += 1
            place[f"v{i}"] = free.pop()
        namespace[op.name] = op.numpy
        lines.append(f"{op.name}({', '.join(names)}, out={place[f'v{i}']})")
    for i, value in enumerate(values, first):
        if place.get(value, value) != f"x{i}":
            lines.append(f"x{i}[...] = {place.get(value, value)}")
    parameters = [*(f"x{i}" for i in range(arrays + numbers)), *(f"t{i}" for i in range(scratch))]
    source = f"def run({', '.join(parameters)}):\n" + "\n".join(f"    {line}" for line in lines)
    exec(compile(source, f"<tiles of {name}>", "exec"), namespace)  # noqa: S102  our own text
    return namespace["run"], scratch
