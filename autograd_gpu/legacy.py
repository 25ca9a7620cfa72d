"""Constructors of PyTorch's first years: ``Tensor(2, 3)``, ``FloatTensor([1, 2])``, ``LongTensor(5)``."""

from typing import Any

import numpy as np

from . import backends
from .backends import Type
from .conversion import type_name
from .devices import device as Device
from .dtypes import ALL, get_default_dtype
from .dtypes import dtype as Dtype
from .factory import place, sizes
from .interchange import array_from, foreign_array
from .modes import Namespace
from .shapes import Size
from .tensor import Tensor, wrap


def construct(type_: Type, args: tuple[Any, ...]) -> Tensor:
    """``Tensor(2, 3)`` has arbitrary values in that size, ``Tensor([2, 3])`` holds these numbers."""
    if len(args) == 1 and not isinstance(args[0], Size | int | np.integer):
        (data,) = args
        if foreign_array(data) is None and not hasattr(data, "__len__"):
            raise TypeError(f"new(): data must be a sequence (got {type(data).__name__})")
        return wrap(array_from(data, type_.dtype, type_.device, copy=False))
    return wrap(type_.backend.empty(sizes(args or (0,), "new"), type_.dtype, type_.device))


def _new(cls: type[Tensor], *args: Any, device: Any = None, size: Any = None) -> Tensor:
    """``Tensor(2, 3)`` has arbitrary values in that size, ``Tensor([2, 3])`` holds these numbers."""
    if len(args) == 1 and isinstance(args[0], Tensor):
        result: Tensor = args[0].reshape(args[0]._shape)  # another tensor on the same memory, with its history
    else:
        sized = () if size is None else (Size(size),)
        result = construct(backends.type_for(get_default_dtype(), place(device)), (*args, *sized))
    if cls is not Tensor:
        result.__class__ = cls
    return result


Tensor.__new__ = staticmethod(_new)  # type: ignore[assignment]


class TensorType:
    """``torch.FloatTensor``: makes tensors of one dtype, and ``isinstance`` of it tells them."""

    def __init__(self, dtype: Dtype, device: str) -> None:
        self.dtype, self.device = dtype, device
        self.__name__ = f"torch.{'cuda.' if device == 'cuda' else ''}{dtype.typename}"

    def __call__(self, *args: Any) -> Tensor:
        type_ = backends.type_for(self.dtype, backends.resolve(Device(self.device)))
        if len(args) == 1 and isinstance(args[0], Tensor) and args[0]._type is not type_:
            raise TypeError(f"expected a {self.__name__}, got a {type_name(args[0])}; convert it with .type(...)")
        return construct(type_, args)

    def __instancecheck__(self, instance: Any) -> bool:
        return isinstance(instance, Tensor) and type_name(instance) == self.__name__

    def __repr__(self) -> str:
        return f"<class '{Namespace.name}{self.__name__.removeprefix('torch')}'>"


TYPES = {d.typename: TensorType(d, "cpu") for d in ALL if not d.is_complex}
CUDA_TYPES = {d.typename: TensorType(d, "cuda") for d in ALL if not d.is_complex}
