"""Programs on NumPy: a function of arrays, written once for each program, called on tiles that fit the cache."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import cached_property, lru_cache
from math import inf, prod
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ..dtypes import FLOAT, REDUCED, bool_, complex128, dtype, float32, float64
from ..modes import modes
from ..op import Op
from .expr import Expr, fold, slot, slots, substitute
from .reductions import ALL, COUNT, COUNT_ALL, COUNT_ROWS, ELEMENT, POSITION, ROW, Place, Reduction, level_of

if TYPE_CHECKING:
    from .program import Program

Shape = tuple[int, ...]
SMALL, TILE = 1 << 18, 1 << 21  # bytes: of what is computed at one go, and of all values of a tile
TRUTH, INTEGER, REAL = range(3)  # what a value is made of; the last in the program's own dtype

PLACES = {COUNT: "at.columns", COUNT_ALL: "at.elements", COUNT_ROWS: "at.rows", POSITION: "at.column"}


class At:
    """What values that depend on the place are made of."""

    def __init__(self, domain: Shape, axes: int, tile: tuple[slice, ...], real: Any) -> None:
        self.domain, self.row, self.tile, self.real = domain, domain[len(domain) - axes :], tile, real

    @cached_property
    def columns(self) -> Any:
        return self.real(prod(self.row))

    @cached_property
    def elements(self) -> Any:
        return self.real(prod(self.domain))

    @cached_property
    def rows(self) -> Any:
        return self.real(prod(self.domain[: len(self.domain) - len(self.row)]))

    @cached_property
    def column(self) -> np.ndarray:
        """The place of each element in its row."""
        return np.arange(prod(self.row)).reshape(self.row)

    @cached_property
    def place(self) -> np.ndarray:
        """The place of each element of the tile in the domain."""
        strides = [prod(self.domain[i + 1 :]) for i in range(len(self.domain))]
        ranges = [np.arange(*s.indices(n)) * step for s, n, step in zip(self.tile, self.domain, strides, strict=True)]
        return sum(np.ix_(*ranges), np.zeros((), np.int64))


class Step(NamedTuple):
    """A line of the function: a value's name, its text, the values that it reads, and whether it takes ``out``."""

    name: str
    text: str
    reads: tuple[str, ...]
    kind: int
    writes: bool


class Function(NamedTuple):
    """The function of a program: ``call(*values, at, reals, truths, outs)`` gives the roots' values."""

    call: Callable[..., tuple[Any, ...]]
    reals: int  # how many arrays of a tile's shape it computes in
    truths: int
    direct: tuple[bool, ...]  # which roots it writes where they are wanted


def kind_of(d: dtype | None) -> int:
    """What values of an input of dtype ``d`` are made of."""
    return REAL if d is None or d.category >= FLOAT else TRUTH if d is bool_ else INTEGER


