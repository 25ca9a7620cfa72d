"""Reductions: sums and means, logical ones, logsumexp; and what all reductions share."""

from functools import lru_cache
from math import prod
from typing import Any

import numpy as np

from ..backends import of
from ..dtypes import ALL, COMPLEX, FLOAT, REDUCED, bool_, dtype, get_default_dtype, uint8
from ..errors import DtypeError, ShapeError
from ..fused import Fused
from ..op import TABLE, ArrayOp, public
from ..shapes import dims_of
from .arguments import numpy_names, one_or_many
from .precision import cast

Dims = tuple[int, ...]


def count(shape: Dims, dim: Dims) -> int:
    """How many elements of an array of ``shape`` each element of its reduction over ``dim`` is made of."""
    return prod(shape[d] for d in dim)


def keep(g: Any, dim: Dims, keepdim: bool) -> Any:
    """``g``, of a reduction over the axes ``dim``, with these axes back (of size 1)."""
    if keepdim or not dim:
        return g
    size = list(g.shape)
    for d in sorted(dim):
        size.insert(d, 1)
    return TABLE.reshape(g, size=tuple(size))


def unreduced(y: Any, dim: Dims, keepdim: bool) -> Any:
    """A symbol of what was reduced over the last axes, as many as ``dim`` has, with these axes, or none at all."""
    for _ in () if keepdim or not y.ndim else dim:
        y = TABLE.unsqueeze(y, dim=y.ndim)
    return y


def root(x: Any) -> Any:
    """The square root, whose gradient is 0 at 0."""
    zero = x == 0
    return TABLE.where(zero, 0.0, TABLE.sqrt(TABLE.where(zero, 1.0, x)))


def spread(g: Any, shape: Dims, dim: Dims, keepdim: bool) -> Any:
    """``g``, of a reduction over the axes ``dim`` of an array of ``shape``, repeated along these axes."""
    return TABLE.expand(keep(g, dim, keepdim), size=shape)


def conj(x: Any) -> Any:
    """The complex conjugate of ``x`` (an array or a Tensor), which for a real one is itself."""
    own = x.dtype
    return TABLE.conj(x) if (own.is_complex if isinstance(own, dtype) else own.kind == "c") else x


# What elements are summed in where not in their own dtype; 16-bit floats are rounded once, at the end.
SUMMED_IN = {d.numpy: np.float32 if d in REDUCED else np.int64 for d in ALL if d.category < FLOAT or d in REDUCED}


def total(x: Any, dim: Dims | None = None, keepdim: bool = False) -> Any:
    """The sum of an array: of bools and integers in int64, of 16-bit floats in float32."""
    wide = SUMMED_IN.get(x.dtype, x.dtype)
    return of(x).total(x, dim, keepdims=keepdim, computed=wide, result=x.dtype if wide is np.float32 else wide)


def _mean(x: Any, dim: Dims | None = None, keepdim: bool = False) -> Any:
    n = prod(x.shape) if dim is None else count(x.shape, dim)
    wide = SUMMED_IN.get(x.dtype, x.dtype)
    return of(x).total(x, dim, keepdims=keepdim, computed=wide, result=x.dtype, divisor=n)


def mean_vjp(g: Any, shape: Dims, dim: Dims, keepdim: bool) -> Any:
    """The cotangent of what a mean is taken of."""
    return spread(g / count(shape, dim), shape, dim, keepdim)


def without(y: Any, dim: Dims, keepdim: bool) -> Any:
    """An array whose reduced axes ``dim`` were kept, without them if they are not wanted."""
    return y if keepdim else y.reshape(tuple(n for d, n in enumerate(y.shape) if d not in dim))


@lru_cache(maxsize=4096)
def _broadcast(shape: Dims, size: Dims) -> Dims:
    """The axes of ``shape`` along which ``size`` was broadcast to it."""
    extra = len(shape) - len(size)
    return (*range(extra), *(i + extra for i, n in enumerate(size) if n == 1 and shape[i + extra] != 1))


def _sum_to_size(x: Any, size: Dims) -> Any:
    return total(x, _broadcast(x.shape, size), keepdim=True).reshape(size)


def _logsumexp(input: Any, dim: Dims, keepdim: bool) -> Any:
    top = TABLE.amax(input, dim=dim, keepdim=True).detach()
    top = TABLE.where(TABLE.isinf(top), 0.0, top)  # inf - inf is nan
    y = TABLE.log(TABLE.sum(TABLE.exp(input - top), dim=dim, keepdim=True)) + top
    return y if keepdim else TABLE.squeeze_dims(y, dim=dim)


