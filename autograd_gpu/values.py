"""Python's numbers and nested sequences as NumPy arrays: shape, dtype, and whether the dtype holds them."""

from functools import reduce
from itertools import chain
from typing import Any

import numpy as np

from . import _libm as libm
from . import dtypes
from .dtypes import COMPLEX, FLOAT, bool_, get_default_dtype, promote_types
from .dtypes import dtype as Dtype
from .errors import DtypeError
from .tensor import Tensor

_KINDS = (bool, int, float, complex)  # by category


def array_of(data: Any, dtype: Dtype | None) -> np.ndarray:
    """Numbers in nested sequences as an array of ``dtype``, or of the dtype that holds all of them."""
    shape, elements = flatten(data)
    if set(map(type, elements)) <= set(_KINDS):
        dtype = dtype or promoted([kind() for kind in set(map(type, elements))])
    else:
        dtype = dtype or promoted(elements)
        elements = [as_number(element) for element in elements]
    return fitted(elements, dtype).reshape(shape)


def flatten(data: Any) -> tuple[list[int], list[Any]]:
    """The shape of nested sequences, which their first elements tell, and all elements in a row."""
    shape: list[int] = []
    row = data
    while is_sequence(row):
        shape.append(len(row))
        if not shape[-1]:
            break
        row = row[0]
        if isinstance(row, str | bytes):
            raise ValueError(f"too many dimensions '{type(row).__name__}'")  # noqa: TRY004  torch's type
    rows = [] if 0 in shape else [data]
    for dim, length in enumerate(shape):
        for row in rows:
            if not is_sequence(row):
                raise TypeError(f"not a sequence: expected one of length {length} at dim {dim}, got {row!r}")
            if len(row) != length:
                raise ValueError(f"expected sequence of length {length} at dim {dim} (got {len(row)})")
        rows = list(chain.from_iterable(rows))
    return shape, rows


def is_sequence(value: Any) -> bool:
    """Whether ``value`` nests others: a list, a tuple, an array with axes, but no string and no tensor."""
    if isinstance(value, list | tuple):
        return True
    if isinstance(value, Tensor | dict | str | bytes | np.generic) or getattr(value, "shape", None) == ():
        return False
    return hasattr(type(value), "__getitem__") and hasattr(type(value), "__len__")


def promoted(elements: list[Any]) -> Dtype:
    """The dtype that holds all ``elements``; the default dtype if there are none."""
    found = {element_dtype(element) for element in elements}
    return reduce(promote_types, found) if found else get_default_dtype()


def element_dtype(value: Any) -> Dtype:
    """The dtype that one element has by itself."""
    if isinstance(value, Tensor):
        return value.dtype
    if isinstance(value, np.generic | np.ndarray):
        return dtypes.of(value.dtype)
    if isinstance(value, bool | int | float | complex):
        return dtypes.of_scalar(value)
    if isinstance(value, str | bytes):
        raise TypeError(f"new(): invalid data type '{type(value).__name__}'")
    if is_sequence(value):
        raise TypeError(f"'{type(value).__name__}' object cannot be interpreted as an integer")
    raise DtypeError(f"Could not infer dtype of {type(value).__name__}")


def as_number(value: Any) -> Any:
    """An element as a Python number."""
    return _KINDS[element_dtype(value).category](value)


def fitted(numbers: Any, dtype: Dtype) -> np.ndarray:
    """Python numbers (one, or a list of them) as an array of ``dtype``, if that can hold them."""
    if dtype.category == COMPLEX:
        return libm.cast(np.array(numbers, np.complex128), dtype)
    natural = np.array(numbers)
    if natural.dtype.kind == "c" and dtype is not bool_:
        raise TypeError("must be real number, not complex")
    if dtype.category == FLOAT:
        return libm.cast(np.array(numbers, np.float64), dtype)
    if dtype is not bool_:
        check_range(natural, dtype)
    return natural.astype(dtype.numpy)


def check_range(numbers: np.ndarray, dtype: Dtype) -> None:
    """Raise unless the integers of ``dtype`` reach as far as ``numbers``; negative ones may wrap around."""
    if numbers.dtype.kind in "uO":
        raise ValueError("Overflow when unpacking long long")
    most = int(np.iinfo(dtype.numpy).max)
    least = -most - dtype.is_signed
    if not ((numbers >= least) & (numbers <= most)).all():
        raise DtypeError(f"value cannot be converted to type {dtype.name} without overflow")
