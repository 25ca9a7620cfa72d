"""Forward on the device: an elementwise record, or a reduction, as a program of its own."""

from collections.abc import Callable
from functools import lru_cache
from math import prod
from typing import Any

import numpy as np

from .. import backends
from ..backends import Type, cuda
from ..dtypes import FLOAT, REDUCED, bool_, complex128, dtype, float32, float64, int64
from ..dtypes import of as dtype_of
from ..modes import modes
from ..op import TABLE, Op
from .device import prepare_alike, run, run_into
from .expr import ONE, ZERO, Expr, slot
from .launch import kind_of
from .program import Program, program
from .reductions import ALL, COUNT, ELEMENT, MAX, MIN, OVER_ALL, POSITION, ROW, SUM, SUMS, Reduction

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


class Large:
    """An operation that takes NumPy several passes, on large NumPy arrays: a program."""

    __slots__ = ("computed", "op", "result")

    def __init__(self, op: Op, type_: Type, result: Type) -> None:
        self.op, self.computed, self.result = op, type_.dtype, result.dtype

    def __call__(self, *operands: Any) -> Any:
        kinds = tuple(map(kind_of, operands))
        return elementwise(self.op, kinds, self.computed, self.result).run(operands)[0]


class Alike:
    """An operation on CuPy arrays of one type and shape, dense, and numbers: nothing is asked that is known by then."""

    __slots__ = ("array", "calls", "current", "index", "op", "result", "type")
    MAX_CALLS = 1024

    def __init__(self, op: Op, type_: Type, result: Type) -> None:
        self.op, self.type, self.result = op, type_, result
        self.current, self.index = type_.backend.current, type_.device.index
        self.array = type_.backend.xp.ndarray
        self.calls: dict[Any, Any] = {}

    def __call__(self, operands: tuple[Any, ...], shape: Shape) -> Any:
        """The result; None where operands are not so after all, or the kernel is to be watched."""
        if modes.watch is not None or self.current() != self.index:
            return None
        array = self.array
        for x in operands:
            if x.__class__ is array and (not x._c_contiguous or x.data.ptr % 16):
                return None
        kinds = (shape, *map(type, operands))
        if (call := self.calls.get(kinds)) is None and (call := self.prepare(kinds, operands, shape)) is None:
            return None
        held = [*operands]
        call(held)
        return held[-1]

    def prepare(self, kinds: Any, operands: tuple[Any, ...], shape: Shape) -> Any:
        """The launch for operands of these ``kinds``; None if it takes none, or several."""
        dtypes = tuple([kind_of(x) for x in operands])
        made = elementwise(self.op, dtypes, self.type.dtype, self.result.dtype)
        _, steps, _ = prepare_alike(made, shape, None, (None,), self.index)
        if len(steps) != 1:
            return None
        if len(self.calls) >= self.MAX_CALLS:
            self.calls.clear()
        self.calls[kinds] = steps[0]
        return steps[0]


@lru_cache(maxsize=64)
def copying(kind: dtype) -> Program:
    """The program of a copy."""
    return program((slot(0),), (ELEMENT,), (kind,), (kind,), float32 if kind in REDUCED else kind, 1, "copy")


def dense(x: Any, size: Shape | None = None) -> Any:
    """A copy of a CuPy array without gaps, the last axis innermost, and repeated to ``size``."""
    made = copying(dtype_of(x.dtype))
    return (made.run((x,), size) if modes.watch is not None else run(made, (x,), size, (None,)))[0]


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
    over = axes_of(x, axes)
    kinds = dtype_of(x.dtype), *(dtype_of(np.dtype(d)) for d in (computed, result))
    if divisor is None:
        target = tuple(1 if i in over else size for i, size in enumerate(x.shape))
        (y,) = summing(*kinds, ELEMENT, 1, divided=False).run((x,), x.shape, (target,))
    else:
        rows, level = in_rows(x, over)
        (y,) = summing(*kinds, level, rows.ndim - x.ndim + len(over), divided=True).run((rows, divisor), rows.shape)
    return shaped(y, x.shape, over, keepdims=keepdims)


