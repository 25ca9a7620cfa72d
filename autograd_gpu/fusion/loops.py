"""The two kinds of kernels for the CPU: over values one after the other, and over rows and columns."""

import re
from collections.abc import Callable, Iterator, Sequence

from ..op import TABLE
from .codegen import statements
from .cpp import Kernel, Variable, simd, store
from .cuda import COLUMN_WISE, CONSTANT, DENSE, NUMBER, ROW_WISE, STRIDED, Output, combined, joined
from .expr import ONE, ZERO, Expr, fold, slot, slots, substitute
from .reductions import ELEMENT, POSITION, SUM
from .rows import innermost

PLACE = Expr(POSITION)
# Where a row of so many arrays is read several times over, memory would be idle in the last pass: while that computes
# some columns, the lines of the next row's are fetched.
STREAMS, BLOCK, LINE = 2, 64, 64  # arrays; columns; bytes of a line
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
        sums = totals(source.outputs)
        keep = [
            sums[i].add(result) if i in sums else store(i, output, "place", result)
            for i, (output, result) in enumerate(zip(source.outputs, results, strict=True))
        ]
        constants = [i for i, layout in enumerate(source.layouts) if layout == CONSTANT]
        read = [i for i, layout in enumerate(source.layouts) if layout == DENSE]
        return f"""\
{joined(self.once(i, f"in{i}") for i in constants)}
for (long long part = first; part < last; ++part) {{
const long long from = part * width, to = from + width < count ? from + width : count;
{joined(total.begin() for total in sums.values())}
{simd(list(sums.values()))}
for (long long place = from; place < to; ++place) {{
{joined(f"const {self.types[i]} x{i} = {self.types[i]}(widen(in{i}[place]));" for i in read)}
{joined(lines)}
{joined(keep)}
}}
{joined(total.end() for total in sums.values())}
{joined(f"out{i}[part] = {total.name};" for i, total in sums.items())}
}}
"""


