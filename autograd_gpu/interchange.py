"""Tensors from and to the arrays of other libraries: NumPy, CuPy, and what speaks their protocols."""

import warnings
from typing import Any

import numpy as np

from . import backends
from .conversion import converted, type_name
from .devices import chosen, cpu
from .devices import device as Device
from .dtypes import dtype as Dtype
from .dtypes import get_default_dtype
from .errors import GraphError
from .extend import extends_tensor
from .factory import as_dtype, check_options, finished, place
from .modes import modes
from .op import TABLE, public
from .tensor import Tensor, wrap
from .values import array_of

COPY_OF_TENSOR = (
    "To copy construct from a tensor, it is recommended to use sourceTensor.detach().clone() or "
    "sourceTensor.detach().clone().requires_grad_(True), rather than {}(sourceTensor)."
)
DLPACK_CPU, DLPACK_CUDA, DLPACK_CUDA_HOST = 1, 2, 3  # DLDeviceType of dlpack.h


def foreign_array(data: Any) -> Any:
    """The NumPy or CuPy array that ``data`` is or shows by a protocol, without a copy; None if it is none."""
    if isinstance(data, Tensor):
        return data.array
    if isinstance(data, np.ndarray):
        return checked(np.asarray(data))
    if type(data).__module__.partition(".")[0] == "cupy":
        return data if hasattr(data, "strides") else None
    if hasattr(data, "__cuda_array_interface__"):
        return backends.cuda().xp.asarray(data)
    if hasattr(data, "__dlpack__") and not isinstance(data, np.generic):
        return array_from_dlpack(data)
    return checked(np.asarray(data)) if hasattr(data, "__array__") else None


def checked(array: np.ndarray) -> np.ndarray:
    """A NumPy array whose bytes are in this machine's order; TypeError if its dtype has no counterpart."""
    if not array.dtype.isnative:
        raise ValueError(
            "given numpy array has byte order different from the native byte order. Conversion between byte "
            "orders is currently not supported."
        )
    backends.type_of(array)
    return array


def array_from_dlpack(data: Any) -> Any:
    """The array that shares the memory of an object with ``__dlpack__``."""
    kind, _ = data.__dlpack_device__()
    if kind in (DLPACK_CPU, DLPACK_CUDA_HOST):
        return np.from_dlpack(data)
    if kind == DLPACK_CUDA:
        return backends.cuda().xp.from_dlpack(data)
    raise RuntimeError(f"from_dlpack: expected a CPU (1) or CUDA (2) array, got DLDeviceType {kind}")


def array_from(data: Any, dtype: Dtype | None, device: Device | None, *, copy: bool) -> Any:
    """``data`` (an array, a number, nested sequences) as an array, shared where possible unless ``copy``."""
    if (array := foreign_array(data)) is None:
        array, copy = array_of(data, dtype), False
    here = backends.type_of(array)
    where = backends.resolve(chosen.device) if device is None and here.device is cpu else device or here.device
    wanted = backends.type_for(dtype or here.dtype, where)
    if here is not wanted:
        return TABLE.to(array, type_=wanted)
    return array.copy(order="K") if copy else array


@public(method=False)
def tensor(
    data: Any, *, dtype: Any = None, device: Any = None, requires_grad: bool = False, pin_memory: bool = False
) -> Tensor:
    """Make a tensor that holds a copy of ``data``: a number, nested sequences of numbers, or an array.

    Without ``dtype``, Python floats become the default dtype, ints int64, and arrays keep theirs.
    A NumPy array goes to the default device, a CuPy array stays where it is.

    >>> tensor([[1, 2], [3, 4.5]])
    tensor([[1.0000, 2.0000],
            [3.0000, 4.5000]])
    """
    check_options(None, requires_grad, "tensor")
    if isinstance(data, Tensor):
        warnings.warn(COPY_OF_TENSOR.format("torch.tensor"), UserWarning, stacklevel=2)
    where = None if device is None else place(device)
    array = array_from(data, as_dtype(dtype, "tensor"), where, copy=True)
    return finished(array, requires_grad=requires_grad, pin_memory=pin_memory)


@public(method=False)
def as_tensor(data: Any, dtype: Any = None, device: Any = None) -> Tensor:
    """Make a tensor of ``data`` that shares its memory if it is an array of the dtype and device wanted.

    A tensor keeps its history. Gradients of a tensor that shares a CuPy array are CuPy arrays too.

    >>> array = np.zeros(2)
    >>> as_tensor(array)[0] = 7.0
    >>> array
    array([7., 0.])
    """
    wanted = as_dtype(dtype, "as_tensor")
    if isinstance(data, Tensor):
        where = data.device if device is None else place(device)
        return converted(data, backends.type_for(wanted or data.dtype, where))
    return wrap(array_from(data, wanted, None if device is None else place(device), copy=False))


@public(method=False)
def asarray(
    obj: Any,
    *,
    dtype: Any = None,
    device: Any = None,
    copy: bool | None = None,
    requires_grad: bool | None = None,
) -> Tensor:
    """``as_tensor`` or ``tensor``, as ``copy`` says: True always copies, False never, None where needed.

    A tensor keeps its history unless ``requires_grad`` is False. Bytes are read as ``dtype``.
    """
    check_options(None, bool(requires_grad), "asarray")
    if isinstance(obj, Tensor):
        return _tensor_as_array(obj, dtype, device, copy, requires_grad)
    wanted = as_dtype(dtype, "asarray")
    if isinstance(obj, bytes | bytearray | memoryview):
        obj = np.frombuffer(obj, (wanted or get_default_dtype()).numpy)
    before = foreign_array(obj)
    if copy is False and before is None:
        raise ValueError("can't alias arbitrary sequence into a tensor.")
    array = array_from(obj, wanted, None if device is None else place(device), copy=bool(copy))
    if copy is False and array is not before:
        raise ValueError(f"can't alias tensor: it is {backends.type_of(before)}, not {backends.type_of(array)}")
    return finished(array, requires_grad=bool(requires_grad))


