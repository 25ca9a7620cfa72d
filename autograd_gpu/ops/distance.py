"""Lengths, distances and angles of vectors along an axis."""

from typing import Any

from ..dtypes import FLOAT, promote_types
from ..errors import DtypeError
from ..op import TABLE, functional, public
from ..shapes import broadcast, dim_of
from .loss import expanded


@public(method=False, functional=True)
def cosine_similarity(x1: Any, x2: Any, dim: int = 1, eps: float = 1e-8) -> Any:
    """The cosine of the angle between ``x1`` and ``x2`` (broadcast), whose vectors lie along ``dim``.

    Lengths below ``eps`` count as ``eps``. Source: torch.nn.functional.cosine_similarity.

    >>> import autograd_gpu as ag
    >>> cosine_similarity(ag.tensor([3.0, 0.0]), ag.tensor([1.0, 1.0]), dim=0)
    tensor(0.7071)
    """
    common = promote_types(x1.dtype, x2.dtype)
    if common.category < FLOAT:
        raise DtypeError(f"expected common dtype to be floating point, yet common dtype is {common.scalar_name}")
    size = broadcast(tuple(x1.shape), tuple(x2.shape))
    dim = dim_of(dim, len(size))
    x1, x2 = (x / x.norm(dim=dim, keepdim=True).clamp_min(eps) for x in (expanded(x1, size), expanded(x2, size)))
    return (x1 * x2).sum(dim)


@public(method=False, functional=True)
def pairwise_distance(x1: Any, x2: Any, p: float = 2.0, eps: float = 1e-6, keepdim: bool = False) -> Any:
    """The ``p``-norm of ``x1 - x2 + eps`` over the last axis.

    Source: torch.nn.functional.pairwise_distance.
    """
    return (x1 - x2 + eps).norm(p, dim=-1, keepdim=keepdim)


@functional
def normalize(input: Any, p: float = 2.0, dim: int = 1, eps: float = 1e-12, out: Any = None) -> Any:
    """``input`` divided by its ``p``-norm over ``dim``, or by ``eps`` where that is more.

    Source: torch.nn.functional.normalize.
    """
    length = input.norm(p, dim=dim, keepdim=True).clamp_min(eps)
    return TABLE.div(input, length) if out is None else TABLE.div(input, length, out=out)
