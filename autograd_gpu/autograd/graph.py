"""The graph that backward passes walk: its nodes and edges."""

from ..edges import AccumulateGrad, GradientEdge
from ..engine import Node
from ..errors import GraphError
from ..tensor import LEAF, Tensor

__all__ = ["GradientEdge", "Node", "get_gradient_edge", "increment_version"]


def get_gradient_edge(tensor: Tensor) -> GradientEdge:
    """Where cotangents of ``tensor`` go. Stands for it in ``autograd.grad``, without keeping its memory.

    >>> import autograd_gpu as torch
    >>> x = torch.tensor(2.0, requires_grad=True)
    >>> y = x * x
    >>> edge = get_gradient_edge(y)
    >>> torch.autograd.grad(y * 3, [edge, x])
    (tensor(3.), tensor(12.))
    """
    if tensor._node is LEAF:
        return GradientEdge(AccumulateGrad(tensor), 0)
    if (node := tensor.grad_fn) is None:
        raise GraphError("It is not possible to get the gradient edge for a Tensor that does not require gradients")
    return GradientEdge(node, tensor.output_nr)


def increment_version(tensor: Tensor | list[Tensor] | tuple[Tensor, ...]) -> None:
    """Count a write to the memory of ``tensor`` (or of several) that was made behind autograd's back."""
    for written in (tensor,) if isinstance(tensor, Tensor) else tensor:
        written._counter.bump()
