"""The two kinds of kernels for the CPU: over values one after the other, and over rows and columns."""

import re
from collections.abc import Callable, Iterator

from .codegen import statements
from .cpp import Kernel, simd, store
from .cuda import COLUMN_WISE, CONSTANT, DENSE, NUMBER, ROW_WISE, STRIDED, Output, combined, joined
from .expr import Expr, fold, slot, slots, substitute
from .reductions import ELEMENT, POSITION, Reduction
from .rows import innermost

LONG = re.compile(r"\b(?!decltype|abs)\w+\(")  # in the text of an operation that takes longer than to keep its value


class Line(Kernel):
    """Writes a kernel of roots of level ELEMENT over inputs that are dense, constant or numbers.

    A part is ``width`` values. What is reduced over all leaves as a value for each part, ``out[part]``.
    """

    def body(self) -> str:
        source = self.source
        self.sizes += ["count", "width"]
        formulas = tuple(output.formula for output in source.outputs)
        lines, results = statements(formulas, {i: f"x{i}" for i in range(len(self.types))}, "scalar")
        sums = [(i, output.reduction) for i, output in enumerate(source.outputs) if output.reduction is not None]
        keep = [
            store(i, output, "place", result) if output.reduction is None else added(i, output.reduction, result)
            for i, (output, result) in enumerate(zip(source.outputs, results, strict=True))
        ]
        constants = [i for i, layout in enumerate(source.layouts) if layout == CONSTANT]
        read = [i for i, layout in enumerate(source.layouts) if layout == DENSE]
        return f"""\
{joined(self.once(i, f"in{i}") for i in constants)}
for (long long part = first; part < last; ++part) {{
const long long from = part * width, to = from + width < count ? from + width : count;
{joined(f"scalar sum{i} = {reduction.identity};" for i, reduction in sums)}
{simd([(f"sum{i}", reduction) for i, reduction in sums])}
for (long long place = from; place < to; ++place) {{
{joined(f"const {self.types[i]} x{i} = {self.types[i]}(widen(in{i}[place]));" for i in read)}
{joined(lines)}
{joined(keep)}
}}
{joined(f"out{i}[part] = sum{i};" for i, _ in sums)}
}}
"""


