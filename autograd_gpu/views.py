"""Views and writes: tensors that share memory share a version, and a write gives all of them a new history.

A view remembers its base and the operations that lead there from it, and a base its living views. A
recorded write to a view makes the base a ``CopySlices`` of what it was and what was written, and every
view of it is derived from the base anew. Source: PyTorch's "in-place operations on views" in
docs/source/notes/autograd.rst and torch/csrc/autograd/variable.h.
"""

import inspect
import weakref
from collections.abc import Callable
from typing import Any

from . import backends
from .dtypes import dtype
from .engine import Node, Parts, Version
from .errors import GraphError, ShapeError
from .modes import modes
from .nodes import Alias, ArrayNode, array_node_class, describe, enter, fit, made_by
from .op import TABLE, ArrayOp
from .tensor import LEAF, Frozen, Tensor, user_line, wrap

# How to get from a base to a view: the steps before the last one; its operation, the parameters, and which of the
# results (None if there is only one); the type and shape of what it was applied to.
Steps = tuple[Any, ...]


class Views(list[Any]):
    """Weak references to the views of a base; those to dead views are cleared out when half of them may be."""

    limit = 64

    def add(self, view: Tensor) -> None:
        if len(self) >= self.limit:
            self[:] = [ref for ref in self if ref() is not None]
            self.limit = max(64, 2 * len(self))
        self.append(weakref.ref(view))


def track(
    op: ArrayOp, params: dict[str, Any], source: Tensor, outs: list[Tensor], *, several: bool
) -> None:
    """Note that ``outs`` are views that ``op``, which gives one or ``several`` results, made of ``source``."""
    base = source if source._base is None else source._base
    if base._views is None:
        base._views = Views()
    for i, out in enumerate(outs):
        out._base, out._counter = base, source._counter
        out._steps = source._steps, op, params, i if several else None, source._type, source._shape
        out._made = "several" if several else source._made
        if not modes.grad:
            out._made = "inference" if modes.inference else "no_grad"
        base._views.add(out)


def replay(x: Any, steps: Steps) -> Any:
    """The view of ``x`` (an array or a Tensor) that ``steps`` lead to."""
    path = []
    while steps:
        steps, *step = steps
        path.append(step)
    for op, params, place, *_ in reversed(path):
        y = op(x, **params)
        x = y if place is None else y[place]
    return x


def adjoint(g: Any, steps: Steps) -> Any:
    """The cotangent of a base, given that of the view that ``steps`` lead to."""
    while steps:
        steps, op, params, place, type_, shape = steps
        named = {**params, "g": g if place is None else Parts({place: g}), "shape": shape}
        (rule,), (names,) = op.rules, op.needs
        if rule is None:
            raise GraphError(f"derivative for aten::{op.name} is not implemented")
        g = rule(**{name: named[name] for name in names})
        if op.fits:
            g = fit(g, type_, shape)
    return g


def layout(array: Any) -> tuple[int, ...]:
    """The axes of ``array``, that with the longest strides first."""
    return tuple(sorted(range(array.ndim), key=lambda axis: -abs(array.strides[axis])))


def _written(base: Any, value: Any, steps: Steps, order: tuple[int, ...]) -> Any:
    """A copy of the array ``base`` with ``value`` in its view; its axes are laid out in ``order``.

    In another layout than that of the tensor that was written to, the steps might give copies instead of views.
    """
    copy = backends.of(base).xp.empty(tuple([base.shape[axis] for axis in order]), base.dtype)
    copy = copy.transpose([order.index(axis) for axis in range(base.ndim)])
    copy[...] = base
    replay(copy, steps)[...] = value
    return copy


# fmt: off
ArrayOp("write_view", "base, value", _written,
        {"base": lambda g, steps, order: TABLE.write_view(g, TABLE.zeros_like(replay(g, steps)), steps=steps, order=order),
         "value": lambda g, steps: replay(g, steps)},
        "a copy of base with value in one of its views", node="CopySlices")
ArrayOp("view_anew", "base", replay, adjoint,
        "a view of base, derived from it again after base was written to", node="AsStridedBackward0")
# fmt: on

FORBIDDEN = {
    "several": (
        "This view is the output of a function that returns multiple views. Such functions do not allow the output "
        "views to be modified inplace. You should replace the inplace operation by an out-of-place one."
    ),
    "custom": (
        "This view was created inside a custom Function (or because an input was returned as-is) and the autograd logic "
        "to handle view+inplace would override the custom backward associated with the custom Function, leading to "
        "incorrect gradients. This behavior is forbidden. You can fix this by cloning the output of the custom Function."
    ),
    "no_grad": (
        "Given that this use case is ambiguous and error-prone, it is forbidden. You can clarify your code by moving both "
        "the view and the inplace either both inside the no_grad block (if you don't want the inplace to be tracked) or "
        "both outside (if you want the inplace to be tracked)."
    ),
    "inference": (
        "Given that this use case is ambiguous and error-prone, it is forbidden. You can clarify your code by moving both "
        "the view and the inplace either both inside the inference_mode block (if you don't want the inplace to be "
        "tracked) or both outside (if you want the inplace to be tracked)."
    ),
}


