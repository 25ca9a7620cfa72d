"""Sizes: their printed form, broadcasting and axis numbers, with torch's words for what does not fit."""

from collections.abc import Iterable
from functools import lru_cache
from math import prod
from operator import index
from typing import Any

from .errors import ShapeError
from .modes import Namespace

Shape = tuple[int, ...]


class Size(tuple[int, ...]):
    """A tensor's shape: a tuple that prints as ``torch.Size([2, 3])``.

    >>> Size((2, 3)).numel()
    6
    """

    __slots__ = ()

    def numel(self) -> int:
        """The number of elements."""
        return prod(self)

    def __repr__(self) -> str:
        return f"{Namespace.name}.Size([{', '.join(map(str, self))}])"

    def __getitem__(self, key: Any) -> Any:
        item = super().__getitem__(key)
        return Size(item) if isinstance(key, slice) else item


@lru_cache(maxsize=4096)
def broadcast(x: Shape, y: Shape) -> Shape:
    """The shape that ``x`` and ``y`` broadcast to; ShapeError names both sizes and the last axis that differs."""
    if x == y:
        return x
    ndim = max(len(x), len(y))
    result = []
    pairs = zip((1,) * (ndim - len(x)) + x, (1,) * (ndim - len(y)) + y, strict=True)
    for axis, (a, b) in reversed(list(enumerate(pairs))):
        if a != b and 1 not in (a, b):
            raise ShapeError(
                f"The size of tensor a ({a}) must match the size of tensor b ({b}) at non-singleton dimension {axis}"
            )
        result.append(b if a == 1 else a)
    return tuple(result[::-1])


def dim_of(dim: int, ndim: int) -> int:
    """``dim`` counted from the front; IndexError if the tensor has no such axis (a 0-d one has one)."""
    dim, limit = index(dim), max(ndim, 1)
    if not -limit <= dim < limit:
        raise IndexError(f"Dimension out of range (expected to be in range of [{-limit}, {limit - 1}], but got {dim})")
    return dim % limit


def dims_of(dim: int | Iterable[int] | None, ndim: int) -> tuple[int, ...]:
    """The axes that ``dim`` (an int, several, or None for all) names, counted from the front."""
    if dim is None:
        return tuple(range(ndim))
    dims = tuple(dim_of(d, ndim) for d in ((dim,) if not isinstance(dim, Iterable) else dim))
    for d in dims:
        if dims.count(d) > 1:
            raise ShapeError(f"dim {d} appears multiple times in the list of dims")
    return (dims or tuple(range(ndim))) if ndim else ()


def size_args(size: tuple[Any, ...]) -> Shape:
    """``f(2, 3)`` and ``f((2, 3))`` mean the same: the sizes as a tuple of ints."""
    if len(size) == 1 and isinstance(size[0], Iterable):
        size = tuple(size[0])
    return tuple(map(index, size))
