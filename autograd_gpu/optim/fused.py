"""Optimizers whose step is one formula, which updates all parameters that share options and dtype in one pass."""

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from ..autograd.grad_mode import enable_grad
from ..creation import full_like
from ..dtypes import float32, float64, get_default_dtype
from ..errors import DeviceError, GraphError, ShapeError, Unsupported
from ..fusion.update import Fixed, Update
from ..modes import modes
from ..tensor import Tensor, user_line, wrap
from ..writes import check_memory, check_writable
from .optimizer import Group, Optimizer

WHY_NOT = {
    "capturable": "the number of steps is kept on the host",
    "differentiable": "a step is not recorded; write it with operations on Tensors",
}


class Kept:
    """A parameter and what is kept for it, and their arrays, which a step updates."""

    __slots__ = ("arrays", "fixed", "names", "param", "state", "tensors")

    def __init__(self, param: Tensor, state: dict[str, Any], names: tuple[str, ...]) -> None:
        self.param, self.state, self.names = param, state, names
        self.tensors: list[Any] = [param, *(state[name] for name in names)]
        for name, tensor in zip(names, self.tensors[1:], strict=True):
            check_fits(param, name, tensor)
        check_memory(param.array)
        self.arrays = [tensor.array for tensor in self.tensors]
        self.fixed = Fixed(param._type, self.arrays)

    def is_current(self, state: dict[str, Any] | None, names: tuple[str, ...]) -> bool:
        """Whether all is where it was."""
        if names != self.names or state is not (self.state or None) or self.param.array is not self.arrays[0]:
            return False
        for i, name in enumerate(names, 1):
            tensor = self.tensors[i]
            if tensor.array is not self.arrays[i] or self.state.get(name) is not tensor:
                return False
        return True


