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

from .dtypes import dtype
from .engine import Node, Version
from .errors import GraphError, ShapeError
from .modes import modes
from .nodes import Alias, array_node_class, describe, finish
from .op import TABLE, ArrayOp
from .tensor import LEAF, Frozen, Tensor, user_line, wrap

Step = tuple[ArrayOp, dict[str, Any], int]  # an operation, its parameters, and which of its results


def track(
    op: ArrayOp, params: dict[str, Any], source: Tensor, outs: list[Tensor], *, several: bool
) -> None:
    """Note that ``outs`` are views that ``op``, which gives one or ``several`` results, made of ``source``."""
    base = source if source._base is None else source._base
    if base._views is None:
        base._views = []
    elif len(base._views) > 64:
        base._views = [ref for ref in base._views if ref() is not None]
    for i, out in enumerate(outs):
        out._base, out._counter = base, source._counter
        out._steps = (*source._steps, (op, params, i))
        out._made = ("several" if several else source._made) if modes.grad else "no_grad"
        base._views.append(weakref.ref(out))


def replay(x: Any, steps: tuple[Step, ...]) -> Any:
    """The view of ``x`` (an array or a Tensor) that ``steps`` lead to."""
    for op, params, i in steps:
        x = op(x, **params)
        if isinstance(x, tuple):
            x = x[i]
    return x


def _written(base: Any, value: Any, steps: tuple[Step, ...]) -> Any:
    """A copy of the array ``base`` with ``value`` in its view."""
    copy = base.copy()
    replay(copy, steps)[...] = value
    return copy


ArrayOp(
    "write_view", "base, value", _written,
    {
        "base": lambda g, steps: TABLE.write_view(g, TABLE.zeros_like(replay(g, steps)), steps=steps),
        "value": lambda g, steps: replay(g, steps),
    },
    "a copy of base with value in one of its views", node="CopySlices",
)  # fmt: skip


IN_FUNCTION = (
    "This view was created inside a custom Function (or because an input was returned as-is) and the autograd logic to "
    "handle view+inplace would override the custom backward associated with the custom Function, leading to incorrect "
    "gradients. This behavior is forbidden. You can fix this by cloning the output of the custom Function."
)


def check_writable(tensor: Tensor) -> None:
    """Raise if autograd forbids to write to ``tensor`` here."""
    if isinstance(tensor._counter, Frozen) and not modes.inference:
        raise GraphError(
            "Inplace update to inference tensor outside InferenceMode is not allowed.You can make a clone to get a "
            "normal tensor before doing inplace update.See https://github.com/pytorch/rfcs/pull/17 for more details."
        )
    if not modes.grad:
        return
    if tensor._node is LEAF:
        raise GraphError("a leaf Variable that requires grad is being used in an in-place operation.")
    if tensor._base is not None and tensor._base._node is LEAF:
        raise GraphError("a view of a leaf Variable that requires grad is being used in an in-place operation.")


def check_view_writable(tensor: Tensor) -> None:
    """Raise if ``tensor`` is a view whose base cannot be given a new history."""
    if tensor._base is None:
        return
    if tensor._made == "several":
        node = tensor._steps[-1][0].node.rpartition("Backward")[0]
        raise GraphError(
            f"Output {tensor._steps[-1][2]} of {node} is a view and is being modified inplace. This view is the "
            "output of a function that returns multiple views. Such functions do not allow the output views to be "
            "modified inplace. You should replace the inplace operation by an out-of-place one."
        )
    if tensor._made == "custom":
        name = tensor._node.name().removesuffix("Backward") if isinstance(tensor._node, Node) else "None"
        raise GraphError(f"Output {tensor.output_nr} of {name} is a view and is being modified inplace. {IN_FUNCTION}")
    if tensor._made == "no_grad":
        raise GraphError(
            "A view was created in no_grad mode and is being modified inplace with grad mode enabled. Given that this "
            "use case is ambiguous and error-prone, it is forbidden. You can clarify your code by moving both the view "
            "and the inplace either both inside the no_grad block (if you don't want the inplace to be tracked) or "
            "both outside (if you want the inplace to be tracked)."
        )


def written_by_user(version: Version, operation: str) -> None:
    """Count a write."""
    version.bump()
    version.writer, version.operation = describe(user_line()), operation


def write(tensor: Tensor, value: Tensor) -> Tensor:
    """Put ``value`` (of the same shape) into the memory of ``tensor``, which takes over its history."""
    check_writable(tensor)
    check_holds(tensor, value.dtype, value._shape)
    recorded = modes.grad and (value._node is not None or tensor._node is not None)
    if recorded:
        check_view_writable(tensor)
        if value._type is not tensor._type:
            value = TABLE.to(value, type_=tensor._type)
        keep_old_values(value._node, tensor, value)
    with tensor._type.backend.Scope(tensor.device):
        store(tensor.array, value.array)
    node = value._node
    written_by_user(tensor._counter, node.name() if isinstance(node, Node) else "")
    if recorded:
        refer_to_written(node, tensor, value)
        rebase(tensor, value._edge)
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
    if 0 in array.strides and array.size > 1:
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
    base = tensor._base
    if base is None:
        base = tensor
        base._node = edge
    else:
        node = array_node_class(TABLE.write_view)()  # type: ignore[arg-type]
        node.saved = node.counters = ()
        node.params, node.shapes = {"steps": tensor._steps}, (base._shape, tensor._shape)
        finish(node, (base._edge, edge), base)
    for ref in base._views or ():
        if (view := ref()) is not None:
            root = wrap(base.array, base._type, base._shape)
            root._node = base._node
            view._node = replay(root, view._steps)._node
    if tensor._retains and tensor._node is not None:
        tensor._retains = False
        tensor.retain_grad()


def in_place(function: Callable[..., Any]) -> Callable[..., Any]:
    """The method that runs ``function`` on a tensor and writes the result into it."""

    takes_out = "out" in inspect.signature(function).parameters

    def method(self: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        check_writable(self)
        if takes_out and not is_recorded((self, *args, *kwargs.values())):
            return function(self, *args, **kwargs, out=self)  # type: ignore[no-any-return]
        return write(self, function(self, *args, **kwargs))

    method.__name__ = f"{function.__name__}_"
    method.__doc__ = f"``{function.__name__}``, written into this tensor."
    return method


def is_recorded(operands: tuple[Any, ...]) -> bool:
    """Whether an operation on ``operands`` is recorded here."""
    return modes.grad and any(isinstance(t, Tensor) and t._node is not None for t in operands)


def check_out(name: str, out: Tensor, tensors: list[Tensor], d: dtype, shape: tuple[int, ...]) -> None:
    """Make ``out`` fit for the result of an operation on ``tensors``, or raise.

    It is resized if it has another shape, unless it is an operand: then the operation is one in place.
    """
    check_writable(out)
    if is_recorded((out, *tensors)):
        raise GraphError(
            f"{name}(): functions with out=... arguments don't support automatic differentiation, but one of the "
            "arguments requires grad."
        )
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
