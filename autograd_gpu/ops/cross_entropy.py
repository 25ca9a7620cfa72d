"""Losses of class probabilities: of their logarithms, and of the scores from which softmax makes them."""

import warnings
from functools import partial
from typing import Any

import numpy as np

from ..devices import cpu
from ..dtypes import FLOAT, int64, uint8
from ..errors import DtypeError, ShapeError
from ..fused import Decision, Fused, Seen, decided
from ..op import TABLE, functional
from .loss import (
    check_constant,
    check_reduction,
    composed,
    expanded,
    loss,
    older_reduction,
    reduced,
)

Shape = tuple[int, ...]


# --- formulas ------------------------------------------------------------------------------------------------

# The axes ``dims``, of which there is one, are those of the classes; targets have it, too, with size 1.


def _of_target(x: Any, target: Any, dims: Shape) -> Any:
    """What ``x`` has for the targets, whose values on the CPU are known to be classes or not to count."""
    return TABLE.gather(x, target, dim=dims[0], exists=target.device is cpu)


def _weights(target: Any, weight: Any, input: Any, dims: Shape, ignore_index: int) -> tuple[Any, Any]:
    """Which targets count, and the weight of each target's class, 0 where it does not count."""
    kept = target != ignore_index
    if weight is None:
        return kept, kept.to(input.dtype)
    return kept, TABLE.where(kept, _of_target(expanded(weight, input.shape), target, dims), 0.0)


def _mean_of(losses: Any, shares: Any, dims: Shape, reduction: str) -> Any:
    """``losses`` without the axis of the classes, their sum, or their mean for rows that have ``shares`` in it."""
    if reduction == "none":
        return losses.sum(dims)
    return losses.sum() / shares.sum() if reduction == "mean" else losses.sum()


def _nll(input: Any, target: Any, weight: Any, dims: Shape, ignore_index: int, reduction: str) -> Any:
    kept, shares = _weights(target, weight, input, dims, ignore_index)
    losses = -_of_target(input, target, dims)
    losses = losses if weight is None else losses * shares
    return _mean_of(TABLE.where(kept, losses, 0.0), shares, dims, reduction)


def _log_softmax(input: Any, dims: Shape) -> tuple[Any, Any]:
    """``input`` less its largest number, and the logarithm of the sum of exponentials of that."""
    rest = input - input.amax(dims, keepdim=True).detach()
    return rest, TABLE.log(TABLE.exp(rest).sum(dims, keepdim=True))


def _of_each_class(rest: Any, total: Any, weight: Any) -> Any:
    """The losses that the classes would have as targets."""
    return total - rest if weight is None else (total - rest) * weight


def _smoothed(losses: Any, of_classes: Any, dims: Shape, smoothing: float | None) -> Any:
    """``losses``, mixed with the mean of those of the classes."""
    if smoothing is None:
        return losses
    return losses * (1 - smoothing) + of_classes.mean(dims, keepdim=True) * smoothing


def _classes(
    input: Any, target: Any, weight: Any, dims: Shape, ignore_index: int, reduction: str, smoothing: float | None
) -> Any:
    kept, shares = _weights(target, weight, input, dims, ignore_index)
    rest, total = _log_softmax(input, dims)
    losses = total - _of_target(rest, target, dims)
    losses = losses if weight is None else losses * shares
    losses = _smoothed(losses, _of_each_class(rest, total, weight), dims, smoothing)
    return _mean_of(TABLE.where(kept, losses, 0.0), shares, dims, reduction)


def _probabilities(input: Any, target: Any, weight: Any, dims: Shape, reduction: str, smoothing: float | None) -> Any:
    of_classes = _of_each_class(*_log_softmax(input, dims), weight)
    losses = _smoothed((of_classes * target).sum(dims, keepdim=True), of_classes, dims, smoothing)
    return losses.sum(dims) if reduction == "none" else reduced(losses, reduction)


def _kl_div(input: Any, target: Any, log_target: bool, reduction: str, rows: float) -> Any:
    if log_target:
        losses = TABLE.exp(target) * (target - input)
    else:
        losses = TABLE.where(target == 0, 0.0, target * TABLE.log(target)) - target * input
    return losses.sum() / rows if reduction == "batchmean" else reduced(losses, reduction)


def _of_rows(name: str, function: Any, node: str, counted: tuple[str, ...]) -> Fused:
    return Fused(name, function, node=node, along="dims", counted=counted)


