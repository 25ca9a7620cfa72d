"""PyTorch's autograd on NumPy and CuPy arrays, under PyTorch's names: ``import autograd_gpu as torch``.

>>> import autograd_gpu as torch
>>> x = torch.tensor([2.0, 3.0], requires_grad=True)
>>> (x**2).sum().backward()
>>> x.grad
tensor([4., 6.])
"""

from math import e, inf, nan, pi

from . import (
    _define,  # noqa: F401  defines the operations and Tensor's methods
    autograd,
    backends,
    cuda,
    dtypes,
    errors,
    fusion,
    nn,
    optim,
    random,
    special,
)
from ._version import __version__
from .array_functions import array_function, linear_operator
from .autograd.anomaly_mode import is_anomaly_check_nan_enabled, is_anomaly_enabled
from .autograd.grad_mode import (
    enable_grad,
    inference_mode,
    is_grad_enabled,
    is_inference_mode_enabled,
    no_grad,
    set_grad_enabled,
)
from .composites import fuse
from .config import show_config
from .custom import elementwise
from .defaults import get_default_device, set_default_device, set_default_tensor_type
from .devices import device
from .dtypes import (
    bool_,
    complex64,
    complex128,
    dtype,
    float16,
    float32,
    float64,
    get_default_dtype,
    int8,
    int16,
    int32,
    int64,
    promote_types,
    set_default_dtype,
    uint8,
)
from .errors import missing_from
from .fusion.threads import get_num_threads, set_num_threads
from .layouts import contiguous_format, layout, memory_format, preserve_format, strided
from .legacy import TYPES
from .op import PUBLIC
from .printing import get_printoptions, printoptions, set_printoptions
from .random import Generator, default_generator
from .serialization import load, save
from .shapes import Size
from .tensor import Tensor
from .typeinfo import finfo, iinfo

bool = bool_
short, int, long = int16, int32, int64
half, float, double = float16, float32, float64
cfloat, cdouble = complex64, complex128
newaxis = None

__all__ = [
    "Generator", "Size", "Tensor", "__version__", "array_function", "autograd", "backends", "bool", "cdouble", "cfloat",
    "complex64", "complex128", "contiguous_format", "cuda", "default_generator", "device", "double", "dtype",
    "e", "elementwise", "enable_grad", "errors", "finfo", "float", "float16", "float32", "float64", "fuse", "fusion",
    "get_default_device", "get_default_dtype", "get_num_threads", "get_printoptions", "half", "iinfo",
    "inf", "inference_mode", "int", "int8", "int16", "int32", "int64", "is_anomaly_check_nan_enabled",
    "is_anomaly_enabled", "is_grad_enabled", "is_inference_mode_enabled", "layout",
    "linear_operator", "load", "long", "memory_format", "nan", "newaxis", "nn", "no_grad", "optim", "pi",
    "preserve_format",
    "printoptions", "promote_types", "random", "save", "set_default_device", "set_default_dtype",
    "set_default_tensor_type", "set_grad_enabled", "set_num_threads", "set_printoptions", "short", "show_config",
    "special", "strided", "uint8",
]  # fmt: skip
__all__ += list(PUBLIC)  # the operations of the table
__all__ += list(TYPES)  # FloatTensor and its like

globals().update(PUBLIC, **TYPES)
for _class in (Generator, Size, Tensor, device, dtype, finfo, iinfo, layout, memory_format):
    _class.__module__ = __name__  # type(x) is shown as <class 'autograd_gpu.Tensor'>

if dtypes.bfloat16 is not None:
    bfloat16 = dtypes.bfloat16
    __all__ += ["bfloat16"]
__getattr__ = missing_from(__name__, bfloat16="it needs ml_dtypes: pip install ml_dtypes")


def __dir__() -> list[str]:
    return __all__
