"""Indexing NumPy arrays with integer arrays.

NumPy adds fastest at flat positions: ``np.add.at`` with one 1-d index is four to fifty times faster than with
rows or several indices, and ``take`` on flat positions beats a tuple of indices.
"""

import re
from collections.abc import Sequence
from typing import Any

import numpy as np

Shape = tuple[int, ...]


def key_of(indices: Sequence[Any], dims: Shape) -> tuple[Any, ...]:
    """The key ``[..., indices[0], ..., indices[1], ...]`` with index arrays on the axes ``dims``."""
    key: list[Any] = [slice(None)] * (dims[-1] + 1)
    for index, dim in zip(indices, dims, strict=True):
        key[dim] = index
    return tuple(key)


def flat_positions(shape: Shape, indices: Sequence[Any], dims: Shape) -> np.ndarray:
    """Where the elements ``x[key_of(indices, dims)]`` of an array of ``shape`` are in its memory, in C order.

    >>> flat_positions((2, 3), [np.array([2, 0])], (1,))
    array([[2, 0],
           [5, 3]])
    """
    width = np.broadcast(*indices).ndim
    first, last = dims[0], dims[-1]
    before = first if last - first == len(dims) - 1 else 0  # separated indices come first
    others = [dim for dim in range(len(shape)) if dim not in dims]
    ndim = width + len(others)
    positions: Any = np.zeros((1,) * ndim, np.int64)
    stride = 1
    for dim in reversed(range(len(shape))):
        if dim in dims:
            index = np.asarray(indices[dims.index(dim)])
            index = np.where(index < 0, index + shape[dim], index)
            place = before + width
        else:
            index = np.arange(shape[dim])
            place = others.index(dim)
            place += 1 if place < before else 1 + width
        positions = positions + (index * stride).reshape(index.shape + (1,) * (ndim - place))
        stride *= shape[dim]
    return positions  # type: ignore[no-any-return]


def take(x: np.ndarray, indices: Sequence[Any], dims: Shape) -> np.ndarray:
    """``x[key]``; IndexError in torch's words for an index that is out of bounds."""
    try:
        if len(indices) == 1:
            return np.asarray(x.take(indices[0], axis=dims[0]))
        return np.asarray(x[key_of(indices, dims)])
    except IndexError as error:
        raise _in_torchs_words(error, dims) from None


def put(x: np.ndarray, indices: Sequence[Any], dims: Shape, values: Any) -> None:
    """``x[key] = values``; IndexError in torch's words for an index that is out of bounds."""
    try:
        x[key_of(indices, dims)] = values
    except IndexError as error:
        raise _in_torchs_words(error, dims) from None


def _in_torchs_words(error: IndexError, dims: Shape) -> IndexError:
    """``error`` as torch says it, which counts index tensors where NumPy counts axes."""
    if (found := re.match(r"index (-?\d+) is out of bounds for axis (\d+) with size (\d+)", str(error))) is None:
        return IndexError("index is out of bounds for dimension with size 0")
    index, axis, size = found.groups()
    return IndexError(f"index {index} is out of bounds for dimension {dims.index(int(axis))} with size {size}")


def add_at(x: np.ndarray, indices: Sequence[Any], dims: Shape, values: Any) -> None:
    """Add ``values`` to ``x[key]``, once for each time that an element is named; ``x`` lies in C order."""
    positions = flat_positions(x.shape, indices, dims)
    np.add.at(x.reshape(-1), positions.reshape(-1), np.broadcast_to(values, positions.shape).reshape(-1))


def first_outside(index: np.ndarray, low: int, high: int) -> int | None:
    """The first of ``index`` that is not in ``range(low, high)``, or None."""
    offset = index - low if low else index
    if (offset.view(f"u{index.itemsize}") < high - low).all():  # a negative one is then a very large one
        return None
    return int(index[(index < low) | (index >= high)].reshape(-1)[0])


def _positions_along(shape: Shape, index: np.ndarray, dim: int) -> np.ndarray:
    """Where in the memory of an array of ``shape``, in C order, the elements at ``index`` along ``dim`` are."""
    ndim, stride = len(shape), 1
    lines: Any = np.int64(0)
    for d in reversed(range(ndim)):
        if d == dim:
            along = index if stride == 1 else index * stride
        elif index.shape[d] != 1:
            lines = lines + np.arange(0, index.shape[d] * stride, stride).reshape((-1,) + (1,) * (ndim - 1 - d))
        stride *= shape[d]
    return along + lines  # type: ignore[no-any-return]


def take_along(x: np.ndarray, index: np.ndarray, dim: int) -> np.ndarray:
    """``y[i][j] = x[i][index[i][j]]`` for ``dim`` 1 of 2, and so on."""
    if not x.flags.c_contiguous:
        x = x[tuple(slice(None) if d == dim else slice(0, n) for d, n in enumerate(index.shape))]
        return np.take_along_axis(x, index, dim)
    return x.reshape(-1).take(_positions_along(x.shape, index, dim))


def put_along(x: np.ndarray, index: np.ndarray, dim: int, values: Any) -> None:
    """``x[i][index[i][j]] = values[i][j]``; ``x`` lies in C order."""
    x.reshape(-1)[_positions_along(x.shape, index, dim)] = values


def add_along(x: np.ndarray, index: np.ndarray, dim: int, values: np.ndarray) -> None:
    """``x[i][index[i][j]] += values[i][j]``, once for each j; ``x`` lies in C order."""
    np.add.at(x.reshape(-1), _positions_along(x.shape, index, dim).reshape(-1), values.reshape(-1))
