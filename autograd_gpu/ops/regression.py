"""Losses of numbers that should be near others."""

from math import log, pi
from typing import Any

from ..devices import cpu
from ..op import TABLE, functional
from .loss import elementwise_loss, of_difference, reduced, reduction_of, same_shape
from .precision import one_dtype


def _mse(input: Any, target: Any) -> Any:
    difference = input - target
    return difference * difference


def _mse_slope(input: Any, target: Any) -> Any:
    return 2 * (input - target)


def _smooth_l1(input: Any, target: Any, *, beta: float) -> Any:
    distance = TABLE.abs(input - target)
    return TABLE.where(distance < beta, 0.5 * distance * distance / beta, distance - 0.5 * beta)


def _smooth_l1_slope(input: Any, target: Any, *, beta: float) -> Any:
    difference = input - target
    return TABLE.where(TABLE.abs(difference) >= beta, TABLE.sign(difference), difference / beta)


def _huber(input: Any, target: Any, *, delta: float) -> Any:
    distance = TABLE.abs(input - target)
    return TABLE.where(distance < delta, 0.5 * distance * distance, delta * (distance - 0.5 * delta))


def _huber_slope(input: Any, target: Any, *, delta: float) -> Any:
    difference = input - target
    return TABLE.where(TABLE.abs(difference) >= delta, delta * TABLE.sign(difference), difference)


# fmt: off
elementwise_loss("mse_loss", _mse, of_difference(_mse_slope), "(input - target)**2", "mse_cpu")
elementwise_loss("smooth_l1_loss", _smooth_l1, of_difference(_smooth_l1_slope),
                 "d**2 / (2 beta) of d = input - target; where |d| >= beta, |d| - beta / 2", "smooth_l1_cpu")
elementwise_loss("huber_loss", _huber, of_difference(_huber_slope),
                 "d**2 / 2 of d = input - target; where |d| >= delta, delta (|d| - delta / 2)", "huber_cpu")
# fmt: on


@functional
def mse_loss(
    input: Any,
    target: Any,
    size_average: bool | None = None,
    reduce: bool | None = None,
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
    reduction = reduction_of(reduction, size_average, reduce)
    input, target = same_shape(input, target)
    if weight is None:
        return TABLE.mse_loss(*one_dtype(input, target), reduction=reduction)
    return _weighted_mean((input - target) ** 2, weight, reduction)


@functional
def l1_loss(
    input: Any,
    target: Any,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    weight: Any = None,
) -> Any:
    """The absolute error ``|input - target|`` of each element, or its ``reduction``: mean or sum.

    ``weight`` is that of ``mse_loss``. Gradient: ``sign(input - target) g``. Source:
    torch.nn.functional.l1_loss.
    """
    reduction = reduction_of(reduction, size_average, reduce)
    input, target = same_shape(input, target)
    errors = TABLE.abs(input - target)
    return reduced(errors, reduction) if weight is None else _weighted_mean(errors, weight, reduction)


def _weighted_mean(errors: Any, weight: Any, reduction: str) -> Any:
    """``errors * weight``, its sum, or that over the sum of the weights."""
    if weight.shape != errors.shape:
        raise ValueError("Weights and input must have the same size.")
    errors = errors * weight
    return reduced(errors, "sum") / reduced(weight, "sum") if reduction == "mean" else reduced(errors, reduction)


@functional
def smooth_l1_loss(
    input: Any,
    target: Any,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    beta: float = 1.0,
) -> Any:
    """``d**2 / (2 beta)`` of ``d = input - target``, but ``|d| - beta / 2`` where ``|d| >= beta``.

    Gradient: ``g d / beta`` or ``g sign(d)``. Source: torch.nn.functional.smooth_l1_loss; Girshick 2015.
    """
    reduction = reduction_of(reduction, size_average, reduce)
    input, target = same_shape(input, target)
    if beta < 0:
        raise RuntimeError("smooth_l1_loss does not support negative values for beta.")
    if beta == 0:
        return reduced(TABLE.abs(input - target), reduction)
    return TABLE.smooth_l1_loss(*one_dtype(input, target), beta=beta, reduction=reduction)


@functional
def huber_loss(input: Any, target: Any, reduction: str = "mean", delta: float = 1.0, weight: Any = None) -> Any:
    """``d**2 / 2`` of ``d = input - target``, but ``delta (|d| - delta / 2)`` where ``|d| >= delta``.

    ``weight``, of the input's shape, multiplies the losses. Gradient: ``g d`` or ``g delta sign(d)``.
    Source: torch.nn.functional.huber_loss.
    """
    reduction = reduction_of(reduction)
    input, target = one_dtype(*same_shape(input, target))
    if delta <= 0:
        raise RuntimeError("huber_loss does not support non-positive values for delta.")
    if weight is None:
        return TABLE.huber_loss(input, target, delta=delta, reduction=reduction)
    if weight.shape != input.shape:
        raise ValueError("Weights and input must have the same size.")
    return reduced(TABLE.huber_loss(input, target, delta=delta, reduction="none") * weight, reduction)


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
    reduction = reduction_of(reduction)
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


@functional
def poisson_nll_loss(
    input: Any,
    target: Any,
    log_input: bool = True,
    full: bool = False,
    size_average: bool | None = None,
    eps: float = 1e-8,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Any:
    """``exp(input) - target * input``: how unlikely the counts ``target`` are under a Poisson distribution.

    Without ``log_input``, the input is the rate itself: ``input - target * log(input + eps)``. ``full`` adds
    Stirling's approximation of ``log(target!)`` where the target is more than 1. Source:
    torch.nn.functional.poisson_nll_loss.
    """
    reduction = reduction_of(reduction, size_average, reduce)
    rate, logs = (TABLE.exp(input), input) if log_input else (input, TABLE.log(input + eps))
    losses = rate - target * logs
    if full:
        stirling = target * TABLE.log(target) - target + 0.5 * TABLE.log(2 * pi * target)
        losses = losses + TABLE.where(target > 1, stirling, 0)
    return reduced(losses, reduction)
