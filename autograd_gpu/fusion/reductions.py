"""What formulas have besides elementwise operations: reductions, and values that depend on the place alone.

A formula is computed over a domain: the shape that its slots broadcast to, whose last axes (one or more) make up a
row. Every value has a level: ``ELEMENT`` (one each), ``ROW`` (one a row) or ``ALL`` (one only); a value of a lower
level stands for as many equal ones where a higher level is asked for.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..backends._words import PHILOX
from .expr import Expr, fold

ALL, ROW, ELEMENT = range(3)

UNIFORM_NUMBER = """
__device__ inline scalar uniform(long long seed, long long draw, long long place) {
    return unit_at<scalar>(seed, draw, place);
}
"""


@dataclass(frozen=True)
class Reduction:
    """Of values of the level ``over`` to one of the level ``level``; nan wins over every number.

    ``identity`` (``integer`` where integers of 64 bits are computed) and ``combine`` are C++ expressions, the latter
    of ``{0}`` and ``{1}``, of type ``scalar``.
    """

    name: str
    over: int
    level: int
    identity: str
    integer: str
    combine: str
    numpy: np.ufunc
    helpers = ()


@dataclass(frozen=True)
class Place:
    """A value that depends on the place in the domain: ``cuda`` is its C++ expression, also of arguments."""

    name: str
    level: int
    cuda: str = ""
    helpers: tuple[str, ...] = ()


_KINDS = {
    "sum": ("0", "0", "{0} + {1}", np.add),
    "max": ("-1.0 / 0.0", "-0x7fffffffffffffff - 1", "{0} != {0} || {0} > {1} ? {0} : {1}", np.maximum),
    "min": ("1.0 / 0.0", "0x7fffffffffffffff", "{0} != {0} || {0} < {1} ? {0} : {1}", np.minimum),
}
SUM, MAX, MIN = (Reduction(name, ELEMENT, ROW, *kind) for name, kind in _KINDS.items())
SUM_ALL, MAX_ALL, MIN_ALL = (Reduction(f"{name}_all", ELEMENT, ALL, *kind) for name, kind in _KINDS.items())
SUM_ROWS, MAX_ROWS, MIN_ROWS = (Reduction(f"{name}_rows", ROW, ALL, *kind) for name, kind in _KINDS.items())

COUNT = Place("count", ALL)  # the number of elements of a row; kernels get it as a number
COUNT_ALL = Place("count_all", ALL)  # of elements
COUNT_ROWS = Place("count_rows", ALL)  # of rows
POSITION = Place("position", ELEMENT, "column")  # the place in the row, an integer
# a random number in [0, 1) of a seed, the number of a draw, and the place
UNIFORM = Place("uniform", ELEMENT, "uniform({0}, {1}, place)", (PHILOX, UNIFORM_NUMBER))

OVER_ALL = {SUM: SUM_ALL, MAX: MAX_ALL, MIN: MIN_ALL}  # the same of all elements
OVER_ROWS = {SUM: SUM_ROWS, MAX: MAX_ROWS, MIN: MIN_ROWS}  # and of all rows
SUMS = {(ELEMENT, ROW): SUM, (ELEMENT, ALL): SUM_ALL, (ROW, ALL): SUM_ROWS}  # by what they are of and make
COUNTS = {SUM: COUNT, SUM_ALL: COUNT_ALL, SUM_ROWS: COUNT_ROWS}


def level_of(op: Any, *levels: int) -> int:
    """The level of ``op`` of values of ``levels``."""
    return op.level if isinstance(op, Reduction | Place) else max(levels)


def levels(root: Expr, of_slots: Mapping[int, int]) -> dict[Expr, int]:
    """The level of ``root`` and of every formula in it, given those of its slots."""
    found: dict[Expr, int] = {}
    fold((root,), var=of_slots.__getitem__, const=lambda _: ALL, call=level_of, done=found)
    return found


def largest(roots: tuple[Expr, ...], wanted: Callable[[Expr], bool]) -> list[Expr]:
    """The largest formulas in ``roots`` that are ``wanted``, each once."""
    found: dict[Expr, None] = {}
    seen: set[Expr] = set()
    stack = list(roots)
    while stack:
        node = stack.pop()
        if node in seen or node.op in (int, float):
            continue
        seen.add(node)
        if wanted(node):
            found[node] = None
        else:
            stack.extend(node.args)
    return list(found)
