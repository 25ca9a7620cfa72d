"""Reductions: sums, means, variances and logical ones; extremes are in extremes.py, products in scan.py."""

import warnings
from math import inf, prod
from typing import Any

import numpy as np

from ..backends import of
from ..dtypes import COMPLEX, FLOAT, REDUCED, bool_, dtype, get_default_dtype, uint8
from ..dtypes import of as dtype_of
from ..errors import DtypeError, ShapeError
from ..op import REAL, TABLE, ArrayOp, public
from ..shapes import dims_of, size_args
from .arguments import numpy_names
from .precision import cast, in_float32

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


def spread(g: Any, shape: Dims, dim: Dims, keepdim: bool) -> Any:
    """``g``, of a reduction over the axes ``dim`` of an array of ``shape``, repeated along these axes."""
    return TABLE.expand(keep(g, dim, keepdim), size=shape)


def conj(x: Any) -> Any:
    """The complex conjugate of ``x`` (an array or a Tensor), which for a real one is itself."""
    return TABLE.conj(x) if (x.dtype if isinstance(x.dtype, dtype) else dtype_of(x.dtype)).is_complex else x


def total(x: Any, dim: Dims | None = None, keepdim: bool = False) -> Any:
    """The sum of an array: of bools and integers in int64, of 16-bit floats in float32 and rounded once."""
    if x.dtype.kind in "bui":
        return x.sum(axis=dim, keepdims=keepdim, dtype=np.int64)
    if dtype_of(x.dtype) in REDUCED:
        return x.sum(axis=dim, keepdims=keepdim, dtype=np.float32).astype(x.dtype)
    return x.sum(axis=dim, keepdims=keepdim)


@in_float32
def _mean(x: Any, dim: Dims | None = None, keepdim: bool = False) -> Any:
    return x.sum(axis=dim, keepdims=keepdim) / (prod(x.shape) if dim is None else count(x.shape, dim))


def _moments(x: Any, dim: Dims, correction: float) -> tuple[Any, Any]:
    """Variance and mean, the reduced axes kept."""
    n = count(x.shape, dim)
    mean = x.sum(axis=dim, keepdims=True) / n
    d = x - mean
    squares = d.real**2 + d.imag**2 if x.dtype.kind == "c" else d * d
    return squares.sum(axis=dim, keepdims=True) / max(0, n - correction), mean


def _without(y: Any, dim: Dims, keepdim: bool) -> Any:
    return y if keepdim else y.reshape(tuple(n for d, n in enumerate(y.shape) if d not in dim))


@in_float32
def _var(x: Any, dim: Dims, correction: float, keepdim: bool) -> Any:
    return _without(_moments(x, dim, correction)[0], dim, keepdim)


@in_float32
def _std(x: Any, dim: Dims, correction: float, keepdim: bool) -> Any:
    return _without(_moments(x, dim, correction)[0] ** 0.5, dim, keepdim)


@in_float32
def _var_mean(x: Any, dim: Dims, correction: float, keepdim: bool) -> tuple[Any, Any]:
    var, mean = _moments(x, dim, correction)
    return _without(var, dim, keepdim), _without(mean, dim, keepdim)


@in_float32
def _std_mean(x: Any, dim: Dims, correction: float, keepdim: bool) -> tuple[Any, Any]:
    var, mean = _moments(x, dim, correction)
    return _without(var**0.5, dim, keepdim), _without(mean, dim, keepdim)


def _mean_vjp(g: Any, shape: Dims, dim: Dims, keepdim: bool) -> Any:
    return spread(g / count(shape, dim), shape, dim, keepdim)


@in_float32
def _var_vjp(g: Any, input: Any, dim: Dims, correction: float, keepdim: bool) -> Any:
    freedom = count(input.shape, dim) - correction
    mean = TABLE.mean(input, dim=dim, keepdim=True)
    return keep(g, dim, keepdim) * (2 / freedom if freedom else inf) * (input - mean)


@in_float32
def _std_vjp(g: Any, input: Any, y: Any, dim: Dims, correction: float, keepdim: bool) -> Any:
    at_zero = y == 0
    of_var = TABLE.where(at_zero, 0.0, g / (2 * TABLE.where(at_zero, 1.0, y)))
    return _var_vjp(of_var, input, dim, correction, keepdim)


def _with_mean(first: Any, g: Any, shape: Dims, dim: Dims, keepdim: bool) -> Any:
    """The cotangent of the operand of a pair (var or std, mean): ``first`` is that by way of the first one."""
    if (of_mean := g.get(1)) is None:
        return first
    second = _mean_vjp(of_mean, shape, dim, keepdim)
    return second if first is None else first + second


def _var_mean_vjp(g: Any, input: Any, shape: Dims, dim: Dims, correction: float, keepdim: bool) -> Any:
    of_var = g.get(0)
    first = None if of_var is None else _var_vjp(of_var, input, dim, correction, keepdim)
    return _with_mean(first, g, shape, dim, keepdim)


