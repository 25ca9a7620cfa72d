"""Elementwise operations as functions of Tensors: one generated function per record, direct where it can be.

The direct road takes NumPy tensors of one type and shape, or one and a Python number, without asking
twice what it knows: the call costs little more than the array call in it. All else goes by ``record.apply``.
"""

import sys
from collections.abc import Callable
from typing import Any

import numpy as np

from .backends import Type, _numpy
from . import ops  # noqa: F401  fills the table
from .dtypes import FLOAT
from .engine import UNWRITTEN, Version, next_sequence
from .fusion.direct import saved_by
from .modes import Anomaly, modes
from .nodes import node_class
from .op import TABLE, Op
from .record import apply_elementwise
from .tensor import LEAF, Frozen, Tensor
from .views import write_out

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
        made = _NUMBERS[value, type_] = np.asarray(value, type_.numpy)
        made.flags.writeable = False
        return made


def plan_direct(op: Op, plans: Plans, type_: Type) -> None:
    """Enter ``type_`` in ``plans`` if operands of that type can take the direct road."""
    if type_.device.type != "cpu" or type_.reduced or type_.dtype.category not in op.takes:
        return
    if op.computes_in(type_.dtype) is not type_.dtype:
        return
    result = type_.with_dtype(op.gives(type_.dtype))
    differentiable = op.partials is not None and result.dtype.category >= FLOAT
    if not differentiable or result is type_:
        classes = [node_class(op, type_, zero_dim=zero_dim) if differentiable else None for zero_dim in (True, False)]
        plans[type_] = result, *classes


TEMPLATE = '''
def {name}({arguments}, *, out=None):
    if out is not None:
        return write_out(op.name, out, op({operands}))
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
        node.sequence = next_sequence()
        frame = getframe(1)
        node.line = frame.f_code, frame.f_lasti
        result._node = node
        return result
    if isinstance({first}, Tensor):
        plan_direct(op, plans, {first}._type)
    return op({operands})
'''

SECOND_OPERAND = '''
        if isinstance({second}, Tensor):
            if {second}._type is not type_ or {second}._shape != shape or Anomaly.on:
                return apply_elementwise(op, ({operands}))
            x1 = {second}.array
            n1 = {second}._node
            v1 = {second}._counter
        elif {second}.__class__ is float and type_.dtype.category >= FLOAT:
            x1 = number({second}, type_)
            n1 = None
            v1 = UNWRITTEN
        elif {second}.__class__ is int and type_.dtype.category >= FLOAT:
            x1 = number({second}, type_)
            n1 = None
            v1 = UNWRITTEN
        else:
            return apply_elementwise(op, ({operands}))'''


GENERAL = '''
def {name}({arguments}, *, out=None):
    result = op({operands})
    return result if out is None else write_out(op.name, out, result)
'''


def source(op: Op) -> str:
    """The text of ``op``'s function."""
    operands = ", ".join(op.operands)
    arguments = ", ".join(f"{name}={op.defaults[name]}" if name in op.defaults else name for name in op.operands)
    if op.arity > 2:
        return GENERAL.format(name=op.name, arguments=arguments, operands=operands)
    numbers = range(op.arity)
    xs = ", ".join(f"x{i}" for i in numbers)
    on_arrays = isinstance(op.numpy, np.ufunc) and _numpy.RETURNS_ARRAYS
    call = f"modes.quiet(compute, {xs}, out=...)" if on_arrays else f"asarray(modes.quiet(compute, {xs}))"
    read = saved_by(op)
    conditions = [
        " or ".join(f"n{i} is not None" for i in numbers if s in read[i]) if not all(s in r for r in read) else "True"
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
        first=op.operands[0],
        second_operand=SECOND_OPERAND.format(second=op.operands[1], operands=operands) if op.arity == 2 else "",
        call=call,
        no_history=" and ".join(f"n{i} is None" for i in numbers),
        parents=", ".join(f"{name} if n{i} is LEAF else n{i}" for i, name in enumerate(op.operands)) + ",",
        save="\n".join(f"        {line}" for line in save),
        operands=operands,
    )


def function_of(op: Op) -> Callable[..., Any]:
    """``op`` as a function of Tensors and numbers."""
    namespace: dict[str, Any] = {
        "Anomaly": Anomaly, "FLOAT": FLOAT, "Frozen": Frozen, "LEAF": LEAF, "Tensor": Tensor,
        "UNWRITTEN": UNWRITTEN, "Version": Version, "apply_elementwise": apply_elementwise,
        "asarray": np.asarray, "compute": op.numpy, "getframe": sys._getframe, "modes": modes,
        "new": object.__new__, "next_sequence": next_sequence, "number": number, "op": op,
        "plan_direct": plan_direct, "plans": {}, "write_out": write_out,
    }  # fmt: skip
    exec(compile(source(op), f"<{op.name}>", "exec"), namespace)  # noqa: S102  our own text
    return namespace[op.name]  # type: ignore[no-any-return]


DIRECT = {name: function_of(op) for name, op in TABLE.items() if isinstance(op, Op)}
