"""How an operation of the table runs on Tensors: what it is computed in, and what its node keeps."""

from functools import lru_cache
from numbers import Number
from typing import Any

import numpy as np

from . import shapes, views
from .backends import Type, _numpy, type_for
from .devices import cpu, device
from .dtypes import FLOAT, bool_, combine, dtype, of_scalar, promote_types
from .engine import UNWRITTEN, outputs_of
from .errors import DeviceError, DtypeError
from .fusion.direct import saved_by
from .modes import modes
from .nodes import array_node_class, finish, node_class
from .op import ArrayOp, Op, Operation
from .tensor import LEAF, Tensor, user_line, wrap


def is_operand(value: Any) -> bool:
    """Whether ``value`` is a Tensor, a number, or an array that can be wrapped as a Tensor."""
    return isinstance(value, Tensor | Number | np.ndarray | np.bool_) or _is_cupy(value)


def _is_cupy(value: Any) -> bool:
    return type(value).__module__.partition(".")[0] == "cupy"


def as_operand(op: Operation, position: int, value: Any) -> Any:
    """``value`` as an operand: a Tensor or a Python number."""
    if isinstance(value, Tensor):
        return value
    if isinstance(value, np.ndarray):
        return wrap(value)
    if isinstance(value, Number | np.bool_):
        return value.item() if isinstance(value, np.generic) else value
    if _is_cupy(value):
        return wrap(value)
    if isinstance(op, Op):
        raise TypeError(op.strange(position, value))
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


def promoted(op: Op, operands: list[Any]) -> dtype:
    """The dtype that ``operands`` promote to (those that are conditions or numbers by nature left out)."""
    ranks: list[dtype | None] = [None, None, None]  # with axes, 0-d, numbers
    for i, operand in enumerate(operands):
        if i not in op.conditions and i not in op.numbers:
            rank, own = (
                (0 if operand._shape else 1, operand.dtype)
                if isinstance(operand, Tensor)
                else (2, of_scalar(operand))
            )
            ranks[rank] = own if ranks[rank] is None else promote_types(ranks[rank], own)
    result = combine(ranks[0], combine(ranks[1], ranks[2]))
    assert result is not None
    if op.mixed is not None and result is not bool_ and bool_ in map(_own_dtype, operands):
        raise DtypeError(op.mixed)
    return result


def _own_dtype(operand: Any) -> dtype:
    return operand.dtype if isinstance(operand, Tensor) else of_scalar(operand)


def apply_elementwise(op: Op, operands: tuple[Any, ...], out: Tensor | None = None) -> Tensor:
    """``op`` on Tensors and numbers, recorded if gradients can flow; ``out`` is a Tensor to write into."""
    values = [as_operand(op, i, operand) for i, operand in enumerate(operands)]
    for i in op.numbers:
        values[i] = values[i].item() if isinstance(values[i], Tensor) else values[i]
    tensors = [value for value in values if isinstance(value, Tensor)]
    if not tensors:
        raise TypeError(op.strange(0, operands[0]))
    if op.check is not None:
        op.check(*values)
    where = common_device(op, tensors if out is None else [*tensors, out])
    computed = type_for(op.computes_in(promoted(op, values)), where)
    result = computed.with_dtype(op.gives(computed.dtype))
    shape: tuple[int, ...] = ()
    for tensor in tensors:
        shape = shapes.broadcast(shape, tensor._shape)
    raw = [_raw(value, computed) for value in values]
    if out is not None:
        views.check_out(op.title, out, tensors, result.dtype, shape)
        with computed.backend.Scope(where):
            computed.backend.compute(op, raw, computed.dtype, result.dtype, out.array)
        views.written_by_user(out._counter, "")
        return out
    with computed.backend.Scope(where):
        y = computed.backend.compute(op, raw, computed.dtype, result.dtype)
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
def kept_slots(op: Op, needed: tuple[bool, ...], *, complex: bool) -> frozenset[int]:
    """The operands (and the result, as number ``arity``) that the cotangents of ``needed`` operands read."""
    found: set[int] = set()
    for need, read in zip(needed, saved_by(op, complex=complex), strict=True):
        found |= read if need else frozenset()
    return frozenset(found)


