"""Losses of two-class probabilities, and of their logits."""

from typing import Any

import numpy as np

from ..devices import cpu
from ..dtypes import FLOAT
from ..errors import DtypeError, ShapeError
from ..op import TABLE, functional
from ..shapes import Size, broadcast
from .loss import check_constant, elementwise_loss, expanded, reduction_of
from .precision import cast, one_dtype

# PyTorch's bound of input * (1 - input) in the derivative of binary cross entropy: 1e-12, in single precision
SMALLEST = float(np.float32(1e-12))

# In these formulas the weights are the number 1 where the user gave none.


def _weighted(x: Any, weight: Any) -> Any:
    return x if isinstance(weight, int) else x * weight


def _softplus(x: Any) -> Any:
    """log(1 + exp(x)), without overflow."""
    return TABLE.log1p(TABLE.exp(-TABLE.abs(x))) + TABLE.maximum(x, 0)


def _bce(input: Any, target: Any, weight: Any) -> Any:
    log, log1m = TABLE.maximum(TABLE.log(input), -100), TABLE.maximum(TABLE.log1p(-input), -100)
    return _weighted((target - 1) * log1m - target * log, weight)


def _bce_slope(input: Any, target: Any, weight: Any) -> Any:
    return _weighted((input - target) / TABLE.maximum(input * (1 - input), SMALLEST), weight)


def _bce_target_slope(input: Any, weight: Any, **_: Any) -> Any:
    return _weighted(TABLE.log(1 - input) - TABLE.log(input), weight)


def _bce_logits(input: Any, target: Any, weight: Any, pos_weight: Any) -> Any:
    share = 1 if isinstance(pos_weight, int) else 1 + (pos_weight - 1) * target
    return _weighted((1 - target) * input + _weighted(_softplus(-input), share), weight)


def _bce_logits_slope(input: Any, target: Any, weight: Any, pos_weight: Any) -> Any:
    share = 1 if isinstance(pos_weight, int) else 1 + (pos_weight - 1) * target
    return _weighted(_weighted(TABLE.sigmoid(input), share) - _weighted(target, pos_weight), weight)


def _bce_logits_target_slope(input: Any, weight: Any, pos_weight: Any, **_: Any) -> Any:
    extra = 0 if isinstance(pos_weight, int) else (pos_weight - 1) * _softplus(-input)
    return _weighted(extra - input, weight)


def _soft_margin(input: Any, target: Any) -> Any:
    return _softplus(-target * input)


def _soft_margin_slope(input: Any, target: Any) -> Any:
    return -target * TABLE.sigmoid(-target * input)


# fmt: off
elementwise_loss("binary_cross_entropy", _bce, {"input": _bce_slope, "target": _bce_target_slope},
                 "-weight (target log(input) + (1 - target) log(1 - input)), logarithms being at least -100")
elementwise_loss("binary_cross_entropy_with_logits", _bce_logits,
                 {"input": _bce_logits_slope, "target": _bce_logits_target_slope},
                 "weight ((1 - target) input + (1 + (pos_weight - 1) target) log(1 + exp(-input)))")
elementwise_loss("soft_margin_loss", _soft_margin,
                 {"input": _soft_margin_slope},
                 "log(1 + exp(-target input))")
# fmt: on


@functional
def binary_cross_entropy(
    input: Any,
    target: Any,
    weight: Any = None,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Any:
    """``-weight (target log(input) + (1 - target) log(1 - input))`` of probabilities ``input``.

    Logarithms count as -100 where they are less, so that certainty costs at most 100. On the CPU numbers
    outside of [0, 1] raise; on CUDA, where looking at them would wait for the device, their loss is nan.
    Gradient: ``g weight (input - target) / (input (1 - input))``. Source:
    torch.nn.functional.binary_cross_entropy.
    """
    reduction = reduction_of(reduction, size_average, reduce)
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
    return TABLE.binary_cross_entropy(input, target, _weight_of(weight, input), reduction=reduction)


@functional
def binary_cross_entropy_with_logits(
    input: Any,
    target: Any,
    weight: Any = None,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    pos_weight: Any = None,
) -> Any:
    """``binary_cross_entropy(sigmoid(input), target, weight)``, without overflow for any input.

    ``pos_weight`` multiplies the part of the loss that belongs to the target 1. Gradient:
    ``g weight (sigmoid(input) - target)``. Source: torch.nn.functional.binary_cross_entropy_with_logits.
    """
    reduction = reduction_of(reduction, size_average, reduce)
    if target.shape != input.shape:
        raise ValueError(f"Target size ({Size(target.shape)}) must be the same as input size ({Size(input.shape)})")
    if target.dtype.category < FLOAT:
        raise DtypeError(
            f"result type {input.dtype.scalar_name} can't be cast to the desired output type {target.dtype.scalar_name}"
        )
    check_constant("binary_cross_entropy_with_logits", weight=weight, pos_weight=pos_weight)
    input, target = one_dtype(input, target)
    weights = _weight_of(weight, input), _weight_of(pos_weight, input)
    return TABLE.binary_cross_entropy_with_logits(input, target, *weights, reduction=reduction)


def _weight_of(weight: Any, input: Any) -> Any:
    """``weight`` checked to be broadcastable to ``input``, or the number 1 for none."""
    if weight is None:
        return 1
    if broadcast(tuple(weight.shape), tuple(input.shape)) != tuple(input.shape):
        raise ShapeError(f"weight of shape {list(weight.shape)} must broadcast to {list(input.shape)}")
    return cast(weight, input.dtype)


@functional
def soft_margin_loss(
    input: Any,
    target: Any,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Any:
    """``log(1 + exp(-target * input))`` for targets of 1 and -1.

    Gradient: ``-g target sigmoid(-target * input)``. Source: torch.nn.functional.soft_margin_loss.
    """
    reduction = reduction_of(reduction, size_average, reduce)
    check_constant("soft_margin_loss", target=target)
    size = broadcast(tuple(input.shape), tuple(target.shape))
    input, target = expanded(input, size), expanded(target, size)
    return TABLE.soft_margin_loss(*one_dtype(input, target), reduction=reduction)