class Text:
    """Writes the lines of a program's function."""

    def __init__(self, program: "Program", levels: Sequence[int] | None, summed: Sequence[bool] = ()) -> None:
        self.program, self.levels = program, levels  # of the inputs; None: the arrays are small, all are new
        self.summed = summed  # which roots are
        self.real = np.dtype(np.float32) if program.computed in REDUCED else program.computed.numpy
        self.namespace: dict[str, Any] = {"real": self.real, "number": self.real.type, "full": full}
        self.steps: list[Step] = []

    def constant(self, value: float) -> tuple[str, int, int]:
        name = f"k{len(self.namespace)}"
        self.namespace[name] = np.asarray(value, self.real.type(0).real.dtype)
        return name, REAL, ALL

    def variable(self, number: int) -> tuple[str, int, int]:
        level = ELEMENT if self.levels is None else self.levels[number]
        return f"x{number}", kind_of(self.program.inputs[number]), level

    def step(self, text: str, reads: tuple[str, ...], kind: int, *, writes: bool = False) -> str:
        self.steps.append(Step(f"t{len(self.steps)}", text, reads, kind, writes))
        return self.steps[-1].name

    def widened(self, name: str) -> str:
        return self.step(f"{name}.astype(real)", (name,), REAL)

    def call(self, op: Any, *args: tuple[str, int, int]) -> tuple[str, int, int]:
        names, kinds, levels = zip(*args, strict=True) if args else ((), (), ())
        level = level_of(op, *levels)
        if isinstance(op, Place):
            text = PLACES[op].format(*names)
            return self.step(text, names, INTEGER if op is POSITION else REAL), INTEGER if op is POSITION else REAL, level
        if isinstance(op, Reduction):
            return self.reduction(op, *names, *kinds), REAL, level
        values = [i for i in range(op.arity) if i not in op.conditions]
        kind = max([kinds[i] for i in values])
        if op.result != "bool" and (kind == REAL or op.result == "float"):
            kind = REAL
            names = tuple(
                self.widened(n) if i in values and kinds[i] != REAL else n for i, n in enumerate(names)
            )
        self.namespace[op.name] = op.numpy
        kind = TRUTH if op.result == "bool" else kind
        writes = op.writes and kind != INTEGER and level == ELEMENT and self.real.kind != "c" and self.levels is not None
        return self.step(f"{op.name}({', '.join(names)}{{out}})", names, kind, writes=writes), kind, level

    def reduction(self, op: Reduction, name: str, kind: int) -> str:
        """Reduce over the last axes, which are kept, or over all."""
        function = f"{op.numpy.__name__}_reduce"
        self.namespace[function] = op.numpy.reduce
        axis: Any = None
        if op.level == ROW:
            axis = -1 if self.program.axes == 1 else tuple(range(-self.program.axes, 0))
        over = "row" if op.level == ROW else "domain" if op.over == ELEMENT else "line"
        widen = ", dtype=real" if kind != REAL else ""
        start = "" if op.numpy is np.add else f", initial={'-' if op.numpy is np.maximum else ''}inf"
        self.namespace["inf"] = inf
        text = f"{function}(full({name}, {over}), axis={axis}, keepdims={op.level == ROW}{widen}{start})"
        return self.step(text, (name,), REAL)

    def written(self) -> Function:
        """The program's function."""
        program = self.program
        results = fold(program.roots, var=self.variable, const=self.constant, call=self.call)
        roots = [name for name, _, _ in results]
        used, scalars = slots(*program.roots), integers(program.roots)
        lines = []
        for i in sorted(used):
            d = program.inputs[i]
            if d is None and i not in scalars:
                lines.append(f"x{i} = number(x{i})")
            elif d is not None and d.category >= FLOAT and d.numpy != self.real:
                lines.append(f"x{i} = x{i}.astype(real)")
        direct = tuple(
            self.levels is not None
            and not self.summed[i]
            and level == ELEMENT
            and d.numpy == self.real
            and roots.count(name) == 1
            and any(step.name == name and step.writes and step.kind == REAL for step in self.steps)
            for i, ((name, _, level), d) in enumerate(zip(results, program.outputs, strict=True))
        )
        outs = {name: f"outs[{i}]" for i, (name, wanted) in enumerate(zip(roots, direct, strict=True)) if wanted}
        numbers = self.allot(outs, {*roots})
        lines += [
            f"{step.name} = {step.text.format(out=f', out={outs[step.name]}' if step.writes else '')}" for step in self.steps
        ]
        lines.append(f"return {', '.join(roots)},")
        arguments = "".join(f"x{i}, " for i in range(len(program.inputs)))
        text = f"def call({arguments}domain, line, row, at, reals, truths, outs):\n    " + "\n    ".join(lines)
        exec(compile(text, f"<{program.name} on NumPy>", "exec"), self.namespace)  # noqa: S102  our own text
        return Function(self.namespace["call"], numbers[REAL], numbers[TRUTH], direct)

    def allot(self, outs: dict[str, str], kept: set[str]) -> Counter[int]:
        """Give each value that a step writes an array that no later step needs otherwise; how many there are."""
        last = {name: i for i, step in enumerate(self.steps) for name in step.reads}
        free: dict[int, list[str]] = {REAL: [], TRUTH: []}
        count: Counter[int] = Counter()
        for i, step in enumerate(self.steps):
            done = [self.find(n) for n in dict.fromkeys(step.reads) if last[n] == i and n not in kept]
            given = [(s.kind, outs[s.name]) for s in done if s is not None and s.writes]
            in_place = isinstance(self.namespace.get(step.text.partition("(")[0]), np.ufunc)
            if in_place:
                self.release(free, given)
            if step.writes and step.name not in outs:
                if not free[step.kind]:
                    free[step.kind].append(f"{'reals' if step.kind == REAL else 'truths'}[{count[step.kind]}]")
                    count[step.kind] += 1
                outs[step.name] = free[step.kind].pop()
            if not in_place:
                self.release(free, given)
        return count

    @staticmethod
    def release(free: dict[int, list[str]], given: list[tuple[int, str]]) -> None:
        for kind, place in given:
            if not place.startswith("outs"):
                free[kind].append(place)

    def find(self, name: str) -> Step | None:
        return self.steps[int(name[1:])] if name[0] == "t" else None


