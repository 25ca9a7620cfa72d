"""What a tensor knows of itself without computing: sizes, strides, addresses; and shapes changed in place."""

import warnings
import weakref
from collections.abc import Callable
from typing import Any

from .errors import ShapeError
from .extend import extends_tensor
from .layouts import contiguous_format, memory_format
from .modes import modes
from .op import METHODS, TABLE, public
from .ops.axes import transpose
from .shapes import Size, dim_of
from .tensor import LEAF, Tensor, wrap
from .views import Views, give_history
from .writes import check_writable

REVERSED = (
    "The use of `x.T` on tensors of dimension other than 2 to reverse their shape is deprecated and it will "
    "throw an error in a future release. Consider `x.mT` to transpose batches of matrices or "
    "`x.permute(*torch.arange(x.ndim - 1, -1, -1))` to reverse the dimensions of a tensor."
)


def strides_of(array: Any) -> tuple[int, ...]:
    """The strides of ``array`` in elements, as PyTorch counts them also where there is no element."""
    if array.size:
        return tuple(stride // array.itemsize for stride in array.strides)
    strides = [1] * array.ndim
    for d in range(array.ndim - 1, 0, -1):
        strides[d - 1] = strides[d] * max(array.shape[d], 1)
    return tuple(strides)


def _entry(values: tuple[int, ...], dim: int) -> int:
    if not values:
        raise IndexError("Dimension specified as 0 but tensor has no dimensions")
    return values[dim_of(dim, len(values))]


def _same_on_scalars(
    tensor: Tensor, name: str, advice: str = "This function is the identity in these cases."
) -> Tensor:
    warnings.warn(f"Tensor.{name} is deprecated on 0-D tensors. {advice}", UserWarning, stacklevel=3)
    return tensor


def _conj(tensor: Tensor) -> Tensor:
    return TABLE.conj(tensor) if tensor.dtype.is_complex else tensor


def _check_matrices(tensor: Tensor, name: str) -> None:
    if tensor.ndim < 2:
        raise ShapeError(
            f"tensor.{name} is only supported on matrices or batches of matrices. Got {tensor.ndim}-D tensor."
        )


@extends_tensor
class Metadata(Tensor):
    """Sizes, strides and addresses."""

    __slots__ = ()

    def size(self, dim: int | None = None) -> Any:
        """The shape, or its entry for ``dim``."""
        return Size(self._shape) if dim is None else _entry(self._shape, dim)

    def stride(self, dim: int | None = None) -> Any:
        """How many elements lie between neighbours along each axis, or along ``dim``."""
        strides = strides_of(self.array)
        return strides if dim is None else _entry(strides, dim)

    def dim(self) -> int:
        """The number of axes."""
        return len(self._shape)

    ndimension = dim

    def numel(self) -> int:
        """The number of elements."""
        return Size(self._shape).numel()

    nelement = numel

    def element_size(self) -> int:
        """The bytes of an element."""
        return self.dtype.itemsize

    @property
    def itemsize(self) -> int:
        """The bytes of an element."""
        return self.dtype.itemsize

    @property
    def nbytes(self) -> int:
        """The bytes of all elements."""
        return self.numel() * self.dtype.itemsize

    def is_contiguous(self, memory_format: memory_format = contiguous_format) -> bool:
        """Whether the elements lie one after the other, the last axis the innermost."""
        return bool(self.array.flags.c_contiguous)

    def data_ptr(self) -> int:
        """The address of the first element."""
        return self._type.backend.addresses(self.array)[0]  # type: ignore[no-any-return]

    def storage_offset(self) -> int:
        """How many elements before the first one lie in the memory that this tensor views."""
        first, start = self._type.backend.addresses(self.array)
        return (first - start) // self.dtype.itemsize  # type: ignore[no-any-return]

    @property
    def T(self) -> Tensor:  # noqa: N802  torch's name
        """The axes in reverse order: a matrix transposed."""
        if not self._shape:
            return _same_on_scalars(self, "T")
        if self.ndim > 2:
            warnings.warn(REVERSED, UserWarning, stacklevel=2)
        return TABLE.permute(self, dims=tuple(reversed(range(self.ndim))))  # type: ignore[no-any-return]

    @property
    def mT(self) -> Tensor:  # noqa: N802  torch's name
        """Matrices in the last two axes transposed."""
        if not self._shape:
            return _same_on_scalars(self, "mT")
        _check_matrices(self, "mT")
        return transpose(self, -2, -1)  # type: ignore[no-any-return]

    @property
    def H(self) -> Tensor:  # noqa: N802  torch's name
        """A matrix transposed and conjugated."""
        if not self._shape:
            return _same_on_scalars(self, "H", "Consider using x.conj().")
        if self.ndim != 2:
            hint = " For batches of matrices, consider using tensor.mH" if self.ndim > 2 else ""
            raise ShapeError(f"tensor.H is only supported on matrices (2-D tensors). Got {self.ndim}-D tensor.{hint}")
        return _conj(transpose(self, 0, 1))

    @property
    def mH(self) -> Tensor:  # noqa: N802  torch's name
        """Matrices in the last two axes transposed and conjugated."""
        if not self._shape:
            return _same_on_scalars(self, "mH", "Consider using x.conj().")
        _check_matrices(self, "mH")
        return _conj(transpose(self, -2, -1))


@public
def adjoint(input: Any) -> Any:
    """Matrices in the last two axes transposed and conjugated."""
    return _conj(transpose(input, -2, -1))


@public(method=False)
def numel(input: Tensor) -> int:
    """The number of elements."""
    return Size(input._shape).numel()


def _twin(tensor: Tensor) -> Tensor:
    """Another tensor with the memory, the history and the base of ``tensor``."""
    twin = wrap(tensor.array, tensor._type, tensor._shape)
    twin._counter, twin._node = tensor._counter, tensor._node
    twin._base, twin._steps, twin._made = tensor._base, tensor._steps, tensor._made
    return twin


def _become(tensor: Tensor, old: Tensor, new: Tensor) -> None:
    """Make ``tensor`` the view ``new`` of what it was, ``old``, which becomes the base of its views."""
    if old._base is None:
        views, tensor._views = tensor._views or [], None
        for ref in views:
            if (view := ref()) is not None:
                view._base = old
        old._views = Views([*views, weakref.ref(tensor)])
    tensor._base, tensor._steps, tensor._made = new._base, new._steps, new._made
    give_history(tensor, new._node)


def reshaping(function: Callable[..., Any], name: str) -> Callable[..., Tensor]:
    """The method ``name``, which makes a tensor the view of itself that ``function`` gives."""

    def method(self: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        check_writable(self)
        old = _twin(self)
        recording, modes.grad = modes.grad, True
        try:
            new = function(old, *args, **kwargs)
        finally:
            modes.grad = recording
        if self._node is not LEAF:
            _become(self, old, new)
        self.array, self._shape = new.array, new._shape
        self._counter.count += 1
        return self

    method.__name__ = name
    method.__doc__ = f"``{name[:-1]}`` of this tensor itself: its memory stays, its shape changes."
    return method


for _name in ("squeeze_", "unsqueeze_", "t_", "transpose_", "swapaxes_", "swapdims_"):
    setattr(Tensor, _name, reshaping(METHODS[_name[:-1]], _name))
