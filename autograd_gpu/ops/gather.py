"""Elements picked and put along one axis: by an index for each element, or by one index for all lines.

Indices must lie within the axis. On the CPU that is checked; on a device, which would have to be waited for,
it is not, and an index beyond the end has an undefined effect.
"""

from math import prod
from typing import Any

import numpy as np

from ..backends import _numpy, of
from ..backends._numpy_index import first_outside
from ..dtypes import int32, int64
from ..errors import DtypeError, OutOfBounds, ShapeError
from ..op import TABLE, ArrayOp, public
from ..shapes import broadcast, dim_of
from .linalg import check_tensors
from .mask import value_for
from .precision import in_float32
from .shape import Shape


def check_bounds(x: Any, index: Any, dim: int, text: str, *, from_end: bool = False) -> None:
    """OutOfBounds, saying ``text``, for an index on the CPU that is not within the axis (or, negative, from its end)."""
    if of(x) is _numpy and x.ndim:
        size = x.shape[dim]
        if (wrong := first_outside(index, -size if from_end else 0, size)) is not None:
            raise OutOfBounds(text.format(index=wrong, dim=dim, size=size))


OUT_OF_BOUNDS = "index {index} is out of bounds for dimension {dim} with size {size}"


def _lines(*arrays: Any) -> tuple[Any, ...]:
    """0-d arrays as 1-d ones: they have one axis to pick along."""
    return tuple(x if np.ndim(x) else of(x).xp.asarray(x).reshape(1) for x in arrays)


def gather_of(x: Any, index: Any, dim: int) -> Any:
    """The elements of an array at an index along ``dim`` for each."""
    check_bounds(x, index, dim, OUT_OF_BOUNDS)
    line, places = _lines(x, index)
    return of(x).indexing.take_along(line, places, dim).reshape(index.shape)


@in_float32
def _gather_vjp(g: Any, index: Any, dim: int, size: Shape) -> Any:
    z = of(g).xp.zeros(size or (1,), g.dtype)
    of(g).indexing.add_along(z, *_lines(index), dim, *_lines(g))
    return z.reshape(size)


def _scatter(x: Any, src: Any, index: Any, dim: int) -> Any:
    check_bounds(x, index, dim, OUT_OF_BOUNDS)
    z = x.copy(order="C")
    of(x).indexing.put_along(*_lines(z, index), dim, src if np.isscalar(src) else src.reshape(_lines(index)[0].shape))
    return z


@in_float32
def _scatter_add(x: Any, src: Any, index: Any, dim: int) -> Any:
    check_bounds(x, index, dim, OUT_OF_BOUNDS)
    z = x.copy(order="C")
    of(x).indexing.add_along(*_lines(z, index), dim, *_lines(src))
    return z


def _as_long_as(x: Any, index: Any) -> Any:
    """The part of ``x`` that an index of another shape concerns."""
    if x.shape == index.shape:
        return x
    if x.ndim != index.ndim:  # 0-d and one element
        return TABLE.view(x, size=tuple(index.shape))
    return TABLE.slice_at(x, key=(*(slice(0, n) for n in index.shape), ...))


# fmt: off
# The elements that sort() and topk() choose are gathered, under the names that torch gives their nodes.
for _name, _node in (("gather", "GatherBackward0"), ("sort", "SortBackward0"), ("stable_sort", "SortBackward1"),
                     ("topk", "TopkBackward0")):
    ArrayOp(_name, "input, index", gather_of,
            {"input": lambda g, index, shape, dim: TABLE.gather_vjp(g, index, dim=dim, size=shape)},
            "the elements at an index along dim for each", node=_node)
ArrayOp("gather_vjp", "values, index", _gather_vjp, {"values": lambda g, index, dim: TABLE.gather(g, index, dim=dim)},
        "zeros with values added at an index along dim for each", node="ScatterAddBackward0")
for _name, _node in (("scatter", "ScatterBackward0"), ("scatter_value", "ScatterBackward1")):
    ArrayOp(_name, "input, src, index", _scatter,
            {"input": lambda g, index, dim: TABLE.scatter_value(g, 0, index, dim=dim),
             "src": lambda g, index, dim: TABLE.gather(g, index, dim=dim)},
            "input with src put at an index along dim for each", node=_node)
ArrayOp("scatter_add", "input, src, index", _scatter_add,
        {"input": lambda g: g, "src": lambda g, index, dim: TABLE.gather(g, index, dim=dim)},
        "input with src added at an index along dim for each")
# fmt: on


def check_index_dtype(name: str, index: Any) -> None:
    """DtypeError unless ``index`` holds integers of 32 or 64 bits."""
    if index.dtype not in (int32, int64):
        raise DtypeError(f"{name}(): Expected dtype int32/int64 for index")


def _smaller(shape: Shape, limit: Shape, but: int | None) -> bool:
    """Whether ``shape`` is nowhere larger than ``limit``, the axis ``but`` left out."""
    return all(n <= m for d, (n, m) in enumerate(zip(shape, limit, strict=True)) if d != but)


