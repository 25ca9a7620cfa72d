"""Elements picked by integers, slices and index arrays, and put back.

Integers, slices and None make a view; its gradient lies in zeros. Index arrays make a copy; its gradient is
added up where they name an element more than once. ``dims`` are the axes that index arrays stand on, ``merged``
is the shape that the array is seen in (a mask stands for one index into the axes that it covers).
"""

import warnings
from collections.abc import Sequence
from math import prod
from typing import Any

from ..backends import of
from ..dtypes import bool_, int32, int64, uint8
from ..errors import DtypeError, ShapeError
from ..op import TABLE, ArrayOp, public
from ..shapes import broadcast, dim_of
from .arguments import is_tensor
from .linalg import check_tensors, summed_to
from .precision import in_float32
from .shape import Shape

Dims = tuple[int, ...]


def _seen_as(x: Any, merged: Shape | None) -> Any:
    return x if merged is None else x.reshape(merged)


def _placed(value: Any, key: tuple[Any, ...], size: Shape) -> Any:
    z = of(value).xp.zeros(size, value.dtype)
    z[key] = value
    return z


def _pick(x: Any, *indices: Any, dims: Dims, merged: Shape | None) -> Any:
    return of(x).indexing.take(_seen_as(x, merged), indices, dims)


@in_float32
def _accumulate(values: Any, *indices: Any, dims: Dims, merged: Shape | None, size: Shape) -> Any:
    z = of(values).xp.zeros(merged or size, values.dtype)
    of(values).indexing.add_at(z, indices, dims, values)
    return z.reshape(size)


@in_float32
def _added(x: Any, values: Any, *indices: Any, dims: Dims, merged: Shape | None) -> Any:
    z = x.copy(order="C")
    of(x).indexing.add_at(_seen_as(z, merged), indices, dims, values)
    return z


def _put(x: Any, values: Any, *indices: Any, dims: Dims, merged: Shape | None, accumulate: bool) -> Any:
    if accumulate:
        return _added(x, values, *indices, dims=dims, merged=merged)
    z = x.copy(order="C")
    of(x).indexing.put(_seen_as(z, merged), indices, dims, values)
    return z


def _put_input_vjp(g: Any, indices: Any, dims: Dims, merged: Shape | None, accumulate: bool) -> Any:
    return g if accumulate else TABLE.index_put(g, 0, *indices, dims=dims, merged=merged, accumulate=False)


def _put_values_vjp(g: Any, indices: Any, shape: Shape, dims: Dims, merged: Shape | None) -> Any:
    return summed_to(TABLE.index(g, *indices, dims=dims, merged=merged), shape)


# fmt: off
# A view by several integers, slices and Nones at once is one step; it bears the name of torch's last one.
SELECT, SLICE, UNSQUEEZE, ALIAS = (
    ArrayOp(f"{name}_at", "input", lambda x, key: x[key], lambda g, shape, key: TABLE.placed(g, key=key, size=shape),
            "the part that integers, slices and Nones name", view=True, node=f"{name.capitalize()}Backward0")
    for name in ("select", "slice", "unsqueeze", "alias")
)
ArrayOp("placed", "value", _placed, lambda g, key: SELECT(g, key=key), "zeros with value in a part")

for _name in ("index", "masked_select", "take"):
    ArrayOp(_name, "input, *indices", _pick,
            lambda g, indices, shape, dims, merged: TABLE.accumulate(g, *indices, dims=dims, merged=merged, size=shape),
            "the elements that index arrays name")
ArrayOp("places", "mask", lambda x: of(x).xp.nonzero(x), None, "for each axis, where the elements are that are not 0")
ArrayOp("accumulate", "values, *indices", _accumulate,
        lambda g, indices, dims, merged: TABLE.index(g, *indices, dims=dims, merged=merged),
        "zeros with values added where index arrays say")
for _name in ("index_put", "masked_scatter", "put"):
    ArrayOp(_name, "input, values, *indices", _put, {"input": _put_input_vjp, "values": _put_values_vjp},
            "input with values put (or added) where index arrays say")
# fmt: on


def check_indices(indices: Sequence[Any]) -> None:
    """IndexError unless ``indices`` are of a dtype that can index."""
    for index in indices:
        if index.dtype not in (int64, int32, bool_, uint8):
            raise IndexError("tensors used as indices must be long, int, byte or bool tensors")


