"""Questions about types: limits of dtypes, what promotes to what, what a tensor is."""

import math
from typing import Any

import numpy as np

from . import dtypes
from .conversion import type_name
from .dtypes import COMPLEX, FLOAT, INT, get_default_dtype
from .dtypes import dtype as Dtype
from .extend import extends_tensor
from .layouts import strided
from .modes import Namespace
from .op import TABLE, public
from .record import promoted
from .tensor import Tensor

_FORMATS = {"float16": (11, -14), "bfloat16": (8, -126), "float32": (24, -126), "float64": (53, -1022)}


class finfo:  # noqa: N801  torch's name
    """Limits of a floating dtype, or of a complex one's parts.

    >>> finfo(dtypes.float16)
    finfo(resolution=0.001, min=-65504, max=65504, eps=0.000976562, smallest_normal=6.10352e-05, \
tiny=6.10352e-05, dtype=float16)
    """

    def __init__(self, type: Dtype | None = None) -> None:
        d = (get_default_dtype() if type is None else type).to_real()
        if d.category != FLOAT:
            raise TypeError(
                "torch.finfo() requires a floating point input type. Use torch.iinfo to handle 'torch.finfo'"
            )
        digits, exponent = _FORMATS[d.name]  # of the fraction; of the smallest normal number
        self.bits, self.dtype = 8 * d.itemsize, d.name
        self.eps = 2.0 ** (1 - digits)
        self.max = (2 - self.eps) * 2.0 ** (1 - exponent)
        self.min = -self.max
        self.tiny = self.smallest_normal = 2.0**exponent
        self.resolution = 10.0 ** -int((digits - 1) * math.log10(2))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, finfo) and self.dtype == other.dtype

    def __hash__(self) -> int:
        return hash(self.dtype)

    def __repr__(self) -> str:
        names = "resolution", "min", "max", "eps", "smallest_normal", "tiny"
        numbers = ", ".join(f"{name}={getattr(self, name):g}" for name in names)
        return f"finfo({numbers}, dtype={self.dtype})"


class iinfo:  # noqa: N801  torch's name
    """Limits of an integer dtype.

    >>> iinfo(dtypes.int8).max
    127
    """

    def __init__(self, type: Dtype) -> None:
        if type is dtypes.bool_:
            raise TypeError("torch.bool is not supported by torch.iinfo")
        if type.category != INT:
            raise TypeError("torch.iinfo() requires an integer input type. Use torch.finfo to handle 'torch.iinfo'")
        limits = np.iinfo(type.numpy)
        self.bits, self.dtype, self.min, self.max = limits.bits, type.name, int(limits.min), int(limits.max)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, iinfo) and self.dtype == other.dtype

    def __hash__(self) -> int:
        return hash(self.dtype)

    def __repr__(self) -> str:
        return f"iinfo(min={self.min:g}, max={self.max:g}, dtype={self.dtype})"


@public(method=False)
def result_type(tensor1: Any, tensor2: Any) -> Dtype:
    """Return the dtype that an operation on both, tensors or numbers, computes in.

    >>> result_type(1, 2.0)
    autograd_gpu.float32
    """
    return promoted(TABLE.add, [tensor1, tensor2])


@public(method=False)
def can_cast(from_: Dtype, to: Dtype) -> bool:
    """Whether a dtype may become another in PyTorch's rules: bool < integer < floating < complex.

    >>> can_cast(dtypes.float64, dtypes.int64), can_cast(dtypes.int64, dtypes.int8)
    (False, True)
    """
    return from_.category <= to.category


@public(method=False)
def is_tensor(obj: Any) -> bool:
    """Whether ``obj`` is a Tensor."""
    return isinstance(obj, Tensor)


@public
def is_floating_point(input: Tensor) -> bool:
    """Whether the dtype is a floating one."""
    return input.dtype.category == FLOAT


@public
def is_complex(input: Tensor) -> bool:
    """Whether the dtype is complex."""
    return input.dtype.category == COMPLEX


@public
def is_signed(input: Tensor) -> bool:
    """Whether the dtype has negative numbers."""
    return input.dtype.is_signed


@public
def is_nonzero(input: Tensor) -> bool:
    """Whether the only element is not zero; RuntimeError if there is not exactly one."""
    return bool(input)


@public
def is_same_size(input: Tensor, other: Tensor) -> bool:
    """Whether both have the same shape."""
    return input._shape == other._shape


@public(method=False)
def typename(obj: Any) -> str:
    """Name the type of a tensor (``"torch.FloatTensor"``) or of another object."""
    if isinstance(obj, Tensor):
        return type_name(obj)
    kind = obj if isinstance(obj, type) else type(obj)
    if kind is Tensor:
        return f"{Namespace.name}.Tensor"
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"


@extends_tensor
class Facts(Tensor):
    """Where a tensor is, and what it is not."""

    __slots__ = ()

    is_cuda = property(lambda self: self.device.type == "cuda", doc="Whether it is on a CUDA device.")
    is_cpu = property(lambda self: self.device.type == "cpu", doc="Whether it is in host memory.")
    is_sparse = property(lambda _: False, doc="No tensor here is sparse.")
    layout = property(lambda _: strided, doc="All tensors here are strided.")

    def get_device(self) -> int:
        """Return the number of its CUDA device, -1 for host memory."""
        return -1 if self.device.index is None else self.device.index
