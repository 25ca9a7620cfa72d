"""Fused functions called with symbols: what becomes of them for arguments of certain shapes and types."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property, reduce
from math import prod
from typing import Any

from . import reducing  # noqa: F401  teaches symbols to be reduced
from .backends import Type
from .devices import cpu
from .dtypes import FLOAT, REDUCED, combine, dtype, float32, get_default_dtype, int64, promote_types
from .errors import FusionError, ShapeError
from .fused import Fused
from .fused_node import FusedNode, Kind, Setting, View, live, node_class
from .fused_record import Finish, finisher
from .fusion.expr import Expr, slot
from .fusion.interpret import level_of_shape, naturals
from .fusion.program import Over, program
from .fusion.reductions import ALL, ELEMENT, SUMS, levels
from .fusion.reverse import pull
from .nodes import LARGE
from .op import TABLE
from .ops.axes import inverse
from .record import common_device, kind_of
from .shapes import Shape, broadcast
from .symbols import Drawn, Number, Retrace, Symbol, Trace
from .tensor import Tensor


@dataclass(frozen=True)
class Traced:
    """A function for arguments of certain shapes and types."""

    forward: Over  # its roots are the results and what else the node keeps
    node: type[FusedNode] | None  # None where no gradient flows
    setting: Setting | None  # of the node
    fit: tuple[tuple[Type, Shape] | None, ...]  # of the node
    of: tuple[int, ...]  # the arguments that are operands
    tensors: tuple[bool, ...]  # which of the operands, and of the further ones, are the user's tensors
    drawn: tuple[Drawn, ...]  # further operands
    views: tuple[View | None, ...]  # of the operands; () if there are none
    results: tuple[tuple[Type, Shape, View | None], ...]
    domain: Shape
    several: bool
    moved: bool  # whether a 0-d tensor on the CPU is beside others on a device

    @cached_property
    def finish(self) -> Finish:
        """What makes Tensors of the results."""
        return finisher(self)


class Call:
    """A call of the function of ``op`` with symbols; the operands ``by_row`` lack the last ``axes`` axes."""

    def __init__(self, op: Fused, arguments: tuple[Any, ...], axes: int | None, by_row: frozenset[int]) -> None:
        self.op = op
        self.of = tuple(
            i for i, v in enumerate(arguments) if isinstance(v, Tensor) or (v.__class__ is float and i not in op.fixed)
        )
        self.tensors = {n: arguments[i] for n, i in enumerate(self.of) if isinstance(arguments[i], Tensor)}
        if not self.tensors:
            got = ", ".join(type(argument).__name__ for argument in arguments)
            raise TypeError(f"{op.name}(): expected a tensor among the arguments, got ({got})")
        for tensor in self.tensors.values():
            op.refuse(tensor.dtype)
        self.device = common_device(op, [kind_of(tensor) for tensor in self.tensors.values()])
        gone = {n: (axes or 1) * (n in by_row) for n in self.tensors}
        self.order, arguments = last_axes(op, arguments)
        own = {n: tensor._shape for n, tensor in self.tensors.items()}
        if self.order is not None:
            own[0] = tuple(own[0][axis] for axis in self.order)
        if op.seen is not None:
            seen = {n: size for n, i in enumerate(self.of) for size in arguments[op.seen][i : i + 1]}
            own |= {n: size for n, size in seen.items() if size is not None and n in own}
        self.shapes = {n: shape + (1,) * gone[n] for n, shape in own.items()}
        numbers = frozenset(range(len(self.of))) - self.tensors.keys()
        self.trace = Trace(op, domain_of(self.shapes.values()), self.of, numbers, axes, by_row)
        symbols = list(arguments)
        for n, i in enumerate(self.of):
            tensor = self.tensors.get(n)
            symbols[i] = (
                Number(self.trace, slot(n))
                if tensor is None
                else Symbol(self.trace, slot(n), own[n], tensor._type, gone[n])
            )
        self.arguments = tuple(symbols)
        made = op.called(self.arguments)
        self.several = isinstance(made, tuple)
        self.results: tuple[Symbol, ...] = made if self.several else (made,)
        for value in self.results:
            if not isinstance(value, Symbol):
                raise FusionError(
                    f"{op.name}() must return a tensor or a tuple of tensors, but returned {type(value).__name__}"
                )
        self.understand()

    def understand(self) -> None:
        """What is known once the function has returned."""
        self.axes, self.domain = self.trace.axes or 1, self.trace.domain
        first = len(self.of)
        self.shapes |= {first + n: d.shape for n, d in enumerate(self.trace.drawn) if d.keep is not None}
        self.inputs = (
            *(self.tensors[n].dtype if n in self.tensors else None for n in range(first)),
            *(int64 if d.keep is None else d.type.dtype for d in self.trace.drawn),
        )
        self.levels = {
            n: level_of_shape(self.shapes[n], self.domain, self.axes) if n in self.shapes else ALL
            for n in range(len(self.inputs))
        }
        self.own = [levels(value.expr, self.levels)[value.expr] for value in self.results]
        self.at = [self.level_of_result(value, own) for value, own in zip(self.results, self.own, strict=True)]

    def level_of_result(self, value: Symbol, own: int) -> int:
        """The level that a result of the level ``own`` is wanted at: that at which values have its shape."""
        shape = (1,) * (len(self.domain) - len(value.aligned)) + value.aligned
        for level in range(own, ELEMENT + 1):
            natural = naturals(self.domain, self.axes)[level]
            if (1,) * (len(self.domain) - len(natural)) + natural == shape:
                return level
        raise FusionError(
            f"{self.op.name}() returned a tensor of shape {list(value._shape)}, but computes with tensors of shape "
            f"{list(self.domain)}: a result has this shape, or its last axes, or all, are reduced"
        )

    @property
    def computed(self) -> dtype:
        """What is computed in: what the operands promote to, but 16-bit floats in float32."""
        ranks: list[dtype | None] = [None, None]  # of tensors with axes, of 0-d ones
        for tensor in self.tensors.values():
            if (own := tensor.dtype).category >= FLOAT:
                rank = not tensor._shape
                ranks[rank] = promote_types(ranks[rank] or own, own)
        found = reduce(promote_types, self.trace.dtypes, combine(*ranks) or get_default_dtype())
        return float32 if found in REDUCED else found

    def cotangents(self) -> dict[int, Expr]:
        """That of each operand, of the operands, the results and the cotangents of these."""
        first, count = len(self.inputs), len(self.results)
        if self.op.gradient is not None:
            return self.given_cotangents(self.op.gradient)
        parts: dict[int, Expr] = {}
        for i, result in enumerate(self.results[: self.op.differentiable]):
            if result.dtype.category >= FLOAT:
                g = summed(slot(first + count + i), self.at[i], self.own[i])
                for n, part in pull(result.expr, g, self.levels).items():
                    parts[n] = TABLE.add(parts[n], part) if n in parts else part
        return parts

    def given_cotangents(self, gradient: Any) -> dict[int, Expr]:
        """Those that the operation says of its arguments."""
        places = len(self.inputs), len(self.inputs) + len(self.results)
        y, g = (self.results[0]._like(slot(place)) for place in places)
        of_slots = self.levels | dict.fromkeys(places, self.at[0])
        parts = {}
        given = gradient(g, *self.arguments, y)
        for n, i in enumerate(self.of):
            if (part := given[i]) is not None:
                parts[n] = summed(part.expr, levels(part.expr, of_slots)[part.expr], self.levels[n])
        return parts

    def views(self) -> tuple[View | None, ...]:
        """Of each operand and result, and of the results' cotangents once more."""
        operands: list[View | None] = [None] * len(self.inputs)
        for n, tensor in self.tensors.items():
            if self.shapes[n] != tensor._shape:
                operands[n] = View(None, self.shapes[n])
        natural = [naturals(self.domain, self.axes)[level] for level in self.at]
        shapes = self.shapes_of_results()
        results = [None if n == own else View(None, n) for n, own in zip(natural, shapes, strict=True)]
        if self.order is not None:
            operands[0] = View(self.order, None)
            for i, value in enumerate(self.results):
                if value.ndim == len(self.order):
                    results[i] = View(self.order, None)
        return (*operands, *results)

    def shapes_of_results(self) -> tuple[Shape, ...]:
        """Those that the user sees."""
        seen, own = self.arguments[0]._shape, self.tensors[0]._shape
        shapes = [own if self.op.seen is not None and v._shape == seen else v._shape for v in self.results]
        if self.order is None:
            return tuple(shapes)
        ndim, back = len(self.order), inverse(self.order)
        turns = [len(v._shape) == ndim and shape is not own for v, shape in zip(self.results, shapes, strict=True)]
        return tuple(tuple(s[i] for i in back) if turn else s for s, turn in zip(shapes, turns, strict=True))


