"""Forward on the device: an elementwise record, or a sum, as a program of its own."""

from functools import lru_cache
from typing import Any

import numpy as np

from .. import backends
from ..backends import cuda
from ..dtypes import REDUCED, dtype, float32
from ..dtypes import of as dtype_of
from ..modes import modes
from ..op import Op
from .device import run, run_into
from .expr import Expr, slot
from .launch import kind_of
from .program import Program, program
from .reductions import ELEMENT

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
def copy(kind: dtype, computed: dtype, result: dtype) -> Program:
    """The program that casts, and sums if it has a target."""
    return program((slot(0),), (ELEMENT,), (kind,), (result,), computed, 1, "sum")


def total(x: Any, axes: Shape | None, *, keepdims: bool, dtype: Any) -> Any:
    """The sum of a CuPy array over ``axes`` (None: all) in ``dtype``, one of NumPy's."""
    target = tuple(1 if axes is None or i in axes else size for i, size in enumerate(x.shape))
    kind, wide = dtype_of(x.dtype), dtype_of(np.dtype(dtype))
    (y,) = copy(kind, wide, wide).run((x,), x.shape, (target,))
    return (
        y if keepdims else y.reshape(tuple(size for i, size in enumerate(x.shape) if not (axes is None or i in axes)))
    )


backends.Device.compute = staticmethod(compute)
backends.Device.total = staticmethod(total)
