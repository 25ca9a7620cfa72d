"""NumPy: the reference."""

from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

import numpy as np

from ..devices import cpu, device
from ..dtypes import INT, REDUCED, dtype, float32
from ..dtypes import of as dtype_of
from ..generator import MersenneTwister as Stream  # noqa: F401  a part of this backend
from ..modes import modes
from . import _numpy_index as indexing  # noqa: F401  a part of this backend

if TYPE_CHECKING:
    from ..op import Op

xp = np
is_array = np.ndarray.__instancecheck__
# NumPy 2.3 made ``out=...`` return arrays, not scalars, for 0-d results
RETURNS_ARRAYS = np.lib.NumpyVersion(np.__version__) >= "2.3.0"


def device_of(_: np.ndarray) -> device:
    return cpu


def Scope(_: device) -> Any:  # noqa: N802  stands in for a class of the other backend
    """A context in which the device is current: nothing to do on the CPU."""
    return nullcontext()


_NARROW = frozenset(d.numpy for d in REDUCED)


def widen(array: Any) -> Any:
    """16-bit floats are computed in float32, as PyTorch does."""
    if isinstance(array, np.ndarray) and dtype_of(array.dtype) in REDUCED:
        return array.astype(np.float32)
    return array


def elementwise(op: "Op", operands: tuple[Any, ...]) -> np.ndarray:
    """``op`` on arrays as they are, inside another operation or a backward pass; 16-bit floats in float32."""
    if _NARROW.isdisjoint([getattr(operand, "dtype", None) for operand in operands]):
        return np.asarray(op.numpy(*operands))
    result = np.asarray(op.numpy(*map(widen, operands)))
    if op.result == "same":
        values = (a for i, a in enumerate(operands) if i not in op.conditions)
        narrow = next((a.dtype for a in values if isinstance(a, np.ndarray)), result.dtype)
        if dtype_of(narrow) in REDUCED and result.dtype == np.float32:
            return result.astype(narrow)
    return result


def compute(
    op: "Op", operands: tuple[Any, ...], computed: dtype, result: dtype, out: np.ndarray | None = None
) -> np.ndarray:
    """``op`` on operands cast to ``computed``, the result cast to ``result`` (and written to ``out``)."""
    inner = float32 if computed in REDUCED else computed
    cast = [np.asarray(operand, None if i in op.conditions else inner.numpy) for i, operand in enumerate(operands)]
    if out is not None and op.writes and out.dtype == inner.numpy == result.numpy:
        modes.quiet(op.numpy, *cast, out=out)
        return out
    value = np.asarray(modes.quiet(op.numpy, *cast))
    if value.dtype != result.numpy:
        value = modes.quiet(value.astype, result.numpy)
    if out is not None:
        out[...] = value
        return out
    return value


def overwrite(op: "Op", operands: tuple[Any, ...], out: np.ndarray) -> None:
    """Write ``op`` of arrays into ``out``, of which they may be one, in its dtype."""
    op.numpy(*operands, out=out, casting="unsafe")


def dense(x: np.ndarray) -> np.ndarray:
    """A copy of ``x``, the last axis innermost."""
    return x.copy(order="C")


def total(
    x: np.ndarray,
    axes: tuple[int, ...] | None,
    *,
    keepdims: bool,
    computed: Any,
    result: Any,
    divisor: int | None = None,
) -> Any:
    """The sum of ``x`` over ``axes`` (None: all), divided by ``divisor``; in ``computed``, cast to ``result``."""
    y = np.add.reduce(x, axes, computed, None, keepdims)  # type: ignore[call-overload]  # by position: that is faster
    y = y if divisor is None else y / divisor
    return y if computed is result or computed == result else y.astype(result)


_REDUCTIONS = {
    "max": np.max, "min": np.min,
    "argmax": lambda x, axis, keepdims: np.argmax(x, *axis, keepdims=keepdims),
    "argmin": lambda x, axis, keepdims: np.argmin(x, *axis, keepdims=keepdims),
    "any": lambda x, axis, keepdims: np.any(x != 0, axis, keepdims=keepdims),
    "all": lambda x, axis, keepdims: np.all(x != 0, axis, keepdims=keepdims),
    "count_nonzero": lambda x, axis, keepdims: np.sum(x != 0, axis, np.int64, keepdims=keepdims),
}  # fmt: skip


def reduced(name: str, x: np.ndarray, axes: tuple[int, ...] | None, *, keepdims: bool) -> Any:
    """The reduction ``name`` of ``x`` over ``axes`` (None: all); the places of extremes over one axis."""
    wide = widen(x)
    y = _REDUCTIONS[name](wide, axis=axes, keepdims=keepdims)  # type: ignore[operator]
    return y if wide is x or y.dtype != wide.dtype else y.astype(x.dtype)


def matmul(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """``a @ b``; 16-bit floats in float32, for which there is BLAS."""
    if a.dtype.itemsize == 2 and a.dtype.kind in "fV":
        return np.asarray(np.matmul(widen(a), widen(b))).astype(a.dtype)
    return np.matmul(a, b)  # type: ignore[no-any-return]


def multiplied_in_place(_: np.ndarray) -> bool:
    """Whether products of batches of matrices need no copy of them: NumPy takes one matrix after the other."""
    return True


def scalar(value: complex, d: dtype) -> np.ndarray:
    """A Python number as an operand: in float32 beside 16-bit floats, wrapped where an integer does not fit."""
    if d.category == INT:
        return np.asarray(int(value.real), np.int64).astype(d.numpy)
    return modes.quiet(np.asarray, value, np.float32 if d in REDUCED else d.numpy)  # type: ignore[no-any-return]


def empty(shape: tuple[int, ...], d: dtype, _: device = cpu) -> np.ndarray:
    return np.empty(shape, d.numpy)


def from_host(array: np.ndarray, _: device = cpu) -> np.ndarray:
    return array


def to_host(array: np.ndarray) -> np.ndarray:
    return array


def as_own(view: Any) -> Any:
    """A ``view`` of all of an array that nobody else has: of NumPy's it stays known that they are views."""
    return view


def shares_memory(x: np.ndarray, y: np.ndarray) -> bool:
    """Whether one is a view of the other's memory; any part of it without elements is."""
    return not x.size or np.may_share_memory(x, y)


def addresses(array: np.ndarray) -> tuple[int, int]:
    """Where the first element of ``array`` lies, and where the memory begins that it views."""
    root = array
    while isinstance(root.base, np.ndarray):
        root = root.base
    return array.__array_interface__["data"][0], root.__array_interface__["data"][0]
