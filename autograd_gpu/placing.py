"""The cotangents of views by integers, slices and Nones: they are put in their places when all of them are there.

What the views of one tensor hand back goes into one array, which is filled with zeros only where they may leave gaps.
"""

from functools import lru_cache
from math import prod
from typing import Any

import numpy as np

from .backends import of
from .engine import Pending
from .modes import Anomaly
from .nodes import ArrayOpNode
from .op import TABLE
from .ops.index import ALIAS, SELECT, SLICE, UNSQUEEZE
from .shapes import Shape

Box = tuple[range, ...]  # the places along each axis
SIMPLE = 1 << 14  # elements of NumPy arrays up to which zeros take no longer than to find that none are needed


class Placement(Pending):
    """The sum of ``pieces`` (pairs of key and value) in an array of zeros of ``size``, and of an array ``rest``."""

    __slots__ = ("pieces", "rest", "size")
    __array_ufunc__ = None  # array + Placement asks the Placement

    def __init__(self, size: Shape, pieces: tuple[tuple[Any, Any], ...], rest: Any = None) -> None:
        self.size, self.pieces, self.rest = size, pieces, rest

    def __add__(self, other: Any) -> "Placement":
        pieces, rest = (other.pieces, other.rest) if isinstance(other, Placement) else ((), other)
        if self.rest is not None:
            rest = self.rest if rest is None else self.rest + rest
        return Placement(self.size, self.pieces + pieces, rest)

    __radd__ = __add__

    def settled(self) -> Any:
        """The array, in memory of its own unless one piece is all of it."""
        value = self.pieces[0][1]
        if self.rest is None and len(self.pieces) == 1 and value.size == prod(self.size):
            return value.reshape(self.size)
        xp, apart = of(value).xp, False
        if self.rest is not None:
            z = xp.array(self.rest)
        else:
            covered = False
            if xp is not np or prod(self.size) > SIMPLE:
                apart, covered = spread(tuple([box(key, self.size) for key, _ in self.pieces]), self.size)
            z = (xp.empty if covered else xp.zeros)(self.size, value.dtype)
        for number, (key, value) in enumerate(self.pieces):
            if apart or (number == 0 and self.rest is None):
                z[key] = value
            else:
                part = z[key]
                part += value
        return z


def box(key: tuple[Any, ...], size: Shape) -> Box:
    """The places along each axis of an array of ``size`` that ``key``, which ends with ``...``, names."""
    named = [entry for entry in key[:-1] if entry is not None]
    places = [
        range(*entry.indices(n)) if isinstance(entry, slice) else range(entry % n, entry % n + 1)
        for entry, n in zip(named, size, strict=False)
    ]
    return (*places, *map(range, size[len(places) :]))


@lru_cache(maxsize=4096)
def spread(boxes: tuple[Box, ...], size: Shape) -> tuple[bool, bool]:
    """Whether no two of ``boxes`` share an element, as far as that is easily seen; and whether they leave no gap.

    They share none if along each axis their places are the same or others, and along one at least they are others.
    """
    for ranges, n in zip(zip(*boxes, strict=True), size, strict=True):
        names = np.zeros(n, np.intp)
        for places in set(ranges):
            names[places.start : places.stop : places.step] += 1
        if names.max(initial=0) > 1:
            return False, False
    if len(set(boxes)) < len(boxes):
        return False, False
    return True, sum(prod(map(len, one)) for one in boxes) == prod(size)


class PlacingNode(ArrayOpNode):
    """A node of a view by integers, slices and Nones."""

    __slots__ = ()

    def pullback(self, grad: Any) -> tuple[Any, ...]:
        if self.hooks is not None or Anomaly.on:  # users see the cotangent
            return self.recorded_pullback(grad)
        return (Placement(self.shapes[0], ((self.params["key"], grad),)),)

    def recorded_pullback(self, grad: Any) -> tuple[Any, ...]:
        return (TABLE.placed(grad, key=self.params["key"], size=self.shapes[0]),)


for _op in (SELECT, SLICE, UNSQUEEZE, ALIAS):
    _op.node_base = PlacingNode
