"""The node of a fused operation: it keeps operands and reduced values, and computes the rest again."""

from functools import lru_cache
from math import prod
from typing import Any, ClassVar, NamedTuple

import numpy as np

from . import backends
from .backends import Type
from .dtypes import FLOAT, dtype, int64
from .edges import edge_of
from .engine import Node, Parts
from .fused import Fused
from .fusion.expr import Expr, fold, slot, slots, substitute
from .fusion.interpret import naturals
from .fusion.program import Program, program
from .fusion.reductions import (
    COUNT,
    COUNT_ALL,
    COUNT_ROWS,
    ELEMENT,
    POSITION,
    ROW,
    UNIFORM,
    Place,
    Reduction,
    levels,
)
from .nodes import ArrayNode, fit
from .op import TABLE
from .ops.axes import inverse
from .tensor import Tensor, wrap

Shape = tuple[int, ...]


class View(NamedTuple):
    """How an array, or a Tensor, becomes one that broadcasts to the domain: its axes in another order, or reshaped."""

    order: Shape | None
    shape: Shape | None

    def on(self, x: Any) -> Any:
        return TABLE.reshape(x, size=self.shape) if self.order is None else TABLE.permute(x, dims=self.order)

    def off(self, x: Any, shape: Shape) -> Any:
        """From that the original of ``shape``."""
        if self.order is None:
            return TABLE.reshape(x, size=shape)
        return TABLE.permute(x, dims=inverse(self.order))

    def seen(self, shape: Shape) -> Shape:
        """The shape that one of ``shape`` gets."""
        return self.shape or tuple(shape[axis] for axis in self.order or ())


class Kind(NamedTuple):
    """What decides about the class of a node.

    Slots of ``cotangents``, one for each operand that needs one: operands, results, and their cotangents.
    """

    op: Fused
    cotangents: tuple[Expr | None, ...]
    results: tuple[tuple[Expr, int, dtype], ...]  # formula, level, dtype
    inputs: tuple[dtype | None, ...]  # of the operands; None: a number
    levels: tuple[int, ...]  # of the operands
    computed: dtype
    axes: int
    planned: bool
    composed: bool  # whether a plan may compose them: all values broadcast to the domain as they are
    hidden: tuple[int, ...]  # operands that are no tensors of the user's
    edges: tuple[int | None, ...]  # the operands that torch's node counts; None is one that there is not


