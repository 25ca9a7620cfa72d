"""NumPy functions that the rows of the table compute with, where NumPy has no ufunc that agrees with PyTorch."""

from typing import Any

import numpy as np
from scipy import special

Array = Any  # numpy.ndarray or a NumPy scalar


# --- arithmetic ------------------------------------------------------------------------------------


def rsub(a: Array, b: Array, out: Array = None) -> Array:
    return np.subtract(b, a, out=out)


def add_scaled(a: Array, b: Array, scale: Array, out: Array = None) -> Array:
    return np.add(a, b * scale, out=out)


def sub_scaled(a: Array, b: Array, scale: Array, out: Array = None) -> Array:
    return np.subtract(a, b * scale, out=out)


def rsub_scaled(a: Array, b: Array, scale: Array, out: Array = None) -> Array:
    return np.subtract(b, a * scale, out=out)


def addcmul(a: Array, b: Array, c: Array, scale: Array, out: Array = None) -> Array:
    return np.add(a, scale * b * c, out=out)


def addcdiv(a: Array, b: Array, c: Array, scale: Array, out: Array = None) -> Array:
    return np.add(a, scale * b / c, out=out)


def lerp(start: Array, end: Array, weight: Array) -> Array:
    """From the nearer end, so that both ends are met exactly."""
    way = end - start
    return np.where(np.abs(weight) < 0.5, start + weight * way, end - way * (1 - weight))


def _check_divisor(divisor: Array) -> None:
    if divisor.dtype.kind in "iu" and not np.all(divisor):
        raise RuntimeError("ZeroDivisionError")


def fmod(a: Array, b: Array, out: Array = None) -> Array:
    """The remainder with the sign of ``a``."""
    _check_divisor(b)
    return np.fmod(a, b, out=out)


def remainder(a: Array, b: Array) -> Array:
    """The remainder with the sign of ``b``, but a zero keeps that of ``a``."""
    _check_divisor(b)
    if b.dtype.kind != "f":
        return np.remainder(a, b)
    rest = np.fmod(a, b)
    return np.where((rest != 0) & ((rest < 0) != (b < 0)), rest + b, rest)


def floor_divide(a: Array, b: Array, out: Array = None) -> Array:
    _check_divisor(b)
    return np.floor_divide(a, b, out=out)


def trunc_divide(a: Array, b: Array) -> Array:
    _check_divisor(b)
    if b.dtype.kind == "f":
        return np.trunc(a / b)
    return np.floor_divide(a - np.fmod(a, b), b)


def power(x: Array, exponent: Array) -> Array:
    """``x ** exponent``; common exponents without pow(), as in PyTorch, and 0 or ±1 for negative ones of integers."""
    if exponent.dtype.kind in "iu":
        return _integer_power(x, exponent)
    if exponent.ndim == 0:
        match exponent.item():
            case 0.5:
                return np.sqrt(x)
            case 2:
                return np.square(x)
            case 3:
                return x * x * x
            case -1:
                return 1 / x
            case -2:
                return 1 / np.square(x)
    return np.power(x, exponent)


def _integer_power(x: Array, exponent: Array) -> Array:
    negative = exponent < 0
    result = np.power(x, np.where(negative, 0, exponent))
    if np.any(negative):
        inverse = np.where(x == 1, 1, np.where(x == -1, np.where(exponent % 2 == 0, 1, -1), 0))
        result = np.where(negative, inverse, result)
    return result


# --- rounding, signs and extremes -----------------------------------------------------------------


def rounded(x: Array) -> Array:
    """To the nearest integer, halves to the even one."""
    return np.rint(x) if x.dtype.kind == "f" else x.copy()


def rounded_to(x: Array, decimals: Array) -> Array:
    scale = 10 ** np.abs(decimals)
    return np.rint(x / scale) * scale if decimals < 0 else np.rint(x * scale) / scale


def frac(x: Array) -> Array:
    return x - np.trunc(x)


def sign(x: Array) -> Array:
    """-1, 0 or 1; 0 for nan, too."""
    return np.subtract(x > 0, x < 0, dtype=np.int8 if x.dtype.kind == "b" else x.dtype)


def sgn(x: Array) -> Array:
    """``x / |x|`` of complex numbers, the sign of others; 0 for 0."""
    return np.where(x == 0, 0, x / np.abs(x)) if x.dtype.kind == "c" else sign(x)


def copysign(x: Array, sign: Array, out: Array = None) -> Array:
    return np.copysign(x, sign, out=out)


def heaviside(x: Array, at_zero: Array) -> Array:
    return np.where(x == 0, at_zero, x > 0)


def clamp(x: Array, low: Array, high: Array, out: Array = None) -> Array:
    return np.minimum(np.maximum(x, low), high, out=out)


