"""Elementwise operations as functions of Tensors: one generated function per record, direct where it can be.

The direct road takes tensors of one type, or some and Python numbers, without asking twice what it knows: the call
costs little more than the array call in it. There is a text for NumPy's arrays, and one for CuPy's, which have one
shape and are dense. All else goes by ``record.apply_elementwise``.
"""

import sys
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple
from weakref import WeakSet

import numpy as np

from . import ops  # noqa: F401  fills the table
from .backends import Type, _numpy, type_for
from .devices import cpu
from .dtypes import COMPLEX, FLOAT, bool_
from .engine import UNWRITTEN, Version, next_sequence
from .fusion.direct import saved_by
from .fusion.forward import Alike, Large
from .fusion.native import FROM
from .modes import Anomaly, modes
from .nodes import LARGE, node_class, remember_call
from .op import TABLE, Op
from .record import apply_elementwise, is_operand
from .shapes import broadcast
from .tensor import LEAF, Frozen, Tensor
from .writes import in_place


class Plan(NamedTuple):
    """The result's type, the node's class (of 0-d NumPy operands, of others, of large ones), and what runs kernels."""

    result: Type
    scalar_node: Any
    array_node: Any
    large_node: Any
    launch: Alike | Large | None


FUNCTIONS: WeakSet[Any] = WeakSet()  # all that were made
_NUMBERS: dict[tuple[float, Type], np.ndarray] = {}


def number(value: float, type_: Type) -> np.ndarray:
    """A Python number as an array: NumPy takes these in half the time, so they are kept."""
    if not value:  # 0.0 and -0.0 are equal
        return np.asarray(value, type_.numpy)
    try:
        return _NUMBERS[value, type_]
    except KeyError:
        if len(_NUMBERS) >= 4096:
            _NUMBERS.clear()
        made: np.ndarray = modes.quiet(np.asarray, value, type_.numpy)
        _NUMBERS[value, type_] = made
        made.flags.writeable = False
        return made


def plan_direct(op: Op, plans: dict[Type, Any], on_device: bool, type_: Type) -> Any:
    """What is entered in ``plans`` for ``type_``; None if operands of that type cannot take the direct road.

    Where the node's name depends on which operands are numbers, there is a plan for each set of them, as the
    sum of ``1 << position``.
    """
    if (type_.device is not cpu) is not on_device or (type_.reduced and not on_device):
        return None
    if type_.dtype.category not in op.takes or op.computes_in(type_.dtype) is not type_.dtype:
        return None
    result = type_.with_dtype(op.gives(type_.dtype))
    differentiable = op.partials is not None and result.dtype.category >= FLOAT
    if differentiable and result is not type_:
        return None
    several_passes = not isinstance(op.numpy, np.ufunc) and type_.dtype.category == FLOAT
    launch = Alike(op, type_, result) if on_device else Large(op, type_, result) if several_passes else None

    def plan(numbers: tuple[int, ...]) -> Plan:
        if not differentiable:
            return Plan(result, None, None, None, launch)
        node = partial(node_class, op, type_, numbers=numbers, dense=on_device)
        if on_device:
            return Plan(result, None, node(large=True), None, launch)
        return Plan(result, node(zero_dim=True), node(), node(large=True), launch)

    by_numbers = {sum(1 << i for i in numbers): plan(numbers) for numbers in ((), *op.nodes)}
    plans[type_] = by_numbers if op.nodes else by_numbers[0]
    return plans[type_]


# --- the text -------------------------------------------------------------------------------------

DIRECT_ROAD = """
def {name}({arguments}):
{before}
    if isinstance({lead}, Tensor) and (plan := plans.get(type_ := {lead}._type) or plan_direct(type_)) is not None:
        shape = {lead}._shape
{operands}
{compute}
        result = new(Tensor)
        result.array = y
        result._type, scalar_node, array_node, large_node, _ = plan
        result._shape = shape
        if {no_history} or array_node is None or not modes.grad:
            result._counter = Frozen() if modes.inference else Version()
            result._node = None
            return result
        vy = result._counter = Version()
        node = new({node})
        node.parents = {parents}
{save}
        node.sequence = next_sequence()
        frame = getframe({depth})
        node.line = frame.f_code, frame.f_lasti
        if Anomaly.on:
            remember_call(node)
        result._node = node{stream}
        return result{others}
    return {otherwise}
"""

GENERAL_ROAD = """
def {name}({arguments}):
{before}
    return {otherwise}
"""

LEAD = """
        x{i} = {operand}.array
        n{i} = {operand}._node
        v{i} = {operand}._counter"""

