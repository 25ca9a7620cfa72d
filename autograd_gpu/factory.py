"""What all functions that make tensors share: ``dtype= device= requires_grad= out= layout= pin_memory=``."""

import inspect
from collections.abc import Callable
from functools import wraps
from operator import index
from typing import Any

from . import backends, dtypes
from .devices import chosen
from .devices import device as Device
from .dtypes import FLOAT, get_default_dtype
from .dtypes import dtype as Dtype
from .errors import GraphError, ShapeError
from .layouts import strided
from .tensor import Tensor, wrap
from .writes import write_out

_OF_PYTHON = {float: dtypes.float64, int: dtypes.int64, bool: dtypes.bool_, complex: dtypes.complex128}


def as_dtype(value: Any, function: str) -> Dtype | None:
    """The dtype that an argument names: ours, or Python's ``float``, ``int``, ``bool``, ``complex``."""
    if value is None or isinstance(value, Dtype):
        return value
    if isinstance(value, type) and value in _OF_PYTHON:
        return _OF_PYTHON[value]
    found = type(value).__name__
    raise TypeError(f"{function}(): argument 'dtype' must be torch.dtype, not {found}")


def place(value: Any) -> Device:
    """The device that an argument names, the default one for None; MissingCuda if it is not there."""
    return backends.resolve(chosen.device if value is None else Device(value))


def backend_of(device: Device) -> Any:
    """The array library of ``device``."""
    return backends.type_for(dtypes.bool_, device).backend


def sizes(size: tuple[Any, ...], function: str) -> tuple[int, ...]:
    """``zeros(2, 3)`` and ``zeros((2, 3))`` mean the same: the sizes as a tuple of ints."""
    if len(size) == 1 and isinstance(size[0], tuple | list):
        (size,) = size
    for number in size:
        if isinstance(number, bool) or not hasattr(number, "__index__"):
            found = type(number).__name__
            raise TypeError(f"{function}(): argument 'size' (position 1) must be tuple of ints, not {found}")
    shape = tuple(map(index, size))
    for length in shape:
        if length < 0:
            raise ShapeError(f"Trying to create tensor with negative dimension {length}: {list(shape)}")
    return shape


def check_options(layout: Any, requires_grad: Any, function: str) -> None:
    """TypeError for options that are not of their kind."""
    if layout is not None and layout is not strided:
        raise TypeError(f"{function}(): argument 'layout' must be torch.strided, not {layout!r}")
    if not isinstance(requires_grad, bool):
        found = type(requires_grad).__name__
        raise TypeError(f"{function}(): argument 'requires_grad' must be bool, not {found}")


def finished(array: Any, *, requires_grad: bool = False, pin_memory: bool = False) -> Tensor:
    """A new leaf on ``array``."""
    if pin_memory:
        array = backends.cuda().pinned(array)
    tensor = wrap(array)
    if requires_grad:
        check_differentiable(tensor.dtype)
        tensor.requires_grad = True
    return tensor


def check_differentiable(dtype: Dtype) -> None:
    """Raise unless numbers of ``dtype`` have gradients."""
    if dtype.category < FLOAT:
        raise GraphError("Only Tensors of floating point and complex dtype can require gradients")


Maker = Callable[..., Any]


def factory(
    default: Callable[[], Dtype | None] = get_default_dtype,
) -> Callable[[Maker], Callable[..., Tensor]]:
    """Make of ``f(..., *, dtype, device)``, which returns an array, a function that takes torch's keywords.

    ``default()`` is the dtype where none is asked for.
    """

    def decorate(function: Maker) -> Callable[..., Tensor]:
        name = function.__name__

        @wraps(function)
        def make(
            *args: Any,
            out: Tensor | None = None,
            dtype: Any = None,
            layout: Any = None,
            device: Any = None,
            pin_memory: bool = False,
            requires_grad: bool = False,
            **kwargs: Any,
        ) -> Tensor:
            check_options(layout, requires_grad, name)
            if out is not None:
                dtype, device = dtype or out.dtype, device or out.device
            wanted, where = as_dtype(dtype, name) or default(), place(device)
            if requires_grad and wanted is not None:
                check_differentiable(wanted)
            with backend_of(where).Scope(where):
                array = function(*args, **kwargs, dtype=wanted, device=where)
            tensor = finished(array, requires_grad=requires_grad, pin_memory=pin_memory)
            return tensor if out is None else write_out(name, out, tensor)

        with_signature(make, function, hidden=("dtype", "device"))
        return make

    return decorate


def with_signature(make: Maker, function: Maker, hidden: tuple[str, ...]) -> None:
    """Let ``help(make)`` show its own arguments among those of ``function``, ``hidden`` ones left out."""
    variadic = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    own = inspect.signature(make, follow_wrapped=False).parameters.values()
    shown = [p for p in own if p.kind not in variadic]
    shown += [p for p in inspect.signature(function).parameters.values() if p.name not in hidden]
    make.__signature__ = inspect.Signature(sorted(shown, key=lambda p: p.kind))  # type: ignore[attr-defined]
