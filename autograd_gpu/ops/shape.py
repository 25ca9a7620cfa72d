"""Views: the same memory in another shape or with other axes; a copy only where no view is possible."""

from collections.abc import Iterable
from math import prod
from typing import Any

import numpy as np

from ..backends import of
from ..dtypes import dtype
from ..errors import ShapeError
from ..op import TABLE, ArrayOp, public
from ..shapes import Size, broadcast, dim_of, dims_of, size_args
from .arguments import one_or_many, tensor_list

Shape = tuple[int, ...]


def runs(shape: Shape, strides: Shape) -> list[int]:
    """The sizes of the groups of axes, last first, within which elements are evenly spaced.

    >>> runs((2, 3, 4), (12, 4, 1)), runs((3, 2), (1, 3))
    ([24], [2, 3])
    """
    found: list[int] = []
    base = 0
    for n, stride in zip(reversed(shape), reversed(strides), strict=True):
        if n == 1:
            continue
        if found and stride == base * found[-1]:
            found[-1] *= n
        else:
            found.append(n)
            base = stride
    return found


def viewable(shape: Shape, strides: Shape, size: Shape) -> bool:
    """Whether memory laid out by ``shape`` and ``strides`` can be seen as ``size`` (as computeStride)."""
    if 0 in shape:
        return True
    wanted = [n for n in size if n != 1]
    for run in runs(shape, strides):
        while run > 1:
            if run % wanted[-1]:
                return False
            run //= wanted.pop()  # noqa: PLW2901  what is left of it
    return True


def _view(x: Any, size: Shape) -> Any:
    if not x.flags.c_contiguous and not viewable(x.shape, x.strides, size):
        raise ShapeError(
            "view size is not compatible with input tensor's size and stride (at least one dimension spans "
            "across two contiguous subspaces). Use .reshape(...) instead."
        )
    return x.reshape(size)


def _reshape(x: Any, size: Shape) -> Any:
    repeated = 0 in x.strides and not viewable(x.shape, x.strides, size)
    return (of(x).dense(x) if repeated else x).reshape(size)


def writable(y: Any) -> Any:
    """A view that NumPy made read-only out of prudence, as one that can be written to if its memory can."""
    if isinstance(y, np.ndarray) and isinstance(y.base, np.ndarray) and y.base.flags.writeable:
        y.flags.writeable = True
    return y


def _expand(x: Any, size: Shape) -> Any:
    if isinstance(x, np.generic):
        return np.full(size, x)
    return x if x.shape == size else writable(of(x).xp.broadcast_to(x, size))


def _as_before(g: Any, shape: Shape) -> Any:
    return TABLE.reshape(g, size=shape)


# fmt: off
ArrayOp("view", "input", _view, _as_before, "the elements in another shape, without a copy", view=True)
ArrayOp("reshape", "input", _reshape, _as_before,
        "the elements in another shape, copied if need be", node="UnsafeViewBackward0")
ArrayOp("contiguous", "input", lambda x: of(x).dense(x), lambda g: g,
        "a copy with the last axis innermost", node="CloneBackward0")
for _name, _node in (("squeeze_all", "SqueezeBackward0"), ("squeeze", "SqueezeBackward1"),
                     ("squeeze_dims", "SqueezeBackward2")):
    ArrayOp(_name, "input", lambda x, dim: x.squeeze(dim), _as_before,
            "without the axes dim, which have size 1", view=True, node=_node)
ArrayOp("unsqueeze", "input", lambda x, dim: of(x).xp.expand_dims(x, dim), _as_before,
        "with an axis of size 1 at dim", view=True)
ArrayOp("expand", "input", _expand, lambda g, shape: TABLE.sum_to_size(g, size=shape),
        "axes of size 1 repeated to size, without a copy", view=True)
# fmt: on


