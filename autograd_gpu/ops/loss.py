"""What losses have in common: reductions, checks, and records of losses that compare elements one by one."""

import warnings
from collections.abc import Callable, Mapping
from inspect import Parameter, Signature, signature
from math import prod
from typing import Any

from ..dtypes import FLOAT
from ..errors import GraphError
from ..modes import modes
from ..op import TABLE, ArrayOp
from ..shapes import Size, broadcast
from .precision import in_float32

Formula = Callable[..., Any]


# --- reductions ------------------------------------------------------------------------------------------


def reduction_of(reduction: str, size_average: bool | None = None, reduce: bool | None = None) -> str:
    """``reduction``, checked, or what the two older arguments mean, with PyTorch's warning."""
    if size_average is not None or reduce is not None:
        reduction = "none" if reduce is False else "sum" if size_average is False else "mean"
        warnings.warn(
            f"size_average and reduce args will be deprecated, please use reduction='{reduction}' instead.",
            stacklevel=3,
        )
    if reduction not in ("none", "mean", "sum"):
        raise ValueError(f"{reduction} is not a valid value for reduction")
    return reduction


def reduced(losses: Any, reduction: str) -> Any:
    """The Tensor ``losses`` as it is, its sum, or its mean."""
    if reduction == "none":
        return losses
    return losses.sum() if reduction == "sum" else losses.mean()


# --- checks ----------------------------------------------------------------------------------------------


def same_shape(input: Any, target: Any) -> tuple[Any, Any]:
    """``input`` and ``target`` broadcast against each other, which PyTorch warns of."""
    if target.shape != input.shape:
        warnings.warn(
            f"Using a target size ({Size(target.shape)}) that is different to the input size "
            f"({Size(input.shape)}). This will likely lead to incorrect results due to broadcasting. Please "
            "ensure they have the same size.",
            stacklevel=3,
        )
        size = broadcast(tuple(input.shape), tuple(target.shape))
        return expanded(input, size), expanded(target, size)
    return input, target


def expanded(x: Any, size: tuple[int, ...]) -> Any:
    """``x``, broadcast to ``size`` if it has another shape."""
    return x if x.shape == size else TABLE.expand(x, size=size)


def check_constant(function: str, **tensors: Any) -> None:
    """Raise if one of ``tensors``, by which ``function`` has no derivative, requires grad."""
    for name, tensor in tensors.items():
        if modes.grad and getattr(tensor, "requires_grad", False):
            raise GraphError(
                f"The function '{function}' is not differentiable with respect to argument '{name}'. This "
                "input cannot have requires_grad True."
            )


# --- records ---------------------------------------------------------------------------------------------


def elementwise_loss(
    name: str, value: Formula, slopes: Mapping[str, Formula], doc: str, title: str | None = None
) -> None:
    """Enter the loss ``name`` in the table.

    ``value(*operands, *, **options)`` is the loss of each element, and ``slopes`` are its derivatives by the
    operands, formulas of the same arguments. The record's parameters are the options and ``reduction``.
    ``title`` is torch's name in messages.
    """
    arguments = signature(value).parameters
    operands = [name for name, argument in arguments.items() if argument.kind is not Parameter.KEYWORD_ONLY]

    def forward(*operands: Any, reduction: str, **options: Any) -> Any:
        losses = value(*operands, **options)
        return losses if reduction == "none" else _total(losses, reduction)

    def rule(slope: Formula) -> Formula:
        def vjp(g: Any, shape: tuple[int, ...], reduction: str, **named: Any) -> Any:
            return (g / prod(shape) if reduction == "mean" else g) * slope(**named)

        own = tuple(signature(vjp).parameters.values())[:-1]
        vjp.__signature__ = Signature([*own, *arguments.values()])  # type: ignore[attr-defined]
        return in_float32(vjp)

    rules = {operand: rule(slope) for operand, slope in slopes.items()}
    ArrayOp(name, ", ".join(operands), in_float32(forward), rules, doc, takes=(FLOAT,), title=title)


def _total(losses: Any, reduction: str) -> Any:
    """The sum of an array of losses, or their mean (nan if there are none)."""
    total = losses.sum()
    return total if reduction == "sum" else total / losses.size


def of_difference(slope: Formula) -> dict[str, Formula]:
    """The derivatives of a loss of ``input - target``, given the one by ``input``."""
    return {"input": slope, "target": lambda **named: -slope(**named)}
