"""How an elementwise operation runs on Tensors: what it is computed in, and what its node keeps."""

from collections.abc import Iterable, Sequence
from functools import lru_cache
from numbers import Number
from typing import Any, NamedTuple

import numpy as np

from . import shapes, writes
from .backends import Type, type_for
from .devices import cpu, device
from .dtypes import FLOAT, bool_, combine, dtype, get_default_dtype, of_scalar, promote_types
from .engine import UNWRITTEN
from .errors import DeviceError, DtypeError
from .fusion.direct import saved_by
from .modes import modes
from .nodes import LARGE, ArrayNode, finish, node_class
from .op import Op, Operation
from .tensor import Tensor, wrap


def is_operand(value: Any) -> bool:
    """Whether ``value`` is a Tensor, a number, or an array that can be wrapped as a Tensor."""
    return isinstance(value, Tensor | Number | np.ndarray | np.bool_) or _is_cupy(value)


def _is_cupy(value: Any) -> bool:
    return type(value).__module__.partition(".")[0] == "cupy"


def as_operand(op: Operation, position: int, value: Any) -> Any:
    """``value`` as an operand: a Tensor or a Python number."""
    if isinstance(value, Tensor):
        return value.item() if isinstance(op, Op) and position in op.numbers else value
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


Kind = Any  # of a Tensor its Type and whether it is 0-d, of a number its class


def kind_of(operand: Any) -> Kind:
    """What of ``operand`` decides what an operation on it computes in."""
    return (operand._type, not operand._shape) if isinstance(operand, Tensor) else operand.__class__


def _own_dtype(kind: Kind) -> dtype:
    own: dtype = kind[0].dtype if isinstance(kind, tuple) else of_scalar(kind())
    return own


def common_device(op: Operation, kinds: Iterable[Kind]) -> device:
    """The one device of the tensors among ``kinds``; a 0-d CPU tensor may join any."""
    tensors = [kind for kind in kinds if isinstance(kind, tuple)]
    found: set[device] = {type_.device for type_, _ in tensors}
    if len(found) == 1:
        return found.pop()
    strict: set[device] = {type_.device for type_, zero_dim in tensors if not zero_dim or type_.device is not cpu}
    if len(strict) == 1:
        return strict.pop()
    names = " and ".join(sorted(map(str, found), key=lambda name: (name == "cpu", name)))
    raise DeviceError(
        f"Expected all tensors to be on the same device, but found at least two devices, {names}! "
        f"(in {op.name}(); move one with .to(device))"
    )


def promote(op: Op, kinds: Sequence[Kind]) -> dtype:
    """The dtype that operands of ``kinds`` promote to (conditions and numbers by nature left out)."""
    ranks: list[dtype | None] = [None, None, None]  # with axes, 0-d, numbers
    for i, kind in enumerate(kinds):
        if i not in op.conditions and i not in op.numbers:
            rank, own = (int(kind[1]) if isinstance(kind, tuple) else 2), _own_dtype(kind)
            ranks[rank] = own if ranks[rank] is None else promote_types(ranks[rank], own)
    result = combine(ranks[0], combine(ranks[1], ranks[2]))
    assert result is not None
    if op.mixed is not None and result is not bool_ and bool_ in map(_own_dtype, kinds):
        raise DtypeError(op.mixed)
    return result


def promoted(op: Op, operands: Sequence[Any]) -> dtype:
    """The dtype that ``operands`` promote to."""
    return promote(op, [kind_of(operand) for operand in operands])


@lru_cache(maxsize=4096)
def types_of(op: Op, kinds: tuple[Kind, ...], _: dtype) -> tuple[Type, Type]:
    """What ``op`` is computed in and what it gives, for operands of ``kinds`` and the default dtype ``_``."""
    computed = type_for(op.computes_in(promote(op, kinds)), common_device(op, kinds))
    return computed, computed.with_dtype(op.gives(computed.dtype))


class Recipe(NamedTuple):
    """How an operation runs on operands of some kinds, and how that is recorded."""

    computed: Type
    result: Type
    node: type[ArrayNode] | None  # None: it is not recorded
    large_node: type[ArrayNode] | None
    kept: tuple[bool, ...]  # which operands, and whether the result, the node keeps; () if it keeps nothing
    alike: bool  # whether the result, cotangents and all tensors have one type


