"""CuPy: arrays on a CUDA device."""

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from functools import cache, lru_cache
from typing import TYPE_CHECKING, Any

import cupy
import cupyx
import numpy as np

from ..devices import device
from ..dtypes import INT, dtype
from ..dtypes import of as dtype_of
from ..errors import MissingCuda
from . import Device, _numpy
from . import _cupy_index as indexing  # noqa: F401  a part of this backend
from . import _cupy_multi as multi
from ._cupy_matmul import matmul, multiplied_in_place  # noqa: F401  parts of this backend
from ._philox import Philox as Stream  # noqa: F401  a part of this backend

if TYPE_CHECKING:
    from ..op import Op

xp = cupy
is_array = cupy.ndarray.__instancecheck__
DEVICES = cupy.cuda.runtime.getDeviceCount()
DEFAULT_STREAMS = (cupy.cuda.Stream.null.ptr, cupy.cuda.Stream.ptds.ptr)  # of the device, of the thread

_CTYPES = {
    "bool": "bool", "uint8": "unsigned char", "int8": "signed char", "int16": "short", "int32": "int",
    "int64": "long long", "float16": "float", "bfloat16": "float", "float32": "float", "float64": "double",
    "complex64": "complex<float>", "complex128": "complex<double>",
}  # fmt: skip


def device_of(array: Any) -> device:
    return _numbered(array.data.device_id)


@cache
def _numbered(index: int) -> device:
    return device("cuda", index)


current = cupy.cuda.runtime.getDevice  # the number of the current device


def Scope(where: device) -> Any:  # noqa: N802  makes a CuPy class
    """A context in which ``where`` is the current device."""
    return _HERE if current() == where.index else cupy.cuda.Device(where.index)


_HERE = nullcontext()


def resolve(where: device) -> device:
    """``where`` with its index filled in; MissingCuda if there is no such device."""
    index = cupy.cuda.runtime.getDevice() if where.index is None else where.index
    if index >= DEVICES:
        raise MissingCuda(f"CUDA error: invalid device ordinal: cuda:{index} was asked for, {DEVICES} present")
    return device("cuda", index)


def ctype(d: dtype) -> str:
    """The C++ type that values of ``d`` are computed in (16-bit floats in float)."""
    return _CTYPES[d.name]


@lru_cache(maxsize=4096)
def raw_kernel(text: str, name: str) -> Any:
    """The kernel ``name`` that ``text`` defines; its ``kernel`` is the function for the current device."""
    return cupy.RawKernel(text, name)


def kernels_made() -> int:
    """How many kernels were made so far."""
    return sum(made.cache_info().misses for made in (kernel, raw_kernel, multi.function))


@cache
def processors() -> int:
    """How many multiprocessors the current device has."""
    return int(cupy.cuda.Device().attributes["MultiProcessorCount"])


@lru_cache(maxsize=4096)
def kernel(
    name: str,
    inputs: tuple[np.dtype, ...],
    outputs: tuple[np.dtype, ...],
    computed: tuple[str, ...],
    body: str,
    helpers: tuple[str, ...],
) -> Any:
    """An elementwise kernel that reads ``in0 …`` into ``x0 …`` of types ``computed`` and runs ``body``."""
    loads = "\n".join(f"const {c} x{i} = static_cast<{c}>(in{i});" for i, c in enumerate(computed))
    return cupy.ElementwiseKernel(
        ", ".join(f"{d.name} in{i}" for i, d in enumerate(inputs)),
        ", ".join(f"{d.name} out{i}" for i, d in enumerate(outputs)),
        f"{loads}\n{body}",
        name,
        preamble="\n".join(helpers),
    )


def elementwise(op: "Op", operands: tuple[Any, ...]) -> Any:
    """``op`` on arrays as they are, promoted by NumPy's rules."""
    computed = dtype_of(np.result_type(*(o.dtype if isinstance(o, cupy.ndarray) else o for o in operands)))
    return Device.compute(op, operands, op.computes_in(computed), op.gives(op.computes_in(computed)))


def compute(op: "Op", operands: tuple[Any, ...], computed: dtype, result: dtype, out: Any = None) -> Any:
    """``op`` on operands cast to ``computed`` inside its kernel, the result cast to ``result`` or to ``out``'s."""
    return Device.compute(op, operands, computed, result, out)


def overwrite(op: "Op", operands: tuple[Any, ...], out: Any) -> None:
    """Write ``op`` of arrays into ``out``, of which they may be one, in its dtype."""
    own = dtype_of(out.dtype)
    Device.compute(op, operands, own, own, out)


def dense(x: Any) -> Any:
    """A copy of ``x``, the last axis innermost; by a kernel that reads what is repeated once, if something is."""
    return Device.dense(x) if 0 in x.strides else x.copy(order="C")


def total(
    x: Any, axes: tuple[int, ...] | None, *, keepdims: bool, computed: Any, result: Any, divisor: int | None = None
) -> Any:
    """The sum of ``x`` over ``axes`` (None: all), divided by ``divisor``; in ``computed``, cast to ``result``."""
    return Device.total(x, axes, keepdims=keepdims, computed=computed, result=result, divisor=divisor)


def reduced(name: str, x: Any, axes: tuple[int, ...] | None, *, keepdims: bool) -> Any:
    """The reduction ``name`` (of those that _numpy.py has) of ``x`` over ``axes`` (None: all)."""
    return Device.reduced(name, x, axes, keepdims=keepdims)


def scalar(value: complex, d: dtype) -> complex:
    """A Python number as an operand: an argument of the kernel, never a copy to the device."""
    return _numpy.scalar(value, d).item() if d.category == INT else value


def empty(shape: tuple[int, ...], d: dtype, where: device) -> Any:
    with Scope(where):
        return cupy.empty(shape, d.numpy)


def from_host(array: Any, where: device) -> Any:
    """A copy of a NumPy array, or of an array on another device."""
    with Scope(where):
        return cupy.asarray(array)


def pinned(array: np.ndarray) -> np.ndarray:
    """A copy in page-locked host memory."""
    copy: np.ndarray = cupyx.empty_like_pinned(array)
    copy[...] = array
    return copy


def to_host(array: Any) -> np.ndarray:
    host: np.ndarray = cupy.asnumpy(array)
    return host


def as_own(view: Any) -> Any:
    """A ``view`` of all of an array that nobody else has, as an array of its own."""
    return cupy.ndarray(view.shape, view.dtype, view.data, view.strides)


def shares_memory(x: Any, y: Any) -> bool:
    """Whether one is a view of the other's memory; any part of it without elements is."""
    return not x.size or x.data.mem is y.data.mem


def addresses(array: Any) -> tuple[int, int]:
    """Where the first element of ``array`` lies, and where the memory begins that it views."""
    return array.data.ptr, array.data.mem.ptr


def side_stream() -> Any:
    """The current stream, None if it is the default one."""
    stream = cupy.cuda.get_current_stream()
    return None if stream.ptr in DEFAULT_STREAMS else stream


@contextmanager
def following(stream: Any) -> Iterator[None]:
    """Inside, ``stream`` is current, after what the current one has to do before; which then waits for it."""
    before = cupy.cuda.get_current_stream()
    stream.wait_event(before.record())
    try:
        with stream:
            yield
    finally:
        before.wait_event(stream.record())
