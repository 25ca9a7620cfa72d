"""Reductions: sums, products, extremes and what is made of them."""

from typing import Any

from ..backends import of
from ..op import TABLE, ArrayOp, public
from ..shapes import dims_of


def keep(g: Any, dim: tuple[int, ...], keepdim: bool) -> Any:
    """``g``, of a reduction over the axes ``dim``, with these axes back (of size 1)."""
    if keepdim or not dim:
        return g
    size = list(g.shape)
    for d in sorted(dim):
        size.insert(d, 1)
    return TABLE.reshape(g, size=tuple(size))


ArrayOp(
    "sum", "input",
    lambda x, dim, keepdim, dtype=None: of(x).xp.sum(x, axis=dim, keepdims=keepdim, dtype=dtype and dtype.numpy),
    lambda g, shape, dim, keepdim: TABLE.expand(keep(g, dim, keepdim), size=shape),
    "sum of the elements over dim",
)  # fmt: skip


def _sum_to_size(x: Any, size: tuple[int, ...]) -> Any:
    extra = x.ndim - len(size)
    dims = (*range(extra), *(i + extra for i, n in enumerate(size) if n == 1 and x.shape[i + extra] != 1))
    return x.sum(axis=dims, keepdims=True).reshape(size)


ArrayOp(
    "sum_to_size", "input", _sum_to_size, lambda g, shape: TABLE.expand(g, size=shape),
    "sum over the axes along which size would be broadcast to input's", node="SumBackward1",
)  # fmt: skip


@public
def sum(input: Any, dim: Any = None, keepdim: bool = False, *, dtype: Any = None) -> Any:  # noqa: A001
    """Sum of the elements, over ``dim`` or all axes."""
    return TABLE.sum(input, dim=dims_of(dim, input.ndim), keepdim=keepdim)
