"""Operations on arrays as functions of Tensors: one generated function for each record and number of operands.

It knows of Tensors on one device, and one result of their type, all that ``array_record.apply_array`` would ask for;
all else goes there. What that of ``mm`` keeps for the gradient is::

    node.saved = x0 if n1 is not None else None, x1 if n0 is not None else None, None
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from .array_record import apply_array, computed, node_class, recorded
from .backends import Type, _numpy
from .dtypes import FLOAT
from .engine import UNWRITTEN, Version, next_sequence
from .modes import Anomaly, modes
from .nodes import LARGE, remember_call
from .op import ArrayOp
from .record import fits
from .tensor import LEAF, Frozen, Tensor, user_line
from .views import track


class Plan(NamedTuple):
    """What is known of operands of certain types: the first one's, the arrays' and scalars' classes, the nodes'."""

    own: Type
    numpy: np.dtype
    on_host: bool
    device: int | None  # its number
    array: Any
    scalar: Any
    node: Any  # None: it is not recorded
    large_node: Any


TEXT = """
def {name}(operands, params):
    {operands}, = operands
    if {tensors} and (plan := plans.get(types := {types}) or plan_of(types)) is not None:
        {arrays}
        y = modes.quiet(forward, {xs}, **params) if plan.on_host else computed(op, plan.own, ({xs},), params)
        if y.__class__ is plan.scalar:
            y = asarray(y)
        if y.__class__ is not plan.array or y.dtype is not plan.numpy or not (
            plan.on_host or y.data.device_id == plan.device
        ):
            return recorded(op, operands, y, plan.own, params)
        out = new(Tensor)
        out.array, out._type, out._shape = y, plan.own, y.shape
        if plan.node is None or not modes.grad or {no_history}:
            out._counter = Frozen() if modes.inference else Version()
            out._node = None{view}
            return out
        vy = out._counter = Version()
        node = out._node = new({node})
        node.parents = {parents}
        node.params, node.shapes = params, ({shapes},)
        {save}{fit}
        node.sequence, node.line = next_sequence(), user_line()
        if Anomaly.on:
            remember_call(node)
        if not plan.on_host and (stream := plan.own.backend.side_stream()) is not None:
            node.stream = stream{recorded_view}
        return out
    return apply_array(op, operands, params)
"""
VIEW = """
{indent}if plan.own.backend.shares_memory(y, x0):
{indent}    track(op, params, o0, [out], several=False)"""


def source(op: ArrayOp, count: int) -> str:
    """The text of ``op``'s function of ``count`` operands."""
    numbers = range(count)

    def each(text: str, between: str = ", ") -> str:
        return between.join(text.format(i=i) for i in numbers)

    view, recorded_view = (VIEW.format(indent=" " * n) if op.view else "" for n in (12, 8))
    return TEXT.format(
        name=op.name,
        operands=each("o{i}"),
        tensors=each("isinstance(o{i}, Tensor)", " and "),
        types="o0._type" if count == 1 else f"({each('o{i}._type')})",
        arrays=f"{each('x{i}, n{i}')} = {each('o{i}.array, o{i}._node')}",
        xs=each("x{i}"),
        no_history=f"({each('n{i} is None', ' and ')})",
        node=f"plan.node if y.size < LARGE and {each('x{i}.size < LARGE', ' and ')} else plan.large_node",
        parents=each("o{i} if n{i} is LEAF else n{i}") + ",",
        shapes=each("o{i}._shape"),
        save="\n        ".join(_save(op, count)),
        fit="\n        node.fit = fits(operands, out, plan.own)" if op.fits else "",
        view=view,
        recorded_view=recorded_view,
    )


def _save(op: ArrayOp, count: int) -> list[str]:
    """Lines that let the node keep what the rules of operands with a history name."""
    names = [*op.operands_of(count), "y"]
    readers = [[i for i, rule in enumerate(op.needs) if name in (rule or ())] for name in names]
    conditions = [" or ".join(f"n{i} is not None" for i in own) if len(own) < count else "True" for own in readers]
    nothing = "node.saved = node.counters = ()"
    if not any(readers):
        return [nothing]

    def kept(values: list[str], otherwise: str) -> str:
        return ", ".join(
            value if condition == "True" else f"{value} if {condition} else {otherwise}" if condition else otherwise
            for value, condition in zip(values, conditions, strict=True)
        )

    kept_counters = [f"c{i}" for i, own in enumerate(readers) if own]
    lines = [
        f"node.saved = {kept([*(f'x{i}' for i in range(count)), 'y'], 'None')}",
        f"node.counters = {', '.join(f'c{i}' for i in range(count + 1))} = "
        + kept([*(f"o{i}._counter" for i in range(count)), "vy"], "UNWRITTEN"),
        f"if {' or '.join(f'{c}.count' for c in kept_counters)}:",
        "    node.expected = tuple([counter.count for counter in node.counters])",
    ]
    some = sorted({i for own in readers for i in own})
    if len(some) == count:
        return lines
    return [
        f"if {' or '.join(f'n{i} is not None' for i in some)}:",
        *(f"    {line}" for line in lines),
        "else:",
        f"    {nothing}",
    ]


def function_of(op: ArrayOp, count: int) -> Callable[[tuple[Any, ...], dict[str, Any]], Any]:
    """``op`` as a function of a tuple of ``count`` operands and a dict of parameters."""
    plans: dict[Any, Plan] = {}

    def plan_of(types: Any) -> Plan | None:
        own = (types,) if count == 1 else types
        type_ = own[0]
        for one in own:
            op.refuse(one.dtype)
        if any(one.device is not type_.device for one in own):
            return None
        on_host = type_.backend is _numpy
        nodes: list[Any] = [None, None]
        if op.has_rules and type_.dtype.category >= FLOAT:
            nodes = [node_class(op, (*own, type_), large=large) for large in (not on_host, True)]
        array = type_.backend.xp.ndarray
        plan = Plan(type_, type_.numpy, on_host, type_.device.index, array, type_.numpy.type, *nodes)
        plans[types] = plan
        return plan

    namespace: dict[str, Any] = {
        "Anomaly": Anomaly, "Frozen": Frozen, "LARGE": LARGE, "LEAF": LEAF, "Tensor": Tensor, "UNWRITTEN": UNWRITTEN,
        "Version": Version, "apply_array": apply_array, "asarray": np.asarray, "computed": computed, "fits": fits,
        "forward": op.forward, "modes": modes, "new": object.__new__, "next_sequence": next_sequence, "op": op,
        "plan_of": plan_of, "plans": plans, "recorded": recorded, "remember_call": remember_call, "track": track,
        "user_line": user_line,
    }  # fmt: skip
    exec(compile(source(op, count), f"{__file__}: {op.name}", "exec"), namespace)  # noqa: S102  our own text
    made: Callable[[tuple[Any, ...], dict[str, Any]], Any] = namespace[op.name]
    op.on_tensors[count] = made
    return made
