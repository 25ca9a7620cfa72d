"""Functions whose arguments in PyTorch are richer than an operation's: alpha=, rounding_mode=, numbers or tensors."""

from typing import Any

from ..dtypes import BOOL, COMPLEX, INT, complex128, float64
from ..errors import DtypeError
from ..op import PUBLIC, public
from . import choices, transcendental
from . import elementwise as rows
from .precision import cast

# --- sums and differences -------------------------------------------------------------------------


def _is_one(alpha: Any) -> bool:
    return alpha.__class__ is int and alpha == 1


@public(in_place=True)
def add(input: Any, other: Any, *, alpha: Any = 1, out: Any = None) -> Any:
    """``input + alpha * other``. Gradients: ``g`` and ``alpha * g``. Source: torch.add.

    >>> from autograd_gpu import tensor
    >>> add(tensor([1.0, 2.0]), tensor([10.0, 20.0]), alpha=2).tolist()
    [21.0, 42.0]
    """
    if _is_one(alpha):
        return rows.add(input, other, out=out)
    return rows.add_scaled(input, other, alpha, out=out)


@public(in_place=True)
def sub(input: Any, other: Any, *, alpha: Any = 1, out: Any = None) -> Any:
    """``input - alpha * other``. Gradients: ``g`` and ``-alpha * g``. Source: torch.sub."""
    if _is_one(alpha):
        return rows.sub(input, other, out=out)
    return rows.sub_scaled(input, other, alpha, out=out)


@public(method=False)
def rsub(input: Any, other: Any, *, alpha: Any = 1) -> Any:
    """``other - alpha * input``. Source: torch.rsub."""
    return rows.rsub(input, other) if _is_one(alpha) else rows.rsub_scaled(input, other, alpha)


# --- quotients ------------------------------------------------------------------------------------

_QUOTIENTS = {None: rows.div, "trunc": rows.div_trunc, "floor": rows.div_floor}


@public(in_place=True)
def div(input: Any, other: Any, *, rounding_mode: str | None = None, out: Any = None) -> Any:
    """``input / other``, of integers, too, in floating point; or rounded to "floor" or "trunc" in their own dtype.

    Gradients: ``g / other`` and ``-g * (input / other) / other``; 0 if rounded. RuntimeError where an integer
    is divided by 0 and rounded (on the CPU: a device does not tell). Source: torch.div.
    """
    if rounding_mode not in _QUOTIENTS:
        raise RuntimeError(
            f"div expected rounding_mode to be one of None, 'trunc', or 'floor' but found {rounding_mode!r}"
        )
    return _QUOTIENTS[rounding_mode](input, other, out=out)


@public(in_place=True)
def true_divide(input: Any, other: Any, *, out: Any = None) -> Any:
    """``input / other``. Source: torch.true_divide."""
    return rows.div(input, other, out=out)


public(sub, name="subtract", in_place=True)
public(div, name="divide", in_place=True)

# --- powers ---------------------------------------------------------------------------------------


@public(in_place=True)
def pow(input: Any, exponent: Any, *, out: Any = None) -> Any:
    """``input ** exponent``; one of them may be a number.

    Gradients: ``g * exponent * input**(exponent - 1)``, 0 where exponent is 0, and ``g * y * log(input)``, 0
    where input is 0 and exponent is not negative. RuntimeError for an integer tensor to a negative integer
    number. Source: torch.pow.
    """
    if hasattr(exponent, "dtype") or not hasattr(input, "dtype"):
        return transcendental.pow(input, exponent, out=out)
    if isinstance(exponent, int) and input.dtype.category <= INT and exponent < 0:
        raise DtypeError("Integers to negative integer powers are not allowed.")
    if exponent == 2 and input.dtype.category not in (BOOL, INT):
        return rows.square(input, out=out)
    return transcendental.pow(input, exponent, out=out)


@public(in_place=True)
def square(input: Any, *, out: Any = None) -> Any:
    """``input ** 2``. Gradient: ``2 * input * g``. Source: torch.square."""
    return pow(input, 2, out=out)


