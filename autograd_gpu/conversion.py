"""Tensors in another dtype or on another device: ``to`` and its short forms."""

import warnings
from collections.abc import Callable
from typing import Any

from . import backends
from .devices import device as Device
from .dtypes import BY_NAME, bool_
from .dtypes import dtype as Dtype
from .extend import extends_tensor
from .factory import as_dtype, finished
from .layouts import contiguous_format
from .op import TABLE
from .tensor import Tensor

CASTS = {
    "bool": "bool", "byte": "uint8", "char": "int8", "short": "int16", "int": "int32", "long": "int64",
    "half": "float16", "bfloat16": "bfloat16", "float": "float32", "double": "float64",
    "cfloat": "complex64", "cdouble": "complex128",
}  # fmt: skip


def converted(x: Tensor, type_: backends.Type, *, copy: bool = False, level: int = 2) -> Tensor:
    """``x`` in ``type_``: itself if nothing changes and no ``copy`` is wanted."""
    if x._type is type_ and not copy:
        return x
    if x.dtype.is_complex and not type_.dtype.is_complex and type_.dtype is not bool_:
        text = "Casting complex values to real discards the imaginary part"
        warnings.warn(text, UserWarning, stacklevel=level + 1)
    return TABLE.to(x, type_=type_)  # type: ignore[no-any-return]


def read_arguments(args: tuple[Any, ...]) -> dict[str, Any]:
    """What the arguments of ``to`` mean by position: a tensor, a dtype or a device comes first."""
    if not args:
        return {}
    given: dict[str, Any]
    first, names = args[0], ["non_blocking", "copy"]
    if isinstance(first, Tensor):
        given = {"dtype": first.dtype, "device": first.device}
    elif isinstance(first, Dtype | type):
        given = {"dtype": first}
    else:
        given, names = {"device": first}, ["dtype", *names]
    if len(args) - 1 > len(names):
        raise TypeError(f"to() takes at most {len(names) + 1} positional arguments, got {len(args)}")
    return given | dict(zip(names, args[1:], strict=False))


def type_name(x: Tensor) -> str:
    """The name of a tensor's type, such as ``"torch.FloatTensor"``, ``"torch.cuda.LongTensor"``."""
    return f"torch.{'cuda.' if x.device.type == 'cuda' else ''}{x.dtype.typename}"


def type_named(name: str) -> backends.Type:
    """What ``"torch.cuda.FloatTensor"`` stands for."""
    *place, typename = name.split(".")
    found = [d for d in BY_NAME.values() if d.typename == typename]
    if not found or place not in (["torch"], ["torch", "cuda"]):
        raise ValueError(f"invalid type: '{name}'; expected e.g. 'torch.FloatTensor'")
    return backends.type_for(found[0], backends.resolve(Device("cuda" if "cuda" in place else "cpu")))


@extends_tensor
class Conversion(Tensor):
    """Another dtype, another device. The gradient is converted back."""

    __slots__ = ()

    def to(self, *args: Any, **kwargs: Any) -> Tensor:
        """Convert to another dtype, device, or both; the tensor itself if nothing changes.

        ``to(dtype)``, ``to(device)``, ``to(device, dtype)``, ``to(other)`` (as the tensor ``other`` is), each
        with ``non_blocking=``, ``copy=`` (True: never the tensor itself) and ``memory_format=``.
        """
        given = read_arguments(args)
        if twice := given.keys() & kwargs.keys():
            raise TypeError(f"to() got multiple values for argument '{twice.pop()}'")
        return Conversion._to(self, **given, **kwargs)

    def _to(
        self,
        device: Any = None,
        dtype: Any = None,
        non_blocking: bool = False,
        copy: bool = False,
        memory_format: Any = None,
    ) -> Tensor:
        where = self.device if device is None else backends.resolve(Device(device))
        wanted = backends.type_for(as_dtype(dtype, "to") or self.dtype, where)
        result = converted(self, wanted, copy=copy, level=3)
        return result.contiguous() if memory_format is contiguous_format else result

    def cpu(self, memory_format: Any = None) -> Tensor:
        """Copy to host memory; the tensor itself if it is there."""
        return self._to("cpu", memory_format=memory_format)

    def cuda(self, device: Any = None, non_blocking: bool = False, memory_format: Any = None) -> Tensor:
        """Copy to a CUDA device (the current one by default); the tensor itself if it is there."""
        where = "cuda" if device is None else device
        return self._to(where, memory_format=memory_format)

    def pin_memory(self) -> Tensor:
        """Copy to page-locked host memory, from which copies to a CUDA device are faster."""
        return finished(self._type.backend.to_host(self.array), pin_memory=True)

    def type_as(self, other: Tensor) -> Tensor:
        """Convert to the dtype and device of ``other``."""
        return converted(self, other._type)

    def type(self, dtype: Any = None, non_blocking: bool = False) -> Any:
        """Name this tensor's type (``"torch.FloatTensor"``), or convert it to the type of that name.

        ``dtype`` is a dtype, a name, or what bears that name (``torch.FloatTensor``).
        """
        if dtype is None:
            return type_name(self)
        if isinstance(dtype, Dtype):
            return converted(self, self._type.with_dtype(dtype))
        return converted(self, type_named(dtype if isinstance(dtype, str) else getattr(dtype, "__name__", "?")))


def _cast(name: str, dtype: Dtype) -> Callable[..., Tensor]:
    """The method that converts to ``dtype``."""

    def cast(self: Tensor, memory_format: Any = None) -> Tensor:
        result = converted(self, self._type.with_dtype(dtype))
        return result.contiguous() if memory_format is contiguous_format else result

    cast.__name__, cast.__doc__ = name, f"Convert to {dtype.name}; the tensor itself if it has that dtype."
    cast.__qualname__ = f"Tensor.{name}"
    return cast


for _name, _dtype in CASTS.items():
    if _dtype in BY_NAME:  # bfloat16 needs ml_dtypes
        setattr(Tensor, _name, _cast(_name, BY_NAME[_dtype]))
