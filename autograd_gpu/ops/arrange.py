"""The elements in another arrangement: repeated, reversed, rolled, in triangles, diagonals and grids."""

import warnings
from collections.abc import Iterable
from itertools import chain
from math import prod
from operator import index
from typing import Any

from ..backends import of
from ..dtypes import INT
from ..errors import DtypeError, ShapeError
from ..op import TABLE, ArrayOp, public
from ..shapes import dim_of, dims_of
from .arguments import is_tensor, one_or_many, tensor_list
from .index_dim import index_select
from .join import stack
from .shape import Shape, contiguous, flatten, several, unsqueeze, view, writable


def _repeat_vjp(g: Any, shape: Shape, repeats: Shape) -> Any:
    old = (1,) * (len(repeats) - len(shape)) + shape
    copies = TABLE.reshape(g, size=tuple(chain.from_iterable(zip(repeats, old, strict=True))))
    return TABLE.reshape(TABLE.sum(copies, dim=tuple(range(0, 2 * len(repeats), 2)), keepdim=False), size=shape)


def _repeat_places(x: Any, total: int) -> Any:
    xp = of(x).xp
    return xp.searchsorted(xp.cumsum(x), xp.arange(total), side="right")


def _roll(x: Any, shifts: Shape, dims: Shape) -> Any:
    xp = of(x).xp
    if not dims:
        return _roll(x.reshape(-1), shifts, (0,)).reshape(x.shape)
    for shift, d in zip(shifts, dims, strict=True):
        cut = -shift % (x.shape[d] or 1)
        before = (slice(None),) * d
        x = xp.concatenate([x[(*before, slice(cut, None))], x[(*before, slice(cut))]], axis=d)
    return x


def _diag_embed(x: Any, size: Shape, offset: int, dim1: int, dim2: int) -> Any:
    y = of(x).xp.zeros(size, x.dtype)
    writable(y.diagonal(offset, dim1, dim2))[...] = x
    return y


def _diagonal(x: Any, offset: int, dim1: int, dim2: int) -> Any:
    return writable(x.diagonal(offset, dim1, dim2))


def _diagonal_vjp(g: Any, shape: Shape, offset: int, dim1: int, dim2: int) -> Any:
    return TABLE.diag_embed(g, size=shape, offset=offset, dim1=dim1, dim2=dim2)


def _windows(x: Any, dim: int, width: int, step: int) -> Any:
    if not x.ndim:
        return x.reshape(1)[:width]
    count = (x.shape[dim] - width) // step + 1
    return of(x).xp.lib.stride_tricks.as_strided(
        x,
        (*x.shape[:dim], count, *x.shape[dim + 1 :], width),
        (*x.strides[:dim], step * x.strides[dim], *x.strides[dim + 1 :], x.strides[dim]),
    )


def _overlap(g: Any, size: Shape, dim: int, width: int, step: int) -> Any:
    """Windows along ``dim`` added up where they came from."""
    if not size:
        return g.sum()
    y = of(g).xp.zeros(size, g.dtype)
    count = g.shape[dim]
    for i in range(width):
        y[(slice(None),) * dim + (slice(i, i + (count - 1) * step + 1, step),)] += g[..., i]
    return y


# fmt: off
ArrayOp("repeat", "input", lambda x, repeats: of(x).xp.tile(x, repeats), _repeat_vjp,
        "the whole repeated along each axis")
ArrayOp("repeat_places", "repeats", _repeat_places, None, "each index as often as repeats says", takes=(INT,))
ArrayOp("flip", "input", lambda x, dims: of(x).xp.flip(x, dims).copy() if x.ndim and dims else x.copy(),
        lambda g, dims: TABLE.flip(g, dims=dims), "the order reversed along dims")
ArrayOp("rot90", "input", lambda x, k, dims: of(x).xp.rot90(x, k, dims).copy(),
        lambda g, k, dims: TABLE.rot90(g, k=-k, dims=dims), "k quarter turns in the plane of two axes")
ArrayOp("roll", "input", _roll,
        lambda g, shifts, dims: TABLE.roll(g, shifts=tuple(-n for n in shifts), dims=dims),
        "the elements moved, those that leave coming in at the other end")
