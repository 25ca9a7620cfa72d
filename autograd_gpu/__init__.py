"""PyTorch's autograd on NumPy and CuPy arrays."""

from . import backward as _backward  # fills Tensor.backward
from . import methods as _methods  # fills Tensor's methods
from . import ops as _ops  # fills the table
from .creation import tensor
from .op import PUBLIC as _PUBLIC
from .tensor import Tensor

globals().update(_PUBLIC)
