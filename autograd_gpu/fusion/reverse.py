"""The derivative of a formula by its slots: reverse mode on formulas."""

from collections.abc import Mapping
from typing import Any

from ..op import TABLE
from .expr import ONE, ZERO, Expr, slot, substitute, vjp
from .reductions import COUNTS, SUMS, Place, Reduction, levels


def pull(root: Expr, g: Expr, of_slots: Mapping[int, int]) -> dict[int, Expr]:
    """The cotangent of each slot of ``root`` that has one, given that of ``root``, which has its level.

    ``of_slots`` are the levels of the slots; a slot's cotangent has the slot's level.
    """
    level = levels(root, of_slots)
    parts: dict[Expr, dict[int, Expr]] = {root: {level[root]: g}}  # by the level of the formula that it comes from

    def give(target: Expr, part: Expr | None, at: int) -> None:
        if part is not None:
            found = parts.setdefault(target, {})
            found[at] = TABLE.add(found[at], part) if at in found else part

    for node in reversed(level):  # results before what they are made of
        if node not in parts or node.op is float:
            continue
        total = _at(level[node], parts[node])
        if node.op is int:
            parts[node] = {level[node]: total}
        elif isinstance(node.op, Reduction):
            give(node.args[0], _of_reduction(node, total), node.op.over)
        elif not isinstance(node.op, Place):
            for arg, part in zip(node.args, _of_op(node, total), strict=True):
                give(arg, part, level[node])
    return {node.args[0]: total for node, found in parts.items() if node.op is int for total in found.values()}


def _at(level: int, parts: dict[int, Expr]) -> Expr:
    """The sum of ``parts``, cotangents at levels of their own, at ``level``."""
    total = None
    for at, part in parts.items():
        own = part if at <= level else Expr(SUMS[at, level], part)
        total = own if total is None else TABLE.add(total, own)
    assert total is not None
    return total


def _of_reduction(node: Expr, g: Expr) -> Expr:
    """The cotangent of what is reduced; of extremes, those that are equal have equal shares."""
    total = SUMS[node.op.over, node.op.level]
    if node.op is total:
        return g
    hit = TABLE.eq(*node.args, node)
    count = Expr(total, TABLE.where(hit, ONE, ZERO))  # 0 if there is nan
    return TABLE.div(TABLE.where(hit, g, ZERO), count)  # type: ignore[no-any-return]


def _of_op(node: Expr, g: Expr) -> list[Expr | None]:
    """The cotangents of the operands of an elementwise operation."""
    known: dict[Any, Expr] = {slot(i): value for i, value in enumerate((*node.args, node, g))}
    return [None if part is None else substitute(part, known) for part in vjp(node.op)]


def mean(x: Expr, total: Reduction) -> Expr:
    """The mean of ``x`` over what the sum ``total`` runs over."""
    return TABLE.div(Expr(total, x), Expr(COUNTS[total]))  # type: ignore[no-any-return]