def axes_of(x: Any, axes: Shape | None) -> Shape:
    """The ``axes`` of ``x``, in order; all for None."""
    return tuple(range(x.ndim)) if axes is None else tuple(sorted(axes))


def in_rows(x: Any, over: Shape) -> tuple[Any, int]:
    """A view of ``x`` whose last axes are ``over``, and the level of what is reduced over these."""
    kept = tuple(i for i in range(x.ndim) if i not in over)
    rows = x.transpose(kept + over) if over else x[..., None]  # over no axis each element is a row
    return rows, ROW if kept else ALL


def shaped(y: Any, shape: Shape, over: Shape, *, keepdims: bool) -> Any:
    """``y`` in the shape of what is reduced over the axes ``over`` of ``shape``."""
    own = tuple([1 if i in over else n for i, n in enumerate(shape) if keepdims or i not in over])
    return y if y.shape == own else y.reshape(own)


def _extreme(x: Expr, reduction: Reduction) -> Expr:
    return Expr(reduction, x)


def _place(x: Expr, reduction: Reduction) -> Expr:
    """Where in its row the first of the largest, or smallest, elements is; the first nan, if there is one."""
    y = Expr(reduction, x)
    both_nan = TABLE.logical_and(TABLE.ne(x, x), TABLE.ne(y, y))
    return Expr(MIN, TABLE.where(TABLE.logical_or(TABLE.eq(x, y), both_nan), Expr(POSITION), Expr(COUNT)))


def _number(x: Expr, reduction: Reduction, holds: Op) -> Expr:
    return Expr(reduction, Expr(TABLE.where, Expr(holds, x, ZERO), ONE, ZERO))


# of what is in a row; each with the reduction that it is made of
REDUCTIONS: dict[str, tuple[Callable[[Expr, Reduction], Expr], Reduction]] = {
    "max": (_extreme, MAX),
    "min": (_extreme, MIN),
    "argmax": (_place, MAX),
    "argmin": (_place, MIN),
    "any": (lambda x, total: Expr(TABLE.ne, _number(x, total, TABLE.ne), ZERO), SUM),
    "all": (lambda x, total: Expr(TABLE.eq, _number(x, total, TABLE.eq), ZERO), SUM),
    "count_nonzero": (lambda x, total: _number(x, total, TABLE.ne), SUM),
}
GIVES = {"any": bool_, "all": bool_, "argmax": int64, "argmin": int64, "count_nonzero": int64}
EXACT = 2**24  # from which on float32 misses integers


@lru_cache(maxsize=1024)
def reducing(name: str, kind: dtype, level: int, axes: int, *, many: bool) -> Program:
    """The program of a reduction over the last ``axes`` axes, or over all; of ``many`` elements, which are counted."""
    make, reduction = REDUCTIONS[name]
    computed = float32 if kind in REDUCED else kind if kind.category >= FLOAT else int64
    if many and GIVES.get(name) is int64 and computed.category >= FLOAT:
        computed = complex128 if computed.is_complex else float64
    formula = make(slot(0), OVER_ALL[reduction] if level == ALL else reduction)
    return program((formula,), (level,), (kind,), (GIVES.get(name, kind),), computed, axes, name)


def reduced(name: str, x: Any, axes: Shape | None, *, keepdims: bool) -> Any:
    """The reduction ``name`` of a CuPy array over ``axes`` (None: all)."""
    over = axes_of(x, axes)
    rows, level = in_rows(x, over)
    row = rows.shape[x.ndim - len(over) :]
    made = reducing(name, dtype_of(x.dtype), level, len(row), many=prod(row) >= EXACT)
    (y,) = made.run((rows,), rows.shape)
    return shaped(y, x.shape, over, keepdims=keepdims)


backends.Device.compute = staticmethod(compute)
backends.Device.dense = staticmethod(dense)
backends.Device.total = staticmethod(total)
backends.Device.reduced = staticmethod(reduced)