def integers(roots: tuple[Expr, ...]) -> set[int]:
    """The slots that are the integers of a place, such as a seed."""
    found: set[int] = set()

    def call(op: Any, *args: int | None) -> None:
        if isinstance(op, Place):
            found.update(arg for arg in args if arg is not None)

    fold(roots, var=lambda number: number, const=lambda _: None, call=call)
    return found


def full(x: Any, shape: Shape) -> Any:
    """``x`` with the last axes of ``shape``, over which it may be constant."""
    if x.shape[len(x.shape) - len(shape) :] == shape:
        return x
    return np.broadcast_to(x, np.broadcast_shapes(x.shape, shape))


@lru_cache(maxsize=4096)
def naturals(domain: Shape, axes: int) -> tuple[Shape, Shape, Shape]:
    """The shapes of values of the levels ALL, ROW and ELEMENT."""
    return (), domain[: len(domain) - axes] + (1,) * axes, domain


@lru_cache(maxsize=4096)
def summed_axes(shape: Shape, target: Shape) -> tuple[int, ...]:
    """The axes of ``shape`` along which ``target`` has size 1 or no axis."""
    missing = len(shape) - len(target)
    return tuple(i for i, n in enumerate(shape) if n != 1 and (i < missing or target[i - missing] == 1))


def finished(value: Any, natural: Shape, target: Shape | None, d: dtype, values: Sequence[Any]) -> np.ndarray:
    """A root's value as a new array of dtype ``d``: as large as it should be, or summed to its target."""
    if target is not None and prod(target) != prod(natural):
        value = np.add.reduce(full(value, natural), axis=summed_axes(natural, target), keepdims=True)
    shape = natural if target is None else target
    if value.size != prod(shape):
        new = np.empty(shape, d.numpy)
        new[...] = value
        return new
    value = np.asarray(value)
    mine = value.base is None and value.dtype == d.numpy and not any([value is v for v in values])  # noqa: C419
    new = value if mine else value.astype(d.numpy)
    return new if new.shape == shape else new.reshape(shape)


class OnNumPy:
    """A program's functions of NumPy arrays."""

    def __init__(self, program: "Program") -> None:
        self.program = program
        self.small = Text(program, None).written()
        self.real = np.float32 if program.computed in REDUCED else program.computed.numpy.type
        self.tiled: dict[Any, Function] = {}
        calls = calls_of(program.roots)
        self.placed = any(isinstance(op, Place) for op in calls)
        in_rows = POSITION in calls or any(isinstance(op, Reduction) and op.level == ROW for op in calls)
        self.whole = program.axes if in_rows or ROW in program.levels else 0  # axes that no tile divides
        self.totals = totals(program) if any(isinstance(op, Reduction) and op.level == ALL for op in calls) else ()

    def run(self, values: Sequence[Any], domain: Shape, targets: Sequence[Shape | None]) -> list[np.ndarray]:
        """The roots, of small arrays at one go, of large ones tile by tile."""
        program = self.program
        if prod(domain) * np.dtype(self.real).itemsize > SMALL:
            return self.in_tiles(values, domain, targets)
        shapes = naturals(domain, program.axes)
        at = At(domain, program.axes, (slice(None),) * len(domain), self.real) if self.placed else None
        row = domain[len(domain) - program.axes :]
        results = self.small.call(*values, domain, shapes[ROW], row, at, (), (), ())
        return [
            finished(value, shapes[level], target, d, values)
            for value, level, target, d in zip(results, program.levels, targets, program.outputs, strict=True)
        ]

    def in_tiles(self, values: Sequence[Any], domain: Shape, targets: Sequence[Shape | None]) -> list[np.ndarray]:
        """The totals over all elements first, those that others need before these; then the roots."""
        held = list(values)
        for stage in self.totals[:-1]:
            program, ops = stage
            found = Sweep(program, held, domain, [()] * len(ops), [op.numpy for op in ops]).run()
            held.extend(self.real(total) for total in found)
        last = self.totals[-1][0] if self.totals else self.program
        return Sweep(last, held, domain, targets, [np.add] * len(targets)).run()


