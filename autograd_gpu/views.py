"""Views: tensors that share memory share a version, and a write to one gives all of them a new history.

A view remembers its base and the operations that lead there from it, and a base its living views. A
recorded write to a view makes the base a ``CopySlices`` of what it was and what was written, and every
view of it is derived from the base anew. Source: PyTorch's "in-place operations on views" in
docs/source/notes/autograd.rst and torch/csrc/autograd/variable.h.
"""

import weakref
from typing import Any

from . import backends
from .engine import Node, Parts
from .errors import GraphError
from .modes import modes
from .nodes import Alias, ArrayNode, array_node_class, enter, fit, made_by
from .op import TABLE, ArrayOp
from .tensor import Tensor

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


def track(op: ArrayOp, params: dict[str, Any], source: Tensor, outs: list[Tensor], *, several: bool) -> None:
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


def _without(g: Any, steps: Steps, order: tuple[int, ...]) -> Any:
    """The cotangent of what a view was written into: none where it was written."""
    return TABLE.write_view(g, TABLE.zeros_like(replay(g, steps)), steps=steps, order=order)


def _within(g: Any, steps: Steps) -> Any:
    """The cotangent of what was written."""
    return replay(g, steps)


# fmt: off
ArrayOp("write_view", "base, value", _written, {"base": _without, "value": _within},
        "a copy of base with value in one of its views", node="CopySlices")
ArrayOp("view_anew", "base", replay, adjoint,
        "a view of base, derived from it again after base was written to", node="AsStridedBackward0")
# fmt: on

AMBIGUOUS = (
    "Given that this use case is ambiguous and error-prone, it is forbidden. You can clarify your code by moving both "
    "the view and the inplace either both inside the {} block (if you don't want the inplace to be tracked) or both "
    "outside (if you want the inplace to be tracked)."
)
FORBIDDEN = {
    "several": (
        "This view is the output of a function that returns multiple views. Such functions do not allow the output "
        "views to be modified inplace. You should replace the inplace operation by an out-of-place one."
    ),
    "custom": (
        "This view was created inside a custom Function (or because an input was returned as-is) and the autograd "
        "logic to handle view+inplace would override the custom backward associated with the custom Function, leading "
        "to incorrect gradients. This behavior is forbidden. You can fix this by cloning the output of the custom "
        "Function."
    ),
    "no_grad": AMBIGUOUS.format("no_grad"),
    "inference": AMBIGUOUS.format("inference_mode"),
}


def forbidden(view: Tensor, what: str = "is being") -> str:
    """Why ``view`` (or its base: ``what``) cannot be written to with a gradient."""
    node = view.grad_fn
    text = "A view" if node is None else f"Output {view.output_nr} of {made_by(node)} is a view"
    if node is None or view._made in {"no_grad", "inference"}:
        where, now = (
            ("inference", "in normal mode") if view._made == "inference" else ("no_grad", "with grad mode enabled")
        )
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
    node = array_node_class(TABLE[name], (), large=False)()
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
