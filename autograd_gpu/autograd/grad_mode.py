"""What is recorded: the switches of a thread, as context managers, decorators and functions."""

import functools
import inspect
from collections.abc import Callable, Generator
from typing import Any

from ..modes import modes

State = tuple[bool, bool]  # whether operations are recorded; whether new tensors are inference tensors


def is_grad_enabled() -> bool:
    """Whether this thread records operations on tensors that require grad."""
    return modes.grad


def is_inference_mode_enabled() -> bool:
    """Whether tensors that this thread makes now can never be recorded."""
    return modes.inference


def _state() -> State:
    return modes.grad, modes.inference


def _set(state: State) -> None:
    modes.grad, modes.inference = state


def _function_inside(switch: "Switch", function: Callable[..., Any]) -> Callable[..., Any]:
    """``function`` running with ``switch`` on."""

    @functools.wraps(function)
    def inside(*args: Any, **kwargs: Any) -> Any:
        with switch.clone():
            return function(*args, **kwargs)

    return inside


def _generator_inside(switch: "Switch", function: Callable[..., Any]) -> Callable[..., Any]:
    """A generator function whose own lines run with ``switch`` on; the lines that iterate over it do not."""

    @functools.wraps(function)
    def inside(*args: Any, **kwargs: Any) -> Generator[Any, Any, Any]:
        generator = function(*args, **kwargs)
        resume, value = generator.send, None
        while True:
            try:
                with switch.clone():
                    item = resume(value)
            except StopIteration as stop:
                return stop.value
            try:
                resume, value = generator.send, (yield item)
            except GeneratorExit:
                with switch.clone():
                    generator.close()
                raise
            except BaseException as error:  # noqa: BLE001  it is the generator's to handle
                resume, value = generator.throw, error

    return inside


class Switch:
    """Base of the context managers below. As a decorator it works on functions and on generators."""

    _previous: State

    def goal(self) -> State:
        """The state to be in."""
        raise NotImplementedError

    def clone(self) -> "Switch":
        """A switch like this one: each call of a decorated function uses its own."""
        return type(self)()

    def __enter__(self) -> None:
        self._previous = _state()
        _set(self.goal())

    def __exit__(self, *_: object) -> None:
        _set(self._previous)

    def __call__(self, function: Callable[..., Any]) -> Callable[..., Any]:
        if inspect.isgeneratorfunction(function):
            return _generator_inside(self, function)
        return _function_inside(self, function)


class _Plain(Switch):
    """A switch without arguments: ``@no_grad`` decorates as well as ``@no_grad()``."""

    def __new__(cls, function: Callable[..., Any] | None = None) -> Any:
        return super().__new__(cls) if function is None else cls()(function)


class no_grad(_Plain):  # noqa: N801  torch's name
    """Nothing is recorded: results do not require grad. For this thread; also a decorator.

    >>> import autograd_gpu as torch
    >>> x = torch.tensor([1.0], requires_grad=True)
    >>> with torch.no_grad():
    ...     y = x * 2
    >>> y.requires_grad
    False
    """

    def goal(self) -> State:
        return False, modes.inference


class enable_grad(_Plain):  # noqa: N801  torch's name
    """Operations are recorded, inside ``no_grad`` too. For this thread; also a decorator."""

    def goal(self) -> State:
        return True, modes.inference


class set_grad_enabled(Switch):  # noqa: N801  torch's name
    """Record operations, or do not, from now on; as a context manager, while it lasts. Also a decorator."""

    def __init__(self, mode: bool) -> None:
        self.mode = mode
        self._previous = _state()
        _set(self.goal())

    def goal(self) -> State:
        return bool(self.mode), modes.inference

    def clone(self) -> "set_grad_enabled":
        return set_grad_enabled(self.mode)

    def __enter__(self) -> None:
        _set(self.goal())  # what was before is known since __init__

    def __call__(self, function: Callable[..., Any]) -> Callable[..., Any]:
        _set(self._previous)  # decorating switches nothing
        return super().__call__(function)


class inference_mode(Switch):  # noqa: N801  torch's name
    """Nothing is recorded, and tensors made here never can be. For this thread; also a decorator.

    >>> import autograd_gpu as torch
    >>> with torch.inference_mode():
    ...     y = torch.tensor([1.0])
    >>> y.is_inference()
    True
    """

    def __new__(cls, mode: bool | Callable[..., Any] = True) -> Any:
        return cls()(mode) if callable(mode) else super().__new__(cls)

    def __init__(self, mode: bool = True) -> None:
        self.mode = mode

    def goal(self) -> State:
        return not self.mode, self.mode

    def clone(self) -> "inference_mode":
        return inference_mode(self.mode)