class Fused(Optimizer):
    """Base of the optimizers here: a subclass says which formula a group has, its numbers, and what it keeps."""

    counts = True  # whether its state has the number of steps

    def __init__(self, params: Iterable[Any], defaults: dict[str, Any]) -> None:
        self._kept: dict[int, Kept] = {}  # by the id of the parameter
        super().__init__(params, defaults)
        if defaults.get("fused") and defaults.get("foreach"):
            raise RuntimeError("`fused` and `foreach` cannot be `True` together.")

    def add_param_group(self, param_group: Group) -> None:
        super().add_param_group(param_group)
        for option, reason in WHY_NOT.items():
            if param_group.get(option):
                self.param_groups.pop()
                raise Unsupported(
                    f"{type(self).__name__}({option}=True) is not part of autograd_gpu: {reason}; leave it False"
                )

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        self._kept = {}
        for group in self.param_groups:
            for option, default in self.defaults.items():
                group.setdefault(option, default)
        for kept in self.state.values():
            if "step" in kept and not isinstance(kept["step"], Tensor):  # as PyTorch once wrote it
                kept["step"] = new_count(kept["step"])

    def _keeps(self, group: Group) -> dict[str, complex]:
        """What is kept for each parameter, besides the number of steps, and what it is filled with at first."""
        raise NotImplementedError

    def _update(self, group: Group) -> Update:
        """The formula, of the gradient, the parameter and what is kept."""
        raise NotImplementedError

    def _numbers(self, group: Group, steps: float) -> dict[str, float]:
        """The numbers in the formula after ``steps`` steps (or 1 for any number of them)."""
        raise NotImplementedError

    def _fresh(self, group: Group, param: Tensor) -> dict[str, Any]:
        """The state of ``param`` before its first step."""
        kept = {name: full_like(param, value) for name, value in self._keeps(group).items()}
        return {"step": new_count(0), **kept} if self.counts else kept

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Update all parameters that have a gradient once; ``closure`` computes the loss, and its gradients, anew.

        On a CUDA device this is one launch for all parameters with the same options, dtype and number of steps,
        without waiting for the device. It counts as a write to the parameters. Nothing is written if it raises.
        """
        loss = None
        if closure is not None:
            with enable_grad():
                loss = closure()
        before, modes.grad = modes.grad, False
        try:
            rounds = [(group, unrepeated(group["params"])) for group in self.param_groups]
            for i in range(max(len(lists) for _, lists in rounds)):
                self._step([(group, lists[i]) for group, lists in rounds if i < len(lists)])
        finally:
            modes.grad = before
        return loss

    def _step(self, groups: list[tuple[Group, list[Tensor]]]) -> None:
        stepped: list[tuple[Kept, float]] = []
        entered: list[Kept] = []
        work: dict[tuple[Any, ...], tuple[dict[str, float], list[tuple[Any, Fixed]]]] = {}
        for group, params in groups:
            names, update = tuple(self._keeps(group)), self._update(group)
            parts: dict[tuple[Any, float], list[tuple[Any, Fixed]]] = {}
            for param in params:
                if (grad := param._grad) is None:
                    continue
                state = self.state.get(param)
                kept = self._kept.get(id(param))
                if kept is None or not kept.is_current(state, names):
                    kept = self._enter(group, param, state or {}, names)
                    entered.append(kept)
                if grad._type is not param._type or grad._shape != param._shape:
                    check_fits(param, "grad", grad)
                check_writable(param)
                steps = kept.state["step"].array.item() if self.counts else float(kept.state is state)
                stepped.append((kept, steps))
                parts.setdefault((param._type, steps), []).append((grad.array, kept.fixed))
            for (type_, steps), tensors in parts.items():
                numbers = self._numbers(group, steps)
                work.setdefault((update, type_, *numbers.values()), (numbers, []))[1].extend(tensors)
        updates = [update.prepare(type_, tensors, numbers) for (update, type_, *_), (numbers, tensors) in work.items()]
        for run in updates:
            run()
        line = user_line()
        for kept, steps in stepped:
            for tensor in kept.tensors:
                tensor._counter.bump()
            version = kept.param._counter
            version.writer, version.operation = line, ""
            if self.counts:
                kept.state["step"].array[...] = steps + 1
        for kept in entered:
            self._kept[id(kept.param)] = kept
            if kept.state:
                self.state[kept.param] = kept.state

    def _enter(self, group: Group, param: Tensor, state: dict[str, Any], names: tuple[str, ...]) -> Kept:
        """What a step needs of a parameter that is new, or of which something has moved; its state may be a new one."""
        if any(state.get(name) is None for name in names) or (self.counts and "step" not in state):
            state = {**self._fresh(group, param), **{name: value for name, value in state.items() if value is not None}}
        return Kept(param, state, names)


def unrepeated(params: list[Tensor]) -> list[list[Tensor]]:
    """``params`` as lists in which none is twice: what is there twice, is updated twice."""
    if len(set(map(id, params))) == len(params):
        return [params]
    first = list({id(param): param for param in params}.values())
    rest = list(params)
    for param in first:
        rest.pop(next(i for i, other in enumerate(rest) if other is param))
    return [first, *unrepeated(rest)]


def new_count(steps: float) -> Tensor:
    """A number of steps as PyTorch keeps it: a 0-d tensor on the host."""
    return wrap(np.array(steps, (float64 if get_default_dtype() is float64 else float32).numpy))


def check_fits(param: Tensor, name: str, tensor: Tensor) -> None:
    """Raise unless ``tensor`` is like ``param``, to which it belongs."""
    if tensor._type is not param._type:
        kind = GraphError if tensor.device is param.device else DeviceError
        raise kind(
            f"{name} is of {tensor.dtype} on {tensor.device}, but its parameter of {param.dtype} on {param.device}; "
            "move parameters before the optimizer is made, or load its state_dict() again"
        )
    if tensor._shape != param._shape:
        raise ShapeError(f"{name} has size {list(tensor._shape)}, but its parameter {list(param._shape)}")


def check_options(options: dict[str, Any]) -> None:
    """Raise ValueError for a negative one of ``options``, named as in PyTorch's messages."""
    for name, value in options.items():
        if not value >= 0.0:  # nan is no such number
            raise ValueError(f"Invalid {name}: {value}")


def check_number(name: str, value: Any) -> None:
    """Raise if ``value``, where it is a Tensor, has not one element or would have to be fetched from a device."""
    if isinstance(value, Tensor):
        if value.numel() != 1:
            raise ValueError(f"Tensor {name} must be 1-element")
        if value.device.type != "cpu":
            raise Unsupported(
                f"{name} on {value.device} is not part of autograd_gpu: each step would wait for the device; "
                "pass a number or a tensor on the CPU"
            )
