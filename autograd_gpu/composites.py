"""Fused operations on Tensors: one program forward, one backward; and ``fuse``, which makes them."""

from collections.abc import Callable
from functools import update_wrapper
from typing import Any, TypeVar

import numpy as np

from .backends import _numpy
from .dtypes import get_default_dtype
from .errors import FusionError
from .fused import Fused
from .layouts import arranged
from .modes import modes
from .op import TABLE
from .random import stream_of
from .record import is_operand
from .symbols import Drawn
from .tensor import Tensor, wrap
from .tracing import Traced, traced

MAX_TRACES = 256  # of one function


def key_of(op: Fused, arguments: tuple[Any, ...]) -> tuple[Any, ...]:
    """What of ``arguments`` decides what ``op`` is traced to."""
    grad = modes.grad
    key: list[Any] = [get_default_dtype()]
    for i, value in enumerate(arguments):
        if isinstance(value, Tensor):
            key += value._type, value._shape, grad and value._node is not None
        elif value.__class__ is float and i not in op.fixed:
            key.append(float)
        else:
            key += value.__class__, value
    return tuple(key)


def checked(op: Fused, arguments: tuple[Any, ...]) -> tuple[Any, ...]:
    """``arguments`` with arrays as Tensors and NumPy's numbers as Python's; FusionError for what cannot be one."""
    values = []
    for place, value in enumerate(arguments, 1):
        what = f"{op.name}(): argument {place} is a {type(value).__name__}"
        if isinstance(value, np.generic):
            values.append(value.item())
            continue
        if isinstance(value, tuple | list) and any(isinstance(part, Tensor) for part in value):
            raise FusionError(f"{what} with a tensor in it; make each tensor an argument of its own")
        is_array = not isinstance(value, Tensor) and is_operand(value) and hasattr(value, "shape")
        if not is_array and type(value).__hash__ is None:
            raise FusionError(f"{what}; expected tensors, numbers and what can be hashed, such as a tuple")
        values.append(wrap(value) if is_array else value)
    return tuple(values)


def run(op: Fused, arguments: tuple[Any, ...]) -> Any:
    """``op`` on Tensors, numbers, and whatever else it takes; recorded if gradients can flow."""
    for value in arguments:
        if not isinstance(value, Tensor) and (inline := getattr(type(value), "_inline", None)) is not None:
            return inline(op, arguments)  # a symbol: another function is traced
    found, arguments = known(op, arguments)
    operands = [arguments[i] for i in found.of]
    return compute(found, operands, [value.array if isinstance(value, Tensor) else value for value in operands])


def known(op: Fused, arguments: tuple[Any, ...]) -> tuple[Traced, tuple[Any, ...]]:
    """What ``op`` is for ``arguments``, and these with Tensors in place of arrays."""
    try:
        found = op.traces.get(key := key_of(op, arguments))
    except TypeError:  # an array, or something else that cannot be hashed
        found = None
    if found is None:
        arguments = checked(op, arguments)
        found = traced(op, arguments, tuple(modes.grad and getattr(v, "_node", None) is not None for v in arguments))
        op.traces[key_of(op, arguments)] = found
        if len(op.traces) > MAX_TRACES:
            op.traces.popitem(last=False)
    else:
        op.traces.move_to_end(key)
    return found, arguments


def compute(found: Traced, operands: list[Any], raw: list[Any]) -> Any:
    """The results of a traced function; ``raw`` are the arrays of the operands."""
    type_ = found.results[0][0]
    if found.moved:
        there = [TABLE.to(v, type_=type_.with_dtype(v.dtype)) if isinstance(v, Tensor) else v for v in operands]
        raw = [value.array if isinstance(value, Tensor) else value for value in there]
    if type_.backend is _numpy:
        made = forward(found, raw)
    else:
        with type_.backend.Scope(type_.device):
            made = forward(found, raw)
    return found.finish(operands, raw, made)


def forward(found: Traced, raw: list[Any]) -> list[Any]:
    """Run the program; to ``raw`` is added what is drawn."""
    if found.drawn:
        raw += draw(found.drawn, raw)
    values = raw
    if found.views:
        values = [v if view is None else view.on(v) for v, view in zip(raw, found.views, strict=True)]
    return found.forward.run(values)


def draw(drawn: tuple[Drawn, ...], raw: list[Any]) -> list[Any]:
    """The values of the operands that are ``drawn``."""
    values: list[Any] = []
    seeds: list[int] = []
    for wanted in drawn:
        stream = stream_of(None, wanted.type.device)
        if wanted.keep is None:
            seeds = seeds or list(stream.next_draw())
            values.append(seeds.pop(0))
            continue

        def make(shape: tuple[int, ...], wanted: Drawn = wanted, stream: Any = stream) -> Any:
            return stream.bernoulli_scalar(shape, wanted.keep, wanted.type.dtype)

        like = None if wanted.like is None else raw[wanted.like]
        values.append(make(wanted.shape) if like is None or like.shape != wanted.shape else arranged(like, make))
    return values


Fused.run = run

Function = TypeVar("Function", bound=Callable[..., Any])


def fuse(function: Function) -> Function:
    """Make a function of tensors and numbers one differentiable operation, fused forward and backward.

    It may use elementwise operations, and reductions over the last axes or over all elements. On a CUDA device it
    then is one kernel forward and one or two backward, on the CPU it runs on tiles that fit the cache. Only
    operands and reduced values are kept for the gradient, which is derived; it has all orders. Special values are as
    unfused: 0 goes back to what ``where`` did not choose, and 0 · inf is nan (``elementwise`` has none there).

    The function is called with symbols, once for each kind of arguments: the shapes and dtypes of tensors, and
    the values of what is neither a tensor nor a float. Floats may change from call to call, unless its control
    flow depends on them; numbers from outside of the function are read once, and tensors from outside are
    refused. FusionError names the line that cannot be fused. ``f.__wrapped__`` is the function itself.

    >>> import autograd_gpu as ag
    >>> @ag.fuse
    ... def rms_norm(x, weight, eps=1e-6):
    ...     return x * ag.rsqrt((x * x).mean(-1, keepdim=True) + eps) * weight
    >>> x = ag.tensor([[3.0, 4.0]], requires_grad=True)
    >>> rms_norm(x, ag.tensor([1.0, 1.0]))
    tensor([[0.8485, 1.1314]], grad_fn=<RmsNormBackward0>)
    """
    op = Fused(function.__name__.strip("<>"), function)

    def fused(*args: Any, **kwargs: Any) -> Any:
        return op(*args, **kwargs)

    return update_wrapper(fused, function)  # type: ignore[return-value]
