"""Writes: what may be written to, and a write as autograd sees it, in place and into ``out=``."""

import inspect
from collections.abc import Callable
from typing import Any

from .dtypes import dtype
from .engine import Node, Version
from .errors import GraphError, ShapeError
from .modes import modes
from .nodes import made_by
from .op import TABLE
from .tensor import LEAF, Frozen, Tensor, user_line
from .views import forbidden, rebase


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
        raise ShapeError(f"output with shape {list(tensor._shape)} doesn't match the broadcast shape {list(shape)}")
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
