"""RMSprop."""

from collections.abc import Iterable
from functools import cache
from typing import Any

from ..fusion.update import Update
from ..op import TABLE
from .fused import Fused, check_number, check_options
from .optimizer import Group


@cache
def rule(moving: bool, centered: bool, decaying: bool, maximize: bool) -> Update:
    """The formula with momentum, with weight decay; ``rest`` is ``1 - alpha``."""

    def rmsprop(
        grad: Any, param: Any, square_avg: Any, *kept: Any,
        lr: Any, alpha: Any, rest: Any, eps: Any, weight_decay: Any, momentum: Any,
    ) -> tuple[Any, ...]:  # fmt: skip
        new: list[Any] = []
        grad = -grad if maximize else grad
        if decaying:
            grad = grad + weight_decay * param
        square_avg = variance = alpha * square_avg + rest * grad * grad
        if centered:
            mean = kept[-1] + rest * (grad - kept[-1])
            variance = square_avg - mean * mean
            new.append(mean)
        change = grad / (TABLE.sqrt(variance) + eps)
        if moving:
            change = momentum * kept[0] + change
            new.insert(0, change)
        return param - lr * change, square_avg, *new

    return Update("rmsprop", rmsprop, 3 + moving + centered)


class RMSprop(Fused):
    """``param -= lr * grad / (sqrt(square_avg) + eps)``, with momentum and weight decay.

    ``square_avg = alpha * square_avg + (1 - alpha) * grad**2``; ``centered`` takes the square of a running mean
    of ``grad`` off it. With ``momentum``, ``buffer = momentum * buffer + grad / (sqrt(...) + eps)`` is what
    ``lr`` is multiplied by. ``weight_decay * param`` is added to ``grad``, which ``maximize`` negates.
    Raises: ValueError for options out of range. Source: torch.optim.RMSprop; Hinton 2012; Graves 2013.

    >>> import autograd_gpu as torch
    >>> x = torch.tensor([1.0], requires_grad=True)
    >>> x.grad = torch.tensor([2.0])
    >>> RMSprop([x], lr=0.25, alpha=0.75).step()
    >>> x
    tensor([0.5000], requires_grad=True)
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: Any = 1e-2,
        alpha: float = 0.99,
        eps: float = 1e-8,
        weight_decay: float = 0,
        momentum: float = 0,
        centered: bool = False,
        capturable: bool = False,
        foreach: bool | None = None,
        maximize: bool = False,
        differentiable: bool = False,
    ) -> None:
        check_number("lr", lr)
        check_options({
            "learning rate": lr, "epsilon value": eps, "momentum value": momentum,
            "weight_decay value": weight_decay, "alpha value": alpha,
        })  # fmt: skip
        defaults = {
            "lr": lr, "momentum": momentum, "alpha": alpha, "eps": eps, "centered": centered,
            "weight_decay": weight_decay, "capturable": capturable, "foreach": foreach, "maximize": maximize,
            "differentiable": differentiable,
        }  # fmt: skip
        super().__init__(params, defaults)

    def _keeps(self, group: Group) -> dict[str, complex]:
        wanted = {"square_avg": True, "momentum_buffer": group["momentum"] > 0, "grad_avg": group["centered"]}
        return {name: 0 for name, is_wanted in wanted.items() if is_wanted}

    def _update(self, group: Group) -> Update:
        return rule(group["momentum"] > 0, group["centered"], group["weight_decay"] != 0, group["maximize"])

    def _numbers(self, group: Group, steps: float) -> dict[str, float]:
        alpha = float(group["alpha"])
        return {
            "lr": float(group["lr"]),
            "alpha": alpha,
            "rest": 1 - alpha,
            "eps": float(group["eps"]),
            "weight_decay": float(group["weight_decay"]),
            "momentum": float(group["momentum"]),
        }
