"""Fused operations on Tensors: traced once for each kind of arguments, one program forward and one backward."""

from collections.abc import Callable, Iterable
from functools import reduce, update_wrapper
from typing import Any, NamedTuple, TypeVar

import numpy as np

from .backends import Type, _numpy
from .dtypes import FLOAT, REDUCED, combine, dtype, float32, get_default_dtype, promote_types
from .engine import UNWRITTEN, outputs_of
from .errors import FusionError, ShapeError
from .fused import Fused
from .fused_node import FusedNode, Kind, node_class
from .fusion.expr import Expr, slot
from .fusion.interpret import level_of_shape, naturals
from .fusion.program import Program, program
from .fusion.reductions import ALL, ELEMENT, SUMS, levels
from .fusion.reverse import pull
from .modes import modes
from .nodes import finish
from .op import TABLE
from .record import common_device, is_operand, kind_of
from .shapes import broadcast
from .tensor import Tensor, wrap
from .tracing import Number, Retrace, Symbol, Trace

Shape = tuple[int, ...]
MAX_TRACES = 256  # of one function


class Call(NamedTuple):
    """A call of a function with symbols: what went in, and what came out."""

    trace: Trace
    operands: tuple[int, ...]  # which arguments they are
    tensors: dict[int, Tensor]  # by the number of the operand
    shapes: dict[int, Shape]  # in which they broadcast to the domain
    symbols: tuple[Any, ...]  # the arguments
    results: tuple[Symbol, ...]
    several: bool

    @property
    def axes(self) -> int:
        return self.trace.axes or 1

    @property
    def levels(self) -> dict[int, int]:
        """Those of the operands."""
        domain, axes = self.trace.domain, self.axes
        of_tensors = {n: level_of_shape(shape, domain, axes) for n, shape in self.shapes.items()}
        return {n: of_tensors.get(n, ALL) for n in range(len(self.operands))}


def called(op: Fused, arguments: tuple[Any, ...]) -> Call:
    """Call the function of ``op`` with symbols until it is known what each argument is."""
    axes, by_row = None, frozenset[int]()
    while True:
        try:
            return call_once(op, arguments, axes, by_row)
        except Retrace as more:
            op.fixed |= more.fixed
            axes, by_row = (None, frozenset()) if more.fixed else (more.axes, by_row | more.by_row)


def call_once(op: Fused, arguments: tuple[Any, ...], axes: int | None, by_row: frozenset[int]) -> Call:
    """Call the function of ``op``; the operands ``by_row`` lack the last ``axes`` axes of the domain."""
    operands = tuple(
        i for i, v in enumerate(arguments) if isinstance(v, Tensor) or (v.__class__ is float and i not in op.fixed)
    )
    tensors = {n: arguments[i] for n, i in enumerate(operands) if isinstance(arguments[i], Tensor)}
    if not tensors:
        got = ", ".join(type(argument).__name__ for argument in arguments)
        raise TypeError(f"{op.name}(): expected a tensor among the arguments, got ({got})")
    gone = {n: (axes or 1) * (n in by_row) for n in tensors}
    shapes = {n: tensor._shape + (1,) * gone[n] for n, tensor in tensors.items()}
    numbers = frozenset(range(len(operands))) - tensors.keys()
    trace = Trace(op, domain_of(shapes.values()), axes, by_row, operands, numbers)
    symbols = list(arguments)
    for n, i in enumerate(operands):
        if n in tensors:
            symbols[i] = Symbol(trace, slot(n), tensors[n]._shape, tensors[n]._type, gone[n])
        else:
            symbols[i] = Number(trace, slot(n))
    made = op.called(tuple(symbols))
    results = made if isinstance(made, tuple) else (made,)
    for value in results:
        if not isinstance(value, Symbol):
            raise FusionError(
                f"{op.name}() must return a tensor or a tuple of tensors, but returned {type(value).__name__}"
            )
    return Call(trace, operands, tensors, shapes, tuple(symbols), results, isinstance(made, tuple))


def domain_of(shapes: Iterable[Shape]) -> Shape:
    """What ``shapes`` broadcast to; one that does not, and has fewer axes, may turn out to have a value for each row."""
    domain: Shape = ()
    for shape in sorted(shapes, key=len, reverse=True):
        try:
            domain = broadcast(domain, shape)
        except ShapeError:
            if len(shape) == len(domain):
                raise
    return domain


def level_of_result(call: Call, value: Symbol) -> int:
    """The level that a result is to be computed at: that at which values have its shape."""
    domain = call.trace.domain
    own = levels(value.expr, call.levels)[value.expr]
    shape = (1,) * (len(domain) - len(value.aligned)) + value.aligned
    for level in range(own, ELEMENT + 1):
        natural = naturals(domain, call.axes)[level]
        if (1,) * (len(domain) - len(natural)) + natural == shape:
            return level
    raise FusionError(
        f"{call.trace.op.name}() returned a tensor of shape {list(value._shape)}, but computes with tensors of shape "
        f"{list(domain)}: a result has this shape, or its last axes, or all, are reduced"
    )


