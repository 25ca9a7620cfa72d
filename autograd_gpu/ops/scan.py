"""Scans: each element combined with all before it along an axis; and products, whose gradients are scans."""

from collections.abc import Callable
from math import inf
from math import prod as product
from typing import Any

import numpy as np

from ..backends import of
from ..dtypes import FLOAT, bool_
from ..errors import ShapeError
from ..op import TABLE, ArrayOp, public
from ..shapes import dim_of
from .arguments import numpy_names
from .index import narrow
from .join import cat
from .precision import cast, in_float32
from .reduce import FRACTIONS, Dims, conj, keep

_DOUBLE = {np.dtype(np.float32): np.float64, np.dtype(np.complex64): np.complex128}


def _result(x: Any) -> Any:
    """The dtype of sums and products of ``x``: int64 for bools and integers."""
    return np.dtype(np.int64) if x.dtype.kind in "bui" else x.dtype


def _running(x: Any, name: str, dim: int) -> Any:
    """``cumsum`` or ``cumprod``, on NumPy in double precision and rounded, as PyTorch's CPU kernels do."""
    if not x.ndim:
        return x.astype(_result(x))
    xp = of(x).xp
    wide = _DOUBLE.get(x.dtype) if xp is np else None
    return getattr(xp, name)(x, axis=dim, dtype=wide or _result(x)).astype(_result(x), copy=False)


def by_doubling(combine: Callable[..., tuple[Any, ...]], parts: tuple[Any, ...], dim: int) -> tuple[Any, ...]:
    """Combine each element with all before it, in log2(n) steps of whole arrays.

    ``combine(earlier, later)`` is associative and gets tuples of arrays like ``parts``, which are copied.
    """
    done = tuple(part.copy() for part in parts)
    views = tuple(part.swapaxes(dim, -1) for part in done)
    step = 1
    while step < views[0].shape[-1]:
        new = combine(tuple(v[..., :-step] for v in views), tuple(v[..., step:] for v in views))
        for view, value in zip(views, new, strict=True):
            view[..., step:] = value
        step *= 2
    return done


def _shift(x: Any, dim: int, by: int, fill: float) -> Any:
    """``x[i - by]`` (``by`` is 1 or -1) along ``dim``, and ``fill`` where there is none."""
    y = of(x).xp.full(x.shape, fill, x.dtype)
    if x.ndim:
        first, last = slice(None, -1), slice(1, None)
        to, source = (last, first) if by == 1 else (first, last)
        y.swapaxes(dim, -1)[..., to] = x.swapaxes(dim, -1)[..., source]
    return y


def _after(earlier: tuple[Any, Any], later: tuple[Any, Any]) -> tuple[Any, Any]:
    """Two steps ``y -> x + a y`` of a recurrence as one; each is a pair ``(x, a)``."""
    return later[0] + later[1] * earlier[0], later[1] * earlier[1]


@in_float32
def _recurrence(x: Any, a: Any, dim: int, reverse: bool) -> Any:
    if not x.ndim:
        return x.copy()
    if reverse:
        return of(x).xp.flip(_recurrence(of(x).xp.flip(x, dim), of(x).xp.flip(a, dim), dim, reverse=False), dim)
    return by_doubling(_after, (x, a), dim)[0]


def _recurrence_vjp(g: Any, factor: Any, dim: int, reverse: bool) -> Any:
    ahead = TABLE.shift(factor, dim=dim, by=1 if reverse else -1, fill=0)
    return TABLE.recurrence(g, conj(ahead), dim=dim, reverse=not reverse)


def _recurrence_factor_vjp(g: Any, factor: Any, y: Any, dim: int, reverse: bool) -> Any:
    before = TABLE.shift(y, dim=dim, by=-1 if reverse else 1, fill=0)
    return _recurrence_vjp(g, factor, dim, reverse) * conj(before)


def _products_before(x: Any, dim: int) -> Any:
    """The product of the elements in front of each."""
    return TABLE.cumprod(TABLE.shift(x, dim=dim, by=1, fill=1), dim=dim)


def _products_of_others(x: Any, dim: int) -> Any:
    """The product of all elements but one, for each: no division, so zeros do no harm."""
    after = TABLE.flip(_products_before(TABLE.flip(x, dims=(dim,)), dim), dims=(dim,))
    return _products_before(x, dim) * after


def _cumprod_vjp(g: Any, input: Any, dim: int) -> Any:
    """``sum of g[k] x[0] ... x[k] / x[i] for k >= i``, without the division."""
    following = TABLE.recurrence(g, conj(TABLE.shift(input, dim=dim, by=-1, fill=0)), dim=dim, reverse=True)
    return following * conj(_products_before(input, dim))


def _prod_vjp(g: Any, input: Any, dim: int, keepdim: bool) -> Any:
    return keep(g, (dim,) if input.ndim else (), keepdim) * conj(_products_of_others(input, dim))


def _prod_all_vjp(g: Any, input: Any, shape: Dims) -> Any:
    line = TABLE.reshape(input, size=(product(shape),))
    return TABLE.reshape(g * conj(_products_of_others(line, 0)), size=shape)


@in_float32
def _prod(x: Any, dim: int | None = None, keepdim: bool = False) -> Any:
    return x.prod(axis=dim if x.ndim else None, keepdims=keepdim, dtype=_result(x))


