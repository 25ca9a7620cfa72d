"""Variances and standard deviations."""

import warnings
from math import inf
from typing import Any

from ..dtypes import COMPLEX, FLOAT
from ..errors import DtypeError
from ..fused import Fused
from ..op import TABLE, ArrayOp, public
from ..shapes import dims_of
from .arguments import numpy_names
from .reduce import Dims, count, keep, mean_vjp, root, unreduced, without


def _deviations(x: Any, dim: Dims) -> Any:
    return x - TABLE.mean(x, dim=dim, keepdim=True)


def _var(input: Any, dim: Dims, correction: float, keepdim: bool) -> Any:
    rest = _deviations(input, dim)
    freedom = TABLE.maximum(TABLE.count(input, dim=dim) - correction, 0.0)
    return TABLE.sum(rest * rest, dim=dim, keepdim=keepdim) / freedom


def _std(input: Any, dim: Dims, correction: float, keepdim: bool) -> Any:
    return root(_var(input, dim, correction, keepdim))


def _var_mean(input: Any, dim: Dims, correction: float, keepdim: bool) -> tuple[Any, Any]:
    return _var(input, dim, correction, keepdim), TABLE.mean(input, dim=dim, keepdim=keepdim)


def _std_mean(input: Any, dim: Dims, correction: float, keepdim: bool) -> tuple[Any, Any]:
    return _std(input, dim, correction, keepdim), TABLE.mean(input, dim=dim, keepdim=keepdim)


def _of_var(g: Any, input: Any, dim: Dims, correction: float, keepdim: bool, _: Any) -> tuple[Any, ...]:
    freedom = TABLE.count(input, dim=dim) - correction
    return 2.0 / freedom * unreduced(g, dim, keepdim) * _deviations(input, dim), None, None, None


def _of_std(g: Any, input: Any, dim: Dims, correction: float, keepdim: bool, y: Any) -> tuple[Any, ...]:
    of_var = TABLE.where(y == 0, 0.0, g / (2.0 * TABLE.where(y == 0, 1.0, y)))
    return _of_var(of_var, input, dim, correction, keepdim, y)


for _name, _function, _gradient in (
    ("var", _var, _of_var),
    ("std", _std, _of_std),
    ("var_mean", _var_mean, None),
    ("std_mean", _std_mean, None),
):
    TABLE.define(Fused(_name, _function, gradient=_gradient, takes=(FLOAT,), along="dim"))


# --- of complex numbers ------------------------------------------------------------------------------------


def _complex_moments(x: Any, dim: Dims, correction: float) -> tuple[Any, Any]:
    """Variance and mean, the reduced axes kept."""
    n = count(x.shape, dim)
    mean = x.sum(axis=dim, keepdims=True) / n
    d = x - mean
    squares = d.real**2 + d.imag**2
    return squares.sum(axis=dim, keepdims=True) / max(0, n - correction), mean


def _complex_var(x: Any, dim: Dims, correction: float, keepdim: bool) -> Any:
    return without(_complex_moments(x, dim, correction)[0], dim, keepdim)


def _complex_std(x: Any, dim: Dims, correction: float, keepdim: bool) -> Any:
    return without(_complex_moments(x, dim, correction)[0] ** 0.5, dim, keepdim)


def _complex_var_mean(x: Any, dim: Dims, correction: float, keepdim: bool) -> tuple[Any, Any]:
    var, mean = _complex_moments(x, dim, correction)
    return without(var, dim, keepdim), without(mean, dim, keepdim)


def _complex_std_mean(x: Any, dim: Dims, correction: float, keepdim: bool) -> tuple[Any, Any]:
    var, mean = _complex_moments(x, dim, correction)
    return without(var**0.5, dim, keepdim), without(mean, dim, keepdim)


def _complex_var_vjp(g: Any, input: Any, dim: Dims, correction: float, keepdim: bool) -> Any:
    freedom = count(input.shape, dim) - correction
    mean = TABLE.mean(input, dim=dim, keepdim=True)
    return keep(g, dim, keepdim) * (2 / freedom if freedom else inf) * (input - mean)


def _complex_std_vjp(g: Any, input: Any, y: Any, dim: Dims, correction: float, keepdim: bool) -> Any:
    at_zero = y == 0
    of_var = TABLE.where(at_zero, 0.0, g / (2 * TABLE.where(at_zero, 1.0, y)))
    return _complex_var_vjp(of_var, input, dim, correction, keepdim)


def _with_mean(first: Any, g: Any, shape: Dims, dim: Dims, keepdim: bool) -> Any:
    """The operand's cotangent for a pair (var or std, mean): ``first`` is its part for the first."""
    if (of_mean := g.get(1)) is None:
        return first
    second = mean_vjp(of_mean, shape, dim, keepdim)
    return second if first is None else first + second


def _complex_var_mean_vjp(g: Any, input: Any, shape: Dims, dim: Dims, correction: float, keepdim: bool) -> Any:
    of_var = g.get(0)
    first = None if of_var is None else _complex_var_vjp(of_var, input, dim, correction, keepdim)
    return _with_mean(first, g, shape, dim, keepdim)


def _complex_std_mean_vjp(g: Any, input: Any, y: Any, shape: Dims, dim: Dims, correction: float, keepdim: bool) -> Any:
    of_std = g.get(0)
    first = None if of_std is None else _complex_std_vjp(of_std, input, y, dim, correction, keepdim)
    return _with_mean(first, g, shape, dim, keepdim)


# fmt: off
for _name, _forward, _vjp, _node in (
    ("complex_var", _complex_var, _complex_var_vjp, "VarBackward0"),
    ("complex_std", _complex_std, _complex_std_vjp, "StdBackward0"),
    ("complex_var_mean", _complex_var_mean, _complex_var_mean_vjp, "VarMeanBackward0"),
    ("complex_std_mean", _complex_std_mean, _complex_std_mean_vjp, "StdMeanBackward0"),
):
    ArrayOp(_name, "input", _forward, _vjp, f"{_name[8:]} over dim", takes=(COMPLEX,), fits=True, node=_node)
# fmt: on


def _deviation(name: str, input: Any, dim: Any, unbiased: bool | None, keepdim: bool, correction: float | None) -> Any:
    """The operation ``name`` (var, std, var_mean or std_mean) with torch's arguments."""
    if isinstance(dim, bool):
        dim, unbiased = None, dim
    if unbiased is not None and correction is not None:
        raise TypeError(f"{name}() takes unbiased or correction, but got unbiased={unbiased} and {correction=}")
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
    if input.dtype.is_complex:
        return TABLE[f"complex_{name}"](input, dim=dims, correction=correction, keepdim=keepdim)
    return TABLE[name](input, dims, correction, keepdim)


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
    """Standard deviation over ``dim``: the root of ``var``; its gradient is 0 where it is 0."""
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
