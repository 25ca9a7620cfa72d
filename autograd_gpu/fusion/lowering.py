"""From a program to launches: its domain becomes rows and columns, and each sum the passes that it takes."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from math import prod
from typing import TYPE_CHECKING, Any, NamedTuple

from ..backends import cuda
from ..dtypes import bool_, dtype
from .axes import Axis, Shape, dense, merged
from .codegen import helpers, statements
from .cuda import Output
from .expr import Expr, const, fold, slot, slots, substitute
from .kernels import SMALL, Grid, Input, Line, Tiles, flat_layouts
from .reductions import (
    ALL,
    COUNT,
    COUNT_ALL,
    COUNT_ROWS,
    ELEMENT,
    MAX,
    MIN,
    POSITION,
    ROW,
    SUM,
    SUM_ALL,
    SUM_ROWS,
    Place,
    Reduction,
)
from .stats import STATS

if TYPE_CHECKING:
    from .program import Program

LONG = 16384  # columns of a row from which on several blocks sum it, if there are few rows
ALONG = {"sum": SUM, "max": MAX, "min": MIN}


class Spec(NamedTuple):
    """An array as far as launches depend on it; strides in elements."""

    shape: Shape
    strides: Shape
    aligned: bool  # to 16 bytes


@dataclass(frozen=True)
class Root:
    """A formula to compute, which becomes an array of ``shape``.

    It is summed over the axes of the domain where ``target`` has size 1; or reduced over all, and then left in
    parts, one of each block.
    """

    formula: Expr
    level: int
    dtype: dtype
    shape: Shape
    target: Shape | None = None
    reduction: Reduction | None = None


@dataclass
class Copy:
    """A dense copy of an array, broadcast to a shape."""

    source: int
    shape: Shape

    def __call__(self, held: list[Any]) -> None:
        xp = cuda().xp
        held.append(xp.array(xp.broadcast_to(held[self.source], self.shape), order="C"))


class Lowering:
    """Collects the steps that compute a program; the slots of its formulas are the numbers of values."""

    Line: type[Any] = Line  # the two kinds of launches; see native.py for those on the CPU
    Tiles: type[Any] = Tiles

    def __init__(self, program: "Program", specs: tuple[Spec | None, ...], domain: Shape) -> None:
        row, elements = prod(domain[len(domain) - program.axes :]), prod(domain)
        counts = {COUNT: row, COUNT_ALL: elements, COUNT_ROWS: prod(domain[: len(domain) - program.axes])}
        self.counts = {Expr(place): slot(len(specs) + i) for i, place in enumerate(counts)}
        self.numbers = [float(count) for count in counts.values()]
        self.specs = [*specs, *(None for _ in counts)]
        self.dtypes = [*program.inputs, *(None for _ in counts)]
        self.computed, self.axes, self.name = program.computed, program.axes, program.name
        self.steps: list[Callable[[list[Any]], None]] = []

    @staticmethod
    def processors() -> int:
        """How many blocks run at once."""
        return cuda().processors()  # type: ignore[no-any-return]

    def add(self, step: Any, made: Sequence[tuple[Shape, dtype]]) -> list[int]:
        """Keep a step; the numbers of the values that it makes."""
        self.steps.append(step)
        for shape, d in made:
            self.specs.append(Spec(shape, dense(shape), aligned=True))
            self.dtypes.append(d)
        return list(range(len(self.specs) - len(made), len(self.specs)))

    # --- what is reduced over all comes first ----------------------------------------------------------

    def program(self, program: "Program", domain: Shape, targets: Sequence[Shape | None]) -> list[int]:
        """Compute the roots of ``program``; the numbers of their values."""
        natural = {ELEMENT: domain, ROW: domain[: len(domain) - self.axes] + (1,) * self.axes, ALL: ()}
        roots = [
            Root(substitute(formula, self.counts), level, d, natural[level] if target is None else target, target)
            for formula, level, d, target in zip(program.roots, program.levels, program.outputs, targets, strict=True)
        ]
        if any(to_all(root.formula) for root in roots) and self.one_row(roots, domain):
            self.axes = len(domain)
            roots = [replace(root, formula=as_row(root.formula), level=max(root.level, ROW)) for root in roots]
        return self.roots(roots, domain)

    @staticmethod
    def one_row(roots: list[Root], domain: Shape) -> bool:
        """Whether ``roots`` can be computed over one row of all elements, for which a block is enough."""
        return prod(domain) <= SMALL and all(becomes_row(root, domain) for root in roots)

    def roots(self, roots: list[Root], domain: Shape) -> list[int]:
        """Compute ``roots``; the numbers of their values."""
        totals = list(dict.fromkeys(total for root in roots for total in to_all(root.formula)))
        now = [i for i, root in enumerate(roots) if root.level != ALL and not to_all(root.formula)]
        parts = [Root(total.args[0], total.op.over, self.computed, (), None, total.op) for total in totals]
        made = self.launch([*(roots[i] for i in now), *parts], domain, self.axes) if now or parts else []
        found = dict(zip(now, made, strict=False))
        if later := [i for i in range(len(roots)) if i not in found]:
            of_totals = dict(zip(totals, made[len(now) :], strict=True))
            found |= dict(zip(later, self.after([roots[i] for i in later], of_totals, domain), strict=True))
        return [found[i] for i in range(len(roots))]

    def after(self, roots: list[Root], parts: dict[Expr, int], domain: Shape) -> list[int]:
        """Compute ``roots``, which read totals of which there are ``parts``: with them, if they need no more."""
        whole = {t: Expr(ALONG[t.op.name.partition("_")[0]], slot(part)) for t, part in parts.items()}
        size = self.specs[next(iter(parts.values()))].shape if parts else (1,)  # type: ignore[union-attr]
        last = [replace(root, formula=substitute(root.formula, whole), level=ROW, target=None) for root in roots]
        if all(root.level == ALL for root in roots) and not any(to_all(root.formula) for root in last):
            return self.launch(last, size, 1)
        sums = self.launch([Root(total, ROW, self.computed, ()) for total in whole.values()], size, 1)
        known = {total: slot(value) for total, value in zip(parts, sums, strict=True)}
        return self.roots([replace(root, formula=substitute(root.formula, known)) for root in roots], domain)

    # --- one kernel ------------------------------------------------------------------------------------

    def launch(self, roots: list[Root], domain: Shape, rows: int) -> list[int]:
        """Compute ``roots``, whose totals are known; the last ``rows`` axes of ``domain`` are a row."""
        numbers = sorted(slots(*(root.formula for root in roots)))
        inputs = [
            Input(i, self.dtypes[i], number=(spec := self.specs[i]) is None, aligned=spec is None or spec.aligned)
            for i in numbers
        ]
        along = any(root.level == ROW or in_rows(root.formula) for root in roots)
        summed = zip(*(summed_axes(root, domain, rows) for root in roots), strict=True)
        laid = [None if (spec := self.specs[i]) is None else (spec.shape, spec.strides) for i in numbers]
        axes = merged(domain, laid, list(summed), rows if along else 0)
        outer = [axis for axis in axes if not axis.inner]
        if len(axes) - len(outer) > 1 or len(outer) > (2 if along else 3):
            return self.simplified(roots, inputs, domain, rows, along=along)
        if not along and (layouts := flat_layouts(axes, inputs)) is not None:
            sums = axes[0].summed if axes else (False,) * len(roots)
            outputs = [
                Output(root.formula, ELEMENT, root.dtype, root.reduction or (SUM_ALL if summed else None))
                for root, summed in zip(roots, sums, strict=True)
            ]
            line = self.Line.of(outputs, inputs, layouts, prod(domain))
            left = [((), ()) if output.reduction is None else ((line.blocks,), (0,)) for output in outputs]
            return self.kernel(roots, outputs, inputs, line, left)
        none = Axis(1, (0,) * len(inputs), (False,) * len(roots), inner=False)
        columns = axes.pop() if axes and (axes[-1].inner or not along) else none
        batches, lines = [none] * (2 - len(axes)) + axes
        return self.by_rows(roots, inputs, Grid(batches, lines, columns, swapped=False), domain, along=along)

    def by_rows(self, roots: list[Root], inputs: list[Input], grid: Grid, domain: Shape, *, along: bool) -> list[int]:
        """Compute ``roots`` over batches of rows."""
        batches, rows, columns, _ = grid
        few = batches.size == 1 and columns.size >= LONG and rows.size < self.processors()
        if any(columns.summed) and not along and few and not any(rows.summed):
            batches, rows = rows, batches  # then each row's columns are shared by blocks
        elif any(batches.summed) and not any(rows.summed):
            batches, rows = rows, batches
        grid = Grid(batches, rows, columns, swapped=batches is not grid.batches and grid.batches.size > 1)
        outputs = []
        for i, root in enumerate(roots):
            formula, level, reduction = root.formula, root.level, root.reduction
            if reduction is None and columns.summed[i]:
                whole = not columns.inner and (rows.summed[i] or (rows.size == 1 and not along))
                last = SUM_ROWS if rows.summed[i] else None
                level, reduction = (ELEMENT, SUM_ALL) if whole else (ROW, last)
                formula = formula if whole else Expr(SUM, formula)
            elif reduction is None and rows.summed[i]:
                reduction = SUM_ROWS
            outputs.append(Output(formula, level, root.dtype, reduction))
        along = along or any(output.level == ROW for output in outputs)
        tiles = self.Tiles.of(outputs, inputs, grid, along=along)
        if not tiles.keeps_columns and any(output.by_column for output in outputs):
            return self.apart(roots, outputs, domain)
        left = []
        for i, output in enumerate(outputs):
            at = 1
            shape: Shape
            if output.by_column:
                shape = tiles.splits, batches.size, columns.size
            elif output.reduction is not None:
                shape = tiles.splits * tiles.tiles, batches.size
            else:
                at = int(grid.swapped)
                shape = (rows.size, batches.size) if grid.swapped else (batches.size, rows.size)
                shape = (*shape, columns.size) if output.level == ELEMENT else shape
            left.append((shape, ((0,) if output.reduction is not None else ()) + ((at,) if batches.summed[i] else ())))
        return self.kernel(roots, outputs, inputs, tiles, left)

    def kernel(
        self,
        roots: list[Root],
        outputs: list[Output],
        inputs: list[Input],
        launch: Any,
        left: Sequence[tuple[Shape, tuple[int, ...]]],
    ) -> list[int]:
        """Launch ``outputs``, which leave arrays of these shapes with these axes still to be summed; and sum these."""
        made: list[tuple[Shape, dtype]] = []
        unfinished: dict[int, tuple[Shape, Shape]] = {}
        for i, (root, (shape, over)) in enumerate(zip(roots, left, strict=True)):
            if root.reduction is not None:
                made.append(((prod(shape),), self.computed))
            elif any(shape[axis] != 1 for axis in over):
                target = tuple(1 if axis in over else size for axis, size in enumerate(shape))
                unfinished[i] = shape, target
                made.append((shape, self.computed))
            else:
                made.append((root.shape, root.dtype))
        outputs = [replace(output, dtype=d) for output, (_, d) in zip(outputs, made, strict=True)]
        call = launch.call(self.name, outputs, inputs, self.computed)
        call.made = tuple((shape, d.numpy) for shape, d in made)
        values = self.add(call, made)
        for shape in {shape for shape, _ in unfinished.values()}:
            own = [i for i, (other, _) in unfinished.items() if other == shape]
            rest = [Root(slot(values[i]), ELEMENT, roots[i].dtype, roots[i].shape, unfinished[i][1]) for i in own]
            for i, value in zip(own, self.launch(rest, shape, 1), strict=True):
                values[i] = value
        return values

    # --- what one kernel cannot do ---------------------------------------------------------------------

    def apart(self, roots: list[Root], outputs: list[Output], domain: Shape) -> list[int]:
        """Compute ``roots``; those that are sums of each column are kept whole first, and summed then."""
        whole = [
            replace(r, target=None, shape=domain, dtype=self.computed) if o.by_column else r
            for r, o in zip(roots, outputs, strict=True)
        ]
        values = self.launch(whole, domain, self.axes)
        return self.summed_later(roots, values, domain, [i for i, o in enumerate(outputs) if o.by_column])

    def summed_later(self, roots: list[Root], values: list[int], domain: Shape, which: list[int]) -> list[int]:
        """``values``, of which those of the roots ``which`` are whole yet, and are summed to their targets."""
        for i in which:
            again = replace(roots[i], formula=slot(values[i]), level=ELEMENT)
            (values[i],) = self.launch([again], domain, 1)
        return values

    def simplified(self, roots: list[Root], inputs: list[Input], domain: Shape, rows: int, *, along: bool) -> list[int]:
        """Compute ``roots`` over more axes than a kernel has: any-layout maps at once, else from dense copies."""
        whole = [i for i, root in enumerate(roots) if any(summed_axes(root, domain, rows))]
        if (
            not along
            and not whole
            and not any(isinstance(op, Place) for root in roots for op in calls_of(root.formula))
        ):
            made = [(root.shape, root.dtype) for root in roots]
            return self.add(any_layout(self.name, roots, inputs, self.computed), made)
        known = {}
        for x in inputs:
            if (
                (spec := self.specs[x.value]) is not None
                and prod(spec.shape) > 1
                and (spec.shape, spec.strides) != (domain, dense(domain))
            ):
                (copy,) = self.add(Copy(x.value, domain), [(domain, x.dtype)])  # type: ignore[list-item]
                known[slot(x.value)] = slot(copy)
        if known:
            return self.launch([replace(root, formula=substitute(root.formula, known)) for root in roots], domain, rows)
        return self.in_passes(roots, whole, domain, rows)

    def in_passes(self, roots: list[Root], whole: list[int], domain: Shape, rows: int) -> list[int]:
        """Compute ``roots``; those in ``whole`` without summing them first, then group by group of axes."""
        natural = {ELEMENT: domain, ROW: domain[: len(domain) - rows] + (1,) * rows}
        first = [
            replace(root, target=None, shape=natural[root.level], dtype=self.computed) if i in whole else root
            for i, root in enumerate(roots)
        ]
        values = self.launch(first, domain, rows)
        for i in whole:
            shape, root = natural[roots[i].level], roots[i]
            summed = summed_axes(root, domain, rows)
            groups = [[axis for axis, _ in group] for flag, group in groupby(enumerate(summed), lambda x: x[1]) if flag]
            for group in reversed(groups):
                target = tuple(1 if axis in group else size for axis, size in enumerate(shape))
                last = group is groups[0]
                step = Root(
                    slot(values[i]),
                    ELEMENT,
                    root.dtype if last else self.computed,
                    root.shape if last else target,
                    target,
                )
                (values[i],) = self.launch([step], shape, 1)
                shape = target
        return values


def calls_of(formula: Expr) -> list[Any]:
    """The operations in ``formula``."""
    found: list[Any] = []
    fold((formula,), var=lambda _: None, const=lambda _: None, call=lambda op, *_: found.append(op))
    return found


def in_rows(formula: Expr) -> bool:
    """Whether it matters for ``formula`` what a row is."""
    return any(isinstance(op, Reduction) or op is POSITION for op in calls_of(formula))


def becomes_row(root: Root, domain: Shape) -> bool:
    """Whether nothing of ``root`` depends on what a row is."""
    ops = [op for op in calls_of(root.formula) if isinstance(op, Reduction) or op is POSITION]
    return (
        all(isinstance(op, Reduction) and op.over == ELEMENT and op.level == ALL for op in ops)
        and root.level != ROW
        and (root.target is None or root.target == domain or root.level == ALL)
    )


def as_row(formula: Expr) -> Expr:
    """``formula`` with reductions along a row in place of those over all."""

    def call(op: Any, *args: Expr) -> Expr:
        return Expr(ALONG[op.name.partition("_")[0]] if isinstance(op, Reduction) else op, *args)

    return fold((formula,), var=slot, const=const, call=call)[0]


def to_all(formula: Expr) -> list[Expr]:
    """The reductions over all in ``formula`` whose operands have none."""
    done: dict[Expr, bool] = {}

    def call(op: Any, *args: bool) -> bool:
        return any(args) or (isinstance(op, Reduction) and op.level == ALL)

    fold((formula,), var=lambda _: False, const=lambda _: False, call=call, done=done)
    return [node for node in done if isinstance(node.op, Reduction) and node.op.level == ALL and not done[node.args[0]]]


def summed_axes(root: Root, domain: Shape, rows: int) -> tuple[bool, ...]:
    """For each axis of ``domain``, whether ``root`` is summed over it."""
    own = domain if root.target is None else (1,) * (len(domain) - len(root.target)) + root.target
    last = len(domain) - (rows if root.level == ROW else 0)
    return tuple(i < last and size != 1 and n == 1 for i, (size, n) in enumerate(zip(domain, own, strict=True)))


def any_layout(name: str, roots: list[Root], inputs: list[Input], computed: dtype) -> "Elementwise":
    """The launch of a CuPy kernel, which knows arrays of any strides."""
    known = {slot(x.value): slot(i) for i, x in enumerate(inputs)}
    formulas = tuple(substitute(root.formula, known) for root in roots)
    backend = cuda()
    lines, results = statements(formulas, {i: f"x{i}" for i in range(len(inputs))}, backend.ctype(computed))
    kernel = backend.kernel(
        name,
        tuple((x.dtype or computed).numpy for x in inputs),
        tuple(root.dtype.numpy for root in roots),
        tuple(backend.ctype(bool_ if x.dtype is bool_ else computed) for x in inputs),
        "\n".join([*lines, *(f"out{i} = {result};" for i, result in enumerate(results))]),
        helpers(formulas),
    )
    made = tuple((root.shape, root.dtype.numpy) for root in roots)
    return Elementwise(kernel, tuple(x.value for x in inputs), made)


@dataclass
class Elementwise:
    """A launch of a CuPy elementwise kernel."""

    function: Any
    inputs: tuple[int, ...]
    made: tuple[tuple[Shape, Any], ...]

    def __call__(self, held: list[Any], made: list[Any] | None = None) -> None:
        STATS.launches += 1
        if made is None:
            made = [cuda().xp.empty(shape, d) for shape, d in self.made]
        self.function(*[held[i] for i in self.inputs], *made)
        held.extend(made)