@in_float32
def _logcumsumexp(x: Any, dim: int) -> Any:
    xp = of(x).xp
    if not x.ndim:
        return x.copy()
    if xp is np:
        return np.logaddexp.accumulate(x, axis=dim)
    return by_doubling(lambda earlier, later: (xp.logaddexp(earlier[0], later[0]),), (x,), dim)[0]


@in_float32
def _logcumsumexp_vjp(g: Any, input: Any, y: Any, dim: int) -> Any:
    """``exp(x[i]) sum of g[k] / exp(y[k]) for k >= i``, where y grows: no exponential exceeds 1."""
    shrink = TABLE.exp(y - TABLE.shift(y, dim=dim, by=-1, fill=inf))
    return TABLE.exp(input - y) * TABLE.recurrence(g, shrink, dim=dim, reverse=True)


# fmt: off
ArrayOp("shift", "input", _shift, lambda g, dim, by, fill: TABLE.shift(g, dim=dim, by=-by, fill=0),
        "the elements moved by one place, and a number where none comes in")
ArrayOp("recurrence", "input, factor", _recurrence,
        {"input": _recurrence_vjp, "factor": _recurrence_factor_vjp},
        "y[i] = input[i] + factor[i] y[i - 1]", takes=FRACTIONS)
ArrayOp("cumsum", "input", in_float32(lambda x, dim: _running(x, "cumsum", dim)),
        lambda g, dim: TABLE.flip(TABLE.cumsum(TABLE.flip(g, dims=(dim,)), dim=dim), dims=(dim,)),
        "sums of the elements up to each")
ArrayOp("cumprod", "input", in_float32(lambda x, dim: _running(x, "cumprod", dim)), _cumprod_vjp,
        "products of the elements up to each")
ArrayOp("prod_all", "input", _prod, _prod_all_vjp, "product of all elements", node="ProdBackward0")
ArrayOp("prod", "input", _prod, _prod_vjp, "product of the elements over dim", node="ProdBackward1")
ArrayOp("logcumsumexp", "input", _logcumsumexp, _logcumsumexp_vjp, "log of the sums of e**input up to each",
        takes=(FLOAT,))
# fmt: on


@public
@numpy_names
def prod(input: Any, dim: int | None = None, keepdim: bool = False, *, dtype: Any = None) -> Any:
    """Product of the elements over the axis ``dim``, or of all; of bools and integers in int64.

    With ``dtype`` the elements are cast first. Gradient: ``g`` times the product of the other elements, also
    where some are 0. Source: torch.prod.
    """
    if dtype is not None:
        return cast(prod(cast(input, dtype), dim, keepdim), dtype)
    if dim is None:
        return TABLE.prod_all(input)
    return TABLE.prod(input, dim=dim_of(dim, input.ndim), keepdim=keepdim)


@public(in_place=True)
@numpy_names
def cumsum(input: Any, dim: int, *, dtype: Any = None) -> Any:
    """Sum of the elements up to each along ``dim``; of bools and integers in int64. Source: torch.cumsum.

    >>> import autograd_gpu as torch
    >>> torch.tensor([1., 2., 3.]).cumsum(0)
    tensor([1., 3., 6.])
    """
    if dtype is not None:
        return cast(cumsum(cast(input, dtype), dim), dtype)
    return TABLE.cumsum(input, dim=dim_of(dim, input.ndim))


@public(in_place=True)
@numpy_names
def cumprod(input: Any, dim: int, *, dtype: Any = None) -> Any:
    """Product of the elements up to each along ``dim``; its gradient bears zeros. Source: torch.cumprod."""
    if dtype is not None:
        return cast(cumprod(cast(input, dtype), dim), dtype)
    return TABLE.cumprod(input, dim=dim_of(dim, input.ndim))


@public
@numpy_names
def logcumsumexp(input: Any, dim: int) -> Any:
    """``log(cumsum(exp(input)))`` along ``dim``, without overflow. Source: torch.logcumsumexp."""
    return TABLE.logcumsumexp(input, dim=dim_of(dim, input.ndim))


@public
@numpy_names
def diff(input: Any, n: int = 1, dim: int = -1, prepend: Any = None, append: Any = None) -> Any:
    """The ``n``-th differences of neighbours along ``dim``, after joining ``prepend`` and ``append`` to it.

    Of bools, whether neighbours differ. Source: torch.diff.

    >>> import autograd_gpu as torch
    >>> torch.tensor([1, 4, 9]).diff()
    tensor([3, 5])
    """
    if not input.ndim:
        raise ShapeError("diff expects input to be at least one-dimensional")
    if n < 0:
        raise ShapeError(f"order must be non-negative but got {n}")
    d = dim_of(dim, input.ndim)
    parts = [part for part in (prepend, input, append) if part is not None]
    result = cat(parts, d) if n and len(parts) > 1 else input
    for _ in range(min(n, result.shape[d])):
        size = result.shape[d] - 1
        neighbours = narrow(result, d, 1, size), narrow(result, d, 0, size)
        result = TABLE.logical_xor(*neighbours) if input.dtype is bool_ else TABLE.sub(*neighbours)
    return result
