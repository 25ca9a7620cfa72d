"""The rules of an array operation as one method of its nodes, written out once for each operation.

That of ``mm`` on arrays is::

    def pullback(self, g):
        s, p, n = self.unpack(), self.params, self.parents
        parts = (
            None if n[0] is None else rule0(g=g, mat2=s[1]),
            None if n[1] is None else rule1(g=g, input=s[0], columns=p['columns']),
        )
        return parts
"""

from collections.abc import Callable
from functools import cache
from typing import Any

from .op import ArrayOp

Pullback = Callable[[Any, Any], tuple[Any, ...]]
TEXT = """\
def pullback(self, g):
    s, p, n = self.{unpack}(), self.params, self.parents
    parts = {parts}
    return {result}
"""


@cache
def compile_rules(op: ArrayOp, unpack: str) -> Pullback:
    """The method that gives the operands' cotangents; ``unpack`` is the node's that gives what it saved."""
    names: dict[str, Any] = {f"rule{i}": rule for i, rule in enumerate(op.rules)}
    if op.variadic:
        parts = f"tuple([x if m is not None else None for x, m in zip({call(op, 0)}, n, strict=True)])"
    else:
        each = (f"None if n[{i}] is None else {call(op, i)}" if rule else "None" for i, rule in enumerate(op.rules))
        parts = f"({', '.join(each)},)"
    text = TEXT.format(
        unpack=unpack, parts=parts, result="parts if self.fit is None else self.fitted(parts)" if op.fits else "parts"
    )
    exec(compile(text, f"<rules of {op.name}>", "exec"), names)  # noqa: S102  our own text
    return names["pullback"]  # type: ignore[no-any-return]


def call(op: ArrayOp, i: int) -> str:
    """The text that calls the rule of operand ``i``."""
    return f"rule{i}({', '.join(f'{name}={source(op, i, name)}' for name in op.needs[i] or ())})"


def source(op: ArrayOp, i: int, name: str) -> str:
    """Where a rule's argument comes from: the cotangent, a shape, what was saved, or a parameter."""
    if name == "g":
        return "g"
    if name in ("shape", "shapes"):
        return f"self.shapes[{i}]" if name == "shape" else "self.shapes"
    if op.variadic or name not in (*op.operands, "y"):
        return f"p[{name!r}]"
    if name == "y":
        return "s[-1]"
    place = op.operands.index(name)
    return f"s[{place}:len(n)]" if place == op.starred else f"s[{place}]"
