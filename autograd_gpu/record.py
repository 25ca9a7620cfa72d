"""How an operation of the table runs on Tensors: what it is computed in, and what its node keeps."""

from collections.abc import Callable, Iterable, Sequence
from functools import cache, lru_cache
from numbers import Number
from typing import Any, NamedTuple

import numpy as np

from . import shapes, views, writes
from .backends import Type, _numpy, type_for
from .devices import cpu, device
from .dtypes import FLOAT, bool_, combine, dtype, get_default_dtype, of_scalar, promote_types
from .engine import UNWRITTEN, Version, outputs_of
from .errors import DeviceError, DtypeError
from .fusion.direct import saved_by
from .modes import modes
from .nodes import LARGE, ArrayNode, ArrayOpNode, array_node_class, finish, node_class
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
    raw = [_raw(value, computed) for value in values]
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


def _raw(value: Any, computed: Type) -> Any:
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


class ArrayRecipe:
    """How an operation on arrays runs on operands of some types, and how that is recorded."""

    __slots__ = ("keep", "nodes", "on_host", "op", "type", "types")

    def __init__(self, op: ArrayOp, types: tuple[Type | None, ...], needed: tuple[bool, ...]) -> None:
        self.op, self.types = op, tuple([type_ for type_ in types if type_ is not None])
        for type_ in self.types:
            op.refuse(type_.dtype)
        self.type = self.types[0]
        self.on_host = self.type.backend is _numpy
        self.keep = keeper(kept_values(op, needed), tuple([type_ is not None for type_ in types]))
        self.nodes: dict[Any, type[ArrayOpNode]] = {}

    def node(self, made: tuple[Type, ...], *, large: bool) -> type[ArrayOpNode]:
        """The class of the nodes, where results have the types ``made``."""
        types = (*self.types, *made)
        own = array_node_class(self.op, types[:1] if len(set(types)) == 1 else types, large=large)
        self.nodes[made, large] = own
        return own


array_recipe = lru_cache(maxsize=4096)(ArrayRecipe)


def kept_values(op: ArrayOp, needed: tuple[bool, ...]) -> tuple[bool, ...]:
    """Which operands, and whether the result, the rules of the ``needed`` operands name; () if none."""
    if op.variadic:
        return ()
    names = {name for need, rule in zip(needed, op.needs, strict=False) if need for name in rule or ()}
    kept = tuple(name in names for name in (*op.operands_of(len(needed)), "y"))
    return kept if any(kept) else ()


Keeper = Callable[[Sequence[Any], Tensor], tuple[tuple[Any, ...], tuple[Version, ...]]]


@cache
def keeper(kept: tuple[bool, ...], tensors: tuple[bool, ...]) -> Keeper:
    """What a node saves of the operands and of the result ``y``, and the versions of that; one expression.

    ``kept`` says of which, and ``tensors`` which operands are Tensors.
    """
    values = [*(f"x[{i}]" for i in range(len(tensors))), "y"][: len(kept)]
    has_array = [*tensors, True]
    saved = (
        "None" if not k else f"{value}.array" if own else value
        for k, own, value in zip(kept, has_array, values, strict=False)
    )
    versions = (
        f"{value}._counter" if k and own else "UNWRITTEN"
        for k, own, value in zip(kept, has_array, values, strict=False)
    )
    text = f"lambda x, y: (({''.join(f'{part}, ' for part in saved)}), ({''.join(f'{part}, ' for part in versions)}))"
    return eval(text, {"UNWRITTEN": UNWRITTEN})  # type: ignore[no-any-return]  # noqa: S307  our own text


def apply_array(op: ArrayOp, operands: tuple[Any, ...], params: dict[str, Any]) -> Any:
    """``op`` on Tensors, recorded if gradients can flow; several results come as a tuple."""
    raw: list[Any] = []
    types: list[Type | None] = []
    parents: list[Any] = []
    where: Any = None  # the device that all tensors are on, or False
    for position, value in enumerate(operands):
        if not isinstance(value, Tensor):
            value = as_operand(op, position, value)  # noqa: PLW2901
            if isinstance(value, Tensor):
                return apply_array(op, (*operands[:position], value, *operands[position + 1 :]), params)
            raw.append(value)
            types.append(None)
            parents.append(None)
            continue
        type_ = value._type
        raw.append(value.array)
        types.append(type_)
        parents.append(value if value._node is LEAF else value._node)
        if type_.device is not where:
            where = type_.device if where is None else False
    needed: tuple[bool, ...] = ()
    if op.has_rules and modes.grad:
        needed = tuple([parent is not None for parent in parents])
    found = array_recipe(op, tuple(types), needed)
    type_ = found.type
    if where is False:
        type_ = type_for(type_.dtype, common_device(op, map(kind_of, operands)))
        raw = [_raw(value, type_) if isinstance(value, Tensor) else value for value in operands]
    if type_.backend is _numpy:
        y = modes.quiet(op.forward, *raw, **params)
    else:
        with type_.backend.Scope(type_.device):
            watch = modes.watch
            y = op.forward(*raw, **params) if watch is None else watch.call(op.name, op.forward, *raw, **params)
    several = isinstance(y, tuple)
    outs = [_wrap_result(array, type_) for array in y] if several else [_wrap_result(y, type_)]
    if True in needed and outs[0]._type.dtype.category >= FLOAT:
        record_array(found, operands, raw, tuple(parents), outs, params, several=several)
    if op.view and type_.backend.shares_memory(outs[0].array, raw[0]):
        views.track(op, params, operands[0], outs, several=several)
    return tuple(outs) if several else outs[0]


def _wrap_result(array: Any, type_: Type) -> Tensor:
    """The Tensor of what an operation on arrays of ``type_`` returned (NumPy returns scalars, too)."""
    if type(array) is np.ndarray and array.dtype is type_.numpy and type_.backend is _numpy:
        return wrap(array, type_)
    return wrap(array if hasattr(array, "strides") and not isinstance(array, np.generic) else np.asarray(array))


def record_array(
    found: ArrayRecipe,
    values: Sequence[Any],
    raw: Sequence[Any],
    parents: tuple[Any, ...],
    outs: list[Tensor],
    params: dict[str, Any],
    *,
    several: bool,
) -> None:
    """Give ``outs`` a node that keeps what the rules of the operands that need a cotangent name."""
    op, out = found.op, outs[0]
    large = not found.on_host or out.array.size >= LARGE
    for array in raw:
        large = large or (array.__class__ is np.ndarray and array.size >= LARGE)
    made = (out._type,) if len(outs) == 1 else tuple([out._type for out in outs])
    node = (found.nodes.get((made, large)) or found.node(made, large=large))()
    node.saved, node.counters = found.keep(values, out)
    for counter in node.counters:
        if counter.count:
            node.expected = tuple([counter.count for counter in node.counters])
            break
    if op.fits:
        node.fit = fits(values, out, out._type)
    node.params, node.shapes = params, tuple([v._shape if isinstance(v, Tensor) else () for v in values])
    finish(node, parents, out)
    if op.differentiable is None and several:
        for one, edge in zip(outs, outputs_of(node, len(outs)), strict=True):
            one._node = edge


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
