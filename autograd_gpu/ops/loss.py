"""What losses have in common: their reductions, and checks."""

import warnings
from collections.abc import Callable, Mapping
from functools import wraps
from inspect import Parameter, Signature, signature
from typing import Any

from ..errors import GraphError
from ..fused import Fused
from ..modes import modes
from ..op import TABLE, functional
from ..shapes import Size, broadcast

Formula = Callable[..., Any]

# --- reductions ------------------------------------------------------------------------------------------


def check_reduction(reduction: str) -> None:
    """ValueError unless ``reduction`` is one that losses know."""
    if reduction not in ("none", "mean", "sum"):
        raise ValueError(f"{reduction} is not a valid value for reduction")


def older_reduction(size_average: bool | None, reduce: bool | None) -> str:
    """The reduction that the two older arguments mean, with PyTorch's warning."""
    reduction = "none" if reduce is False else "sum" if size_average is False else "mean"
    warnings.warn(
        f"size_average and reduce args will be deprecated, please use reduction='{reduction}' instead.", stacklevel=3
    )
    return reduction


def loss(before: str = "reduction") -> Callable[[Formula], Formula]:
    """Register a function with the argument ``reduction`` in nn.functional, and check that argument.

    The function then takes two older arguments as well, ``reduce`` in front of ``reduction``, and ``size_average``
    in front of the argument ``before``; they say what the reduction is, with PyTorch's warning.
    """

    def register(function: Formula) -> Formula:
        parameters = list(signature(function).parameters.values())
        for older, place in (("size_average", before), ("reduce", "reduction")):
            at = [parameter.name for parameter in parameters].index(place)
            kind = Parameter.POSITIONAL_OR_KEYWORD
            parameters.insert(at, Parameter(older, kind, default=None, annotation=bool | None))
        full = Signature(parameters)
        first = list(full.parameters).index("size_average")

        @wraps(function)
        def called(*args: Any, **named: Any) -> Any:
            if len(args) > first or "size_average" in named or "reduce" in named:
                named = full.bind(*args, **named).arguments
                args = ()
                older = named.pop("size_average", None), named.pop("reduce", None)
                if older != (None, None):
                    named["reduction"] = older_reduction(*older)
            check_reduction(named.get("reduction", "mean"))
            return function(*args, **named)

        called.__signature__ = full  # type: ignore[attr-defined]
        return functional(called)

    return register


def reduced(losses: Any, reduction: str, weight: Any = None) -> Any:
    """``losses``, times ``weight`` if there is one, as they are, their sum, or their mean."""
    if weight is not None:
        losses = losses * weight
    if reduction == "none":
        return losses
    return losses.sum() if reduction == "sum" else losses.mean()


def composed(name: str, function: Formula, nodes: Mapping[str, str]) -> dict[str, Fused]:
    """``function`` as one operation for each reduction: torch has several ``nodes`` there, these being the last."""
    return {reduction: Fused(name, function, node=node) for reduction, node in nodes.items()}


# --- checks ----------------------------------------------------------------------------------------------


def same_shape(input: Any, target: Any, stacklevel: int = 4) -> tuple[Any, Any]:
    """``input`` and ``target`` broadcast against each other, which PyTorch warns of."""
    if target.shape != input.shape:
        warnings.warn(
            f"Using a target size ({Size(target.shape)}) that is different to the input size "
            f"({Size(input.shape)}). This will likely lead to incorrect results due to broadcasting. Please "
            "ensure they have the same size.",
            stacklevel=stacklevel,
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
