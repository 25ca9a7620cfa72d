"""What a lowering computes: formulas, arrays, and questions about them."""

from dataclasses import dataclass
from typing import Any, NamedTuple

from ..dtypes import dtype
from .axes import Shape
from .expr import Expr, const, fold, slot
from .reductions import ALL, COUNT, COUNT_ROWS, ELEMENT, MAX, MIN, POSITION, ROW, SUM, Reduction

ALONG = {"sum": SUM, "max": MAX, "min": MIN}


class Spec(NamedTuple):
    """An array as far as launches depend on it; strides in elements."""

    shape: Shape
    strides: Shape
    aligned: bool  # to 16 bytes


@dataclass(frozen=True)
class Root:
    """A formula to compute, which becomes an array of ``shape``.

    It is summed over the axes of the domain where ``target`` has size 1, or reduced ``by`` another reduction; or
    reduced over all, and then left in parts, one of each block. What is reduced over some axes may stay in ``parts``,
    which are then an axis in front.
    """

    formula: Expr
    level: int
    dtype: dtype
    shape: Shape
    target: Shape | None = None
    reduction: Reduction | None = None
    parts: bool = False
    by: Reduction = SUM


def calls_of(formula: Expr) -> list[Any]:
    """The operations in ``formula``."""
    found: list[Any] = []
    fold((formula,), var=lambda _: None, const=lambda _: None, call=lambda op, *_: found.append(op))
    return found


def in_rows(formula: Expr) -> bool:
    """Whether it matters for ``formula`` what a row is."""
    return any(isinstance(op, Reduction) or op in (POSITION, COUNT, COUNT_ROWS) for op in calls_of(formula))


def becomes_row(root: Root, domain: Shape) -> bool:
    """Whether nothing of ``root`` depends on what a row is."""
    ops = [op for op in calls_of(root.formula) if isinstance(op, Reduction) or op is POSITION]
    return (
        all(isinstance(op, Reduction) and op.over == ELEMENT and op.level == ALL for op in ops)
        and root.level != ROW
        and (root.target is None or root.target == domain or root.level == ALL)
    )


def as_row(formula: Expr) -> Expr:
    """``formula`` with reductions along a row in place of those over all."""

    def call(op: Any, *args: Expr) -> Expr:
        return Expr(ALONG[op.name.partition("_")[0]] if isinstance(op, Reduction) else op, *args)

    return fold((formula,), var=slot, const=const, call=call)[0]


def to_all(formula: Expr) -> list[Expr]:
    """The reductions over all in ``formula`` whose operands have none."""
    done: dict[Expr, bool] = {}

    def call(op: Any, *args: bool) -> bool:
        return any(args) or (isinstance(op, Reduction) and op.level == ALL)

    fold((formula,), var=lambda _: False, const=lambda _: False, call=call, done=done)
    return [node for node in done if isinstance(node.op, Reduction) and node.op.level == ALL and not done[node.args[0]]]


def summed_axes(root: Root, domain: Shape, rows: int) -> tuple[bool, ...]:
    """For each axis of ``domain``, whether ``root`` is summed over it."""
    own = domain if root.target is None else (1,) * (len(domain) - len(root.target)) + root.target
    last = len(domain) - (rows if root.level == ROW else 0)
    return tuple(i < last and size != 1 and n == 1 for i, (size, n) in enumerate(zip(domain, own, strict=True)))
