"""Nodes that know arrays: what an operation saved, as arrays or as Tensors again, and how cotangents fit operands."""

import linecache
import traceback
from collections.abc import Callable
from functools import cache, partial
from typing import Any, ClassVar

import numpy as np

from . import backends
from .backends import Type, _numpy
from .backends._numpy import RETURNS_ARRAYS
from .devices import cpu
from .dtypes import float32
from .edges import AccumulateGrad, PostHook, PreHook, edge_of
from .engine import Handle, Node, Output, Version, next_sequence
from .errors import GraphError
from .fusion.direct import RESTORED, SAVED, compile_pullback, saved_by
from .fusion.expr import Expr, vjp
from .fusion.launch import kernel_pullback
from .fusion.reductions import ELEMENT
from .modes import Anomaly
from .op import TABLE, ArrayOp, Op, Operation
from .rules import compile_rules
from .tensor import Tensor, is_ours, user_line, wrap

LARGE = 1 << 16  # elements of NumPy arrays from which on plans pay (benchmarks/thresholds.py)


def is_array(value: Any) -> bool:
    """Whether ``value`` is an array of either library, or a scalar or Tensor that looks like one."""
    return hasattr(value, "dtype") and hasattr(value, "shape")


def fit(x: Any, type_: Type, shape: tuple[int, ...] | None) -> Any:
    """The cotangent ``x`` of a broadcast and promoted operand, as one of the operand itself; None is its own shape."""
    if x.__class__ is np.ndarray and x.dtype is type_.numpy and type_.device is cpu:
        return x if shape is None or x.shape == shape else TABLE.sum_to_size.forward(x, size=shape)
    is_complex = x.dtype.is_complex if isinstance(x, Tensor) else x.dtype.kind == "c"
    if is_complex and not type_.dtype.is_complex:
        x = TABLE.real(x)
    if shape is not None and x.shape != shape:
        x = TABLE.sum_to_size(x, size=shape)
    return x if (x._type if isinstance(x, Tensor) else backends.type_of(x)) is type_ else TABLE.to(x, type_=type_)


@cache
def saved_names(op: Operation) -> dict[str, int]:
    """torch's names of what nodes of ``op`` may save, and their places among what is saved."""
    if isinstance(op, Op):
        read = {slot for slots in saved_by(op) for slot in slots}
    else:
        needs = {name for names in op.needs for name in names or ()}  # type: ignore[attr-defined]
        read = {i for i, name in enumerate((*op.operands, "y")) if name in needs}
    names = (*("self" if name == "input" else name for name in op.operands), "result")
    return {f"_saved_{name}": i for i, name in enumerate(names) if i in read}


