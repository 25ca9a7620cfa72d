"""The largest, smallest, middle and most frequent elements, and where they are."""

from functools import partial
from typing import Any

import numpy as np

from .. import return_types
from ..backends import of
from ..dtypes import FLOAT
from ..errors import DtypeError, ShapeError
from ..fused import Fused
from ..op import REAL, TABLE, ArrayOp, public
from ..shapes import dim_of, dims_of
from .arguments import is_tensor, numpy_names
from .precision import cast, in_float32
from .reduce import Dims
from .scan import by_doubling
from .sort import comparable


def _along(values: Any, ndim: int, dim: int) -> Any:
    """A 1-d array as one that lies along the axis ``dim`` of ``ndim``."""
    return values.reshape((-1,) + (1,) * (ndim - 1 - dim))


def _argmax(x: Any, dim: int | None, keepdim: bool, name: str = "argmax") -> Any:
    if not x.ndim:
        return of(x).xp.zeros((), np.int64)
    if dim is not None and x.ndim > 1:
        return of(x).reduced(name, x, (dim,), keepdims=keepdim)
    where = getattr(comparable(x), name)()  # of all elements, for which CuPy takes many blocks
    return where.reshape((1,) * x.ndim) if keepdim else where


def _take_at(x: Any, indices: Any, dim: int, keepdim: bool) -> Any:
    """The element at each index, of which there is one for each line along ``dim``."""
    if not x.ndim:
        return x.copy()
    places = indices if keepdim else of(x).xp.expand_dims(indices, dim)
    y = of(x).indexing.take_along(x, places, dim)
    return y if keepdim else y.squeeze(dim)


def _place_at(value: Any, indices: Any, size: Dims, dim: int, keepdim: bool) -> Any:
    """Zeros of ``size`` with ``value`` where ``take_at`` would take it from."""
    if not size:
        return value.copy()
    xp = of(value).xp
    if not keepdim:
        value, indices = xp.expand_dims(value, dim), xp.expand_dims(indices, dim)
    return xp.where(indices == _along(xp.arange(size[dim]), len(size), dim), value, 0).astype(value.dtype)


def _extreme_over(name: str, x: Any, dim: Dims, keepdim: bool) -> Any:
    return of(x).reduced(name, x, dim, keepdims=keepdim)


def _amax(input: Any, dim: Dims, keepdim: bool) -> Any:
    return TABLE.max_over(input, dim=dim, keepdim=keepdim)


def _amin(input: Any, dim: Dims, keepdim: bool) -> Any:
    return TABLE.min_over(input, dim=dim, keepdim=keepdim)


def _max_all(input: Any) -> Any:
    return _amax(input, tuple(range(input.ndim)), keepdim=False)


def _min_all(input: Any) -> Any:
    return _amin(input, tuple(range(input.ndim)), keepdim=False)


def _shared(g: Any, input: Any, y: Any) -> tuple[Any, ...]:
    """``g``, of the extreme ``y`` of all elements, shared evenly among those that are it, or nan if it is."""
    nans = TABLE.logical_and(input != input, y != y)  # noqa: PLR0124  nan is not equal to itself
    winners = TABLE.logical_or(input == y, nans)
    return (TABLE.where(winners, g, 0.0) / TABLE.sum_all(TABLE.where(winners, 1.0, 0.0)),)


def _take_along(x: Any, indices: Any, dim: int) -> Any:
    return of(x).indexing.take_along(x, indices, dim) if x.ndim else x.copy()


@in_float32
def _median_vjp(g: Any, input: Any, y: Any) -> Any:
    """``g`` shared evenly among those that are the median, or nan if that is."""
    winners = (input == y) | ((input != input) & (y != y))  # noqa: PLR0124  nan is not equal to itself
    number = cast(TABLE.sum_all(winners), g.dtype)
    return TABLE.where(winners, g / number, 0.0 / number)


def _take_at_vjp(g: Any, indices: Any, shape: Dims, dim: int, keepdim: bool) -> Any:
    return TABLE.place_at(g, indices, size=shape, dim=dim, keepdim=keepdim)


