"""Formulas as users write them: operations checked and tidied as they are put together, by text or by a function."""

import ast
import inspect
from collections.abc import Callable
from typing import Any

import numpy as np

from ..op import COMPARISONS, OPERATORS, TABLE, UNARY, Op
from .expr import MINUS_ONE, ONE, ZERO, Expr, as_expr, const, fold, slot

TWO = const(2.0)
LOGIC = ("logical_and", "logical_or", "logical_not", "logical_xor")


def evaluate(formulas: tuple[Expr, ...], values: tuple[Any, ...]) -> tuple[Any, ...]:
    """``formulas`` with ``values`` in place of their slots: formulas, arrays or Tensors."""
    return fold(formulas, var=values.__getitem__, const=float, call=lambda op, *args: op(*args))


def tidy(op: Op, *args: Expr) -> Expr:
    """``op(*args)``; what is made of numbers alone is a number, and products with 1 and -1 are none."""
    if all(arg.op is float for arg in args):
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


def tidied(formula: Expr, known: dict[Expr, Expr]) -> Expr:
    """``formula``, with every operation ``tidy``; ``known`` is what was tidied before, and now."""
    return fold((formula,), var=slot, const=const, call=tidy, done=known)[0]


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
    if not isinstance(op, Op):
        raise TypeError(f"{op.name} is not elementwise: a formula is made of elementwise operations")
    missing = [op.defaults.get(name) for name in op.operands[len(args) :]]
    if len(args) > op.arity or None in missing:
        raise TypeError(f"{op.name}({op.signature}) takes {op.arity} operands, got {len(args)}")
    args += tuple(const(ast.literal_eval(default)) for default in missing)  # type: ignore[arg-type]
    for i in op.numbers:
        if args[i].op is not float:
            raise TypeError(f"{op.name}({op.signature}): {op.operands[i]} must be a number, not a formula")
    logical = op.name in LOGIC
    args = tuple(truth(arg) if logical or i in op.conditions else numeric(arg) for i, arg in enumerate(args))
    if (formula := getattr(op, "formula", None)) is not None:  # of elementwise(): written out
        return fold((formula,), var=args.__getitem__, const=const, call=tidy)[0]
    if op is TABLE.complex:
        return tidy(TABLE.add, args[0], Expr(TABLE.times_i, args[1]))
    return tidy(op, *args)


class Symbol:
    """What a function gets in place of Tensors, to grow a formula: it takes operators and elementwise operations."""

    __slots__ = ("formula",)
    __hash__ = None  # type: ignore[assignment] # == compares elements
    __array_ufunc__ = None  # numpy.sin and ndarray * symbol are errors

    def __init__(self, formula: Expr) -> None:
        self.formula = formula

    @staticmethod
    def _apply_op(op: Op, operands: tuple[Any, ...], params: dict[str, Any]) -> "Symbol":
        if params:
            raise TypeError(f"{op.name} takes no {' and '.join(params)} inside a formula")
        return Symbol(grow(op, tuple(map(formula_of, operands))))

    def __getattr__(self, name: str) -> Any:
        if isinstance(TABLE.get(name), Op):
            return lambda *operands: TABLE[name](self, *operands)
        raise AttributeError(f"a formula has no {name!r}: it is made of operators and elementwise operations")

    def __bool__(self) -> bool:
        raise TypeError("a formula has no truth value yet: write where(condition, a, b) instead of if, and & of and")


def _operator(name: str, *, swap: bool = False) -> Callable[..., Symbol]:
    def method(*operands: Any) -> Symbol:
        op, ordered = TABLE[name], operands[::-1] if swap else operands
        if name.startswith("bitwise_") and is_truth(formula_of(operands[0])):
            op = TABLE[name.replace("bitwise", "logical")]
        return Symbol._apply_op(op, ordered, {})

    return method


for _python, _name in {**OPERATORS, **COMPARISONS, **UNARY}.items():
    _own = {"floordiv": "div_floor"}.get(_python, _name)  # that of //, too, is 0
    setattr(Symbol, f"__{_python}__", _operator(_own))
    if _python in OPERATORS:
        setattr(Symbol, f"__r{_python}__", _operator(_own, swap=True))


def formula_of(value: Any) -> Expr:
    """``value``, a symbol or a real number, as a formula."""
    if isinstance(value, Symbol):
        return value.formula
    if isinstance(value, bool | int | float | np.bool_ | np.integer | np.floating):
        return as_expr(value)
    raise TypeError(
        f"a formula is made of its operands and real numbers, not of {type(value).__name__}: make that an operand, too"
    )


def traced(function: Callable[..., Any]) -> tuple[tuple[str, ...], tuple[Expr | None, ...]]:
    """The names of the arguments of ``function``, and the formulas that it returns of them (one, or a tuple)."""
    arguments = inspect.signature(function).parameters.values()
    if any(argument.kind not in (argument.POSITIONAL_ONLY, argument.POSITIONAL_OR_KEYWORD) for argument in arguments):
        raise TypeError(f"{function.__name__}{inspect.signature(function)}: operands are plain positional arguments")
    result = function(*(Symbol(slot(i)) for i in range(len(arguments))))
    results = result if isinstance(result, tuple) else (result,)
    return (
        tuple(argument.name for argument in arguments),
        tuple(None if r is None else numeric(formula_of(r)) for r in results),
    )