def _std_mean_vjp(
    g: Any, input: Any, y: Any, shape: Dims, dim: Dims, correction: float, keepdim: bool
) -> Any:
    of_std = g.get(0)
    first = None if of_std is None else _std_vjp(of_std, input, y, dim, correction, keepdim)
    return _with_mean(first, g, shape, dim, keepdim)


def _sum_to_size(x: Any, size: Dims) -> Any:
    extra = x.ndim - len(size)
    dims = (*range(extra), *(i + extra for i, n in enumerate(size) if n == 1 and x.shape[i + extra] != 1))
    return total(x, dims, keepdim=True).reshape(size)


@in_float32
def _logsumexp(x: Any, dim: Dims, keepdim: bool) -> Any:
    xp = of(x).xp
    top = x.real.max(axis=dim, keepdims=True) if x.size else xp.zeros((1,) * x.ndim, x.real.dtype)
    top = xp.where(xp.isinf(top), 0, top)  # inf - inf is nan
    return _without(xp.log(xp.exp(x - top).sum(axis=dim, keepdims=True)) + top, dim, keepdim)


@in_float32
def _logsumexp_vjp(g: Any, input: Any, y: Any, dim: Dims, keepdim: bool) -> Any:
    return keep(g, dim, keepdim) * conj(TABLE.exp(input - keep(y, dim, keepdim)))


def _not_nan(x: Any) -> Any:
    return of(x).xp.where(x == x, x, 0).astype(x.dtype)  # noqa: PLR0124  nan is not equal to itself


def _nansum_vjp(g: Any, input: Any, dim: Dims, keepdim: bool) -> Any:
    return keep(g, dim, keepdim) * cast(input == input, g.dtype)  # noqa: PLR0124


# fmt: off
FRACTIONS = (FLOAT, COMPLEX)
ArrayOp("sum_all", "input", total, lambda g, shape: TABLE.expand(g, size=shape),
        "sum of all elements", node="SumBackward0")
ArrayOp("sum", "input", total, spread, "sum of the elements over dim", node="SumBackward1")
ArrayOp("sum_to_size", "input", _sum_to_size, lambda g, shape: TABLE.expand(g, size=shape),
        "sum over the axes along which size would be broadcast to input's", node="SumBackward1")
ArrayOp("mean_all", "input", _mean, lambda g, shape: TABLE.expand(g / prod(shape), size=shape),
        "mean of all elements", takes=FRACTIONS, node="MeanBackward0")
ArrayOp("mean", "input", _mean, _mean_vjp, "mean of the elements over dim", takes=FRACTIONS, node="MeanBackward1")
ArrayOp("nansum", "input", lambda x, dim, keepdim: total(_not_nan(x), dim, keepdim), _nansum_vjp,
        "sum of the elements over dim that are not nan", takes=REAL)
ArrayOp("var", "input", _var, _var_vjp, "variance over dim", takes=FRACTIONS, fits=True)
ArrayOp("std", "input", _std, _std_vjp, "standard deviation over dim", takes=FRACTIONS, fits=True)
ArrayOp("var_mean", "input", _var_mean, _var_mean_vjp, "variance and mean over dim", takes=FRACTIONS, fits=True)
ArrayOp("std_mean", "input", _std_mean, _std_mean_vjp, "standard deviation and mean over dim",
        takes=FRACTIONS, fits=True)
ArrayOp("logsumexp", "input", _logsumexp, _logsumexp_vjp, "log of the sum of e**input over dim", takes=FRACTIONS)
ArrayOp("any", "input", lambda x, dim, keepdim: (x != 0).any(axis=dim, keepdims=keepdim), None,
        "whether an element over dim is not 0")
ArrayOp("all", "input", lambda x, dim, keepdim: (x != 0).all(axis=dim, keepdims=keepdim), None,
        "whether no element over dim is 0")
ArrayOp("count_nonzero", "input", lambda x, dim: (x != 0).sum(axis=dim, dtype=np.int64), None,
        "number of elements over dim that are not 0")
# fmt: on


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


@public
def sum_to_size(input: Any, *size: Any) -> Any:
    """Sum over the axes along which a tensor of ``size`` would be broadcast to this one's shape."""
    wanted = size_args(size)
    missing = input.ndim - len(wanted)
    if missing < 0 or [n for n, m in zip(wanted, input.shape[missing:], strict=True) if n not in (1, m)]:
        raise ShapeError(f"size {{{list(wanted)}}} is not expandable to size {{{list(input.shape)}}}.")
    if not wanted:
        return TABLE.sum_all(input)
    if wanted == tuple(input.shape):
        return input
    dims = (
        *range(missing),
        *(d for d in range(missing, input.ndim) if wanted[d - missing] != input.shape[d]),
    )
    total = TABLE.sum(input, dim=dims, keepdim=True)
    return TABLE.view(total, size=wanted) if missing else total


