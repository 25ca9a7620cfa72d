"""Kernels for the CPU over rows that are short, or whose columns lie far apart: many rows at a time, each in a lane."""

from collections.abc import Callable, Iterator, Sequence

from .cpp import Variable, simd
from .cuda import NUMBER, Output, combined
from .expr import Expr
from .loops import Rows

LANES = 64  # rows at a time
BESIDE = "b"  # the layout of an input whose columns are far apart, and whose rows lie beside each other


class Lanes(Rows):
    """Writes a kernel like ``Rows`` whose vectorised loops are over rows: what rows have one of, lanes have each."""

    kept_at, at_once = f"column * {LANES} + lane", LANES

    def frame(self, row: str) -> str:
        return f"""\
for (long long top = start; top < end; top += {LANES}) {{
const int lanes = top + {LANES} < end ? {LANES} : int(end - top);
{row}
}}"""

    def strides(self) -> Iterator[str]:
        for i, layout in enumerate(self.source.layouts):
            if layout == BESIDE:
                yield from (f"batch{i}", f"column{i}")
            elif layout != NUMBER:
                yield from self.strides_of(i)

    def load(self, i: int) -> str:
        if self.source.layouts[i] == BESIDE:
            return self.read(i, f"row + column * column{i}")
        return super().load(i)

    def load_row(self, i: int) -> Iterator[str]:
        self.names[i] = f"x{i}[lane]"
        kind = self.types[i]
        yield f"{kind} x{i}[{LANES}];"
        yield f"for (int lane = 0; lane < lanes; ++lane) x{i}[lane] = {kind}(widen(p{i}[(top + lane) * row{i}]));"

    def new(self, letter: str) -> int:
        number = super().new(letter)
        if letter == "r":
            self.names[number] += "[lane]"
        return number

    def one_column(self, *_formulas: Expr) -> None:
        """Nothing: each lane has its own."""

    def begin(self, variable: Variable) -> Iterator[str]:
        names = variable.name, *([variable.nans] if variable.extreme else [])
        yield from (f"scalar {name.removesuffix('[lane]')}[{LANES}];" for name in names)
        yield f"for (int lane = 0; lane < {LANES}; ++lane) {{"
        yield f"{variable.name} = {variable.reduction.identity};"
        if variable.extreme:
            yield f"{variable.nans} = 0;"
        yield "}"

    def end(self, variable: Variable) -> Iterator[str]:
        if variable.extreme:
            yield f"for (int lane = 0; lane < lanes; ++lane) {variable.end()}"

    def over_lanes(self, lines: Sequence[str], sums: Sequence[Variable]) -> Iterator[str]:
        """A loop over lanes that reduces to ``sums``."""
        yield simd(sums)
        yield "for (int lane = 0; lane < lanes; ++lane) {"
        yield "const long long row = top + lane, line = batch * batch_line + row * row_line;"
        yield from lines
        yield "}"

    def each(
        self, roots: tuple[Expr, ...], sums: Sequence[Variable], use: Callable[[list[str]], list[str]]
    ) -> Iterator[str]:
        by_column = {i: variable for i, variable in self.by_column.items() if variable in sums}
        yield "for (long long column = base; column < limit; ++column) {"
        yield from (variable.begin() for variable in by_column.values())
        shared = [variable for variable in sums if not variable.name.endswith("[lane]")]
        yield from self.over_lanes(self.column(roots, use), shared)
        for i, variable in by_column.items():
            yield variable.end()
            yield f"sums{i}[column] = {combined(variable.reduction, f'sums{i}[column]', variable.name)};"
        yield "}"

    def ahead(self, loop: Iterator[str]) -> Iterator[str]:
        """Nothing is fetched: several rows are at hand."""
        yield from loop

    @property
    def by_column(self) -> dict[int, Variable]:
        """What the outputs that have a sum for each column add up in a column."""
        return {
            i: Variable(f"column_sum{i}", output.reduction)  # type: ignore[arg-type]
            for i, output in enumerate(self.source.outputs)
            if output.by_column
        }

    def sums_of(self, outputs: Sequence[int]) -> list[Variable]:
        return [*super().sums_of(outputs), *(self.by_column[i] for i in outputs if i in self.by_column)]

    def for_row(self, lines: list[str], outputs: Sequence[int]) -> Iterator[str]:
        yield from self.over_lanes(lines, self.sums_of(outputs))

    def result(self, i: int, output: Output, place: str, value: str) -> str:
        return self.by_column[i].add(value) if output.by_column else super().result(i, output, place, value)