def calls_of(roots: tuple[Expr, ...]) -> set[Any]:
    """The operations in ``roots``."""
    found: set[Any] = set()
    fold(roots, var=lambda _: None, const=lambda _: None, call=lambda op, *_: found.add(op))
    return found


def totals(program: "Program") -> tuple[tuple["Program", tuple[Reduction, ...]], ...]:
    """Programs for what ``program`` reduces over all, each of which may need those before it; it itself is the last."""
    depth: dict[Expr, int] = {}
    fold(
        program.roots,
        var=lambda _: 0,
        const=lambda _: 0,
        call=lambda op, *args: max(args, default=0) + (isinstance(op, Reduction) and op.level == ALL),
        done=depth,
    )
    found = [node for node in depth if isinstance(node.op, Reduction) and node.op.level == ALL]
    known: dict[Expr, Expr] = {}
    stages = []
    inputs = program.inputs
    for level in sorted({depth[node] for node in found}):
        now = [node for node in found if depth[node] == level]
        stages.append((
            replace(
                program,
                roots=tuple(substitute(node.args[0], known) for node in now),
                levels=tuple(node.op.over for node in now),
                inputs=inputs,
                outputs=(wide(program.computed),) * len(now),
            ),
            tuple(node.op for node in now),
        ))
        known |= {node: slot(len(inputs) + i) for i, node in enumerate(now)}
        inputs += (None,) * len(now)
    roots = tuple(substitute(root, known) for root in program.roots)
    return (*stages, (replace(program, roots=roots, inputs=inputs), ()))


def wide(computed: dtype) -> dtype:
    """The widest dtype of the kind of ``computed``."""
    return complex128 if computed.is_complex else float64