def cotangents(call: Call, at: list[int], needed: tuple[bool, ...]) -> tuple[Expr | None, ...]:
    """The cotangent of each operand that needs one; slots are operands, results, and the cotangents of these."""
    count = len(call.operands)
    parts: dict[int, Expr] = {}
    if call.trace.op.gradient is not None:
        of_slots = call.levels | {count: at[0], count + 1: at[0]}
        y, g = (call.results[0]._like(slot(count + i)) for i in range(2))
        given = call.trace.op.gradient(g, *call.symbols, y)
        for n, i in enumerate(call.operands):
            if given[i] is not None:
                own = levels(given[i].expr, of_slots)[given[i].expr]
                parts[n] = summed(given[i].expr, own, of_slots[n])
    else:
        for i, result in enumerate(call.results):
            if result.dtype.category < FLOAT:
                continue
            g = summed(slot(count + len(call.results) + i), at[i], levels(result.expr, call.levels)[result.expr])
            for n, part in pull(result.expr, g, call.levels).items():
                parts[n] = TABLE.add(parts[n], part) if n in parts else part
    return tuple(parts.get(n) if need else None for n, need in enumerate(needed))


def summed(g: Expr, level: int, to: int) -> Expr:
    """``g``, of the level ``level``, as a cotangent of values of the level ``to``."""
    return Expr(SUMS[level, to], g) if to < level else g


def dtype_computed(call: Call) -> dtype:
    """What the program of a call computes in."""
    ranks: list[dtype | None] = [None, None]  # of tensors with axes, of 0-d ones
    for tensor in call.tensors.values():
        if (own := tensor.dtype).category >= FLOAT:
            rank = not tensor._shape
            ranks[rank] = promote_types(ranks[rank] or own, own)
    found = reduce(promote_types, call.trace.dtypes, combine(*ranks) or get_default_dtype())
    return float32 if found in REDUCED else found


# --- on Tensors --------------------------------------------------------------------------------------------


class Traced(NamedTuple):
    """What a function is for arguments of certain shapes and types."""

    forward: Program
    node: type[FusedNode] | None  # None where no gradient flows
    operands: tuple[int, ...]  # the arguments that are tensors or numbers
    views: tuple[Shape | None, ...]  # by slot of the node: the shape that broadcasts to the domain, if not its own
    direct: bool  # whether the operands have none
    domain: Shape
    results: tuple[tuple[Type, Shape], ...]
    several: bool
    moves: bool  # whether an operand is not where the others are


def traced(op: Fused, arguments: tuple[Any, ...]) -> Traced:
    """Trace ``op`` for arguments of the shapes and types of these."""
    call = called(op, arguments)
    where = common_device(op, [kind_of(tensor) for tensor in call.tensors.values()])
    computed, of_slots, domain = dtype_computed(call), call.levels, call.trace.domain
    inputs = tuple(call.tensors[n].dtype if n in call.tensors else None for n in range(len(call.operands)))
    at = [level_of_result(call, value) for value in call.results]
    needed = tuple(modes.grad and n in call.tensors and call.tensors[n]._node is not None for n in range(len(inputs)))
    results = tuple((value.expr, level, value.dtype) for value, level in zip(call.results, at, strict=True))
    node = None
    if any(needed) and any(value.dtype.category >= FLOAT for value in call.results):
        formulas = cotangents(call, at, needed)
        node = node_class(
            Kind(op, formulas, results, inputs, tuple(of_slots.values()), computed, call.axes, where.type == "cuda")
        )
    extras = () if node is None else node.extras
    forward = program(
        (*(value.expr for value in call.results), *extras),
        (*at, *(levels(extra, of_slots)[extra] for extra in extras)),
        inputs,
        (*(value.dtype for value in call.results), *(computed for _ in extras)),
        computed,
        call.axes,
        op.name,
    )
    views = [call.shapes[n] if n in call.tensors and call.shapes[n] != call.tensors[n]._shape else None for n in range(len(inputs))]
    natural = [naturals(domain, call.axes)[level] for level in at]
    own = [None if shape == value._shape else shape for shape, value in zip(natural, call.results, strict=True)]
    return Traced(
        forward,
        node,
        call.operands,
        (*views, *own, *(None for _ in extras), *own),
        not any(views),
        domain,
        tuple((value._type, value._shape) for value in call.results),
        call.several,
        any(tensor._type.device is not where for tensor in call.tensors.values()),
    )


def key_of(op: Fused, arguments: tuple[Any, ...]) -> tuple[Any, ...]:
    """What of ``arguments`` decides how ``op`` is traced."""
    grad = modes.grad
    key: list[Any] = [get_default_dtype()]
    for i, value in enumerate(arguments):
        if isinstance(value, Tensor):
            key += value._type, value._shape, grad and value._node is not None
        elif value.__class__ is float and i not in op.fixed:
            key.append(float)
        else:
            key += value.__class__, value
    return tuple(key)


