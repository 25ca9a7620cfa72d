"""Elementwise operations as functions of Tensors: one generated function per record, direct where it can be.

The direct road takes NumPy tensors of one type, or some and Python numbers, without asking twice what it
knows: the call costs little more than the array call in it. All else goes by ``record.apply_elementwise``.
"""

import sys
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from . import ops  # noqa: F401  fills the table
from .backends import Type, _numpy, type_for
from .devices import cpu
from .dtypes import COMPLEX, FLOAT, bool_
from .engine import UNWRITTEN, Version, next_sequence
from .fusion.direct import saved_by
from .modes import Anomaly, modes
from .nodes import node_class, remember_call
from .op import TABLE, Op
from .record import apply_elementwise, is_operand
from .shapes import broadcast
from .tensor import LEAF, Frozen, Tensor
from .writes import in_place

# the result's type, and the class of the node (of 0-d operands; of others)
Plan = tuple[Type, Any, Any]

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


def plan_direct(op: Op, plans: dict[Type, Any], type_: Type) -> None:
    """Enter ``type_`` in ``plans`` if operands of that type can take the direct road.

    Where the node's name depends on which operands are numbers, there is a plan for each set of them, as the
    sum of ``1 << position``.
    """
    if type_.device.type != "cpu" or type_.reduced or type_.dtype.category not in op.takes:
        return
    if op.computes_in(type_.dtype) is not type_.dtype:
        return
    result = type_.with_dtype(op.gives(type_.dtype))
    differentiable = op.partials is not None and result.dtype.category >= FLOAT
    if differentiable and result is not type_:
        return

    def plan(numbers: tuple[int, ...]) -> Plan:
        if not differentiable:
            return result, None, None
        of_scalars, of_arrays = (
            node_class(op, type_, zero_dim=zero_dim, numbers=numbers) for zero_dim in (True, False)
        )
        return result, of_scalars, of_arrays

    if op.nodes:
        plans[type_] = {sum(1 << i for i in numbers): plan(numbers) for numbers in ((), *op.nodes)}
    else:
        plans[type_] = plan(())


# --- the text -------------------------------------------------------------------------------------

DIRECT_ROAD = """
def {name}({arguments}):
{before}
    if isinstance({lead}, Tensor) and (plan := plans.get(type_ := {lead}._type)) is not None:
        shape = {lead}._shape
{operands}
        y = {call}
        result = new(Tensor)
        result.array = y
        result._type, scalar_node, array_node = plan
        result._shape = shape
        if {no_history} or array_node is None or not modes.grad:
            result._counter = Frozen() if modes.inference else Version()
            result._node = None
            return result
        vy = result._counter = Version()
        node = new(array_node if shape else scalar_node)
        node.parents = {parents}
{save}
        node.sequence = next_sequence()
        frame = getframe({depth})
        node.line = frame.f_code, frame.f_lasti
        if Anomaly.on:
            remember_call(node)
        result._node = node
        return result
    if isinstance({lead}, Tensor):
        plan_direct(op, plans, {lead}._type)
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
                broadcasts = True
                shape = broadcast(shape, {operand}._shape)
            x{i} = {operand}.array
            n{i} = {operand}._node
            v{i} = {operand}._counter
        elif {operand}.__class__ in REAL_NUMBERS and type_.dtype.category >= FLOAT:
            x{i} = number({operand}, type_)
            n{i} = None
            v{i} = UNWRITTEN{count}
        else:
            return {otherwise}"""

NUMBER = """
        if {operand}.__class__ not in REAL_NUMBERS or type_.dtype.category < FLOAT:
            return {otherwise}
        x{i} = number({operand}, type_)
        n{i} = None
        v{i} = UNWRITTEN"""

CONDITION = """
        if not isinstance({operand}, Tensor) or {operand}._type is not truth:
            return {otherwise}
        if {operand}._shape != shape:
            broadcasts = True
            shape = broadcast(shape, {operand}._shape)
        x{i} = {operand}.array
        n{i} = None
        v{i} = {operand}._counter"""


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


