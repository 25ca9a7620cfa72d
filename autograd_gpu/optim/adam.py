"""Adam and AdamW."""

from collections.abc import Iterable
from functools import cache
from typing import Any

from ..fusion.update import Update
from ..op import TABLE
from ..tensor import Tensor
from .fused import Fused, check_number, check_options
from .optimizer import Group


@cache
def rule(amsgrad: bool, decaying: bool, decoupled: bool, maximize: bool) -> Update:
    """The formula with weight decay; ``rest1`` is ``1 - beta1``, and ``root`` that of ``1 - beta2**step``."""

    def adam(
        grad: Any, param: Any, exp_avg: Any, exp_avg_sq: Any, *largest: Any,
        step_size: Any, root: Any, eps: Any, decay: Any, rest1: Any, beta2: Any, rest2: Any,
    ) -> tuple[Any, ...]:  # fmt: skip
        grad = -grad if maximize else grad
        if decaying and decoupled:
            param = decay * param
        elif decaying:
            grad = grad + decay * param
        exp_avg = exp_avg + rest1 * (grad - exp_avg)
        exp_avg_sq = beta2 * exp_avg_sq + rest2 * grad * grad
        largest = tuple(TABLE.maximum(old, exp_avg_sq) for old in largest)
        (square,) = largest or (exp_avg_sq,)
        param = param - step_size * exp_avg / (TABLE.sqrt(square) / root + eps)
        return param, exp_avg, exp_avg_sq, *largest

    return Update("adam", adam, 4 + amsgrad)


def _check_betas(betas: Any, foreach: bool | None) -> None:
    for i, beta in enumerate(betas):
        if not 0.0 <= beta < 1.0:
            raise ValueError(f"Invalid beta parameter at index {i}: {beta}")
    if not any(all(isinstance(beta, kind) for beta in betas) for kind in (float, Tensor)):
        raise ValueError("betas must be either both floats or both Tensors")
    for i, beta in enumerate(betas):
        if isinstance(beta, Tensor) and foreach:
            raise ValueError(f"betas[{i}] as a Tensor is not supported for capturable=False and foreach=True")


class Adam(Fused):
    """``param -= lr * mean / (sqrt(square) + eps)`` by running means of the gradient and of its square.

    ``exp_avg = beta1 * exp_avg + (1 - beta1) * grad`` and ``exp_avg_sq = beta2 * exp_avg_sq + (1 - beta2) *
    grad**2`` start at 0, for which they are divided by ``1 - beta1**step`` and ``1 - beta2**step``. ``amsgrad``
    divides by the root of the largest ``exp_avg_sq`` so far. ``weight_decay * param`` is added to ``grad``,
    which ``maximize`` negates, or with ``decoupled_weight_decay`` lowers ``param`` by ``lr`` times itself.
    Raises: ValueError for options out of range. Source: torch.optim.Adam; Kingma and Ba 2015; Reddi et al. 2018.

    >>> import autograd_gpu as torch
    >>> x = torch.tensor([1.0], requires_grad=True)
    >>> x.grad = torch.tensor([20.0])
    >>> Adam([x], lr=0.25).step()
    >>> x
    tensor([0.7500], requires_grad=True)
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: Any = 1e-3,
        betas: tuple[Any, Any] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        amsgrad: bool = False,
        *,
        foreach: bool | None = None,
        maximize: bool = False,
        capturable: bool = False,
        differentiable: bool = False,
        fused: bool | None = None,
        decoupled_weight_decay: bool = False,
    ) -> None:
        if isinstance(lr, Tensor) and foreach:
            raise ValueError("lr as a Tensor is not supported for capturable=False and foreach=True")
        for name, number in ("lr", lr), ("betas[0]", betas[0]), ("betas[1]", betas[1]):
            check_number(name, number)
        check_options({"learning rate": lr, "epsilon value": eps})
        _check_betas(betas, foreach)
        check_options({"weight_decay value": weight_decay})
        defaults = {
            "lr": lr, "betas": tuple(betas), "eps": eps, "weight_decay": weight_decay, "amsgrad": amsgrad,
            "maximize": maximize, "foreach": foreach, "capturable": capturable, "differentiable": differentiable,
            "fused": fused, "decoupled_weight_decay": decoupled_weight_decay,
        }  # fmt: skip
        super().__init__(params, defaults)

    def _keeps(self, group: Group) -> dict[str, complex]:
        kept: dict[str, complex] = {"exp_avg": 0, "exp_avg_sq": 0}
        return {**kept, "max_exp_avg_sq": 0} if group["amsgrad"] else kept

    def _update(self, group: Group) -> Update:
        decoupled = group["decoupled_weight_decay"]
        return rule(group["amsgrad"], group["weight_decay"] != 0, decoupled, group["maximize"])

    def _numbers(self, group: Group, steps: float) -> dict[str, float]:
        lr, (beta1, beta2) = float(group["lr"]), map(float, group["betas"])
        decay = float(group["weight_decay"])
        return {
            "step_size": lr / (1 - beta1 ** (steps + 1)),
            "root": (1 - beta2 ** (steps + 1)) ** 0.5,
            "eps": float(group["eps"]),
            "decay": 1 - lr * decay if group["decoupled_weight_decay"] else decay,
            "rest1": 1 - beta1,
            "beta2": beta2,
            "rest2": 1 - beta2,
        }


class AdamW(Adam):
    """``Adam`` with decoupled weight decay: ``param`` is first lowered by ``lr * weight_decay * param``.

    Source: torch.optim.AdamW; Loshchilov and Hutter 2019.

    >>> import autograd_gpu as torch
    >>> x = torch.tensor([1.0], requires_grad=True)
    >>> x.grad = torch.tensor([0.0])
    >>> AdamW([x], lr=0.5, weight_decay=0.5).step()
    >>> x
    tensor([0.7500], requires_grad=True)
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: Any = 1e-3,
        betas: tuple[Any, Any] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 1e-2,
        amsgrad: bool = False,
        *,
        maximize: bool = False,
        foreach: bool | None = None,
        capturable: bool = False,
        differentiable: bool = False,
        fused: bool | None = None,
    ) -> None:
        super().__init__(
            params, lr, betas, eps, weight_decay, amsgrad, foreach=foreach, maximize=maximize, capturable=capturable,
            differentiable=differentiable, fused=fused, decoupled_weight_decay=True,
        )  # fmt: skip

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        for group in self.param_groups:
            group["decoupled_weight_decay"] = True
