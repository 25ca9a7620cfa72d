"""The derivative of a formula by its slots: reverse mode on formulas."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ..op import TABLE, Op
from .expr import ONE, ZERO, Expr, conjugate, const, fold, slot, times, vjp
from .grow import tidy
from .reductions import ELEMENT, SUMS, Place, Reduction, levels

Cotangents = Sequence[Expr | None]  # of operands or slots; None where none leads there


def of_operands(node: Expr, g: Expr, *, complex: bool = False, make: Callable[..., Expr] = Expr) -> Cotangents:
    """The cotangents of the operands of ``node``, an elementwise operation, put together by ``make``."""
    known: dict[Any, Expr] = {slot(i): value for i, value in enumerate((*node.args, node, g))}
    return [
        None if part is None else fold((part,), var=slot, const=const, call=make, done=dict(known))[0]
        for part in vjp(node.op, complex=complex)
    ]


def pull(
    root: Expr, g: Expr, of_slots: Mapping[int, int], of_op: Callable[[Expr, Expr], Cotangents] = of_operands
) -> dict[int, Expr]:
    """The cotangent of each slot of ``root`` that has one, given that of ``root``, which has its level.

    ``of_slots`` are the levels of the slots; a slot's cotangent has the slot's level. ``of_op`` gives those of the
    operands of an elementwise operation: as PyTorch has them, so 0 reaches a branch of ``where`` that was not taken,
    and times inf is nan.
    """
    level = levels(root, of_slots)
    parts: dict[Expr, dict[int, Expr]] = {root: {level[root]: g}}  # by the level of the formula that it comes from

    def give(target: Expr, part: Expr | None, at: int) -> None:
        if part is not None:
            found = parts.setdefault(target, {})
            found[at] = _sum(found[at], part) if at in found else part

    for node in reversed(level):  # results before what they are made of
        if node not in parts or node.op is float:
            continue
        total = _at(level[node], parts[node])
        if node.op is int:
            parts[node] = {level[node]: total}
        elif isinstance(node.op, Reduction):
            give(node.args[0], _of_reduction(node, total), node.op.over)
        elif not isinstance(node.op, Place):
            for arg, part in zip(node.args, of_op(node, total), strict=True):
                give(arg, part, level[node])
    return {node.args[0]: total for node, found in parts.items() if node.op is int for total in found.values()}


def _at(level: int, parts: dict[int, Expr]) -> Expr:
    """The sum of ``parts``, cotangents at levels of their own, at ``level``."""
    total = None
    for at, part in parts.items():
        own = part if at <= level else Expr(SUMS[at, level], part)
        total = own if total is None else _sum(total, own)
    assert total is not None
    return total


def _sum(a: Expr, b: Expr) -> Expr:
    """``a + b``; of two choices by one condition a choice."""
    if ZERO in (a, b):
        return b if a is ZERO else a
    if a.op is b.op is TABLE.where and a.args[0] is b.args[0]:
        return _choice(a.args[0], *map(_sum, a.args[1:], b.args[1:]))  # type: ignore[no-any-return]
    return Expr(TABLE.add, a, b)


def _choice(condition: Expr, a: Any, b: Any) -> Any:
    return a if a is b else Expr(TABLE.where, condition, a, b)


def _of_reduction(node: Expr, g: Expr) -> Expr:
    """The cotangent of what is reduced; of extremes, those that are equal have equal shares."""
    total = SUMS[node.op.over, node.op.level]
    if node.op is total:
        return g
    hit = TABLE.eq(*node.args, node)
    count = Expr(total, TABLE.where(hit, ONE, ZERO))  # 0 if there is nan
    return TABLE.div(TABLE.where(hit, g, ZERO), count)  # type: ignore[no-any-return]


# --- elementwise formulas, written out -----------------------------------------------------------------------


def real_parts(formula: Expr) -> dict[Expr, bool]:
    """Every formula in ``formula``, operands first, and whether it is real even of complex operands."""

    def is_real(op: Any, *args: bool) -> bool:
        return op.result in ("real", "real float", "bool") or (op.result != "complex" and all(args))

    found: dict[Expr, bool] = {}
    fold((formula,), var=lambda _: False, const=lambda _: True, call=is_real, done=found)
    return found


def _made(op: Op, *args: Expr) -> Expr:
    """``op(*args)`` in a cotangent, tidy; 0, also as a branch of ``where``, lets nothing through, not even nan."""
    if op is TABLE.zero or (op is TABLE.mul and ZERO in args):
        return ZERO
    if op is TABLE.conj:
        return conjugate(*args)
    return times(*args) if op is TABLE.mul else tidy(op, *args)


def cotangents(formula: Expr, arity: int, g: Expr = ONE, *, complex: bool = False) -> Cotangents:
    """The cotangent of each of the ``arity`` slots of ``formula``, which is elementwise, given that of its value.

    A branch of ``where`` that was not taken has no part in it, not even nan. ``complex``: PyTorch's convention.

    >>> from autograd_gpu.fusion.text import texts
    >>> x, y = slot(0), slot(1)
    >>> texts(cotangents(x * x + y * TABLE.sin(x), 2), ("x", "y"))
    ('y * cos(x) + x + x', 'sin(x)')
    """
    real = real_parts(formula)

    def of_op(node: Expr, g: Expr) -> Cotangents:
        if g is ZERO:
            return [None if part is None else ZERO for part in vjp(node.op, complex=complex)]
        if g.op is TABLE.where and ZERO in g.args[1:]:
            condition, *branches = g.args
            return [_choice(condition, *pair) for pair in zip(*(of_op(node, b) for b in branches), strict=True)]
        own = Expr(TABLE.real, g) if complex and real[node] else g
        return of_operands(node, own, complex=complex, make=_made)

    found = pull(formula, g, dict.fromkeys(range(arity), ELEMENT), of_op)
    tidied = fold(tuple(found.values()), var=slot, const=const, call=tidy)
    return tuple(map(dict(zip(found, tidied, strict=True)).get, range(arity)))
