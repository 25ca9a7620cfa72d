"""Reductions of rows that one block should not have alone: they run over other axes, in a stage of their own each.

Such rows lie in pieces of memory (as the values of one channel do, from example to example) or not side by side, or
there are few of them, and long ones.
"""

from dataclasses import replace
from math import prod
from typing import TYPE_CHECKING

from ..layouts import inner_to_outer
from .axes import Shape, dense, merged
from .expr import Expr, fold, slot, substitute
from .interpret import level_of_shape
from .kernels import SMALL
from .reductions import ALL, ELEMENT, OVER_ROWS, POSITION, ROW, Reduction, largest, levels
from .roots import Root, Spec, calls_of
from .rows import innermost

if TYPE_CHECKING:
    from .lowering import Lowering

LONG = 16384  # columns of a row from which on several blocks sum it, if there are few rows


def scattered(lowering: "Lowering", roots: list[Root], domain: Shape) -> bool:
    """Whether ``roots`` are made of reductions of such rows: of elements with several, a row kernel reads them once."""
    ops = {op for root in roots for op in calls_of(root.formula) if isinstance(op, Reduction) or op is POSITION}
    several = len(ops) > 1 and any(root.level == ELEMENT for root in roots)
    if not ops or not ops <= OVER_ROWS.keys() or several:
        return False
    outer = len(domain) - lowering.axes
    whole = [(spec.shape, spec.strides) for spec in lowering.specs if spec is not None and spec.shape == domain]
    pieces = [axis for axis in merged(domain, whole, [()] * len(domain), lowering.axes) if axis.inner]
    apart = any(stride > 1 for piece in pieces for stride in piece.strides) and prod(domain) > SMALL
    few = prod(domain[outer:]) > LONG and prod(domain[:outer]) < lowering.processors()
    return len(pieces) > 1 or apart or few


def in_stages(lowering: "Lowering", roots: list[Root], domain: Shape) -> list[int]:
    """Compute ``roots``; the numbers of their values."""
    order = order_of(lowering, domain)
    left, found = dict(enumerate(roots)), dict[int, int]()
    while sums := innermost(tuple(root.formula for root in left.values())):
        stage = Stage(lowering, sums, domain)
        done = [i for i, root in left.items() if root.level == ROW and stage.gives(root.formula)]
        last = [left.pop(i) for i in done]
        wanted = largest(tuple(root.formula for root in left.values()), stage.sums_in)
        values = stage.run([*last, *(Root(formula, ROW, lowering.computed, stage.line) for formula in wanted)], order)
        found |= zip(done, values, strict=False)
        known = {formula: slot(n) for formula, n in zip(wanted, values[len(done) :], strict=True)}
        left = {i: replace(root, formula=substitute(root.formula, known)) for i, root in left.items()}
    if left:
        found |= zip(left, lowering.launch(list(left.values()), domain, lowering.axes, order), strict=True)
    return [found[i] for i in range(len(roots))]


def order_of(lowering: "Lowering", domain: Shape) -> Shape | None:
    """The axes of ``domain`` as the first whole array has them in memory; None if it has the rows in another order."""
    for spec in lowering.specs:
        if spec is not None and spec.shape == domain:
            order = inner_to_outer(spec.shape, spec.strides)[::-1]
            outer = [axis for axis in order if axis < len(domain) - lowering.axes and domain[axis] > 1]
            return tuple(order) if outer == sorted(outer) else None
    return None


class Stage:
    """The ``sums`` of rows that need no other sums, and what can be computed of them."""

    def __init__(self, lowering: "Lowering", sums: list[Expr], domain: Shape) -> None:
        self.lowering, self.sums, self.domain = lowering, sums, domain
        self.line = domain[: len(domain) - lowering.axes] + (1,) * lowering.axes
        self.levels = {
            n: ALL if spec is None else level_of_shape(spec.shape, domain, lowering.axes)
            for n, spec in enumerate(lowering.specs)
        }

    def gives(self, formula: Expr) -> bool:
        """Whether ``formula`` has one value for each row, and needs no sums but these."""
        reductions = {node for node in nodes_of(formula) if isinstance(node.op, Reduction)}
        return reductions <= set(self.sums) and levels(formula, self.levels)[formula] < ELEMENT

    def sums_in(self, formula: Expr) -> bool:
        """Whether ``formula`` is so, and has sums."""
        return any(isinstance(node.op, Reduction) for node in nodes_of(formula)) and self.gives(formula)

    def run(self, roots: list[Root], order: Shape | None) -> list[int]:
        """Compute ``roots``, formulas of the sums: one kernel leaves these in parts, and another adds the parts."""
        lowering, line = self.lowering, self.line
        parts = [
            Root(total.args[0], ELEMENT, lowering.computed, line, line, parts=True, by=total.op) for total in self.sums
        ]
        known, domain = {}, line
        for total, n in zip(self.sums, lowering.launch(parts, self.domain, lowering.axes, order), strict=True):
            shape = lowering.specs[n].shape  # type: ignore[union-attr]
            if shape == line:
                known[total] = slot(n)
                continue
            count, each = shape
            domain = (*line[:-1], count)
            lowering.specs[n] = Spec(domain, (*dense(line)[:-1], each), aligned=True)
            known[total] = Expr(total.op, slot(n))
        return lowering.launch(
            [replace(root, formula=substitute(root.formula, known)) for root in roots], domain, lowering.axes
        )


def nodes_of(formula: Expr) -> list[Expr]:
    """``formula`` and all formulas in it."""
    found: dict[Expr, None] = {}
    fold((formula,), var=lambda _: None, const=lambda _: None, call=lambda *_: None, done=found)
    return list(found)
