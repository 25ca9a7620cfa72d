"""Losses of two-class probabilities, and of their logits."""

from typing import Any

import numpy as np

from ..devices import cpu
from ..dtypes import FLOAT
from ..errors import DtypeError, ShapeError
from ..fused import Fused
from ..op import TABLE
from ..shapes import Size, broadcast
from .loss import check_constant, expanded, loss, reduced
from .precision import cast, one_dtype

# PyTorch's bound of input * (1 - input) in the derivative of binary cross entropy: 1e-12, in single precision
SMALLEST = float(np.float32(1e-12))


# --- formulas --------------------------------------------------------------------------------------------

# Where the user gave no weight it is None. Losses are summed if ``whole``, and divided by ``count``. Gradients are
# PyTorch's, which are bounded at probabilities of 0 and 1, and round less than those of the formulas would.


def _scaled(x: Any, weight: Any) -> Any:
    return x if weight is None else x * weight


def _over(losses: Any, whole: bool, count: float) -> Any:
    return losses.sum() / count if whole else losses


def _bce(input: Any, target: Any, weight: Any, whole: bool, count: float) -> Any:
    log, log1m = TABLE.maximum(TABLE.log(input), -100.0), TABLE.maximum(TABLE.log1p(-input), -100.0)
    return _over(_scaled((target - 1) * log1m - target * log, weight), whole, count)


def _of_bce(g: Any, input: Any, target: Any, weight: Any, _whole: bool, count: float, _y: Any) -> tuple[Any, ...]:
    g = _scaled(g / count, weight)
    by_input = g * ((input - target) / TABLE.maximum(input * (1 - input), SMALLEST))
    return by_input, g * (TABLE.log(1 - input) - TABLE.log(input)), None, None, None


def _bce_logits(input: Any, target: Any, weight: Any, pos_weight: Any, whole: bool, count: float) -> Any:
    positive = TABLE.logsigmoid(input)
    if pos_weight is not None:
        positive = positive * (1 + (pos_weight - 1) * target)
    return _over(_scaled((1 - target) * input - positive, weight), whole, count)


def _of_bce_logits(
    g: Any, input: Any, target: Any, weight: Any, pos_weight: Any, _whole: bool, count: float, _y: Any
) -> tuple[Any, ...]:
    g = _scaled(g / count, weight)
    by_input, by_target = TABLE.sigmoid(input), -input
    if pos_weight is not None:
        by_input = by_input * (1 + (pos_weight - 1) * target)
        by_target = by_target - (pos_weight - 1) * TABLE.logsigmoid(input)
    return g * (by_input - _scaled(target, pos_weight)), g * by_target, None, None, None, None


def _soft_margin(input: Any, target: Any, reduction: str) -> Any:
    return reduced(-TABLE.logsigmoid(input * target.detach()), reduction)


OPERANDS: dict[str, Any] = {"takes": (FLOAT,), "counted": ("input", "target")}
BCE = Fused("binary_cross_entropy", _bce, gradient=_of_bce, **OPERANDS)
BCE_WITH_LOGITS = Fused("binary_cross_entropy_with_logits", _bce_logits, gradient=_of_bce_logits, **OPERANDS)
SOFT_MARGIN = Fused("soft_margin_loss", _soft_margin, takes=(FLOAT,), counted=("input",))


# --- what users call -------------------------------------------------------------------------------------


@loss()
def binary_cross_entropy(
    input: Any,
    target: Any,
    weight: Any = None,
    reduction: str = "mean",
) -> Any:
    """``-weight (target log(input) + (1 - target) log(1 - input))`` of probabilities ``input``.

    Logarithms count as -100 where they are less, so that certainty costs at most 100. On the CPU numbers
    outside of [0, 1] raise; on CUDA, where looking at them would wait for the device, their loss is nan.
    Gradient: ``g weight (input - target) / (input (1 - input))``. Source:
    torch.nn.functional.binary_cross_entropy.
    """
    if target.shape != input.shape:
        raise ValueError(
            f"Using a target size ({Size(target.shape)}) that is different to the input size "
            f"({Size(input.shape)}) is deprecated. Please ensure they have the same size."
        )
    if target.dtype is not input.dtype:
        raise DtypeError(f"Found dtype {target.dtype.scalar_name} but expected {input.dtype.scalar_name}")
    check_constant("binary_cross_entropy", weight=weight)
    for name, x in (("input", input), ("target", target)):
        if x.device is cpu and not ((x.array >= 0) & (x.array <= 1)).all():
            raise RuntimeError(f"all elements of {name} should be between 0 and 1")
    return BCE(input, target, _weight_of(weight, input), *_whole_and_count(reduction, input))


@loss()
def binary_cross_entropy_with_logits(
    input: Any,
    target: Any,
    weight: Any = None,
    reduction: str = "mean",
    pos_weight: Any = None,
) -> Any:
    """``binary_cross_entropy(sigmoid(input), target, weight)``, without overflow for any input.

    ``pos_weight`` multiplies the part of the loss that belongs to the target 1. Gradient:
    ``g weight (sigmoid(input) - target)``. Source: torch.nn.functional.binary_cross_entropy_with_logits.
    """
    if target.shape != input.shape:
        raise ValueError(f"Target size ({Size(target.shape)}) must be the same as input size ({Size(input.shape)})")
    if target.dtype.category < FLOAT:
        raise DtypeError(
            f"result type {input.dtype.scalar_name} can't be cast to the desired output type {target.dtype.scalar_name}"
        )
    check_constant("binary_cross_entropy_with_logits", weight=weight, pos_weight=pos_weight)
    input, target = one_dtype(input, target)
    weights = _weight_of(weight, input), _weight_of(pos_weight, input)
    return BCE_WITH_LOGITS(input, target, *weights, *_whole_and_count(reduction, input))


def _whole_and_count(reduction: str, input: Any) -> tuple[bool, float]:
    """What the formulas take for ``reduction``."""
    return reduction != "none", float(input.numel()) if reduction == "mean" else 1.0


def _weight_of(weight: Any, input: Any) -> Any:
    """``weight`` checked to be broadcastable to ``input``; None for none."""
    if weight is None:
        return None
    if broadcast(tuple(weight.shape), tuple(input.shape)) != tuple(input.shape):
        raise ShapeError(f"weight of shape {list(weight.shape)} must broadcast to {list(input.shape)}")
    return cast(weight, input.dtype)


@loss()
def soft_margin_loss(
    input: Any,
    target: Any,
    reduction: str = "mean",
) -> Any:
    """``log(1 + exp(-target * input))`` for targets of 1 and -1.

    Gradient: ``-g target sigmoid(-target * input)``. Source: torch.nn.functional.soft_margin_loss.
    """
    check_constant("soft_margin_loss", target=target)
    size = broadcast(tuple(input.shape), tuple(target.shape))
    input, target = expanded(input, size), expanded(target, size)
    return SOFT_MARGIN(*one_dtype(input, target), reduction)