def _check_scatter(name: str, input: Any, dim: int, index: Any, src: Any) -> int:
    """Raise unless ``index`` and ``src`` (if it is a tensor) fit ``input``; ``dim`` counted from the front."""
    d = dim_of(dim, input.ndim)
    check_index_dtype(name, index)
    if src is not None and src.dtype is not input.dtype:
        raise DtypeError(f"{name}(): Expected self.dtype to be equal to src.dtype")
    if not prod(index.shape):
        return d
    shapes = [tuple(x.shape) or (1,) for x in (input, index) if x is not None]
    if len(shapes[0]) != len(shapes[1]):
        raise ShapeError("Index tensor must have the same number of dimensions as self tensor")
    source = shapes[1] if src is None else tuple(src.shape) or (1,)
    if len(source) != len(shapes[1]):
        raise ShapeError("Index tensor must have the same number of dimensions as src tensor")
    if not _smaller(shapes[1], shapes[0], d) or not _smaller(shapes[1], source, None):
        raise ShapeError(
            f"Expected index {list(index.shape)} to be no larger than self {list(input.shape)} apart from dimension "
            f"{d}" + ("" if src is None else f" and to be no larger size than src {list(src.shape)}")
        )
    return d


@public
def gather(input: Any, dim: int, index: Any, *, sparse_grad: bool = False) -> Any:  # noqa: ARG001
    """``y[i][j] = input[i][index[i][j]]`` for ``dim=1``: one element along ``dim`` for each of ``index``.

    ``index`` may be smaller than ``input`` along the other axes. Gradient: ``g`` added up at ``index``, dense
    also with ``sparse_grad``. Source: torch.gather.

    >>> import autograd_gpu as torch
    >>> torch.gather(torch.tensor([[1, 2], [3, 4]]), 1, torch.tensor([[0, 0], [1, 0]]))
    tensor([[1, 1],
            [4, 3]])
    """
    check_tensors("gather", input=input, dim=index, index=index)
    d = dim_of(dim, input.ndim)
    check_index_dtype("gather", index)
    if prod(index.shape):
        limit, wanted = tuple(input.shape) or (1,), tuple(index.shape) or (1,)
        if len(limit) != len(wanted):
            raise ShapeError("Index tensor must have the same number of dimensions as input tensor")
        for axis, (n, m) in enumerate(zip(wanted, limit, strict=True)):
            if axis != d and n > m:
                raise ShapeError(
                    f"Size does not match at dimension {axis} expected index {list(index.shape)} to be no larger than "
                    f"self {list(input.shape)} apart from dimension {d}"
                )
    return TABLE.gather(input, index, dim=d)


@public(in_place=True)
def scatter(input: Any, dim: int, index: Any, src: Any = None, *, value: Any = None) -> Any:
    """``input`` with ``y[i][index[i][j]] = src[i][j]`` for ``dim=1``; ``src`` may be a number (or ``value``).

    Where an index comes twice, either value is put. Gradient: ``g``, with 0 at what was replaced, and
    ``g.gather(dim, index)``. Source: torch.scatter.
    """
    check_tensors("scatter", input=input, dim=index, index=index)
    source = value if src is None else src
    if source is None:
        raise TypeError("scatter() takes a src (a tensor) or a value (a number), but got neither")
    if not hasattr(source, "ndim"):
        d = _check_scatter("scatter", input, dim, index, None)
        return TABLE.scatter_value(input, value_for(source, input, "scatter"), index, dim=d)
    d = _check_scatter("scatter", input, dim, index, source)
    return TABLE.scatter(input, _as_long_as(source, index), index, dim=d) if prod(index.shape) else TABLE.clone(input)


@public(in_place=True)
def scatter_add(input: Any, dim: int, index: Any, src: Any) -> Any:
    """``input`` with ``y[i][index[i][j]] += src[i][j]`` for ``dim=1``, each index counting as often as it comes.

    Gradient: ``g`` and ``g.gather(dim, index)``. Source: torch.scatter_add.
    """
    check_tensors("scatter_add", input=input, dim=index, index=index, src=src)
    d = _check_scatter("scatter_add", input, dim, index, src)
    return TABLE.scatter_add(input, _as_long_as(src, index), index, dim=d) if prod(index.shape) else TABLE.clone(input)


@public
def take_along_dim(input: Any, indices: Any, dim: int | None = None) -> Any:
    """``gather`` with ``input`` and ``indices`` broadcast along the other axes; of all elements if ``dim`` is None.

    Source: torch.take_along_dim.
    """
    check_tensors("take_along_dim", input=input, indices=indices)
    if indices.dtype is not int64:
        name = indices.dtype.scalar_name
        raise DtypeError(f"torch.take_along_dim(): dtype of indices should be Long but got {name}")
    if dim is None:
        flat = [TABLE.reshape(x, size=(prod(x.shape),)) for x in (input, indices)]
        return gather(flat[0], 0, flat[1])
    if input.ndim != indices.ndim:
        raise ShapeError(
            "torch.take_along_dim(): input and indices should have the same number of dimensions, but got "
            f"{input.ndim} dimensions for input, and {indices.ndim} dimensions for indices"
        )
    d = dim_of(dim, input.ndim)
    sizes = broadcast(_but(input, d), _but(indices, d))
    x, index = (TABLE.expand(x, size=(*sizes[:d], x.shape[d], *sizes[d + 1 :])) for x in (input, indices))
    return gather(x, d, index)


def _but(x: Any, d: int) -> Shape:
    """The shape of ``x`` with 1 for the axis ``d``."""
    return tuple(1 if axis == d else n for axis, n in enumerate(x.shape))