def last_axes(op: Fused, arguments: tuple[Any, ...]) -> tuple[Shape | None, tuple[Any, ...]]:
    """The order of axes in which those that ``op`` works along are the last, and arguments that say so."""
    if op.along is None:
        return None, arguments
    ndim, dims = len(arguments[0]._shape), arguments[op.along]
    last = tuple(range(ndim - len(dims), ndim))
    if dims == last:
        return None, arguments
    order = (*(axis for axis in range(ndim) if axis not in dims), *dims)
    return order, (*arguments[: op.along], last, *arguments[op.along + 1 :])


def domain_of(shapes: Iterable[Shape]) -> Shape:
    """What ``shapes`` broadcast to; one that does not and has fewer axes may turn out to have a value for each row."""
    domain: Shape = ()
    for shape in sorted(shapes, key=len, reverse=True):
        try:
            domain = broadcast(domain, shape)
        except ShapeError:
            if len(shape) == len(domain):
                raise
    return domain


def summed(g: Expr, level: int, to: int) -> Expr:
    """``g``, of the level ``level``, as a cotangent of values of the level ``to``."""
    return Expr(SUMS[level, to], g) if to < level else g


def called(op: Fused, arguments: tuple[Any, ...]) -> Call:
    """Call the function of ``op`` until it is known what each argument is."""
    axes, by_row = None, frozenset[int]()
    while True:
        try:
            return Call(op, arguments, axes, by_row)
        except Retrace as more:
            op.fixed |= more.fixed
            axes, by_row = (None, frozenset()) if more.fixed else (more.axes, by_row | more.by_row)


