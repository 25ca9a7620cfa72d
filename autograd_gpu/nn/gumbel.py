"""Samples of classes that can be differentiated."""

import warnings
from typing import Any

from ..backends import of
from ..op import functional
from ..ops.softmax import softmax
from ..random import stream_of
from ..shapes import dim_of


@functional
def gumbel_softmax(logits: Any, tau: float = 1, hard: bool = False, eps: float = 1e-10, dim: int = -1) -> Any:
    """``softmax((logits + noise) / tau)``: random weights, near 1 for one class and near 0 for the others.

    The noise has the Gumbel distribution; after ``manual_seed`` the CPU draws PyTorch's. ``hard`` returns
    1 and 0, with the gradient of those weights. ``eps`` has no effect. Source:
    torch.nn.functional.gumbel_softmax; Jang et al. 2017.
    """
    if eps != 1e-10:
        warnings.warn("`eps` parameter is deprecated and has no effect.", stacklevel=2)
    dim = dim_of(dim, logits.ndim)
    soft = softmax((logits + _gumbel(logits)) / tau, dim)
    if not hard:
        return soft
    return _corner(soft.array, dim) - soft.detach() + soft


def _gumbel(x: Any) -> Any:
    """An array of numbers of the Gumbel distribution in the shape and dtype of ``x``, on its device."""
    with x._type.backend.Scope(x.device):
        return -x._type.backend.xp.log(stream_of(None, x.device).exponential(x.shape, x.dtype))


def _corner(x: Any, dim: int) -> Any:
    """1 at the largest element of ``x`` along ``dim`` (the first of several), else 0."""
    xp = of(x).xp
    classes = xp.arange(x.shape[dim]).reshape((-1,) + (1,) * (x.ndim - dim - 1))
    return (classes == xp.expand_dims(x.argmax(axis=dim), dim)).astype(x.dtype)
