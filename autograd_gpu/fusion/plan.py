"""The planned road: a backward pass on the device as a short list of launches, composed once and then replayed.

Cotangents travel through the tape as formulas, so chains, fan-out sums, products, and what broadcasting sums
up again fuse by construction. A program runs where values are needed: by an operation that has no formulas, by a
leaf, or where a formula reaches its limits. The list is kept under the tape's signature: the next pass over the
same operations composes and compiles nothing.
"""

from collections import Counter, OrderedDict
from dataclasses import dataclass, field, replace
from typing import Any

from ..dtypes import REDUCED, dtype, float32
from .expr import Expr, fold, slot, slots, substitute
from .launch import kind_of
from .lowering import in_rows
from .program import Program, program
from .reductions import ELEMENT
from .stats import STATS

MAX_OPS, MAX_INPUTS, MAX_OUTPUTS = 128, 32, 4  # of one program
MAX_PLANS = 512


@dataclass(frozen=True)
class Region:
    """Cotangents over one domain: their dtype, and the node that knows the domain where it is not their shape."""

    dtype: dtype
    node: int | None = None


@dataclass(frozen=True, eq=False)
class Formula:
    """A cotangent not yet computed: a formula of a plan's values, over the domain of ``region``.

    ``fit`` says which operand of which node it belongs to, if that has another shape or dtype: it is then summed and
    cast when it is computed. Rows are the last ``axes`` axes of the domain, 0 where none matter.
    """

    expr: Expr
    region: Region
    level: int = ELEMENT
    axes: int = 0
    fit: tuple[int, int] | None = None

    @property
    def value(self) -> int | None:
        """The number of the value that it is, if it is one."""
        return self.expr.args[0] if self.expr.op is int and self.fit is None else None


@dataclass
class Launch:
    """One program on values."""

    program: Program
    inputs: tuple[int, ...]
    node: int | None  # that knows the domain
    fits: tuple[tuple[int, int] | None, ...]

    def run(self, values: list[Any], nodes: list[Any]) -> None:
        targets = [None if fit is None else nodes[fit[0]].fit[fit[1]][1] for fit in self.fits]
        domain = None if self.node is None else nodes[self.node].domain
        values.extend(self.program.run([values[i] for i in self.inputs], domain, targets))


@dataclass
class Unpack:
    """What a node saved becomes values."""

    node: int
    kept: tuple[int, ...]
    inputs = ()

    def run(self, values: list[Any], nodes: list[Any]) -> None:
        saved = nodes[self.node].unpack()
        values.extend([saved[i] for i in self.kept])


@dataclass
class Call:
    """The pullback of an operation that has no formulas."""

    node: int
    inputs: tuple[int]

    def run(self, values: list[Any], nodes: list[Any]) -> None:
        values.extend(nodes[self.node].pullback(values[self.inputs[0]]))


@dataclass
class Plan:
    """The steps of a backward pass, and which of the values that they leave is the gradient of which leaf."""

    steps: list[tuple[Any, tuple[int, ...]]] = field(default_factory=list)  # and the values it reads last
    leaves: list[tuple[int, int, bool]] = field(default_factory=list)  # leaf, value, held by others too

    def run(self, seeds: list[Any], nodes: list[Any]) -> list[Any]:
        """Replay the steps; the values that they leave."""
        values = list(seeds)
        for step, last in self.steps:
            step.run(values, nodes)
            for i in last:
                values[i] = None  # its memory goes back to the pool
        return values


def size(*formulas: Expr) -> int:
    """How many distinct operations ``formulas`` have."""
    calls: list[Any] = []
    fold(formulas, var=lambda _: None, const=lambda _: None, call=lambda op, *_: calls.append(op))
    return len(calls)


def fits_one_program(*formulas: Expr) -> bool:
    """Whether a program may compute ``formulas`` together."""
    return len(formulas) <= MAX_OUTPUTS and len(slots(*formulas)) <= MAX_INPUTS and size(*formulas) <= MAX_OPS


