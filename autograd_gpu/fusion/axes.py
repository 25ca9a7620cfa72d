"""The axes of a domain, as few as its inputs' strides and its sums allow."""

from collections.abc import Callable, Sequence
from math import prod
from typing import NamedTuple

Shape = tuple[int, ...]
Laid = tuple[Shape, Shape] | None  # shape and strides of an input, None for a number


class Axis(NamedTuple):
    """Neighbouring axes of the domain that are like one for all inputs, and are summed together or not."""

    size: int
    strides: tuple[int, ...]  # of each input, in elements; 0 where it is broadcast
    summed: tuple[bool, ...]  # for each root
    inner: bool  # whether it is part of a row
    shared: tuple[int, ...] = ()  # how many neighbours share an element of each input; () if none do


def dense(shape: Shape) -> Shape:
    """The strides of a new array."""
    return tuple(prod(shape[i + 1 :]) for i in range(len(shape)))


def along(laid: Laid, axis: int) -> int:
    """The stride of an input along an axis of the domain, counted from its end (-1 is the last)."""
    if laid is None or -axis > len(laid[0]) or laid[0][axis] == 1:
        return 0
    return (laid[1] if all(laid[0]) else dense(laid[0]))[axis]  # CuPy gives empty arrays strides of 0


def inverse(order: Shape) -> Shape:
    """The order of axes that undoes ``order``."""
    return tuple(order.index(axis) for axis in range(len(order)))


def merged(
    domain: Shape,
    inputs: Sequence[Laid],
    summed: Sequence[tuple[bool, ...]],
    rows: int,
    order: Sequence[int] | None = None,
) -> list[Axis]:
    """The axes of ``domain``, of which the last ``rows`` are a row; ``summed`` says for each which roots lose it.

    Without rows they may be taken in another ``order``.
    """
    axes: list[Axis] = []
    for i in range(len(domain)) if order is None else order:
        size, at = domain[i], i - len(domain)
        strides = tuple(along(laid, at) for laid in inputs)
        axis = Axis(size, strides, summed[i], -at <= rows)
        if size == 1:
            continue
        if axes and axes[-1][2:] == axis[2:] and axes[-1].strides == tuple(size * stride for stride in strides):
            axes[-1] = axis._replace(size=size * axes[-1].size)
        else:
            axes.append(axis)
    return axes


def joined(outer: Axis, inner: Axis) -> Axis | None:
    """Two neighbouring axes as one along which neighbours share elements of some inputs; None if they cannot be.

    Kernels divide places along such an axis as 32-bit numbers.
    """
    if outer[2:] != inner[2:] or outer.shared or outer.size * inner.size >= 2**31:
        return None
    strides, shared = [], []
    for far, near in zip(outer.strides, inner.strides, strict=True):
        if near and far != near * inner.size:
            return None
        strides.append(near or far)
        shared.append(1 if near or not far else inner.size)
    return Axis(outer.size * inner.size, tuple(strides), outer.summed, outer.inner, tuple(shared))


def fitting(axes: list[Axis], fits: Callable[[list[Axis]], bool]) -> list[Axis]:
    """``axes``, the last ones joined as far as it takes to fit; those given if they do not."""
    found = list(axes)
    place = len(found) - 1
    while not fits(found) and place > 0:
        if (both := joined(found[place - 1], found[place])) is not None:
            found[place - 1 : place + 1] = [both]
        place -= 1
    return found if fits(found) else axes
