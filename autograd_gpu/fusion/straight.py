"""A program as a NumPy function: one line an operation, written once."""

from collections import Counter
from collections.abc import Callable, Sequence
from functools import cached_property
from math import inf, prod
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ..backends._words import uniform
from ..dtypes import FLOAT, REDUCED, bool_, dtype
from ..op import TABLE
from .direct import as_bool
from .expr import ZERO, Expr, const, fold, slot, slots
from .reductions import (
    ALL,
    COUNT,
    COUNT_ALL,
    COUNT_ROWS,
    ELEMENT,
    POSITION,
    ROW,
    SUM,
    UNIFORM,
    Place,
    Reduction,
    level_of,
)

if TYPE_CHECKING:
    from .program import Program

Shape = tuple[int, ...]
Value = tuple[str, int, int]  # the name of a value in the text, its kind and its level
TRUTH, INTEGER, REAL = range(3)  # kinds; the last in what the program computes in

PICK = Place("pick", ROW)  # of a value and an index: the element of each row whose place is the index, else 0
PLACES = {
    PICK: "picked({0}, {1}, row)",
    COUNT: "number(at.columns)",
    COUNT_ALL: "number(at.elements)",
    COUNT_ROWS: "number(at.rows)",
    POSITION: "at.column",
    UNIFORM: "uniform({0}, {1}, at.place, number)",
}


def chosen(condition: np.ndarray, x: Any, other: Any, out: Any = None) -> Any:
    """``np.where``, but where nearly all elements are of one kind in a fifth of its time, and into ``out``."""
    if out is None:
        return np.where(condition, x, other)
    out[...] = other
    np.copyto(out, x, where=condition.astype(np.bool_, copy=False))
    return out


class At:
    """A part of a domain: what values are made of that depend on the place."""

    def __init__(self, domain: Shape, axes: int, tile: tuple[slice, ...]) -> None:
        self.domain, self.tile = domain, tile
        self.row = domain[len(domain) - axes :]
        self.columns, self.elements = prod(self.row), prod(domain)
        self.rows = prod(domain[: len(domain) - axes])

    @cached_property
    def column(self) -> np.ndarray:
        """The place of each element in its row, of which no part is missing."""
        return np.arange(self.columns).reshape(self.row)

    @cached_property
    def place(self) -> np.ndarray:
        """The place of each element in the domain."""
        total = np.zeros(tuple(s.stop - s.start for s in self.tile), np.int64)
        for axis, s in enumerate(self.tile):
            rest = len(self.domain) - axis - 1
            total += (np.arange(s.start, s.stop) * prod(self.domain[axis + 1 :])).reshape((-1,) + (1,) * rest)
        return total


class Step(NamedTuple):
    """A line: the name of its value, the text, what it reads, its kind, and whether it writes into ``out``."""

    name: str
    text: str
    reads: tuple[str, ...]
    kind: int
    writes: bool = False
    in_place: bool = False  # ``out`` may be what it reads


class Function(NamedTuple):
    """``call(*values, domain, line, row, at, reals, truths, outs)`` gives the roots' values.

    ``line`` and ``row`` are the domain with 1 in place of the last axes, and these axes; ``reals`` and
    ``truths`` are arrays of the domain's shape to compute in, as many as these numbers say; the roots that are
    ``direct`` are written into ``outs``. ``new`` says which roots are arrays that are made here.
    """

    call: Callable[..., tuple[Any, ...]]
    reals: int
    truths: int
    direct: tuple[bool, ...]
    new: tuple[bool, ...]


def kind_of(d: dtype | None) -> int:
    """The kind of an input of dtype ``d``; None is a number."""
    return REAL if d is None or d.category >= FLOAT else TRUTH if d is bool_ else INTEGER


def real_of(computed: dtype) -> np.dtype:
    """What a program computes in on NumPy."""
    return np.dtype(np.float32) if computed in REDUCED else computed.numpy


def full(x: Any, shape: Shape) -> Any:
    """``x`` with the last axes of ``shape``, along which it may be constant."""
    if x.shape[len(x.shape) - len(shape) :] == shape:
        return x
    return np.broadcast_to(x, np.broadcast_shapes(x.shape, shape))


def picked(x: np.ndarray, index: np.ndarray, row: Shape) -> np.ndarray:
    """What ``PICK`` is, of an index of each row."""
    (columns,) = row
    exists = (index >= 0) & (index < columns)
    shape = np.broadcast_shapes(x.shape[:-1], index.shape[:-1])
    x, places = np.broadcast_to(x, (*shape, columns)), np.broadcast_to(np.where(exists, index, 0), (*shape, 1))
    return np.where(exists, np.take_along_axis(x, places, -1), x.dtype.type(0))