def forbidden(view: Tensor, what: str = "is being") -> str:
    """Why ``view`` (or its base: ``what``) cannot be written to with a gradient."""
    node = view.grad_fn
    text = "A view" if node is None else f"Output {view.output_nr} of {made_by(node)} is a view"
    if node is None or view._made in {"no_grad", "inference"}:
        where, now = ("inference", "in normal mode") if view._made == "inference" else ("no_grad", "with grad mode enabled")
        of = "" if node is None else " of a view which"
        text = f"{text}{of} was created in {where} mode and {what} modified inplace {now}."
    else:
        text = f"{text} and {what} modified inplace."
    return f"{text} {FORBIDDEN[view._made]}"


class Underived(ArrayNode):
    """The history of a view that cannot be derived from its base anew: no gradient can pass it."""

    __slots__ = ("reason",)
    reason: str

    def pullback(self, grad: Any) -> tuple[Any, ...]:
        raise GraphError(self.reason)

    recorded_pullback = pullback


def check_writable(tensor: Tensor, *operands: Any) -> None:
    """Raise if autograd forbids to write to ``tensor`` here what is made of ``operands``."""
    if isinstance(tensor._counter, Frozen) and not modes.inference:
        raise GraphError(
            "Inplace update to inference tensor outside InferenceMode is not allowed.You can make a clone to get a "
            "normal tensor before doing inplace update.See https://github.com/pytorch/rfcs/pull/17 for more details."
        )
    if not modes.grad:
        return
    if tensor.requires_grad or is_recorded(operands):
        check_view_writable(tensor)
    if not tensor.requires_grad:
        return
    if tensor._base is not None and tensor._base.is_leaf:
        raise GraphError("a view of a leaf Variable that requires grad is being used in an in-place operation.")
    if tensor._node is LEAF:
        raise GraphError("a leaf Variable that requires grad is being used in an in-place operation.")


def check_view_writable(tensor: Tensor) -> None:
    """Raise if ``tensor`` is a view whose base cannot be given a new history."""
    if tensor._base is not None and tensor._made:
        raise GraphError(forbidden(tensor))


def written_by_user(version: Version, operation: str) -> None:
    """Count a write."""
    version.bump()
    version.writer, version.operation = user_line(), operation


def write(tensor: Tensor, value: Tensor, *, fresh: bool = False) -> Tensor:
    """Put ``value`` (of the same shape) into the memory of ``tensor``, which takes over its history.

    A ``fresh`` value was computed to be written here only: it may have been saved here and from here.
    """
    check_writable(tensor)
    check_holds(tensor, value.dtype, value._shape)
    recorded = modes.grad and (value._node is not None or tensor._node is not None)
    if recorded:
        check_view_writable(tensor)
        if value._type is not tensor._type:
            value = TABLE.to(value, type_=tensor._type)
        if fresh:
            keep_old_values(value._node, tensor, value)
    with tensor._type.backend.Scope(tensor.device):
        store(tensor.array, value.array)
    node = value._node
    written_by_user(tensor._counter, "")
    if recorded:
        if fresh:
            refer_to_written(node, tensor, value)
        rebase(tensor, value._edge)
        tensor._counter.operation = made_by((tensor if tensor._base is None else tensor._base)._node)
    return tensor


def check_holds(tensor: Tensor, d: dtype, shape: tuple[int, ...]) -> None:
    """Raise unless values of dtype ``d`` and ``shape`` can be written into ``tensor``."""
    if shape != tensor._shape:
        raise ShapeError(
            f"output with shape {list(tensor._shape)} doesn't match the broadcast shape {list(shape)}"
        )
    if d.category > tensor.dtype.category:
        raise GraphError(
            f"result type {d.scalar_name} can't be cast to the desired output type {tensor.dtype.scalar_name}"
        )


def check_memory(array: Any) -> None:
    """Raise if elements of ``array`` share memory with each other."""
    if array.size and any(n > 1 and not stride for n, stride in zip(array.shape, array.strides, strict=True)):
        raise GraphError(
            "unsupported operation: more than one element of the written-to tensor refers to a single memory "
            "location. Please clone() the tensor before performing the operation."
        )


def store(array: Any, value: Any) -> None:
    """Write ``value`` into ``array``."""
    check_memory(array)
    array[...] = value