ArrayOp("tril", "input", lambda x, diagonal: of(x).xp.tril(x, diagonal).astype(x.dtype, copy=False),
        lambda g, diagonal: TABLE.tril(g, diagonal=diagonal), "the lower triangle of matrices, zeros above")
ArrayOp("triu", "input", lambda x, diagonal: of(x).xp.triu(x, diagonal).astype(x.dtype, copy=False),
        lambda g, diagonal: TABLE.triu(g, diagonal=diagonal), "the upper triangle of matrices, zeros below")
ArrayOp("diagonal", "input", _diagonal, _diagonal_vjp, "the diagonals of matrices", view=True)
ArrayOp("diag", "input", lambda x, offset, dim1, dim2: x.diagonal(offset, dim1, dim2).copy(), _diagonal_vjp,
        "a copy of the diagonal of a matrix", node="DiagonalBackward0_copy")
ArrayOp("diag_embed", "input", _diag_embed,
        lambda g, offset, dim1, dim2: TABLE.diagonal(g, offset=offset, dim1=dim1, dim2=dim2),
        "matrices with the given diagonals")
ArrayOp("unfold", "input", _windows,
        lambda g, shape, dim, width, step: TABLE.overlap(g, size=shape, dim=dim, width=width, step=step),
        "the windows along dim, side by side", view=True)
ArrayOp("overlap", "input", _overlap,
        lambda g, dim, width, step: TABLE.unfold(g, dim=dim, width=width, step=step),
        "windows along dim added up where they came from", node="UnfoldBackwardBackward0")
# fmt: on


@public(function_too=False)
@one_or_many("repeats")
def repeat(self: Any, repeats: Shape) -> Any:
    """The whole tensor repeated along each axis; more repeats than axes make new ones in front.

    Gradient: the sum over the copies. Source: torch.Tensor.repeat.
    """
    if len(repeats) < self.ndim:
        raise ShapeError("Number of dimensions of repeat dims can not be smaller than number of dimensions of tensor")
    if min(repeats, default=0) < 0:
        old = (1,) * (len(repeats) - self.ndim) + tuple(self.shape)
        size = [n * m for n, m in zip(old, repeats, strict=True)]
        raise ShapeError(f"Trying to create tensor with negative dimension {min(size)}: {size}")
    return TABLE.repeat(self, repeats=repeats)


@public
@one_or_many("dims")
def tile(input: Any, dims: Shape) -> Any:
    """``repeat`` with 1 put in front where ``dims`` are fewer than the axes. Source: torch.tile."""
    return repeat(input, (1,) * (input.ndim - len(dims)) + dims)


@public
def repeat_interleave(
    input: Any, repeats: Any = None, dim: int | None = None, *, output_size: int | None = None
) -> Any:
    """Each element ``repeats`` times in a row along ``dim``, or of the flattened tensor.

    ``repeats`` is an int, or a tensor with one for each element along ``dim``, whose sum has to be read from
    the device unless ``output_size`` is given. Without ``repeats``, ``input`` is taken for it.
    Source: torch.repeat_interleave.

    >>> import autograd_gpu as torch
    >>> torch.tensor([5, 6]).repeat_interleave(torch.tensor([1, 2]))
    tensor([5, 6, 6])
    """
    if repeats is None:
        return _places(input, output_size)
    if dim is None:
        input, dim = flatten(input), 0
    d = dim_of(dim, input.ndim)
    n = input.shape[d]
    if is_tensor(repeats):
        if prod(repeats.shape) == 1:
            repeats = TABLE.expand(TABLE.reshape(repeats, size=(1,)), size=(n,))
        if repeats.ndim != 1 or repeats.shape[0] != n:
            raise ShapeError(
                "repeats must have the same size as input along dim, but got "
                f"repeats.size(0) = {repeats.shape[0] if repeats.ndim else 1} and input.size({d}) = {n}"
            )
        return index_select(input, d, _places(repeats, output_size))
    times = index(repeats)
    if times < 0:
        raise ShapeError("Repeats must be non-negative")
    copies = TABLE.expand(unsqueeze(input, d + 1), size=(*input.shape[: d + 1], times, *input.shape[d + 1 :]))
    return flatten(TABLE.contiguous(copies), d, d + 1)


