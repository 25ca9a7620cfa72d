"""Tensors joined along an axis, and one taken apart into views."""

from collections.abc import Iterable
from functools import reduce
from itertools import accumulate
from typing import Any

from ..backends import of
from ..dtypes import of as dtype_of
from ..dtypes import promote_types
from ..errors import ShapeError
from ..op import TABLE, ArrayOp, public
from ..shapes import dim_of
from .arguments import numpy_names, tensor_list
from .index import SELECT, narrow
from .shape import Shape, atleast_1d, atleast_2d, atleast_3d, reshape

Key = tuple[Any, ...]

LEGACY_EMPTY = (0,)  # a 1-d tensor without elements can be joined to any, and adds nothing


def _same_dtype(arrays: tuple[Any, ...]) -> tuple[Any, ...]:
    """``arrays`` in the dtype that they promote to, by torch's rules."""
    dtypes = {x.dtype for x in arrays}
    if len(dtypes) == 1:
        return arrays
    common = reduce(promote_types, map(dtype_of, dtypes)).numpy
    return tuple(x.astype(common) if x.dtype != common else x for x in arrays)


def _cat(*arrays: Any, dim: int) -> Any:
    joined = _same_dtype(arrays)
    return of(arrays[0]).xp.concatenate([x for x in joined if x.shape != LEGACY_EMPTY] or joined, axis=dim)


def _cat_vjp(g: Any, shapes: tuple[Shape, ...], dim: int) -> tuple[Any, ...]:
    sizes = tuple(0 if shape == LEGACY_EMPTY else shape[dim] for shape in shapes)
    parts = TABLE.split_with_sizes(g, sizes=sizes, dim=dim)
    return tuple(
        part if part.shape == shape else TABLE.reshape(part, size=shape)
        for part, shape in zip(parts, shapes, strict=True)
    )


def _along(dim: int, place: Any) -> Key:
    return (*(slice(None),) * dim, place, ...)


def _split_keys(sizes: Shape, dim: int) -> list[Key]:
    ends = accumulate(sizes)
    return [_along(dim, slice(end - size, end)) for size, end in zip(sizes, ends, strict=True)]


def _split(x: Any, sizes: Shape, dim: int) -> tuple[Any, ...]:
    return tuple(x[key] for key in _split_keys(sizes, dim))


def _split_vjp(g: Any, shape: Shape, sizes: Shape, dim: int) -> Any:
    keys = _split_keys(sizes, dim)
    return TABLE.put_together(*g.values(), keys=[keys[i] for i in g], size=shape, gaps=len(g) < len(sizes))


def _unbind(x: Any, dim: int) -> tuple[Any, ...]:
    return tuple(x[_along(dim, i)] for i in range(x.shape[dim]))


def _unbind_vjp(g: Any, shape: Shape, dim: int) -> Any:
    return TABLE.put_together(*g.values(), keys=[_along(dim, i) for i in g], size=shape, gaps=len(g) < shape[dim])


def _put_together(*values: Any, keys: list[Key], size: Shape, gaps: bool) -> Any:
    xp = of(values[0]).xp
    z = (xp.zeros if gaps else xp.empty)(size, values[0].dtype)
    for key, value in zip(keys, values, strict=True):
        z[key] = value
    return z


# fmt: off
ArrayOp("put_together", "values", _put_together, lambda g, keys: tuple(SELECT(g, key=key) for key in keys),
        "values in parts of an array of size, and zeros in the gaps", variadic=True)
ArrayOp("cat", "tensors", _cat, _cat_vjp, "tensors one after the other along dim", variadic=True, fits=True)
ArrayOp("stack", "tensors", lambda *arrays, dim: of(arrays[0]).xp.stack(_same_dtype(arrays), axis=dim),
        lambda g, dim: TABLE.unbind(g, dim=dim), "tensors one after the other along a new axis dim",
        variadic=True, fits=True)
ArrayOp("split", "input", _split, _split_vjp, "parts of the given sizes along dim", view=True)
ArrayOp("split_with_sizes", "input", _split, _split_vjp, "parts of the given sizes along dim", view=True)
ArrayOp("unbind", "input", _unbind, _unbind_vjp, "the parts along dim, without this axis", view=True)
# fmt: on


