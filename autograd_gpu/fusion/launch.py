"""The road of the device: an op, forward and backward, as a program of its own."""

from collections.abc import Callable
from functools import lru_cache, reduce
from typing import Any

from ..dtypes import REDUCED, dtype, float32, promote_types
from ..dtypes import of as dtype_of
from ..op import Op
from .expr import Expr, slot, slots, substitute, vjp
from .program import Program, program
from .reductions import ELEMENT


def kind_of(value: Any) -> dtype | None:
    """The dtype of an array, None of a number."""
    return dtype_of(value.dtype) if hasattr(value, "dtype") else None


def elementwise(name: str, formulas: tuple[Expr, ...], kinds: tuple[dtype | None, ...], result: dtype) -> Program:
    """The program of formulas of slots of ``kinds`` that all have ``result`` for their dtype."""
    computed = float32 if result in REDUCED else result
    return program(formulas, (ELEMENT,) * len(formulas), kinds, (result,) * len(formulas), computed, 1, name)


@lru_cache(maxsize=4096)
def backward(
    op: Op, needed: tuple[int, ...], kinds: tuple[dtype | None, ...], *, complex: bool
) -> tuple[tuple[int, ...], Program]:
    """Which slots the cotangents of the operands ``needed`` read, and the program of these."""
    formulas = tuple(formula for i in needed if (formula := vjp(op, complex=complex)[i]) is not None)
    read = tuple(sorted(slots(*formulas)))
    known = {slot(number): slot(i) for i, number in enumerate(read)}
    result = reduce(promote_types, (d for d in kinds if d is not None))
    return read, elementwise(
        f"bwd_{op.name}",
        tuple(substitute(formula, known) for formula in formulas),
        tuple(kinds[number] for number in read),
        result.to_complex() if complex else result,
    )


def kernel_pullback(op: Op, *, complex: bool = False) -> Callable[[Any, Any], tuple[Any, ...]]:
    """The method ``pullback(self, g)`` of ``op``'s nodes on the device: one launch for all operands."""
    formulas, cotangent = vjp(op, complex=complex), slot(op.arity + 1)

    def pullback(self: Any, g: Any) -> tuple[Any, ...]:
        values = (*(self.unpack() or (None,) * (op.arity + 1)), g)
        parts = [
            g if p is not None and formula is cotangent else None
            for p, formula in zip(self.parents, formulas, strict=False)
        ]
        needed = tuple(i for i, p in enumerate(self.parents) if p is not None and formulas[i] not in (None, cotangent))
        if needed:
            read, made = backward(op, needed, tuple([kind_of(value) for value in values]), complex=complex)
            for i, part in zip(needed, made.run([values[i] for i in read], g.shape), strict=True):
                parts[i] = part
        return tuple(parts) if self.fit is None else self.fitted(tuple(parts))

    return pullback