def _complex_logsumexp(x: Any, dim: Dims, keepdim: bool) -> Any:
    xp = of(x).xp
    top = x.real.max(axis=dim, keepdims=True) if x.size else xp.zeros((1,) * x.ndim, x.real.dtype)
    top = xp.where(xp.isinf(top), 0, top)
    return without(xp.log(xp.exp(x - top).sum(axis=dim, keepdims=True)) + top, dim, keepdim)


def _complex_logsumexp_vjp(g: Any, input: Any, y: Any, dim: Dims, keepdim: bool) -> Any:
    return keep(g, dim, keepdim) * conj(TABLE.exp(input - keep(y, dim, keepdim)))


def _nansum(input: Any, dim: Dims, keepdim: bool) -> Any:
    return TABLE.sum(TABLE.where(input != input, 0.0, input), dim=dim, keepdim=keepdim)  # noqa: PLR0124  that is nan


def _of_nansum(g: Any, input: Any, dim: Dims, keepdim: bool, _: Any) -> tuple[Any, ...]:
    return unreduced(g, dim, keepdim) * TABLE.where(input == input, 1.0, 0.0), None, None  # noqa: PLR0124


# fmt: off
FRACTIONS = (FLOAT, COMPLEX)
ArrayOp("sum_all", "input", total, lambda g, shape: TABLE.expand(g, size=shape),
        "sum of all elements", node="SumBackward0")
ArrayOp("sum", "input", total, spread, "sum of the elements over dim", node="SumBackward1")
ArrayOp("sum_to_size", "input", _sum_to_size, lambda g, shape: TABLE.expand(g, size=shape),
        "sum over the axes along which size would be broadcast to input's", node="SumBackward1")
ArrayOp("mean_all", "input", _mean, lambda g, shape: TABLE.expand(g / prod(shape), size=shape),
        "mean of all elements", takes=FRACTIONS, node="MeanBackward0")
ArrayOp("mean", "input", _mean, mean_vjp, "mean of the elements over dim",
        takes=FRACTIONS, node="MeanBackward1")
ArrayOp("complex_logsumexp", "input", _complex_logsumexp, _complex_logsumexp_vjp,
        "log of the sum of e**input over dim", takes=(COMPLEX,), node="LogsumexpBackward0")
ArrayOp("any", "input", lambda x, dim, keepdim: of(x).reduced("any", x, dim, keepdims=keepdim), None,
        "whether an element over dim is not 0")
ArrayOp("all", "input", lambda x, dim, keepdim: of(x).reduced("all", x, dim, keepdims=keepdim), None,
        "whether no element over dim is 0")
ArrayOp("count", "input", lambda x, dim: of(x).xp.asarray(count(x.shape, dim)), None, "number of elements over dim")
ArrayOp("count_nonzero", "input", lambda x, dim: of(x).reduced("count_nonzero", x, dim, keepdims=False), None,
        "number of elements over dim that are not 0")
# fmt: on
TABLE.define(Fused("logsumexp", _logsumexp, takes=(FLOAT,), along="dim"))
TABLE.define(Fused("nansum", _nansum, gradient=_of_nansum, takes=(FLOAT,), along="dim"))


@public
@numpy_names
def sum(input: Any, dim: Any = None, keepdim: bool = False, *, dtype: Any = None) -> Any:
    """Sum of the elements over the axes ``dim`` (an int, several, or None for all).

    Bools and integers are summed in int64, 16-bit floats in float32; with ``dtype`` the elements are
    cast first. Gradient: ``g`` for each element. Source: torch.sum.

    >>> import autograd_gpu as torch
    >>> torch.tensor([[1, 2], [3, 4]]).sum(0)
    tensor([4, 6])
    """
    if dtype is not None:
        return cast(sum(cast(input, dtype), dim, keepdim), dtype)
    if dim is None and not keepdim:
        return TABLE.sum_all(input)
    return TABLE.sum(input, dim=dims_of(dim, input.ndim), keepdim=keepdim)