def _tensor_as_array(x: Tensor, dtype: Any, device: Any, copy: bool | None, requires_grad: bool | None) -> Tensor:
    """``asarray`` of a tensor."""
    result: Tensor = x.to(device, dtype, copy=bool(copy))
    if copy is False and result is not x:
        raise ValueError(f"can't alias tensor: it is {x._type}, not {result._type}")
    if requires_grad is False:
        return result.detach()
    return result.requires_grad_() if requires_grad and not result.requires_grad else result


@public(method=False)
def from_numpy(ndarray: Any) -> Tensor:
    """Make a tensor that shares the memory of a NumPy array.

    >>> from_numpy(np.arange(3, dtype=np.int32))
    tensor([0, 1, 2], dtype=autograd_gpu.int32)
    """
    if not isinstance(ndarray, np.ndarray):
        kind = type(ndarray)
        name = kind.__name__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__name__}"
        raise TypeError(f"expected np.ndarray (got {name})")
    return wrap(checked(np.asarray(ndarray)))


@public(method=False)
def from_dlpack(ext_tensor: Any, *, device: Any = None, copy: bool | None = None) -> Tensor:
    """Make a tensor that shares the memory of an array of any library that speaks DLPack."""
    if not hasattr(ext_tensor, "__dlpack__"):
        raise TypeError(
            f"from_dlpack: expected an object with __dlpack__ and __dlpack_device__, got {type(ext_tensor).__name__}"
        )
    if isinstance(ext_tensor, Tensor):
        ext_tensor._refuse_export()
    array = ext_tensor.array if isinstance(ext_tensor, Tensor) else array_from_dlpack(ext_tensor)
    return asarray(array, device=device if device is not None else backends.type_of(array).device, copy=copy)


@public(method=False)
def frombuffer(buffer: Any, *, dtype: Any, count: int = -1, offset: int = 0, requires_grad: bool = False) -> Tensor:
    """Make a 1-d tensor that shares the memory of a buffer, whose bytes are read as ``dtype``."""
    wanted = as_dtype(dtype, "frombuffer")
    if wanted is None:
        raise TypeError("frombuffer(): argument 'dtype' must be torch.dtype, not NoneType")
    length, size = memoryview(buffer).nbytes, wanted.itemsize
    if count < 0 and (length - offset) % size:
        raise ValueError(
            f"buffer length ({length} bytes) after offset ({offset} bytes) must be a multiple of element size ({size})"
        )
    return finished(np.frombuffer(buffer, wanted.numpy, count, offset), requires_grad=requires_grad)


@extends_tensor
class Interchange(Tensor):
    """The protocols by which other libraries read a tensor's array. None of them copies between devices."""

    __slots__ = ()

    def numpy(self, *, force: bool = False) -> np.ndarray:
        """Give the NumPy array, which is shared; ``force`` detaches and copies from the device first.

        Of a tensor that requires grad only while nothing is recorded (inside ``no_grad``), as in torch.
        """
        if force:
            return self._type.backend.to_host(self.array)  # type: ignore[no-any-return]
        if modes.grad and self.requires_grad:
            raise GraphError("Can't call numpy() on Tensor that requires grad. Use tensor.detach().numpy() instead.")
        if self.device is not cpu:
            raise TypeError(
                f"can't convert {self.device} device type tensor to numpy. Use Tensor.cpu() to copy the "
                "tensor to host memory first."
            )
        return self.array  # type: ignore[no-any-return]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return np.array(self.numpy(), dtype=dtype, copy=copy)

    def _refuse_export(self) -> None:
        if self._node is not None:
            raise BufferError("Can't export tensors that require gradient, use tensor.detach()")

    def __dlpack__(
        self,
        *,
        stream: Any = None,
        max_version: tuple[int, int] | None = None,
        dl_device: tuple[int, int] | None = None,
        copy: bool | None = None,
    ) -> Any:
        self._refuse_export()
        return self.array.__dlpack__(stream=stream, max_version=max_version, dl_device=dl_device, copy=copy)

    def __dlpack_device__(self) -> tuple[int, int]:
        return self.array.__dlpack_device__()  # type: ignore[no-any-return]

    @property
    def __cuda_array_interface__(self) -> dict[str, Any]:
        if self.device is cpu:
            raise AttributeError(
                f"Can't get __cuda_array_interface__ on non-CUDA tensor type: {type_name(self)} If CUDA data "
                "is required use tensor.cuda() to copy tensor to device memory."
            )
        if self._node is not None:
            raise GraphError(
                "Can't get __cuda_array_interface__ on Variable that requires grad. If gradients aren't "
                "required, use var.detach() to get Variable that doesn't require grad."
            )
        return self.array.__cuda_array_interface__  # type: ignore[no-any-return]

    def new_tensor(
        self,
        data: Any,
        *,
        dtype: Any = None,
        device: Any = None,
        requires_grad: bool = False,
        pin_memory: bool = False,
    ) -> Tensor:
        """Make a tensor of a copy of ``data``, by default in this one's dtype and on its device."""
        if isinstance(data, Tensor):
            warnings.warn(COPY_OF_TENSOR.format("tensor.new_tensor"), UserWarning, stacklevel=2)
            data = data.array
        dtype, device = dtype or self.dtype, device or self.device
        return tensor(data, dtype=dtype, device=device, requires_grad=requires_grad, pin_memory=pin_memory)
