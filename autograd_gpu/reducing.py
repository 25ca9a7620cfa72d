"""Reductions of symbols, and what is made of them: means, variances, softmax."""

from typing import Any

from .dtypes import FLOAT
from .fusion.expr import ONE, Expr
from .fusion.reductions import COUNTS, MAX, MAX_ALL, MAX_ROWS, MIN, MIN_ALL, MIN_ROWS, SUM, SUM_ALL, SUM_ROWS
from .shapes import Shape
from .symbols import Number, Symbol, rule

KINDS = {  # of all elements, of all rows, of the elements of a row
    "sum": (SUM_ALL, SUM_ROWS, SUM), "max": (MAX_ALL, MAX_ROWS, MAX), "min": (MIN_ALL, MIN_ROWS, MIN),
}  # fmt: skip


def _over(x: Symbol, dim: Shape | None) -> int | None:
    """What a reduction over the axes ``dim`` runs over, as a place in ``KINDS``; None if there is nothing to reduce."""
    trace, ndim = x.trace, x.ndim
    dims = tuple(range(ndim)) if dim is None else tuple(sorted(dim))
    count = len(dims)
    if not x.gone and count == ndim and x._shape == trace.domain and ndim:
        return 0
    if count == ndim and ndim + x.gone == len(trace.domain) and x.aligned == trace.line:
        trace.axes = trace.axes or 1
        return 1
    last = dims == tuple(range(ndim - count, ndim))
    if (
        count
        and last
        and not x.gone
        and x._shape[ndim - count :] == trace.domain[-count:]
        and trace.axes in (None, count)
    ):
        trace.axes = count
        return 2
    if last and all(x._shape[d] == 1 for d in dims):
        return None
    rows = f"others of its reductions are over the last {trace.axes}" if trace.axes else "a row is the last axes"
    return trace.refuse(
        f"it reduces axes {list(dims)} of a tensor of shape {list(x._shape)}, where {rows} of {list(trace.domain)}"
    )


def _reduced(kind: str, x: Any, dim: Shape | None, keepdim: bool) -> Symbol:
    """The sum, maximum or minimum of ``x`` over ``dim``."""
    if x.dtype.category < FLOAT:
        x.trace.refuse(f"it reduces {x.dtype.name}; x.float() makes floats of them")
    over = _over(x, dim)
    count = x.ndim if dim is None else len(dim)
    expr = x.expr if over is None else Expr(KINDS[kind][over], x.expr)
    return _kept(Symbol(x.trace, expr, x._shape[: x.ndim - count] + (1,) * count, x._type, x.gone), dim, keepdim)


def _kept(x: Symbol, dim: Shape | None, keepdim: bool) -> Symbol:
    """``x``, reduced over ``dim``, with or without these axes."""
    if keepdim:
        return x
    count = x.ndim if dim is None else len(dim)
    return Symbol(x.trace, x.expr, x._shape[: x.ndim - count], x._type, x.gone + count)


@rule("count")
def _count(x: Symbol, dim: Shape | None) -> Any:
    """How many elements a reduction over ``dim`` makes one of."""
    over = _over(x, dim)
    return Number(x.trace, ONE if over is None else Expr(COUNTS[KINDS["sum"][over]]))


@rule("sum_all", "sum")
def _sum(x: Any, dim: Shape | None = None, keepdim: bool = False) -> Symbol:
    return _reduced("sum", x, dim, keepdim)


@rule("max_over")
def _max(x: Any, dim: Shape | None = None, keepdim: bool = False) -> Symbol:
    return _reduced("max", x, dim, keepdim)


@rule("min_over")
def _min(x: Any, dim: Shape | None = None, keepdim: bool = False) -> Symbol:
    return _reduced("min", x, dim, keepdim)


@rule("mean_all", "mean")
def _mean(x: Any, dim: Shape | None = None, keepdim: bool = False) -> Any:
    return _sum(x, dim, keepdim) / _count(x, dim)


@rule("squeeze", "squeeze_dims")
def _squeezed(x: Symbol, dim: Shape | int) -> Symbol:
    dims = dim if isinstance(dim, tuple) else (dim,)
    dims = tuple(d for d in sorted(dims) if x._shape[d] == 1)
    if dims != tuple(range(x.ndim - len(dims), x.ndim)):
        x.trace.refuse(f"it takes axes {list(dims)} of shape {list(x._shape)} away")
    return _kept(x, dims, keepdim=False)