@lru_cache(maxsize=4096)
def recipe(op: Op, kinds: tuple[Kind, ...], needed: tuple[bool, ...], default: dtype) -> Recipe:
    """The Recipe of ``op``, differentiated by the ``needed`` operands (none: not recorded).

    The node keeps what the cotangents of these operands read.
    """
    computed, result = types_of(op, kinds, default)
    if op.partials is None or True not in needed or result.dtype.category < FLOAT:
        return Recipe(computed, result, None, None, (), alike=False)
    numbers: tuple[int, ...] = ()
    if op.nodes:
        numbers = tuple(i for i, kind in enumerate(kinds) if not isinstance(kind, tuple) and i not in op.numbers)
    reads = saved_by(op, complex=computed.dtype.is_complex)
    kept = {slot for need, read in zip(needed, reads, strict=True) if need for slot in read}
    places = tuple(i in kept for i in range(op.arity + 1)) if any(reads) else ()
    types = {kind[0] for kind in kinds if isinstance(kind, tuple)}
    small, large = (node_class(op, computed, numbers=numbers, large=n) for n in (computed.device is not cpu, True))
    return Recipe(computed, result, small, large, places, types == {computed, result})


def apply_elementwise(op: Op, operands: tuple[Any, ...], out: Tensor | None = None) -> Tensor:
    """``op`` on Tensors and numbers, recorded if gradients can flow; ``out`` is a Tensor to write into."""
    values: list[Any] = []
    kinds: list[Kind] = []
    needed: list[bool] = []
    shape: tuple[int, ...] | None = None
    alike = True
    for position, value in enumerate(operands):
        if not isinstance(value, Tensor) or position in op.numbers:
            if not isinstance(value, Tensor) and hasattr(value, "_apply_op"):  # it grows a formula
                return value._apply_op(op, operands, {} if out is None else {"out": out})  # type: ignore[no-any-return]
            value = as_operand(op, position, value)  # noqa: PLW2901
        values.append(value)
        if not isinstance(value, Tensor):
            kinds.append(value.__class__)
            needed.append(False)
            continue
        kinds.append((value._type, not value._shape))
        needed.append(value._node is not None)
        if shape is None:
            shape = value._shape
        elif value._shape != shape:
            shape, alike = shapes.broadcast(shape, value._shape), False
    if shape is None:
        raise TypeError(op.strange(0, operands[0]))
    for check in op.check, op.check_dtypes:
        if check is not None:
            check(*values)
    recorded = modes.grad and out is None
    found = recipe(op, tuple(kinds), tuple(needed) if recorded else (), get_default_dtype())
    computed, result = found.computed, found.result
    raw = [as_raw(value, computed) for value in values]
    if out is not None:
        tensors = [value for value in values if isinstance(value, Tensor)]
        if out._type.device is not computed.device:
            common_device(op, map(kind_of, (*tensors, out)))
        writes.check_out(op.title, out, tensors, result.dtype, shape)
        with computed.backend.Scope(computed.device):
            computed.backend.compute(op, raw, computed.dtype, result.dtype, out.array)
        writes.written_by_user(out._counter, "")
        return out
    with computed.backend.Scope(computed.device):
        y = computed.backend.compute(op, raw, computed.dtype, result.dtype)
    out = wrap(y, result, shape)
    if found.node is not None:
        node = record_elementwise(found, values, raw, out)
        if not (alike and found.alike):
            node.fit = fits(values, out, computed)
        parents = [value._edge if need else None for need, value in zip(needed, values, strict=True)]
        finish(node, tuple(parents), out)
    return out


def as_raw(value: Any, computed: Type) -> Any:
    """An operand as the backend takes it: an array on its device, or a number of its kind."""
    if not isinstance(value, Tensor):
        return computed.backend.scalar(value, computed.dtype)
    if value._type.device is computed.device:
        return value.array
    return computed.backend.scalar(value.array.item(), computed.dtype)  # a 0-d CPU tensor beside CUDA ones


def record_elementwise(found: Recipe, values: list[Any], raw: list[Any], out: Tensor) -> ArrayNode:
    """A node that keeps what the cotangents read of the operands and of the result ``out``."""
    made = found.node if out.array.size < LARGE else found.large_node
    assert made is not None
    node = made()
    node.saved = node.counters = ()
    if kept := found.kept:
        arrays, tensors = (*raw, out.array), (*values, out)
        node.saved = tuple([array if keep else None for keep, array in zip(kept, arrays, strict=True)])
        counters = node.counters = tuple(
            [
                tensor._counter if keep and isinstance(tensor, Tensor) else UNWRITTEN
                for keep, tensor in zip(kept, tensors, strict=True)
            ]
        )
        if any([counter.count for counter in counters]):  # noqa: C419  a list is faster
            node.expected = tuple([counter.count for counter in counters])
    return node


def fits(values: Sequence[Any], out: Tensor, computed: Type) -> tuple[Any, ...] | None:
    """For each operand its type and shape, or None where its cotangent has these; None if they all have.

    A cotangent has the result's; but it may be complex where ``computed`` is, or real, whatever the result is.
    In place of a shape that is the result's there is None.
    """
    own = (out._type if computed is out._type else None, None)
    kinds: list[Any] = [
        (v._type, None if v._shape == out._shape else v._shape) if isinstance(v, Tensor) else own for v in values
    ]
    return None if all(kind == own for kind in kinds) else tuple(None if kind == own else kind for kind in kinds)