def checked(op: Fused, arguments: tuple[Any, ...]) -> tuple[Any, ...]:
    """``arguments`` with arrays as Tensors and NumPy's numbers as Python's; FusionError for what cannot be one."""
    values = []
    for i, value in enumerate(arguments):
        if isinstance(value, np.generic):
            values.append(value.item())
        elif is_operand(value) and hasattr(value, "shape") and not isinstance(value, Tensor):
            values.append(wrap(value))
        else:
            values.append(value)
            for part in value if isinstance(value, tuple | list) else ():
                if isinstance(part, Tensor):
                    raise FusionError(
                        f"{op.name}(): argument {i + 1} is a {type(value).__name__} with a tensor in it; make each tensor an argument"
                    )
            if type(value).__hash__ is None:
                raise FusionError(
                    f"{op.name}(): argument {i + 1} is a {type(value).__name__}; a fused function takes tensors, numbers "
                    "and what is hashable, such as a tuple"
                )
    return tuple(values)


def run(op: Fused, arguments: tuple[Any, ...]) -> Any:
    """``op`` on Tensors, numbers and whatever else it takes; recorded if gradients can flow."""
    try:
        found = op.traces.get(key := key_of(op, arguments))
    except TypeError:  # something cannot be hashed
        found = None
    if found is None:
        arguments = checked(op, arguments)
        found = traced(op, arguments)
        op.traces[key_of(op, arguments)] = found
        if len(op.traces) > MAX_TRACES:
            op.traces.popitem(last=False)
    else:
        op.traces.move_to_end(key)
    return compute(found, [arguments[i] for i in found.operands])


def compute(found: Traced, operands: list[Any]) -> Any:
    """The results of a traced function, recorded if gradients can flow."""
    raw = [value.array if isinstance(value, Tensor) else value for value in operands]
    type_ = found.results[0][0]
    if found.moves:  # a 0-d tensor on the CPU beside others on a device
        raw = [TABLE.to(v, type_=v._type).array if isinstance(v, Tensor) else v for v in operands]
    views = found.views
    seen = raw if found.direct else [v if view is None else v.reshape(view) for v, view in zip(raw, views, strict=False)]
    if type_.backend is _numpy:
        made = found.forward.run(seen, found.domain)
    else:
        with type_.backend.Scope(type_.device):
            made = found.forward.run(seen, found.domain)
    outs = [
        wrap(array if array.shape == shape else array.reshape(shape), own, shape)
        for array, (own, shape) in zip(made, found.results, strict=False)
    ]
    if found.node is not None:
        record(found, operands, raw, outs, made[len(outs) :])
    return tuple(outs) if found.several else outs[0]


def record(found: Traced, operands: list[Any], raw: list[Any], outs: list[Tensor], extras: list[Any]) -> None:
    """Give ``outs`` a node that keeps what the cotangents of the operands read."""
    assert found.node is not None
    node = found.node()
    kept, held = node.kept, (*operands, *outs)
    arrays = (*raw, *(out.array for out in outs), *extras)
    node.saved = tuple([array if keep else None for keep, array in zip(kept, arrays, strict=True)])
    counters = node.counters = tuple(
        [v._counter if keep and isinstance(v, Tensor) else UNWRITTEN for keep, v in zip(kept, held, strict=False)]
    )
    if any([counter.count for counter in counters]):  # noqa: C419  a list is faster
        node.expected = tuple([counter.count for counter in counters])
    node.domain, node.views = found.domain, found.views
    node.shapes = tuple([v._shape if isinstance(v, Tensor) else () for v in operands])
    own = outs[0]._type, found.domain
    kinds = [(v._type, view or v._shape) if isinstance(v, Tensor) else own for v, view in zip(operands, found.views, strict=False)]
    node.fit = None if all(kind == own for kind in kinds) else tuple(None if kind == own else (kind[0], v._shape) for kind, v in zip(kinds, operands, strict=True))
    parents = tuple([v._edge if isinstance(v, Tensor) and v._node is not None else None for v in operands])
    finish(node, parents, outs[0])
    if found.several:
        outs[0]._node = None
        for out, edge in zip(outs, outputs_of(node, len(outs)), strict=True):
            if out.dtype.category >= FLOAT:
                out._node = edge


Fused.run = run


Function = TypeVar("Function", bound=Callable[..., Any])


def fuse(function: Function) -> Function:
    """Make a function of tensors and numbers one differentiable operation."""
    op = Fused(function.__name__, function)

    def fused(*args: Any, **kwargs: Any) -> Any:
        return op(*args, **kwargs)

    fused.op = op  # type: ignore[attr-defined]
    return update_wrapper(fused, function)  # type: ignore[return-value]
