"""The planned road: a backward pass as a short list of launches, composed once and then replayed.

Cotangents travel through the tape as formulas, so chains, fan-out sums, products, and what broadcasting sums
up again fuse by construction. A program runs where values are needed: by an operation that has no formulas, by a
hook or a custom Function, by a leaf, or where a formula reaches its limits. The list is kept under the tape's
signature: the next pass over the same operations composes and compiles nothing.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from .. import backends
from ..backends import _numpy
from ..dtypes import REDUCED, dtype, float32
from ..engine import Output, Parts, Pending
from ..modes import modes
from ..op import TABLE, Op
from . import device
from .codegen import sizes
from .expr import ZERO, Expr, fold, slot, slots, substitute
from .kernels import picker
from .launch import kind_of
from .program import Program, program
from .reductions import ELEMENT, Place, Reduction
from .roots import calls_of, in_rows

# Of one program; large operations are those that take long to compile, and inputs that are numbers do not count
MAX_OPS, MAX_LARGE, MAX_INPUTS, MAX_OUTPUTS = 128, 10, 32, 4


@dataclass(frozen=True)
class Region:
    """Cotangents over one domain: the real dtype of their numbers, and the node that knows the domain.

    Without a node that is their shape.
    """

    precision: dtype
    node: int | None = None


@dataclass(frozen=True, eq=False)
class Formula:
    """A cotangent of a ``dtype``, not yet computed: a formula of a plan's values, over the domain of ``region``.

    ``fit`` says which operand of which node it belongs to, if that has another shape or dtype: it is then summed and
    cast when it is computed. Rows are the last ``axes`` axes of the domain, 0 where none matter.
    """

    expr: Expr
    region: Region
    dtype: dtype
    level: int = ELEMENT
    axes: int = 0
    fit: tuple[int, int] | None = None


@dataclass
class Launch:
    """One program on values."""

    program: Program
    inputs: tuple[int, ...]
    doubtful: tuple[int, ...] | None  # on a device, the inputs to look at: others are dense and like the first of them
    node: int | None  # that knows the domain
    fits: tuple[tuple[int, int] | None, ...]

    def __post_init__(self) -> None:
        self.pick = picker(self.inputs)

    def run(self, values: list[Any], nodes: list[Any]) -> list[Any]:
        targets = [None if fit is None else nodes[fit[0]].fit[fit[1]][1] for fit in self.fits]
        domain = None if self.node is None else nodes[self.node].domain
        if self.doubtful is None or modes.watch is not None:
            return self.program.run(self.pick(values), domain, targets)
        return device.run(self.program, self.pick(values), domain, targets, self.doubtful)


class UnlikeBeforeError(Exception):
    """A hook or a custom Function gives a cotangent where it gave none before, or none where it did."""


@dataclass
class Call:
    """The pullback of an operation that has no formulas, of the results ``numbers`` if it has several."""

    node: int
    inputs: tuple[int, ...]
    numbers: tuple[int, ...] = ()

    def run(self, values: list[Any], nodes: list[Any]) -> Sequence[Any]:
        arrived = [values[i] for i in self.inputs]
        return self.pulled(nodes[self.node], self.together(arrived))

    def together(self, arrived: list[Any]) -> Any:
        """The cotangent of the node, made of those that arrived."""
        return Parts(zip(self.numbers, arrived, strict=True)) if self.numbers else arrived[0]

    @staticmethod
    def pulled(node: Any, grad: Any) -> Sequence[Any]:
        """What the node makes of it."""
        if modes.watch is not None:
            return modes.watch.call(node.name(), node.pullback, grad)  # type: ignore[no-any-return]
        return node.pullback(grad)  # type: ignore[no-any-return]


@dataclass
class Shown(Call):
    """A call in which users see cotangents, and may keep, write to or withhold them: of hooks or a custom Function.

    It gives the node's own cotangent, too, for the tensor that retains it. ``given`` tells which cotangents the
    first call gave, where users may withhold some.
    """

    seeds: int = 0  # values that a plan must not give away
    withholds: bool = False
    given: list[bool] | None = None

    def run(self, values: list[Any], nodes: list[Any]) -> Sequence[Any]:
        node = nodes[self.node]
        grad = self.together([values[i].copy() if i < self.seeds else values[i] for i in self.inputs])
        if (hooks := node.hooks) is not None:
            grad = hooks.on_cotangent(grad)
        retained, grad = grad, grad if hooks is None else hooks.before(grad)
        if grad is None:
            parts: tuple[Any, ...] = (None,) * len(node.parents)
        else:
            parts = (grad,) if isinstance(node, Output) else tuple(self.pulled(node, grad))
            parts = parts if hooks is None else hooks.after(parts, grad)
        if self.withholds:
            given = [part is not None for part, parent in zip(parts, node.parents, strict=False) if parent is not None]
            if self.given is not None and given != self.given:
                raise UnlikeBeforeError
            self.given = given
        return [*parts, retained]


@dataclass
class Settle:
    """A cotangent of which ``Pending`` parts, and perhaps an array, have arrived."""

    inputs: tuple[int, ...]

    def run(self, values: list[Any], nodes: list[Any]) -> list[Any]:
        first, *others = [values[i] for i in self.inputs]
        return [sum(others, first).settled()]


@dataclass
class Plan:
    """The steps of a backward pass, and which of the values that they leave is the gradient of which leaf.

    Its values by number: the seeds, and then what nodes saved and what steps give, as they are needed.
    """

    steps: list[tuple[Any, int, tuple[int, ...]]]  # and its first value, and the values that it reads last
    leaves: list[tuple[int, int, bool]]  # leaf, value, held by others too
    retained: list[tuple[int, int]]  # node with hooks, value
    saved: dict[int, list[tuple[int, int]]]  # for each node read: which of what it saved is which value
    count: int  # of all values

    @property
    def may_end(self) -> bool:
        """Whether it may end with ``UnlikeBeforeError``: then the pass has to go node by node."""
        return any(isinstance(step, Shown) and step.withholds for step, _, _ in self.steps)

    def run(self, values: list[Any], nodes: list[Any]) -> None:
        """Fill in the ``values`` that steps give."""
        for step, number, last in self.steps:
            for i, value in enumerate(step.run(values, nodes), number):
                values[i] = value
            for i in last:
                values[i] = None  # its memory goes back to the pool


class Builder:
    """Composes a plan, running every step as it is found.

    Where complex numbers are among the cotangents, programs may compute in these, and read all arrays as such:
    formulas of real numbers then take the real part of what they read.
    """

    def __init__(self, nodes: list[Any], order: list[int], roots: list[int], seeds: list[Any]) -> None:
        self.nodes, self.seeds, self.values = nodes, seeds, list(seeds)
        self.steps: list[tuple[Any, int]] = []
        self.saved: dict[int, list[tuple[int, int]]] = {}
        self.known: dict[int, int] = {}  # the values that nodes saved, by the arrays' identity
        self.plain: dict[int, Region] = {}  # values that dense nodes saved, and the region that they have the shape of
        # those whose cotangents may stay formulas
        self.inner = {n for n in order if nodes[n].formulas is not None and nodes[n].hooks is None}
        self.mixed = any(nodes[n].is_complex for n in order)
        self.ends = set(range(len(nodes))).difference(order)  # the leaves
        self.numbers = {node: number for number, node in enumerate(nodes)}
        self.grads: dict[int, Formula] = {}
        self.several: dict[int, dict[int, Formula]] = {}  # of nodes with several results, by the results' numbers
        self.pending: dict[int, list[int]] = {}  # values that are parts of cotangents, and Pending
        self.retained: list[tuple[int, int]] = []
        self.shown: set[int] = set()  # values that users may hold
        self.awaited = Counter(self.numbers[p] for n in order for p in nodes[n].parents if p is not None)
        self.awaited.update(roots)
        for i, root in enumerate(roots):
            self.deliver(root, self.of_value(i))
        for number in order:
            self.settle(number)
            if number in self.grads or number in self.several:
                self.take(number)
            else:
                for parent in nodes[number].parents:
                    if parent is not None:
                        self.deliver(self.numbers[parent], None)
        self.leaves = self.finish_leaves()

    def do(self, step: Any) -> range:
        """Run and keep ``step``; the numbers of its values."""
        before = len(self.values)
        self.steps.append((step, before))
        self.values.extend(step.run(self.values, self.nodes))
        return range(before, len(self.values))

    def read(self, number: int) -> Expr:
        """A value as formulas of its own kind of numbers read it."""
        kind = kind_of(self.values[number])
        real = self.mixed and not (kind is not None and kind.is_complex)
        return Expr(TABLE.real, slot(number)) if real else slot(number)

    def value(self, formula: Formula) -> int | None:
        """The number of the value that ``formula`` is, if it is one."""
        expr = formula.expr.args[0] if formula.expr.op is TABLE.real else formula.expr
        if expr.op is not int or formula.fit is not None or formula.expr is not self.read(*expr.args):
            return None
        return expr.args[0]  # type: ignore[no-any-return]

    def unpack(self, number: int, read: Sequence[int]) -> Iterator[tuple[Expr, Expr]]:
        """The slots ``read`` of a node's formulas, and of the values that it saved; those of one array are one."""
        node = self.nodes[number]
        saved = node.unpack() if read else ()
        for i in read:
            at = self.known.get(id(saved[i]), len(self.values))
            if at == len(self.values):
                self.values.append(saved[i])
                if kind_of(saved[i]) is not None:
                    self.known[id(saved[i])] = at
            self.saved.setdefault(number, []).append((i, at))
            yield slot(i), slot(at) if node.is_complex else self.read(at)

    def fits_one_program(self, *formulas: Expr) -> bool:
        """Whether a program may compute ``formulas`` together."""
        arrays = [i for i in slots(*formulas) if kind_of(self.values[i]) is not None]
        count, large = sizes(formulas)
        small_enough = count <= MAX_OPS and large <= MAX_LARGE
        if self.mixed and self.complex_in(formulas) and any(map(of_reals, formulas)):
            return False
        return small_enough and len(formulas) <= MAX_OUTPUTS and len(arrays) <= MAX_INPUTS

    def complex_in(self, formulas: Sequence[Expr]) -> bool:
        """Whether ``formulas`` compute complex numbers."""
        kinds = (kind_of(self.values[i]) for i in slots(*formulas))
        if any(kind is not None and kind.is_complex for kind in kinds):
            return True
        return any(op.result == "complex" for formula in formulas for op in calls_of(formula) if isinstance(op, Op))

    def of_value(self, number: int) -> Formula:
        """A value that starts a region of its own: nothing is known of its shape."""
        kind = kind_of(self.values[number])
        assert kind is not None
        return Formula(self.read(number), Region(kind.to_real()), kind)

    def settled(self, formula: Formula) -> Formula:
        """``formula`` as a value, of the same region if it has its domain and dtype."""
        value = self.force(formula)
        if formula.fit is None and formula.level == ELEMENT:
            return Formula(self.read(value), formula.region, formula.dtype)
        return self.of_value(value)

    def deliver(self, target: int, part: Formula | None) -> None:
        """Add ``part`` to the cotangent of ``target``."""
        self.awaited[target] -= 1
        if part is None:
            return
        if (present := self.grads.get(target)) is not None:
            total = present.expr + part.expr  # type: ignore[operator]
            if self.one_place(present, part) and self.fits_one_program(total):
                part = replace(part, expr=total, axes=present.axes or part.axes)
            else:
                known, other = self.settled(present), self.settled(part)
                part = replace(known, expr=known.expr + other.expr)  # type: ignore[operator]
        self.grads[target] = part

    def one_place(self, a: Formula, b: Formula) -> bool:
        """Whether two formulas, cotangents of one target, are of one domain and can be added there."""
        same = a.region is b.region and a.level == b.level and self.fit_of(a) == self.fit_of(b)
        return same and (not a.axes or not b.axes or a.axes == b.axes)

    def fit_of(self, formula: Formula) -> Any:
        """The type and shape that ``formula`` is to be cast and summed to; None if it has them."""
        return None if formula.fit is None else self.nodes[formula.fit[0]].fit[formula.fit[1]]

    def take(self, number: int) -> None:
        """Go on from a node that a cotangent has reached."""
        node = self.nodes[number]
        if number in self.inner:
            self.compose(number)
        elif isinstance(node, Output) and node.hooks is None:
            self.hand_on(node, self.grads.pop(number))
        else:
            self.call(number)

    def hand_on(self, output: Output, grad: Formula) -> None:
        """Give the node of several results the cotangent of one."""
        source = self.numbers[output.parents[0]]
        self.awaited[source] -= 1
        self.several.setdefault(source, {})[output.index] = grad

    def call(self, number: int) -> None:
        """Run the pullback of a node that has no formulas, or whose cotangents users see."""
        node, several = self.nodes[number], self.several.pop(number, {})
        arriving = several.values() if several else [self.grads.pop(number)]
        inputs, numbers = tuple(map(self.force, arriving)), tuple(several)
        if node.hooks is None and not node.aliases:
            made = self.do(Call(number, inputs, numbers))
        else:
            withholds = bool(node.aliases or node.hooked)
            made = self.do(Shown(number, inputs, numbers, len(self.seeds), withholds))
            self.shown.update(made)
            self.retained += [(number, made[-1])] if node.hooks is not None else []
        for parent, value in zip(node.parents, made, strict=False):  # indices have no cotangent
            if parent is None:
                continue
            if isinstance(self.values[value], Pending):
                self.awaited[self.numbers[parent]] -= 1
                self.pending.setdefault(self.numbers[parent], []).append(value)
                continue
            part = None if self.values[value] is None else self.of_value(value)
            if isinstance(node, Output) and part is not None:
                self.hand_on(node, part)
            else:
                self.deliver(self.numbers[parent], part)

    def settle(self, target: int) -> None:
        """Compute the cotangent of ``target`` if there are parts of it that are Pending."""
        if parts := self.pending.pop(target, []):
            other = self.grads.get(target)
            inputs = (*parts, *(() if other is None else (self.force(other),)))
            self.grads[target] = self.of_value(*self.do(Settle(inputs)))

    def compose(self, number: int) -> None:
        """Grow the formulas of the operands' cotangents of a node."""
        node, grad = self.nodes[number], self.grads.pop(number)
        wanted = [
            (i, self.numbers[parent], formula)
            for i, (parent, formula) in enumerate(zip(node.parents, node.formulas, strict=True))
            if parent is not None and formula is not None
        ]
        axes = node.axes if any(in_rows(formula) for _, _, formula in wanted) else 0
        if (
            grad.fit is not None
            or grad.level != ELEMENT
            or node.level != ELEMENT
            or (axes and grad.axes not in (0, axes))
        ):
            grad = self.settled(grad)
        read = tuple(sorted(slots(*(formula for _, _, formula in wanted)) - {node.cotangent}))
        known = dict(self.unpack(number, read))
        known[slot(node.cotangent)] = arriving(grad, node)
        if not self.fits_one_program(*(substitute(formula, known) for _, _, formula in wanted)):
            grad = self.settled(grad)
            known[slot(node.cotangent)] = arriving(grad, node)
        region = grad.region if node.level == ELEMENT else Region(grad.region.precision, number)
        if node.dense:
            self.plain.update((at, region) for _, at in self.saved.get(number, ()))
        fits = node.fit or (None,) * len(node.parents)
        for i, target, formula in wanted:
            expr, own, fit = substitute(formula, known), grad.dtype, None
            if (kind := fits[i]) is not None:
                own, shape = kind[0].dtype, kind[1]
                expr = Expr(TABLE.real, expr) if node.is_complex and not own.is_complex else expr
                fit = (number, i) if shape is not None or own.to_real() is not region.precision else None
            self.deliver(target, Formula(expr, region, own, node.slot_levels[i], axes or grad.axes, fit))

    def force(self, formula: Formula) -> int:
        """The number of the value of ``formula``: a program computes it, unless it is a value already.

        The program also computes other cotangents of the domain that are complete and needed as values.
        """
        if (number := self.value(formula)) is not None:
            return number
        together = [formula]
        targets = []
        for target, other in self.grads.items():
            needed = (
                self.needs_own_memory(target, other)
                if self.value(other) is not None
                else (target not in self.inner or other.fit is not None)
            )
            if needed and not self.awaited[target] and self.joins(other, together):
                together.append(other)
                targets.append(target)
        values = self.launch(together)
        for target, one, value in zip(targets, together[1:], values[1:], strict=True):
            kept = one.fit is None and one.level == ELEMENT
            self.grads[target] = Formula(self.read(value), one.region, one.dtype) if kept else self.of_value(value)
        return values[0]

    def needs_own_memory(self, target: int, formula: Formula) -> bool:
        """Whether a value is a leaf's gradient, but somebody else's array."""
        return target in self.ends and self.value(formula) < len(self.seeds)  # type: ignore[operator]

    def joins(self, other: Formula, together: list[Formula]) -> bool:
        """Whether ``other`` can be computed with the formulas ``together``."""
        first = together[0]
        return (
            other is not first
            and other.region is first.region
            and all(not other.axes or not one.axes or other.axes == one.axes for one in together)
            and self.fits_one_program(*(one.expr for one in together), other.expr)
        )

    def launch(self, formulas: list[Formula]) -> range:
        """Compute ``formulas``, which are of one region; the numbers of their values."""
        region = formulas[0].region
        exprs = [formula.expr for formula in formulas]
        inputs = tuple(sorted(slots(*exprs)))
        known = {slot(number): slot(i) for i, number in enumerate(inputs)}
        outputs = tuple(formula.dtype for formula in formulas)
        computed = float32 if region.precision in REDUCED else region.precision
        if any(d.is_complex for d in outputs) or self.complex_in(exprs):
            computed = computed.to_complex()
        else:
            known |= {Expr(TABLE.real, value): place for value, place in known.items()}
        roots = tuple(substitute(expr, known) for expr in exprs)
        made = program(
            roots,
            tuple(formula.level for formula in formulas),
            tuple(kind_of(self.values[i]) for i in inputs),
            outputs,
            computed,
            max(formula.axes for formula in formulas) or 1,
            name_of(roots),
        )
        fits = tuple(formula.fit for formula in formulas)
        return self.do(Launch(made, inputs, self.doubtful(made, inputs, region), region.node, fits))

    def doubtful(self, made: Program, inputs: tuple[int, ...], region: Region) -> tuple[int, ...] | None:
        """The arrays among ``inputs`` that may be unlike those that dense nodes saved, and first one of these."""
        if backends.of_any(tuple(self.values[i] for i in inputs)) is _numpy:
            return None
        sure = [i for i in made.arrays if self.plain.get(inputs[i]) is region]
        return (*sure[:1], *(i for i in made.arrays if i not in sure))

    def finish_leaves(self) -> list[tuple[int, int, bool]]:
        """Compute what is left, the leaves' gradients: leaf, value, and whether others hold the value too."""
        for target in list(self.pending):
            self.settle(target)
        for target in list(self.grads):
            if self.value(formula := self.grads[target]) is None:
                self.grads[target] = self.of_value(self.force(formula))
        leaves = []
        for number, formula in self.grads.items():
            value = self.value(formula)
            assert value is not None
            holders = sum(other is self.values[value] for other in self.values)
            leaves.append((number, value, holders > 1 or value < len(self.seeds) or value in self.shown))
        return leaves

    def plan(self) -> Plan:
        """What was done, to do again."""
        last: dict[int, int] = {}
        for number, (step, _) in enumerate(self.steps):
            last.update(dict.fromkeys(step.inputs, number))
        for value in (*(value for _, value, _ in self.leaves), *(value for _, value in self.retained)):
            last.pop(value, None)
        reads: list[list[int]] = [[] for _ in self.steps]
        for value, number in last.items():
            reads[number].append(value)
        if reads:
            reads[-1] = []  # these go with the list of values
        steps = [(step, first, tuple(own)) for (step, first), own in zip(self.steps, reads, strict=True)]
        return Plan(steps, self.leaves, self.retained, self.saved, len(self.values))


def arriving(grad: Formula, node: Any) -> Expr:
    """The cotangent of a node's result in its formulas, complex if these compute complex numbers."""
    real = node.is_complex and not grad.dtype.is_complex
    return Expr(TABLE.complex, grad.expr, ZERO) if real else grad.expr


def of_reals(formula: Expr) -> bool:
    """Whether there is in ``formula`` what takes real numbers alone: reductions, and values of places."""
    return any(isinstance(op, Reduction | Place) for op in calls_of(formula))


def name_of(roots: tuple[Expr, ...]) -> str:
    """What a backward program does, in its name: ``bwd_mul_tanh``."""
    words: dict[str, None] = {}
    fold(roots, var=lambda _: None, const=lambda _: None, call=lambda op, *_: words.setdefault(op.name))
    return f"bwd_{'_'.join(words) or 'copy'}"[:48]
