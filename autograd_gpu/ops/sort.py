"""Elements in order: sorting, the largest, the k-th smallest. nan counts as the largest.

Values are gathered at the indices that were found, and get their gradient from there.
"""

from typing import Any

import numpy as np

from .. import return_types
from ..backends import _numpy, of
from ..dtypes import BOOL
from ..errors import DtypeError, ShapeError
from ..op import REAL, TABLE, ArrayOp, public
from ..shapes import dim_of
from .arguments import numpy_names
from .gather import gather_of


def comparable(x: Any) -> Any:
    """``x``, or float32 in place of bfloat16, which CuPy cannot sort."""
    return x.astype(np.float32) if x.dtype.kind == "V" else x


def _order(x: Any, dim: int, descending: bool) -> Any:
    """The indices that sort ``x`` along ``dim``; equal elements keep their order."""
    x = comparable(x)
    if not x.ndim:
        return of(x).xp.zeros((), np.int64)
    if not descending:
        return of(x).xp.argsort(x, axis=dim, kind="stable")
    flip = (slice(None),) * dim + (slice(None, None, -1),)
    return x.shape[dim] - 1 - of(x).xp.argsort(x[flip], axis=dim, kind="stable")[flip]


def _top(x: Any, k: int, dim: int, largest: bool) -> Any:
    """The indices of the ``k`` largest (or smallest) elements along ``dim``, these in order."""
    x = comparable(x)
    if not x.ndim:
        return of(x).xp.zeros((), np.int64)
    first = (slice(None),) * dim + (slice(0, k),)
    n = x.shape[dim]
    if of(x) is not _numpy or not 0 < k < n:
        return _order(x, dim, largest)[first]
    last = (slice(None),) * dim + (slice(n - k, n),)
    some = np.argpartition(x, n - k if largest else k - 1, axis=dim)[last if largest else first]
    return np.take_along_axis(some, _order(np.take_along_axis(x, some, dim), dim, largest), dim)


def _kept(x: Any, dim: int, keepdim: bool) -> Any:
    """``x``, of one element for each line along ``dim``, with this axis."""
    return x if keepdim else TABLE.unsqueeze(x, dim=dim)


def _kthvalue(x: Any, index: Any, dim: int, keepdim: bool) -> Any:
    if not x.ndim:
        return x.copy()
    y = gather_of(x, _kept(index, dim, keepdim), dim)
    return y if keepdim else y.squeeze(dim)


def _kthvalue_vjp(g: Any, index: Any, shape: tuple[int, ...], dim: int, keepdim: bool) -> Any:
    if not shape:
        return g
    return TABLE.gather_vjp(_kept(g, dim, keepdim), _kept(index, dim, keepdim), dim=dim, size=shape)


# fmt: off
ArrayOp("kthvalue", "input, index", _kthvalue, {"input": _kthvalue_vjp}, "the element at an index along dim for each line")
ArrayOp("argsort", "input", _order, None, "the indices that sort along dim", takes=REAL)
ArrayOp("topk_index", "input", _top, None, "the indices of the k largest (or smallest) elements along dim", takes=REAL)
# fmt: on


def _real(name: str, input: Any) -> None:
    if input.dtype.is_complex:
        raise DtypeError(f" {name} does not support complex dtypes on {input.device.type.upper()}")


@public
@numpy_names
def sort(input: Any, dim: int = -1, descending: bool = False, stable: bool | None = None) -> Any:
    """``(values, indices)``: the elements in order along ``dim``, and where they were.

    Equal elements keep their order, ``stable`` or not. Gradient: each element's goes back to where it was.
    Source: torch.sort.

    >>> import autograd_gpu as torch
    >>> torch.sort(torch.tensor([3., 1., 2.])).indices
    tensor([1, 2, 0])
    """
    _real("Sort", input)
    d = dim_of(dim, input.ndim)
    indices = TABLE.argsort(input, dim=d, descending=bool(descending))
    return return_types.sort(TABLE["sort" if stable is None else "stable_sort"](input, indices, dim=d), indices)


@public
@numpy_names
def argsort(input: Any, dim: int = -1, descending: bool = False, *, stable: bool = False) -> Any:  # noqa: ARG001
    """The indices that sort ``input`` along ``dim``; equal elements keep their order. Source: torch.argsort."""
    _real("Sort", input)
    return TABLE.argsort(input, dim=dim_of(dim, input.ndim), descending=bool(descending))


@public
@numpy_names
def msort(input: Any) -> Any:
    """The elements in order along the first axis. Source: torch.msort."""
    return sort(input, 0).values


@public
@numpy_names
def topk(input: Any, k: int, dim: int = -1, largest: bool = True, sorted: bool = True) -> Any:  # noqa: ARG001
    """``(values, indices)`` of the ``k`` largest (or smallest) elements along ``dim``, always in order.

    Which of several equal elements is taken is not defined. Source: torch.topk.

    >>> import autograd_gpu as torch
    >>> torch.topk(torch.tensor([3., 1., 2.]), 2).values
    tensor([3., 2.])
    """
    _real("topk", input)
    if input.dtype.category == BOOL:
        raise DtypeError(f"topk does not support bool dtypes on {input.device.type.upper()}")
    d = dim_of(dim, input.ndim)
    if not 0 <= k <= (input.shape[d] if input.ndim else 1):
        raise ShapeError("selected index k out of range")
    indices = TABLE.topk_index(input, k=k, dim=d, largest=bool(largest))
    return return_types.topk(TABLE.topk(input, indices, dim=d), indices)


@public
@numpy_names
def kthvalue(input: Any, k: int, dim: int = -1, keepdim: bool = False) -> Any:
    """``(values, indices)`` of the ``k``-th smallest element (from 1 on) along ``dim``. Source: torch.kthvalue."""
    d = dim_of(dim, input.ndim)
    if not 1 <= k <= (input.shape[d] if input.ndim else 1):
        raise ShapeError(f"kthvalue(): selected number k out of range for dimension {d}")
    indices = TABLE.argsort(input, dim=d, descending=False)
    if input.ndim:
        indices = TABLE.slice_at(indices, key=(*(slice(None),) * d, slice(k - 1, k), ...))
        if not keepdim:
            indices = TABLE.squeeze(indices, dim=(d,))
    return return_types.kthvalue(TABLE.kthvalue(input, indices, dim=d, keepdim=keepdim), indices)
