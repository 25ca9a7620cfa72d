"""Formulas as users write them: operations checked and tidied as they are put together, by text or by a function."""

import ast
from typing import Any

import numpy as np

from ..dtypes import FLOAT
from ..op import TABLE, Op
from .expr import MINUS_ONE, ONE, ZERO, Expr, const, fold

TWO = const(2.0)
LOGIC = {f"bitwise_{name}": f"logical_{name}" for name in ("and", "or", "not", "xor")}  # what these are of bools
MEANT = LOGIC | {"floor_divide": "div_floor"}  # in a formula; the derivative of //, too, is 0


def evaluate(formulas: tuple[Expr, ...], values: tuple[Any, ...]) -> tuple[Any, ...]:
    """``formulas`` with ``values`` in place of their slots: formulas, arrays or Tensors."""
    return fold(formulas, var=values.__getitem__, const=float, call=lambda op, *args: op(*args))


def tidy(op: Op, *args: Expr) -> Expr:
    """``op(*args)``; what is made of numbers alone is a number, if a real one, and products with 1 and -1 are none."""
    if op.result != "complex" and all(arg.op is float for arg in args):
        with np.errstate(all="ignore"):
            return const(op.numpy(*(np.float64(float.fromhex(*arg.args)) for arg in args)))
    if op is TABLE.where and args[0].op is float:
        return args[2] if args[0] is ZERO else args[1]
    if op is TABLE.where and args[1] is args[2]:
        return args[1]
    if op is TABLE.mul and ONE in args:
        return args[args[0] is ONE]
    if op is TABLE.mul and MINUS_ONE in args:
        return Expr(TABLE.neg, args[args[0] is MINUS_ONE])
    if op in (TABLE.div, TABLE.pow) and args[1] is ONE:
        return args[0]
    if op is TABLE.pow and args[1] is TWO:
        return Expr(TABLE.square, args[0])
    if op is TABLE.neg and args[0].op is TABLE.neg:
        return args[0].args[0]  # type: ignore[no-any-return]
    return Expr(op, *args)


def is_truth(formula: Expr) -> bool:
    """Whether the value of ``formula`` is True or False."""
    return isinstance(formula.op, Op) and formula.op.result == "bool"


def numeric(formula: Expr) -> Expr:
    """``formula``, with 1 and 0 for True and False."""
    return Expr(TABLE.where, formula, ONE, ZERO) if is_truth(formula) else formula


def truth(formula: Expr) -> Expr:
    """``formula`` as a condition: whether it is not 0."""
    return formula if is_truth(formula) else tidy(TABLE.ne, formula, ZERO)


def grow(op: Op, args: tuple[Expr, ...]) -> Expr:
    """``op`` of formulas; TypeError if these are too many or too few, or not what it takes."""
    op = TABLE[MEANT[op.name]] if op.name in MEANT else op
    if FLOAT not in op.takes:
        raise TypeError(f"{op.name} takes integers alone; a formula is computed in floating point")
    missing = [op.defaults.get(name) for name in op.operands[len(args) :]]
    if len(args) > op.arity or None in missing:
        raise TypeError(f"{op.name}({op.signature}) takes {op.arity} operands, got {len(args)}")
    args += tuple(const(ast.literal_eval(default)) for default in missing)  # type: ignore[arg-type]
    for i in op.numbers:
        if args[i].op is not float:
            raise TypeError(f"{op.name}({op.signature}): {op.operands[i]} must be a number, not a formula")
    logical = op.name in LOGIC.values()
    args = tuple(truth(arg) if logical or i in op.conditions else numeric(arg) for i, arg in enumerate(args))
    if (formula := getattr(op, "formula", None)) is not None:  # of elementwise(): written out
        return fold((formula,), var=args.__getitem__, const=const, call=tidy)[0]
    if op is TABLE.complex:
        return tidy(TABLE.add, args[0], Expr(TABLE.times_i, args[1]))
    return tidy(op, *args)
