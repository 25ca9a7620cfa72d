"""Elementwise operations as functions of Tensors: one generated function per record, direct where it can be.

The direct road takes NumPy tensors of one type and shape, or one and a Python number, without asking
twice what it knows: the call costs little more than the array call in it. All else goes by ``record.apply``.
"""

import sys
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from . import ops  # noqa: F401  fills the table
from .backends import Type, _numpy
from .dtypes import COMPLEX, FLOAT
from .engine import UNWRITTEN, Version, next_sequence
from .fusion.direct import saved_by
from .modes import Anomaly, modes
from .nodes import node_class, remember_call
from .op import TABLE, Op
from .record import apply_elementwise, is_operand
from .shapes import broadcast
from .tensor import LEAF, Frozen, Tensor
from .views import in_place

# of operands of one type: the result's type, and the class of the node (of 0-d operands; of others)
Plans = dict[Type, tuple[Type, Any, Any]]

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
        made = _NUMBERS[value, type_] = modes.quiet(np.asarray, value, type_.numpy)
        made.flags.writeable = False
        return made


def plan_direct(op: Op, plans: Plans, number_plans: Plans, type_: Type) -> None:
    """Enter ``type_`` in ``plans`` if operands of that type, or one and a number, can take the direct road."""
    if type_.device.type != "cpu" or type_.reduced or type_.dtype.category not in op.takes:
        return
    if op.computes_in(type_.dtype) is not type_.dtype:
        return
    result = type_.with_dtype(op.gives(type_.dtype))
    differentiable = op.partials is not None and result.dtype.category >= FLOAT
    if not differentiable or result is type_:
        for found, numbers in (plans, ()), (number_plans, (1,)):
            of_scalars, of_arrays = (
                node_class(op, type_, zero_dim=zero_dim, numbers=numbers) if differentiable else None
                for zero_dim in (True, False)
            )
            found[type_] = result, of_scalars, of_arrays


TEMPLATE = """
def {name}({arguments}):
{before}
    if isinstance({first}, Tensor) and (plan := plans.get(type_ := {first}._type)) is not None:
        shape = {first}._shape
        x0 = {first}.array
        n0 = {first}._node
        v0 = {first}._counter
{second_operand}
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
{fit}
        node.sequence = next_sequence()
        frame = getframe({depth})
        node.line = frame.f_code, frame.f_lasti
        if Anomaly.on:
            remember_call(node)
        result._node = node
        return result
    if isinstance({first}, Tensor):
        plan_direct(op, plans, number_plans, {first}._type)
    return {otherwise}
"""

SECOND_OPERAND = """
        fit = None
        if isinstance({second}, Tensor):
            if {second}._type is not type_:
                return apply_elementwise(op, ({operands},))
            if {second}._shape != shape:
                fit = (type_, shape), (type_, {second}._shape)
                shape = broadcast(shape, {second}._shape)
            x1 = {second}.array
            n1 = {second}._node
            v1 = {second}._counter
        elif ({second}.__class__ is float or {second}.__class__ is int) and type_.dtype.category >= FLOAT:
            x1 = number({second}, type_)
            n1 = None
            v1 = UNWRITTEN
{plan_of_numbers}
        else:
            return {otherwise}"""


GENERAL = """
def {name}({arguments}):
{before}
    return {otherwise}
"""


class Flavour(NamedTuple):
    """What one kind of function of an operation adds to its arguments, does first, and does with strangers."""

    more: str = ""
    before: str = ""
    otherwise: str = "apply_elementwise(op, ({operands},))"
    depth: int = 1  # how many calls up the user's line is


PLAIN = Flavour()
FUNCTION = Flavour(
    "*, out=None", "    if out is not None:\n        return apply_elementwise(op, ({operands},), out)"
)
FUNCTIONAL = Flavour("inplace=False", "    if inplace:\n        return overwrite({operands})")
# An operator leaves a stranger to Python, which asks the stranger or raises TypeError
OPERATOR = Flavour(otherwise=f"{Flavour().otherwise} if is_operand({{last}}) else NotImplemented")
INNER = Flavour(depth=2)


def is_direct(op: Op) -> bool:
    """Whether ``op`` has a direct road."""
    return op.arity <= 2 and op.check is None