def _order_statistic(x: Any, dim: int, keepdim: bool, ignore_nan: bool) -> Any:
    """Where the lower median along ``dim`` is: of all elements (the first nan, if any), or of those known."""
    if not x.ndim:
        return of(x).xp.zeros((), np.int64)
    xp, x = of(x).xp, comparable(x)
    order = xp.argsort(x, axis=dim, kind="stable")  # nan comes last
    nans = (x != x).sum(axis=dim, keepdims=True)  # noqa: PLR0124
    size = x.shape[dim]
    place = (size - nans - 1) // 2 if ignore_nan else xp.where(nans > 0, size - nans, (size - 1) // 2)
    where = of(x).indexing.take_along(order, xp.maximum(place, 0), dim)
    return where if keepdim else where.squeeze(dim)


def _median_all(x: Any, ignore_nan: bool) -> Any:
    line = x.reshape(-1)
    if not line.size:
        return of(x).xp.full((), np.nan, x.dtype)
    return _take_at(line, _order_statistic(line, 0, keepdim=False, ignore_nan=ignore_nan), 0, keepdim=False)


def _mode(x: Any, dim: int, keepdim: bool) -> Any:
    """Where the last of the most frequent elements along ``dim`` is; the smallest of several."""
    if not x.ndim:
        return of(x).xp.zeros((), np.int64)
    xp, x = of(x).xp, comparable(x)
    order = xp.argsort(x, axis=dim, kind="stable")
    line = of(x).indexing.take_along(x, order, dim).swapaxes(dim, -1)
    places = xp.arange(x.shape[dim])
    new = xp.concatenate([line[..., :1] == line[..., :1], line[..., 1:] != line[..., :-1]], -1)
    begins = xp.where(new, places, 0)
    begins = by_doubling(lambda earlier, later: (xp.maximum(earlier[0], later[0]),), (begins,), -1)[0]
    end = xp.expand_dims((places - begins).argmax(axis=-1), -1).swapaxes(dim, -1)
    where = of(x).indexing.take_along(order, end, dim)
    return where if keepdim else where.squeeze(dim)


def _running_extreme(x: Any, dim: int, sign: int) -> Any:
    """Where the largest (smallest, if ``sign`` is -1) element up to each is: the last of several, or nan."""
    xp, x = of(x).xp, comparable(x)
    if not x.ndim:
        return xp.zeros((), np.int64)

    def later_wins(earlier: tuple[Any, Any], later: tuple[Any, Any]) -> tuple[Any, Any]:
        (x0, i0), (x1, i1) = earlier, later
        wins = ((x1 >= x0) if sign == 1 else (x1 <= x0)) | (x1 != x1)  # noqa: PLR0124
        return xp.where(wins, x1, x0), xp.where(wins, i1, i0)

    where = xp.broadcast_to(_along(xp.arange(x.shape[dim]), x.ndim, dim), x.shape)
    return by_doubling(later_wins, (x, where), dim)[1]


def _running_extreme_vjp(g: Any, indices: Any, dim: int) -> Any:
    """Cotangents summed over the stretch in which one element, its first, stays the extreme."""
    stays = indices == TABLE.shift(indices, dim=dim, by=-1, fill=-1)
    sums = TABLE.recurrence(g, cast(stays, g.dtype), dim=dim, reverse=True)
    begins = indices != TABLE.shift(indices, dim=dim, by=1, fill=-1)
    return sums * cast(begins, g.dtype)


# fmt: off
for _name, _doc, _forward in (
    ("argmax", "index of the first of the largest elements over dim", _argmax),
    ("argmin", "index of the first of the smallest elements over dim", partial(_argmax, name="argmin")),
    ("median_index", "index of the median over dim", _order_statistic),
    ("mode_index", "index of the most frequent element over dim", _mode),
    ("running_extreme", "index of the largest (smallest) element up to each", _running_extreme),
):
    ArrayOp(_name, "input", _forward, None, _doc, takes=REAL)
for _name in "max", "min":
    ArrayOp(f"{_name}_over", "input", partial(_extreme_over, _name), None, f"{_name}imum over dim, of integers",
            takes=REAL)
for _name, _function in ("amax", _amax), ("amin", _amin):
    TABLE.define(Fused(_name, _function, takes=(FLOAT,), along="dim"))
    TABLE.define(Fused(f"aminmax_{_name[1:]}", _function, takes=(FLOAT,), node="AminmaxBackward0", along="dim"))
# their gradient differs from that of amax where there is nan
TABLE.define(Fused("max_all", _max_all, gradient=lambda g, x, _: _shared(g, x, _max_all(x)),
                   takes=(FLOAT,), node="MaxBackward1"))
TABLE.define(Fused("min_all", _min_all, gradient=lambda g, x, _: _shared(g, x, _min_all(x)),
                   takes=(FLOAT,), node="MinBackward1"))
