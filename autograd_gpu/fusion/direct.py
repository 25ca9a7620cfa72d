"""The direct road: an op's pullback as a Python function, written once from its formulas."""

from collections.abc import Callable
from typing import Any

import numpy as np

from ..op import TABLE, Op
from .expr import fold, slots, vjp


def saved_by(op: Op, *, complex: bool = False) -> tuple[frozenset[int], ...]:
    """For each operand, the slots that its cotangent reads besides the cotangent of the result."""
    cotangent = op.arity + 1
    return tuple(
        frozenset() if formula is None else slots(formula) - {cotangent} for formula in vjp(op, complex=complex)
    )


SAVED = "self.saved or self.unpack()"  # unpack() raises where saved arrays are gone or were written to
RESTORED = "self.restore()"


def as_bool(x: float | None, other: float | None) -> str | None:
    """The text of ``where({0}, x, other)`` of a bool, in the dtype ``computed``, if that chooses between 1 and 0."""
    if x is None or other is None:
        return None
    texts = {("1.0", "0.0"): "{0}.astype(computed)", ("0.0", "1.0"): "(~{0}).astype(computed)"}  # 0 is not -0
    return texts.get((str(float(x)), str(float(other))))


def compile_pullback(
    op: Op,
    function: Callable[[Op], tuple[str, Any]],
    constant: Callable[[float], Any],
    unpack: str,
    *,
    item: bool = False,
    complex: bool = False,
    computed: np.dtype | None = None,
) -> Callable[[Any, Any], tuple[Any, ...]]:
    """The method ``pullback(self, g)`` of ``op``'s nodes.

    The formulas become one line a step: ``function(op)`` gives the text that calls an op (with ``{0}``,
    ``{1}`` … for the operands) and what its name means, ``constant(value)`` what a number becomes, and
    ``unpack`` is the text of what was saved. So the same formulas run on arrays and on Tensors.
    ``item`` turns a saved 0-d array into a scalar, with which NumPy computes eight times faster. Where arrays are
    computed in the dtype ``computed``, a choice between 0 and 1 is a bool in it, which takes a fourth of ``np.where``.
    """
    namespace: dict[str, Any] = {"computed": computed}
    numbers: dict[str, float] = {}
    bools: set[str] = set()
    lines: list[str] = []

    def let_constant(value: float) -> str:
        name = f"k{len(namespace)}"
        namespace[name], numbers[name] = constant(value), value
        return name

    def let(inner: Op, *args: str) -> str:
        text, namespace[inner.name] = function(inner)
        if computed is not None and inner is TABLE.where and args[0] in bools:
            text = as_bool(*(numbers.get(name) for name in args[1:])) or text
        lines.append(text.format(*args))
        name = f"t{len(lines) - 1}"
        (bools.add if inner.result == "bool" else bools.discard)(name)  # names of other formulas are the same
        return name

    formulas = vjp(op, complex=complex)
    used = slots(*filter(None, formulas))
    names = [*(f"x{i}" for i in range(op.arity)), "y", "g"]
    body = [f"{', '.join(f'p{i}' for i in range(op.arity))}, = self.parents"]
    if used - {op.arity + 1}:
        kept = [name if i in used else "_" for i, name in enumerate(names[:-1])]
        body.append(f"{', '.join(kept)} = {unpack}")
        if unpack == SAVED:
            counters = [name.replace("x", "c").replace("y", "c_y") for name in kept]
            body.append(f"{', '.join(counters)} = self.counters")
            body.append(f"if {' or '.join(f'{name}.count' for name in counters if name != '_')}:")
            body.append("    self.unpack()")
    values = [f"{name}[()]" for name in names[:-1]] + ["g"] if item else names
    for i, formula in enumerate(formulas):
        lines.clear()
        result = (
            "None" if formula is None else fold((formula,), var=values.__getitem__, const=let_constant, call=let)[0]
        )
        body += [f"g{i} = None", f"if p{i} is not None:"]
        body += [f"    t{n} = {line}" for n, line in enumerate(lines)]
        body.append(f"    g{i} = {result}")
    body.append(f"parts = {', '.join(f'g{i}' for i in range(op.arity))},")
    body.append("return parts if self.fit is None else self.fitted(parts)")
    source = "def pullback(self, g):\n" + "\n".join(f"    {line}" for line in body)
    exec(compile(source, f"<pullback of {op.name}>", "exec"), namespace)  # noqa: S102  our own text
    return namespace["pullback"]  # type: ignore[no-any-return]
