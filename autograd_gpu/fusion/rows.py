"""CUDA C of a program over rows and columns, with reductions along rows, over rows and over all."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from .codegen import statements
from .cuda import (
    COLUMN_WISE,
    CONSTANT,
    DENSE,
    NUMBER,
    ROW_WISE,
    SHARED,
    STRIDED,
    WARP_WISE,
    Source,
    block_reduction,
    combined,
    joined,
    laid_out,
)
from .expr import Expr, fold, slot, slots, substitute
from .reductions import ELEMENT, Reduction


@dataclass(frozen=True)
class Tiling:
    """How the threads of a block share rows: ``width`` threads a row, ``height`` rows at a time.

    Each thread has ``items`` columns of a row, kept in registers; with 0 items it runs along the row again for
    each step, for rows that are too long.
    """

    width: int
    height: int
    items: int

    @property
    def threads(self) -> int:
        return self.width * self.height


SIZES = [f"const long long {name}" for name in ("batches", "rows", "columns", "batch_line", "row_line")]
SHARING = [f"const long long {name}" for name in ("batches_shared", "rows_shared", "columns_shared")]
BY_COLUMN = DENSE, STRIDED, COLUMN_WISE, SHARED, WARP_WISE


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
        self.sums = [i for i, output in enumerate(source.outputs) if output.reduction is not None]

    def text(self) -> str:
        """The kernel."""
        source, tiling = self.source, self.tiling
        row = joined(self.row())
        finish = joined(self.finish())
        return laid_out(f"""\
{source.prelude(shuffles=True)}
{"".join(self.functions)}
extern "C" __global__ void __launch_bounds__({tiling.threads}) {source.name}(
    {", ".join([*source.parameters, *self.strides(), *SIZES, *(SHARING if source.shared else ())])}) {{
    const int lane = threadIdx.x;
    const long long elements = batches * rows * columns;
    const long long base = blockIdx.x * {max(tiling.items, 1) * tiling.width}ll;
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

    def live(self, i: int) -> str:
        """The element of input ``i`` in this row, if there is such a row."""
        return f"live ? {self.load(i, self.at(i))} : {self.types[i]}(0)"

    def at(self, i: int) -> str:
        """Where the element of input ``i`` lies that ``row`` and ``column`` name."""
        match self.source.layouts[i]:
            case "c":
                return "column"
            case "d":
                return f"{self.row_of(i)} + column"
            case "p" | "w":
                return f"{self.row_of(i)} + (int)column / (int)columns_shared * column{i}"
        return f"{self.row_of(i)} + column * column{i}"

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
            elif layout == COLUMN_WISE and items:
                yield f"{self.types[i]} kept{i}[{items}];"
                yield from self.columns([f"kept{i}[k] = {self.load(i, 'column')};"])
        for i in self.sums:
            output = self.source.outputs[i]
            count = f"[{items}]" if output.by_column else ""
            yield f"scalar sum{i}{count};"
            start = f"= {self.source.identity(output.reduction)};"  # type: ignore[arg-type]
            yield f"for (int k = 0; k < {items}; ++k) sum{i}[k] {start}" if count else f"sum{i} {start}"

    def columns(self, body: list[str]) -> list[str]:
        """A loop over this thread's columns of a row."""
        tiling = self.tiling
        if not tiling.items:
            return [f"for (long long column = lane; column < columns; column += {tiling.width}) {{", *body, "}"]
        return [
            "#pragma unroll",
            f"for (int k = 0; k < {tiling.items}; ++k) {{",
            f"const long long column = base + lane + k * {tiling.width};",
            "if (column < columns) {",
            *body,
            "}",
            "}",
        ]

    def each(self, roots: tuple[Expr, ...], use: Callable[[list[str]], list[str]]) -> list[str]:
        """A loop over columns in which ``use`` gets the names of the values of ``roots``."""
        lines, results = statements(roots, self.names, self.source.constant)
        read = sorted(slots(*roots) & self.varying)
        loads = [f"const {self.types[i]} x{i} = {self.value(i)};" for i in read]
        place = "const long long place = line * columns + column;"
        return self.columns([place, *loads, *lines, *use(list(results))])

    def value(self, i: int) -> str:
        """The element of input ``i`` in this row and column."""
        match self.source.layouts[i]:
            case "w":  # all threads of a warp are at columns of the row, or none is
                return f"first(lane % 32 == 0 ? {self.live(i)} : {self.types[i]}(0), 32)"
            case "p":
                return self.live(i)
        return f"kept{i}[k]" if self.tiling.items else self.live(i)

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
            yield from self.columns([f"kept{i}[k] = {self.live(i)};" for i in kept])
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

        def use(values: list[str]) -> list[str]:
            lines = []
            for i, value in zip(elements, values, strict=True):
                if (reduction := outputs[i].reduction) is None:
                    lines.append(f"if (live) {self.source.store(i, 'place', value)}")
                else:
                    name = f"sum{i}[k]" if outputs[i].by_column else f"sum{i}"
                    lines.append(f"if (live) {name} = {combined(reduction, name, value)};")
            return lines

        if elements:
            yield from self.each(tuple(roots[i] for i in elements), use)
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
                yield f"for (int k = 0; k < {tiling.items}; ++k) {{"
                yield f"const long long column = base + lane + k * {tiling.width};"
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
                yield f"for (int half = {tiling.threads // 2}; half; half /= 2) {{"
                combine = combined(reduction, "shared[thread]", "shared[thread + half]")
                yield f"if (thread < half) shared[thread] = {combine};"
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