class Rows(Kernel):
    """Writes a kernel over batches of rows and columns.

    A part is some rows of a batch, and some of their columns where nothing is reduced along rows. Such reductions
    run stage by stage: those whose operand needs no other, then those that need these; what takes long to compute
    and is wanted again in a later stage, is kept for the row. What is reduced over rows leaves once for each split
    of these, ``out[split, batch, column]``, and what is reduced over all as ``out[part, batch]``.
    """

    kept_at, at_once = "column", 1  # where what is kept for a row lies, and for how many rows there is room

    def body(self) -> str:
        source = self.source
        self.names = {i: f"x{i}" for i in range(len(source.inputs))}
        self.varying = {i for i, layout in enumerate(source.layouts) if layout not in (NUMBER, CONSTANT, ROW_WISE)}
        self.kept: list[int] = []  # slots of what is kept for a row
        self.sizes += [*self.strides(), "batches", "rows", "columns", "batch_line", "row_line"]
        self.sizes += ["splits", "height", "tiles", "width"]
        arrays = [i for i, layout in enumerate(source.layouts) if layout != NUMBER]
        self.totals = totals(source.outputs)
        rows = self.frame(joined(self.row()))
        return f"""\
{joined(self.room())}
for (long long part = first; part < last; ++part) {{
const long long batch = part / (splits * tiles), split = part / tiles % splits, tile = part % tiles;
const long long start = split * height, end = start + height < rows ? start + height : rows;
const long long base = tile * width, limit = base + width < columns ? base + width : columns;
{joined(f"const auto p{i} = in{i} + batch * batch{i};" for i in arrays)}
{joined(self.before())}
{rows}
{joined(total.end() for total in self.totals.values())}
{joined(f"out{i}[(split * tiles + tile) * batches + batch] = {total.name};" for i, total in self.totals.items())}
}}
{"__builtin_free(room);" if self.kept else ""}
"""

    def frame(self, row: str) -> str:
        """The loop over rows."""
        return f"""\
for (long long row = start; row < end; ++row) {{
const long long line = batch * batch_line + row * row_line;
{row}
}}"""

    def strides(self) -> Iterator[str]:
        """How far batches and rows (and columns) are apart in the inputs."""
        for i, layout in enumerate(self.source.layouts):
            if layout != NUMBER:
                yield from self.strides_of(i)

    def strides_of(self, i: int) -> Iterator[str]:
        """Those of input ``i``."""
        layout = self.source.layouts[i]
        yield f"batch{i}"
        if layout in (ROW_WISE, DENSE, STRIDED):
            yield f"row{i}"
        if layout == STRIDED:
            yield f"column{i}"

    def room(self) -> Iterator[str]:
        """Memory for what is kept for a row."""
        if self.kept:
            size = f"sizeof(scalar) * {len(self.kept) * self.at_once} * columns"
            yield f"scalar* const room = (scalar*)__builtin_malloc({size});"
            yield "if (!room) return 1;"
        for n, number in enumerate(self.kept):
            yield f"scalar* __restrict__ const kept{number} = room + {n * self.at_once} * columns;"

    def before(self) -> Iterator[str]:
        """What is done before the rows of a part."""
        for i, layout in enumerate(self.source.layouts):
            if layout == CONSTANT:
                yield self.once(i, f"p{i}")
        yield from (total.begin() for total in self.totals.values())
        for i, output in enumerate(self.source.outputs):
            if output.by_column:
                start = output.reduction.identity  # type: ignore[union-attr]
                yield f"scalar* __restrict__ const sums{i} = out{i} + (split * batches + batch) * columns;"
                yield f"for (long long column = base; column < limit; ++column) sums{i}[column] = {start};"

    def load(self, i: int) -> str:
        """The statement that reads input ``i`` in this row and column."""
        places = {
            COLUMN_WISE: "column",
            DENSE: f"row * row{i} + column",
            STRIDED: f"row * row{i} + column * column{i}",
            ROW_WISE: f"row * row{i}",
        }
        return self.read(i, places[self.source.layouts[i]])

    def read(self, i: int, place: str) -> str:
        """The statement that reads input ``i`` at a place."""
        return f"const {self.types[i]} x{i} = {self.types[i]}(widen(p{i}[{place}]));"

    def load_row(self, i: int) -> Iterator[str]:
        """The statements that read input ``i``, which has a value for each row."""
        yield self.load(i)

    def column(self, roots: tuple[Expr, ...], use: Callable[[list[str]], list[str]]) -> list[str]:
        """What is done for a column of the row, in which ``use`` gets the names of the values of ``roots``."""
        lines, results = statements(roots, self.names, "scalar")
        read = slots(*roots)
        return [
            "const long long place = line * columns + column;",
            *(self.load(i) for i in sorted(read & self.varying)),
            *(f"const scalar x{n} = kept{n}[{self.kept_at}];" for n in self.kept if n in read),
            *lines,
            *use(list(results)),
        ]

    def each(
        self, roots: tuple[Expr, ...], sums: Sequence[Variable], use: Callable[[list[str]], list[str]]
    ) -> Iterator[str]:
        """A loop over columns that reduces to ``sums``."""
        yield simd(sums)
        yield "for (long long column = base; column < limit; ++column) {"
        yield from self.column(roots, use)
        yield "}"

    def ahead(self, loop: Iterator[str]) -> Iterator[str]:
        """``loop``, the last over this row's columns, in blocks, for each of which the next row's are fetched."""
        read = [(i, d) for i, d in enumerate(self.source.inputs) if d is not None and self.source.layouts[i] == DENSE]
        if len(read) < STREAMS:
            yield from loop
            return
        yield f"for (long long whole = limit, from = base; from < whole; from += {BLOCK}) {{"
        yield f"const long long base = from, limit = from + {BLOCK} < whole ? from + {BLOCK} : whole;"
        for i, d in read:
            yield f"for (long long column = base; column < limit; column += {max(LINE // d.numpy.itemsize, 1)})"
            yield f"__builtin_prefetch(p{i} + (row + 1) * row{i} + column, 0, 2);"
        yield from loop
        yield "}"

    def only(self, at: Expr, roots: tuple[Expr, ...], use: Callable[[list[str]], list[str]]) -> Iterator[str]:
        """What is done for the column ``at`` alone, if there is one."""
        lines, (number,) = statements((at,), self.names, "scalar")
        yield "{"
        yield from lines
        yield f"if ({number} >= base && {number} < limit && {number} == (long long){number}) {{"
        yield f"const long long column = (long long){number};"
        yield from self.column(roots, use)
        yield "}\n}"

    def row(self) -> Iterator[str]:
        """What is done for each row."""
        for i, layout in enumerate(self.source.layouts):
            if layout == ROW_WISE:
                yield from self.load_row(i)
        roots = tuple(output.formula for output in self.source.outputs)
        stages = 0
        while stage := innermost(roots):
            stages += 1
            values = [self.new("r") for _ in stage]
            known = {reduction: slot(n) for reduction, n in zip(stage, values, strict=True)}
            operands = tuple(reduction.args[0] for reduction in stage)
            roots = tuple(substitute(root, known) for root in roots)
            again = self.wanted_again(operands, roots)
            known = dict(zip(again, [slot(self.new("x")) for _ in again], strict=True))
            roots = tuple(substitute(root, known) for root in roots)
            yield from self.stage(stage, [self.names[n] for n in values], again)
            self.kept += [node.args[0] for node in known.values()]
        yield from self.results(roots, stages=stages > 0)

    def new(self, letter: str) -> int:
        """The slot of a new value."""
        number = len(self.names)
        self.names[number] = f"{letter}{number}"
        return number

    def wanted_again(self, operands: tuple[Expr, ...], roots: tuple[Expr, ...]) -> list[Expr]:
        """The parts of ``operands`` that differ by column, take long to compute, and are in ``roots``, too."""
        differing = self.differing(operands)
        costly = {node for node, differs in differing.items() if differs and LONG.search(getattr(node.op, "cuda", ""))}
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

    def differing(self, formulas: tuple[Expr, ...]) -> dict[Expr, bool]:
        """Whether ``formulas`` and what is in them differ by column."""
        done: dict[Expr, bool] = {}

        def differs(op: object, *args: bool) -> bool:
            return op is POSITION or any(args)

        fold(
            formulas, var=lambda n: n in self.varying or n in self.kept, const=lambda _: False, call=differs, done=done
        )
        return done

    def one_column(self, *formulas: Expr) -> tuple[Expr, Expr] | None:
        """The question whether a column is a certain one, and which, if ``formulas`` ask but this of their place."""
        differing = self.differing(formulas)
        asking = {node for node in differing if any(arg is PLACE for arg in node.args)}
        if len(asking) != 1 or (question := asking.pop()).op is not TABLE.eq:
            return None
        at = question.args[question.args[0] is PLACE]
        return None if differing[at] else (question, at)

    def stage(self, reductions: list[Expr], names: list[str], again: list[Expr]) -> Iterator[str]:
        """Reduce the operands of ``reductions`` along the row to ``names``, and keep what is wanted ``again``."""
        first = len(self.names) - len(again)
        sums: list[tuple[Variable, Expr]] = []
        for name, reduction in zip(names, reductions, strict=True):
            variable, operand = Variable(name, reduction.op), reduction.args[0]
            yield from self.begin(variable)
            asked = self.one_column(operand)
            if reduction.op is SUM and asked and operand.op is TABLE.where and operand.args[::2] == (asked[0], ZERO):
                yield from self.only(asked[1], operand.args[1:2], lambda values, v=variable: [v.add(values[0])])  # type: ignore[misc]
            else:
                sums.append((variable, operand))

        def use(values: list[str]) -> list[str]:
            return [
                *(variable.add(value) for (variable, _), value in zip(sums, values, strict=False)),
                *(f"kept{first + n}[{self.kept_at}] = {value};" for n, value in enumerate(values[len(sums) :])),
            ]

        if sums or again:
            variables = [variable for variable, _ in sums]
            yield from self.each((*(operand for _, operand in sums), *again), variables, use)
            for variable in variables:
                yield from self.end(variable)

    def begin(self, variable: Variable) -> Iterator[str]:
        """What is done before a row is reduced to ``variable``."""
        yield variable.begin()

    def end(self, variable: Variable) -> Iterator[str]:
        """What is done after it."""
        yield variable.end()

    def sums_of(self, outputs: Sequence[int]) -> list[Variable]:
        """What these outputs are reduced to in a loop."""
        return [self.totals[i] for i in outputs if i in self.totals]

    def for_row(self, lines: list[str], _outputs: Sequence[int]) -> Iterator[str]:
        """``lines`` for what there is one of in a row."""
        yield from ("{", *lines, "}")

    def results(self, roots: tuple[Expr, ...], *, stages: bool) -> Iterator[str]:
        """Store the roots, or add them to their sums; after ``stages``, if there were such."""
        outputs = self.source.outputs
        elements = [i for i, output in enumerate(outputs) if output.level == ELEMENT]
        own = tuple(roots[i] for i in elements)

        def use(values: list[str]) -> list[str]:
            return [self.result(i, outputs[i], "place", value) for i, value in zip(elements, values, strict=True)]

        stored = all(outputs[i].reduction is None for i in elements)
        if stored and (asked := self.one_column(*own)):  # all columns as if none was it, then that one again
            yield from self.each(tuple(substitute(root, {asked[0]: ZERO}) for root in own), (), use)
            yield from self.only(asked[1], tuple(substitute(root, {asked[0]: ONE}) for root in own), use)
        elif elements:
            loop = self.each(own, self.sums_of(elements), use)
            yield from self.ahead(loop) if stages else loop
        others = [i for i in range(len(roots)) if i not in elements]
        if others:
            lines, values = statements(tuple(roots[i] for i in others), self.names, "scalar")
            lines += [self.result(i, outputs[i], "line", value) for i, value in zip(others, values, strict=True)]
            yield from self.for_row(lines, others)

    def result(self, i: int, output: Output, place: str, value: str) -> str:
        """The statement that stores a root, or adds it to its sum."""
        if output.reduction is None:
            return store(i, output, place, value)
        if not output.by_column:
            return self.totals[i].add(value)
        total = f"sums{i}[column]"
        return f"{total} = {combined(output.reduction, total, value)};"


def totals(outputs: Sequence[Output]) -> dict[int, Variable]:
    """What the outputs that are reduced over all, or over rows to one value, are reduced to."""
    return {
        i: Variable(f"sum{i}", output.reduction)
        for i, output in enumerate(outputs)
        if output.reduction is not None and not output.by_column
    }
