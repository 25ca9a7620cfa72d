"""Calls of compiled kernels on the CPU: how the work is divided into parts, and what becomes of these."""

import re
from collections.abc import Callable
from ctypes import c_double, c_longlong, c_void_p
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, ClassVar

import numpy as np

from ..dtypes import dtype
from ..modes import modes
from . import loops
from .axes import Shape
from .compiler import COMPILER
from .cpp import Kernel
from .cuda import NUMBER, STRIDED, Output
from .kernels import Grid, Input, rows_layout, source_of
from .lanes import BESIDE, LANES, Lanes
from .threads import THREADS

PART = 1 << 14  # elements of a part of the work, of which a thread does several
SPLITS = 64  # parts of rows, at most, for which sums of each column are kept apart
ROWS = 64  # rows of such a part, at least: each zeroes and leaves a row of sums
SHORT = 24  # columns of a row, at most, for which neighbouring rows are computed at a time instead of columns
BLOCK = 64  # columns of a part where an input has them far apart, so that the lines read are still there a row later
NO_WORD = re.compile(r"\W")


@dataclass
class Call:
    """A call of a kernel, shared among threads; what its parts leave is brought together by NumPy."""

    function: Callable[..., int]
    arrays: tuple[int, ...]  # which values are passed as arrays, real numbers and integers
    reals: tuple[int, ...]
    integers: tuple[int, ...]
    sizes: tuple[int, ...]
    parts: int
    elements: int
    left: tuple[tuple[Shape, np.ufunc] | None, ...]  # for each output that is reduced, the shape of its parts
    computed: dtype
    made: tuple[tuple[Shape, Any], ...] = ()  # shape and NumPy dtype of each output

    def __post_init__(self) -> None:
        self.pointers = c_void_p * (len(self.arrays) + len(self.left))
        self.numbers = c_double * max(len(self.reals), 1)
        self.lengths = c_longlong * (len(self.sizes) + len(self.integers))

    def __call__(self, held: list[Any]) -> None:
        outputs = [
            modes.quiet(np.empty, *((shape, d) if left is None else (left[0], self.computed.numpy)))
            for (shape, d), left in zip(self.made, self.left, strict=True)
        ]
        arrays = [held[i] for i in self.arrays] + outputs
        arguments = (
            self.pointers(*[array.ctypes.data for array in arrays]),
            self.numbers(*[held[i] for i in self.reals]),
            self.lengths(*self.sizes, *[int(held[i]) for i in self.integers]),
        )
        if THREADS.share(self.function, arguments, self.parts, self.elements):
            raise MemoryError(f"no memory for a row of {self.sizes}")
        for array, (shape, d), left in zip(outputs, self.made, self.left, strict=True):
            held.append(array if left is None else modes.quiet(brought_together, left[1], array, shape, d))


def brought_together(ufunc: np.ufunc, parts: np.ndarray, shape: Shape, d: Any) -> np.ndarray:
    """What parts of a sum (or an extreme) come to."""
    return ufunc.reduce(parts, axis=0).astype(d, copy=False).reshape(shape)  # type: ignore[no-any-return]


def function_of(kernel: Kernel, name: str) -> Callable[..., int]:
    """The function of a kernel whose Source names it KERNEL; CannotCompile if it cannot be compiled."""
    name = f"{re.sub(NO_WORD, '_', name)}_kernel"
    function = COMPILER.function(kernel.text().replace("KERNEL", name), name)
    function.argtypes = [c_void_p] * 3 + [c_longlong] * 2
    return function  # type: ignore[no-any-return]


def compiled(
    kind: type[Kernel],
    name: str,
    outputs: list[Output],
    inputs: list[Input],
    layouts: str,
    computed: dtype,
) -> Callable[..., Call]:
    """What makes the Call of a kernel, once its sizes are given; CannotCompile if it cannot be compiled."""
    outputs = [output if output.reduction is None else replace(output, dtype=computed) for output in outputs]
    source = source_of(outputs, inputs, layouts, computed)
    return partial(
        Call,
        function_of(kind(source), name),
        tuple(x.value for x in inputs if not x.number),
        tuple(x.value for x in inputs if x.number and x.dtype is None),
        tuple(x.value for x in inputs if x.number and x.dtype is not None),
        computed=computed,
    )


@dataclass(frozen=True)
class Line:
    """The sizes of a call for values one after the other."""

    layouts: str
    size: int
    blocks: ClassVar[int] = 1  # what is summed leaves as one value

    @classmethod
    def of(cls, _outputs: list[Output], _inputs: list[Input], layouts: str, size: int) -> "Line":
        """Those of ``size`` values."""
        return cls(layouts, size)

    def call(self, name: str, outputs: list[Output], inputs: list[Input], computed: dtype) -> Call:
        """The call of the kernel."""
        parts = -(-self.size // PART)
        left = tuple(None if o.reduction is None else ((parts,), o.reduction.numpy) for o in outputs)
        return compiled(loops.Line, name, outputs, inputs, self.layouts, computed)(
            sizes=(self.size, PART), parts=parts, elements=self.size, left=left
        )


@dataclass(frozen=True)
class Tiles:
    """The sizes of a call for rows and columns: parts have ``height`` rows and ``width`` columns."""

    kind: type[loops.Rows]
    grid: Grid
    laid: list[tuple[str, Shape]]
    height: int
    width: int
    keeps_columns: ClassVar[bool] = True
    tiles: ClassVar[int] = 1  # as blocks share columns and rows on a device: here what is summed leaves as one value
    splits: ClassVar[int] = 1

    @classmethod
    def of(cls, outputs: list[Output], inputs: list[Input], grid: Grid, *, along: bool) -> "Tiles":
        """Those that fit; ``along`` rows there are reductions, so that parts have all columns."""
        laid = [(NUMBER, ()) if x.number else rows_layout(grid, i, 1) for i, x in enumerate(inputs)]
        rows, columns = grid.rows.size, grid.columns.size
        across = [letter == STRIDED and strides[1] == 1 for letter, strides in laid]
        kind = loops.Rows
        if along and rows >= LANES and (columns <= SHORT or any(across)):
            kind = Lanes
            laid = [
                (BESIDE, (strides[0], strides[2])) if flag else (letter, strides)
                for flag, (letter, strides) in zip(across, laid, strict=True)
            ]
        widest = BLOCK if any(letter == STRIDED for letter, _ in laid) else PART
        width = max(columns, 1) if along else min(max(columns, 1), widest)
        height = max(PART // width, 1)
        if any(output.by_column for output in outputs):
            height = max(height, -(-rows // SPLITS), ROWS)
        if kind is Lanes:
            height = -(-height // LANES) * LANES
        return cls(kind, grid, laid, height, width)

    def call(self, name: str, outputs: list[Output], inputs: list[Input], computed: dtype) -> Call:
        """The call of the kernel."""
        batches, rows, columns = (axis.size for axis in self.grid[:3])
        splits, tiles = -(-rows // self.height), -(-columns // self.width)
        strides = [stride for _, own in self.laid for stride in own]
        lines = (1, batches) if self.grid.swapped else (rows, 1)
        left = tuple(
            None
            if o.reduction is None
            else ((splits, batches, columns) if o.by_column else (splits * tiles, batches), o.reduction.numpy)
            for o in outputs
        )
        layouts = "".join(letter for letter, _ in self.laid)
        return compiled(self.kind, name, outputs, inputs, layouts, computed)(
            sizes=(*strides, batches, rows, columns, *lines, splits, self.height, tiles, self.width),
            parts=batches * splits * tiles,
            elements=batches * rows * columns,
            left=left,
        )