class Sweep:
    """A run of a program over all tiles."""

    def __init__(
        self,
        program: "Program",
        values: Sequence[Any],
        domain: Shape,
        targets: Sequence[Shape | None],
        combines: Sequence[np.ufunc],
    ) -> None:
        self.program, self.domain, self.combines = program, domain, combines
        self.on = on_numpy(program)
        self.values = [
            v.reshape((1,) * (len(domain) - v.ndim) + v.shape) if isinstance(v, np.ndarray) else v for v in values
        ]
        self.targets, self.shapes = targets, naturals(domain, program.axes)
        levels = tuple([level_of_shape(np.shape(v), domain, program.axes) for v in values])
        key = levels, tuple(map(self.sums, range(len(targets))))
        if (function := self.on.tiled.get(key)) is None:
            function = self.on.tiled[key] = Text(program, *key).written()
        self.function = function
        self.results = [self.begin(i) for i in range(len(targets))]

    def sums(self, i: int) -> bool:
        """Whether the root ``i`` is summed to a target."""
        target = self.targets[i]
        return target is not None and prod(target) != prod(self.shapes[self.program.levels[i]])

    def begin(self, i: int) -> np.ndarray:
        """Where the values of the root ``i`` go: an array of as many axes as the domain has."""
        natural, target, ndim = self.shapes[self.program.levels[i]], self.targets[i], len(self.domain)
        if not self.sums(i):
            return np.empty((1,) * (ndim - len(natural)) + natural, self.program.outputs[i].numpy)
        assert target is not None
        start = {np.add: 0, np.maximum: -inf, np.minimum: inf}[self.combines[i]]
        return np.full((1,) * (ndim - len(target)) + target, start, wide(self.program.computed).numpy)

    def run(self) -> list[np.ndarray]:
        """The roots' arrays."""
        program, axes = self.program, self.program.axes
        width = self.function.reals + sum(isinstance(v, np.ndarray) and v.size > 1 for v in self.values)
        itemsize = np.dtype(self.on.real).itemsize
        scratch: dict[Shape, Any] = {}
        for tile in tiles(self.domain, self.on.whole, max(1, TILE // itemsize // max(width, 1))):
            shape = tuple([s.stop - s.start for s in tile])
            if shape not in scratch:
                scratch[shape] = (
                    [np.empty(shape, self.on.real) for _ in range(self.function.reals)],
                    [np.empty(shape, np.bool_) for _ in range(self.function.truths)],
                )
            at = At(self.domain, axes, tile, self.on.real) if self.on.placed else None
            parts = [part(v, tile) if isinstance(v, np.ndarray) else v for v in self.values]
            outs = [part(result, tile) for result in self.results]
            line, row = shape[: len(shape) - axes] + (1,) * axes, shape[len(shape) - axes :]
            made = self.function.call(*parts, shape, line, row, at, *scratch[shape], outs)
            for i, value in enumerate(made):
                self.put(i, value, outs[i], naturals(shape, axes)[program.levels[i]])
        return [
            result.astype(d.numpy, copy=False).reshape(self.shapes[level] if target is None else target)
            for result, d, level, target in zip(
                self.results, program.outputs, program.levels, self.targets, strict=True
            )
        ]

    def put(self, i: int, value: Any, out: np.ndarray, natural: Shape) -> None:
        """Keep, or add up, what the root ``i`` is in a tile."""
        if self.sums(i):
            ufunc = self.combines[i]
            value = full(value, natural)
            axes = tuple(a for a, n in enumerate(out.shape) if n == 1)
            ufunc(out, ufunc.reduce(value, axis=axes, keepdims=True), out=out)
        elif not self.function.direct[i]:
            out[...] = value


def level_of_shape(shape: Shape, domain: Shape, axes: int) -> int:
    """The level of values of ``shape``, which broadcasts to ``domain``: the least that does not depend on its sizes."""
    if not shape or (len(shape) <= axes and prod(shape) == 1 and shape != domain):
        return ALL
    row, own = domain[len(domain) - axes :], shape[-axes:]
    return ROW if len(shape) > axes and own != row and prod(own) == 1 else ELEMENT


def part(x: np.ndarray, tile: tuple[slice, ...]) -> np.ndarray:
    """What of ``x`` belongs to a tile of the domain that it broadcasts to."""
    return x[tuple([s if n != 1 else slice(None) for s, n in zip(tile, x.shape, strict=True)])]


def tiles(domain: Shape, whole: int, size: int) -> Iterator[tuple[slice, ...]]:
    """Parts of ``domain`` of about ``size`` elements, whose last ``whole`` axes are not divided."""
    axis = next((a for a in range(len(domain)) if prod(domain[a + 1 :]) <= size), 0)
    axis = min(axis, len(domain) - whole)
    rest = tuple(slice(0, n) for n in domain[axis + 1 :])
    step = max(1, size // max(prod(domain[axis + 1 :]), 1))
    for outer in np.ndindex(*domain[:axis]):
        before = tuple(slice(i, i + 1) for i in outer)
        if axis == len(domain):
            yield before
            continue
        for start in range(0, domain[axis], step):
            yield (*before, slice(start, min(start + step, domain[axis])), *rest)


@lru_cache(maxsize=2048)
def on_numpy(program: "Program") -> OnNumPy:
    """The functions of ``program``."""
    return OnNumPy(program)


def run(program: "Program", values: Sequence[Any], domain: Shape, targets: Sequence[Shape | None]) -> list[np.ndarray]:
    """What ``Program.run`` returns, of NumPy arrays and numbers."""
    return modes.quiet(on_numpy(program).run, values, domain, targets)  # type: ignore[no-any-return]


def exactly(
    program: "Program", values: Sequence[Any], domain: Shape, targets: Sequence[Shape | None]
) -> list[np.ndarray]:
    """The same in double precision: what other roads are compared with."""
    precise = wide(program.computed)
    return run(
        replace(program, computed=precise, outputs=(precise,) * len(program.outputs)), values, domain, targets
    )
