"""CUDA C of a program over rows and columns, with reductions along rows, over rows and over all."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import astuple, dataclass

from .codegen import statements
from .cuda import (
    COLUMN_WISE,
    CONSTANT,
    DENSE,
    NUMBER,
    ROW_WISE,
    SEVERAL,
    SHARED,
    STORED,
    STRIDED,
    WARP_WISE,
    Source,
    block_reduction,
    combined,
    joined,
    laid_out,
)
from .expr import Expr, fold, slot, slots, substitute
from .reductions import ELEMENT, Place, Reduction, largest


@dataclass(frozen=True)
class Tiling:
    """How the threads of a block share rows: ``width`` threads a row, ``height`` rows at a time.

    Each thread has ``items`` columns of a row, kept in registers, ``vector`` neighbours of which are read and written
    at once; with 0 items it runs along the row again for each step, for rows that are too long.
    """

    width: int
    height: int
    items: int
    vector: int = 1

    @property
    def threads(self) -> int:
        return self.width * self.height


SIZES = [f"const long long {name}" for name in ("batches", "rows", "columns", "batch_line", "row_line")]
SHARING = [f"const long long {name}" for name in ("batches_shared", "rows_shared", "columns_shared")]
BY_COLUMN = DENSE, STRIDED, COLUMN_WISE, SHARED, WARP_WISE
WIDE = DENSE, COLUMN_WISE  # neighbouring columns are neighbours in memory


class Rows:
    """Writes a kernel over rows and columns, of which each block takes every so many rows.

    Reductions along a row run stage by stage: those whose operand needs no other, then those that need these.
    Sums over rows are kept in registers and leave as a part for each block (``out[block, batch, column]``), to be
    added by another kernel; what is reduced over all leaves as ``out[block, batch]``.
    """

    def __init__(self, source: Source, tiling: Tiling) -> None:
        self.source, self.tiling = source, tiling
        self.types = source.types()
        self.functions: list[str] = []
        self.names = {i: f"x{i}" for i in range(len(source.inputs))}
        self.varying = {i for i, layout in enumerate(source.layouts) if layout in BY_COLUMN}
        self.wide = {i for i, layout in enumerate(source.layouts) if layout in WIDE}
        self.item = f"v * {tiling.vector} + j"
        self.by_column = [i for i, layout in enumerate(source.layouts) if layout == COLUMN_WISE and tiling.items]
        self.sums = [i for i, output in enumerate(source.outputs) if output.reduction is not None]

    def text(self) -> str:
        """The kernel."""
        source, tiling = self.source, self.tiling
        row = joined(self.row())
        finish = joined(self.finish())
        return laid_out(f"""\
{source.prelude(shuffles=True)}
{SEVERAL.format(count=tiling.vector)}
{"".join(self.functions)}
extern "C" __global__ void __launch_bounds__({tiling.threads}) {source.name}(
    {", ".join([*source.parameters, *self.strides(), *SIZES, *(SHARING if source.shared else ())])}) {{
    const int lane = threadIdx.x;
    const long long elements = batches * rows * columns;
    const long long base = blockIdx.x * {max(tiling.items, 1) * tiling.width}ll + lane * {tiling.vector};
    for (long long batch = blockIdx.z; batch < batches; batch += gridDim.z) {{
{joined(self.before())}
        for (long long start = blockIdx.y * {tiling.height}ll; start < rows; start += gridDim.y * {tiling.height}ll) {{
            const long long row = start + threadIdx.y, line = batch * batch_line + row * row_line;
            const bool live = row < rows;
{row}
        }}
{finish}
    }}
}}
""")

    def strides(self) -> Iterator[str]:
        """The kernel's parameters that say how far batches and rows (and columns) are apart in the inputs."""
        for i, layout in enumerate(self.source.layouts):
            if layout != NUMBER:
                yield f"const long long batch{i}"
            if layout in (ROW_WISE, DENSE, STRIDED, SHARED, WARP_WISE):
                yield f"const long long row{i}"
            if layout in (STRIDED, SHARED, WARP_WISE):
                yield f"const long long column{i}"

    def load(self, i: int, place: str) -> str:
        return f"{self.types[i]}(widen(p{i}[{place}]))"

    def live(self, i: int, column: str = "column") -> str:
        """The element of input ``i`` in this row, if there is such a row."""
        return f"live ? {self.load(i, self.at(i, column))} : {self.types[i]}(0)"

    def at(self, i: int, column: str) -> str:
        """Where the element of input ``i`` lies that ``row`` and ``column`` name."""
        match self.source.layouts[i]:
            case "c":
                return column
            case "d":
                return f"{self.row_of(i)} + {column}"
            case "p" | "w":
                return f"{self.row_of(i)} + (int){column} / (int)columns_shared * column{i}"
        return f"{self.row_of(i)} + {column} * column{i}"

    def several(self, i: int) -> str:
        """The type of input ``i``'s neighbours in memory."""
        return f"Several<{STORED[self.source.inputs[i].name]}>"  # type: ignore[union-attr]

    def read(self, i: int) -> str:
        """The neighbours of input ``i`` from the column ``from`` on."""
        return f"*reinterpret_cast<const {self.several(i)}*>(p{i} + {self.at(i, 'from')})"

    def read_live(self, i: int) -> str:
        """Read these neighbours, if there is such a row."""
        return f"{self.several(i)} in_{i} = {{}}; if (live) in_{i} = {self.read(i)};"

    def loaded(self, i: int) -> str:
        """The element of input ``i`` in this column, whose neighbours were read with it if that is possible."""
        return f"{self.types[i]}(widen(in_{i}.values[j]))" if i in self.wide else self.live(i)

    def row_of(self, i: int) -> str:
        """How far this row of input ``i`` is from the first."""
        return f"{self.number_of('row', i)} * row{i}"

    def number_of(self, axis: str, i: int) -> str:
        """Which batch or row of input ``i`` is in place of this one."""
        shared = bool(self.source.shared) and self.source.shared[i][axis == "row"]
        return f"((int){axis} / (int){axis}{'s' if axis == 'row' else 'es'}_shared)" if shared else axis

    def before(self) -> Iterator[str]:
        """What is done once, before any row."""
        items = self.tiling.items
        for i, layout in enumerate(self.source.layouts):
            if layout == NUMBER:
                yield f"const {self.types[i]} x{i} = {self.types[i]}(in{i});"
                continue
            yield f"const auto p{i} = in{i} + {self.number_of('batch', i)} * batch{i};"
            if layout == CONSTANT:
                yield from self.source.once(i, self.types[i], f"p{i}", f"(threadIdx.y * {self.tiling.width} + lane)")
        if self.by_column:
            yield from self.keep()
        for i in self.sums:
            output = self.source.outputs[i]
            count = f"[{items}]" if output.by_column else ""
            yield f"scalar sum{i}{count};"
            start = f"= {self.source.identity(output.reduction)};"  # type: ignore[arg-type]
            yield f"for (int k = 0; k < {items}; ++k) sum{i}[k] {start}" if count else f"sum{i} {start}"

    def keep(self) -> Iterator[str]:
        """Read what has a value for each column, which one row of the block's threads does for all, and keep it."""
        width, height, items, vector = astuple(self.tiling)
        read = {i: self.read(i) for i in self.by_column}
        if height > 1:
            yield "__syncthreads();"
            for i in self.by_column:
                yield f"__shared__ {self.several(i)} staged{i}[{items // vector * width}];"
            own = (f"staged{i}[v * {width} + lane] = {read[i]};" for i in self.by_column)
            yield from ["if (threadIdx.y == 0) {", *self.columns([], own), "}", "__syncthreads();"]
            read = {i: f"staged{i}[v * {width} + lane]" for i in self.by_column}
        for i in self.by_column:
            yield f"{self.types[i]} kept{i}[{items}];"
        yield from self.columns(
            [f"kept{i}[{self.item}] = {self.loaded(i)};" for i in self.by_column],
            [f"const {self.several(i)} in_{i} = {value};" for i, value in read.items()],
        )

    def columns(self, body: list[str], before: Iterable[str] = (), after: Iterable[str] = ()) -> list[str]:
        """A loop over this thread's columns of a row; ``before`` and ``after`` are done once for neighbours."""
        width, _, items, vector = astuple(self.tiling)
        own = [*before, *after]
        if body:
            each = f"for (int j = 0; j < {vector}; ++j) {{"
            own = [*before, "#pragma unroll", each, "const long long column = from + j;", *body, "}", *after]
        if not items:
            step = width * vector
            return [f"for (long long from = lane * {vector}; from < columns; from += {step}) {{", *own, "}"]
        return [
            "#pragma unroll",
            f"for (int v = 0; v < {items // vector}; ++v) {{",
            f"const long long from = base + v * {width * vector};",
            "if (from < columns) {",
            *own,
            "}",
            "}",
        ]

    def each(
        self,
        roots: tuple[Expr, ...],
        use: Callable[[list[str]], list[str]],
        before: Iterable[str] = (),
        after: Iterable[str] = (),
    ) -> list[str]:
        """A loop over columns in which ``use`` gets the names of the values of ``roots``.

        What is the same in all columns is computed first.
        """
        differing: dict[Expr, bool] = {}
        fold(
            roots,
            var=self.varying.__contains__,
            const=lambda _: False,
            call=lambda op, *args: isinstance(op, Place) or any(args),
            done=differing,
        )
        alike = largest(roots, lambda node: not differing[node])
        first, values = statements(tuple(alike), self.names, self.source.constant)
        numbers = range(len(self.names), len(self.names) + len(alike))
        names = self.names | {n: f"x{n}" for n in numbers}
        first += [f"const auto {names[n]} = {value};" for n, value in zip(numbers, values, strict=True)]
        known = dict(zip(alike, map(slot, numbers), strict=True))
        roots = tuple(substitute(root, known) for root in roots)
        lines, results = statements(roots, names, self.source.constant)
        read = sorted(slots(*roots) & self.varying)
        once = [i for i in read if self.source.layouts[i] in (SHARED, WARP_WISE)]
        reads = [self.read_live(i) for i in read if i in self.wide and not self.tiling.items]
        reads += [f"const {self.types[i]} x{i} = {self.shared(i)};" for i in once]
        loads = [f"const {self.types[i]} x{i} = {self.value(i)};" for i in read if i not in once]
        place = "const long long place = line * columns + column;"
        loop = self.columns([place, *loads, *lines, *use(list(results))], [*reads, *before], after)
        return ["{", *first, *loop, "}"] if first else loop

    def shared(self, i: int) -> str:
        """The element of input ``i`` that neighbouring columns of this row share."""
        if self.source.layouts[i] == SHARED:
            return self.live(i, "from")
        # all threads of a warp are at columns of the row, or none is
        return f"first(lane % 32 == 0 ? {self.live(i, 'from')} : {self.types[i]}(0), 32)"

    def value(self, i: int) -> str:
        """The element of input ``i`` in this row and column."""
        return f"kept{i}[{self.item}]" if self.tiling.items else self.loaded(i)

    def row(self) -> Iterator[str]:
        """What is done for each row."""
        source = self.source
        width = min(self.tiling.width, 32)
        for i, layout in enumerate(source.layouts):
            if layout == ROW_WISE:
                kind = self.types[i]
                yield f"{kind} x{i} = {kind}(0);"
                yield f"if (lane % {width} == 0 && live) x{i} = {self.load(i, self.row_of(i))};"
                yield f"x{i} = first(x{i}, {width});"
        if self.tiling.items:
            kept = [i for i, layout in enumerate(source.layouts) if layout in (DENSE, STRIDED)]
            yield from (f"{self.types[i]} kept{i}[{self.tiling.items}];" for i in kept)
            yield from self.columns(
                [f"kept{i}[{self.item}] = {self.loaded(i)};" for i in kept],
                [self.read_live(i) for i in kept if i in self.wide],
            )
        roots = tuple(output.formula for output in source.outputs)
        while stage := innermost(roots):
            yield from self.stage(stage)
            known = {reduction: slot(n) for reduction, n in zip(stage, self.new_slots(len(stage)), strict=True)}
            roots = tuple(substitute(root, known) for root in roots)
        yield from self.results(roots)

    def new_slots(self, count: int) -> range:
        """The slots of the last ``count`` reductions."""
        return range(len(self.names) - count, len(self.names))

    def stage(self, reductions: list[Expr]) -> Iterator[str]:
        """Reduce the operands of ``reductions`` along the row, each to a new variable."""
        names = []
        for reduction in reductions:
            number = len(self.names)
            self.names[number] = f"r{number}"
            names.append((f"r{number}", reduction.op))
            self.functions.append(block_reduction(number, reduction.op, self.tiling.width, self.tiling.height))
            yield f"scalar r{number} = {self.source.identity(reduction.op)};"

        def use(values: list[str]) -> list[str]:
            return [f"{name} = {combined(op, name, value)};" for (name, op), value in zip(names, values, strict=True)]

        yield from self.each(tuple(reduction.args[0] for reduction in reductions), use)
        for name, _ in names:
            yield f"{name} = reduce{name[1:]}({name});"

    def results(self, roots: tuple[Expr, ...]) -> Iterator[str]:
        """Store the roots, or add them to their sums."""
        outputs = self.source.outputs
        elements = [i for i, output in enumerate(outputs) if output.level == ELEMENT]

        wide = [i for i in elements if outputs[i].reduction is None]

        def use(values: list[str]) -> list[str]:
            lines = []
            for i, value in zip(elements, values, strict=True):
                if i in wide:
                    lines.append(f"out_{i}.values[j] = {self.source.narrowed(i, value)};")
                else:
                    name = f"sum{i}[{self.item}]" if outputs[i].by_column else f"sum{i}"
                    total = combined(outputs[i].reduction, name, value)  # type: ignore[arg-type]
                    lines.append(f"if (live) {name} = {total};")
            return lines

        if elements:
            kinds = {i: f"Several<{outputs[i].stored}>" for i in wide}
            at = "line * columns + from"
            yield from self.each(
                tuple(roots[i] for i in elements),
                use,
                [f"{kind} out_{i};" for i, kind in kinds.items()],
                [f"if (live) *reinterpret_cast<{kind}*>(out{i} + {at}) = out_{i};" for i, kind in kinds.items()],
            )
        others = [i for i in range(len(roots)) if i not in elements]
        lines, values = statements(tuple(roots[i] for i in others), self.names, self.source.constant)
        yield from (f"{{ {line}" if not n else line for n, line in enumerate(lines))
        for i, value in zip(others, values, strict=True):
            if (reduction := outputs[i].reduction) is None:
                yield f"if (lane == 0 && live) {self.source.store(i, 'line', value)}"
            else:
                yield f"if (lane == 0 && live) sum{i} = {combined(reduction, f'sum{i}', value)};"
        if lines:
            yield "}"

    def finish(self) -> Iterator[str]:
        """Bring together what the threads of the block have summed, and store it."""
        tiling = self.tiling
        for i in self.sums:
            output = self.source.outputs[i]
            reduction = output.reduction
            assert reduction is not None
            yield "{"
            if output.by_column:
                yield f"__shared__ scalar shared[{tiling.height}][{tiling.width}];"
                yield "#pragma unroll"
                yield f"for (int k = 0; k < {tiling.items}; ++k) {{"
                vector = tiling.vector
                yield f"const long long column = base + k / {vector} * {tiling.width * vector} + k % {vector};"
                yield f"shared[threadIdx.y][lane] = sum{i}[k];"
                yield "__syncthreads();"
                yield "if (threadIdx.y == 0 && column < columns) {"
                yield "scalar total = shared[0][lane];"
                combine = combined(reduction, "total", "shared[y][lane]")
                yield f"for (int y = 1; y < {tiling.height}; ++y) total = {combine};"
                yield self.source.store(i, "(blockIdx.y * batches + batch) * columns + column", "total")
                yield "}"
                yield "__syncthreads();"
                yield "}"
            else:
                yield f"__shared__ scalar shared[{tiling.threads}];"
                yield f"const int thread = threadIdx.y * {tiling.width} + lane;"
                yield f"shared[thread] = sum{i};"
                yield "__syncthreads();"
                yield f"for (int left = {tiling.threads}, half; left > 1; left = half) {{"
                yield "half = (left + 1) / 2;"
                combine = combined(reduction, "shared[thread]", "shared[thread + half]")
                yield f"if (thread + half < left) shared[thread] = {combine};"
                yield "__syncthreads();"
                yield "}"
                block = "(blockIdx.y * (long long)gridDim.x + blockIdx.x) * batches + batch"
                yield f"if (thread == 0) {self.source.store(i, block, 'shared[0]')}"
            yield "}"


def innermost(roots: tuple[Expr, ...]) -> list[Expr]:
    """The reductions in ``roots`` whose operand has none, each once."""
    found: dict[Expr, None] = {}
    done: dict[Expr, bool] = {}
    fold(
        roots,
        var=lambda _: False,
        const=lambda _: False,
        call=lambda op, *args: isinstance(op, Reduction) or any(args),
        done=done,
    )
    for node, reduces in done.items():
        if reduces and isinstance(node.op, Reduction) and not done[node.args[0]]:
            found[node] = None
    return list(found)