class FusedNode(ArrayNode):
    """A node of a fused operation.

    Slots of its formulas: operands, results, ``extras`` (other values that are kept, in the dtype ``computed``),
    and from ``cotangent`` on the cotangents of the results.
    """

    __slots__ = ("domain", "shapes", "views")
    op: ClassVar[Fused]
    made_of: ClassVar[Kind]
    extras: ClassVar[tuple[Expr, ...]]
    cotangents: ClassVar[tuple[Expr | None, ...]]  # ``formulas`` is the same, where a plan may compose them
    cotangent: ClassVar[int]
    slot_levels: ClassVar[tuple[int, ...]]
    level: ClassVar[int]  # of the first result
    axes: ClassVar[int]
    computed: ClassVar[dtype]
    kept: ClassVar[tuple[bool, ...]]  # by slot, what is saved
    domain: Shape
    shapes: tuple[Shape, ...]  # of the operands
    views: tuple[View | None, ...]  # by slot: where a value does not broadcast to the domain as it is

    @property
    def next_functions(self) -> tuple[tuple[Node | None, int], ...]:
        return tuple(edge_of(None if i is None else self.parents[i]) for i in self.made_of.edges)

    def seen(self, i: int) -> Shape:
        """The shape in which the operand ``i`` broadcasts to the domain."""
        view = self.views[i]
        return self.shapes[i] if view is None else view.seen(self.shapes[i])

    def pullback(self, grad: Any) -> tuple[Any, ...]:
        values = [*self.unpack(), *self._grads(grad)]
        values = [v if view is None or v is None else view.on(v) for v, view in zip(values, self.views, strict=True)]
        parts: list[Any] = [None] * len(self.parents)
        wanted, targets = [], []
        own = slot(self.cotangent)
        for i, formula in enumerate(self.cotangents):
            if formula is None or self.parents[i] is None:
                continue
            target = self.seen(i)
            if formula is own and self.made_of.inputs[i] is self.made_of.results[0][2] and values[-1].shape == target:
                parts[i] = values[-1]
            else:
                wanted.append(i)
                targets.append(target)
        if wanted:
            made = self._backward(tuple(wanted)).run(values, self.domain, targets)
            for i, part in zip(wanted, made, strict=True):
                parts[i] = part
        return self._unseen(parts)

    def _unseen(self, parts: list[Any]) -> tuple[Any, ...]:
        """Cotangents of operands in these operands' own shapes."""
        triples = zip(parts, self.views, self.shapes, strict=False)
        return tuple([p if p is None or view is None else view.off(p, shape) for p, view, shape in triples])

    def _grads(self, grad: Any) -> list[Any]:
        """The cotangents of all results; zeros where there is none."""
        if not isinstance(grad, Parts):
            return [grad]
        one = next(iter(grad.values()))
        xp = backends.of(one.array if isinstance(one, Tensor) else one).xp
        shapes = naturals(self.domain, self.axes)

        def zeros(level: int, d: dtype) -> Any:
            array = xp.zeros(shapes[level], d.numpy)
            return wrap(array) if isinstance(one, Tensor) else array

        return [grad[i] if i in grad else zeros(level, d) for i, (_, level, d) in enumerate(self.made_of.results)]

    @classmethod
    @lru_cache(maxsize=1024)
    def _backward(cls, wanted: tuple[int, ...]) -> Program:
        """The program of the cotangents of the operands ``wanted``."""
        kind = cls.made_of
        dtypes = [d for _, _, d in kind.results]
        return program(
            tuple(cls.cotangents[i] for i in wanted),
            tuple(kind.levels[i] for i in wanted),
            (*kind.inputs, *dtypes, *(kind.computed for _ in cls.extras), *dtypes),
            tuple(kind.inputs[i] for i in wanted),
            kind.computed,
            kind.axes,
            f"bwd_{kind.op.name}",
        )

    def recorded_pullback(self, grad: Any) -> tuple[Any, ...]:
        kind = self.made_of
        count = len(kind.inputs)
        values = [*self.restore()[: count + len(kind.results)], *(None for _ in self.extras), *self._grads(grad)]
        on = OnTensors(self.domain, kind, next(v for v in values if isinstance(v, Tensor))._type)
        ready = [on.ready(v, view) for v, view in zip(values, self.views, strict=True)]
        ready = [*ready[: count + len(kind.results)], *ready[self.cotangent :]]
        wanted = [i for i, c in enumerate(kind.cotangents) if c is not None and self.parents[i] is not None]
        made = on.values(tuple(kind.cotangents[i] for i in wanted), ready)  # type: ignore[misc]
        parts: list[Any] = [None] * len(self.parents)
        for i, part in zip(wanted, made, strict=True):
            natural = naturals(self.domain, kind.axes)[kind.levels[i]]
            type_ = on.type.with_dtype(kind.inputs[i])  # type: ignore[arg-type]
            parts[i] = fit(full(part, natural), type_, self.seen(i))
        return self._unseen(parts)


def full(x: Tensor, shape: Shape) -> Tensor:
    """``x`` expanded by the axes of ``shape`` that it lacks or has with size 1."""
    size = np.broadcast_shapes(x._shape, shape)
    return x if size == x._shape else TABLE.expand(x, size=size)