def nan_to_num(x: Array, nan: Array, above: Array, below: Array) -> Array:
    if x.dtype.kind == "c":
        return nan_to_num(x.real, nan.real, above.real, below.real) + 1j * nan_to_num(
            x.imag, nan.real, above.real, below.real
        )
    if x.dtype.kind != "f":
        return x.copy()
    return np.where(np.isnan(x), nan, np.where(x == np.inf, above, np.where(x == -np.inf, below, x)))


# --- exponentials and logarithms ------------------------------------------------------------------


def rsqrt(x: Array) -> Array:
    return 1 / np.sqrt(x)


def sigmoid(x: Array) -> Array:
    return 1 / (1 + np.exp(-x))


def logit(x: Array) -> Array:
    return np.log(x / (1 - x))


def clamped_logit(x: Array, eps: Array) -> Array:
    return logit(clamp(x, eps, 1 - eps))


def sinc(x: Array) -> Array:
    turned = np.pi * x
    return np.where(x == 0, 1, np.sin(turned) / turned)


def lgamma(x: Array) -> Array:
    return np.where(x == -np.inf, np.inf, special.gammaln(x))


def polygamma(x: Array, n: Array) -> Array:
    order = int(n)
    if order == 0:
        return special.psi(x)
    return ((-1) ** (order + 1) * special.gamma(order + 1) * special.zeta(order + 1, x)).astype(x.dtype)


def degrees_to_radians(x: Array) -> Array:
    return x * (np.pi / 180)


def radians_to_degrees(x: Array) -> Array:
    return x * (180 / np.pi)


# --- activations ----------------------------------------------------------------------------------


def relu(x: Array, out: Array = None) -> Array:
    return np.maximum(0, x, out=out)  # this way round -0 stays -0, as in PyTorch


def relu6(x: Array) -> Array:
    return np.minimum(np.maximum(0, x), 6)


def leaky_relu(x: Array, slope: Array) -> Array:
    return np.where(x > 0, x, x * slope)


def elu(x: Array, alpha: Array) -> Array:
    return np.where(x < 0, alpha * np.expm1(x), x)


def selu(x: Array) -> Array:
    return SELU_SCALE * np.where(x < 0, SELU_ALPHA * np.expm1(x), x)


def celu(x: Array, alpha: Array) -> Array:
    return np.where(x < 0, alpha * np.expm1(x / alpha), x)


def threshold(x: Array, limit: Array, value: Array) -> Array:
    return np.where(x <= limit, value, x)


def hardshrink(x: Array, lambd: Array) -> Array:
    return np.where((x >= -lambd) & (x <= lambd), 0, x)


def softshrink(x: Array, lambd: Array) -> Array:
    inside = np.where(np.isnan(x), x, 0)
    return np.where(x > lambd, x - lambd, np.where(x < -lambd, x + lambd, inside))


def softplus(x: Array, beta: Array, threshold: Array) -> Array:
    scaled = x * beta
    return np.where(scaled > threshold, x, np.log1p(np.exp(scaled)) / beta)


def silu(x: Array) -> Array:
    return x / (1 + np.exp(-x))


def mish(x: Array) -> Array:
    return x * np.tanh(np.log1p(np.exp(x)))


def logsigmoid(x: Array) -> Array:
    return np.minimum(x, 0) - np.log1p(np.exp(-np.abs(x)))


def hardsigmoid(x: Array) -> Array:
    return np.minimum(np.maximum(x + 3, 0), 6) / 6


def hardswish(x: Array) -> Array:
    return x * np.minimum(np.maximum(x + 3, 0), 6) / 6


def gelu(x: Array) -> Array:
    return x * 0.5 * (1 + special.erf(x * ROOT_HALF))


def gelu_tanh(x: Array) -> Array:
    return 0.5 * x * (1 + np.tanh(ROOT_2_OVER_PI * (x + CUBIC * x * x * x)))


# --- predicates and complex numbers ---------------------------------------------------------------


def isposinf(x: Array) -> Array:
    return (x > 0) & np.isinf(x)


def isneginf(x: Array) -> Array:
    return (x < 0) & np.isinf(x)


def angle(x: Array) -> Array:
    if x.dtype.kind == "c":
        return np.arctan2(x.imag, x.real)
    return np.where(np.isnan(x), x, np.where(x < 0, np.pi, 0)).astype(x.dtype)


def of_parts(a: Array, b: Array) -> Array:
    """``a + 1j * b``, also where ``b`` is infinite, which 1j times it would make nan."""
    whole = np.empty(np.broadcast_shapes(a.shape, b.shape), np.result_type(a, b, np.complex64))
    whole.real, whole.imag = a.real, b.real
    return whole


def times_i(z: Array) -> Array:
    return of_parts(-z.imag, z.real)


ROOT_HALF = 0.7071067811865476
ROOT_2_OVER_PI = 0.7978845608028654
CUBIC = 0.044715
SELU_ALPHA = 1.6732632423543772
SELU_SCALE = 1.0507009873554805
