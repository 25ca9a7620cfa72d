"""Losses that ask for a margin between what belongs together and what does not."""

from typing import Any

from ..errors import ShapeError
from ..op import TABLE
from ..shapes import Size
from .distance import pairwise_distance
from .loss import loss, reduced


def _positive(x: Any) -> Any:
    """``x``, at least 0."""
    return x.clamp_min(0)


@loss()
def hinge_embedding_loss(
    input: Any,
    target: Any,
    margin: float = 1.0,
    reduction: str = "mean",
) -> Any:
    """The distance ``input`` where ``target`` is 1, and what it lacks to ``margin`` where that is -1.

    Source: torch.nn.functional.hinge_embedding_loss.
    """
    apart = TABLE.where(target != 1, _positive(margin - input), 0)
    return reduced(apart + TABLE.where(target != -1, input, 0), reduction)


@loss()
def margin_ranking_loss(
    input1: Any,
    input2: Any,
    target: Any,
    margin: float = 0,
    reduction: str = "mean",
) -> Any:
    """``max(0, margin - target * (input1 - input2))``: 1 wants input1 to be the larger, -1 input2.

    Source: torch.nn.functional.margin_ranking_loss.
    """
    if not input1.ndim == input2.ndim == target.ndim:
        raise ShapeError(
            "margin_ranking_loss : All input tensors should have same dimension but got sizes: input1: "
            f"{Size(input1.shape)}, input2: {Size(input2.shape)}, target: {Size(target.shape)} "
        )
    return reduced(_positive(-target * (input1 - input2) + margin), reduction)


@loss()
def cosine_embedding_loss(
    input1: Any,
    input2: Any,
    target: Any,
    margin: float = 0,
    reduction: str = "mean",
) -> Any:
    """1 less the cosine between the inputs where ``target`` is 1, what it has above ``margin`` where -1.

    Shapes: inputs (N, D) and target (N,), or (D,) and (). Source: torch.nn.functional.cosine_embedding_loss.
    """
    dim = target.ndim
    if dim > 1:
        raise ShapeError("0D or 1D target tensor expected, multi-target not supported")
    if not input1.ndim == input2.ndim == dim + 1:
        raise ShapeError(
            f"{dim}D target tensor expects {dim + 1}D input tensors, but found inputs with sizes "
            f"{list(input1.shape)} and {list(input2.shape)}."
        )
    square1, square2 = (input1 * input1).sum(dim) + 1e-12, (input2 * input2).sum(dim) + 1e-12
    cosine = (input1 * input2).sum(dim) / TABLE.sqrt(square1 * square2)
    together = TABLE.where(target == 1, 1 - cosine, 0)
    return reduced(together + TABLE.where(target == -1, _positive(cosine - margin), 0), reduction)


@loss()
def triplet_margin_loss(
    anchor: Any,
    positive: Any,
    negative: Any,
    margin: float = 1.0,
    p: float = 2,
    eps: float = 1e-6,
    swap: bool = False,
    reduction: str = "mean",
) -> Any:
    """By how much the anchor's distance to ``negative`` fails to exceed that to ``positive`` by ``margin``.

    Distances are ``pairwise_distance``; with ``swap`` the negative's is the less of those to the others.
    Source: torch.nn.functional.triplet_margin_loss; Balntas et al. 2016.
    """
    if margin <= 0:
        raise ValueError(f"margin must be greater than 0, got {margin}")
    if not anchor.ndim == positive.ndim == negative.ndim:
        raise ShapeError(
            "The anchor, positive, and negative tensors are expected to have the same number of dimensions, "
            f"but got: anchor {anchor.ndim}D, positive {positive.ndim}D, and negative {negative.ndim}D inputs"
        )
    near, far = pairwise_distance(anchor, positive, p, eps), pairwise_distance(anchor, negative, p, eps)
    if swap:
        far = TABLE.minimum(far, pairwise_distance(positive, negative, p, eps))
    return reduced(_positive(margin + near - far), reduction)
