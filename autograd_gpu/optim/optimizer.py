"""What all optimizers share: parameter groups, state, and the form in which both are saved."""

import warnings
from collections import defaultdict
from collections.abc import Callable, Iterable
from copy import deepcopy
from itertools import chain
from typing import Any

from ..autograd.grad_mode import no_grad
from ..conversion import type_name
from ..tensor import Tensor

Group = dict[str, Any]


class _Required:
    """Stands in ``defaults`` for an option that each group has to give."""

    def __repr__(self) -> str:
        return "<required parameter>"


required = _Required()


class Optimizer:
    """Base of all optimizers: ``params`` are Tensors, ``(name, Tensor)`` pairs, or dicts with options of their own.

    ``defaults`` are the options of groups that do not give them. A subclass of your own writes ``step``; what it
    keeps for a parameter belongs into ``self.state[p]``. Source: torch.optim.Optimizer.
    """

    def __init__(self, params: Iterable[Any], defaults: dict[str, Any]) -> None:
        if isinstance(params, Tensor):
            raise TypeError(
                "params argument given to the optimizer should be an iterable of Tensors or dicts, but got "
                f"{type_name(params)}"
            )
        self.defaults = defaults
        self.state: defaultdict[Any, Any] = defaultdict(dict)
        self.param_groups: list[Group] = []
        groups = list(params)
        if not groups:
            raise ValueError("optimizer got an empty parameter list")
        if not isinstance(groups[0], dict):
            groups = [{"params": groups}]
        for group in groups:
            self.add_param_group(group)

    def __getstate__(self) -> dict[str, Any]:
        return {"defaults": self.defaults, "state": self.state, "param_groups": self.param_groups}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)

    def __repr__(self) -> str:
        text = f"{type(self).__name__} ("
        for i, group in enumerate(self.param_groups):
            text += f"\nParameter Group {i}\n"
            text += "".join(f"    {key}: {group[key]}\n" for key in sorted(group) if key != "params")
        return f"{text})"

    def add_param_group(self, param_group: Group) -> None:
        """Optimize more parameters: a dict of ``params`` and of options that differ from the defaults."""
        if not isinstance(param_group, dict):
            raise TypeError(f"param_group must be a dict, but got {type(param_group)}")
        params = param_group["params"]
        if isinstance(params, set):
            raise TypeError(
                "optimizer parameters need to be organized in ordered collections, but the ordering of tensors in "
                "sets will change between runs. Please use a list instead."
            )
        params = [params] if isinstance(params, Tensor) else list(params)
        names = [param[0] for param in params if isinstance(param, tuple)]
        if names and len(names) != len(params):
            raise ValueError("all optimizer params should be with/without names. Some param names are missing")
        param_group["params"] = params = [param[1] for param in params] if names else params
        if names:
            param_group["param_names"] = names
        for param in params:
            self._check(param)
        for name, default in self.defaults.items():
            if default is required and name not in param_group:
                raise ValueError(f"parameter group didn't specify a value of required optimization parameter {name}")
            param_group.setdefault(name, default)
        if len(params) != len(set(params)):
            warnings.warn(
                "optimizer contains a parameter group with duplicate parameters; in future, this will cause an "
                "error; see github.com/pytorch/pytorch/issues/40967 for more information",
                stacklevel=3,
            )
        for group in self.param_groups:
            if ("param_names" in param_group) != ("param_names" in group):
                raise ValueError(
                    "all optimizer param groups should be with/without names. cannot add param group "
                    f"{'with' if names else 'without'} names to the optimizer"
                )
        if not set(params).isdisjoint(chain.from_iterable(group["params"] for group in self.param_groups)):
            raise ValueError("some parameters appear in more than one parameter group")
        self.param_groups.append(param_group)

    @staticmethod
    def _check(param: Any) -> None:
        """Raise unless ``param`` is what can be optimized."""
        if not isinstance(param, Tensor):
            kind = type(param)
            name = kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"
            raise TypeError(f"optimizer can only optimize Tensors, but one of the params is {name}")
        if not (param.is_leaf or param.retains_grad):
            raise ValueError("can't optimize a non-leaf Tensor")

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the gradients of all parameters, or with ``set_to_none=False`` fill them with 0."""
        for param in chain.from_iterable(group["params"] for group in self.param_groups):
            if param._grad is None:
                continue
            if set_to_none:
                param.grad = None
                continue
            if param._grad.grad_fn is not None:
                param._grad.detach_()
            else:
                param._grad.requires_grad_(False)
            param._grad.zero_()

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Update all parameters once; ``closure`` computes the loss, and its gradients, anew."""
        raise NotImplementedError(f"{type(self).__name__} has no step(); a subclass of Optimizer writes it")

    def state_dict(self) -> dict[str, Any]:
        """The state and the options as a dict, in which a number stands for each parameter."""
        number: dict[int, int] = {}
        start = 0
        groups = []
        for group in self.param_groups:
            places = enumerate(group["params"], start)
            number.update({id(param): i for i, param in places if id(param) not in number})
            start += len(group["params"])
            packed = {key: value for key, value in group.items() if key != "params"}
            groups.append({**packed, "params": [number[id(param)] for param in group["params"]]})
        state = {number[id(key)] if isinstance(key, Tensor) else key: value for key, value in self.state.items()}
        return {"state": state, "param_groups": groups}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over what ``state_dict`` gave, here or in PyTorch; tensors are copied to the parameters' devices.

        Raises: ValueError if its groups are not as many, or not as long, as this optimizer's.
        """
        loaded = deepcopy(state_dict["param_groups"])
        if len(self.param_groups) != len(loaded):
            raise ValueError("loaded state dict has a different number of parameter groups")
        pairs = list(zip(self.param_groups, loaded, strict=True))
        if any(len(mine["params"]) != len(other["params"]) for mine, other in pairs):
            raise ValueError(
                "loaded state dict contains a parameter group that doesn't match the size of optimizer's group"
            )
        param_of = {
            number: param
            for mine, other in pairs
            for number, param in zip(other["params"], mine["params"], strict=True)
        }
        state: defaultdict[Any, Any] = defaultdict(dict)
        with no_grad():
            for key, value in state_dict["state"].items():
                param = param_of.get(key)
                state[key if param is None else param] = value if param is None else _placed(value, param)
        for mine, other in pairs:
            other["params"] = mine["params"]
            if "param_names" in mine:
                other.setdefault("param_names", mine["param_names"])
        self.__setstate__({"state": state, "param_groups": loaded})


def _placed(value: Any, param: Tensor, key: Any = None) -> Any:
    """A copy of a part of the state of ``param`` where that lives and in its dtype; ``step`` stays on the host."""
    if isinstance(value, Tensor):
        if key == "step":
            return value.to("cpu", copy=True)
        return value.to(param.device, param.dtype if param.dtype.is_floating_point else value.dtype, copy=True)
    if isinstance(value, dict):
        return {name: _placed(item, param, name) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(_placed(item, param) for item in value)
    return value
