"""Formulas as C-family text: statements of a kernel's body."""

import math

from ..op import Op
from .expr import Expr, fold


def literal(value: float, ctype: str) -> str:
    """``value`` as a C++ expression of type ``ctype``, of its real type if that is complex; nan and inf have none."""
    ctype = ctype.removeprefix("complex<").removesuffix(">")
    if math.isnan(value):
        return f'{ctype}(nan(""))'
    if math.isinf(value):
        return f"{ctype}({'-' if value < 0 else ''}1.0/0.0)"
    return f"{ctype}({value!r})"


def statements(roots: tuple[Expr, ...], names: dict[int, str], ctype: str) -> tuple[list[str], tuple[str, ...]]:
    """Lines that compute ``roots`` from variables ``names[slot]`` in ``ctype``, and their values' names."""
    lines: list[str] = []

    def let(op: Op, *args: str) -> str:
        name = f"t{len(lines)}"
        lines.append(f"const auto {name} = {op.cuda.format(*args)};")
        return name

    results = fold(roots, var=names.__getitem__, const=lambda value: literal(value, ctype), call=let)
    return lines, results


def helpers(roots: tuple[Expr, ...]) -> tuple[str, ...]:
    """The CUDA functions that the text of ``roots`` calls, each once."""
    found: dict[str, None] = {}
    fold(roots, var=id, const=id, call=lambda op, *_: found.update(dict.fromkeys(op.helpers)))
    return tuple(found)


LARGE = frozenset({"sin", "cos", "tan", "sinc", "lgamma", "digamma", "polygamma"})  # hundreds of instructions each


def sizes(roots: tuple[Expr, ...]) -> tuple[int, int]:
    """How many distinct operations ``roots`` have, and how many of them are large."""
    calls: list[bool] = []
    fold(roots, var=id, const=id, call=lambda op, *_: calls.append(op.name in LARGE))
    return len(calls), sum(calls)