TENSOR_OR_NUMBER = """
        if isinstance({operand}, Tensor):
            if {operand}._type is not type_:
                return apply_elementwise(op, ({operands},))
            if {operand}._shape != shape:
                {unequal}
            x{i} = {operand}.array
            n{i} = {operand}._node
            v{i} = {operand}._counter
        elif {operand}.__class__ in REAL_NUMBERS and type_.dtype.category >= FLOAT:
            x{i} = {number}
            n{i} = None
            v{i} = UNWRITTEN{count}
        else:
            return {otherwise}"""

NUMBER = """
        if {operand}.__class__ not in REAL_NUMBERS or type_.dtype.category < FLOAT:
            return {otherwise}
        x{i} = {number}
        n{i} = None
        v{i} = UNWRITTEN"""

CONDITION = """
        if not isinstance({operand}, Tensor) or {operand}._type is not {truth}:
            return {otherwise}
        if {operand}._shape != shape:
            {unequal}
        x{i} = {operand}.array
        n{i} = None
        v{i} = {operand}._counter"""


class Road(NamedTuple):
    """How a function computes with the arrays of one library: pieces of its text."""

    compute: str
    number: str  # a Python number as an operand
    truth: str  # the type of conditions
    unequal: str  # if shapes differ
    node: str = "array_node"  # its class
    others: str = ""  # tensors that are no such arrays
    stream: str = ""


ON_HOST = Road(
    compute="        y = {call}",
    number="number({operand}, type_)",
    truth="truth",
    unequal="broadcasts, shape = True, broadcast(shape, {operand}._shape)",
    node="(array_node if y.size < LARGE else large_node) if shape else scalar_node",
    others="""
    if isinstance({lead}, Tensor) and {lead}._type.device is not cpu:
        return (on_device or make_on_device())({operands})""",
)
ON_DEVICE = Road(
    compute="""\
        if (y := plan.launch(({xs},), shape)) is None:
            return {otherwise}""",
    number="{operand}",
    truth="type_.with_dtype(bool_)",
    unequal="return {otherwise}",
    stream="""
        if (stream := type_.backend.side_stream()) is not None:
            node.stream = stream""",
)


class Flavour(NamedTuple):
    """What one kind of function of an operation adds to its arguments, does first, and does with strangers."""

    more: str = ""
    before: str = ""
    otherwise: str = "apply_elementwise(op, ({operands},))"
    depth: int = 1  # how many calls up the user's line is


PLAIN = Flavour()
FUNCTION = Flavour("*, out=None", "    if out is not None:\n        return apply_elementwise(op, ({operands},), out)")
FUNCTIONAL = Flavour("inplace=False", "    if inplace:\n        return overwrite({operands})")
# An operator leaves a stranger to Python, which asks the stranger or raises TypeError
OPERATOR = Flavour(otherwise=f"{Flavour().otherwise} if is_operand({{last}}) else NotImplemented")
INNER = Flavour(depth=2)


def source(op: Op, flavour: Flavour, road: Road) -> str:
    """The text of ``op``'s function."""
    operands = ", ".join(op.operands)
    common = {
        "name": op.name,
        "arguments": f"{op.signature}, {flavour.more}" if flavour.more else op.signature,
        "before": flavour.before.format(operands=operands),
        "otherwise": flavour.otherwise.format(operands=operands, last=op.operands[-1]),
    }
    if op.check is not None:
        return GENERAL_ROAD.format(**common)
    xs = ", ".join(f"x{i}" for i in range(op.arity))
    lead = op.operands[_lead(op)]
    if not isinstance(op.numpy, np.ufunc):
        large = f"x{_lead(op)}.size >= FROM and plan.launch"
        call = f"plan.launch({xs}) if {large} else asarray(modes.quiet(compute, {xs}))"
    elif _numpy.RETURNS_ARRAYS:
        call = f"modes.quiet(compute, {xs}, out=...)"
    else:
        call = f"asarray(modes.quiet(compute, {xs}))"
    return DIRECT_ROAD.format(
        **common,
        lead=lead,
        others=road.others.format(lead=lead, operands=operands),
        operands=_unpack(op, common["otherwise"], road),
        compute=road.compute.format(call=call, xs=xs, otherwise=common["otherwise"]),
        node=road.node,
        stream=road.stream,
        no_history=" and ".join(f"n{i} is None" for i in range(op.arity)),
        parents=", ".join(f"{name} if n{i} is LEAF else n{i}" for i, name in enumerate(op.operands)) + ",",
        save=_save(op, road),
        depth=flavour.depth,
    )


def _lead(op: Op) -> int:
    """The operand that decides about the road: the first that is no condition."""
    return next(i for i in range(op.arity) if i not in op.conditions)