class OnTensors:
    """Computes formulas on Tensors, operation by operation, so that all of it is recorded."""

    def __init__(self, domain: Shape, kind: Kind, type_: Type) -> None:
        self.domain, self.axes, self.type = domain, kind.axes, type_.with_dtype(kind.computed)

    def number(self, value: float) -> Tensor:
        return wrap(np.asarray(value, self.type.numpy))

    def ready(self, value: Any, view: View | None) -> Any:
        """The value of a slot in the dtype computed in and a shape that broadcasts to the domain."""
        if value is None:
            return None
        if isinstance(value, int):
            return value
        if not isinstance(value, Tensor):
            return self.number(value) if isinstance(value, float) else wrap(value)
        if view is not None:
            value = view.on(value)
        floating = value.dtype.category >= FLOAT and value._type is not self.type
        return TABLE.to(value, type_=self.type) if floating else value

    def values(self, formulas: tuple[Expr, ...], slots: list[Any]) -> tuple[Tensor, ...]:
        """``formulas`` of the values of slots."""
        return fold(formulas, var=slots.__getitem__, const=self.number, call=self.call)

    def call(self, op: Any, *args: Tensor) -> Tensor:
        if isinstance(op, Reduction):
            return self.reduced(op, *args)
        return self.placed(op, *args) if isinstance(op, Place) else op(*args)

    def reduced(self, op: Reduction, x: Tensor) -> Tensor:
        row = self.domain[len(self.domain) - self.axes :]
        x = full(x, row if op.level == ROW else naturals(self.domain, self.axes)[op.over])
        dim = tuple(range(len(x._shape)))
        record = TABLE.sum if op.numpy is np.add else TABLE.amax if op.numpy is np.maximum else TABLE.amin
        return record(x, dim=dim[-self.axes :] if op.level == ROW else dim, keepdim=op.level == ROW)  # type: ignore[no-any-return]

    def placed(self, op: Place, *args: Any) -> Tensor:
        domain, axes = self.domain, self.axes
        row, lines = domain[len(domain) - axes :], domain[: len(domain) - axes]
        if op is POSITION:
            return wrap(self.type.backend.xp.arange(prod(row)).reshape(row))
        if op is UNIFORM:
            of = self.type.backend.xp.empty((), self.type.numpy)  # tells where it is to be computed
            d = self.type.dtype
            made = program((Expr(op, slot(0), slot(1)),), (ELEMENT,), (int64, int64, d), (d,), d, axes, "uniform")
            return wrap(made.run([*args, of], domain)[0])
        return self.number({COUNT: prod(row), COUNT_ALL: prod(domain), COUNT_ROWS: prod(lines)}[op])


def reduced_values(formulas: tuple[Expr, ...], of_slots: dict[int, int], first: int) -> list[Expr]:
    """The largest formulas in ``formulas`` that have reductions, are no elements, and read no slot from ``first`` on."""
    level: dict[Expr, int] = {}
    reduces: dict[Expr, bool] = {}
    forward: dict[Expr, bool] = {}
    for formula in formulas:
        level |= levels(formula, of_slots)
    fold(
        formulas,
        var=lambda _: False,
        const=lambda _: False,
        call=lambda op, *args: isinstance(op, Reduction) or any(args),
        done=reduces,
    )
    fold(formulas, var=lambda i: i < first, const=lambda _: True, call=lambda _, *args: all(args), done=forward)
    found: dict[Expr, None] = {}
    seen: set[Expr] = set()
    stack = list(formulas)
    while stack:
        node = stack.pop()
        if node in seen or not reduces[node]:
            continue
        seen.add(node)
        if forward[node] and level[node] < ELEMENT:
            found[node] = None
        else:
            stack.extend(node.args)
    return list(found)


@lru_cache(maxsize=1024)
def node_class(kind: Kind) -> type[FusedNode]:
    """The class of the nodes of a fused operation."""
    operands, results = len(kind.inputs), len(kind.results)
    before = operands + results
    of_results = tuple(level for _, level, _ in kind.results)
    of_slots = dict(enumerate((*kind.levels, *of_results, *of_results)))
    wanted = tuple(c for c in kind.cotangents if c is not None)
    kept = {
        formula: slot(operands + i)
        for i, (formula, level, d) in enumerate(kind.results)
        if level < ELEMENT and d is kind.computed
    }
    found = reduced_values(wanted, of_slots, before)
    extras = tuple(formula for formula in found if formula not in kept)
    cotangent = before + len(extras)
    known = {formula: kept[formula] for formula in found if formula in kept}
    known |= {formula: slot(before + i) for i, formula in enumerate(extras)}
    known |= {slot(before + i): slot(cotangent + i) for i in range(results)}
    cotangents = tuple(None if c is None else substitute(c, known) for c in kind.cotangents)
    read = slots(*filter(None, cotangents)) | slots(*wanted, *extras) & set(range(before))
    of_extras = tuple(levels(extra, of_slots)[extra] for extra in extras)
    names = {
        "__slots__": (),
        "op": kind.op,
        "made_of": kind,
        "hidden": kind.hidden,
        "planned": kind.planned,
        "formulas": cotangents if kind.composed else None,
        "cotangents": cotangents,
        "extras": extras,
        "cotangent": cotangent,
        "slot_levels": (*kind.levels, *of_results, *of_extras, *of_results),
        "level": of_results[0],
        "axes": kind.axes,
        "computed": kind.computed,
        "kept": tuple(i in read for i in range(cotangent)),
    }
    return type(kind.op.node, (FusedNode,), names)
