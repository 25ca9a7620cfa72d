"""Formulas as text for people: docstrings and the README's table are made of it."""

import ast
import math

from ..op import Op
from .expr import Expr, fold, vjp

_BINARY = {
    "add": ast.Add,
    "sub": ast.Sub,
    "mul": ast.Mult,
    "div": ast.Div,
    "pow": ast.Pow,
    "bitwise_and": ast.BitAnd,
}
_COMPARE = {"lt": ast.Lt, "le": ast.LtE, "gt": ast.Gt, "ge": ast.GtE, "eq": ast.Eq, "ne": ast.NotEq}


def _call(op: Op, *args: ast.expr) -> ast.expr:
    """``op(*args)`` as Python would write it; ``ast.unparse`` sees to the parentheses."""
    if op.name in _BINARY:
        return ast.BinOp(args[0], _BINARY[op.name](), args[1])
    if op.name in _COMPARE:
        return ast.Compare(args[0], [_COMPARE[op.name]()], [args[1]])
    if op.name == "square":
        return ast.BinOp(args[0], ast.Pow(), ast.Constant(2))
    if op.name == "times_i":
        return ast.BinOp(ast.Constant(1j), ast.Mult(), args[0])
    if op.name == "neg":
        return ast.UnaryOp(ast.USub(), args[0])
    if op.name == "where":
        condition, yes, no = args
        return ast.IfExp(condition, yes, no)
    return ast.Call(ast.Name(op.name), list(args), [])


def _number(value: float) -> ast.expr:
    if not math.isfinite(value):
        return ast.Name(str(value))
    return ast.Constant(int(value) if value.is_integer() else value)


def texts(formulas: tuple[Expr | None, ...], names: tuple[str, ...]) -> tuple[str | None, ...]:
    """``formulas`` of slots called ``names`` as Python would write them."""
    trees = iter(
        fold(
            tuple(formula for formula in formulas if formula is not None),
            var=[ast.Name(name) for name in names].__getitem__,
            const=_number,
            call=_call,
        )
    )
    return tuple(None if formula is None else ast.unparse(next(trees)) for formula in formulas)


def gradient_text(op: Op) -> tuple[str | None, ...]:
    """The cotangent of each operand as text, from the operands, ``y`` (the result) and ``g`` (its cotangent).

    >>> from autograd_gpu.op import TABLE
    >>> gradient_text(TABLE.mul)
    ('g * other', 'g * input')
    """
    return texts(vjp(op), (*op.operands, "y", "g"))


def docstring(op: Op) -> str:
    """The docstring of the function that ``op`` becomes."""
    gradients = [
        f"    d {name} = {text}" for name, text in zip(op.operands, gradient_text(op), strict=True) if text is not None
    ]
    lines = [f"{op.doc[:1].upper()}{op.doc[1:]}, elementwise; operands broadcast.", ""]
    lines += ["Cotangents, where g is that of the result y:", "", *gradients] if gradients else ["It has no gradient."]
    return "\n".join(lines)
