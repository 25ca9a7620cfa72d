"""Python numbers as elements of a tensor: converted as C++ does, unless they are out of range."""

from math import isinf
from numbers import Number
from typing import Any

import numpy as np

from ..dtypes import BOOL, COMPLEX, INT, dtype
from ..errors import DtypeError

_CPP = {
    "uint8": "uint8_t", "int8": "int8_t", "int16": "int16_t", "int32": "int", "int64": "int64_t",
    "float16": "c10::Half", "bfloat16": "c10::BFloat16", "float32": "float", "float64": "double",
}  # fmt: skip
_LARGEST = {"float16": 65504.0, "bfloat16": 3.3895313892515355e38, "float32": float(np.finfo(np.float32).max)}


def as_element(value: Any, d: dtype) -> Any:
    """``value`` as a Python number of the kind of ``d``; DtypeError if it is out of the range of ``d``.

    Fractions are cut off for integers, and negative integers wrap around for unsigned ones.
    Source: c10::checked_convert.
    """
    if isinstance(value, np.generic):
        value = value.item()
    if d.category == COMPLEX:
        return complex(value)
    if isinstance(value, complex):
        if value.imag:
            raise _overflow(d)
        value = value.real
    if d.category == BOOL:
        return bool(value)
    if d.category == INT:
        return _as_integer(value, d)
    if not isinf(value) and abs(value) > _LARGEST.get(d.name, float("inf")):
        raise _overflow(d)
    return float(value)


def _as_integer(value: float, d: dtype) -> int:
    most = int(np.iinfo(d.numpy).max)
    wraps = not d.is_signed and isinstance(value, int)
    least = -most if wraps else int(np.iinfo(d.numpy).min)
    if not least <= value <= most:  # nan is not, either
        raise _overflow(d)
    return int(value) & most if wraps else int(value)


def _overflow(d: dtype) -> DtypeError:
    return DtypeError(f"value cannot be converted to type {_CPP[d.name]} without overflow")


def is_number(value: Any) -> bool:
    """Whether ``value`` is a Python or NumPy number."""
    return isinstance(value, Number | np.bool_)