@public
@numpy_names
def mean(input: Any, dim: Any = None, keepdim: bool = False, *, dtype: Any = None) -> Any:
    """Mean over the axes ``dim`` (an int, several, or None for all), of floating or complex elements.

    With ``dtype`` the elements are cast first. Gradient: ``g / n`` for each of n elements. Source: torch.mean.
    """
    if (dtype or input.dtype).category < FLOAT:
        raise DtypeError(
            f"mean(): could not infer output dtype. {'Input' if dtype is None else 'Optional'} dtype must be either "
            f"a floating point or complex dtype. Got: {(dtype or input.dtype).scalar_name}"
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
    return TABLE.nansum(input, dim=dims_of(dim, input.ndim), keepdim=keepdim)


@public
@numpy_names
def nanmean(input: Any, dim: Any = None, keepdim: bool = False, *, dtype: Any = None) -> Any:
    """``mean`` of the elements that are not nan. Source: torch.nanmean."""
    if input.dtype.category < FLOAT:
        raise DtypeError(
            "nanmean(): expected input to have floating point or complex dtype but got "
            f"{input.dtype.scalar_name}"
        )
    known = TABLE.sum(input == input, dim=dims_of(dim, input.ndim), keepdim=keepdim)  # noqa: PLR0124
    return nansum(input, dims_of(dim, input.ndim), keepdim, dtype=dtype) / known


def _deviation(
    name: str, input: Any, dim: Any, unbiased: bool | None, keepdim: bool, correction: float | None
) -> Any:
    """The operation ``name`` (var, std, var_mean or std_mean) with torch's arguments."""
    if isinstance(dim, bool):
        dim, unbiased = None, dim
    if unbiased is not None and correction is not None:
        raise TypeError(
            f"{name}() takes unbiased or correction, but got unbiased={unbiased} and {correction=}"
        )
    if input.dtype.category < FLOAT:
        who = name if name.endswith("mean") else "std and var"
        raise DtypeError(f"{who} only support floating point and complex dtypes")
    correction = (1 if unbiased in (None, True) else 0) if correction is None else correction
    dims = dims_of(dim, input.ndim)
    if count(input.shape, dims) - correction <= 0:
        warnings.warn(
            f"{name}(): degrees of freedom is <= 0. Correction should be strictly less than the reduction "
            "factor (input numel divided by output numel).",
            UserWarning,
            stacklevel=4,
        )
    return TABLE[name](input, dim=dims, correction=correction, keepdim=keepdim)


@public
@numpy_names
def var(
    input: Any,
    dim: Any = None,
    unbiased: bool | None = None,
    keepdim: bool = False,
    *,
    correction: float | None = None,
) -> Any:
    """Variance over ``dim``: squared deviations from the mean, summed and divided by ``n - correction``.

    ``correction`` is 1 unless given; ``unbiased=False`` means 0. Of complex numbers it is real.
    Gradient: ``g * 2 / (n - correction) * (input - mean)``. Source: torch.var.

    >>> import autograd_gpu as torch
    >>> torch.tensor([1., 2., 3., 4.]).var(correction=0)
    tensor(1.2500)
    """
    return _deviation("var", input, dim, unbiased, keepdim, correction)


@public
@numpy_names
def std(
    input: Any,
    dim: Any = None,
    unbiased: bool | None = None,
    keepdim: bool = False,
    *,
    correction: float | None = None,
) -> Any:
    """Standard deviation over ``dim``, the root of ``var``; where it is 0, so is its gradient. Source: torch.std."""
    return _deviation("std", input, dim, unbiased, keepdim, correction)


@public(method=False)
@numpy_names
def var_mean(
    input: Any,
    dim: Any = None,
    unbiased: bool | None = None,
    keepdim: bool = False,
    *,
    correction: float | None = None,
) -> Any:
    """``(var, mean)`` over ``dim``. Source: torch.var_mean."""
    return _deviation("var_mean", input, dim, unbiased, keepdim, correction)


@public(method=False)
@numpy_names
def std_mean(
    input: Any,
    dim: Any = None,
    unbiased: bool | None = None,
    keepdim: bool = False,
    *,
    correction: float | None = None,
) -> Any:
    """``(std, mean)`` over ``dim``. Source: torch.std_mean."""
    return _deviation("std_mean", input, dim, unbiased, keepdim, correction)


@public
@numpy_names
def logsumexp(input: Any, dim: Any, keepdim: bool = False) -> Any:
    """``log(sum(exp(input)))`` over ``dim``, without overflow. Gradient: ``g * exp(input - y)``.

    Integers are computed in the default floating dtype. Source: torch.logsumexp.
    """
    if input.dtype.category < FLOAT:
        input = cast(input, get_default_dtype())
    return TABLE.logsumexp(input, dim=dims_of(dim, input.ndim), keepdim=keepdim)


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
