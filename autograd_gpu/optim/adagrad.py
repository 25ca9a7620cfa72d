"""Adagrad."""

from collections.abc import Iterable
from functools import cache
from typing import Any

from ..fusion.update import Update
from ..op import TABLE
from ..tensor import Tensor
from .fused import Fused, check_number, check_options
from .optimizer import Group


@cache
def rule(decaying: bool, maximize: bool) -> Update:
    """The formula with weight decay."""

    def adagrad(grad: Any, param: Any, sum: Any, *, lr: Any, eps: Any, weight_decay: Any) -> tuple[Any, ...]:
        grad = -grad if maximize else grad
        if decaying:
            grad = grad + weight_decay * param
        sum = sum + grad * grad
        return param - lr * grad / (TABLE.sqrt(sum) + eps), sum

    return Update("adagrad", adagrad, 3)


class Adagrad(Fused):
    """``param -= lr * grad / (sqrt(sum) + eps)`` by the sum of all squares of gradients so far.

    ``sum`` starts at ``initial_accumulator_value``; ``lr`` is divided by ``1 + steps * lr_decay``.
    ``weight_decay * param`` is added to ``grad``, which ``maximize`` negates. Raises: ValueError for options
    out of range. Source: torch.optim.Adagrad; Duchi et al. 2011.

    >>> import autograd_gpu as torch
    >>> x = torch.tensor([1.0], requires_grad=True)
    >>> x.grad = torch.tensor([2.0])
    >>> Adagrad([x], lr=0.25).step()
    >>> x
    tensor([0.7500], requires_grad=True)
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: Any = 1e-2,
        lr_decay: float = 0,
        weight_decay: float = 0,
        initial_accumulator_value: float = 0,
        eps: float = 1e-10,
        foreach: bool | None = None,
        *,
        maximize: bool = False,
        differentiable: bool = False,
        fused: bool | None = None,
    ) -> None:
        check_number("lr", lr)
        check_options({
            "learning rate": lr, "lr_decay value": lr_decay, "weight_decay value": weight_decay,
            "initial_accumulator_value value": initial_accumulator_value, "epsilon value": eps,
        })  # fmt: skip
        defaults = {
            "lr": lr, "lr_decay": lr_decay, "eps": eps, "weight_decay": weight_decay,
            "initial_accumulator_value": initial_accumulator_value, "foreach": foreach, "maximize": maximize,
            "differentiable": differentiable, "fused": fused,
        }  # fmt: skip
        super().__init__(params, defaults)
        for group in self.param_groups:
            for param in group["params"]:
                self.state[param] = self._fresh(group, param)

    def _keeps(self, group: Group) -> dict[str, complex]:
        return {"sum": group["initial_accumulator_value"]}

    def _fresh(self, group: Group, param: Tensor) -> dict[str, Any]:
        if param.dtype.is_complex:  # whose parts are optimized as real numbers
            value = group["initial_accumulator_value"]
            group = {**group, "initial_accumulator_value": complex(value, value)}
        return super()._fresh(group, param)

    def _update(self, group: Group) -> Update:
        return rule(group["weight_decay"] != 0, group["maximize"])

    def _numbers(self, group: Group, steps: float) -> dict[str, float]:
        return {
            "lr": float(group["lr"]) / (1 + steps * float(group["lr_decay"])),
            "eps": float(group["eps"]),
            "weight_decay": float(group["weight_decay"]),
        }
