"""How an operation on arrays runs on Tensors of any number and kind, and how that is recorded."""

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from . import views
from .backends import Type, _numpy, type_for
from .dtypes import FLOAT
from .engine import UNWRITTEN, outputs_of
from .modes import modes
from .nodes import LARGE, ArrayOpNode, array_node_class, finish
from .op import ArrayOp
from .record import as_operand, as_raw, common_device, fits, kind_of
from .tensor import Tensor, wrap


def apply_array(op: ArrayOp, operands: tuple[Any, ...], params: dict[str, Any]) -> Any:
    """``op`` on Tensors and what else it takes, recorded if gradients can flow; several results come as a tuple."""
    operands = tuple([v if isinstance(v, Tensor) else as_operand(op, i, v) for i, v in enumerate(operands)])
    kinds = [kind_of(value) for value in operands if isinstance(value, Tensor)]
    for type_, _ in kinds:
        op.refuse(type_.dtype)
    type_ = kinds[0][0]
    if any([own.device is not type_.device for own, _ in kinds]):  # noqa: C419  a list is faster
        type_ = type_for(type_.dtype, common_device(op, kinds))
    arrays = tuple([as_raw(value, type_) if isinstance(value, Tensor) else value for value in operands])
    return recorded(op, operands, computed(op, type_, arrays, params), type_, params)


def computed(op: ArrayOp, type_: Type, arrays: tuple[Any, ...], params: dict[str, Any]) -> Any:
    """What ``op`` gives for arrays where ``type_`` is."""
    if type_.backend is _numpy:
        return modes.quiet(op.forward, *arrays, **params)
    with type_.backend.Scope(type_.device):
        watch = modes.watch
        return op.forward(*arrays, **params) if watch is None else watch.call(op.name, op.forward, *arrays, **params)


def recorded(op: ArrayOp, operands: tuple[Any, ...], y: Any, type_: Type, params: dict[str, Any]) -> Any:
    """The Tensors of the arrays ``y`` that ``op`` made of ``operands``, with their history."""
    several = isinstance(y, tuple)
    outs = [as_result(array, type_) for array in y] if several else [as_result(y, type_)]
    parents = tuple([value._edge if isinstance(value, Tensor) else None for value in operands])
    if op.has_rules and modes.grad and outs[0]._type.dtype.category >= FLOAT and any(p is not None for p in parents):
        record_array(op, operands, parents, outs, params)
        if several and op.differentiable is None:
            for one, edge in zip(outs, outputs_of(outs[0]._node, len(outs)), strict=True):
                one._node = edge
    if op.view and type_.backend.shares_memory(outs[0].array, operands[0].array):
        views.track(op, params, operands[0], outs, several=several)
    return tuple(outs) if several else outs[0]


def as_result(array: Any, type_: Type) -> Tensor:
    """The Tensor of what an operation on arrays of ``type_`` returned (NumPy returns scalars, too)."""
    if type(array) is np.ndarray and array.dtype is type_.numpy and type_.backend is _numpy:
        return wrap(array, type_)
    return wrap(array if hasattr(array, "strides") and not isinstance(array, np.generic) else np.asarray(array))


def record_array(
    op: ArrayOp, operands: Sequence[Any], parents: tuple[Any, ...], outs: list[Tensor], params: dict[str, Any]
) -> None:
    """Give the first of ``outs`` a node that keeps what the rules of the operands that need a cotangent name."""
    out = outs[0]
    tensors = [value for value in operands if isinstance(value, Tensor)]
    on_host = all(value._type.backend is _numpy for value in tensors)
    large = not on_host or any(value.array.size >= LARGE for value in (*tensors, out))
    node = node_class(op, tuple([value._type for value in (*tensors, *outs)]), large=large)()
    kept = kept_values(op, tuple([parent is not None for parent in parents]))
    held = [value if keep else None for keep, value in zip(kept, (*operands, out), strict=False)]
    node.saved = tuple([value.array if isinstance(value, Tensor) else value for value in held])
    node.counters = tuple([value._counter if isinstance(value, Tensor) else UNWRITTEN for value in held])
    if any([counter.count for counter in node.counters]):  # noqa: C419  a list is faster
        node.expected = tuple([counter.count for counter in node.counters])
    if op.fits:
        node.fit = fits(operands, out, out._type)
    node.params, node.shapes = params, tuple([v._shape if isinstance(v, Tensor) else () for v in operands])
    finish(node, parents, out)


def node_class(op: ArrayOp, types: tuple[Type, ...], *, large: bool) -> type[ArrayOpNode]:
    """The class of the nodes that record ``op`` where operands and results have ``types``."""
    return array_node_class(op, types[:1] if len(set(types)) == 1 else types, large=large)


@lru_cache(maxsize=4096)
def kept_values(op: ArrayOp, needed: tuple[bool, ...]) -> tuple[bool, ...]:
    """Which operands, and whether the result, the rules of the ``needed`` operands name; () if none."""
    if op.variadic:
        return ()
    names = {name for need, rule in zip(needed, op.needs, strict=False) if need for name in rule or ()}
    kept = tuple(name in names for name in (*op.operands_of(len(needed)), "y"))
    return kept if any(kept) else ()