def record_elementwise(
    op: Op, computed: Type, parents: tuple[Any, ...], values: list[Any], raw: list[Any], out: Tensor
) -> None:
    """Give ``out`` a node that keeps what the cotangents of ``parents`` read."""
    numbers = tuple(i for i, v in enumerate(values) if not isinstance(v, Tensor)) if op.nodes else ()
    node = node_class(op, computed, numbers=numbers)()
    if kept_slots(op, (True,) * op.arity, complex=computed.dtype.is_complex):
        kept = kept_slots(op, tuple(p is not None for p in parents), complex=computed.dtype.is_complex)
        held = (*zip(values, raw, strict=True), (out, out.array))
        node.saved = tuple(array if i in kept else None for i, (_, array) in enumerate(held))
        node.counters = tuple(
            value._counter if i in kept and isinstance(value, Tensor) else UNWRITTEN
            for i, (value, _) in enumerate(held)
        )
        if any(counter.count for counter in node.counters):
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
    values, raw, parents, types = [], [], [], []
    for position, value in enumerate(operands):
        if not isinstance(value, Tensor):
            value = as_operand(op, position, value)  # noqa: PLW2901
        values.append(value)
        if isinstance(value, Tensor):
            raw.append(value.array)
            parents.append(value if value._node is LEAF else value._node)
            types.append(value._type)
        else:
            raw.append(value)
            parents.append(None)
    type_ = types[0]
    for other in types:
        if other.dtype.category not in op.takes:
            op.refuse(other.dtype)
        if other.device is not type_.device:
            tensors = [value for value in values if isinstance(value, Tensor)]
            type_ = type_for(type_.dtype, common_device(op, tensors))
            raw = [_raw(value, type_) if isinstance(value, Tensor) else value for value in values]
            break
    if type_.backend is _numpy:
        y = modes.quiet(op.forward, *raw, **params)
    else:
        with type_.backend.Scope(type_.device):
            y = op.forward(*raw, **params)
    several = isinstance(y, tuple)
    outs = [_wrap_result(array, type_) for array in y] if several else [_wrap_result(y, type_)]
    if op.has_rules and modes.grad and outs[0]._type.dtype.category >= FLOAT:
        needed = tuple([parent is not None for parent in parents])
        if True in needed:
            record_array(op, tuple(parents), needed, values, outs, params, several=several)
    if op.view and type_.backend.shares_memory(outs[0].array, raw[0]):
        views.track(op, params, values[0], outs, several=several)
    return tuple(outs) if several else outs[0]


def _wrap_result(array: Any, type_: Type) -> Tensor:
    """The Tensor of what an operation on arrays of ``type_`` returned (NumPy returns scalars, too)."""
    if type(array) is np.ndarray and array.dtype is type_.numpy and type_.backend is _numpy:
        return wrap(array, type_)
    return wrap(
        array if hasattr(array, "strides") and not isinstance(array, np.generic) else np.asarray(array)
    )


@lru_cache(maxsize=4096)
def kept_values(op: ArrayOp, needed: tuple[bool, ...]) -> tuple[bool, ...]:
    """Which operands, and whether the result, the rules of the ``needed`` operands name; () if none."""
    if op.variadic:
        return ()
    names = {name for need, rule in zip(needed, op.needs, strict=False) if need for name in rule or ()}
    kept = tuple(name in names for name in (*op.operands_of(len(needed)), "y"))
    return kept if any(kept) else ()


def record_array(
    op: ArrayOp,
    parents: tuple[Any, ...],
    needed: tuple[bool, ...],
    values: list[Any],
    outs: list[Tensor],
    params: dict[str, Any],
    *,
    several: bool,
) -> None:
    """Give ``outs`` a node that keeps what the rules of the ``needed`` operands name."""
    node = array_node_class(op)()
    node.saved = node.counters = ()
    if kept := kept_values(op, needed):
        held = (*values, outs[0])
        node.saved = tuple(
            [
                (v.array if isinstance(v, Tensor) else v) if k else None
                for k, v in zip(kept, held, strict=True)
            ]
        )
        counters = node.counters = tuple(
            [
                v._counter if k and isinstance(v, Tensor) else UNWRITTEN
                for k, v in zip(kept, held, strict=True)
            ]
        )
        if any([counter.count for counter in counters]):  # noqa: C419  a list is faster
            node.expected = tuple([counter.count for counter in counters])
    if op.fits:
        node.fit = fits(values, outs[0])
    node.params, node.shapes = params, tuple([v._shape if isinstance(v, Tensor) else () for v in values])
    finish(node, parents, outs[0])
    if op.differentiable is None and several:
        for out, edge in zip(outs, outputs_of(node, len(outs)), strict=True):
            out._node = edge


def apply(op: Operation, operands: tuple[Any, ...], params: dict[str, Any]) -> Any:
    """Run ``op`` on operands of which one at least is a Tensor."""
    if isinstance(op, Op):
        if params or op.direct is None:
            return apply_elementwise(op, operands, **params)
        result = op.direct(*operands)
        if result._node is not None:
            result._node.line = user_line()
        return result
    return apply_array(op, operands, params)  # type: ignore[arg-type]


Tensor._apply_op = staticmethod(apply)  # type: ignore[method-assign]