def _as_mask(index: Any) -> Any:
    """A mask of bytes as one of bools; anything else as it is."""
    if index.dtype is not uint8:
        return index
    warnings.warn(
        "indexing with dtype torch.uint8 is now deprecated, please use a dtype torch.bool instead.",
        UserWarning,
        stacklevel=5,
    )
    return index != 0


def check_mask(mask: Any, shape: Shape, dim: int) -> None:
    """IndexError unless ``mask`` covers axes of ``shape`` from ``dim`` on."""
    for d, n in enumerate(mask.shape):
        if shape[dim + d] != n:
            raise IndexError(
                f"The shape of the mask {list(mask.shape)} at index {d} does not match the shape of the indexed "
                f"tensor {list(shape)} at index {dim + d}"
            )


def placed_indices(input: Any, entries: Sequence[tuple[int, Any]]) -> tuple[list[Any], dict[str, Any]]:
    """Integer indices and the parameters ``dims`` and ``merged``, given index tensors and the axis of each.

    A mask becomes the places where it is True, which takes a look at the device; a mask of several axes that
    stands alone becomes one index into all of them.
    """
    shape = tuple(input.shape)
    check_indices([index for _, index in entries])
    indices: list[Any] = []
    dims: list[int] = []
    merged = None
    for dim, given in entries:
        index = on_device_of(input, _as_mask(given))
        if index.dtype is not bool_:
            indices.append(index)
            dims.append(dim)
            continue
        check_mask(index, shape, dim)
        if len(entries) == 1 and index.ndim != 1:
            merged = (*shape[:dim], prod(index.shape), *shape[dim + index.ndim :])
            indices.append(TABLE.places(TABLE.reshape(index, size=(prod(index.shape),)))[0])
            dims.append(dim)
        else:
            indices.extend(TABLE.places(index))
            dims.extend(range(dim, dim + index.ndim))
    _check_broadcast(indices)
    return indices, {"dims": tuple(dims), "merged": merged}


def on_device_of(input: Any, index: Any) -> Any:
    """``index`` on the device of ``input``, if it comes from the CPU."""
    if index.device is input.device:
        return index
    if index.device.type != "cpu":
        raise ShapeError(
            f"indices should be either on cpu or on the same device as the indexed tensor ({input.device.type})"
        )
    return TABLE.to(index, type_=input._type.with_dtype(index.dtype))


def _check_broadcast(indices: Sequence[Any]) -> None:
    shape: Shape = ()
    for index in indices:
        try:
            shape = broadcast(shape, tuple(index.shape))
        except ShapeError:
            raise IndexError(
                "shape mismatch: indexing tensors could not be broadcast together with shapes "
                f"{', '.join(str(list(i.shape)) for i in indices)}"
            ) from None


def picked_shape(shape: Shape, indices: Sequence[Any], dims: Dims, merged: Shape | None) -> Shape:
    """The shape of what ``indices`` on the axes ``dims`` pick from an array of ``shape``."""
    shape = merged or shape
    names: Shape = ()
    for index in indices:
        names = broadcast(names, tuple(index.shape))
    others = tuple(n for d, n in enumerate(shape) if d not in dims)
    before = dims[0] if dims[-1] - dims[0] == len(dims) - 1 else 0
    return (*others[:before], *names, *others[before:])


def values_for(input: Any, values: Any, indices: Sequence[Any], params: dict[str, Any]) -> Any:
    """``values`` (a tensor), checked to have the dtype of ``input`` and a shape that fits what indices pick."""
    if values.dtype is not input.dtype:
        raise DtypeError(
            "Index put requires the source and destination dtypes match, got "
            f"{input.dtype.scalar_name} for the destination and {values.dtype.scalar_name} for the source."
        )
    wanted = picked_shape(tuple(input.shape), indices, **params)
    extra = values.ndim - len(wanted)
    if extra > 0 and set(values.shape[:extra]) == {1}:
        values = TABLE.view(values, size=tuple(values.shape[extra:]))
    try:
        fits = broadcast(tuple(values.shape), wanted) == wanted
    except ShapeError:
        fits = False
    if not fits:
        raise ShapeError(
            f"shape mismatch: value tensor of shape {list(values.shape)} cannot be broadcast to indexing result of "
            f"shape {list(wanted)}"
        )
    return values