class ArrayNode(Node):
    """A node of an operation of the table."""

    __slots__ = ()
    op: ClassVar[Operation]
    planned: ClassVar[bool] = False  # all its arrays are on one device, and its class tells their types
    dense: ClassVar[bool] = False  # what it saved of arrays has the result's shape, without gaps, from 16 bytes on
    formulas: ClassVar[tuple[Expr | None, ...] | None] = None
    cotangent: ClassVar[int]  # the slot of the result's cotangent in them
    level: ClassVar[int] = ELEMENT  # of the result
    slot_levels: ClassVar[tuple[int, ...]]  # of the operands
    axes: ClassVar[int] = 1  # the last ones of the domain, which are a row
    hidden: ClassVar[tuple[int, ...]] = ()  # operands that torch does not count: conditions and numbers

    @property
    def next_functions(self) -> tuple[tuple[Node | None, int], ...]:
        """Where the operands came from: nodes (AccumulateGrad for leaves, None for constants) and result numbers."""
        return tuple(edge_of(parent) for i, parent in enumerate(self.parents) if i not in self.hidden)

    def register_hook(self, hook: Callable[..., Any]) -> Handle:
        """``hook(grad_inputs, grad_outputs)`` runs after this node; a tuple that it returns replaces grad_inputs."""
        return Handle(self.own_hooks().post, PostHook(hook, self.results, self.hidden))

    def register_prehook(self, hook: Callable[..., Any]) -> Handle:
        """``hook(grad_outputs)`` runs before this node; a tuple that it returns replaces grad_outputs."""
        return Handle(self.own_hooks().pre, PreHook(hook, self.results))

    def __getattr__(self, name: str) -> Any:
        """``_saved_self``, ``_saved_other``, ``_saved_result`` …: what was saved, None if it was not needed."""
        if name.startswith("_saved_"):
            if (place := saved_names(self.op).get(name)) is not None:
                value = self.restore()[place] if self.saved != () else None
                if isinstance(self.op, ArrayOp):
                    return self.restore()[place : len(self.parents)] if place == self.op.starred else value
                is_number = place in self.hidden and place not in self.op.conditions  # type: ignore[attr-defined]
                return value.item() if is_number and isinstance(value, Tensor) else value
            if (params := getattr(self, "params", None)) is not None and name[7:] in params:
                return params[name[7:]]
        raise AttributeError(f"'{type(self).__name__}' object has no attribute '{name}'")

    def __dir__(self) -> list[str]:
        params = (f"_saved_{name}" for name in getattr(self, "params", ()))
        return sorted({*super().__dir__(), *saved_names(self.op), *params})

    def kind(self) -> Any:
        if not self.planned:
            return None
        own = () if self.fit is None else tuple(fit and (fit[0], fit[1] is None) for fit in self.fit)
        return (type(self), self.hooked, *own) if own or self.hooks is not None else type(self)

    def fitted(self, parts: tuple[Any, ...]) -> tuple[Any, ...]:
        """``parts`` in the operands' own shapes and types, where those differ from the result's."""
        assert self.fit is not None
        pairs = zip(parts, self.fit)  # noqa: B905  strict costs
        return tuple([part if part is None or own is None else fit(part, *own) for part, own in pairs])

    def restore(self) -> tuple[Any, ...]:
        """What was saved as Tensors with their history: operands first, then the result."""
        saved = self.unpack()
        operands = tuple(self.with_history(value, parent) for value, parent in zip(saved, self.parents, strict=False))
        me = Output(self, 0) if self.results > 1 else self
        return operands + tuple(self.with_history(value, me) for value in saved[len(operands) :])

    @staticmethod
    def with_history(value: Any, origin: Any) -> Any:
        """A saved array as the Tensor that ``origin`` (a node, a leaf or None) made."""
        if not is_array(value) or isinstance(value, Tensor):
            return value
        if isinstance(origin, Tensor):
            if origin.array is value:
                return origin
            origin = Alias(origin)
        result = wrap(value)
        result._node = origin
        return result

    def check(self, parts: tuple[Any, ...]) -> None:
        counted = [part for i, part in enumerate(parts) if i not in self.hidden]
        for i, part in enumerate(counted):
            array = part.array if isinstance(part, Tensor) else part
            if is_array(array) and array.dtype.kind in "fcV" and bool(backends.of(array).xp.isnan(array).any()):
                raise GraphError(f"Function '{self.name()}' returned nan values in its {i}th output.")

    def stale(self, number: int, before: int) -> str:
        """torch's message, and which line saved the array and which wrote to it."""
        assert self.saved is not None
        maker: tuple[Node | None, int] = (self, 0)
        if number < len(self.parents):
            maker = edge_of(self.parents[number])
        return stale(self.saved[number], maker, self.counters[number], before, self)


def made_by(node: Node) -> str:
    """The operation that made ``node``, as torch's messages call it: ``Mul`` for MulBackward0."""
    name, _, number = node.name().rpartition("Backward")
    return name + ("" if number == "0" else number) if name else number


def stale(array: Any, maker: tuple[Node | None, int], counter: Version, before: int, node: Node) -> str:
    """That ``array``, a result of the node ``maker`` and saved by ``node``, was written to since."""
    type_ = backends.type_of(array)
    where = "torch.cuda." if type_.device.type == "cuda" else "torch."
    source, number = maker
    origin = ""
    if source is node or not counter.operation:
        if source is not None and not isinstance(source, AccumulateGrad):
            origin = f", which is output {number} of {made_by(source)},"
    else:
        origin = f", which is output 0 of {counter.operation},"
    return (
        "one of the variables needed for gradient computation has been modified by an inplace operation: "
        f"[{where}{type_.dtype.typename} {list(array.shape)}]{origin} is at version {counter.count}; "
        f"expected version {before} instead. Hint: enable anomaly detection to find the operation that failed "
        "to compute its gradient, with torch.autograd.set_detect_anomaly(True, check_nan=False).\n"
        f"Saved by {node.name()} at {describe(node.line)}\nWritten to at {describe(counter.writer)}"
    )