def source(op: Op, flavour: Flavour = FUNCTION) -> str:
    """The text of ``op``'s function."""
    operands = ", ".join(op.operands)
    more = flavour.more.removeprefix("*, ") if "*" in op.signature else flavour.more
    arguments = f"{op.signature}, {more}" if more else op.signature
    before = flavour.before.format(operands=operands)
    otherwise = flavour.otherwise.format(operands=operands, last=op.operands[-1])
    if not is_direct(op):
        return GENERAL.format(name=op.name, arguments=arguments, before=before, otherwise=otherwise)
    numbers = range(op.arity)
    xs = ", ".join(f"x{i}" for i in numbers)
    on_arrays = isinstance(op.numpy, np.ufunc) and _numpy.RETURNS_ARRAYS
    call = f"modes.quiet(compute, {xs}, out=...)" if on_arrays else f"asarray(modes.quiet(compute, {xs}))"
    read = saved_by(op)
    if COMPLEX in op.takes:
        read = tuple(a | b for a, b in zip(read, saved_by(op, complex=True), strict=True))
    conditions = [
        " or ".join(f"n{i} is not None" for i in numbers if s in read[i])
        if not all(s in r for r in read)
        else "True"
        for s in range(op.arity + 1)
    ]

    def kept(values: str, otherwise: str) -> str:
        names = [f"{values}{i}" for i in numbers] + [{"x": "y", "v": "vy"}[values]]
        return ", ".join(
            otherwise if not c else n if c == "True" else f"{n} if {c} else {otherwise}"
            for n, c in zip(names, conditions, strict=True)
        )

    save = ["node.saved = node.counters = ()"]
    if any(read):
        counters = [f"c{i}" for i, c in enumerate(conditions) if c]
        save = [
            f"node.saved = {kept('x', 'None')}",
            f"{', '.join(f'c{i}' for i in range(op.arity + 1))} = node.counters = {kept('v', 'UNWRITTEN')}",
            f"if {' or '.join(f'{c}.count' for c in counters)}:",
            "    node.expected = tuple([counter.count for counter in node.counters])",
        ]
    return TEMPLATE.format(
        name=op.name,
        arguments=arguments,
        before=before,
        otherwise=otherwise,
        depth=flavour.depth,
        first=op.operands[0],
        second_operand=SECOND_OPERAND.format(
            second=op.operands[1],
            operands=operands,
            otherwise=otherwise,
            plan_of_numbers="            plan = number_plans[type_]" if op.nodes else "",
        )
        if op.arity == 2
        else "",
        call=call,
        no_history=" and ".join(f"n{i} is None" for i in numbers),
        parents=", ".join(f"{name} if n{i} is LEAF else n{i}" for i, name in enumerate(op.operands)) + ",",
        save="\n".join(f"        {line}" for line in save),
        fit="        if fit is not None:\n            node.fit = fit" if op.arity == 2 else "",
    )


def function_of(op: Op, flavour: Flavour = FUNCTION) -> Callable[..., Any]:
    """``op`` as a function of Tensors and numbers."""
    namespace: dict[str, Any] = {
        "Anomaly": Anomaly, "FLOAT": FLOAT, "Frozen": Frozen, "LEAF": LEAF, "Tensor": Tensor,
        "UNWRITTEN": UNWRITTEN, "Version": Version, "apply_elementwise": apply_elementwise,
        "asarray": np.asarray, "broadcast": broadcast, "compute": op.numpy,
        "getframe": sys._getframe, "modes": modes,
        "new": object.__new__, "next_sequence": next_sequence, "number": number, "op": op,
        "plan_direct": plan_direct, "plans": {}, "number_plans": {}, "remember_call": remember_call,
        "is_operand": is_operand, "overwrite": in_place(DIRECT[op.name]) if flavour is FUNCTIONAL else None,
    }  # fmt: skip
    exec(compile(source(op, flavour), f"{__file__}: {op.name}", "exec"), namespace)  # noqa: S102  our own text
    return namespace[op.name]  # type: ignore[no-any-return]


DIRECT: dict[str, Callable[..., Any]] = {}
for _name, _op in TABLE.items():
    if isinstance(_op, Op):
        DIRECT[_name] = function_of(_op)
        _op.direct = DIRECT[_name] if is_direct(_op) else None