def _check_joined(tensors: tuple[Any, ...], dim: int) -> int:
    """``dim`` counted from the front; errors unless ``tensors`` agree in all other sizes."""
    for i, tensor in enumerate(tensors):
        if not tensor.ndim:
            raise ShapeError(f"zero-dimensional tensor (at position {i}) cannot be concatenated")
    numbered = [(i, tensor.shape) for i, tensor in enumerate(tensors) if tensor.shape != LEGACY_EMPTY]
    if not numbered:
        return dim_of(dim, 1)
    first = numbered[0][1]
    d = dim_of(dim, len(first))
    for i, shape in numbered[1:]:
        if len(shape) != len(first):
            raise ShapeError(f"Tensors must have same number of dimensions: got {len(first)} and {len(shape)}")
        for axis, (wanted, got) in enumerate(zip(first, shape, strict=True)):
            if axis != d and wanted != got:
                raise ShapeError(
                    f"Sizes of tensors must match except in dimension {d}. Expected size {wanted} but got "
                    f"size {got} for tensor number {i} in the list."
                )
    return d


@public(method=False)
def cat(tensors: Any, dim: int = 0, *, axis: int | None = None) -> Any:
    """The tensors one after the other along ``dim``, in the dtype that they promote to.

    All other sizes must agree, but 1-d tensors without elements fit anywhere. The gradient is the respective
    part of ``g``. Source: torch.cat.

    >>> import autograd_gpu as torch
    >>> torch.cat([torch.tensor([1, 2]), torch.tensor([3])])
    tensor([1, 2, 3])
    """
    listed = tensor_list("cat", tensors)
    if not listed:
        raise ValueError("torch.cat(): expected a non-empty list of Tensors")
    return TABLE.cat(*listed, dim=_check_joined(listed, dim if axis is None else axis))


for _name in ("concat", "concatenate"):
    public(cat, name=_name, method=False)


@public(method=False)
def stack(tensors: Any, dim: int = 0, *, axis: int | None = None) -> Any:
    """The tensors, all of one size, one after the other along a new axis ``dim``. Source: torch.stack."""
    listed = tensor_list("stack", tensors)
    if not listed:
        raise ShapeError("stack expects a non-empty TensorList")
    d = dim_of(dim if axis is None else axis, listed[0].ndim + 1)
    for i, tensor in enumerate(listed):
        if tensor.shape != listed[0].shape:
            raise ShapeError(
                f"stack expects each tensor to be equal size, but got {list(listed[0].shape)} at entry 0 and "
                f"{list(tensor.shape)} at entry {i}"
            )
    return TABLE.stack(*listed, dim=d)


@public(method=False)
def hstack(tensors: Any) -> Any:
    """The tensors side by side: along axis 1, or axis 0 of 1-d ones. Source: torch.hstack."""
    rows = [atleast_1d(tensor) for tensor in tensor_list("hstack", tensors)]
    return cat(rows, 0 if rows and rows[0].ndim == 1 else 1)


@public(method=False)
def vstack(tensors: Any) -> Any:
    """The tensors, with two axes at least, below each other. Source: torch.vstack."""
    return cat([atleast_2d(tensor) for tensor in tensor_list("vstack", tensors)], 0)


public(vstack, name="row_stack", method=False)


@public(method=False)
def dstack(tensors: Any) -> Any:
    """The tensors, with three axes at least, behind each other. Source: torch.dstack."""
    return cat([atleast_3d(tensor) for tensor in tensor_list("dstack", tensors)], 2)


@public(method=False)
def column_stack(tensors: Any) -> Any:
    """The tensors as columns side by side: 1-d ones are one column each. Source: torch.column_stack."""
    listed = tensor_list("column_stack", tensors)
    return cat([reshape(x, (prod_of(x), 1)) if x.ndim <= 1 else x for x in listed], 1)


def prod_of(x: Any) -> int:
    """The number of elements of a tensor of at most one axis."""
    return x.shape[0] if x.ndim else 1


@public(function_too=False, name="split")
def split_method(self: Any, split_size: Any, dim: int = 0) -> tuple[Any, ...]:
    """Views of the parts along ``dim``: of ``split_size`` each (the last may have less), or of these sizes.

    A view of several cannot be written to where gradients are recorded. Source: torch.Tensor.split.
    """
    if not self.ndim:
        raise ShapeError("split expects at least a 1-dimensional tensor")
    d = dim_of(dim, self.ndim)
    n = self.shape[d]
    if isinstance(split_size, Iterable):
        sizes = tuple(split_size)
        if min(sizes, default=0) < 0:
            raise ShapeError(
                "split_with_sizes expects split_sizes have only non-negative entries, but got "
                f"split_sizes={list(sizes)}"
            )
        if sum(sizes) != n:
            raise ShapeError(
                f"split_with_sizes expects split_sizes to sum exactly to {n} (input tensor's size at "
                f"dimension {d}), but got split_sizes={list(sizes)}"
            )
        return TABLE.split_with_sizes(self, sizes=sizes, dim=d)  # type: ignore[no-any-return]
    if split_size < 0:
        raise ShapeError(f"split expects split_size be non-negative, but got split_size={split_size}")
    if split_size == 0 and n:
        raise ShapeError(f"split_size can only be 0 if dimension size is 0, but got dimension size of {n}")
    starts = range(0, n, split_size) if n else (0,)
    return TABLE.split(self, sizes=tuple(min(split_size, n - i) for i in starts), dim=d)  # type: ignore[no-any-return]


