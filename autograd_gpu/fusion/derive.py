"""The derivatives of a formula as formulas: the chain rule, from the result back to the slots."""

from typing import Any

from ..op import TABLE
from .expr import ONE, ZERO, Expr, as_expr, conjugate, fold, slot, times
from .grow import tidied


def real_parts(formula: Expr) -> dict[Expr, bool]:
    """Every formula in ``formula``, operands first, and whether it is real even of complex operands."""

    def is_real(op: Any, *args: bool) -> bool:
        return op.result in ("real", "real float", "bool") or (op.result != "complex" and all(args))

    found: dict[Expr, bool] = {}
    fold((formula,), var=lambda _: False, const=lambda _: True, call=is_real, done=found)
    return found


def partials(formula: Expr, arity: int) -> tuple[Expr | None, ...]:
    """The derivative of ``formula`` by each of its ``arity`` slots; None where none leads there.

    >>> from autograd_gpu.fusion.text import texts
    >>> x, y = slot(0), slot(1)
    >>> texts(partials(x * x + y * TABLE.sin(x), 2), ("x", "y"))
    ('y * cos(x) + x + x', 'sin(x)')
    """
    return cotangents(formula, arity, ONE)


def cotangents(formula: Expr, arity: int, g: Expr, *, complex: bool = False) -> tuple[Expr | None, ...]:
    """The cotangent of each of the ``arity`` slots of ``formula``, given ``g``, that of its value.

    A branch of ``where`` that is not taken has no part in it, not even nan. ``complex``: PyTorch's convention.
    """
    real = real_parts(formula)
    parts: dict[Expr, Expr] = {formula: g}
    known: dict[Expr, Expr] = {}
    for node in reversed(real):
        if (own := parts.get(node)) is None or not hasattr(node.op, "partials"):
            continue
        if complex and real[node]:
            own = Expr(TABLE.real, own)
        for arg, part in zip(node.args, _parts(node, own, known, complex=complex), strict=True):
            if part is not None and arg.op is not float:
                parts[arg] = _sum(parts[arg], part) if arg in parts else part
    found = tuple(parts.get(slot(i)) for i in range(arity))
    return tuple(None if part is None else tidied(part, known) for part in found)


def _parts(node: Expr, g: Expr, known: dict[Expr, Expr], *, complex: bool) -> tuple[Expr | None, ...]:
    """The cotangents of the operands of ``node``."""
    op = node.op
    if op.partials is None or op.partials is NotImplemented:
        return (None,) * len(node.args)
    if op is TABLE.where:
        condition = node.args[0]
        return None, _choice(condition, g, ZERO), _choice(condition, ZERO, g)
    if complex and op.complex_vjp is not None:
        turned: tuple[Any, ...] = op.complex_vjp(g, *node.args, node)
        return tuple(None if part is None else as_expr(part) for part in turned)
    found = [None if p is None else tidied(as_expr(p), known) for p in op.partials(*node.args, node)]
    return tuple(None if p is None else _chain(g, conjugate(p) if complex else p) for p in found)


def _chain(g: Expr, partial: Expr) -> Expr:
    """``g * partial``, where what was not chosen stays 0."""
    if ZERO in (g, partial):
        return ZERO
    if g.op is TABLE.where and ZERO in g.args[1:]:
        condition, *branches = g.args
        return _choice(condition, *(_chain(branch, partial) for branch in branches))
    return times(g, partial)


def _choice(condition: Expr, a: Expr, b: Expr) -> Expr:
    return a if a is b else Expr(TABLE.where, condition, a, b)


def _sum(a: Expr, b: Expr) -> Expr:
    """``a + b``, of two choices by one condition a choice."""
    if ZERO in (a, b):
        return b if a is ZERO else a
    if a.op is b.op is TABLE.where and a.args[0] is b.args[0]:
        return _choice(a.args[0], _sum(a.args[1], b.args[1]), _sum(a.args[2], b.args[2]))
    return Expr(TABLE.add, a, b)
