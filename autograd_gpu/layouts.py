"""How a tensor's elements lie in memory: torch's names for it, and the order of the axes."""

from collections.abc import Callable
from typing import Any

from .modes import Namespace


class layout:  # noqa: N801  torch's name
    """A kind of storage; all tensors here are ``strided``."""

    __slots__ = ("name",)

    def __init__(self, name: str) -> None:
        self.name = name

    def __repr__(self) -> str:
        return f"{Namespace.name}.{self.name}"

    def __reduce__(self) -> str:
        return self.name


class memory_format(layout):  # noqa: N801  torch's name
    """An order of the axes in memory."""

    __slots__ = ()


strided = layout("strided")
contiguous_format = memory_format("contiguous_format")  # the last axis is the innermost
preserve_format = memory_format("preserve_format")  # the axes lie as those of the tensor copied


def inner_to_outer(shape: tuple[int, ...], strides: tuple[int, ...]) -> list[int]:
    """The axes of an array by growing stride: the order in which PyTorch goes through its elements.

    An axis of stride 0 has no place of its own. Source: infer_dense_strides in PyTorch's ExpandUtils.cpp.

    >>> inner_to_outer((2, 3, 4), (12, 4, 1))
    [2, 1, 0]
    >>> inner_to_outer((3, 2), (1, 3))
    [0, 1]
    """
    order = list(reversed(range(len(shape))))
    for place in range(1, len(order)):
        here = place
        for before in reversed(range(place)):
            a, b = order[before], order[here]
            if not strides[a] or not strides[b]:
                continue
            if strides[a] < strides[b]:
                break
            if strides[a] > strides[b] or shape[a] > shape[b]:
                order[before], order[here] = b, a
                here = before
    return order


def outer_to_inner(x: Any) -> list[int]:
    """The axes of an array by shrinking stride."""
    return inner_to_outer(x.shape, x.strides)[::-1]


def in_order(x: Any) -> bool:
    """Whether the strides of an array shrink from axis to axis, axes of size 1 left out."""
    axes = [axis for axis in outer_to_inner(x) if x.shape[axis] != 1]
    return axes == sorted(axes)


def arranged(x: Any, make: Callable[[tuple[int, ...]], Any]) -> Any:
    """An array of the shape of ``x``, filled by ``make(shape)`` in the order of the memory of ``x``."""
    order = outer_to_inner(x)
    array = make(tuple(x.shape[axis] for axis in order))
    return array.transpose([order.index(axis) for axis in range(len(order))])


def by_columns(x: Any) -> bool:
    """Whether the elements of a column of matrices ``x`` are closer together than those of a row."""
    strides = x.strides
    return abs(strides[-2]) < abs(strides[-1])  # type: ignore[no-any-return]


def dense_matrices(x: Any) -> Any:
    """A copy of matrices ``x`` without gaps, by columns if they are."""
    return x.mT.copy(order="C").mT if by_columns(x) else x.copy(order="C")