class Rows(Kernel):
    """Writes a kernel over batches of rows and columns.

    A part is some rows of a batch, and some of their columns where nothing is reduced along rows. Such reductions
    run stage by stage: those whose operand needs no other, then those that need these; what takes long to compute
    and is wanted again in a later stage, is kept for the row. What is reduced over rows leaves once for each split
    of these, ``out[split, batch, column]``, and what is reduced over all as ``out[part, batch]``.
    """

    def body(self) -> str:
        source = self.source
        self.names = {i: f"x{i}" for i in range(len(source.inputs))}
        self.varying = {i for i, layout in enumerate(source.layouts) if layout in (DENSE, STRIDED, COLUMN_WISE)}
        self.kept: list[int] = []  # slots of what is kept for a row
        self.sizes += [*self.strides(), "batches", "rows", "columns", "batch_line", "row_line"]
        self.sizes += ["splits", "height", "tiles", "width"]
        arrays = [i for i, layout in enumerate(source.layouts) if layout != NUMBER]
        row = joined(self.row())
        totals = [i for i, output in enumerate(source.outputs) if output.reduction is not None and not output.by_column]
        return f"""\
{joined(self.room())}
for (long long part = first; part < last; ++part) {{
const long long batch = part / (splits * tiles), split = part / tiles % splits, tile = part % tiles;
const long long start = split * height, end = start + height < rows ? start + height : rows;
const long long base = tile * width, limit = base + width < columns ? base + width : columns;
{joined(f"const auto p{i} = in{i} + batch * batch{i};" for i in arrays)}
{joined(self.before())}
for (long long row = start; row < end; ++row) {{
const long long line = batch * batch_line + row * row_line;
{row}
}}
{joined(f"out{i}[(split * tiles + tile) * batches + batch] = sum{i};" for i in totals)}
}}
{"__builtin_free(room);" if self.kept else ""}
"""

    def strides(self) -> Iterator[str]:
        """How far batches and rows (and columns) are apart in the inputs."""
        for i, layout in enumerate(self.source.layouts):
            if layout != NUMBER:
                yield f"batch{i}"
            if layout in (ROW_WISE, DENSE, STRIDED):
                yield f"row{i}"
            if layout == STRIDED:
                yield f"column{i}"

    def room(self) -> Iterator[str]:
        """Memory for what is kept for a row."""
        if self.kept:
            yield f"scalar* const room = (scalar*)__builtin_malloc(sizeof(scalar) * {len(self.kept)} * columns);"
            yield "if (!room) return 1;"
        for n, number in enumerate(self.kept):
            yield f"scalar* __restrict__ const kept{number} = room + {n} * columns;"

    def before(self) -> Iterator[str]:
        """What is done before the rows of a part."""
        for i, layout in enumerate(self.source.layouts):
            if layout == CONSTANT:
                yield self.once(i, f"p{i}")
        for i, output in enumerate(self.source.outputs):
            if (reduction := output.reduction) is None:
                continue
            if output.by_column:
                yield f"scalar* __restrict__ const sums{i} = out{i} + (split * batches + batch) * columns;"
                yield f"for (long long column = base; column < limit; ++column) sums{i}[column] = {reduction.identity};"
            else:
                yield f"scalar sum{i} = {reduction.identity};"

    def load(self, i: int) -> str:
        """The statement that reads input ``i`` in this row and column."""
        places = {
            COLUMN_WISE: "column",
            DENSE: f"row * row{i} + column",
            STRIDED: f"row * row{i} + column * column{i}",
            ROW_WISE: f"row * row{i}",
        }
        place = places[self.source.layouts[i]]
        return f"const {self.types[i]} x{i} = {self.types[i]}(widen(p{i}[{place}]));"

    def each(
        self, roots: tuple[Expr, ...], sums: list[tuple[str, Reduction]], use: Callable[[list[str]], list[str]]
    ) -> list[str]:
        """A loop over columns that reduces to ``sums``, in which ``use`` gets the names of the values of ``roots``."""
        lines, results = statements(roots, self.names, "scalar")
        read = slots(*roots)
        return [
            simd(sums),
            "for (long long column = base; column < limit; ++column) {",
            "const long long place = line * columns + column;",
            *(self.load(i) for i in sorted(read & self.varying)),
            *(f"const scalar x{n} = kept{n}[column];" for n in self.kept if n in read),
            *lines,
            *use(list(results)),
            "}",
        ]

    def row(self) -> Iterator[str]:
        """What is done for each row."""
        for i, layout in enumerate(self.source.layouts):
            if layout == ROW_WISE:
                yield self.load(i)
        roots = tuple(output.formula for output in self.source.outputs)
        while stage := innermost(roots):
            values = [self.new("r") for _ in stage]
            known = {reduction: slot(n) for reduction, n in zip(stage, values, strict=True)}
            operands = tuple(reduction.args[0] for reduction in stage)
            roots = tuple(substitute(root, known) for root in roots)
            again = self.wanted_again(operands, roots)
            known = dict(zip(again, [slot(self.new("x")) for _ in again], strict=True))
            roots = tuple(substitute(root, known) for root in roots)
            yield from self.stage(stage, [self.names[n] for n in values], again)
            self.kept += [node.args[0] for node in known.values()]
        yield from self.results(roots)

    def new(self, letter: str) -> int:
        """The slot of a new value."""
        number = len(self.names)
        self.names[number] = f"{letter}{number}"
        return number

    def wanted_again(self, operands: tuple[Expr, ...], roots: tuple[Expr, ...]) -> list[Expr]:
        """The parts of ``operands`` that differ by column, take long to compute, and are in ``roots``, too."""
        done: dict[Expr, bool] = {}  # whether they differ by column

        def differs(op: object, *args: bool) -> bool:
            return op is POSITION or any(args)

        fold(
            operands, var=lambda n: n in self.varying or n in self.kept, const=lambda _: False, call=differs, done=done
        )
        costly = {node for node, differs in done.items() if differs and LONG.search(getattr(node.op, "cuda", ""))}
        found: dict[Expr, None] = {}
        stack = list(roots)
        seen: set[Expr] = set()
        while stack:  # from the roots on, so that of two the outer one is found
            node = stack.pop()
            if node in costly:
                found[node] = None
            elif node not in seen and node.op not in (int, float):
                seen.add(node)
                stack.extend(node.args)
        return list(found)

    def stage(self, reductions: list[Expr], names: list[str], again: list[Expr]) -> Iterator[str]:
        """Reduce the operands of ``reductions`` along the row to ``names``, and keep what is wanted ``again``."""
        sums = [(name, reduction.op) for name, reduction in zip(names, reductions, strict=True)]
        first = len(self.names) - len(again)

        def use(values: list[str]) -> list[str]:
            return [
                *(f"{name} = {combined(op, name, value)};" for (name, op), value in zip(sums, values, strict=False)),
                *(f"kept{first + n}[column] = {value};" for n, value in enumerate(values[len(sums) :])),
            ]

        yield from (f"scalar {name} = {op.identity};" for name, op in sums)
        yield from self.each((*(reduction.args[0] for reduction in reductions), *again), sums, use)

    def results(self, roots: tuple[Expr, ...]) -> Iterator[str]:
        """Store the roots, or add them to their sums."""
        outputs = self.source.outputs
        elements = [i for i, output in enumerate(outputs) if output.level == ELEMENT]
        sums = [(f"sum{i}", o.reduction) for i in elements if (o := outputs[i]).reduction and not o.by_column]

        def use(values: list[str]) -> list[str]:
            return [self.result(i, outputs[i], "place", value) for i, value in zip(elements, values, strict=True)]

        if elements:
            yield from self.each(tuple(roots[i] for i in elements), sums, use)
        others = [i for i in range(len(roots)) if i not in elements]
        lines, values = statements(tuple(roots[i] for i in others), self.names, "scalar")
        yield "{"
        yield from lines
        yield from (self.result(i, outputs[i], "line", value) for i, value in zip(others, values, strict=True))
        yield "}"

    @staticmethod
    def result(i: int, output: Output, place: str, value: str) -> str:
        """The statement that stores a root, or adds it to its sum."""
        if output.reduction is None:
            return store(i, output, place, value)
        if not output.by_column:
            return added(i, output.reduction, value)
        total = f"sums{i}[column]"
        return f"{total} = {combined(output.reduction, total, value)};"


def added(i: int, reduction: Reduction, value: str) -> str:
    """The statement that adds a value to the sum of root ``i``."""
    return f"sum{i} = {combined(reduction, f'sum{i}', value)};"