@public(in_place=True)
def float_power(input: Any, exponent: Any, *, out: Any = None) -> Any:
    """``input ** exponent``, computed in float64 or complex128. Source: torch.float_power."""

    def is_complex(x: Any) -> bool:
        return x.dtype.category == COMPLEX if hasattr(x, "dtype") else isinstance(x, complex)

    wide = complex128 if is_complex(input) or is_complex(exponent) else float64
    operands = (cast(x, wide) if hasattr(x, "dtype") else x for x in (input, exponent))
    return pow(*operands, out=out)


# --- rounding and bounds --------------------------------------------------------------------------


@public
def positive(input: Any) -> Any:
    """``input`` itself, which must not be bool. Source: torch.positive."""
    if input.dtype.category == BOOL:
        raise DtypeError("The `+` operator, on a bool tensor is not supported.")
    return input


@public(in_place=True)
def round(input: Any, *, decimals: int = 0, out: Any = None) -> Any:
    """The nearest integer, or multiple of ``10**-decimals``; of two equally near the even one. Source: torch.round."""
    return rows.round(input, out=out) if decimals == 0 else rows.round_to(input, decimals, out=out)


@public(in_place=True)
def clamp(input: Any, min: Any = None, max: Any = None, *, out: Any = None) -> Any:
    """``input``, but at least ``min`` and then at most ``max``: numbers or tensors, one may be None.

    The gradient is that of what was chosen; input's where it equals a bound. Source: torch.clamp.
    """
    if min is None and max is None:
        raise RuntimeError("torch.clamp: At least one of 'min' or 'max' must not be None")
    if max is None:
        return choices.clamp_from_below(input, min, out=out)
    if min is None:
        return choices.clamp_from_above(input, max, out=out)
    return choices.clamp(input, min, max, out=out)


public(clamp, name="clip", in_place=True)

_LARGEST = {
    "float16": 65504.0,
    "bfloat16": 3.3895313892515355e38,
    "float32": 3.4028234663852886e38,
    "float64": 1.7976931348623157e308,
}


@public(in_place=True)
def nan_to_num(
    input: Any, nan: float = 0.0, posinf: float | None = None, neginf: float | None = None, *, out: Any = None
) -> Any:
    """``input`` with ``nan`` for nan and ``posinf``, ``neginf`` (the dtype's extremes) for infinities.

    The gradient is 0 where something was replaced. Source: torch.nan_to_num.
    """
    largest = _LARGEST.get(input.dtype.to_real().name, 0.0)
    above = largest if posinf is None else posinf
    below = -largest if neginf is None else neginf
    return choices.nan_to_num(input, nan, above, below, out=out)


@public(method=False)
def where(condition: Any, input: Any = None, other: Any = None, *, out: Any = None) -> Any:
    """``input`` where ``condition`` is true, else ``other``; with one argument, where it is true (see nonzero).

    The gradient goes to what was chosen. Source: torch.where.
    """
    if input is None and other is None:
        return PUBLIC["nonzero"](condition, as_tuple=True)
    return choices.where(condition, input, other, out=out)


@public(name="where", function_too=False)
def where_method(input: Any, condition: Any, other: Any) -> Any:
    """The tensor itself where ``condition`` is true, else ``other``. Source: torch.Tensor.where."""
    return choices.where(condition, input, other)


# --- special functions ----------------------------------------------------------------------------


@public(in_place=True)
def logit(input: Any, eps: float | None = None, *, out: Any = None) -> Any:
    """``log(input / (1 - input))``, nan outside [0, 1] unless input is first clamped to [eps, 1 - eps].

    Gradient: ``g / (input * (1 - input))``, 0 where it was clamped. Source: torch.logit.
    """
    if eps is None:
        return transcendental.logit(input, out=out)
    return transcendental.clamped_logit(input, eps, out=out)


def _polygamma(input: Any, n: int, out: Any = None) -> Any:
    if n < 0:
        raise RuntimeError("polygamma(n, x) does not support negative n.")
    return transcendental.polygamma(input, n, out=out)


@public(method=False)
def polygamma(n: int, input: Any, *, out: Any = None) -> Any:
    """The ``n``-th derivative of digamma. Gradient: ``g * polygamma(n + 1, input)``. Source: torch.polygamma."""
    return _polygamma(input, n, out)


@public(name="polygamma", function_too=False, in_place=True)
def polygamma_method(input: Any, n: int, *, out: Any = None) -> Any:
    """The ``n``-th derivative of digamma. Source: torch.Tensor.polygamma."""
    return _polygamma(input, n, out)
