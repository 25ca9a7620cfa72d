"""Losses of class probabilities: of their logarithms, and of the scores from which softmax makes them."""

import warnings
from typing import Any

import numpy as np

from ..backends import of
from ..devices import cpu
from ..dtypes import FLOAT, int64, uint8
from ..errors import DtypeError, ShapeError
from ..op import TABLE, ArrayOp, functional
from .loss import check_constant, reduced, reduction_of
from .precision import cast, in_float32
from .softmax import log_softmax

Shape = tuple[int, ...]


def _raw(x: Any) -> Any:
    """The array of a Tensor; an array itself."""
    return getattr(x, "array", x)


def _chosen(target: Any, weight: Any, classes: int, ignore_index: int, dtype: Any) -> tuple[Any, Any, Any]:
    """For each element of the array ``target``: whether it counts, its class, and the weight of that class.

    What does not count has the class 0 and the weight 0. A class that does not exist has the weight nan on
    CUDA, where asking for it would wait for the device; on the CPU it was refused before.
    """
    xp = of(target).xp
    kept = xp.asarray(target != ignore_index)
    index = xp.where(kept, target, 0)
    share = kept if isinstance(weight, int) else xp.where(kept, weight[index], 0)
    if xp is not np:
        share = xp.where((index >= 0) & (index < classes), share, xp.nan)
    return kept, index, share.astype(dtype, copy=False)


def _one_class(shape: Shape) -> tuple[int, Shape]:
    """The axis of the classes in an input of ``shape``, and the shape with one class."""
    dim = min(len(shape) - 1, 1)
    return dim, (*shape[:dim], 1, *shape[dim + 1 :])


@in_float32
def _nll(input: Any, target: Any, weight: Any, ignore_index: int, reduction: str) -> Any:
    xp, (dim, one) = of(input).xp, _one_class(input.shape)
    kept, index, share = _chosen(target, weight, input.shape[dim], ignore_index, input.dtype)
    picked = xp.take_along_axis(input, index.reshape(one), dim).reshape(index.shape)
    losses = xp.where(kept, -picked * share, 0).astype(input.dtype, copy=False)
    if reduction == "none":
        return losses
    return losses.sum() if reduction == "sum" else losses.sum() / share.sum()


@in_float32
def _nll_vjp(g: Any, target: Any, weight: Any, shape: Shape, ignore_index: int, reduction: str) -> Any:
    target, (dim, one) = _raw(target), _one_class(shape)
    kept, index, share = _chosen(target, _raw(weight), shape[dim], ignore_index, _raw(g).dtype)
    if reduction == "none":
        g = TABLE.reshape(g, size=one)
    elif reduction == "mean":
        g = g / share.sum()
    classes = of(target).xp.arange(shape[dim]).reshape((shape[dim],) + (1,) * (len(shape) - dim - 1))
    here = (index.reshape(one) == classes) & kept.reshape(one)
    return TABLE.where(here, -share.reshape(one) * g, 0)


for _name, _node in (("nll_loss", "NllLossBackward0"), ("nll_loss2d", "NllLoss2DBackward0")):
    ArrayOp(_name, "input, target, weight", _nll, _nll_vjp, "-weight[target] * input[target]", node=_node)


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


def _check_classes(target: Any, classes: int, ignore_index: int) -> None:
    """IndexError, naming it, for a target that is no class (on the CPU)."""
    if target.device is cpu:
        wrong = (target.array < 0) | (target.array >= classes)
        wrong &= target.array != ignore_index
        if wrong.any():
            raise IndexError(f"Target {target.array[wrong][0]} is out of bounds.")


