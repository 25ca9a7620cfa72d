"""How an operation of the table runs on Tensors: what it is computed in, and what its node keeps."""

from functools import lru_cache
from numbers import Number
from typing import Any

import numpy as np

from . import shapes, views
from .backends import Type, type_for
from .devices import cpu, device
from .dtypes import FLOAT, combine, dtype, of_scalar, promote_types
from .engine import UNWRITTEN, Output
from .errors import DeviceError
from .fusion.direct import saved_by
from .modes import modes
from .nodes import array_node_class, finish, node_class
from .op import ArrayOp, Op, Operation
from .tensor import Tensor, wrap


def as_operand(op: Operation, position: int, value: Any) -> Any:
    """``value`` as an operand: a Tensor or a Python number."""
    if isinstance(value, Tensor):
        return value
    if isinstance(value, np.ndarray):
        return wrap(value)
    if isinstance(value, Number | np.bool_):
        return value.item() if isinstance(value, np.generic) else value
    if type(value).__module__.partition(".")[0] == "cupy":
        return wrap(value)
    name = op.operands[min(position, len(op.operands) - 1)]
    raise TypeError(
        f"{op.name}(): argument '{name}' (position {position + 1}) must be Tensor, not {type(value).__name__}"
    )


def common_device(op: Operation, tensors: list[Tensor]) -> device:
    """The one device of ``tensors``; a 0-d CPU tensor may join any."""
    found = {t.device for t in tensors}
    if len(found) == 1:
        return found.pop()
    if len(strict := {t.device for t in tensors if t._shape or t.device is not cpu}) == 1:
        return strict.pop()
    names = " and ".join(sorted(map(str, found), key=lambda name: (name == "cpu", name)))
    raise DeviceError(
        f"Expected all tensors to be on the same device, but found at least two devices, {names}! "
        f"(in {op.name}(); move one with .to(device))"
    )


def promoted(op: Operation, operands: list[Any]) -> dtype:
    """The dtype that ``operands`` promote to (those that are conditions left out)."""
    conditions = getattr(op, "conditions", ())
    ranks: list[dtype | None] = [None, None, None]  # with axes, 0-d, numbers
    for i, operand in enumerate(operands):
        if i not in conditions:
            rank, own = (
                (0 if operand._shape else 1, operand.dtype) if isinstance(operand, Tensor) else (2, of_scalar(operand))
            )
            ranks[rank] = own if ranks[rank] is None else promote_types(ranks[rank], own)
    result = combine(ranks[0], combine(ranks[1], ranks[2]))
    assert result is not None
    return result


def apply_elementwise(op: Op, operands: tuple[Any, ...], out: Tensor | None = None) -> Tensor:
    """``op`` on Tensors and numbers, recorded if gradients can flow; ``out`` is a Tensor to write into."""
    values = [as_operand(op, i, operand) for i, operand in enumerate(operands)]
    tensors = [value for value in values if isinstance(value, Tensor)]
    where = common_device(op, tensors) if len(tensors) > 1 else tensors[0].device
    computed = type_for(op.computes_in(promoted(op, values)), where)
    result = computed.with_dtype(op.gives(computed.dtype))
    shape: tuple[int, ...] = ()
    for tensor in tensors:
        shape = shapes.broadcast(shape, tensor._shape)
    raw = [_raw(value, computed) for value in values]
    target = None if out is None else out.array
    with computed.backend.Scope(where):
        y = computed.backend.compute(op, raw, computed.dtype, result.dtype, target)
    if out is None:
        out = wrap(y, result, shape)
    if modes.grad and op.partials is not None and result.dtype.category >= FLOAT:
        parents = tuple(v._edge if isinstance(v, Tensor) and v._node is not None else None for v in values)
        if any(parent is not None for parent in parents):
            record_elementwise(op, computed, parents, values, raw, out)
    return out


def _raw(value: Any, computed: Type) -> Any:
    """An operand as the backend takes it: an array on its device, or a number of its kind."""
    if not isinstance(value, Tensor):
        return computed.backend.scalar(value, computed.dtype)
    if value.device is computed.device:
        return value.array
    return computed.backend.scalar(value.array.item(), computed.dtype)  # a 0-d CPU tensor beside CUDA ones


@lru_cache(maxsize=4096)
def kept_slots(op: Op, needed: tuple[bool, ...], *, complex: bool) -> frozenset[int]:  # noqa: A002
    """The operands (and the result, as number ``arity``) that the cotangents of ``needed`` operands read."""
    found: set[int] = set()
    for need, read in zip(needed, saved_by(op, complex=complex), strict=True):
        found |= read if need else frozenset()
    return frozenset(found)