# for inputs (C,) and (N, C), and for those with more axes
NODES = "NllLossBackward0", "NllLoss2DBackward0"
NLL = tuple(_of_rows("nll_loss", _nll, node, ("input",)) for node in NODES)
CROSS_ENTROPY = tuple(_of_rows("cross_entropy_loss", _classes, node, ("input",)) for node in NODES)
# torch has several nodes for the following, of which these are the last
SMOOTHED = _of_rows("cross_entropy_loss", _classes, "AddBackward0", ("input", "input"))
OF_PROBABILITIES = {
    reduction: _of_rows("cross_entropy_loss", _probabilities, node, ("input", "target"))
    for reduction, node in (("none", "NegBackward0"), ("mean", "DivBackward1"), ("sum", "NegBackward0"))
}
SUMS = {"mean": "MeanBackward0", "sum": "SumBackward0", "batchmean": "DivBackward0"}
KL_DIV = composed("kl_div", _kl_div, {"none": "SubBackward0", **SUMS})
KL_DIV_OF_LOGS = composed("kl_div", _kl_div, {"none": "MulBackward0", **SUMS})


# --- what users call ------------------------------------------------------------------------------------------


def _check_target(input: Any, target: Any) -> None:
    """Raise unless ``target`` is a class for each row of ``input``, of shape (N, C, ...) or (C,)."""
    got, sizes = list(target.shape), list(input.shape)
    if input.ndim == 0:
        raise ValueError("Expected 1 or more dimensions (got 0)")
    if input.ndim > 1 and got[:1] != sizes[:1]:
        count = got[0] if got else 0
        raise ValueError(f"Expected input batch_size ({sizes[0]}) to match target batch_size ({count}).")
    if input.ndim <= 2 and target.ndim > 1:
        raise ShapeError("0D or 1D target tensor expected, multi-target not supported")
    if input.ndim == 1 and target.ndim == 1 and got != [1]:
        raise ValueError(f"For 1D input, 1D target must have size 1, but got target size: {got[0]}")
    if input.ndim == 4 and target.ndim != 3:
        raise ShapeError(
            f"only batches of spatial targets supported (3D tensors) but got targets of dimension: {target.ndim}"
        )
    if input.ndim > 1 and got != (expected := sizes[:1] + sizes[2:]):
        if input.ndim == 4:
            raise ShapeError(f"size mismatch (got input: {sizes} , target: {got}")
        raise ShapeError(f"Expected target size {expected}, got {got}")
    if input.dtype.category != FLOAT:
        raise DtypeError(f"\"nll_loss_out_frame\" not implemented for '{input.dtype.scalar_name}'")
    if target.dtype not in (int64, uint8):
        raise DtypeError(f"expected target dtype to be Long or Byte, but got {target.dtype.scalar_name}")


def _check_weight(weight: Any, input: Any, classes: int, prefix: str = "") -> None:
    """Raise unless ``weight`` has a number for each of the ``classes``, in the input's dtype."""
    if weight.ndim != 1 or weight.shape[0] != classes:
        raise ShapeError(
            f"{prefix}weight tensor should be defined either for all {classes} classes or no classes but got "
            f"weight tensor of shape: {list(weight.shape)}"
        )
    if weight.dtype is not input.dtype:
        raise DtypeError(f"expected scalar type {input.dtype.scalar_name} but found {weight.dtype.scalar_name}")


def _check_classes(classes: int, ignore_index: int, target: Any) -> None:
    """IndexError, naming it, for a target that is no class."""
    array = target.array
    unsigned = array.view(f"u{array.itemsize}")  # in which a negative one is very large
    if np.maximum.reduce(unsigned, None, initial=0) < classes:
        return
    wrong = (array < 0) | (array >= classes)
    wrong &= array != ignore_index
    if wrong.any():
        raise IndexError(f"Target {array[wrong][0]} is out of bounds.")


def _of_classes(
    ops: tuple[Fused, ...], input: Any, target: Any, weight: Any, ignore_index: int, *more: Any
) -> Decision:
    """The loss ``ops`` (see above) of checked arguments; on the CPU it looks at the classes."""
    _check_target(input, target)
    dim = min(input.ndim - 1, 1)
    classes = input.shape[dim]
    if weight is not None:
        check_constant("nll_loss_forward", weight=weight)
        _check_weight(weight, input, classes)
    seen = Seen(target, (*target.shape, 1) if input.ndim > 1 else (1,))
    check = partial(_check_classes, classes, ignore_index) if target.device is cpu else None
    return Decision(ops[input.ndim > 2], (input, seen, weight, (dim,), ignore_index, *more), check, target)


