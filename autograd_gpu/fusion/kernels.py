"""Kernels and how they are launched: how inputs lie, and the sizes of blocks and grids."""

import re
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from math import gcd, isqrt
from operator import itemgetter
from typing import Any, NamedTuple

from ..backends import cuda, why_no_cuda
from ..dtypes import COMPLEX, FLOAT, dtype
from .axes import Axis, Shape
from .codegen import sizes
from .cuda import COLUMN_WISE, CONSTANT, DENSE, NUMBER, ROW_WISE, SHARED, STRIDED, WARP_WISE, Output, Source
from .expr import slot, substitute
from .flat import Flat, Stride
from .reductions import ELEMENT
from .rows import Rows, Tiling
from .stats import STATS

SMALL = 32768  # elements that one block sums alone
MEDIUM = 2**19  # elements that blocks sum alone of which each has some columns
KEPT = 64  # values that a thread keeps in registers, of 512 threads or fewer
EACH = 48  # of them that are enough to keep the memory busy
LONGEST = 16  # columns of a row for each thread at most: more take long to compile
ROOM = 24576  # bytes of shared memory that a block takes for what its rows share; it can have twice that
MOST = 65535  # blocks along the second and third axis of a grid
WHOLE = Tiling(512, 1, 0)  # of a row of any length, so that no other length needs another kernel
NO_WORD = re.compile(r"\W")
WIDE_INDEX = 2**31  # places from which on an index has 64 bits


class Input(NamedTuple):
    """A value that a kernel reads: which, its dtype, whether it is a number, and whether it starts at 16 bytes."""

    value: int
    dtype: dtype | None  # None for a number of the dtype computed in
    number: bool
    aligned: bool


@dataclass
class Call:
    """A launch of one kernel."""

    name: str
    text: str
    function: Any
    grid: Shape
    block: Shape
    inputs: tuple[int, ...]
    numbers: tuple[tuple[int, type], ...]  # which inputs are numbers, and what they are passed as
    sizes: tuple[int, ...]
    made: tuple[tuple[Shape, Any], ...] = ()  # shape and NumPy dtype of each output

    def __call__(self, held: list[Any], made: list[Any] | None = None) -> None:
        STATS.launches += 1
        arguments = [*self.pick(held)]
        for i, kind in self.numbers:
            if arguments[i].__class__ is not kind:
                arguments[i] = kind(arguments[i])
        if made is None:
            made = [self.array(shape, d) for shape, d in self.made]
        self.function(self.grid, self.block, (*arguments, *made, *self.sizes))
        held += made

    def __post_init__(self) -> None:
        self.array = cuda().xp.ndarray  # not yet filled; cupy.empty takes longer
        self.pick = picker(self.inputs)


def picker(places: Sequence[int]) -> Callable[[Sequence[Any]], Sequence[Any]]:
    """What takes the values at ``places`` out of a sequence."""
    if len(places) > 1:
        return itemgetter(*places)
    return lambda values: [values[i] for i in places]


def compiled(
    name: str, text: str, computed: dtype, inputs: list[Input], grid: Shape, block: Shape, sizes: tuple[int, ...]
) -> Call:
    """The Call of a kernel that ``text``, with KERNEL for its name, defines."""
    name = f"{re.sub(NO_WORD, '_', name)}_{zlib.crc32(text.encode()) & 0xFFFF:04x}"
    text = text.replace("KERNEL", name)
    kind = {COMPLEX: complex, FLOAT: float}.get(computed.category, int)
    numbers = tuple((i, kind if x.dtype is None else int) for i, x in enumerate(inputs) if x.number)
    function = cuda().raw_kernel(text, name).kernel
    return Call(name, text, function, grid, block, tuple(x.value for x in inputs), numbers, sizes)


def kernels_made() -> int:
    """How many kernels were compiled so far."""
    return cuda().kernels_made() if why_no_cuda() is None else 0


def source_of(
    outputs: Sequence[Output],
    inputs: Sequence[Input],
    layouts: str,
    computed: dtype,
    shared: tuple[tuple[bool, bool], ...] = (),
) -> Source:
    """The Source of ``outputs``, whose slots are values, in terms of the places of ``inputs``."""
    known = {slot(x.value): slot(i) for i, x in enumerate(inputs)}
    own = tuple(replace(output, formula=substitute(output.formula, known)) for output in outputs)
    return Source("KERNEL", own, tuple(x.dtype for x in inputs), layouts, computed, shared)


def power_of_two(n: int) -> int:
    """The smallest one that is ``n`` or more."""
    return 1 << max(n - 1, 0).bit_length()


