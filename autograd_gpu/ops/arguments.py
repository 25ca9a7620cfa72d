"""What users may pass: NumPy's names for arguments, as torch takes them, and lists of tensors."""

from collections.abc import Callable
from functools import wraps
from typing import Any

import numpy as np

from ..shapes import size_args


def is_tensor(value: Any) -> bool:
    """Whether operations know ``value`` as a Tensor."""
    return value.__class__ is not np.ndarray and hasattr(value, "_apply_op")  # to find none takes long


def numpy_names(function: Callable[..., Any]) -> Callable[..., Any]:
    """``function`` of a tensor, whose ``dim`` and ``keepdim`` may be called ``axis`` and ``keepdims``."""

    @wraps(function)
    def named(input: Any, *args: Any, **kwargs: Any) -> Any:
        if kwargs:
            for theirs, ours in (("axis", "dim"), ("keepdims", "keepdim")):
                if theirs in kwargs:
                    kwargs.setdefault(ours, kwargs.pop(theirs))
        if not is_tensor(input):
            raise TypeError(
                f"{function.__name__}(): argument 'input' (position 1) must be Tensor, not {type(input).__name__}"
            )
        return function(input, *args, **kwargs)

    return named


def one_or_many(name: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Let ``f(x, 2, 3)``, ``f(x, (2, 3))`` and ``f(x, name=(2, 3))`` mean the same: a tuple for ``f``."""

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(function)
        def called(input: Any, *values: Any, **named: Any) -> Any:
            if name in named and not values:
                values = (named.pop(name),)
            if named:
                raise TypeError(f"{function.__name__}() got an unexpected keyword argument {next(iter(named))!r}")
            if not values:
                raise TypeError(f'{function.__name__}() missing 1 required positional arguments: "{name}"')
            return function(input, size_args(values))

        return called

    return decorate


def tensor_list(name: str, tensors: Any) -> tuple[Any, ...]:
    """``tensors``, the first argument of ``name``, as a tuple; TypeError if they are no Tensors."""
    if not isinstance(tensors, list | tuple):
        raise TypeError(
            f"{name}(): argument 'tensors' (position 1) must be tuple of Tensors, not {type(tensors).__name__}"
        )
    for i, tensor in enumerate(tensors):
        if not is_tensor(tensor):
            raise TypeError(f"expected Tensor as element {i} in argument 0, but got {type(tensor).__name__}")
    return tuple(tensors)