@loss(before="ignore_index")
@decided
def nll_loss(
    input: Any,
    target: Any,
    weight: Any = None,
    ignore_index: int = -100,
    reduction: str = "mean",
) -> Any:
    """``-weight[t] * input[t]`` at the class t that ``target`` names, for rows of log-probabilities.

    Shapes: input (N, C, ...), target (N, ...), or (C,) and (); the target holds classes in [0, C), and
    ``ignore_index`` where nothing is asked. The mean is over the sum of the weights of the targets, hence nan
    where all are ignored. A class out of range raises on the CPU; on CUDA the loss is nan. Gradient:
    ``-g weight[t]`` at the target's class, 0 elsewhere. Source: torch.nn.functional.nll_loss.
    """
    return _of_classes(NLL, input, target, weight, ignore_index, reduction)


@loss(before="ignore_index")
@decided
def cross_entropy(
    input: Any,
    target: Any,
    weight: Any = None,
    ignore_index: int = -100,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
) -> Any:
    """Cross entropy between ``softmax(input)`` and ``target``, classes or probabilities of classes.

    Shapes: input (N, C, ...) or (C,); target without C for classes, of the input's shape for probabilities.
    ``label_smoothing`` mixes so much of equal probabilities into the target. The rest is as in ``nll_loss``.
    Gradient: ``g (softmax(input) - target)``. Source: torch.nn.functional.cross_entropy.

    >>> import autograd_gpu as ag
    >>> cross_entropy(ag.tensor([[0.0, 0.0]]), ag.tensor([1]))
    tensor(0.6931)
    """
    if not 0 <= label_smoothing <= 1:
        raise RuntimeError(f"label_smoothing must be between 0.0 and 1.0. Got: {label_smoothing}")
    if input.dtype.category != FLOAT:
        raise DtypeError(f"\"log_softmax_lastdim_kernel_impl\" not implemented for '{input.dtype.scalar_name}'")
    smoothing = float(label_smoothing) or None
    if target.shape != input.shape:
        ops = CROSS_ENTROPY if smoothing is None else (SMOOTHED, SMOOTHED)
        return _of_classes(ops, input, target, weight, ignore_index, reduction, smoothing)
    if target.dtype.category != FLOAT:
        raise DtypeError(
            f"Expected floating point type for target with class probabilities, got {target.dtype.scalar_name}"
        )
    if ignore_index >= 0:
        raise RuntimeError("ignore_index is not supported for floating point target")
    dim = min(input.ndim - 1, 1)
    if weight is not None:
        _check_weight(weight, input, input.shape[dim], "cross_entropy: ")
    if dim < input.ndim - 1:
        target = TABLE.permute(target, dims=(0, *range(2, input.ndim), 1))
    return Decision(OF_PROBABILITIES[reduction], (input, target, weight, (dim,), reduction, smoothing))


@functional
def kl_div(
    input: Any,
    target: Any,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    log_target: bool = False,
) -> Any:
    """``target * (log(target) - input)``: the Kullback-Leibler divergence of log-probabilities ``input``.

    With ``log_target`` the target holds logarithms, too. ``reduction="batchmean"`` divides the sum by the
    size of the first axis, as the definition has it. Source: torch.nn.functional.kl_div.
    """
    if size_average is not None or reduce is not None:
        reduction = older_reduction(size_average, reduce)
    elif reduction == "mean":
        warnings.warn(
            "reduction: 'mean' divides the total loss by both the batch size and the support size."
            "'batchmean' divides only by the batch size, and aligns with the KL div math definition."
            "'mean' will be changed to behave the same as 'batchmean' in the next major release.",
            stacklevel=2,
        )
    if min(input.dtype.category, target.dtype.category) < FLOAT:
        raise DtypeError("kl_div: Integral inputs not supported.")
    if reduction != "batchmean":
        check_reduction(reduction)
    ops = KL_DIV_OF_LOGS if log_target else KL_DIV
    return ops[reduction](input, target, log_target, reduction, float(input.shape[0]) if input.ndim else 1.0)