def _places(repeats: Any, output_size: int | None) -> Any:
    """Each index of the 1-d tensor ``repeats`` as often as it says."""
    if repeats.dtype.category != INT:
        raise DtypeError(f'"repeat_interleave" not implemented for {repeats.dtype.scalar_name!r}')
    if repeats.device.type == "cpu" and prod(repeats.shape) and repeats.min().item() < 0:
        raise ShapeError("repeats can not be negative")
    total = repeats.sum().item() if output_size is None else output_size
    return TABLE.repeat_places(repeats, total=total)


@public
@one_or_many("dims")
def flip(input: Any, dims: Shape) -> Any:
    """A copy with the order reversed along ``dims``. Source: torch.flip."""
    return TABLE.flip(input, dims=dims_of(dims, input.ndim) if dims else ())


@public
def fliplr(input: Any) -> Any:
    """A copy with axis 1 reversed."""
    if input.ndim < 2:
        raise ShapeError("Input must be >= 2-d.")
    return TABLE.flip(input, dims=(1,))


@public
def flipud(input: Any) -> Any:
    """A copy with axis 0 reversed."""
    if input.ndim < 1:
        raise ShapeError("Input must be >= 1-d.")
    return TABLE.flip(input, dims=(0,))


@public
def rot90(input: Any, k: int = 1, dims: Iterable[int] = (0, 1)) -> Any:
    """A copy turned ``k`` times by 90 degrees, from the first of ``dims`` to the second."""
    plane = tuple(dims)
    if len(plane) != 2:
        raise ShapeError(f"expected total rotation dims == 2, but got dims = {len(plane)}")
    if input.ndim < 2:
        raise ShapeError(f"expected total dims >= 2, but got total dims = {input.ndim}")
    places = tuple(dim_of(d, input.ndim) for d in plane)
    if places[0] == places[1]:
        raise ShapeError(f"expected rotation dims to be different, but got dim0 = {plane[0]} and dim1 = {plane[1]}")
    return TABLE.rot90(input, k=k, dims=places)


@public
def roll(input: Any, shifts: Any, dims: Any = ()) -> Any:
    """The elements moved by ``shifts`` along ``dims``, or in the flattened tensor, around the end.

    Source: torch.roll.
    """
    moves = (shifts,) if not isinstance(shifts, Iterable) else tuple(shifts)
    axes = (dims,) if not isinstance(dims, Iterable) else tuple(dims)
    if not moves:
        raise ShapeError("`shifts` required")
    if len(moves) != len(axes) and not (not axes and len(moves) == 1):
        raise ShapeError(f"shifts and dimensions must align. shifts: {len(moves)}, dims:{len(axes)}")
    if axes and not input.ndim:
        raise IndexError("Dimension specified as 0 but tensor has no dimensions")
    return TABLE.roll(input, shifts=moves, dims=tuple(dim_of(d, input.ndim) for d in axes))


def _triangle(name: str, input: Any, diagonal: int) -> Any:
    if input.ndim < 2:
        raise ShapeError(f"{name}: input tensor must have at least 2 dimensions")
    return TABLE[name](input, diagonal=diagonal)


@public(in_place=True)
def tril(input: Any, diagonal: int = 0) -> Any:
    """The lower triangle of matrices, up to the given diagonal, and zeros above. Source: torch.tril."""
    return _triangle("tril", input, diagonal)


@public(in_place=True)
def triu(input: Any, diagonal: int = 0) -> Any:
    """The upper triangle of matrices, from the given diagonal on, and zeros below. Source: torch.triu."""
    return _triangle("triu", input, diagonal)


def _plane(dim1: int, dim2: int, ndim: int) -> tuple[int, int]:
    """Two different axes, counted from the front."""
    places = dim_of(dim1, ndim), dim_of(dim2, ndim)
    if places[0] == places[1]:
        raise ShapeError(f"diagonal dimensions cannot be identical {dim1}, {dim2}")
    return places