class Builder:
    """Composes a plan, running every step as it is found."""

    def __init__(self, nodes: list[Any], order: list[int], roots: list[int], seeds: list[Any]) -> None:
        self.nodes, self.seeds, self.values = nodes, seeds, list(seeds)
        self.steps: list[Any] = []
        self.inner = {n for n in order if nodes[n].formulas is not None}  # whose cotangents may stay formulas
        self.ends = set(range(len(nodes))).difference(order)  # the leaves
        self.numbers = {node: number for number, node in enumerate(nodes)}
        self.grads: dict[int, Formula] = {}
        self.awaited = Counter(self.numbers[p] for n in order for p in nodes[n].parents if p is not None)
        self.awaited.update(roots)
        for i, root in enumerate(roots):
            self.deliver(root, self.of_value(i))
        for number in order:
            if number in self.grads:
                (self.compose if number in self.inner else self.call)(number)
            else:
                for parent in nodes[number].parents:
                    if parent is not None:
                        self.deliver(self.numbers[parent], None)
        self.leaves = self.finish_leaves()

    def do(self, step: Any) -> range:
        """Run and keep ``step``; the numbers of its values."""
        before = len(self.values)
        step.run(self.values, self.nodes)
        self.steps.append(step)
        return range(before, len(self.values))

    def of_value(self, number: int) -> Formula:
        """A value that starts a region of its own: nothing is known of its shape."""
        kind = kind_of(self.values[number])
        return Formula(slot(number), Region(kind))  # type: ignore[arg-type]

    def settled(self, formula: Formula) -> Formula:
        """``formula`` as a value, of the same region if it has its domain and dtype."""
        value = self.force(formula)
        if formula.fit is None and formula.level == ELEMENT:
            return Formula(slot(value), formula.region)
        return self.of_value(value)

    def deliver(self, target: int, part: Formula | None) -> None:
        """Add ``part`` to the cotangent of ``target``."""
        self.awaited[target] -= 1
        if part is None:
            return
        if (present := self.grads.get(target)) is not None:
            total = present.expr + part.expr  # type: ignore[operator]
            if self.one_place(present, part) and fits_one_program(total):
                part = replace(part, expr=total, axes=present.axes or part.axes)
            else:
                known, other = self.settled(present), self.settled(part)
                part = replace(known, expr=known.expr + other.expr)  # type: ignore[operator]
        self.grads[target] = part

    @staticmethod
    def one_place(a: Formula, b: Formula) -> bool:
        """Whether two formulas are of one domain and can be added there."""
        same = a.region is b.region and a.level == b.level and a.fit is None and b.fit is None
        return same and (not a.axes or not b.axes or a.axes == b.axes)

    def call(self, number: int) -> None:
        """Run the pullback of a node that has no formulas."""
        made = self.do(Call(number, (self.force(self.grads.pop(number)),)))
        for parent, value in zip(self.nodes[number].parents, made, strict=False):  # indices have no cotangent
            if parent is not None:
                part = None if self.values[value] is None else self.of_value(value)
                self.deliver(self.numbers[parent], part)

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
        known = {slot(i): slot(v) for i, v in zip(read, self.do(Unpack(number, read)) if read else (), strict=True)}
        known[slot(node.cotangent)] = grad.expr
        if not fits_one_program(*(substitute(formula, known) for _, _, formula in wanted)):
            grad = self.settled(grad)
            known[slot(node.cotangent)] = grad.expr
        region = grad.region if node.level == ELEMENT else Region(grad.region.dtype, number)
        fits = node.fit or (None,) * len(node.parents)
        for i, target, formula in wanted:
            part = Formula(
                substitute(formula, known),
                region,
                node.slot_levels[i],
                axes or grad.axes,
                None if fits[i] is None else (number, i),
            )
            self.deliver(target, part)

    def force(self, formula: Formula) -> int:
        """The number of the value of ``formula``: a program computes it, unless it is a value already.

        The program also computes other cotangents of the domain that are complete and needed as values.
        """
        if formula.value is not None:
            return formula.value
        together = [formula]
        targets = []
        for target, other in self.grads.items():
            needed = (
                self.needs_own_memory(target, other)
                if other.value is not None
                else (target not in self.inner or other.fit is not None)
            )
            if needed and not self.awaited[target] and self.joins(other, together):
                together.append(other)
                targets.append(target)
        values = self.launch(together)
        for target, one, value in zip(targets, together[1:], values[1:], strict=True):
            kept = one.fit is None and one.level == ELEMENT
            self.grads[target] = Formula(slot(value), one.region) if kept else self.of_value(value)
        return values[0]

    def needs_own_memory(self, target: int, formula: Formula) -> bool:
        """Whether a value is a leaf's gradient, but somebody else's array."""
        return target in self.ends and formula.expr.args[0] < len(self.seeds)

    @staticmethod
    def joins(other: Formula, together: list[Formula]) -> bool:
        """Whether ``other`` can be computed with the formulas ``together``."""
        first = together[0]
        return (
            other is not first
            and other.region is first.region
            and all(not other.axes or not one.axes or other.axes == one.axes for one in together)
            and fits_one_program(*(one.expr for one in together), other.expr)
        )

    def launch(self, formulas: list[Formula]) -> range:
        """Compute ``formulas``, which are of one region; the numbers of their values."""
        region = formulas[0].region
        inputs = tuple(sorted(slots(*(formula.expr for formula in formulas))))
        known = {slot(number): slot(i) for i, number in enumerate(inputs)}
        fits = tuple(formula.fit for formula in formulas)
        outputs = (region.dtype if fit is None else self.nodes[fit[0]].fit[fit[1]][0].dtype for fit in fits)
        roots = tuple(substitute(formula.expr, known) for formula in formulas)
        made = program(
            roots,
            tuple(formula.level for formula in formulas),
            tuple(kind_of(self.values[i]) for i in inputs),
            tuple(outputs),
            float32 if region.dtype in REDUCED else region.dtype,
            max(formula.axes for formula in formulas) or 1,
            name_of(roots),
        )
        return self.do(Launch(made, inputs, region.node, fits))

    def finish_leaves(self) -> list[tuple[int, int, bool]]:
        """Compute what is left, the leaves' gradients: leaf, value, and whether others hold the value too."""
        for target in list(self.grads):
            if (formula := self.grads[target]).value is None:
                self.grads[target] = self.of_value(self.force(formula))
        leaves = []
        for number, formula in self.grads.items():
            value = formula.value
            assert value is not None
            holders = sum(other is self.values[value] for other in self.values)
            leaves.append((number, value, holders > 1 or value < len(self.seeds)))
        return leaves

    def plan(self) -> Plan:
        """What was done, to do again."""
        last: dict[int, int] = {}
        for number, step in enumerate(self.steps):
            last.update(dict.fromkeys(step.inputs, number))
        for _, value, _ in self.leaves:
            last.pop(value, None)
        reads = [tuple(v for v, at in last.items() if at == number) for number in range(len(self.steps))]
        return Plan(list(zip(self.steps, reads, strict=True)), self.leaves)


