"""Rows of a table looked up by numbers, and numbers as rows of zeros and a one."""

from typing import Any

from ..backends import of
from ..dtypes import int32, int64
from ..errors import DtypeError, ShapeError, Unsupported
from ..op import TABLE, ArrayOp, functional
from .gather import check_bounds
from .linalg import check_tensors, column
from .shape import Shape


def _embedding(weight: Any, indices: Any, padding_idx: int | None, by_frequency: bool) -> Any:  # noqa: ARG001
    check_bounds(weight, indices, 0, "index out of range in self")
    return of(weight).indexing.take(weight, (indices,), (0,))


def _embedding_vjp(g: Any, indices: Any, shape: Shape, padding_idx: int | None, by_frequency: bool) -> Any:
    if padding_idx is not None:
        g = TABLE.masked_fill(g, column(indices == padding_idx), 0)
    if by_frequency:
        g = TABLE.by_frequency(g, indices, rows=shape[0])
    return TABLE.accumulate(g, indices, dims=(0,), merged=None, size=shape)


def _by_frequency(g: Any, indices: Any, rows: int) -> Any:
    xp, indexing = of(g).xp, of(g).indexing
    counts = xp.zeros(rows, xp.int64)
    indexing.add_at(counts, (indices,), (0,), xp.ones(indices.shape, xp.int64))
    return (g / column(indexing.take(counts, (indices,), (0,)))).astype(g.dtype)


def _one_hot(index: Any, classes: int) -> Any:
    return (column(index) == of(index).xp.arange(classes)).astype(index.dtype)


# fmt: off
ArrayOp("embedding", "weight, indices", _embedding, {"weight": _embedding_vjp}, "the rows of weight that indices name")
ArrayOp("by_frequency", "values, indices", _by_frequency,
        {"values": lambda g, indices, rows: TABLE.by_frequency(g, indices, rows=rows)},
        "rows divided by how often the index of each comes")
ArrayOp("one_hot", "index", _one_hot, None, "a 1 in place index among zeros")
# fmt: on


@functional
def embedding(
    input: Any,
    weight: Any,
    padding_idx: int | None = None,
    max_norm: float | None = None,
    norm_type: float = 2.0,  # noqa: ARG001
    scale_grad_by_freq: bool = False,
    sparse: bool = False,
) -> Any:
    """The rows of ``weight`` that the integers ``input`` name.

    Shapes: input (*), weight (n, m) -> (*, m). Gradient: the rows of ``g`` added up; none for the row
    ``padding_idx``; with ``scale_grad_by_freq`` divided by how often the row comes.
    ``max_norm`` and ``sparse`` are not supported. Source: torch.nn.functional.embedding.
    """
    check_tensors("embedding", input=input, weight=weight)
    if max_norm is not None or sparse:
        raise Unsupported("embedding() here has no max_norm= and no sparse= gradients; leave them out")
    if input.dtype not in (int64, int32):
        raise DtypeError(
            "Expected tensor for argument #1 'indices' to have one of the following scalar types: Long, Int; but got "
            f"torch.{input.dtype.typename} instead (while checking arguments for embedding)"
        )
    if weight.ndim != 2:
        raise ShapeError("'weight' must be 2-D")
    rows = weight.shape[0]
    if padding_idx is not None:
        if not -rows <= padding_idx < rows:
            raise AssertionError("Padding_idx must be within num_embeddings")
        padding_idx %= rows
    return TABLE.embedding(weight, input, padding_idx=padding_idx, by_frequency=bool(scale_grad_by_freq))


@functional
def one_hot(tensor: Any, num_classes: int = -1) -> Any:
    """A 1 in the place that each integer names, among zeros, along a new last axis of ``num_classes``.

    Without ``num_classes``: one more than the largest, for which a device is waited for; there other values are
    not checked. Source: torch.nn.functional.one_hot.

    >>> import autograd_gpu as torch
    >>> torch.nn.functional.one_hot(torch.tensor([0, 2]))
    tensor([[1, 0, 0],
            [0, 0, 1]])
    """
    check_tensors("one_hot", tensor=tensor)
    if tensor.dtype is not int64:
        raise DtypeError("one_hot is only applicable to index tensor of type LongTensor.")
    empty = 0 in tensor.shape
    if empty and num_classes <= 0:
        raise ShapeError("Can not infer total number of classes from empty tensor.")
    if not empty and (num_classes == -1 or tensor.device.type == "cpu"):
        least, most = int(tensor.min()), int(tensor.max())
        if least < 0:
            raise ShapeError("Class values must be non-negative.")
        if num_classes == -1:
            num_classes = most + 1
        if most >= num_classes:
            raise ShapeError("Class values must be smaller than num_classes.")
    return TABLE.one_hot(tensor, classes=num_classes)