for _name, _node, _forward in (
    ("median_all", "MedianBackward0", partial(_median_all, ignore_nan=False)),
    ("nanmedian_all", "NanmedianBackward0", partial(_median_all, ignore_nan=True)),
):
    ArrayOp(_name, "input", _forward, _median_vjp,
            f"{_name[:-4]} of all elements; several share its gradient", takes=REAL, node=_node)
for _name, _node in (
    ("take_at", "GatherBackward0"), ("max_at", "MaxBackward0"), ("min_at", "MinBackward0"),
    ("median_at", "MedianBackward1"), ("nanmedian_at", "NanmedianBackward1"), ("mode_at", "ModeBackward0"),
):
    ArrayOp(_name, "input, indices", _take_at, {"input": _take_at_vjp}, "the element at an index along dim",
            node=_node)
ArrayOp("place_at", "input, indices", _place_at,
        {"input": lambda g, indices, dim, keepdim: TABLE.take_at(g, indices, dim=dim, keepdim=keepdim)},
        "zeros with an element at an index along dim", node="ScatterBackward0")
for _name, _node in (("cummax_at", "CummaxBackward0"), ("cummin_at", "CumminBackward0")):
    ArrayOp(_name, "input, indices", _take_along, {"input": _running_extreme_vjp},
            "the extreme element up to each", node=_node)
# fmt: on


def _nonempty(name: str, input: Any, dims: Dims | None, full: type[Exception] = ShapeError) -> None:
    """Raise if the reduction ``name`` has no element to choose from."""
    if dims is None:
        if 0 in input.shape:
            hint = "" if full is IndexError else " Specify the reduction dim with the 'dim' argument."
            raise full(f"{name}(): Expected reduction dim to be specified for input.numel() == 0.{hint}")
        return
    for d in dims:
        if input.ndim and input.shape[d] == 0:
            raise IndexError(f"{name}(): Expected reduction dim {d} to have non-zero size.")


def _real(name: str, input: Any) -> None:
    if input.dtype.is_complex:
        raise DtypeError(f"{name}(): does not support complex input")


def _picked(name: str, input: Any, indices: Any, d: int, keepdim: bool) -> Any:
    """``(values, indices)`` as the return type ``name`` of torch."""
    values = TABLE[f"{name}_at"](input, indices, dim=d, keepdim=keepdim)
    return getattr(return_types, name)(values, indices)


def _extreme(name: str, input: Any, dim: Any, keepdim: bool, other: Any) -> Any:
    """``max`` or ``min`` in its three forms."""
    if is_tensor(dim):
        other = dim
    if other is not None:
        return TABLE[f"{name}imum"](input, other)
    _real(name, input)
    if dim is None:
        _nonempty(name, input, None)
        if input.dtype.category < FLOAT:
            return TABLE[f"{name}_over"](input, dim=dims_of(None, input.ndim), keepdim=False)
        return TABLE[f"{name}_all"](input)
    d = dim_of(dim, input.ndim)
    _nonempty(name, input, (d,))
    indices = TABLE[f"arg{name}"](input, dim=d, keepdim=keepdim and input.ndim > 0)
    return _picked(name, input, indices, d, keepdim)


@public
@numpy_names
def max(input: Any, dim: Any = None, keepdim: bool = False, *, other: Any = None) -> Any:
    """The largest element; ``max(dim)`` gives ``(values, indices)``, ``max(other)`` is ``maximum``.

    nan counts as the largest. Gradient: all elements that are the maximum share ``g``; with ``dim``, the one
    at the index gets it. Source: torch.max.

    >>> import autograd_gpu as torch
    >>> torch.tensor([[1., 5.], [7., 2.]]).max(1).indices
    tensor([1, 0])
    """
    return _extreme("max", input, dim, keepdim, other)


@public
@numpy_names
def min(input: Any, dim: Any = None, keepdim: bool = False, *, other: Any = None) -> Any:
    """The smallest element; ``min(dim)`` gives ``(values, indices)``, ``min(other)`` is ``minimum``.

    nan counts as the smallest. The gradient is as that of ``max``. Source: torch.min.
    """
    return _extreme("min", input, dim, keepdim, other)


def _over_dims(name: str, input: Any, dim: Any, keepdim: bool) -> Any:
    dims = dims_of(dim, input.ndim)
    _nonempty(name, input, None if dim is None or dim == () else dims)
    return _over(name, name[1:], input, dims, keepdim)