class Alias(ArrayNode):
    """The identity: a saved array that a leaf held when it was saved, and no longer holds."""

    __slots__ = ()

    def __init__(self, leaf: Tensor) -> None:
        self.parents, self.saved, self.counters = (leaf,), (), ()
        self.sequence, self.line = next_sequence(), (None, 0)

    def pullback(self, grad: Any) -> tuple[Any, ...]:
        return (grad,)

    recorded_pullback = pullback


def describe(line: tuple[Any, int]) -> str:
    """``file:number: text`` of the source line of an instruction of a code object."""
    code, instruction = line
    if code is None:
        return "an unknown line"
    number = next((n for start, end, n in code.co_lines() if start <= instruction < end and n), code.co_firstlineno)
    return f"{code.co_filename}:{number}: {linecache.getline(code.co_filename, number).strip()}"


def call(op: Op, more: str = "") -> str:
    """The text that calls ``op`` by its name."""
    return f"{op.name}({', '.join(f'{{{i}}}' for i in range(op.arity))}{more})"


def on_arrays(op: Op) -> tuple[str, Any]:
    """How generated text calls ``op`` on NumPy arrays."""
    return call(op, ", out=..." if isinstance(op.numpy, np.ufunc) and RETURNS_ARRAYS else ""), op.numpy


def on_scalars(op: Op) -> tuple[str, Any]:
    """How generated text calls ``op`` on NumPy scalars: by Python's operators where there is one."""
    return f"({op.cuda})" if op.name in ("add", "sub", "mul", "div", "neg") else call(op), op.numpy


def on_tensors(op: Op) -> tuple[str, Any]:
    """How generated text calls ``op`` on Tensors."""
    return call(op), op


def widened(pullback: Callable[[Any, Any], tuple[Any, ...]]) -> Callable[[Any, Any], tuple[Any, ...]]:
    """``pullback`` for 16-bit floats: computed in float32, and back."""

    def wide(self: Any, g: Any) -> tuple[Any, ...]:
        narrow = g.dtype
        parts = pullback(Widened(self), g.astype(np.float32))
        parts = tuple(part if part is None else part.astype(narrow) for part in parts)
        return parts if self.fit is None else self.fitted(parts)

    return wide


class Widened:
    """A node as its pullback sees it, with 16-bit floats as float32."""

    fit = None

    def __init__(self, node: Node) -> None:
        self.parents, self.counters = node.parents, node.counters
        self.saved = tuple(map(_numpy.widen, node.unpack()))


class Underivable(ArrayNode):
    """A node of an operation that has no formula for its gradient; it refuses to run."""

    __slots__ = ()

    def pullback(self, grad: Any) -> tuple[Any, ...]:
        raise GraphError(self.op.underivable)  # type: ignore[attr-defined]

    recorded_pullback = pullback


def widened_tensors(recorded: Callable[[Any, Any], tuple[Any, ...]]) -> Callable[[Any, Any], tuple[Any, ...]]:
    """``recorded``, a pullback on Tensors, for 16-bit floats: computed in float32, and back."""

    def wide(self: Any, g: Any) -> tuple[Any, ...]:
        narrow = g._type
        parts = recorded(WidenedTensors(self), widen_tensor(g))
        parts = tuple(part if part is None else TABLE.to(part, type_=narrow) for part in parts)
        return parts if self.fit is None else self.fitted(parts)

    return wide


def widen_tensor(x: Any) -> Any:
    """``x``, a 16-bit Tensor, in float32; anything else as it is."""
    if isinstance(x, Tensor) and x._type.reduced:
        return TABLE.to(x, type_=x._type.with_dtype(float32))
    return x


class WidenedTensors:
    """A node as its pullback on Tensors sees it, with 16-bit floats as float32."""

    fit = None

    def __init__(self, node: ArrayNode) -> None:
        self.node, self.parents = node, node.parents

    def restore(self) -> tuple[Any, ...]:
        return tuple(map(widen_tensor, self.node.restore()))