def traced(op: Fused, arguments: tuple[Any, ...], needed: tuple[bool, ...]) -> Traced:
    """``op`` for arguments of the shapes and types of these, of which the ``needed`` ones need gradients."""
    call = called(op, arguments)
    computed, results, views, count = call.computed, call.results, call.views(), len(call.inputs)
    kept = tuple((live(v.expr), level, v.dtype) for v, level in zip(results, call.at, strict=True))
    shapes = tuple(call.tensors[n]._shape if n in call.tensors else () for n in range(count))
    node, setting, extras = None, None, tuple[Expr, ...]()
    needs = [n < len(call.of) and needed[call.of[n]] for n in range(count)]
    if any(needs) and any(d.category >= FLOAT for _, _, d in kept):
        parts = call.cotangents()
        floating = tuple(n for n, tensor in call.tensors.items() if tensor.dtype.category >= FLOAT)
        stored = float32 if kept[0][2] in REDUCED else kept[0][2]
        kind = Kind(
            op,
            tuple(parts.get(n) if need else None for n, need in enumerate(needs)),
            kept,
            call.inputs,
            tuple(call.levels.values()),
            computed,
            call.axes,
            large=call.device is not cpu or prod(call.domain) >= LARGE,
            composed=not call.several and not any(views) and computed is stored,
            hidden=tuple(n for n in range(count) if n not in call.tensors),
            edges=tuple(call.of.index(i) if i in call.of else None for i in op.counted) or floating,
        )
        node = node_class(kind)
        extras = node.extras
        cotangents = views[count:][: op.differentiable]
        seen = (*views, *(None for _ in extras), *cotangents)
        setting = Setting(node, call.domain, shapes, seen, on_host=call.device is cpu)
    forward = program(
        (*(formula for formula, _, _ in kept), *extras),
        (*call.at, *(levels(extra, call.levels)[extra] for extra in extras)),
        call.inputs,
        (*(d for _, _, d in kept), *(computed for _ in extras)),
        computed,
        call.axes,
        op.name,
    )
    own = results[0]._type, call.domain
    types = [(call.tensors[n]._type, shapes[n]) if n in call.tensors else own for n in range(count)]
    return Traced(
        Over.of(forward, call.domain, on_host=call.device is cpu),
        node,
        setting,
        tuple(None if kind == own else kind for kind in types),
        call.of,
        tuple(n in call.tensors for n in range(count)),
        tuple(call.trace.drawn),
        views[:count] if any(views[:count]) else (),
        tuple((v._type, s, view) for v, s, view in zip(results, call.shapes_of_results(), views[count:], strict=True)),
        call.domain,
        call.several,
        any(tensor._type.device is not call.device for tensor in call.tensors.values()),
    )