@public(function_too=False)
@one_or_many("size")
def sum_to_size(input: Any, size: Dims) -> Any:
    """Sum over the axes along which a tensor of ``size`` would be broadcast to this one's shape."""
    missing = input.ndim - len(size)
    if missing < 0 or [n for n, m in zip(size, input.shape[missing:], strict=True) if n not in (1, m)]:
        raise ShapeError(f"size {{{list(size)}}} is not expandable to size {{{list(input.shape)}}}.")
    if not size:
        return TABLE.sum_all(input)
    if size == tuple(input.shape):
        return input
    dims = (
        *range(missing),
        *(d for d in range(missing, input.ndim) if size[d - missing] != input.shape[d]),
    )
    total = TABLE.sum(input, dim=dims, keepdim=True)
    return TABLE.view(total, size=size) if missing else total


@public
@numpy_names
def mean(input: Any, dim: Any = None, keepdim: bool = False, *, dtype: Any = None) -> Any:
    """Mean over the axes ``dim`` (an int, several, or None for all), of floating or complex elements.

    With ``dtype`` the elements are cast first. Gradient: ``g / n`` for each of n. Source: torch.mean.
    """
    if (dtype or input.dtype).category < FLOAT:
        raise DtypeError(
            f"mean(): could not infer output dtype. {'Input' if dtype is None else 'Optional'} dtype must be "
            f"either a floating point or complex dtype. Got: {(dtype or input.dtype).scalar_name}"
        )
    if dtype is not None:
        input = cast(input, dtype)
    if dim is None and not keepdim:
        return TABLE.mean_all(input)
    return TABLE.mean(input, dim=dims_of(dim, input.ndim), keepdim=keepdim)


@public
@numpy_names
def nansum(input: Any, dim: Any = None, keepdim: bool = False, *, dtype: Any = None) -> Any:
    """``sum`` in which nan counts as 0, and gets the gradient 0. Source: torch.nansum."""
    if dtype is not None:
        return cast(nansum(cast(input, dtype), dim, keepdim), dtype)
    if input.dtype.category < FLOAT:
        return sum(input, dim, keepdim)
    return TABLE.nansum(input, dims_of(dim, input.ndim), keepdim)


@public
@numpy_names
def nanmean(input: Any, dim: Any = None, keepdim: bool = False, *, dtype: Any = None) -> Any:
    """``mean`` of the elements that are not nan. Source: torch.nanmean."""
    if input.dtype.category < FLOAT:
        raise DtypeError(
            f"nanmean(): expected input to have floating point or complex dtype but got {input.dtype.scalar_name}"
        )
    known = TABLE.sum(input == input, dim=dims_of(dim, input.ndim), keepdim=keepdim)  # noqa: PLR0124
    return nansum(input, dims_of(dim, input.ndim), keepdim, dtype=dtype) / known


@public
@numpy_names
def logsumexp(input: Any, dim: Any, keepdim: bool = False) -> Any:
    """``log(sum(exp(input)))`` over ``dim``, without overflow. Gradient: ``g * exp(input - y)``.

    Integers are computed in the default floating dtype. Source: torch.logsumexp.
    """
    if input.dtype.category < FLOAT:
        input = cast(input, get_default_dtype())
    dims = dims_of(dim, input.ndim)
    if input.dtype.is_complex:
        return TABLE.complex_logsumexp(input, dim=dims, keepdim=keepdim)
    return TABLE.logsumexp(input, dims, keepdim)


def _logical(name: str, input: Any, dim: Any, keepdim: bool) -> Any:
    """``any`` or ``all``: bool, but uint8 of uint8; no axis at all means no reduction, as in torch."""
    dims = () if dim is not None and not isinstance(dim, int) and not tuple(dim) else dims_of(dim, input.ndim)
    return cast(TABLE[name](input, dim=dims, keepdim=keepdim), uint8 if input.dtype is uint8 else bool_)


@public
@numpy_names
def any(input: Any, dim: Any = None, keepdim: bool = False) -> Any:
    """Whether an element over ``dim`` is not 0 (nan is not). Source: torch.any."""
    return _logical("any", input, dim, keepdim)


@public
@numpy_names
def all(input: Any, dim: Any = None, keepdim: bool = False) -> Any:
    """Whether no element over ``dim`` is 0. Source: torch.all."""
    return _logical("all", input, dim, keepdim)


@public
@numpy_names
def count_nonzero(input: Any, dim: Any = None) -> Any:
    """The number of elements over ``dim`` that are not 0, in int64. Source: torch.count_nonzero."""
    return TABLE.count_nonzero(input, dim=dims_of(dim, input.ndim))
