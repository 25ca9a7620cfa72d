"""What is between the brackets of ``x[...]``: which part of ``x`` it names, in two steps.

Integers, slices, None and Ellipsis name a view; index tensors and masks then pick from this view. An integer
beside index tensors belongs to the first step, as in PyTorch (and unlike NumPy).
"""

import warnings
from operator import index as as_index
from typing import Any, NamedTuple

import numpy as np

from .dtypes import BOOL, bool_, uint8
from .op import ArrayOp
from .ops.index import SELECT, SLICE, UNSQUEEZE
from .tensor import Tensor, wrap
from .values import array_of, is_sequence

ALL = slice(None)
NOT_AN_INDEX = (
    "only integers, slices (`:`), ellipsis (`...`), None and long or byte Variables are valid indices (got {})"
)
SEQUENCE_AS_TUPLE = (
    "Using a non-tuple sequence for multidimensional indexing is deprecated and will be changed in pytorch 2.9; use "
    "x[tuple(seq)] instead of x[seq]. In pytorch 2.9 this will be interpreted as tensor index, x[torch.tensor(seq)], "
    "which will result either in an error or a different result"
)


class Key(NamedTuple):
    """A view by ``op`` (None: the whole tensor), the key of this view, and index tensors for axes of the view."""

    op: ArrayOp | None
    view: tuple[Any, ...]
    entries: list[tuple[int, Tensor]]


def parse(x: Tensor, key: Any, *, to_write: bool = False) -> Key:
    """What ``key`` names of ``x``; IndexError if it does not fit.

    A slice of all of an axis is no step, but for ``x[:]``, which is a view unless it is written to.
    """
    several = isinstance(key, tuple) or _is_tuple_in_disguise(key)
    parts = [_part(part) for part in (key if several else (key,))]
    ndim = len(x._shape)
    unnamed = ndim - sum(map(_axes, parts))
    if not several and not ndim:
        _refuse_of_scalar(parts[0])
    if unnamed < 0:
        raise IndexError(f"too many indices for tensor of dimension {ndim}")
    view: list[Any] = []
    entries: list[tuple[int, Tensor]] = []
    op, dim, new_dim = None, 0, 0
    for place, part in enumerate(parts):
        if part is Ellipsis:
            view += [ALL] * unnamed
            dim, new_dim, unnamed = dim + unnamed, new_dim + unnamed, 0
        elif part is None or part is True or part is False:
            if part is not None:
                entries.append((new_dim, _places(part, x)))
            view.append(None)
            op, new_dim = UNSQUEEZE, new_dim + 1
        elif isinstance(part, slice):
            view.append(_bounded(part, x._shape[dim]))
            if not (several or to_write) or not _is_whole(part, x._shape[dim]):
                op = SLICE
            dim, new_dim = dim + 1, new_dim + 1
        elif isinstance(part, Tensor):
            entries.append((new_dim, part))
            axes = _axes(part)
            view += [ALL] * axes
            dim, new_dim = dim + axes, new_dim + axes
        else:
            view.append(_checked(part, place, x._shape[dim]))
            op, dim = SELECT, dim + 1
    return Key(op, (*view, ...), entries)


def _is_tuple_in_disguise(key: Any) -> bool:
    """Whether a list is meant as a tuple, by NumPy's old rule: it holds more than numbers."""
    if not isinstance(key, list) or len(key) > 32:
        return False
    if any(part is None or part is Ellipsis or isinstance(part, slice | Tensor) or is_sequence(part) for part in key):
        warnings.warn(SEQUENCE_AS_TUPLE, UserWarning, stacklevel=4)
        return True
    return False


def _part(part: Any) -> Any:
    """One entry of a key: an int, bool, slice, None, Ellipsis, or a Tensor of one axis or more."""
    if part is None or part is Ellipsis or isinstance(part, bool | int | slice):
        return part
    if isinstance(part, np.generic):
        part = part.item()
    elif isinstance(part, np.ndarray) or type(part).__module__.partition(".")[0] == "cupy":
        part = wrap(part)
    elif is_sequence(part) and not isinstance(part, str | bytes):
        part = wrap(array_of(part, None) if len(part) else np.zeros(0, np.int64))
    if isinstance(part, Tensor):
        if part._shape:
            return part
        if part.dtype in (bool_, uint8):
            return bool(part)
        if part.dtype.category > BOOL and not part.dtype.is_floating_point and not part.dtype.is_complex:
            return int(part)
        raise IndexError("tensors used as indices must be long, int, byte or bool tensors")
    if isinstance(part, bool | int):
        return part
    if isinstance(part, str):
        raise TypeError("new(): invalid data type 'str'")
    raise IndexError(NOT_AN_INDEX.format(type(part).__name__))


def _axes(part: Any) -> int:
    """How many axes of the tensor an entry names."""
    if part is None or part is Ellipsis or isinstance(part, bool):
        return 0
    return len(part._shape) if isinstance(part, Tensor) and part.dtype in (bool_, uint8) else 1


def _refuse_of_scalar(part: Any) -> None:
    """IndexError for the index of a 0-d tensor."""
    if isinstance(part, slice):
        raise IndexError("slice() cannot be applied to a 0-dim tensor.")
    if isinstance(part, int) and not isinstance(part, bool):
        raise IndexError(
            "invalid index of a 0-dim tensor. Use `tensor.item()` in Python or `tensor.item<T>()` in C++ to convert a "
            "0-dim tensor to a number"
        )


def _places(flag: bool, x: Tensor) -> Tensor:
    """A bool as an index into an axis of size 1: its only place, or none."""
    return wrap(x._type.backend.xp.zeros(int(flag), np.int64))


def _bounded(part: slice, size: int) -> slice:
    """A slice with its ends filled in."""
    step = 1 if part.step is None else as_index(part.step)
    if step == 0:
        raise ValueError("slice step cannot be zero")
    if step < 0:
        raise ValueError("step must be greater than zero")
    start, stop, _ = part.indices(size)
    return slice(start, max(start, stop), step)


def _is_whole(part: slice, size: int) -> bool:
    """Whether a slice says that it names all of an axis (``-9:`` of a short one does so without saying it)."""
    start, stop, step = (
        default if end is None else as_index(end)
        for end, default in ((part.start, 0), (part.stop, size), (part.step, 1))
    )
    return start == 0 and stop >= size and step == 1


def _checked(part: int, place: int, size: int) -> int:
    if not -size <= part < size:  # torch counts entries of the key where it says dimensions
        raise IndexError(f"index {part} is out of bounds for dimension {place} with size {size}")
    return part
