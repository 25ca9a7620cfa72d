"""Formulas from text: Python's arithmetic, comparisons, choices, and the elementwise operations by their names."""

import ast
import math
import operator
from difflib import get_close_matches
from typing import NoReturn

from ..op import TABLE, Op
from .expr import Expr, as_expr, slot
from .grow import grow, numeric

CONSTANTS = {"pi": math.pi, "inf": math.inf, "nan": math.nan}
BINARY = {
    ast.Add: "add", ast.Sub: "sub", ast.Mult: "mul", ast.Div: "div", ast.FloorDiv: "floor_divide",
    ast.Mod: "remainder", ast.Pow: "pow", ast.BitAnd: "bitwise_and", ast.BitOr: "bitwise_or",
}  # fmt: skip
EXACT = {"add": operator.add, "sub": operator.sub, "mul": operator.mul}  # of complex numbers, too
COMPARE = {ast.Lt: "lt", ast.LtE: "le", ast.Gt: "gt", ast.GtE: "ge", ast.Eq: "eq", ast.NotEq: "ne"}
TRUTHS = {ast.And: "logical_and", ast.Or: "logical_or"}
HINTS: dict[type[ast.AST], str] = {ast.BitXor: " (a power is written **)", ast.MatMult: " (a formula is elementwise)"}


def functions() -> dict[str, Op]:
    """What a formula may call: the elementwise operations, also under their other names."""
    ops = {name: op for name, op in TABLE.items() if isinstance(op, Op)}
    return {alias: op for op in ops.values() for alias in op.aliases} | ops


def parsed(text: str, operands: tuple[str, ...] | None = None) -> tuple[tuple[str, ...], Expr]:
    """The operands of the formula ``text``, in order of appearance unless given, and the formula.

    >>> parsed("a * exp(-b * t)")[0]
    ('a', 'b', 't')
    """
    text = text.strip()
    try:
        tree = ast.parse(text, mode="eval").body
    except SyntaxError as error:
        column = (error.offset or len(text) + 1) - 1
        raise ValueError(f"not a formula: {error.msg}\n{_marked(text, column)}") from None
    parser = _Parser(text, operands)
    formula = numeric(as_expr(parser.parse(tree)))
    return operands or tuple(parser.places), formula


def _marked(text: str, column: int) -> str:
    return f"    {text}\n    {' ' * column}^"


class _Parser:
    """Python's syntax tree as a formula; numbers stay numbers, complex ones too, until they meet a formula."""

    def __init__(self, text: str, operands: tuple[str, ...] | None) -> None:
        self.text, self.known = text, functions()
        self.fixed = operands is not None
        self.places = {name: i for i, name in enumerate(operands or ())}

    def refuse(self, node: ast.expr, why: str) -> NoReturn:
        column = len(self.text.encode()[: node.col_offset].decode())  # a byte's place
        raise ValueError(f"{why}\n{_marked(self.text, column)}")

    def parse(self, node: ast.expr) -> Expr | complex:
        """The formula of ``node``, or its value if it is made of numbers alone."""
        match node:
            case ast.Constant(value=bool() | int() | float() | complex()):
                return node.value  # type: ignore[return-value]
            case ast.Name(id=name):
                return self.name(node, name)
            case ast.BinOp(left, op, right) if type(op) in BINARY:
                return self.binary(node, BINARY[type(op)], self.parse(left), self.parse(right))
            case ast.BoolOp(op, values):
                result, *others = map(self.parse, values)
                for other in others:
                    result = self.call(node, TRUTHS[type(op)], [result, other])
                return result
            case ast.UnaryOp(ast.UAdd(), operand):
                return self.parse(operand)
            case ast.UnaryOp(ast.USub(), operand):
                value = self.parse(operand)
                return self.call(node, "neg", [value]) if isinstance(value, Expr) else -value
            case ast.UnaryOp(ast.Not() | ast.Invert(), operand):
                return self.call(node, "logical_not", [self.parse(operand)])
            case ast.Compare(left, ops, right) if all(type(op) in COMPARE for op in ops):
                sides = [self.parse(side) for side in (left, *right)]
                result, *others = (self.call(node, COMPARE[type(op)], sides[i : i + 2]) for i, op in enumerate(ops))
                for other in others:  # a < b < c
                    result = self.call(node, "logical_and", [result, other])
                return result
            case ast.IfExp(test, body, orelse):
                chosen = self.parse(body)  # first: operands are in order of appearance
                return self.call(node, "where", [self.parse(test), chosen, self.parse(orelse)])
            case ast.Call(ast.Name(id=name), args, []):
                if name not in self.known:
                    near = get_close_matches(name, self.known, 3)
                    hint = (
                        f"did you mean {' or '.join(near)}?" if near else f"known are {', '.join(sorted(self.known))}"
                    )
                    self.refuse(node, f"no elementwise operation is called {name!r}; {hint}")
                return self.call(node, name, [self.parse(arg) for arg in args])
        return self.unknown(node)

    def unknown(self, node: ast.expr) -> NoReturn:
        hint = next((HINTS[type(part)] for part in ast.iter_child_nodes(node) if type(part) in HINTS), "")
        self.refuse(node, f"a formula has operands, numbers, + - * / // % **, comparisons, and, or, not, "
                          f"a if c else b, and calls, but not this{hint}")  # fmt: skip

    def name(self, node: ast.expr, name: str) -> Expr | complex:
        if name not in self.places:
            if name in CONSTANTS:
                return CONSTANTS[name]
            if self.fixed:
                self.refuse(node, f"{name!r} is not among the operands, which are {', '.join(self.places)}")
            self.places[name] = len(self.places)
        return slot(self.places[name])

    def binary(self, node: ast.expr, name: str, a: Expr | complex, b: Expr | complex) -> Expr | complex:
        """A complex number may be a factor, or what is divided by."""
        if name == "div" and isinstance(b, complex):
            name, b = "mul", 1 / b
        for number, other in ((a, b), (b, a)):
            if isinstance(number, complex) and isinstance(other, Expr) and name == "mul":
                turned = grow(TABLE.times_i, (grow(TABLE.mul, (as_expr(number.imag), other)),))
                whole = grow(TABLE.mul, (as_expr(number.real), other))
                return grow(TABLE.add, (whole, turned)) if number.real else turned
        if name in EXACT and not isinstance(a, Expr) and not isinstance(b, Expr):
            return EXACT[name](a, b)  # type: ignore[no-any-return]
        return self.call(node, name, [a, b])

    def call(self, node: ast.expr, name: str, args: list[Expr | complex]) -> Expr | complex:
        """The elementwise operation called ``name``; of numbers alone, its value."""
        if any(isinstance(arg, complex) for arg in args):
            self.refuse(node, "a complex number may only be a factor of what has operands, as in 1j * x")
        try:
            made = grow(self.known[name], tuple(as_expr(arg) for arg in args))
        except TypeError as error:
            self.refuse(node, str(error))
        return float.fromhex(*made.args) if made.op is float else made