def _over(name: str, kind: str, input: Any, dims: Dims, keepdim: bool) -> Any:
    """The operation ``name`` of floats, which has a gradient; the ``kind`` of extreme of integers."""
    if input.dtype.category < FLOAT:
        return TABLE[f"{kind}_over"](input, dim=dims, keepdim=keepdim)
    return TABLE[name](input, dims, keepdim)


@public
@numpy_names
def amax(input: Any, dim: Any = None, keepdim: bool = False) -> Any:
    """The largest element over the axes ``dim``; several share its gradient. Source: torch.amax."""
    return _over_dims("amax", input, dim, keepdim)


@public
@numpy_names
def amin(input: Any, dim: Any = None, keepdim: bool = False) -> Any:
    """The smallest element over the axes ``dim``; several share its gradient. Source: torch.amin."""
    return _over_dims("amin", input, dim, keepdim)


@public
@numpy_names
def aminmax(input: Any, *, dim: int | None = None, keepdim: bool = False) -> Any:
    """``(min, max)`` over ``dim`` or of all elements; several share a gradient. Source: torch.aminmax."""
    dims = dims_of(dim, input.ndim)
    if dim is None and 0 in input.shape:
        raise ShapeError("aminmax(): cannot compute aminmax over an empty dimension as the operation has no identity.")
    _nonempty("aminmax", input, dims)
    return return_types.aminmax(*(_over(f"aminmax_{name}", name, input, dims, keepdim) for name in ("min", "max")))


def _index_of(name: str, input: Any, dim: int | None, keepdim: bool) -> Any:
    _real(name, input)
    if input.dtype.name == "bool":
        raise DtypeError(f"{name}(): does not support bool input")
    d = None if dim is None else dim_of(dim, input.ndim)
    _nonempty(name, input, None if d is None else (d,), IndexError)
    return TABLE[name](input, dim=d, keepdim=keepdim)


@public
@numpy_names
def argmax(input: Any, dim: int | None = None, keepdim: bool = False) -> Any:
    """The index of the largest element along ``dim``, or in the flattened tensor. Source: torch.argmax."""
    return _index_of("argmax", input, dim, keepdim)


@public
@numpy_names
def argmin(input: Any, dim: int | None = None, keepdim: bool = False) -> Any:
    """The index of the smallest element along ``dim``, or in the flattened tensor. Source: torch.argmin."""
    return _index_of("argmin", input, dim, keepdim)


def _middle(name: str, input: Any, dim: int | None, keepdim: bool) -> Any:
    if dim is None:
        return TABLE[f"{name}_all"](input)
    d = dim_of(dim, input.ndim)
    _nonempty(name, input, (d,))
    indices = TABLE.median_index(input, dim=d, keepdim=keepdim, ignore_nan=name == "nanmedian")
    return _picked(name, input, indices, d, keepdim)


@public
@numpy_names
def median(input: Any, dim: int | None = None, keepdim: bool = False) -> Any:
    """The middle element, the lower of two; with ``dim`` ``(values, indices)``; nan if there is one.

    Gradients go as those of ``max``. Source: torch.median.
    """
    return _middle("median", input, dim, keepdim)


@public
@numpy_names
def nanmedian(input: Any, dim: int | None = None, keepdim: bool = False) -> Any:
    """``median`` of the elements that are not nan. Source: torch.nanmedian."""
    return _middle("nanmedian", input, dim, keepdim)


@public
@numpy_names
def mode(input: Any, dim: int = -1, keepdim: bool = False) -> Any:
    """``(values, indices)`` of the most frequent elements along ``dim``, the smallest of several."""
    d = dim_of(dim, input.ndim)
    _nonempty("mode", input, (d,))
    return _picked("mode", input, TABLE.mode_index(input, dim=d, keepdim=keepdim), d, keepdim)


def _running(name: str, input: Any, dim: int, sign: int) -> Any:
    d = dim_of(dim, input.ndim)
    indices = TABLE.running_extreme(input, dim=d, sign=sign)
    return getattr(return_types, name)(TABLE[f"{name}_at"](input, indices, dim=d), indices)


@public
@numpy_names
def cummax(input: Any, dim: int) -> Any:
    """The largest element up to each along ``dim``, and its index. Source: torch.cummax."""
    return _running("cummax", input, dim, 1)


@public
@numpy_names
def cummin(input: Any, dim: int) -> Any:
    """The smallest element up to each along ``dim``, and its index. Source: torch.cummin."""
    return _running("cummin", input, dim, -1)
