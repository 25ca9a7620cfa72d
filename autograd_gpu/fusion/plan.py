"""The planned road: a backward pass on the device as a short list of launches, composed once and then replayed.

Cotangents travel through the tape as formulas, so chains, fan-out sums and products fuse by construction. A
kernel runs where a value is needed: by an operation that is not elementwise, by an operand that was
broadcast or cast, by a leaf, or where a formula reaches its limits. The list is kept under the tape's
signature: the next pass over the same operations composes and compiles nothing.
"""

import zlib
from collections import Counter, OrderedDict
from dataclasses import dataclass, field
from typing import Any

from ..backends import cuda, why_no_cuda
from ..dtypes import REDUCED, bool_, float32
from ..dtypes import of as dtype_of
from ..op import TABLE
from .codegen import helpers, statements
from .expr import Expr, const, fold, slot, slots

MAX_OPS, MAX_INPUTS, MAX_OUTPUTS = 128, 32, 4  # of one kernel
MAX_PLANS = 512


@dataclass
class Stats:
    """How often plans were found or made, and what they launched."""

    plans_hit: int = 0
    plans_built: int = 0
    kernels: int = 0
    launches: int = 0


STATS = Stats()


def kernels_compiled() -> int:
    """How many elementwise kernels were made so far, forward and backward."""
    return cuda().kernel.cache_info().misses if why_no_cuda() is None else 0


@dataclass
class Formula:
    """A cotangent not yet computed: a formula of a plan's values, which are of one shape and dtype (``region``)."""

    expr: Expr
    region: int


@dataclass
class Launch:
    """One kernel on values."""

    kernel: Any
    inputs: tuple[int, ...]
    formulas: tuple[Expr, ...]

    def run(self, values: list[Any], _: list[Any]) -> None:
        STATS.launches += 1
        made = self.kernel(*[values[i] for i in self.inputs])
        values.extend(made if isinstance(made, tuple) else (made,))


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
class Fit:
    """A cotangent summed and cast to fit the operand that it belongs to."""

    node: int
    operand: int
    inputs: tuple[int]

    def run(self, values: list[Any], nodes: list[Any]) -> None:
        values.append(nodes[self.node].fitted_part(values[self.inputs[0]], self.operand))


@dataclass
class Call:
    """The pullback of an operation that is not elementwise."""

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


def substitute(formula: Expr, bound: dict[int, Expr]) -> Expr:
    """``formula`` with formulas in place of its slots."""
    return fold((formula,), var=bound.__getitem__, const=const, call=Expr)[0]


def size(*formulas: Expr) -> int:
    """How many distinct operations ``formulas`` have."""
    calls: list[Any] = []
    fold(formulas, var=lambda _: None, const=lambda _: None, call=lambda op, *_: calls.append(op))
    return len(calls)


def fits_one_kernel(*formulas: Expr) -> bool:
    """Whether a kernel may compute ``formulas`` together."""
    return len(formulas) <= MAX_OUTPUTS and len(slots(*formulas)) <= MAX_INPUTS and size(*formulas) <= MAX_OPS


