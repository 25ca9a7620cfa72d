"""Tensors as Python sees them: numbers, sequences, text, copies, pickles."""

import warnings
from collections.abc import Iterator
from numbers import Number
from typing import Any

import numpy as np

from .dtypes import BOOL, INT, bfloat16
from .errors import DtypeError, GraphError
from .extend import extends_tensor
from .op import TABLE
from .printing import tensor_text
from .tensor import Tensor, wrap

SCALAR_WITH_GRAD = (
    "Converting a tensor with requires_grad=True to a scalar may lead to unexpected behavior.\n"
    "Consider using tensor.detach() first."
)
NO_DEEPCOPY = (
    "Only Tensors created explicitly by the user (graph leaves) support the deepcopy protocol at the moment.  "
    "If you were attempting to deepcopy a module, this may be because of a torch.nn.utils.weight_norm "
    "usage, see https://github.com/pytorch/pytorch/pull/103001"
)
NO_VIEW_DETACH = (
    "Can't detach views in-place. Use detach() instead. If you are using DistributedDataParallel (DDP) for "
    "training, and gradient_as_bucket_view is set as True, gradients are views of DDP buckets, and hence "
    "detach_() cannot be called on these gradients. To fix this error, please refer to the "
    "Optimizer.zero_grad() function in torch/optim/optimizer.py as the solution."
)


def host_array(x: Tensor) -> np.ndarray:
    """The values in host memory, as elements that NumPy gives as Python numbers."""
    array: np.ndarray = x._type.backend.to_host(x.array)
    return array.astype(np.float32) if bfloat16 is not None and x.dtype is bfloat16 else array


def single(x: Tensor) -> Any:
    """The only element, for a conversion that Python asked for."""
    if x.shape.numel() != 1:
        raise ValueError("only one element tensors can be converted to Python scalars")
    return host_array(x).item()


def warned(x: Tensor) -> Any:
    """The only element; a warning if the number will be without its gradient."""
    if x._node is not None:
        warnings.warn(SCALAR_WITH_GRAD, UserWarning, stacklevel=3)
    return single(x)


def real(value: Any, c_type: str) -> Any:
    """A number that must not be complex."""
    if isinstance(value, complex) and value.imag:
        raise DtypeError(f"value cannot be converted to type {c_type} without overflow")
    return value.real


@extends_tensor
class ToPython(Tensor):
    """Numbers and sequences."""

    __slots__ = ()

    def item(self) -> Any:
        """Give the only element as a Python number."""
        if (count := self.shape.numel()) != 1:
            raise GraphError(f"a Tensor with {count} elements cannot be converted to Scalar")
        return host_array(self).item()

    def tolist(self) -> Any:
        """Give the elements as nested lists of Python numbers, a 0-d tensor as a number."""
        return host_array(self).tolist()

    def __float__(self) -> float:
        return float(real(warned(self), "double"))

    def __int__(self) -> int:
        return int(real(single(self), "int64_t"))

    def __complex__(self) -> complex:
        return complex(warned(self))

    def __index__(self) -> int:
        if self.dtype.category not in (BOOL, INT) or self.shape.numel() != 1:
            raise TypeError("only integer tensors of a single element can be converted to an index")
        return int(single(self))

    def __bool__(self) -> bool:
        if (count := self.shape.numel()) != 1:
            how_many = "more than one value" if count else "no values"
            raise GraphError(f"Boolean value of Tensor with {how_many} is ambiguous")
        return bool(single(self))

    def __len__(self) -> int:
        if not self._shape:
            raise TypeError("len() of a 0-d tensor")
        return self._shape[0]

    def __iter__(self) -> Iterator[Tensor]:
        if not self._shape:
            raise TypeError("iteration over a 0-d tensor")
        return iter(self.unbind(0))

    def __contains__(self, element: Any) -> bool:
        if not isinstance(element, Tensor | Number):
            raise GraphError(
                f"Tensor.__contains__ only supports Tensor or scalar, but you passed in a {type(element)}."
            )
        return bool(TABLE.eq(self, element).any())

    def __reversed__(self) -> Tensor:
        return self.flip(0) if self._shape else self


@extends_tensor
class ToText(Tensor):
    """Text: that of torch, see ``printing.py``."""

    __slots__ = ()

    def __repr__(self) -> str:
        return tensor_text(
            self._type.backend.to_host(self.array),
            self.dtype,
            device=str(self.device) if self.device.type == "cuda" else None,
            requires_grad=self.requires_grad,
            grad_fn=None if self.grad_fn is None else type(self.grad_fn).__name__,
        )

    def __format__(self, spec: str) -> str:
        if not self._shape and type(self) is Tensor:
            return format(self.item(), spec)
        return object.__format__(self, spec)


def rebuild(array: np.ndarray, device: str, requires_grad: bool) -> Tensor:
    """A pickled tensor again."""
    result = wrap(array).to(device)
    result.requires_grad = requires_grad
    return result  # type: ignore[no-any-return]


@extends_tensor
class Copies(Tensor):
    """Copies of leaves, and pickles."""

    __slots__ = ()

    def __deepcopy__(self, memo: dict[int, Any]) -> Tensor:
        if id(self) in memo:
            return memo[id(self)]  # type: ignore[no-any-return]
        if not self.is_leaf:
            raise GraphError(NO_DEEPCOPY)
        result = wrap(self.array.copy(), self._type, self._shape)
        result.requires_grad = self.requires_grad
        memo[id(self)] = result
        if self._grad is not None:
            result.grad = self._grad.__deepcopy__(memo)
        return result

    def __copy__(self) -> Tensor:
        result = self.detach()
        result.requires_grad = self.requires_grad
        return result

    def __reduce_ex__(self, protocol: Any) -> tuple[Any, ...]:
        array = self._type.backend.to_host(self.array)
        return rebuild, (array, str(self.device), self.requires_grad)

    def detach_(self) -> Tensor:
        """Make this tensor a leaf that does not require grad."""
        if self._base is not None:
            raise GraphError(NO_VIEW_DETACH)
        self._node = None
        return self
