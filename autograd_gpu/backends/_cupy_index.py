"""Indexing CuPy arrays with integer arrays, without a copy to the host.

Indices are not checked: one that is out of bounds wraps around. Additions are atomic, so where an element is
named more than once the last bits of its sum depend on the order in which threads come.
"""

from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

import cupy
import numpy as np

from ._numpy_index import key_of

Shape = tuple[int, ...]

# What atomic addition takes; other dtypes are added in a wider one.
_ATOMIC = frozenset(map(np.dtype, ("int32", "int64", "float32", "float64")))


def take(x: Any, indices: Sequence[Any], dims: Shape) -> Any:
    """``x[key]``."""
    if len(indices) == 1:
        return x.take(indices[0], axis=dims[0])
    return x[key_of(indices, dims)]


def put(x: Any, indices: Sequence[Any], dims: Shape, values: Any) -> None:
    """``x[key] = values``."""
    x[key_of(indices, dims)] = values


def add_at(x: Any, indices: Sequence[Any], dims: Shape, values: Any) -> None:
    """Add ``values`` to ``x[key]``, once for each time that an element is named."""
    key = key_of(indices, dims)
    _add(x, values, lambda part, more: cupy.add.at(part, key, more))


def _add(x: Any, values: Any, add: Callable[[Any, Any], None]) -> None:
    """``add(x, values)`` in dtypes that have an atomic addition."""
    if x.dtype.kind == "c":
        add(x.real, values.real)
        add(x.imag, values.imag)
    elif x.dtype in _ATOMIC:
        add(x, values)
    else:
        wide = x.astype(np.int64 if x.dtype.kind in "bui" else np.float32)
        add(wide, values if np.isscalar(values) else values.astype(wide.dtype))
        x[...] = wide


@cache
def _along(name: str, inputs: str, outputs: str, statement: str, ndim: int) -> Any:
    """A kernel that runs ``statement`` for each element of ``index``, ``at`` being its place along ``dim`` in x."""
    places = " ".join(f"at[{d}] = _ind.get()[{d}];" for d in range(ndim))
    body = f"ptrdiff_t at[{ndim}]; {places} at[dim] = index < 0 ? index + size : index; {statement}"
    return cupy.ElementwiseKernel(inputs, outputs, body, name, reduce_dims=False)


def take_along(x: Any, index: Any, dim: int) -> Any:
    """``y[i][j] = x[i][index[i][j]]`` for ``dim`` 1 of 2, and so on."""
    inputs = "raw T x, I index, int32 dim, int64 size"
    return _along("take_along", inputs, "T y", "y = x[at];", x.ndim)(x, index, dim, x.shape[dim])


def put_along(x: Any, index: Any, dim: int, values: Any) -> None:
    """``x[i][index[i][j]] = values[i][j]``."""
    inputs = "I index, T value, int32 dim, int64 size"
    _along("put_along", inputs, "raw T x", "x[at] = value;", x.ndim)(index, values, dim, x.shape[dim], x)


def add_along(x: Any, index: Any, dim: int, values: Any) -> None:
    """``x[i][index[i][j]] += values[i][j]``, once for each j."""
    inputs = "I index, T value, int32 dim, int64 size"
    kernel = _along("add_along", inputs, "raw T x", "atomicAdd(&x[at], value);", x.ndim)
    _add(x, values, lambda part, more: kernel(index, more, dim, x.shape[dim], part))