@cache
def node_class(
    op: Op,
    computed: Type,
    *,
    zero_dim: bool = False,
    large: bool = False,
    numbers: tuple[int, ...] = (),
    dense: bool = False,
) -> type[ArrayNode]:
    """The class of the nodes that record ``op`` when it is computed in the type ``computed``.

    Cotangents of 0-d NumPy tensors travel as NumPy scalars, those of ``large`` ones as formulas where there is a plan.
    The operands at ``numbers`` are Python numbers.
    """
    hidden = (*op.conditions, *op.numbers, *(numbers if numbers in op.nodes else ()))
    on_device = computed.device is not cpu
    common = {"__slots__": (), "op": op, "hidden": hidden, "planned": True, "large": large, "dense": dense}
    if op.partials is NotImplemented:
        return type("NotImplemented", (Underivable,), common)
    is_complex = common["is_complex"] = computed.dtype.is_complex
    if large:
        common["formulas"] = vjp(op, complex=is_complex)
        common["cotangent"], common["slot_levels"] = op.arity + 1, (ELEMENT,) * op.arity
    if on_device:
        pullback = kernel_pullback(op, complex=is_complex)
    else:
        inner = np.dtype(np.float32) if computed.reduced else computed.numpy
        constant = inner.type if zero_dim else partial(np.asarray, dtype=inner)
        functions = on_scalars if zero_dim else on_arrays
        own = None if zero_dim or is_complex else inner
        pullback = compile_pullback(op, functions, constant, SAVED, item=zero_dim, complex=is_complex, computed=own)
        if computed.reduced:
            pullback = widened(pullback)
    recorded = compile_pullback(op, on_tensors, lambda k: k, RESTORED, complex=is_complex)
    if computed.reduced:
        recorded = widened_tensors(recorded)
    methods = {**common, "pullback": pullback, "recorded_pullback": recorded}
    return type(op.node_for(numbers), (ArrayNode,), methods)


class ArrayOpNode(ArrayNode):
    """A node of an ArrayOp: its rules take saved arrays and parameters by name."""

    __slots__ = ("params", "shapes")
    op: ClassVar[ArrayOp]
    params: dict[str, Any]
    shapes: tuple[tuple[int, ...], ...]  # of the operands


@cache
def array_node_class(op: ArrayOp, types: tuple[Type, ...], *, large: bool) -> type[ArrayOpNode]:
    """The class of the nodes that record ``op`` of tensors of these ``types``; one, if all have it.

    So plans, which go by classes, know the dtypes.
    """
    hidden = [i for i, rule in enumerate(op.rules) if rule is None]
    if op.starred is not None:
        hidden.extend(range(op.starred, op.starred + 64))
    names = {"__slots__": (), "op": op, "hidden": tuple(hidden), "large": large}
    names["planned"] = len({type_.device for type_ in types}) == 1
    if op.like is not None and large:
        names |= {"formulas": vjp(op.like, complex=True), "is_complex": True}
        names |= {"cotangent": op.like.arity + 1, "slot_levels": (ELEMENT,) * op.like.arity}
    if op.node_base is None:
        names |= {"pullback": compile_rules(op, "unpack"), "recorded_pullback": compile_rules(op, "restore")}
    return type(op.node, (op.node_base or ArrayOpNode,), names)


def enter(node: Node, parents: tuple[Any, ...]) -> None:
    """Put ``node`` in the graph, in front of ``parents``."""
    node.parents, node.sequence, node.line = parents, next_sequence(), user_line()
    if Anomaly.on:
        remember_call(node)


def finish(node: Node, parents: tuple[Any, ...], out: Tensor) -> None:
    """Put ``node`` in the graph, behind ``out``."""
    enter(node, parents)
    out._node = node
    if out._type.device is not cpu and (stream := out._type.backend.side_stream()) is not None:
        node.stream = stream


def remember_call(node: Node) -> None:
    """Let ``node`` remember the user's lines that are running, for anomaly mode."""
    frames = [frame for frame in traceback.extract_stack() if not is_ours(frame.filename)]
    node.trace = "".join(traceback.format_list(frames))
