"""Stochastic gradient descent."""

from collections.abc import Iterable
from functools import cache
from typing import Any

from ..fusion.update import Update
from .fused import Fused, check_number, check_options
from .optimizer import Group


@cache
def rule(moving: bool, damped: bool, nesterov: bool, decaying: bool, maximize: bool) -> Update:
    """The formula with momentum, with dampening, with weight decay; ``rest`` is ``1 - dampening``."""

    def sgd(
        grad: Any, param: Any, *buffer: Any, lr: Any, weight_decay: Any, momentum: Any, rest: Any, ahead: Any
    ) -> tuple[Any, ...]:
        grad = -grad if maximize else grad
        if decaying:
            grad = grad + weight_decay * param
        if not moving:
            return (param - lr * grad,)
        velocity = momentum * buffer[0] + (rest * grad if damped else grad)
        return param - lr * (grad + ahead * velocity if nesterov else velocity), velocity

    return Update("sgd", sgd, 2 + moving)


class SGD(Fused):
    """``param -= lr * grad``, with momentum and weight decay.

    ``buffer = momentum * buffer + (1 - dampening) * grad`` takes the place of ``grad`` (at the first step it
    is ``grad``), with ``nesterov`` ``grad + momentum * buffer`` does. ``weight_decay * param`` is added to
    ``grad``, which ``maximize`` negates. Raises: ValueError for options out of range.
    Source: torch.optim.SGD; Sutskever et al. 2013.

    >>> import autograd_gpu as torch
    >>> x = torch.tensor([1.0], requires_grad=True)
    >>> x.grad = torch.tensor([2.0])
    >>> SGD([x], lr=0.25, momentum=0.9).step()
    >>> x
    tensor([0.5000], requires_grad=True)
    """

    counts = False

    def __init__(
        self,
        params: Iterable[Any],
        lr: Any = 1e-3,
        momentum: float = 0,
        dampening: float = 0,
        weight_decay: float = 0,
        nesterov: bool = False,
        *,
        maximize: bool = False,
        foreach: bool | None = None,
        differentiable: bool = False,
        fused: bool | None = None,
    ) -> None:
        check_number("lr", lr)
        check_options({"learning rate": lr, "momentum value": momentum, "weight_decay value": weight_decay})
        if nesterov and (momentum <= 0 or dampening != 0):
            raise ValueError("Nesterov momentum requires a momentum and zero dampening")
        defaults = {
            "lr": lr, "momentum": momentum, "dampening": dampening, "weight_decay": weight_decay,
            "nesterov": nesterov, "maximize": maximize, "foreach": foreach, "differentiable": differentiable,
            "fused": fused,
        }  # fmt: skip
        super().__init__(params, defaults)

    def _keeps(self, group: Group) -> dict[str, complex]:
        return {"momentum_buffer": 0} if group["momentum"] != 0 else {}

    def _update(self, group: Group) -> Update:
        damped, decaying = group["dampening"] != 0, group["weight_decay"] != 0
        return rule(group["momentum"] != 0, damped, group["nesterov"], decaying, group["maximize"])

    def _numbers(self, group: Group, steps: float) -> dict[str, float]:
        momentum, dampening = float(group["momentum"]), float(group["dampening"])
        return {
            "lr": float(group["lr"]),
            "weight_decay": float(group["weight_decay"]),
            "momentum": momentum,
            "rest": 1 - dampening if steps else 1.0,  # the buffer is 0 before the first step
            "ahead": momentum,
        }
