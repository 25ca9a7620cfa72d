"""Elements picked and filled by masks, and where elements are that are not zero."""

from math import prod
from typing import Any

import numpy as np

from ..backends import of
from ..dtypes import bool_, uint8
from ..errors import DtypeError, ShapeError
from ..op import TABLE, ArrayOp, Op, public
from ..shapes import broadcast
from .arguments import is_tensor
from .index import placed_indices
from .linalg import C_NAMES, check_tensors
from .number import as_element

# fmt: off
for _name, _node, _by_number in (("masked_fill", "MaskedFillBackward1", "MaskedFillBackward0"),
                                 ("masked_put", "IndexPutBackward0", None)):  # x[mask] = value
    Op(_name, "input, mask, value", "{1} ? {2} : {0}",
       lambda x, mask, value, y: (TABLE.where(mask, 0, 1), None, TABLE.where(mask, 1, 0)),
       "value where mask, else input", numpy=lambda x, mask, value: np.where(mask, value, x), conditions=(1,), public=False,
       node=_node, nodes={(2,): _by_number} if _by_number else {})
ArrayOp("nonzero", "input", lambda x: of(x).xp.argwhere(x), None, "the places of the elements that are not 0, one a row")
# fmt: on


def value_for(value: Any, input: Any, name: str) -> Any:
    """``value``, a number or a 0-d tensor, in the dtype of ``input``."""
    if not is_tensor(value):
        return as_element(value, input.dtype)
    if value.ndim:
        raise ShapeError(
            f"{name} only supports a 0-dimensional value tensor, but got tensor with {value.ndim} dimension(s)."
        )
    return value if value.dtype is input.dtype else TABLE.to(value, type_=value._type.with_dtype(input.dtype))


@public(in_place=True)
def masked_fill(input: Any, mask: Any, value: Any) -> Any:
    """``value`` (a number or 0-d tensor) where ``mask`` is True, else ``input``; the two broadcast.

    The dtype is that of ``input``. Gradient: ``g`` where it came from, summed for ``value``.
    Source: torch.masked_fill.

    >>> import autograd_gpu as torch
    >>> torch.tensor([1., 2.]).masked_fill(torch.tensor([True, False]), 0)
    tensor([0., 2.])
    """
    check_tensors("masked_fill", input=input, mask=mask)
    if mask.dtype is not bool_:
        raise DtypeError(
            f"masked_fill_ only supports boolean masks, but got mask with dtype {C_NAMES[mask.dtype.name]}"
        )
    broadcast(tuple(mask.shape), tuple(input.shape))
    return TABLE.masked_fill(input, mask, value_for(value, input, "masked_fill_"))


def _expanded(input: Any, mask: Any) -> tuple[Any, Any]:
    """``input`` and ``mask`` in the shape that they broadcast to."""
    size = broadcast(tuple(input.shape), tuple(mask.shape))
    return tuple(x if x.shape == size else TABLE.expand(x, size=size) for x in (input, mask))


def _flat_places(input: Any, mask: Any) -> tuple[Any, dict[str, Any]]:
    """Where ``mask``, of the shape of ``input``, is True, counted along all elements."""
    if not input.ndim:
        flat = TABLE.reshape(mask, size=(1,))
        return TABLE.places(flat)[0], {"dims": (0,), "merged": (1,)}
    (index,), params = placed_indices(input, [(0, mask)])
    return index, params


@public
def masked_select(input: Any, mask: Any) -> Any:
    """The elements where ``mask`` is True, along one axis; the two broadcast. Source: torch.masked_select."""
    check_tensors("masked_select", input=input, mask=mask)
    if mask.dtype not in (bool_, uint8):
        raise DtypeError("masked_select: expected BoolTensor for mask")
    input, mask = _expanded(input, mask)
    index, params = _flat_places(input, mask)
    return TABLE.masked_select(input, index, **params)


@public(in_place=True)
def masked_scatter(input: Any, mask: Any, source: Any) -> Any:
    """``input`` with the elements where ``mask`` is True replaced by those of ``source``, in order.

    Source: torch.masked_scatter.
    """
    check_tensors("masked_scatter", input=input, mask=mask, source=source)
    if mask.dtype is not bool_:
        raise DtypeError(f"masked_scatter_ only supports boolean masks, but got mask with dtype {mask.dtype.typename}")
    if source.dtype is not input.dtype:
        raise DtypeError(
            "masked_scatter: expected self and source to have same dtypes but got"
            f"{input.dtype.scalar_name} and {source.dtype.scalar_name}"
        )
    input, mask = _expanded(input, mask)
    index, params = _flat_places(input, mask)
    count = index.shape[0]
    if prod(source.shape) < count:
        raise ShapeError("Number of elements of source < number of ones in mask")
    values = TABLE.reshape(source, size=(prod(source.shape),))
    values = TABLE.slice_at(values, key=(slice(0, count), ...))
    return TABLE.masked_scatter(input, values, index, **params, accumulate=False)


@public
def nonzero(input: Any, *, as_tuple: bool = False) -> Any:
    """The places of the elements that are not 0: one a row, or a tuple of one index tensor for each axis.

    On a device this waits for its result, whose size is not known before. Source: torch.nonzero.

    >>> import autograd_gpu as torch
    >>> torch.nonzero(torch.tensor([[1, 0], [0, 2]]))
    tensor([[0, 0],
            [1, 1]])
    """
    check_tensors("nonzero", input=input)
    if not as_tuple:
        return TABLE.nonzero(input)
    return TABLE.places(input if input.ndim else TABLE.reshape(input, size=(1,)))


@public
def argwhere(input: Any) -> Any:
    """``nonzero(input)``."""
    check_tensors("argwhere", input=input)
    return TABLE.nonzero(input)