def keep_old_values(node: Any, tensor: Tensor, value: Tensor) -> None:
    """Let ``node`` keep a copy of what it saved of ``tensor``'s memory, which is about to be written to."""
    if isinstance(node, Node) and node.saved:
        share = tensor._type.backend.shares_memory
        node.saved = tuple(
            s.copy() if isinstance(s, type(tensor.array)) and s is not value.array and share(s, tensor.array) else s
            for s in node.saved
        )
        node.counters = tuple(Version() if c is tensor._counter else c for c in node.counters)
        node.expected = tuple(c.count for c in node.counters)


def refer_to_written(node: Any, tensor: Tensor, value: Tensor) -> None:
    """Let ``node`` refer to the memory of ``tensor`` where it saved its result, now stored there."""
    if isinstance(node, Node) and node.saved and any(s is value.array for s in node.saved):
        node.counters = tuple(
            tensor._counter if s is value.array else c for s, c in zip(node.saved, node.counters, strict=True)
        )
        node.saved = tuple(tensor.array if s is value.array else s for s in node.saved)
        node.expected = tuple(c.count for c in node.counters)


def rebase(tensor: Tensor, edge: Any) -> None:
    """Make ``edge`` the history of what ``tensor`` holds, and derive its base and its views anew."""
    if isinstance(edge, Tensor):
        edge = Alias(edge)
    base = tensor if tensor._base is None else tensor._base
    if base is not tensor:
        params = {"steps": tensor._steps, "order": layout(base.array)}
        edge = _node_of("write_view", params, (base._edge, edge), (base._shape, tensor._shape))
    give_history(base, edge)
    for ref in base._views or ():
        if (view := ref()) is None:
            continue
        if base._node is None:
            give_history(view, None)
        elif view._made not in {"", "several"}:
            lost = Underived()
            lost.saved, lost.counters = (), ()
            lost.reason = forbidden(view, "its base or another view of its base has been")
            enter(lost, (base._edge,))
            give_history(view, lost)
        else:
            give_history(view, _node_of("view_anew", {"steps": view._steps}, (base._edge,), (base._shape,)))


def _node_of(name: str, params: dict[str, Any], parents: tuple[Any, ...], shapes: tuple[Any, ...]) -> Node:
    """A node of the operation ``name``, which saves nothing, without running it."""
    node = array_node_class(TABLE[name])()
    node.saved, node.counters = (), ()
    node.params, node.shapes = params, shapes
    enter(node, parents)
    return node


def give_history(tensor: Tensor, node: Any) -> None:
    """Make ``node`` the history of ``tensor``; if that retains its gradient, it is now that of the new value."""
    old, tensor._node = tensor._node, node
    if tensor._retains:
        old.hooks.retain = None
        tensor._retains = False
        if node is not None:
            tensor.retain_grad()


def in_place(function: Callable[..., Any]) -> Callable[..., Any]:
    """The method that runs ``function`` on a tensor and writes the result into it."""
    takes_out = "out" in inspect.signature(function).parameters

    def method(self: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        if takes_out and not is_recorded((self, *args, *kwargs.values())):
            return function(self, *args, **kwargs, out=self)  # type: ignore[no-any-return]
        check_writable(self, *args, *kwargs.values())
        value = function(self, *args, **kwargs)
        if isinstance(value._node, Node):
            value._node.line = user_line()
        return write(self, value, fresh=True)

    method.__name__ = f"{function.__name__}_"
    method.__doc__ = f"``{function.__name__}``, written into this tensor."
    return method


def is_recorded(operands: tuple[Any, ...]) -> bool:
    """Whether an operation on ``operands`` is recorded here."""
    if modes.grad:
        for operand in operands:
            if isinstance(operand, Tensor) and operand._node is not None:
                return True
    return False


def check_out(name: str, out: Tensor, tensors: list[Tensor], d: dtype, shape: tuple[int, ...]) -> None:
    """Make ``out`` fit for the result of an operation on ``tensors``, or raise.

    It is resized if it has another shape, unless it is an operand: then the operation is one in place.
    """
    if is_recorded((out, *tensors)):
        raise GraphError(
            f"{name}(): functions with out=... arguments don't support automatic differentiation, but one of the "
            "arguments requires grad."
        )
    check_writable(out)
    mine = any(tensor is out for tensor in tensors)
    check_holds(out, d, shape if mine else out._shape)
    check_memory(out.array)
    if out._shape != shape:
        out._set_array(out._type.backend.empty(shape, out.dtype, out.device))


def write_out(name: str, out: Tensor, result: Tensor) -> Tensor:
    """Put ``result`` into the tensor that the caller passed as ``out=``, which takes no part in a graph."""
    if modes.grad and (out._node is not None or result._node is not None):
        raise GraphError(
            f"{name}(): functions with out=... arguments don't support automatic differentiation, but one of the "
            "arguments requires grad."
        )
    if out._shape != result._shape:
        out._set_array(out._type.backend.empty(result._shape, out.dtype, out.device))
    return write(out, result)