@functional
def nll_loss(
    input: Any,
    target: Any,
    weight: Any = None,
    size_average: bool | None = None,
    ignore_index: int = -100,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Any:
    """``-weight[t] * input[t]`` at the class t that ``target`` names, for rows of log-probabilities.

    Shapes: input (N, C, ...), target (N, ...), or (C,) and (); the target holds classes in [0, C), and
    ``ignore_index`` where nothing is asked. The mean is over the sum of the weights of the targets, hence nan
    where all are ignored. A class out of range raises on the CPU; on CUDA the loss is nan. Gradient:
    ``-g weight[t]`` at the target's class, 0 elsewhere. Source: torch.nn.functional.nll_loss.
    """
    reduction = reduction_of(reduction, size_average, reduce)
    _check_target(input, target)
    classes = input.shape[min(input.ndim - 1, 1)]
    if weight is not None:
        check_constant("nll_loss_forward", weight=weight)
        _check_weight(weight, input, classes)
    _check_classes(target, classes, ignore_index)
    target = cast(target if input.ndim > 1 else TABLE.reshape(target, size=()), int64)
    op = TABLE.nll_loss if input.ndim <= 2 else TABLE.nll_loss2d
    return op(input, target, 1 if weight is None else weight, ignore_index=ignore_index, reduction=reduction)


@functional
def cross_entropy(
    input: Any,
    target: Any,
    weight: Any = None,
    size_average: bool | None = None,
    ignore_index: int = -100,
    reduce: bool | None = None,
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
    reduction = reduction_of(reduction, size_average, reduce)
    if not 0 <= label_smoothing <= 1:
        raise RuntimeError(f"label_smoothing must be between 0.0 and 1.0. Got: {label_smoothing}")
    if target.shape == input.shape:
        return _probability_loss(input, target, weight, ignore_index, reduction, label_smoothing)
    logs = log_softmax(input, min(input.ndim - 1, 1))
    loss = nll_loss(logs, target, weight, ignore_index=ignore_index, reduction=reduction)
    if not label_smoothing:
        return loss
    smooth = _uniform_loss(logs, target, weight, ignore_index, reduction)
    return loss * (1 - label_smoothing) + smooth * (label_smoothing / input.shape[min(input.ndim - 1, 1)])


def _probability_loss(
    input: Any, target: Any, weight: Any, ignore_index: int, reduction: str, label_smoothing: float
) -> Any:
    """The cross entropy of ``softmax(input)`` with probabilities."""
    if target.dtype.category != FLOAT:
        raise DtypeError(
            f"Expected floating point type for target with class probabilities, got {target.dtype.scalar_name}"
        )
    if ignore_index >= 0:
        raise RuntimeError("ignore_index is not supported for floating point target")
    dim = min(input.ndim - 1, 1)
    classes = input.shape[dim]
    logs = log_softmax(input, dim)
    if weight is not None:
        _check_weight(weight, input, classes, "cross_entropy: ")
    if label_smoothing:
        target = target * (1 - label_smoothing) + label_smoothing / classes
    losses = _by_class(logs, weight, dim) * target
    if reduction == "none":
        return -TABLE.sum(losses, dim=(dim,), keepdim=False)
    total = -reduced(losses, "sum")
    return total if reduction == "sum" else total / (losses.numel() / classes)


def _by_class(logs: Any, weight: Any, dim: int) -> Any:
    """``logs``, those of each class times its weight."""
    if weight is None:
        return logs
    return logs * TABLE.reshape(weight, size=(weight.shape[0],) + (1,) * (logs.ndim - dim - 1))


def _uniform_loss(logs: Any, target: Any, weight: Any, ignore_index: int, reduction: str) -> Any:
    """The sum over all classes of the losses that ``nll_loss`` would have if they were the target."""
    dim = min(logs.ndim - 1, 1)
    kept, _, share = _chosen(
        target.array, 1 if weight is None else weight.array, logs.shape[dim], ignore_index, logs.array.dtype
    )
    losses = -TABLE.sum(_by_class(logs, weight, dim), dim=(dim,), keepdim=False)
    losses = TABLE.where(kept, losses, 0)
    return reduced(losses, "sum") / share.sum() if reduction == "mean" else reduced(losses, reduction)


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
    if size_average is None and reduce is None and reduction == "mean":
        warnings.warn(
            "reduction: 'mean' divides the total loss by both the batch size and the support size."
            "'batchmean' divides only by the batch size, and aligns with the KL div math definition."
            "'mean' will be changed to behave the same as 'batchmean' in the next major release.",
            stacklevel=2,
        )
    per_batch = reduction == "batchmean"
    reduction = reduction_of("sum" if per_batch else reduction, size_average, reduce)
    if min(input.dtype.category, target.dtype.category) < FLOAT:
        raise DtypeError("kl_div: Integral inputs not supported.")
    if log_target:
        losses = TABLE.exp(target) * (target - input)
    else:
        losses = TABLE.where(target == 0, 0, target * TABLE.log(target)) - target * input
    loss = reduced(losses, reduction)
    return loss / input.shape[0] if per_batch and input.ndim else loss
