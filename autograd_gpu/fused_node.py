"""The node of a fused operation: it keeps operands and reduced values, and computes the rest again."""

from collections.abc import Callable
from functools import lru_cache
from math import prod
from typing import Any, ClassVar, NamedTuple

import numpy as np

from .backends import Type
from .dtypes import FLOAT, dtype
from .engine import Parts
from .fused import Fused
from .fusion.expr import Expr, fold, slot, slots, substitute
from .fusion.interpret import naturals
from .fusion.program import Program, program
from .fusion.reductions import ALL, COUNT, COUNT_ALL, COUNT_ROWS, ELEMENT, POSITION, ROW, Place, Reduction, levels
from .nodes import ArrayNode, fit
from .op import TABLE
from .tensor import Tensor, wrap

Shape = tuple[int, ...]


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


class FusedNode(ArrayNode):
    """A node of a fused operation.

    Slots of its formulas: operands, results, ``extras`` (other values that are kept, in the dtype ``computed``),
    and from ``cotangent`` on the cotangents of the results.
    """

    __slots__ = ("domain", "shapes", "views")
    op: ClassVar[Fused]  # type: ignore[misc]
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
    views: tuple[Shape | None, ...]  # by slot: in what shape a value broadcasts to the domain, if not in its own

    def pullback(self, grad: Any) -> tuple[Any, ...]:
        values = [*self.unpack(), *self._grads(grad)]
        values = [v if view is None or v is None else v.reshape(view) for v, view in zip(values, self.views, strict=True)]
        parts: list[Any] = [None] * len(self.parents)
        wanted, targets = [], []
        own = slot(self.cotangent)
        for i, formula in enumerate(self.cotangents):
            if formula is None or self.parents[i] is None:
                continue
            target = self.views[i] or self.shapes[i]
            if formula is own and self.made_of.inputs[i] is self.made_of.results[0][2] and grad.shape == target:
                parts[i] = grad
            else:
                wanted.append(i)
                targets.append(target)
        if wanted:
            made = self._backward(tuple(wanted)).run(values, self.domain, targets)
            for i, part in zip(wanted, made, strict=True):
                parts[i] = part if self.views[i] is None else part.reshape(self.shapes[i])
        return tuple(parts)

    def _grads(self, grad: Any) -> list[Any]:
        """The cotangents of all results; zeros where there is none."""
        if not isinstance(grad, Parts):
            return [grad]
        one = next(iter(grad.values()))
        shapes = naturals(self.domain, self.axes)

        def zeros(level: int, d: dtype) -> Any:
            if isinstance(one, Tensor):
                return wrap(one._type.backend.xp.zeros(shapes[level], d.numpy))
            return type(one)(shapes[level], d.numpy) * 0

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
            part = fit(full(part, natural), type_, self.views[i] or self.shapes[i])
            parts[i] = part if self.views[i] is None else TABLE.reshape(part, size=self.shapes[i])
        return tuple(parts)


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

    def ready(self, value: Any, view: Shape | None) -> Any:
        """The value of a slot in the dtype computed in and a shape that broadcasts to the domain."""
        if value is None:
            return None
        if not isinstance(value, Tensor):
            return self.number(value)
        if view is not None and view != value._shape:
            value = TABLE.reshape(value, size=view)
        floating = value.dtype.category >= FLOAT and value._type is not self.type
        return TABLE.to(value, type_=self.type) if floating else value

    def values(self, formulas: tuple[Expr, ...], slots: list[Any]) -> tuple[Tensor, ...]:
        """``formulas`` of the values of slots."""
        return fold(formulas, var=slots.__getitem__, const=self.number, call=self.call)

    def call(self, op: Any, *args: Tensor) -> Tensor:
        if isinstance(op, Reduction):
            return self.reduced(op, *args)
        return self.placed(op) if isinstance(op, Place) else op(*args)

    def reduced(self, op: Reduction, x: Tensor) -> Tensor:
        row = self.domain[len(self.domain) - self.axes :]
        x = full(x, row if op.level == ROW else naturals(self.domain, self.axes)[op.over])
        dim = tuple(range(len(x._shape)))
        record = TABLE.sum if op.numpy is np.add else TABLE.amax if op.numpy is np.maximum else TABLE.amin
        return record(x, dim=dim[-self.axes :] if op.level == ROW else dim, keepdim=op.level == ROW)  # type: ignore[no-any-return]

    def placed(self, op: Place) -> Tensor:
        columns, elements = prod(self.domain[len(self.domain) - self.axes :]), prod(self.domain)
        if op is POSITION:
            return wrap(self.type.backend.xp.arange(columns).reshape(self.domain[len(self.domain) - self.axes :]))
        rows = prod(self.domain[: len(self.domain) - self.axes])
        return self.number({COUNT: columns, COUNT_ALL: elements, COUNT_ROWS: rows}[op])


def reduced_values(formulas: tuple[Expr, ...], of_slots: dict[int, int], cotangents: int) -> list[Expr]:
    """The largest formulas in ``formulas`` that have reductions, but no element of their own, nor a cotangent.

    Slots from ``cotangents`` on are those.
    """
    level: dict[Expr, int] = {}
    reduces: dict[Expr, bool] = {}  # None stands for cotangents
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
    fold(
        formulas,
        var=lambda number: number < cotangents,
        const=lambda _: True,
        call=lambda _, *args: all(args),
        done=forward,
    )
    found: dict[Expr, None] = {}
    seen: set[Expr] = set()
    stack = list(formulas)
    while stack:
        if (node := stack.pop()) in seen:
            continue
        seen.add(node)
        if forward[node] and reduces[node] and level[node] < ELEMENT:
            found[node] = None
        elif isinstance(node.op, int.__class__) and node.op in (int, float):
            continue
        else:
            stack.extend(node.args)
    return list(found)


@lru_cache(maxsize=1024)
def node_class(kind: Kind) -> type[FusedNode]:
    """The class of the nodes of a fused operation."""
    operands, results = len(kind.inputs), len(kind.results)
    of_slots = dict(enumerate((*kind.levels, *(level for _, level, _ in kind.results) , *(level for _, level, _ in kind.results))))
    wanted = tuple(c for c in kind.cotangents if c is not None)
    known = {
        formula: slot(operands + i)
        for i, (formula, level, d) in enumerate(kind.results)
        if level < ELEMENT and d is kind.computed
    }
    found = reduced_values(wanted, of_slots, operands + results)
    extras = tuple(formula for formula in found if formula not in known)
    known = {formula: known[formula] for formula in found if formula in known}
    known |= {formula: slot(operands + results + i) for i, formula in enumerate(extras)}
    first = operands + results + len(extras)
    known |= {slot(operands + results + i): slot(first + i) for i in range(results)}
    cotangents = tuple(None if c is None else substitute(c, known) for c in kind.cotangents)
    read = slots(*filter(None, cotangents)) | {i for i in slots(*wanted) if i < operands + results}
    names = {
        "__slots__": (),
        "op": kind.op,
        "made_of": kind,
        "hidden": tuple(i for i, d in enumerate(kind.inputs) if d is None),
        "planned": kind.planned,
        "formulas": cotangents if results == 1 else None,
        "cotangents": cotangents,
        "extras": extras,
        "cotangent": first,
        "slot_levels": (*(of_slots[i] for i in range(operands + results)), *(levels(e, of_slots)[e] for e in extras), *(level for _, level, _ in kind.results)),
        "level": kind.results[0][1],
        "axes": kind.axes,
        "computed": kind.computed,
        "kept": tuple(i in read for i in range(first)),
    }
    return type(kind.op.node, (FusedNode,), names)