def record_elementwise(
    op: Op, computed: Type, parents: tuple[Any, ...], values: list[Any], raw: list[Any], out: Tensor
) -> None:
    """Give ``out`` a node that keeps what the cotangents of ``parents`` read."""
    node = node_class(op, computed)()
    kept = kept_slots(op, tuple(p is not None for p in parents), complex=computed.dtype.is_complex)
    if kept:
        held = (*zip(values, raw, strict=True), (out, out.array))
        node.saved = tuple(array if i in kept else None for i, (_, array) in enumerate(held))
        node.counters = tuple(
            value._counter if i in kept and isinstance(value, Tensor) else UNWRITTEN
            for i, (value, _) in enumerate(held)
        )
        if any([counter.count for counter in node.counters]):
            node.expected = tuple(counter.count for counter in node.counters)
    else:
        node.saved = node.counters = ()
    node.fit = fits(values, out)
    finish(node, parents, out)


def fits(values: list[Any], out: Tensor) -> tuple[Any, ...] | None:
    """Types and shapes of the operands, if they are not all the result's."""
    tensors = [v for v in values if isinstance(v, Tensor)]
    if all(t._shape == out._shape and t._type is out._type for t in tensors):
        return None
    return tuple((v._type, v._shape) if isinstance(v, Tensor) else None for v in values)


def apply_array(op: ArrayOp, operands: tuple[Any, ...], params: dict[str, Any]) -> Any:
    """``op`` on Tensors, recorded if gradients can flow; several results come as a tuple."""
    values = [as_operand(op, i, operand) for i, operand in enumerate(operands)]
    tensors = [value for value in values if isinstance(value, Tensor)]
    where = common_device(op, tensors) if len(tensors) > 1 else tensors[0].device
    for tensor in tensors:
        op.refuse(tensor.dtype)
    raw = [value.array if isinstance(value, Tensor) else value for value in values]
    backend = tensors[0]._type.backend
    with backend.Scope(where):
        y = modes.quiet(op.forward, *raw, **params)
    several = isinstance(y, tuple)
    outs = [wrap(backend.xp.asarray(array)) for array in (y if several else (y,))]
    parents = tuple(v._edge if isinstance(v, Tensor) else None for v in values)
    if modes.grad and any(parent is not None for parent in parents) and any(op.rules):
        record_array(op, parents, values, outs, params)
    if op.view and backend.shares_memory(outs[0].array, tensors[0].array):
        views.track(op, params, tensors[0], outs)
    return tuple(outs) if several else outs[0]


def record_array(
    op: ArrayOp, parents: tuple[Any, ...], values: list[Any], outs: list[Tensor], params: dict[str, Any]
) -> None:
    """Give ``outs`` a node that keeps what the rules of the operands concerned name."""
    count = len(outs) if op.differentiable is None else op.differentiable
    differentiable = [out for out in outs[:count] if out.dtype.category >= FLOAT]
    if not differentiable:
        return
    node = array_node_class(op)()
    needed: set[str] = set()
    if not op.variadic:
        for parent, names in zip(parents, op.needs, strict=True):
            needed |= set(names or ()) if parent is not None else set()
    held = (*zip(op.operands, values, strict=False), ("y", outs[0])) if not op.variadic else ()
    node.saved = tuple((v.array if isinstance(v, Tensor) else v) if name in needed else None for name, v in held)
    node.counters = tuple(v._counter if name in needed and isinstance(v, Tensor) else UNWRITTEN for name, v in held)
    if any([counter.count for counter in node.counters]):
        node.expected = tuple(counter.count for counter in node.counters)
    if not any(v is not None for v in node.saved):
        node.saved = node.counters = ()
    if op.fits:
        node.fit = fits(values, outs[0])
    node.params, node.shapes = params, tuple(v._shape if isinstance(v, Tensor) else () for v in values)
    finish(node, parents, outs[0])
    if op.differentiable is None and len(outs) > 1:
        for i, out in enumerate(differentiable):
            out._node = Output(node, i)


def apply(op: Operation, operands: tuple[Any, ...], params: dict[str, Any]) -> Any:
    """Run ``op`` on operands of which one at least is a Tensor."""
    if isinstance(op, Op):
        return apply_elementwise(op, operands, **params)
    return apply_array(op, operands, params)  # type: ignore[arg-type]


Tensor._apply_op = staticmethod(apply)  # type: ignore[method-assign]