def known_size(size: Shape, numel: int) -> Shape:
    """``size`` with its -1 filled in; ShapeError if ``numel`` elements do not have it."""
    for i, n in enumerate(size):
        if n < -1:
            raise ShapeError(f"invalid shape dimension {n} at index {i} of shape {list(size)}")
    if size.count(-1) > 1:
        raise ShapeError("only one dimension can be inferred")
    known = prod(n for n in size if n != -1)
    if -1 not in size:
        fits = known == numel
    elif known:
        fits = numel % known == 0
    elif fits := numel == 0:
        raise ShapeError(
            f"cannot reshape tensor of 0 elements into shape {list(size)} because the unspecified dimension "
            "size -1 can be any value and is ambiguous"
        )
    if not fits:
        raise ShapeError(f"shape '{list(size)}' is invalid for input of size {numel}")
    return tuple(numel // known if n == -1 else n for n in size)


@public(function_too=False)
def view(self: Any, *size: Any) -> Any:
    """The elements in another shape, in the same memory; one size may be -1. Or the bits in another dtype.

    ShapeError if the strides allow no view: ``reshape`` copies then. Source: torch.Tensor.view.

    >>> import autograd_gpu as torch
    >>> torch.tensor([1., 2., 3., 4.]).view(2, -1)
    tensor([[1., 2.],
            [3., 4.]])
    """
    if len(size) == 1 and isinstance(size[0], dtype):
        return TABLE.view_dtype(self, to=size[0])
    if not size:
        raise TypeError("view() takes a size (ints or a tuple of ints) or a dtype, but got nothing")
    return TABLE.view(self, size=known_size(size_args(size), prod(self.shape)))


@public
@one_or_many("shape")
def reshape(input: Any, shape: Shape) -> Any:
    """The elements in another shape: a view where the strides allow one, else a copy. One size may be -1."""
    return reshaped(input, known_size(shape, prod(input.shape)))


def reshaped(input: Any, size: Shape) -> Any:
    """``reshape`` to a ``size`` that is known to fit."""
    if viewable(input.shape, input.stride(), size):
        return TABLE.view(input, size=size)
    return TABLE.reshape(TABLE.contiguous(input), size=size)


@public(function_too=False)
def view_as(self: Any, other: Any) -> Any:
    """``view`` in the shape of ``other``."""
    return view(self, other.shape)


@public(function_too=False)
def reshape_as(self: Any, other: Any) -> Any:
    """``reshape`` to the shape of ``other``."""
    return reshape(self, other.shape)


@public(function_too=False)
def contiguous(self: Any) -> Any:
    """The tensor itself if its last axis is the innermost in memory and so on, else such a copy."""
    return self if self.is_contiguous() else TABLE.contiguous(self)


@public
def flatten(input: Any, start_dim: int = 0, end_dim: int = -1) -> Any:
    """The axes from ``start_dim`` to ``end_dim`` made one; a 0-d tensor becomes 1-d."""
    start, end = dim_of(start_dim, input.ndim), dim_of(end_dim, input.ndim)
    if start > end:
        raise ShapeError("flatten() has invalid args: start_dim cannot come after end_dim")
    if not input.ndim:
        return reshape(input, 1)
    if start == end:
        return input
    return reshaped(input, (*input.shape[:start], prod(input.shape[start : end + 1]), *input.shape[end + 1 :]))


@public
def unflatten(input: Any, dim: int, sizes: Iterable[int]) -> Any:
    """The axis ``dim`` made several, of ``sizes`` (one may be -1). Source: torch.unflatten."""
    d, sizes = dim_of(dim, input.ndim), tuple(sizes)
    if not sizes:
        raise ShapeError("unflatten: sizes must be non-empty")
    try:
        new = known_size(sizes, input.shape[d])
    except ShapeError:
        raise ShapeError(
            f"unflatten: Provided sizes {list(sizes)} don't multiply up to the size of dim {d} "
            f"({input.shape[d]}) in the input tensor"
        ) from None
    return view(input, (*input.shape[:d], *new, *input.shape[d + 1 :]))


@public
def ravel(input: Any) -> Any:
    """All elements along one axis."""
    return view(contiguous(input), -1)


@public
def squeeze(input: Any, dim: Any = None) -> Any:
    """Without the axes of size 1, or without those of ``dim`` (an int or several) that have size 1."""
    if dim is None:
        dims = tuple(range(input.ndim))
    elif isinstance(dim, Iterable):
        dims = dims_of(dim, input.ndim) if (dim := tuple(dim)) else ()
    else:
        dims = (dim_of(dim, input.ndim),) if input.ndim else (dim_of(dim, 0),)[:0]
    op = TABLE.squeeze_all if dim is None else TABLE.squeeze_dims if isinstance(dim, tuple) else TABLE.squeeze
    return op(input, dim=tuple(d for d in dims if input.shape[d] == 1))


@public
def unsqueeze(input: Any, dim: int) -> Any:
    """With an axis of size 1 at ``dim``, which counts the new axis, too. Source: torch.unsqueeze."""
    return TABLE.unsqueeze(input, dim=dim_of(dim, input.ndim + 1))


def expanded_size(shape: Shape, size: Shape, typename: str) -> Shape:
    """``size`` with its -1 filled in from ``shape``; ShapeError if ``shape`` cannot be expanded to it."""
    new = len(size) - len(shape)
    if new < 0:
        raise ShapeError(
            f"expand(torch.{typename}{{{list(shape)}}}, size={list(size)}): the number of sizes provided "
            f"({len(size)}) must be greater or equal to the number of dimensions in the tensor ({len(shape)})"
        )
    for i, (n, wanted) in reversed(list(enumerate(zip((None,) * new + tuple(shape), size, strict=True)))):
        if n is None and wanted < 0:
            raise ShapeError(
                f"The expanded size of the tensor ({wanted}) isn't allowed in a leading, non-existing dimension {i}"
            )
        if n not in (None, 1, wanted) and wanted != -1:
            raise ShapeError(
                f"The expanded size of the tensor ({wanted}) must match the existing size ({n}) at "
                f"non-singleton dimension {i}.  Target sizes: {list(size)}.  Tensor sizes: {list(shape)}"
            )
    return tuple(shape[i - new] if n == -1 else n for i, n in enumerate(size))


@public(function_too=False)
@one_or_many("size")
def expand(self: Any, size: Shape) -> Any:
    """Axes of size 1 repeated to ``size`` (-1 keeps one) without a copy. Source: torch.Tensor.expand."""
    return TABLE.expand(self, size=expanded_size(self.shape, size, self.dtype.typename))


@public(function_too=False)
def expand_as(self: Any, other: Any) -> Any:
    """``expand`` to the shape of ``other``."""
    return expand(self, other.shape)


@public
def broadcast_to(input: Any, size: Iterable[int]) -> Any:
    """``input.expand(size)``."""
    return expand(input, size)


@public(method=False)
def broadcast_shapes(*shapes: Any) -> Size:
    """The shape that ``shapes`` broadcast to; ints are 1-d shapes. Source: torch.broadcast_shapes."""
    result: Shape = ()
    for i, given in enumerate(shapes):
        shape = tuple(given) if isinstance(given, Iterable) else (given,)
        try:
            result = broadcast(result, shape)
        except ShapeError:
            pairs = enumerate(zip(reversed(shape), reversed(result), strict=False), 1)
            place, n = next((j, n) for j, (n, m) in pairs if n != m and 1 not in (n, m))
            raise ShapeError(
                f"Attempting to broadcast a dimension of length {n} at {-place}! Mismatching argument at "
                f"index {i} had {shape}; but expected shape should be broadcastable to {list(result)}"
            ) from None
    return Size(result)


def several(tensors: tuple[Any, ...]) -> tuple[Any, ...]:
    """``f(a, b)`` and ``f([a, b])`` mean the same: the tensors as a tuple."""
    return tuple(tensors[0]) if len(tensors) == 1 and isinstance(tensors[0], list | tuple) else tensors


@public(method=False)
def broadcast_tensors(*tensors: Any) -> tuple[Any, ...]:
    """``tensors`` expanded to the shape that they broadcast to. Source: torch.broadcast_tensors."""
    listed = tensor_list("broadcast_tensors", several(tensors))
    size: Shape = ()
    for tensor in listed:
        size = broadcast(size, tuple(tensor.shape))
    return tuple(tensor if tensor.shape == size else TABLE.expand(tensor, size=size) for tensor in listed)


def _atleast(ndim: int, tensors: Any) -> Any:
    """Each tensor with at least ``ndim`` axes, as NumPy adds them."""
    tensors = several(tensors)
    if len(tensors) > 1:
        return tuple(_atleast(ndim, (tensor,)) for tensor in tensors)
    (tensor,) = tensors
    if tensor.ndim >= ndim:
        return tensor
    if not tensor.ndim:
        return reshape(tensor, (1,) * ndim)
    front = unsqueeze(tensor, 0) if tensor.ndim == 1 else tensor
    return front if front.ndim == ndim else unsqueeze(front, -1)


@public(method=False)
def atleast_1d(*tensors: Any) -> Any:
    """Each tensor, with one axis if it has none."""
    return _atleast(1, tensors)


@public(method=False)
def atleast_2d(*tensors: Any) -> Any:
    """Each tensor, with axes of size 1 in front if it has fewer than two."""
    return _atleast(2, tensors)


@public(method=False)
def atleast_3d(*tensors: Any) -> Any:
    """Each tensor, with axes of size 1 around its own if it has fewer than three."""
    return _atleast(3, tensors)
