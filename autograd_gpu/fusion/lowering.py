"""From a program to launches: its domain becomes rows and columns, and each sum the passes that it takes."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import groupby
from math import prod
from typing import TYPE_CHECKING, Any

from ..backends import cuda
from ..dtypes import dtype
from .axes import Axis, Shape, dense, fitting, inverse, merged
from .cuda import Output
from .expr import Expr, slot, slots, substitute
from .kernels import SMALL, Grid, Input, Line, Tiles, flat_layouts
from .reductions import ALL, COUNT, COUNT_ALL, COUNT_ROWS, ELEMENT, OVER_ALL, OVER_ROWS, ROW, Place
from .roots import ALONG, Root, Spec, as_row, becomes_row, calls_of, in_rows, summed_axes, to_all
from .stages import LONG, in_stages, scattered
from .steps import Copy, Turned, any_layout

if TYPE_CHECKING:
    from .program import Program


class Lowering:
    """Collects the steps that compute a program; the slots of its formulas are the numbers of values."""

    Line: type[Any] = Line  # the two kinds of launches; see native.py for those on the CPU
    Tiles: type[Any] = Tiles
    leaves_parts = True  # whether a sum may stay in parts
    shares = True  # whether neighbours along an axis of a kernel may share elements
    fewest = 8  # rows that keep the threads of a block busy: for fewer, batches take their place

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
        made = self.known([*(roots[i] for i in now), *parts], domain) if now or parts else []
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

    def known(self, roots: list[Root], domain: Shape) -> list[int]:
        """Compute ``roots``, whose totals are known; the numbers of their values."""
        if scattered(self, roots, domain):
            return in_stages(self, roots, domain)
        return self.launch(roots, domain, self.axes)

    # --- one kernel ------------------------------------------------------------------------------------

    def launch(self, roots: list[Root], domain: Shape, rows: int, order: Shape | None = None) -> list[int]:
        """Compute ``roots``, whose totals are known; the last ``rows`` axes of ``domain`` are a row.

        Where that makes no difference but to memory, axes are taken in ``order``.
        """
        numbers = sorted(slots(*(root.formula for root in roots)))
        inputs = [
            Input(i, self.dtypes[i], number=(spec := self.specs[i]) is None, aligned=spec is None or spec.aligned)
            for i in numbers
        ]
        along = any(root.level == ROW or in_rows(root.formula) for root in roots)
        summed = [summed_axes(root, domain, rows) for root in roots]
        laid = [None if (spec := self.specs[i]) is None else (spec.shape, spec.strides) for i in numbers]
        free = all(root.parts for root in roots) or not any(any(flags) for flags in summed)
        if along or not free or any(isinstance(op, Place) for root in roots for op in calls_of(root.formula)):
            order = None
        axes = merged(domain, laid, list(zip(*summed, strict=True)), rows if along else 0, order)

        def fits(axes: list[Axis]) -> bool:
            outer = sum(not axis.inner for axis in axes)
            return len(axes) - outer <= 1 and outer <= (2 if along else 3)

        if self.shares and not fits(axes):
            if along and (parted := self.parted(roots, summed, domain, rows)) is not None:
                return parted
            axes = fitting(axes, fits)
        if not fits(axes):
            return self.simplified(roots, inputs, domain, rows, along=along)
        if order is not None:
            return self.turned(roots, inputs, axes, domain, order)
        return self.merged(roots, inputs, axes, domain, along=along)

    def parted(self, roots: list[Root], summed: list[tuple[bool, ...]], domain: Shape, rows: int) -> list[int] | None:
        """Compute ``roots``, those apart that are sums over a part of a row; None if there are none, or no others."""
        row = [axis for axis in range(len(domain) - rows, len(domain)) if domain[axis] != 1]
        apart = [len({flags[axis] for axis in row}) > 1 for flags in summed]
        if len(set(apart)) < 2:
            return None
        found = dict[int, int]()
        for kind in (True, False):
            own = [i for i, flag in enumerate(apart) if flag is kind]
            found |= zip(own, self.launch([roots[i] for i in own], domain, rows), strict=True)
        return [found[i] for i in range(len(roots))]

    def turned(
        self, roots: list[Root], inputs: list[Input], axes: list[Axis], domain: Shape, order: Shape
    ) -> list[int]:
        """Compute ``roots`` over ``axes``, which are those of ``domain`` in ``order``."""
        own = []
        for root in roots:
            full = (1,) * (len(domain) - len(root.shape)) + root.shape
            moves = [axis for axis in order if full[axis] != 1]
            turns = moves != sorted(moves)
            own.append(replace(root, shape=tuple(full[axis] for axis in order)) if turns else root)
        values = self.merged(own, inputs, axes, domain, along=False)
        for i, (root, other) in enumerate(zip(roots, own, strict=True)):
            if other is not root:
                (values[i],) = self.add(Turned(values[i], inverse(order), root.shape), [(root.shape, root.dtype)])
                strides = dense(other.shape)
                laid = tuple(strides[order.index(axis)] for axis in range(len(domain)))
                self.specs[values[i]] = Spec(root.shape, laid[len(laid) - len(root.shape) :], aligned=True)
        return values

    def merged(
        self, roots: list[Root], inputs: list[Input], axes: list[Axis], domain: Shape, *, along: bool
    ) -> list[int]:
        """Compute ``roots`` over ``axes``, as many as a kernel has."""
        if not along and (layouts := flat_layouts(axes, inputs)) is not None:
            sums = axes[0].summed if axes else (False,) * len(roots)
            outputs = [
                Output(root.formula, ELEMENT, root.dtype, root.reduction or (OVER_ALL[root.by] if summed else None))
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
        elif not any(rows.summed) and (any(batches.summed) or rows.size < min(self.fewest, batches.size)):
            batches, rows = rows, batches
        grid = Grid(batches, rows, columns, swapped=batches is not grid.batches and grid.batches.size > 1)
        outputs = []
        for i, root in enumerate(roots):
            formula, level, reduction = root.formula, root.level, root.reduction
            if reduction is None and columns.summed[i]:
                whole = not columns.inner and (rows.summed[i] or (rows.size == 1 and not along))
                last = OVER_ROWS[root.by] if rows.summed[i] else None
                level, reduction = (ELEMENT, OVER_ALL[root.by]) if whole else (ROW, last)
                formula = formula if whole else Expr(root.by, formula)
            elif reduction is None and rows.summed[i]:
                reduction = OVER_ROWS[root.by]
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
                if root.parts and self.leaves_parts and over == tuple(range(len(over))):
                    made.append(((prod(shape[: len(over)]), prod(shape[len(over) :])), self.computed))
                    continue
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
            rest = [
                replace(roots[i], formula=slot(values[i]), level=ELEMENT, target=unfinished[i][1], parts=False)
                for i in own
            ]
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

    def array(self, formula: Expr, shape: Shape) -> int | None:
        """The number of the value that ``formula`` is, if it is an array of ``shape``."""
        number = formula.args[0] if formula.op is int else None
        spec = None if number is None else self.specs[number]
        return None if spec is None or spec.shape != shape else number

    def in_passes(self, roots: list[Root], whole: list[int], domain: Shape, rows: int) -> list[int]:
        """Compute ``roots``; those in ``whole`` without summing them first, then group by group of axes."""
        natural = {ELEMENT: domain, ROW: domain[: len(domain) - rows] + (1,) * rows}
        found = {i: n for i in whole if (n := self.array(roots[i].formula, domain)) is not None}
        first = {
            i: replace(root, target=None, shape=natural[root.level], dtype=self.computed) if i in whole else root
            for i, root in enumerate(roots)
            if i not in found
        }
        if first:
            found |= zip(first, self.launch(list(first.values()), domain, rows), strict=True)
        values = [found[i] for i in range(len(roots))]
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
                    by=root.by,
                )
                (values[i],) = self.launch([step], shape, 1)
                shape = target
        return values