def name_of(roots: tuple[Expr, ...]) -> str:
    """What a backward program does, in its name: ``bwd_mul_tanh``."""
    words: dict[str, None] = {}
    fold(roots, var=lambda _: None, const=lambda _: None, call=lambda op, *_: words.setdefault(op.name))
    return f"bwd_{'_'.join(words) or 'copy'}"[:48]


class Plans:
    """Plans by the signature of their tape; the least recently used goes when there are too many."""

    def __init__(self) -> None:
        self.kept: OrderedDict[Any, Plan] = OrderedDict()

    def run(
        self, signature: Any, nodes: list[Any], order: list[int], roots: list[int], seeds: list[Any]
    ) -> list[tuple[int, Any, bool]]:
        """The gradients of the leaves: which leaf, the array, and whether others hold it too."""
        if (plan := self.kept.get(signature)) is not None:
            self.kept.move_to_end(signature)
            STATS.plans_hit += 1
            values = plan.run(seeds, nodes)
        else:
            builder = Builder(nodes, order, roots, seeds)
            plan, values = builder.plan(), builder.values
            STATS.plans_built += 1
            self.kept[signature] = plan
            if len(self.kept) > MAX_PLANS:
                self.kept.popitem(last=False)
        return [(leaf, values[value], shared) for leaf, value, shared in plan.leaves]


PLANS = Plans()