def source(op: Op, flavour: Flavour = FUNCTION) -> str:
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
    writes = isinstance(op.numpy, np.ufunc) and _numpy.RETURNS_ARRAYS
    return DIRECT_ROAD.format(
        **common,
        lead=op.operands[_lead(op)],
        operands=_unpack(op, common["otherwise"]),
        call=f"modes.quiet(compute, {xs}, out=...)" if writes else f"asarray(modes.quiet(compute, {xs}))",
        no_history=" and ".join(f"n{i} is None" for i in range(op.arity)),
        parents=", ".join(f"{name} if n{i} is LEAF else n{i}" for i, name in enumerate(op.operands)) + ",",
        save=_save(op),
        depth=flavour.depth,
    )


def _lead(op: Op) -> int:
    """The operand that decides about the road: the first that is no condition."""
    return next(i for i in range(op.arity) if i not in op.conditions)


def _unpack(op: Op, otherwise: str) -> str:
    """Lines that read arrays, histories and versions of the operands."""
    lead, several = _lead(op), op.arity - len(op.numbers) > 1
    lines = ["        broadcasts = False"] if several else []
    lines += ["        numbers = 0"] if op.nodes else []
    for i in (lead, *(i for i in range(op.arity) if i != lead)):
        kind = (
            LEAD if i == lead else CONDITION if i in op.conditions else NUMBER if i in op.numbers
            else TENSOR_OR_NUMBER
        )  # fmt: skip
        count = f"\n            numbers += {1 << i}" if op.nodes else ""
        text = kind.format(
            i=i, operand=op.operands[i], operands=", ".join(op.operands), otherwise=otherwise, count=count
        )
        lines.append(text.removeprefix("\n"))
    lines += ["        plan = plan.get(numbers) or plan[0]"] if op.nodes else []
    return "\n".join(lines)


def _save(op: Op) -> str:
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
    if op.arity - len(op.numbers) > 1:
        fits = (
            "None" if i in op.numbers or i in op.conditions
            else f"(type_, {name}._shape) if isinstance({name}, Tensor) else None"
            for i, name in enumerate(op.operands)
        )  # fmt: skip
        lines += ["if broadcasts:", f"    node.fit = {', '.join(fits)},"]
    return "\n".join(f"        {line}" for line in lines)


def function_of(op: Op, flavour: Flavour = FUNCTION, spelled: Op | None = None) -> Callable[..., Any]:
    """``op`` as a function of Tensors and numbers; its name and its arguments' are those of ``spelled``."""
    spelled = spelled or op
    namespace: dict[str, Any] = {
        "Anomaly": Anomaly, "FLOAT": FLOAT, "Frozen": Frozen, "LEAF": LEAF, "Tensor": Tensor,
        "UNWRITTEN": UNWRITTEN, "Version": Version, "apply_elementwise": apply_elementwise,
        "REAL_NUMBERS": (float, int), "asarray": np.asarray, "broadcast": broadcast, "compute": op.numpy,
        "getframe": sys._getframe, "is_operand": is_operand, "modes": modes,
        "new": object.__new__, "next_sequence": next_sequence, "number": number, "op": op,
        "overwrite": in_place(DIRECT[op.name]) if flavour is FUNCTIONAL else None,
        "plan_direct": plan_direct, "plans": {}, "remember_call": remember_call, "truth": type_for(bool_, cpu),
    }  # fmt: skip
    exec(compile(source(spelled, flavour), f"{__file__}: {op.name}", "exec"), namespace)  # noqa: S102  our own text
    return namespace[spelled.name]  # type: ignore[no-any-return]


DIRECT: dict[str, Callable[..., Any]] = {}
for _name, _op in TABLE.items():
    if isinstance(_op, Op):
        DIRECT[_name] = function_of(_op)
        _op.direct = DIRECT[_name] if _op.check is None else None