class Builder:
    """Composes a plan, running every step as it is found."""

    def __init__(self, nodes: list[Any], order: list[int], roots: list[int], seeds: list[Any]) -> None:
        self.nodes, self.seeds, self.values = nodes, seeds, list(seeds)
        self.steps: list[Any] = []
        self.inner = {n for n in order if nodes[n].formulas is not None}  # whose cotangents may stay formulas
        self.numbers = {node: number for number, node in enumerate(nodes)}
        self.grads: dict[int, Formula] = {}
        self.regions = 0
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
        self.regions += 1
        return Formula(slot(number), self.regions)

    def deliver(self, target: int, part: Formula | None) -> None:
        """Add ``part`` to the cotangent of ``target``."""
        self.awaited[target] -= 1
        if part is None:
            return
        if (present := self.grads.get(target)) is not None:
            total = TABLE.add(present.expr, part.expr)
            if not fits_one_kernel(total):
                total = TABLE.add(slot(self.force(present)), slot(self.force(part)))
            part = Formula(total, part.region)
        self.grads[target] = part

    def call(self, number: int) -> None:
        """Run the pullback of a node that is not elementwise."""
        made = self.do(Call(number, (self.force(self.grads.pop(number)),)))
        for parent, value in zip(self.nodes[number].parents, made, strict=False):  # indices have no cotangent
            if parent is not None:
                part = None if self.values[value] is None else self.of_value(value)
                self.deliver(self.numbers[parent], part)

    def compose(self, number: int) -> None:
        """Grow the formulas of the operands' cotangents of an elementwise node."""
        node, grad = self.nodes[number], self.grads.pop(number)
        cotangent = node.op.arity + 1
        wanted = [
            (i, self.numbers[parent], formula)
            for i, (parent, formula) in enumerate(zip(node.parents, node.formulas, strict=True))
            if parent is not None and formula is not None
        ]
        read = tuple(sorted(slots(*(formula for _, _, formula in wanted)) - {cotangent}))
        bound = {i: slot(v) for i, v in zip(read, self.do(Unpack(number, read)) if read else (), strict=True)}
        bound[cotangent] = grad.expr
        if not fits_one_kernel(*(substitute(formula, bound) for _, _, formula in wanted)):
            bound[cotangent] = slot(self.force(grad))
        fits = node.fit or (None,) * len(node.parents)
        for i, target, formula in sorted(wanted, key=lambda part: fits[part[0]] is not None):
            part = Formula(substitute(formula, bound), grad.region)
            if fits[i] is not None:
                part = self.of_value(self.do(Fit(number, i, (self.force(part),)))[0])
            self.deliver(target, part)

    def force(self, formula: Formula) -> int:
        """The number of the value of ``formula``: a kernel computes it, unless it is a value already.

        The kernel also computes cotangents of the same shape that are complete and needed as values.
        """
        if formula.expr.op is int:
            return formula.expr.args[0]  # type: ignore[no-any-return]
        roots = {formula.expr: None}
        ready = [
            target
            for target, other in self.grads.items()
            if other.region == formula.region
            and other.expr.op is not int
            and not self.awaited[target]
            and target not in self.inner
        ]
        for target in ready:
            if fits_one_kernel(*roots, expr := self.grads[target].expr):
                roots[expr] = None
        computed = dict(zip(roots, self.launch(list(roots)), strict=True))
        for target in ready:
            if (value := computed.get(self.grads[target].expr)) is not None:
                self.grads[target] = Formula(slot(value), formula.region)
        return computed[formula.expr]

    def launch(self, roots: list[Expr]) -> range:
        """Compute ``roots`` in one kernel; the numbers of their values."""
        backend = cuda()
        inputs = tuple(sorted(slots(*roots)))
        arrays = [self.values[i] for i in inputs]
        result = next(dtype_of(a.dtype) for a in arrays if hasattr(a, "dtype") and a.dtype.kind in "fcV")
        computed = float32 if result in REDUCED else result
        kinds = [dtype_of(a.dtype) if hasattr(a, "dtype") else computed for a in arrays]
        names = {number: f"x{i}" for i, number in enumerate(inputs)}
        lines, results = statements(tuple(roots), names, backend.ctype(computed))
        kernel = backend.kernel(
            kernel_name(roots),
            tuple(kind.numpy for kind in kinds),
            (result.numpy,) * len(roots),
            tuple(backend.ctype(bool_ if kind is bool_ else computed) for kind in kinds),
            "\n".join([*lines, *(f"out{i} = {value};" for i, value in enumerate(results))]),
            helpers(tuple(roots)),
        )
        return self.do(Launch(kernel, inputs, tuple(roots)))

    def finish_leaves(self) -> list[tuple[int, int, bool]]:
        """Compute what is left, the leaves' gradients: leaf, value, and whether others hold the value too."""
        for region in {formula.region for formula in self.grads.values()}:
            group = [n for n, formula in self.grads.items() if formula.region == region]
            while any(self.grads[n].expr.op is not int for n in group):
                together = [group.pop(0)]
                for number in tuple(group):
                    if fits_one_kernel(*(self.grads[n].expr for n in (*together, number))):
                        together.append(number)
                        group.remove(number)
                values = self.launch([self.grads[n].expr for n in together])
                self.grads |= {n: Formula(slot(v), region) for n, v in zip(together, values, strict=True)}
        leaves = []
        for number, formula in self.grads.items():
            (value,) = formula.expr.args
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


def kernel_name(roots: list[Expr]) -> str:
    """What a kernel does, in its name: ``bwd_mul_tanh_3f2a``."""
    words: list[str] = []
    fold(tuple(roots), var=lambda _: None, const=lambda _: None, call=lambda op, *_: words.append(op.name))
    lines, results = statements(tuple(roots), {n: f"x{n}" for n in slots(*roots)}, "T")
    digest = zlib.crc32(repr((lines, results)).encode()) & 0xFFFF
    return f"bwd_{'_'.join(dict.fromkeys(words)) or 'copy'}"[:48] + f"_{digest:04x}"


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
