"""Arithmetic to the last bit: what PyTorch's machine code and the C library compute, in NumPy.

NumPy's logarithm or cosine may differ from the C library's in the last bit, and a compiler contracts
``x * y + z`` into one instruction with one rounding, which NumPy does not have.
"""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .dtypes import REDUCED, dtype

Array = NDArray[Any]


@np.errstate(all="ignore")
def cast(values: Any, d: dtype) -> Array:
    """``values`` in the dtype ``d``: 16-bit ones are rounded to single precision on the way, as in C++."""
    if d in REDUCED:
        values = values.astype(np.float32)
    return np.asarray(values.astype(d.numpy, copy=False))


def each(function: Callable[[float], float], x: Array) -> Array:
    """``function`` of the C library on each element; NumPy's own may differ in the last bit."""
    return np.fromiter(map(function, x.ravel().tolist()), np.float64, x.size).reshape(x.shape)


@np.errstate(all="ignore")
def affine(x: Array, slope: float, offset: Any) -> Array:
    """``x * slope + offset`` in the precision of ``x`` with one rounding, as compilers contract it.

    ``offset`` is a number, or an array of finite numbers.
    """
    if x.dtype == np.float32:
        return fma(x, np.float32(slope), np.float32(offset))
    product: Array = x * slope
    total: Array = product + offset
    if (isinstance(offset, float) and (offset == 0.0 or not math.isfinite(offset))) or abs(slope) > 1e300:
        return total
    # What the two roundings lost: Dekker's error of a product (halves of 26 bits), Knuth's of a sum.
    head, slope_head = _head(x), _head(np.float64(slope))
    tail, slope_tail = x - head, slope - slope_head
    lost: Array = head * slope_head - product + head * slope_tail + tail * slope_head + tail * slope_tail
    added = total - product
    lost += product - (total - added) + (offset - added)
    return total + lost


def _head(x: Any) -> Any:
    """``x`` without its last 27 bits."""
    return (x.view(np.int64) & np.int64(-(2**27))).view(np.float64)


def fma(x: Array, y: Any, z: Any) -> Array:
    """``x * y + z`` in float32 with one rounding: the product is exact in float64."""
    total: Array = x.astype(np.float64) * y + z
    return total.astype(np.float32)


def box_muller(units: Array) -> Array:
    """16 standard normals from each row of 16 uniforms, in their precision."""
    length, angle = 1 - units[:, :8], units.dtype.type(math.tau) * units[:, 8:]
    if units.dtype == np.float32:
        logarithm, (cos, sin) = log(length), cos_sin(angle)
    else:
        logarithm, cos, sin = each(math.log, length), each(math.cos, angle), each(math.sin, angle)
    radius = np.sqrt(-2 * logarithm)
    return np.hstack([radius * cos, radius * sin])


# The float32 logarithm, cosine and sine of avx_mathfun.h, whose polynomials are Cephes' (S. Moshier), with
# the multiply-adds of the wheel's machine code: the same bits for each of the 2**24 uniforms.
# fmt: off
_LOG = np.array([7.0376836292e-2, -1.1514610310e-1, 1.1676998740e-1, -1.2420140846e-1, 1.4249322787e-1,
                 -1.6668057665e-1, 2.0000714765e-1, -2.4999993993e-1, 3.3333331174e-1], np.float32)
# fmt: on
_LN2 = np.array([0.693359375, -2.12194440e-4], np.float32)
_COS = np.array([2.443315711809948e-5, -1.388731625493765e-3, 4.166664568298827e-2], np.float32)
_SIN = np.array([-1.9515295891e-4, 8.3321608736e-3, -1.6666654611e-1], np.float32)
_QUARTER_PI = np.array([0.78515625, 2.4187564849853515625e-4, 3.77489497744594108e-8], np.float32)


def _polynomial(coefficients: Array, x: Array) -> Array:
    """Horner's rule, the highest power first."""
    value: Array = coefficients[0]
    for coefficient in coefficients[1:]:
        value = fma(value, x, coefficient)
    return value


def log(x: Array) -> Array:
    """log(x) of positive float32."""
    fraction, exponent = np.frexp(x)
    low = fraction < np.float32(math.sqrt(0.5))
    power = exponent.astype(np.float32) - low
    x = np.where(low, fraction + fraction, fraction) - 1
    square = x * x
    rest = fma(_polynomial(_LOG, x) * x, square, power * _LN2[1]) - square / 2
    return fma(power, _LN2[0], x + rest)


def cos_sin(x: Array) -> tuple[Array, Array]:
    """cos(x) and sin(x) of float32 in [0, 2 pi]."""
    octant = (x * np.float32(4 / math.pi)).astype(np.int32) + 1 & -2
    for part in _QUARTER_PI:
        x = fma(octant.astype(np.float32), -part, x)
    square = x * x
    cos = fma(square, _polynomial(_COS, square) * square, -square / 2) + 1
    sin = fma(x, _polynomial(_SIN, square) * square, x)
    swap = octant & 2 != 0
    cos, sin = np.where(swap, sin, cos), np.where(swap, cos, sin)
    return np.where(octant + 2 & 4, -cos, cos), np.where(octant & 4, -sin, sin)
