"""``Variable``, which was a tensor that records before every tensor could."""

from typing import Any

from ..dtypes import FLOAT
from ..errors import GraphError
from ..tensor import Tensor


class _IsTensor(type):
    """Every Tensor is an instance."""

    def __instancecheck__(cls, other: object) -> bool:
        return isinstance(other, Tensor)


class Variable(metaclass=_IsTensor):
    """``Variable(tensor, requires_grad=False)`` is a new Tensor on the same memory (torch's name from before 0.4)."""

    def __new__(cls, data: Any, requires_grad: bool = False) -> Any:
        if not isinstance(data, Tensor):
            raise TypeError(f"Variable data has to be a tensor, but got {type(data).__name__}")
        if requires_grad and data.dtype.category < FLOAT:
            raise GraphError("Only Tensors of floating point and complex dtype can require gradients")
        result = data.detach()
        result.requires_grad = requires_grad
        return result
