"""Counting: distinct elements, occurrences of integers, and where values lie between boundaries.

None of these has a gradient. On a device, those whose result's size depends on the values wait for it.
"""

from math import isfinite, prod
from typing import Any

import numpy as np

from ..backends import of
from ..dtypes import FLOAT, INT, int32, int64
from ..errors import DtypeError, ShapeError
from ..op import REAL, TABLE, ArrayOp, public
from ..shapes import dim_of
from .arguments import is_tensor
from .linalg import check_tensors
from .precision import cast
from .sort import comparable


def _begins(rows: Any) -> Any:
    """Whether each row differs from the one before it; nan differs from itself."""
    xp = of(rows).xp
    first = xp.ones(min(1, len(rows)), bool)
    return xp.concatenate([first, (rows[1:] != rows[:-1]).any(axis=1)])


def _runs(rows: Any) -> tuple[Any, Any, Any]:
    """Of runs of equal rows: where each begins, to which run each row belongs, and how long each is."""
    xp = of(rows).xp
    begins = _begins(rows)
    starts = xp.flatnonzero(begins)
    return starts, xp.cumsum(begins) - 1, xp.diff(xp.concatenate([starts, xp.full(1, len(rows), starts.dtype)]))


def _unique(x: Any, dim: int | None, consecutive: bool) -> tuple[Any, Any, Any]:
    """Distinct elements (or parts along ``dim``), to which of them each element belongs, and how often each comes."""
    xp = of(x).xp
    parts = (
        x.reshape(-1, 1)
        if dim is None
        else xp.moveaxis(x, dim, 0).reshape(x.shape[dim], prod(x.shape[:dim] + x.shape[dim + 1 :]))
    )
    keys = comparable(parts)
    if consecutive:
        starts, inverse, counts = _runs(keys)
    else:
        order = _row_order(keys)
        starts, run, counts = _runs(keys[order])
        starts, inverse = order[starts], xp.empty(len(keys), np.int64)
        inverse[order] = run
    if dim is None:
        return x.reshape(-1)[starts], inverse.reshape(x.shape), counts
    return xp.take(x, starts, axis=dim), inverse, counts


def _row_order(rows: Any) -> Any:
    """The order that sorts ``rows`` by their first element, then by their second, and so on."""
    xp = of(rows).xp
    if rows.shape[1] == 1:
        return xp.argsort(rows[:, 0], kind="stable")
    return xp.lexsort(rows.T[::-1]) if rows.shape[1] else xp.arange(len(rows))


def _bincount(x: Any, weights: Any = None, *, minlength: int) -> Any:
    if not x.size:
        return of(x).xp.zeros(minlength, np.int64)
    if weights is None:
        return of(x).xp.bincount(x, minlength=minlength).astype(np.int64)
    narrow = np.float32 if weights.dtype == np.float32 else np.float64
    return of(x).xp.bincount(x, weights.astype(np.float64), minlength).astype(narrow)


def _searchsorted(boundaries: Any, values: Any, right: bool) -> Any:
    xp = of(boundaries).xp
    boundaries, values = comparable(boundaries), comparable(values)
    side = "right" if right else "left"
    if boundaries.ndim == 1:
        return xp.asarray(xp.searchsorted(boundaries, values, side=side))
    found = xp.empty(values.shape, np.int64)
    lines = boundaries.reshape(-1, boundaries.shape[-1])
    for line, wanted, place in zip(lines, values.reshape(len(lines), -1), found.reshape(len(lines), -1), strict=True):
        place[...] = xp.searchsorted(line, wanted, side=side)
    return found


def _histc(x: Any, bins: int, low: float, high: float) -> Any:
    if low == high and x.size:
        low, high = float(x.min()), float(x.max())
    if not (isfinite(low) and isfinite(high)):
        raise ShapeError(f"torch.histc: range of [{low:g}, {high:g}] is not finite")
    if low == high:
        low, high = low - 1, high + 1
    return of(x).xp.histogram(x, bins, (low, high))[0].astype(x.dtype)


# fmt: off
ArrayOp("unique", "input", _unique, None, "distinct elements, to which each element belongs, and how often each comes", takes=REAL)
ArrayOp("bincount", "input, *weights", _bincount, None, "how often each integer comes, or the sum of its weights", takes=REAL)
ArrayOp("searchsorted", "boundaries, values", _searchsorted, None, "where values would keep boundaries sorted", takes=REAL)
ArrayOp("histc", "input", _histc, None, "how many elements lie in each of bins equal parts", takes=(FLOAT,))
# fmt: on


def _distinct(
    name: str, input: Any, dim: int | None, consecutive: bool, return_inverse: bool, return_counts: bool
) -> Any:
    check_tensors(name, input=input)
    d = None if dim is None else dim_of(dim, input.ndim)
    if d is not None and 0 in (n for axis, n in enumerate(input.shape) if axis != d) and input.shape[d]:
        raise ShapeError("There are 0 sized dimensions, and they aren't selected, so unique cannot be applied")
    values, inverse, counts = TABLE.unique(input, dim=d, consecutive=consecutive)
    wanted = (values, *((inverse,) if return_inverse else ()), *((counts,) if return_counts else ()))
    return values if len(wanted) == 1 else wanted


