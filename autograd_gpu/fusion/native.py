"""Programs on large NumPy arrays: compiled C++ where there is a compiler, else what interpret.py does."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache, lru_cache
from math import inf, prod
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ..dtypes import COMPLEX, FLOAT
from ..layouts import inner_to_outer
from ..modes import modes
from . import calls, interpret, memory
from .axes import Shape
from .compiler import CannotCompile, is_off
from .cpp import compiles
from .expr import Expr, slot, slots, substitute
from .kernels import Input
from .lowering import Lowering
from .reductions import ALL
from .roots import Root, Spec

if TYPE_CHECKING:
    from .program import Program

# Elements from which on programs are compiled. A call of a kernel costs 10 µs more than one of NumPy: here, a formula
# of two operations loses these 10 µs, one of ten takes a third of the time (benchmarks/thresholds.py).
FROM = 1 << 14
SHARED = 16  # rows: of fewer and long ones, each is in parts for several threads, however many there are


@dataclass
class Interpreted:
    """A step on NumPy, for few elements."""

    program: "Program"
    inputs: tuple[int, ...]
    domain: Shape
    targets: tuple[Shape | None, ...]
    made: tuple[tuple[Shape, Any], ...]

    def __call__(self, held: list[Any]) -> None:
        results = interpret.run(self.program, [held[i] for i in self.inputs], self.domain, self.targets)
        held += [
            np.ascontiguousarray(result).reshape(shape) for result, (shape, _) in zip(results, self.made, strict=True)
        ]


class OnHost(Lowering):
    """Lowering to calls of compiled kernels, and to NumPy for few elements."""

    Line, Tiles, leaves_parts, shares, fewest = calls.Line, calls.Tiles, False, False, 0

    def __init__(self, program: "Program", specs: tuple[Spec | None, ...], domain: Shape) -> None:
        super().__init__(program, specs, domain)
        self.kind = type(program)

    @staticmethod
    def processors() -> int:
        return SHARED

    def launch(self, roots: list[Root], domain: Shape, rows: int, order: Shape | None = None) -> list[int]:
        if prod(domain) < least():
            return self.interpreted(roots, domain, rows)
        return super().launch(roots, domain, rows, order)

    def simplified(self, roots: list[Root], inputs: list[Input], domain: Shape, rows: int, *, along: bool) -> list[int]:
        raise CannotCompile(f"arrays over {domain} have more axes than a kernel")

    def interpreted(self, roots: list[Root], domain: Shape, rows: int) -> list[int]:
        """Compute ``roots`` on NumPy."""
        numbers = sorted(slots(*(root.formula for root in roots)))
        known = {slot(number): slot(i) for i, number in enumerate(numbers)}
        formulas = [root.formula if root.reduction is None else Expr(root.reduction, root.formula) for root in roots]
        program = self.kind(
            tuple(substitute(formula, known) for formula in formulas),
            tuple(root.level if root.reduction is None else ALL for root in roots),
            tuple(self.dtypes[number] for number in numbers),
            tuple(root.dtype for root in roots),
            self.computed,
            rows,
            self.name,
        )
        made = [((1,) if root.reduction is not None else root.shape, root.dtype) for root in roots]
        targets = tuple(root.target for root in roots)
        shapes = tuple((shape, d.numpy) for shape, d in made)
        return self.add(Interpreted(program, tuple(numbers), domain, targets, shapes), made)


class Prepared(NamedTuple):
    """Numbers to add to the values, the steps, the numbers of the results, and what these become: axes and shape."""

    numbers: list[float]
    steps: list[Callable[[list[Any]], None]]
    results: list[tuple[int, tuple[int, ...] | None, Shape]]

    def run(self, values: Sequence[Any]) -> list[Any]:
        """The roots."""
        held = [*values, *self.numbers]
        for step in self.steps:
            step(held)
        return [held[i] if axes is None else held[i].transpose(axes).reshape(shape) for i, axes, shape in self.results]


@lru_cache(maxsize=4096)
def prepare(
    program: "Program", specs: tuple[Spec | None, ...], domain: Shape, targets: tuple[Shape | None, ...], _: int
) -> Prepared | None:
    """How ``program`` is computed by compiled kernels; None if it cannot be."""
    ndim = len(domain)
    order = order_of(program, specs, domain)
    try:
        if order == list(range(ndim)):
            lowering = OnHost(program, specs, domain)
            results = lowering.program(program, domain, targets)
            return Prepared(lowering.numbers, lowering.steps, [(i, None, ()) for i in results])
        own = tuple(domain[axis] for axis in order)
        lowering = OnHost(program, tuple(spec and turned(spec, order) for spec in specs), own)
        naturals = interpret.naturals(domain, program.axes)
        wanted = [naturals[level] if t is None else t for t, level in zip(targets, program.levels, strict=True)]
        full = [(1,) * (ndim - len(shape)) + shape for shape in wanted]
        results = lowering.program(program, own, [tuple(shape[axis] for axis in order) for shape in full])
        back = tuple(order.index(axis) for axis in range(ndim))
        return Prepared(
            lowering.numbers, lowering.steps, [(i, back, shape) for i, shape in zip(results, wanted, strict=True)]
        )
    except CannotCompile:
        return None


def order_of(program: "Program", specs: Sequence[Spec | None], domain: Shape) -> list[int]:
    """The axes of the domain in the order in which the first whole array has them in memory, as far as rows allow."""
    straight = list(range(len(domain)))
    whole = next((spec for spec in specs if spec is not None and spec.shape == domain), None)
    functions = interpret.functions(program)
    if whole is None or functions.placed:
        return straight
    order = inner_to_outer(whole.shape, whole.strides)[::-1]
    kept = functions.whole
    return order if order[len(order) - kept :] == straight[len(straight) - kept :] else straight


def turned(spec: Spec, order: Sequence[int]) -> Spec:
    """A Spec with axes in another order."""
    missing = len(order) - len(spec.shape)
    shape, strides = (1,) * missing + spec.shape, (0,) * missing + spec.strides
    return Spec(tuple(shape[axis] for axis in order), tuple(strides[axis] for axis in order), aligned=True)


@cache
def suits(program: "Program") -> bool:
    """Whether a program can be compiled: one of real numbers, all of whose operations have texts."""
    dtypes = [d for d in (*program.inputs, *program.outputs) if d is not None]
    real = program.computed.category == FLOAT and not any(d.category == COMPLEX for d in dtypes)
    return real and compiles(program.roots)


LEAST = {"on": FROM, "off": inf, "always": 1} if not is_off() else dict.fromkeys(("on", "off", "always"), inf)


def least() -> float:
    """From how many elements on programs of this thread are compiled."""
    return LEAST[modes.compiling]


def run(program: "Program", values: Sequence[Any], domain: Shape, targets: Sequence[Shape | None]) -> list[Any]:
    """What ``Program.run`` returns, of NumPy arrays and numbers."""
    limit = least()
    if prod(domain) < limit or not suits(program):
        return interpret.run(program, values, domain, targets)
    memory.begin()
    values = [in_memory(value) for value in values]
    specs = tuple([spec_of(value) for value in values])
    if (prepared := prepare(program, specs, domain, tuple(targets), limit)) is None:
        return interpret.run(program, values, domain, targets)
    return prepared.run(values)


def at_once(
    program: "Program", domain: Shape, targets: tuple[Shape | None, ...]
) -> Callable[[Sequence[Any]], list[np.ndarray]] | None:
    """The function of the values of ``program`` over so few elements that it is never compiled, unless always."""
    return interpret.prepared(program, domain, targets) if prod(domain) < FROM else None


def in_memory(value: Any) -> Any:
    """An array whose elements a kernel can read where they lie; a number as it is."""
    if isinstance(value, np.generic):
        return np.asarray(value)
    return value.copy() if isinstance(value, np.ndarray) and not value.flags.aligned else value


def spec_of(value: Any) -> Spec | None:
    """What calls depend on of an array; None of a number."""
    return spec(value.shape, value.strides, value.itemsize) if isinstance(value, np.ndarray) else None


@lru_cache(maxsize=4096)
def spec(shape: Shape, strides: Shape, size: int) -> Spec:
    """That of an array whose elements have ``size`` bytes."""
    return Spec(shape, tuple([stride // size for stride in strides]), aligned=True)


@contextmanager
def compiling(mode: str) -> Iterator[None]:
    """Inside, programs on large NumPy arrays of this thread are compiled (``"on"``) or run on NumPy (``"off"``).

    With ``"always"`` those on small arrays are compiled, too. Without a C++ compiler, all modes are ``"off"``.

    >>> from autograd_gpu import fusion
    >>> with fusion.compiling("off"):
    ...     pass
    """
    if mode not in ("on", "off", "always"):
        raise ValueError(f"compiling() takes 'on', 'off' or 'always', got {mode!r}")
    before, modes.compiling = modes.compiling, mode
    try:
        yield
    finally:
        modes.compiling = before
