"""Losses of numbers that should be near others."""

from math import log, pi
from typing import Any

from ..devices import cpu
from ..dtypes import FLOAT
from ..fused import Fused
from ..op import TABLE, functional
from .loss import check_reduction, composed, loss, reduced, same_shape
from .precision import one_dtype

# --- formulas --------------------------------------------------------------------------------------------


def _by_weight(errors: Any, weight: Any, reduction: str) -> Any:
    """``errors``, times ``weight`` if there is one; their mean is then over the sum of the weights."""
    if weight is None or reduction != "mean":
        return reduced(errors, reduction, weight)
    return (errors * weight).sum() / weight.sum()


def _huber(difference: Any, delta: float) -> Any:
    """``d**2 / 2`` of ``difference``, but ``delta (|d| - delta / 2)`` where ``|d| > delta``."""
    bounded = TABLE.clamp(difference, -delta, delta)
    return bounded * (difference - 0.5 * bounded)


def _mse_loss(input: Any, target: Any, weight: Any, reduction: str) -> Any:
    return _by_weight(TABLE.square(input - target), weight, reduction)


def _l1_loss(input: Any, target: Any, weight: Any, reduction: str) -> Any:
    return _by_weight(TABLE.abs(input - target), weight, reduction)


def _smooth_l1_loss(input: Any, target: Any, beta: float, reduction: str) -> Any:
    return reduced(_huber(input - target, beta) / beta, reduction)


def _huber_loss(input: Any, target: Any, weight: Any, delta: float, reduction: str) -> Any:
    return reduced(_huber(input - target, delta), reduction, weight)


MSE_LOSS = Fused("mse_loss", _mse_loss, title="mse_cpu", takes=(FLOAT,))
L1_LOSS = composed("l1_loss", _l1_loss, {"none": "AbsBackward0", "mean": "MeanBackward0", "sum": "SumBackward0"})
SMOOTH_L1_LOSS = Fused("smooth_l1_loss", _smooth_l1_loss, title="smooth_l1_cpu", takes=(FLOAT,))
HUBER_LOSS = Fused("huber_loss", _huber_loss, title="huber_cpu", takes=(FLOAT,))


def _check_weight(weight: Any, input: Any) -> None:
    if weight is not None and weight.shape != input.shape:
        raise ValueError("Weights and input must have the same size.")


# --- what users call -------------------------------------------------------------------------------------


@loss()
def mse_loss(
    input: Any,
    target: Any,
    reduction: str = "mean",
    weight: Any = None,
) -> Any:
    """The squared error ``(input - target)**2`` of each element, or its ``reduction``: mean or sum.

    ``weight``, of the input's shape, multiplies the errors; their mean is then over the sum of the weights.
    Shapes broadcast, with a warning. Gradient: ``2 (input - target) g``. Source:
    torch.nn.functional.mse_loss.

    >>> import autograd_gpu as ag
    >>> mse_loss(ag.tensor([1.0, 2.0]), ag.tensor([1.0, 4.0]))
    tensor(2.)
    """
    input, target = same_shape(input, target)
    _check_weight(weight, input)
    return MSE_LOSS(*one_dtype(input, target), weight, reduction)


@loss()
def l1_loss(
    input: Any,
    target: Any,
    reduction: str = "mean",
    weight: Any = None,
) -> Any:
    """The absolute error ``|input - target|`` of each element, or its ``reduction``: mean or sum.

    ``weight`` is that of ``mse_loss``. Gradient: ``sign(input - target) g``. Source:
    torch.nn.functional.l1_loss.
    """
    input, target = same_shape(input, target)
    _check_weight(weight, input)
    input, target = one_dtype(input, target)
    function = L1_LOSS[reduction] if input.dtype.category == FLOAT else _l1_loss
    return function(input, target, weight, reduction)