def blocks_for(n: int, each: int) -> int:
    """How many blocks of ``each`` cover ``n``; one at least."""
    return max(-(-n // each), 1)


# --- values in a row of memory ---------------------------------------------------------------------------


def flat_layouts(axes: list[Axis], inputs: Sequence[Input]) -> str | None:
    """How inputs lie for a flat kernel; None where it has to be another."""
    if len(axes) > 1:
        return None
    strides = axes[0].strides if axes else (0,) * len(inputs)
    letters = [
        NUMBER if x.number else {0: CONSTANT, 1: DENSE}.get(stride, STRIDED)
        for x, stride in zip(inputs, strides, strict=True)
    ]
    return None if STRIDED in letters else "".join(letters)


class Line(NamedTuple):
    """The sizes of a flat launch."""

    layouts: str
    size: int
    vector: int
    threads: int
    blocks: int

    @classmethod
    def of(cls, outputs: list[Output], inputs: list[Input], layouts: str, size: int) -> "Line":
        """Those that fit: as many values at a time as 16 bytes hold, and one block for a small sum."""
        sums = any(output.reduction is not None for output in outputs)
        stored = [o.dtype for o in outputs if o.reduction is None]
        read = [x for x, letter in zip(inputs, layouts, strict=True) if letter == DENSE]
        widest = max((d.numpy.itemsize for d in (*stored, *(x.dtype for x in read)) if d is not None), default=16)
        _, large = sizes(tuple(output.formula for output in outputs))  # each neighbour has its own copy of the text
        vector = max(16 // widest, 1) if large < 2 and all(x.aligned for x in read) else 1
        threads = 1024 if sums and size <= SMALL else 256
        blocks = blocks_for(size, threads * vector)
        if sums:
            blocks = 1 if size <= SMALL else min(blocks_for(size, 4 * threads * vector), 8 * cuda().processors())
        return cls(layouts, size, vector, threads, blocks)

    def call(self, name: str, outputs: list[Output], inputs: list[Input], computed: dtype) -> Call:
        """The launch of the kernel."""
        index = "long long" if self.size + self.blocks * self.threads * self.vector >= WIDE_INDEX else "int"
        source = source_of(outputs, inputs, self.layouts, computed)
        text = Flat(source, Stride(self.threads, self.vector, index)).text()
        return compiled(name, text, computed, inputs, (self.blocks,), (self.threads,), (self.size,))


# --- rows and columns ------------------------------------------------------------------------------------


class Grid(NamedTuple):
    """Batches of rows, in the order in which they are taken; ``swapped`` if results lie row by row of batches."""

    batches: Axis
    rows: Axis
    columns: Axis
    swapped: bool

    @property
    def sharing(self) -> Shape:
        """How many neighbouring batches, rows and columns share elements, where some do; else ()."""
        if not any(axis.shared for axis in self[:3]):
            return ()
        return tuple(max(axis.shared, default=1) for axis in self[:3])

    def shares(self, i: int) -> tuple[bool, bool, bool]:
        """Whether neighbouring batches, rows and columns share elements of input ``i``."""
        batches, rows, columns = (bool(axis.shared) and axis.shared[i] > 1 for axis in self[:3])
        return batches, rows, columns


def rows_layout(grid: Grid, i: int, vector: int) -> tuple[str, tuple[int, ...]]:
    """How input ``i``, an array, lies for a kernel of rows, and the strides that the kernel is given."""
    batch, row, column = (axis.strides[i] for axis in grid[:3])
    if grid.shares(i)[2]:
        return (SHARED if grid.columns.shared[i] % (32 * vector) else WARP_WISE), (batch, row, column)
    if column not in (0, 1):
        return STRIDED, (batch, row, column)
    if row:
        return (DENSE if column else ROW_WISE), (batch, row)
    return (COLUMN_WISE if column else CONSTANT), (batch,)


def vector_of(outputs: list[Output], inputs: list[Input], grid: Grid) -> int:
    """How many neighbouring columns are read and written at once: 16 bytes, where all lies so."""
    side_by_side = [(i, x) for i, x in enumerate(inputs) if not x.number and grid.columns.strides[i] == 1]
    own = [(i, x) for i, x in side_by_side if not grid.shares(i)[2]]
    stored = [o.dtype for o in outputs if o.reduction is None and o.level == ELEMENT]
    widest = max((d.numpy.itemsize for d in (*stored, *(x.dtype for _, x in own)) if d is not None), default=16)
    steps = [grid.columns.size, *(count for count in grid.columns.shared if count != 1)]
    steps += [axis.strides[i] for i, _ in own for axis in (grid.batches, grid.rows)]
    return gcd(min(16 // widest, 4), *steps) if all(x.aligned for _, x in own) else 1


def batch_blocks(batches: int) -> int:
    """How many blocks share the batches; one at least."""
    return max(min(batches, MOST), 1)


class Tiles(NamedTuple):
    """The sizes of a launch over rows: ``tiles`` blocks share the columns, ``splits`` the rows."""

    grid: Grid
    laid: list[tuple[str, Shape]]
    tiling: Tiling
    tiles: int
    splits: int

    @property
    def keeps_columns(self) -> bool:
        """Whether sums of each column can be formed."""
        return self.tiling.items > 0

    @classmethod
    def of(cls, outputs: list[Output], inputs: list[Input], grid: Grid, *, along: bool) -> "Tiles":
        """Those that fit; ``along`` rows there are reductions, so that blocks must not share a row."""
        vector = vector_of(outputs, inputs, grid)
        laid = [(NUMBER, ()) if x.number else rows_layout(grid, i, vector) for i, x in enumerate(inputs)]
        letters = [letter for letter, _ in laid]
        batches, rows, columns = (axis.size for axis in grid[:3])
        sums = any(output.reduction is not None for output in outputs)
        by_column = any(output.by_column for output in outputs)
        if along:
            values = sum(letter in (DENSE, STRIDED, COLUMN_WISE) for letter in letters)
            values += sum(output.by_column for output in outputs)
            read = [x.dtype for x, letter in zip(inputs, letters, strict=True) if letter == COLUMN_WISE]
            tiling = row_tiling(columns, max(values, 1), vector, sum(d.numpy.itemsize for d in read if d is not None))
        else:
            tiling = column_tiling(grid, vector, letters, sums=sums, by_column=by_column)
        if along and batches * rows == 1 and not by_column:
            tiling = WHOLE
        tiles = 1 if along else blocks_for(columns, tiling.width * tiling.items)
        together = sums and (rows * columns <= SMALL if along else alone(rows, columns))
        splits = 1 if together else row_splits(rows, outputs, letters, tiling, tiles * batch_blocks(batches))
        return cls(grid, laid, tiling, tiles, min(splits, MOST))

    def call(self, name: str, outputs: list[Output], inputs: list[Input], computed: dtype) -> Call:
        """The launch of the kernel."""
        batches, rows, columns = (axis.size for axis in self.grid[:3])
        sharing = self.grid.sharing
        shared = tuple(self.grid.shares(i)[:2] for i in range(len(inputs))) if sharing else ()
        source = source_of(outputs, inputs, "".join(letter for letter, _ in self.laid), computed, shared)
        strides = [stride for _, own in self.laid for stride in own]
        lines = (1, batches) if self.grid.swapped else (rows, 1)
        return compiled(
            name,
            Rows(source, self.tiling).text(),
            computed,
            inputs,
            (self.tiles, self.splits, batch_blocks(batches)),
            (self.tiling.width, self.tiling.height),
            (*strides, batches, rows, columns, *lines, *sharing),
        )


def column_tiling(grid: Grid, vector: int, letters: list[str], *, sums: bool, by_column: bool) -> Tiling:
    """How a block's threads share rows and columns that need nothing of each other but sums of columns.

    Where there are values of each row, a thread reads them for several columns at once.
    """
    batches, rows, columns = (axis.size for axis in grid[:3])
    few = power_of_two(rows) if rows <= 4 else 1024
    if by_column and alone(rows, columns) and batches * columns <= 1024 * cuda().processors():
        return Tiling(32, min(32, few), 1)  # one block has all rows, so many threads share them
    items = 4 if vector == 1 and ROW_WISE in letters and not sums and columns >= 128 else vector
    width = min(across(-(-columns // items)), 64 if sums or COLUMN_WISE in letters else 256)
    return Tiling(width, max(min(256 // width, few), 32 // width, 1), items, vector)


def alone(rows: int, columns: int) -> bool:
    """Whether blocks of which each has some columns sum all rows without taking long."""
    return rows <= 1024 and rows * columns <= MEDIUM


def row_splits(rows: int, outputs: list[Output], letters: list[str], tiling: Tiling, others: int) -> int:
    """How many blocks share the rows, each of which ``others`` share along other axes."""
    steps = blocks_for(rows, tiling.height)
    processors: int = cuda().processors()
    waves = max(4096 // tiling.threads * processors // others, 1)  # twice as many as run at once
    most = max(blocks_for(steps, 4), waves)
    if any(output.by_column for output in outputs):  # what they leave is summed in about as many steps
        most = max(min(isqrt(32 * steps), blocks_for(steps, 8)), processors // others)
    elif COLUMN_WISE in letters:  # is read again by each block
        most = max(blocks_for(rows, 16 * letters.count(COLUMN_WISE)), processors // others)
    sums = any(output.reduction is not None for output in outputs)
    return min(steps, most, waves) if sums else min(steps, most)


def across(pieces: int) -> int:
    """How many threads take so many pieces of a row: a power of two, or whole warps."""
    return power_of_two(pieces) if pieces <= 32 else -(-pieces // 32) * 32


def row_tiling(columns: int, values: int, vector: int = 1, shared: int = 0) -> Tiling:
    """How a block's threads share rows of ``columns``, each keeping so many ``values`` of a column.

    A block has more rows at a time where rows share values of ``shared`` bytes a column, for which it has room.
    """
    pieces = -(-columns // vector)
    each = max(min(LONGEST, EACH // values) // vector, 1)  # pieces for a thread
    width = max(across(-(-pieces // each)), across(min(pieces, 32)))
    if width > 512:
        width = 512 if -(-pieces // 512) * vector <= min(LONGEST, KEPT // values) else 1024
    items = -(-pieces // width) * vector
    if width > 512 and items > min(LONGEST, KEPT // 4 // values):  # it has a quarter of the registers
        return Tiling(512, 1, 0, vector)
    height = 1 if shared * width * items > ROOM else max((256 if shared else 128) // width, 1)
    return Tiling(width, height, items, vector)
