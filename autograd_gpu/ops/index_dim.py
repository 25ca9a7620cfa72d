"""The parts of a tensor along one axis that a vector of integers names: picked, added to, replaced, filled."""

from typing import Any

from ..backends import of
from ..dtypes import int32, int64
from ..errors import DtypeError, ShapeError
from ..op import TABLE, ArrayOp, public
from ..shapes import dim_of
from .arguments import is_tensor
from .gather import OUT_OF_BOUNDS, check_bounds
from .linalg import check_tensors, scaled
from .mask import value_for
from .precision import in_float32


def _index_select(x: Any, index: Any, dim: int) -> Any:
    check_bounds(x, index, dim, "INDICES element is out of DATA bounds, id={index} axis_dim={size}")
    return of(x).indexing.take(x, (index,), (dim,))


@in_float32
def _index_add(x: Any, source: Any, index: Any, dim: int, alpha: Any) -> Any:
    check_bounds(x, index, dim, OUT_OF_BOUNDS)
    z = x.copy(order="C")
    of(x).indexing.add_at(z, (index,), (dim,), scaled(source, alpha))
    return z


def _index_put(x: Any, values: Any, index: Any, dim: int) -> Any:
    z = x.copy(order="C")
    of(x).indexing.put(z, (index,), (dim,), values)
    return z


def _index_fill(x: Any, value: Any, index: Any, dim: int) -> Any:
    check_bounds(x, index, dim, OUT_OF_BOUNDS, from_end=True)
    return _index_put(x, value, index, dim)


def _index_copy(x: Any, source: Any, index: Any, dim: int) -> Any:
    check_bounds(x, index, dim, f"index_copy_(): {OUT_OF_BOUNDS}")
    return _index_put(x, source, index, dim)


def _picked(g: Any, index: Any, dim: int) -> Any:
    return TABLE.index_select(g, index, dim=dim)


def _filled_vjp(g: Any, index: Any, dim: int) -> Any:
    """The sum of ``g`` where a value was filled in, once for each element however often it was named."""
    filled = TABLE.index_fill(TABLE.zeros_like(g), 1, index, dim=dim) != 0
    return TABLE.sum_all(TABLE.where(filled, g, 0))


def _zeroed(g: Any, index: Any, dim: int) -> Any:
    return TABLE.index_fill(g, 0, index, dim=dim)


# fmt: off
ArrayOp("index_select", "input, index", _index_select,
        {"input": lambda g, index, shape, dim: TABLE.accumulate(g, index, dims=(dim,), merged=None, size=shape)},
        "the parts along dim that index names")
ArrayOp("index_add", "input, source, index", _index_add,
        {"input": lambda g: g, "source": lambda g, index, dim, alpha: scaled(_picked(g, index, dim), alpha.conjugate())},
        "input with alpha · source added to the parts along dim that index names")
ArrayOp("index_copy", "input, source, index", _index_copy, {"input": _zeroed, "source": _picked},
        "input with source in place of the parts along dim that index names")
for _name, _node in (("index_fill", "IndexFillBackward0"), ("index_fill_with", "IndexFillBackward1")):
    ArrayOp(_name, "input, value, index", _index_fill, {"input": _zeroed, "value": _filled_vjp},
            "input with value in the parts along dim that index names", node=_node)
# fmt: on


def _vector(index: Any, error: Exception) -> Any:
    """``index`` as a vector; ``error`` if it has more axes."""
    if index.ndim > 1:
        raise error
    return index if index.ndim else TABLE.reshape(index, size=(1,))


def _along(name: str, input: Any, *operands: Any, dim: int, **params: Any) -> Any:
    """The operation ``name``, for which a 0-d tensor has one axis of one element."""
    if input.ndim:
        return TABLE[name](input, *operands, dim=dim, **params)
    lines = (x if not is_tensor(x) or x.ndim else TABLE.reshape(x, size=(1,)) for x in (input, *operands))
    return TABLE.reshape(TABLE[name](*lines, dim=dim, **params), size=())


@public
def index_select(input: Any, dim: int, index: Any) -> Any:
    """The parts of ``input`` along ``dim`` that the vector ``index`` names, in its order: a copy.

    Gradient: ``g`` added up where ``index`` says. Source: torch.index_select.
    """
    check_tensors("index_select", input=input, dim=index, index=index)
    d = dim_of(dim, input.ndim)
    if index.dtype not in (int32, int64):
        raise DtypeError("index_select(): Expected dtype int32 or int64 for index")
    index = _vector(index, IndexError("index_select(): Index is supposed to be a vector"))
    return _along("index_select", input, index, dim=d)


