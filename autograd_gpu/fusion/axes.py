"""The axes of a domain, as few as its inputs' strides and its sums allow."""

from collections.abc import Sequence
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


def dense(shape: Shape) -> Shape:
    """The strides of a new array."""
    return tuple(prod(shape[i + 1 :]) for i in range(len(shape)))


def along(laid: Laid, axis: int) -> int:
    """The stride of an input along an axis of the domain, counted from its end (-1 is the last)."""
    if laid is None or -axis > len(laid[0]) or laid[0][axis] == 1:
        return 0
    return (laid[1] if all(laid[0]) else dense(laid[0]))[axis]  # CuPy gives empty arrays strides of 0


def merged(domain: Shape, inputs: Sequence[Laid], summed: Sequence[tuple[bool, ...]], rows: int) -> list[Axis]:
    """The axes of ``domain``, of which the last ``rows`` are a row; ``summed`` says for each which roots lose it."""
    axes: list[Axis] = []
    for i, size in enumerate(domain):
        at = i - len(domain)
        strides = tuple(along(laid, at) for laid in inputs)
        axis = Axis(size, strides, summed[i], -at <= rows)
        if size == 1:
            continue
        if axes and axes[-1][2:] == axis[2:] and axes[-1].strides == tuple(size * stride for stride in strides):
            axes[-1] = axis._replace(size=size * axes[-1].size)
        else:
            axes.append(axis)
    return axes
