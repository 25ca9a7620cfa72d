"""PyTorch's autograd on NumPy and CuPy arrays."""

from . import autograd, backends, fusion
from . import backward as _backward  # fills Tensor.backward
from . import conversion, creation, interchange, metadata, topython
from . import methods as _methods  # fills Tensor's methods
from . import ops as _ops  # fills the table
from .devices import device
from .dtypes import (
    bfloat16, complex64, complex128, float16, float32, float64, get_default_dtype, int8, int16, int32, int64,
    promote_types, set_default_dtype, uint8,
)  # fmt: skip
from .dtypes import bool_ as bool
from .op import PUBLIC as _PUBLIC
from .printing import set_printoptions
from .shapes import Size
from .tensor import Tensor

try:
    from .autograd.grad_mode import enable_grad, inference_mode, no_grad, set_grad_enabled
except ImportError:
    pass

globals().update(_PUBLIC)