def _slice_shape(x: Any, d: int) -> tuple[int, ...]:
    """The shape of ``x`` without the axis ``d``."""
    return tuple(n for axis, n in enumerate(x.shape) if axis != d)


@public(in_place=True)
def index_add(input: Any, dim: int, index: Any, source: Any, *, alpha: Any = 1) -> Any:
    """``input`` with ``alpha * source`` added to the parts along ``dim`` that ``index`` names.

    Gradient: ``g`` and ``alpha * g.index_select(dim, index)``. Source: torch.index_add.
    """
    check_tensors("index_add", input=input, dim=index, index=index, source=source)
    d = dim_of(dim, input.ndim)
    if index.dtype not in (int32, int64):
        raise DtypeError(f"index_add_(): Expected dtype int32/int64 for index but got: {index.dtype.scalar_name}")
    if source.dtype is not input.dtype:
        raise DtypeError(
            f"index_add_(): self ({input.dtype.scalar_name}) and source ({source.dtype.scalar_name}) must have the "
            "same scalar type"
        )
    wrong = IndexError(
        f"index_add_(): Index is supposed to be a vector, but got dim: {index.ndim} with type: "
        f"{index.dtype.scalar_name} and size: {list(index.shape)}"
    )
    index = _vector(index, wrong)
    if d >= max(source.ndim, 1):
        raise ShapeError(f"index_add_(): Indexing dim {d} is out of bounds of the source tensor with dim {source.ndim}")
    count = source.shape[d] if source.ndim else 1
    if index.shape[0] != count:
        raise ShapeError(
            f"index_add_(): Number of indices ({index.shape[0]}) should be equal to source.size(dim): ({count}), "
            f"for dim: {d}"
        )
    if _slice_shape(input, d) != _slice_shape(source, d):
        raise ShapeError(
            "source tensor shape must match self tensor shape, excluding the specified dimension. Got self.shape = "
            f"{list(input.shape)} source.shape = {list(source.shape)}"
        )
    return _along("index_add", input, source, index, dim=d, alpha=alpha)


@public(in_place=True)
def index_copy(input: Any, dim: int, index: Any, source: Any) -> Any:
    """``input`` with ``source`` in place of the parts along ``dim`` that ``index`` names. Source: torch.index_copy."""
    check_tensors("index_copy", input=input, dim=index, index=index, source=source)
    d = dim_of(dim, input.ndim)
    if index.dtype is not int64:
        raise DtypeError(f"index_copy_(): Expected a long tensor for index, but got {index.dtype.scalar_name}")
    if source.dtype is not input.dtype:
        raise DtypeError(
            "index_copy_(): self and source expected to have the same dtype, but got (self) "
            f"{input.dtype.scalar_name} and (source) {source.dtype.scalar_name}"
        )
    index = _vector(index, IndexError(f"index_copy_(): Index should have dimension 1 or 0 (got {index.ndim})"))
    if input.ndim and source.ndim and _slice_shape(input, d) != _slice_shape(source, d):
        raise ShapeError(
            "index_copy_(): Source/destination tensor must have same slice shapes. Destination slice shape: "
            f"{' '.join(map(str, _slice_shape(input, d)))} at dimension {d} and source slice shape: "
            f"{' '.join(map(str, _slice_shape(source, d)))} at dimension 0."
        )
    count = source.shape[d] if source.ndim else 1
    if index.shape[0] != count:
        raise IndexError(
            f"index_copy_(): Number of indices ({index.shape[0]}) should be equal to source.size(dim) ({count})"
        )
    return _along("index_copy", input, source, index, dim=d)


@public(in_place=True)
def index_fill(input: Any, dim: int, index: Any, value: Any) -> Any:
    """``input`` with ``value`` (a number or 0-d tensor) in the parts along ``dim`` that ``index`` names.

    Source: torch.index_fill.
    """
    check_tensors("index_fill", input=input, dim=index, index=index)
    d = dim_of(dim, input.ndim)
    if index.dtype is not int64:
        raise IndexError("index_fill_(): Expected dtype int64 for index.")
    index = _vector(index, ShapeError("Index has to be a vector/scalar"))
    name = "index_fill_with" if is_tensor(value) else "index_fill"
    return _along(name, input, value_for(value, input, "index_fill_"), index, dim=d)
