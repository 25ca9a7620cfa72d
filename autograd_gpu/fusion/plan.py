"""The planned road: a backward pass on the device as a short list of launches, composed once and then replayed.

Cotangents travel through the tape as formulas, so chains, fan-out sums, products, and what broadcasting sums
up again fuse by construction. A program runs where values are needed: by an operation that has no formulas, by a
leaf, or where a formula reaches its limits. The list is kept under the tape's signature: the next pass over the
same operations composes and compiles nothing.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ..dtypes import REDUCED, dtype, float32
from .codegen import sizes
from .expr import Expr, fold, slot, slots, substitute
from .launch import kind_of
from .lowering import in_rows
from .program import Program, program
from .reductions import ELEMENT

# Of one program; large operations are those that take long to compile, and inputs that are numbers do not count
MAX_OPS, MAX_LARGE, MAX_INPUTS, MAX_OUTPUTS = 128, 10, 32, 4


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

    def run(self, values: list[Any], nodes: list[Any]) -> list[Any]:
        targets = [None if fit is None else nodes[fit[0]].fit[fit[1]][1] for fit in self.fits]
        domain = None if self.node is None else nodes[self.node].domain
        return self.program.run([values[i] for i in self.inputs], domain, targets)


@dataclass
class Call:
    """The pullback of an operation that has no formulas."""

    node: int
    inputs: tuple[int]

    def run(self, values: list[Any], nodes: list[Any]) -> Sequence[Any]:
        return nodes[self.node].pullback(values[self.inputs[0]])  # type: ignore[no-any-return]


@dataclass
class Plan:
    """The steps of a backward pass, and which of the values that they leave is the gradient of which leaf.

    Its values by number: the seeds, and then what nodes saved and what steps give, as they are needed.
    """

    steps: list[tuple[Any, int, tuple[int, ...]]]  # and its first value, and the values that it reads last
    leaves: list[tuple[int, int, bool]]  # leaf, value, held by others too
    saved: dict[int, list[tuple[int, int]]]  # for each node read: which of what it saved is which value
    count: int  # of all values

    def run(self, values: list[Any], nodes: list[Any]) -> None:
        """Fill in the ``values`` that steps give."""
        for step, number, last in self.steps:
            for i, value in enumerate(step.run(values, nodes), number):
                values[i] = value
            for i in last:
                values[i] = None  # its memory goes back to the pool


class Builder:
    """Composes a plan, running every step as it is found."""

    def __init__(self, nodes: list[Any], order: list[int], roots: list[int], seeds: list[Any]) -> None:
        self.nodes, self.seeds, self.values = nodes, seeds, list(seeds)
        self.steps: list[tuple[Any, int]] = []
        self.saved: dict[int, list[tuple[int, int]]] = {}
        self.known: dict[int, int] = {}  # the values that nodes saved, by the arrays' identity
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
        self.steps.append((step, before))
        self.values.extend(step.run(self.values, self.nodes))
        return range(before, len(self.values))

    def unpack(self, number: int, read: Sequence[int]) -> Iterator[tuple[Expr, Expr]]:
        """The slots ``read`` of a node's formulas, and of the values that it saved; those of one array are one."""
        saved = self.nodes[number].unpack() if read else ()
        for i in read:
            at = self.known.get(id(saved[i]), len(self.values))
            if at == len(self.values):
                self.values.append(saved[i])
                if kind_of(saved[i]) is not None:
                    self.known[id(saved[i])] = at
            self.saved.setdefault(number, []).append((i, at))
            yield slot(i), slot(at)

    def fits_one_program(self, *formulas: Expr) -> bool:
        """Whether a program may compute ``formulas`` together."""
        arrays = [i for i in slots(*formulas) if kind_of(self.values[i]) is not None]
        count, large = sizes(formulas)
        small_enough = count <= MAX_OPS and large <= MAX_LARGE
        return small_enough and len(formulas) <= MAX_OUTPUTS and len(arrays) <= MAX_INPUTS

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
            if self.one_place(present, part) and self.fits_one_program(total):
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
        known = dict(self.unpack(number, read))
        known[slot(node.cotangent)] = grad.expr
        if not self.fits_one_program(*(substitute(formula, known) for _, _, formula in wanted)):
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
        for number, (step, _) in enumerate(self.steps):
            last.update(dict.fromkeys(step.inputs, number))
        for _, value, _ in self.leaves:
            last.pop(value, None)
        reads: list[list[int]] = [[] for _ in self.steps]
        for value, number in last.items():
            reads[number].append(value)
        if reads:
            reads[-1] = []  # these go with the list of values
        steps = [(step, first, tuple(own)) for (step, first), own in zip(self.steps, reads, strict=True)]
        return Plan(steps, self.leaves, self.saved, len(self.values))


def name_of(roots: tuple[Expr, ...]) -> str:
    """What a backward program does, in its name: ``bwd_mul_tanh``."""
    words: dict[str, None] = {}
    fold(roots, var=lambda _: None, const=lambda _: None, call=lambda op, *_: words.setdefault(op.name))
    return f"bwd_{'_'.join(words) or 'copy'}"[:48]