@public(in_place=True)
def index_put(input: Any, indices: Sequence[Any], values: Any, accumulate: bool = False) -> Any:
    """``input`` with ``input[indices] = values``, or ``+=`` if ``accumulate``: each name of an element counts.

    Without ``accumulate`` an element that is named twice gets either value. Gradient: ``g``, with 0 at what was
    replaced, and ``g[indices]``. Source: torch.index_put.
    """
    check_tensors("index_put", input=input)
    if not isinstance(indices, list | tuple):
        raise TypeError(
            f"index_put(): argument 'indices' (position 2) must be tuple of Tensors, not {type(indices).__name__}"
        )
    for i, index in enumerate(indices):
        if not is_tensor(index):
            raise TypeError(f"expected Tensor as element {i} in argument 1, but got {type(index).__name__}")
    if not is_tensor(values):
        raise TypeError(f"index_put(): argument 'values' (position 3) must be Tensor, not {type(values).__name__}")
    entries, dim = [], 0
    for index in indices:
        entries.append((dim, index))
        dim += index.ndim if index.dtype in (bool_, uint8) else 1
    if dim > input.ndim:
        raise IndexError(f"too many indices for tensor of dimension {input.ndim} (got {dim})")
    placed, params = placed_indices(input, entries)
    values = values_for(input, values, placed, params)
    return TABLE.index_put(input, values, *placed, **params, accumulate=accumulate)


def _flat(name: str, input: Any, index: Any) -> dict[str, Any]:
    """The parameters by which ``index`` counts all elements of ``input``, after a look at its dtype and values."""
    if index.dtype is not int64:
        raise DtypeError(f"{name}(): Expected a long tensor for index, but got {index.dtype.scalar_name}")
    return {"dims": (0,), "merged": (prod(input.shape),)}


@public
def take(input: Any, index: Any) -> Any:
    """The elements that ``index`` counts along all of ``input``, in the shape of ``index``. Source: torch.take.

    >>> import autograd_gpu as torch
    >>> torch.take(torch.tensor([[1, 2], [3, 4]]), torch.tensor([0, 3]))
    tensor([1, 4])
    """
    check_tensors("take", input=input, index=index)
    params = _flat("take", input, index)
    try:
        return TABLE.take(input, index, **params)
    except IndexError as error:
        wrong = next((word for word in str(error).split() if word.lstrip("-").isdigit()), "0")
        raise IndexError(
            f"out of range: tried to access index {wrong} on a tensor of {prod(input.shape)} elements."
        ) from None


@public(in_place=True)
def put(input: Any, index: Any, source: Any, accumulate: bool = False) -> Any:
    """``input`` with ``source`` put, or added, where ``index`` counts along all of it. Source: torch.put."""
    check_tensors("put", input=input, index=index, source=source)
    params = _flat("put_", input, index)
    if prod(source.shape) != prod(index.shape):
        raise ShapeError(
            "put_(): Expected source and index to have the same number of elements, but got "
            f"source.numel() = {prod(source.shape)}, index.numel() = {prod(index.shape)}"
        )
    source = TABLE.reshape(source, size=tuple(index.shape))
    return TABLE.put(input, values_for(input, source, [index], params), index, **params, accumulate=accumulate)


@public
def select(input: Any, dim: int, index: int) -> Any:
    """The part of ``input`` at one place along ``dim``, without this axis: a view. Source: torch.select."""
    check_tensors("select", input=input)
    if not input.ndim:
        raise IndexError("select() cannot be applied to a 0-dim tensor.")
    d = dim_of(dim, input.ndim)
    if not -input.shape[d] <= index < input.shape[d]:
        raise IndexError(
            f"select(): index {index} out of range for tensor of size {list(input.shape)} at dimension {d}"
        )
    return SELECT(input, key=(*(slice(None),) * d, int(index), ...))


@public
def narrow(input: Any, dim: int, start: Any, length: int) -> Any:
    """``length`` places along ``dim``, from ``start`` on: a view. Source: torch.narrow."""
    check_tensors("narrow", input=input)
    if not input.ndim:
        raise ShapeError("narrow() cannot be applied to a 0-dim tensor.")
    if length < 0:
        raise ShapeError("narrow(): length must be non-negative.")
    d, start = dim_of(dim, input.ndim), int(start)
    n = input.shape[d]
    if not -n <= start <= n:
        raise IndexError(f"start out of range (expected to be in range of [-{n}, {n}], but got {start})")
    start += n if start < 0 else 0
    if start + length > n:
        raise ShapeError(f"start ({start}) + length ({length}) exceeds dimension size ({n}).")
    return SLICE(input, key=(*(slice(None),) * d, slice(start, start + length), ...))