@public
def unique(
    input: Any,
    sorted: bool = True,  # noqa: ARG001  they always are
    return_inverse: bool = False,
    return_counts: bool = False,
    dim: int | None = None,
) -> Any:
    """The distinct elements in order, or the distinct parts along ``dim``; nan differs from nan.

    With ``return_inverse`` also where each element is in them, with ``return_counts`` how often each came.
    No gradient. Source: torch.unique.

    >>> import autograd_gpu as torch
    >>> torch.unique(torch.tensor([3, 1, 3]), return_counts=True)
    (tensor([1, 3]), tensor([1, 2]))
    """
    return _distinct("unique", input, dim, False, return_inverse, return_counts)


@public
def unique_consecutive(
    input: Any, return_inverse: bool = False, return_counts: bool = False, dim: int | None = None
) -> Any:
    """The elements (or parts along ``dim``) that differ from the one before. Source: torch.unique_consecutive."""
    return _distinct("unique_consecutive", input, dim, True, return_inverse, return_counts)


@public
def bincount(input: Any, weights: Any = None, minlength: int = 0) -> Any:
    """How often each integer from 0 on comes in a vector, or the sum of its weights. Source: torch.bincount.

    >>> import autograd_gpu as torch
    >>> torch.bincount(torch.tensor([1, 3, 1]))
    tensor([0, 2, 0, 1])
    """
    check_tensors("bincount", input=input)
    if input.dtype.category != INT:
        raise DtypeError(f'"bincount_cpu" not implemented for {input.dtype.scalar_name!r}')
    if minlength < 0:
        raise ShapeError("minlength should be >= 0")
    if input.ndim != 1 or (input.shape[0] and bool((input < 0).any())):
        raise ShapeError("bincount only supports 1-d non-negative integral inputs.")
    if weights is None:
        return TABLE.bincount(input, minlength=minlength)
    if weights.shape != input.shape:
        raise ShapeError("weights should be 1-d and have the same length as input")
    return TABLE.bincount(input, weights, minlength=minlength)


def _as_boundaries(input: Any, boundaries: Any) -> Any:
    """A number as a 0-d tensor beside ``boundaries``."""
    return input if is_tensor(input) else boundaries.new_tensor(input)


@public(method=False)
def searchsorted(
    sorted_sequence: Any,
    input: Any,
    *,
    out_int32: bool = False,
    right: bool = False,
    side: str | None = None,
    sorter: Any = None,
) -> Any:
    """Where along the last axis of ``sorted_sequence`` the elements of ``input`` would keep it sorted.

    Before equal elements, or after them if ``right`` (or ``side="right"``). ``sorter`` sorts the sequence.
    Shapes: sequence (n) and any input, or the same axes but the last. No gradient. Source: torch.searchsorted.

    >>> import autograd_gpu as torch
    >>> torch.searchsorted(torch.tensor([1., 3., 5.]), torch.tensor([3., 4.]))
    tensor([1, 2])
    """
    check_tensors("searchsorted", sorted_sequence=sorted_sequence)
    input = _as_boundaries(input, sorted_sequence)
    if side not in (None, "left", "right"):
        raise ShapeError(f"torch.searchsorted(): side can only be 'left' or 'right' but got {side}")
    if side == "left" and right:
        raise ShapeError(
            "torch.searchsorted(): side and right can't be set to opposites, got side of left while right was True"
        )
    if not sorted_sequence.ndim:
        raise ShapeError("torch.searchsorted(): boundaries tensor should have positive dimension, but got 0 dimension")
    if sorted_sequence.ndim > 1:
        _check_lines(sorted_sequence, input)
    if sorter is not None:
        sorted_sequence = TABLE.gather(sorted_sequence, sorter, dim=sorted_sequence.ndim - 1)
    found = TABLE.searchsorted(sorted_sequence, input, right=bool(right or side == "right"))
    return cast(found, int32 if out_int32 else int64)


def _check_lines(boundaries: Any, input: Any) -> None:
    if not input.ndim:
        raise ShapeError(
            "torch.searchsorted(): input value can be a scalar only when boundaries tensor dimension is 1, but we got "
            f"boundaries tensor dim({boundaries.ndim}) and input value's dim(0) numel(1)"
        )
    if boundaries.shape[:-1] != input.shape[:-1]:
        raise ShapeError(
            "torch.searchsorted(): boundaries tensor should be 1 dimension or the first N-1 dimensions of boundaries "
            f"tensor and input value tensor must match, but we got boundaries tensor {list(boundaries.shape)} and "
            f"input value tensor {list(input.shape)}"
        )


@public(method=False)
def bucketize(input: Any, boundaries: Any, *, out_int32: bool = False, right: bool = False) -> Any:
    """In which of the intervals between ``boundaries`` each element lies. Source: torch.bucketize."""
    check_tensors("bucketize", input=boundaries, boundaries=boundaries)
    if boundaries.ndim != 1:
        raise ShapeError(f"boundaries tensor must be 1 dimension, but got dim({boundaries.ndim})")
    return searchsorted(boundaries, input, out_int32=out_int32, right=right)


@public
def histc(input: Any, bins: int = 100, min: float = 0, max: float = 0) -> Any:
    """How many elements lie in each of ``bins`` equal parts from ``min`` to ``max`` (of all, if these are equal).

    No gradient. Source: torch.histc.
    """
    check_tensors("histc", input=input)
    if bins <= 0:
        raise ShapeError(f"torch.histogram(): bins must be > 0, but got {bins} for dimension 0")
    if max < min:
        raise ShapeError("torch.histc: max must be larger than min")
    if input.dtype.category != FLOAT:
        raise DtypeError(f'"histogram_cpu" not implemented for {input.dtype.scalar_name!r}')
    return TABLE.histc(input, bins=bins, low=min, high=max)