def with_picks(roots: tuple[Expr, ...]) -> tuple[Expr, ...]:
    """``roots`` with ``PICK`` in place of sums over rows where all but one element are replaced by 0."""

    def call(op: Any, *args: Expr) -> Expr:
        if op is SUM and args[0].op is TABLE.where:
            here, x, other = args[0].args
            if other is ZERO and here.op is TABLE.eq and here.args[0] is Expr(POSITION):
                return Expr(PICK, x, here.args[1])
        return Expr(op, *args)

    return fold(roots, var=slot, const=const, call=call)


class Writer:
    """Writes the function of a program.

    ``levels`` are those of the inputs, and ``summed`` says which roots are not wanted themselves; without
    them every step makes a new array.
    """

    def __init__(self, program: "Program", levels: Sequence[int] | None = None, summed: Sequence[bool] = ()) -> None:
        self.program, self.levels, self.summed = program, levels, summed
        self.real = real_of(program.computed)
        self.steps: list[Step] = []
        self.numbers: dict[str, Any] = {}  # constants, and texts of integers, by the names of what they are as reals
        self.namespace: dict[str, Any] = {
            "full": full, "inf": inf, "number": self.real.type, "picked": picked, "computed": self.real,
            "uniform": uniform,
        }  # fmt: skip

    def function(self) -> Function:
        program = self.program
        formulas = program.roots if self.levels is None else with_picks(program.roots)
        roots = fold(formulas, var=self.variable, const=self.constant, call=self.call)
        direct = tuple(self.is_direct(i, roots) for i in range(len(roots)))
        self.leave_out_unread({name for name, _, _ in roots})
        outs = {root[0]: f"outs[{i}]" for i, root in enumerate(roots) if direct[i]}
        count = self.allot(outs, {name for name, _, _ in roots})
        lines = [*self.prepared()]
        for step in self.steps:
            out = f", out={outs[step.name]}" if step.writes else ""
            lines.append(f"{step.name} = {step.text.format(out=out)}")
        lines.append(f"return {', '.join(name for name, _, _ in roots)},")
        inputs = "".join(f"x{i}, " for i in range(len(program.inputs)))
        text = f"def call({inputs}domain, line, row, at, reals, truths, outs):\n    " + "\n    ".join(lines)
        exec(compile(text, f"<{program.name}>", "exec"), self.namespace)  # noqa: S102  our own text
        made = {step.name for step in self.steps if not step.text.startswith("at.")}
        new = tuple(name in made for name, _, _ in roots)
        return Function(self.namespace["call"], count[REAL], count[TRUTH], direct, new)

    # --- values ----------------------------------------------------------------------------------------

    def prepared(self) -> list[str]:
        """Lines that bring inputs to what is computed in; truths and integers stay what they are."""
        lines = []
        for i in sorted(slots(*self.program.roots)):
            d = self.program.inputs[i]
            if d is None:
                lines.append(f"x{i} = number(x{i})")
            elif d.category >= FLOAT and d.numpy != self.real:
                lines.append(f"x{i} = x{i}.astype(computed)")
        return lines

    def variable(self, number: int) -> Value:
        level = ELEMENT if self.levels is None else self.levels[number]
        return f"x{number}", kind_of(self.program.inputs[number]), level

    def constant(self, value: float) -> Value:
        name = f"k{len(self.namespace)}"
        self.namespace[name] = np.asarray(value, self.real.type(0).real.dtype)
        self.numbers[name] = value
        return name, REAL, ALL

    def integer(self, name: str) -> str:
        """The number ``name`` as an integer, if it is one: so integers are compared without being converted."""
        number = self.numbers.get(name)
        if isinstance(number, str):
            return number
        if number is None or number != number // 1 or abs(number) >= 1 << 53:
            return name
        own = f"{name}i"
        self.namespace[own] = np.asarray(int(number))
        return own

    def call(self, op: Any, *args: Value) -> Value:
        level = level_of(op, *(level for _, _, level in args))
        names = tuple(name for name, _, _ in args)
        if isinstance(op, Place):
            kind = INTEGER if op is POSITION else REAL
            name = self.step(PLACES[op].format(*names), names, kind)
            if op is COUNT:
                self.numbers[name] = "at.columns"
            return name, kind, level
        if isinstance(op, Reduction):
            return self.reduction(op, *args[0][:2]), REAL, level
        values = [i for i in range(op.arity) if i not in op.conditions]
        kind = max(args[i][1] for i in values)
        if op.result != "bool" and (kind == REAL or op.result == "float"):
            kind = REAL
            names = tuple(self.widened(*args[i][:2]) if i in values else name for i, name in enumerate(names))
        if op.result == "bool" and any(args[i][1] == INTEGER for i in values):
            names = tuple(self.integer(name) for name in names)
        if op is TABLE.where and self.levels is None and args[0][1] == TRUTH and self.real.kind == "f":
            chosen_from = [self.numbers.get(name) for name in names[1:]]
            if str not in map(type, chosen_from) and (text := as_bool(*chosen_from)) is not None:
                return self.step(text.format(names[0]), names[:1], kind), kind, level
        kind = TRUTH if op.result == "bool" else kind
        function = self.namespace[op.name] = chosen if op is TABLE.where else op.numpy
        writes = self.levels is not None and level == ELEMENT and kind != INTEGER and (op.writes or function is chosen)
        text = f"{op.name}({', '.join(names)}{{out}})"
        writes = writes and self.real.kind != "c"  # of complex numbers, a result may be real
        return self.step(text, names, kind, writes, isinstance(op.numpy, np.ufunc)), kind, level

    def step(self, text: str, reads: tuple[str, ...], kind: int, *more: bool) -> str:
        self.steps.append(Step(f"t{len(self.steps)}", text, reads, kind, *more))
        return self.steps[-1].name

    def widened(self, name: str, kind: int) -> str:
        return name if kind == REAL else self.step(f"{name}.astype(computed)", (name,), REAL)

    def reduction(self, op: Reduction, name: str, kind: int) -> str:
        """Reduce over the last axes, which are kept, or over all."""
        function, axes = f"{op.numpy.__name__}_reduce", self.program.axes
        self.namespace[function] = op.numpy.reduce
        domain = "row" if op.level == ROW else "domain" if op.over == ELEMENT else "line"
        axis: Any = (tuple(range(-axes, 0)) if axes > 1 else -1) if op.level == ROW else None
        over = f"{axis}, None, None, {op.level == ROW}"  # axis, dtype, out, keepdims, by position: that is faster
        start = "" if op.numpy is np.add else f", {'-' if op.numpy is np.maximum else ''}inf"
        values = self.widened(name, kind)
        return self.step(f"{function}(full({values}, {domain}), {over}{start})", (values,), REAL)

    def leave_out_unread(self, read: set[str]) -> None:
        """Drop steps whose values are neither in ``read`` nor needed for these."""
        kept = []
        for step in reversed(self.steps):
            if step.name in read:
                kept.append(step)
                read.update(step.reads)
        self.steps = kept[::-1]

    # --- where values go -------------------------------------------------------------------------------

    def is_direct(self, i: int, roots: tuple[Value, ...]) -> bool:
        """Whether the root ``i`` can be written where it is wanted."""
        name, kind, _ = roots[i]
        if self.levels is None or self.summed[i] or kind != REAL or self.program.outputs[i].numpy != self.real:
            return False
        return [root[0] for root in roots].count(name) == 1 and any(s.name == name and s.writes for s in self.steps)

    def allot(self, outs: dict[str, str], kept: set[str]) -> Counter[int]:
        """Give each step that writes an array in which no later step reads; how many there are of each kind."""
        last = {name: i for i, step in enumerate(self.steps) for name in step.reads}
        scratch: dict[str, tuple[int, str]] = {}  # by the name of the value in it
        free: dict[int, list[str]] = {REAL: [], TRUTH: []}
        count: Counter[int] = Counter()
        for i, step in enumerate(self.steps):
            done = [
                scratch.pop(n) for n in dict.fromkeys(step.reads) if last[n] == i and n in scratch and n not in kept
            ]
            if step.in_place:
                self.release(free, done)
            if step.writes and step.name not in outs:
                if not free[step.kind]:
                    free[step.kind].append(f"{'reals' if step.kind == REAL else 'truths'}[{count[step.kind]}]")
                    count[step.kind] += 1
                outs[step.name] = free[step.kind].pop()
                scratch[step.name] = step.kind, outs[step.name]
            if not step.in_place:
                self.release(free, done)
        return count

    @staticmethod
    def release(free: dict[int, list[str]], done: list[tuple[int, str]]) -> None:
        for kind, place in done:
            free[kind].append(place)


def operations(roots: tuple[Expr, ...]) -> set[Any]:
    """Those in ``roots``."""
    found: set[Any] = set()
    fold(roots, var=lambda _: None, const=lambda _: None, call=lambda op, *_: found.add(op))
    return found