@public(method=False)
def split(tensor: Any, split_size_or_sections: Any, dim: int = 0) -> tuple[Any, ...]:
    """``tensor.split(split_size_or_sections, dim)``. Source: torch.split."""
    return split_method(tensor, split_size_or_sections, dim)


@public
def split_with_sizes(input: Any, split_sizes: Iterable[int], dim: int = 0) -> tuple[Any, ...]:
    """Views of the parts of the given sizes along ``dim``."""
    return split_method(input, tuple(split_sizes), dim)


@public
def chunk(input: Any, chunks: int, dim: int = 0) -> tuple[Any, ...]:
    """Views of at most ``chunks`` parts along ``dim``, of one size but for the last. Source: torch.chunk."""
    if not input.ndim:
        raise ShapeError("chunk expects at least a 1-dimensional tensor")
    if chunks <= 0:
        raise ShapeError(f"chunk expects `chunks` to be greater than 0, got: {chunks}")
    n = input.shape[dim_of(dim, input.ndim)]
    return split_method(input, -(-n // chunks) if n else (0,) * chunks, dim)


@public
@numpy_names
def unbind(input: Any, dim: int = 0) -> tuple[Any, ...]:
    """Views of the parts along ``dim``, without this axis. Source: torch.unbind."""
    if not input.ndim:
        raise IndexError("Dimension specified as 0 but tensor has no dimensions")
    d = dim_of(dim, input.ndim)
    return TABLE.unbind(input, dim=d) if input.shape[d] else ()


@public
def tensor_split(input: Any, indices_or_sections: Any, dim: int = 0) -> tuple[Any, ...]:
    """Views of the parts along ``dim``: so many of nearly one size, or those between the given indices.

    Source: torch.tensor_split.
    """
    if not input.ndim:
        raise ShapeError("tensor_split expected at least a 1-dimensional tensor, but got a tensor with 0 dims")
    d = dim_of(dim, input.ndim)
    n = input.shape[d]
    if isinstance(indices_or_sections, Iterable):
        bounds = [slice(i, None).indices(n)[0] for i in indices_or_sections]
    elif indices_or_sections > 0:
        bounds = [
            i * (n // indices_or_sections) + min(i, n % indices_or_sections) for i in range(1, indices_or_sections)
        ]
    else:
        raise ShapeError(f"number of sections must be larger than 0, got {indices_or_sections}")
    return tuple(
        narrow(input, d, start, max(0, end - start)) for start, end in zip([0, *bounds], [*bounds, n], strict=True)
    )


def _split_along(name: str, input: Any, indices_or_sections: Any, dim: int, ndim: int) -> tuple[Any, ...]:
    """``tensor_split`` into equal parts along ``dim``, of a tensor with ``ndim`` axes at least."""
    if input.ndim < ndim:
        raise ShapeError(
            f"torch.{name} requires a tensor with at least {ndim} dimension, but got a tensor with "
            f"{input.ndim} dimensions!"
        )
    if isinstance(indices_or_sections, int) and input.shape[dim] % (indices_or_sections or 1):
        raise ShapeError(
            f"torch.{name} attempted to split along dimension {dim}, but the size of the dimension "
            f"{input.shape[dim]} is not divisible by the split_size {indices_or_sections}!"
        )
    return tensor_split(input, indices_or_sections, dim)


@public
def hsplit(input: Any, indices_or_sections: Any) -> tuple[Any, ...]:
    """Equal parts side by side: along axis 1, or axis 0 of a 1-d tensor. Source: torch.hsplit."""
    return _split_along("hsplit", input, indices_or_sections, 1 if input.ndim > 1 else 0, 1)


@public
def vsplit(input: Any, indices_or_sections: Any) -> tuple[Any, ...]:
    """Equal parts below each other: along axis 0 of at least two. Source: torch.vsplit."""
    return _split_along("vsplit", input, indices_or_sections, 0, 2)


@public
def dsplit(input: Any, indices_or_sections: Any) -> tuple[Any, ...]:
    """Equal parts behind each other: along axis 2. Source: torch.dsplit."""
    return _split_along("dsplit", input, indices_or_sections, 2, 3)
