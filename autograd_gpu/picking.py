"""An element of each row of symbols, picked by its place."""

from math import nan

from .fusion.expr import Expr
from .fusion.reductions import COUNT, POSITION
from .op import TABLE
from .symbols import Number, Symbol, rule


@rule("gather")
def _gather(x: Symbol, index: Symbol, dim: int, *, exists: bool = False) -> Symbol:
    """The element of each row whose place is the row's ``index``; nan, unless it ``exists``, where there is none."""
    trace = x.trace
    if dim != x.ndim - 1 or index._shape[dim:] != (1,):
        trace.refuse(f"it gathers {list(index._shape)} elements of {list(x._shape)} where one of each row can be")
    place = Symbol(trace, Expr(POSITION), x._shape, index._type)
    picked = TABLE.sum(TABLE.where(TABLE.eq(place, index), x, 0.0), dim=(dim,), keepdim=True)
    if exists:
        return picked  # type: ignore[no-any-return]
    inside = TABLE.logical_and(TABLE.ge(index, 0), TABLE.lt(index, Number(trace, Expr(COUNT))))
    return TABLE.where(inside, picked, nan)  # type: ignore[no-any-return]