def _unpack(op: Op, otherwise: str, road: Road) -> str:
    """Lines that read arrays, histories and versions of the operands."""
    lead, several = _lead(op), op.arity - len(op.numbers) > 1
    lines = ["        broadcasts = False"] if several and road is ON_HOST else []
    lines += ["        numbers = 0"] if op.nodes else []
    for i in (lead, *(i for i in range(op.arity) if i != lead)):
        kind = (
            LEAD if i == lead else CONDITION if i in op.conditions else NUMBER if i in op.numbers
            else TENSOR_OR_NUMBER
        )  # fmt: skip
        count = f"\n            numbers += {1 << i}" if op.nodes else ""
        own = {"operand": op.operands[i], "otherwise": otherwise}
        text = kind.format(
            i=i,
            operands=", ".join(op.operands),
            count=count,
            number=road.number.format(**own),
            unequal=road.unequal.format(**own),
            truth=road.truth,
            **own,
        )
        lines.append(text.removeprefix("\n"))
    lines += ["        plan = plan.get(numbers) or plan[0]"] if op.nodes else []
    return "\n".join(lines)


def _save(op: Op, road: Road) -> str:
    """Lines that let the node keep what the cotangents of operands with a history read."""
    read = saved_by(op)
    if COMPLEX in op.takes:
        read = tuple(a | b for a, b in zip(read, saved_by(op, complex=True), strict=True))
    conditions = [
        "True"
        if all(slot in r for r in read)
        else " or ".join(f"n{i} is not None" for i in range(op.arity) if slot in read[i])
        for slot in range(op.arity + 1)
    ]

    def kept(values: str, otherwise: str) -> str:
        names = [*(f"{values}{i}" for i in range(op.arity)), {"x": "y", "v": "vy"}[values]]
        return ", ".join(
            otherwise if not c else n if c == "True" else f"{n} if {c} else {otherwise}"
            for n, c in zip(names, conditions, strict=True)
        )

    lines = ["node.saved = node.counters = ()"]
    if any(read):
        counters = [f"c{i}" for i, c in enumerate(conditions) if c]
        lines = [
            f"node.saved = {kept('x', 'None')}",
            f"{', '.join(f'c{i}' for i in range(op.arity + 1))} = node.counters = {kept('v', 'UNWRITTEN')}",
            f"if {' or '.join(f'{c}.count' for c in counters)}:",
            "    node.expected = tuple([counter.count for counter in node.counters])",
        ]
    if op.arity - len(op.numbers) > 1 and road is ON_HOST:
        fits = (
            "None" if i in op.numbers or i in op.conditions
            else f"(type_, {name}._shape) if isinstance({name}, Tensor) and {name}._shape != shape else None"
            for i, name in enumerate(op.operands)
        )  # fmt: skip
        lines += ["if broadcasts:", f"    node.fit = {', '.join(fits)},"]
    return "\n".join(f"        {line}" for line in lines)


def function_of(
    op: Op, flavour: Flavour = FUNCTION, spelled: Op | None = None, road: Road = ON_HOST
) -> Callable[..., Any]:
    """``op`` as a function of Tensors and numbers; its name and its arguments' are those of ``spelled``."""
    spelled = spelled or op
    plans: dict[Type, Any] = {}
    namespace: dict[str, Any] = {
        "Anomaly": Anomaly, "FLOAT": FLOAT, "FROM": FROM, "Frozen": Frozen, "LARGE": LARGE, "LEAF": LEAF,
        "Tensor": Tensor, "UNWRITTEN": UNWRITTEN, "Version": Version, "apply_elementwise": apply_elementwise,
        "bool_": bool_, "REAL_NUMBERS": (float, int), "asarray": np.asarray, "broadcast": broadcast,
        "compute": op.numpy, "cpu": cpu, "getframe": sys._getframe, "is_operand": is_operand, "modes": modes,
        "new": object.__new__, "next_sequence": next_sequence, "number": number, "on_device": None, "op": op,
        "overwrite": in_place(DIRECT[op.name]) if flavour is FUNCTIONAL else None,
        "plan_direct": partial(plan_direct, op, plans, road is ON_DEVICE), "plans": plans,
        "remember_call": remember_call, "truth": type_for(bool_, cpu),
    }  # fmt: skip

    def make_on_device() -> Callable[..., Any]:
        inner = Flavour(otherwise=flavour.otherwise, depth=flavour.depth + 1)
        made = namespace["on_device"] = function_of(op, inner, spelled, ON_DEVICE)
        return made

    namespace["make_on_device"] = make_on_device
    text = source(spelled, flavour, road)
    exec(compile(text, f"{__file__}: {op.name}", "exec"), namespace)  # noqa: S102  our own text
    FUNCTIONS.add(namespace[spelled.name])
    return namespace[spelled.name]  # type: ignore[no-any-return]


DIRECT: dict[str, Callable[..., Any]] = {}
for _name, _op in TABLE.items():
    if isinstance(_op, Op):
        DIRECT[_name] = function_of(_op)
        _op.direct = DIRECT[_name] if _op.check is None else None