@public
def diagonal(input: Any, offset: int = 0, dim1: int = 0, dim2: int = 1) -> Any:
    """The diagonals of the matrices in two axes, as a last axis: a view. Source: torch.diagonal."""
    first, second = _plane(dim1, dim2, input.ndim)
    return TABLE.diagonal(input, offset=offset, dim1=first, dim2=second)


@public
def diag_embed(input: Any, offset: int = 0, dim1: int = -2, dim2: int = -1) -> Any:
    """Matrices, in two new axes, that have the last axis as their diagonals. Source: torch.diag_embed."""
    first, second = _plane(dim1, dim2, input.ndim + 1)
    size = list(input.shape[:-1])
    for d in sorted((first, second)):
        size.insert(d, input.shape[-1] + abs(offset))
    return TABLE.diag_embed(input, size=tuple(size), offset=offset, dim1=first, dim2=second)


@public
def diag(input: Any, diagonal: int = 0) -> Any:
    """A copy of a matrix's diagonal, or the matrix with a 1-d tensor as its diagonal. Source: torch.diag."""
    if input.ndim == 1:
        return diag_embed(input, diagonal)
    if input.ndim == 2:
        return TABLE.diag(input, offset=diagonal, dim1=0, dim2=1)
    raise ShapeError(f"diag(): Supports 1D or 2D tensors. Got {input.ndim}D")


@public
def diagflat(input: Any, offset: int = 0) -> Any:
    """The matrix that has all elements as its diagonal. Source: torch.diagflat."""
    return diag_embed(view(contiguous(input), -1), offset)


@public(function_too=False)
def unfold(self: Any, dimension: int, size: int, step: int) -> Any:
    """A view of the windows of ``size`` elements along an axis, ``step`` apart, in a new last axis."""
    d = dim_of(dimension, self.ndim)
    longest = self.shape[d] if self.ndim else 1
    if size < 0:
        raise ShapeError(f"size is {size} but must be >= 0")
    if size > longest:
        raise ShapeError(f"maximum size for tensor at dimension {d} is {longest} but size is {size}")
    if step <= 0:
        raise ShapeError(f"step is {step} but must be > 0")
    return TABLE.unfold(self, dim=d, width=size, step=step)


@public(method=False)
def meshgrid(*tensors: Any, indexing: str | None = None) -> tuple[Any, ...]:
    """Each 1-d tensor expanded over a grid, along its own axis; "xy" exchanges the first two.

    Source: torch.meshgrid.
    """
    listed = tensor_list("meshgrid", several(tensors))
    for tensor in listed:
        if tensor.ndim > 1:
            raise ShapeError(
                f"torch.meshgrid: Expected 0D or 1D tensor in the tensor list but got: one of size {list(tensor.shape)}"
            )
        if tensor.dtype is not listed[0].dtype:
            raise DtypeError("meshgrid expects all tensors to have the same dtype")
    if indexing is None:
        warnings.warn(
            "torch.meshgrid: in an upcoming release, it will be required to pass the indexing argument.",
            UserWarning,
            stacklevel=2,
        )
    elif indexing not in ("ij", "xy"):
        raise ShapeError(f'torch.meshgrid: indexing must be one of "xy" or "ij", but received: {indexing}')
    size = [prod(tensor.shape) for tensor in listed]
    places = list(range(len(listed)))
    if indexing == "xy" and len(listed) > 1:
        size[:2], places[:2] = size[1::-1], [1, 0]
    return tuple(
        TABLE.expand(view(tensor, [-1 if axis == place else 1 for axis in range(len(size))]), size=tuple(size))
        for tensor, place in zip(listed, places, strict=True)
    )


@public(method=False)
def cartesian_prod(*tensors: Any) -> Any:
    """All combinations of the elements of 1-d tensors, one a row. Source: torch.cartesian_prod."""
    listed = tensor_list("cartesian_prod", tensors)
    if len(listed) == 1:
        return listed[0]
    return stack([flatten(grid) for grid in meshgrid(*listed, indexing="ij")], 1)