@loss()
def smooth_l1_loss(
    input: Any,
    target: Any,
    reduction: str = "mean",
    beta: float = 1.0,
) -> Any:
    """``d**2 / (2 beta)`` of ``d = input - target``, but ``|d| - beta / 2`` where ``|d| >= beta``.

    Gradient: ``g d / beta`` or ``g sign(d)``. Source: torch.nn.functional.smooth_l1_loss; Girshick 2015.
    """
    input, target = same_shape(input, target)
    if beta < 0:
        raise RuntimeError("smooth_l1_loss does not support negative values for beta.")
    if beta == 0:
        return l1_loss(input, target, reduction=reduction)
    return SMOOTH_L1_LOSS(*one_dtype(input, target), float(beta), reduction)


@functional
def huber_loss(input: Any, target: Any, reduction: str = "mean", delta: float = 1.0, weight: Any = None) -> Any:
    """``d**2 / 2`` of ``d = input - target``, but ``delta (|d| - delta / 2)`` where ``|d| >= delta``.

    ``weight``, of the input's shape, multiplies the losses. Gradient: ``g d`` or ``g delta sign(d)``.
    Source: torch.nn.functional.huber_loss.
    """
    check_reduction(reduction)
    input, target = one_dtype(*same_shape(input, target, stacklevel=3))
    if delta <= 0:
        raise RuntimeError("huber_loss does not support non-positive values for delta.")
    _check_weight(weight, input)
    return HUBER_LOSS(input, target, weight, float(delta), reduction)


@functional
def gaussian_nll_loss(
    input: Any, target: Any, var: Any, full: bool = False, eps: float = 1e-6, reduction: str = "mean"
) -> Any:
    """``(log(var) + (input - target)**2 / var) / 2``: how unlikely the target is under a normal distribution.

    ``var`` is a number, or has the input's shape, or lacks its last axis or has size 1 there; less than
    ``eps`` counts as ``eps``, which takes no part in the gradient. ``full`` adds ``log(2 pi) / 2``. A
    negative ``var`` raises on the CPU; on CUDA looking at it would wait for the device. Source:
    torch.nn.functional.gaussian_nll_loss.
    """
    check_reduction(reduction)
    if isinstance(var, float):
        var = TABLE.zeros_like(input) + var
    if var.device is cpu and (var.array < 0).any():
        raise ValueError("var has negative entry/entries")
    if var.shape == input.shape[:-1] and input.ndim:
        var = TABLE.reshape(var, size=(*var.shape, 1))
    elif var.shape != input.shape and not _one_size_differs(input.shape, var.shape):
        raise ValueError("var is of incorrect size")
    var = var + TABLE.where(var < eps, eps - var, 0).detach()
    losses = 0.5 * (TABLE.log(var) + (input - target) ** 2 / var)
    return reduced(losses + 0.5 * log(2 * pi) if full else losses, reduction)


def _one_size_differs(shape: tuple[int, ...], other: tuple[int, ...]) -> bool:
    """Whether ``other`` is ``shape``, but for one size of 1."""
    return len(shape) == len(other) and [n for m, n in zip(shape, other, strict=True) if m != n] == [1]


@loss(before="eps")
def poisson_nll_loss(
    input: Any,
    target: Any,
    log_input: bool = True,
    full: bool = False,
    eps: float = 1e-8,
    reduction: str = "mean",
) -> Any:
    """``exp(input) - target * input``: how unlikely the counts ``target`` are under a Poisson distribution.

    Without ``log_input``, the input is the rate itself: ``input - target * log(input + eps)``. ``full`` adds
    Stirling's approximation of ``log(target!)`` where the target is more than 1. Source:
    torch.nn.functional.poisson_nll_loss.
    """
    rate, logs = (TABLE.exp(input), input) if log_input else (input, TABLE.log(input + eps))
    losses = rate - target * logs
    if full:
        stirling = target * TABLE.log(target) - target + 0.5 * TABLE.log(2 * pi * target)
        losses = losses + TABLE.where(target > 1, stirling, 0)
    return reduced(losses, reduction)
