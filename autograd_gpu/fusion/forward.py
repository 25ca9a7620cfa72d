"""Forward on the device: an elementwise record, or a sum, as a program of its own."""

from functools import lru_cache
from typing import Any

import numpy as np

from .. import backends
from ..backends import cuda
from ..dtypes import REDUCED, dtype, float32
from ..dtypes import of as dtype_of
from ..modes import modes
from ..op import TABLE, Op
from .device import run, run_into
from .expr import Expr, slot
from .launch import kind_of
from .program import Program, program
from .reductions import ALL, ELEMENT, ROW, SUMS

Shape = tuple[int, ...]


@lru_cache(maxsize=4096)
def elementwise(op: Op, kinds: tuple[dtype | None, ...], computed: dtype, result: dtype) -> Program:
    """The program of ``op`` on operands of ``kinds``."""
    formula = Expr(op, *map(slot, range(op.arity)))
    inner = float32 if computed in REDUCED else computed
    return program((formula,), (ELEMENT,), kinds, (result,), inner, 1, f"fwd_{op.name}")


def compute(op: Op, operands: tuple[Any, ...], computed: dtype, result: dtype, out: Any = None) -> Any:
    """``op`` on operands cast to ``computed`` inside its kernel, the result cast to ``result`` or to ``out``'s."""
    kinds = tuple([kind_of(operand) for operand in operands])
    if out is None:
        made = elementwise(op, kinds, computed, result)
        return (made.run(operands) if modes.watch is not None else run(made, operands, None, (None,)))[0]
    made = elementwise(op, kinds, computed, dtype_of(out.dtype))
    shares = cuda().shares_memory
    if any(kind is not None and x is not out and shares(x, out) for kind, x in zip(kinds, operands, strict=True)):
        out[...] = made.run(operands)[0]
        return out
    return run_into(made, operands, out)


@lru_cache(maxsize=1024)
def summing(kind: dtype, computed: dtype, result: dtype, level: int, axes: int, *, divided: bool) -> Program:
    """The program of a sum to its target, or over the last ``axes`` axes (ROW) or all (ALL), divided by a number."""
    formula = slot(0) if level == ELEMENT else Expr(SUMS[ELEMENT, level], slot(0))
    formula = Expr(TABLE.div, formula, slot(1)) if divided else formula
    return program(
        (formula,), (level,), (kind, None)[: 1 + divided], (result,), computed, axes, "mean" if divided else "sum"
    )


def total(x: Any, axes: Shape | None, *, keepdims: bool, computed: Any, result: Any, divisor: int | None) -> Any:
    """The sum of a CuPy array over ``axes`` (None: all) in ``computed``, divided by ``divisor``, cast to ``result``."""
    over = tuple(range(x.ndim)) if axes is None else tuple(sorted(axes))
    target = tuple(1 if i in over else size for i, size in enumerate(x.shape))
    kinds = dtype_of(x.dtype), *(dtype_of(np.dtype(d)) for d in (computed, result))
    if divisor is None:
        (y,) = summing(*kinds, ELEMENT, 1, divided=False).run((x,), x.shape, (target,))
    elif over == tuple(range(x.ndim - len(over), x.ndim)) and over:
        whole = len(over) == x.ndim
        made = summing(*kinds, ALL if whole else ROW, len(over), divided=True)
        (y,) = made.run((x, divisor), x.shape, (target if whole else None,))
    else:
        wide = kinds[1]
        (y,) = summing(kinds[0], wide, wide, ELEMENT, 1, divided=False).run((x,), x.shape, (target,))
        (y,) = summing(wide, wide, kinds[2], ELEMENT, 1, divided=True).run((y, divisor), y.shape)
    return y if keepdims else y.reshape(tuple(size for i, size in enumerate(x.shape) if i not in over))


backends.Device.compute = staticmethod(compute)
backends.Device.total = staticmethod(total)
