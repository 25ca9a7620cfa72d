"""Dropout: some elements, or channels, become 0 at random, and the others are scaled up for it."""

import warnings
from math import sqrt
from typing import Any

from ..dtypes import FLOAT
from ..errors import DtypeError, ShapeError
from ..fused import Fused
from ..layouts import arranged
from ..op import functional, public
from ..random import stream_of
from ..symbols import Symbol

Shape = tuple[int, ...]

ALPHA = 1.7580993408473766  # minus the limit of selu, for large negative numbers


def _check_probability(p: float) -> None:
    if not 0 <= p <= 1:
        raise ValueError(f"dropout probability has to be between 0 and 1, but got {p}")


def _kept(input: Any, size: Shape, keep: float) -> Any:
    """An array of ``size`` on the device of ``input``, in its dtype: 1 with probability ``keep``, else 0."""
    if isinstance(input, Symbol):
        return input._kept(size, keep)
    stream = stream_of(None, input.device)

    def draw(shape: Shape) -> Any:
        return stream.bernoulli_scalar(shape, keep, input.dtype)

    with input._type.backend.Scope(input.device):
        return arranged(input.array, draw) if size == input.shape else draw(size)


def _times(input: Any, factor: Any, inplace: bool) -> Any:
    return input.mul_(factor) if inplace else input * factor


def _like(x: Any, input: Any) -> Any:
    """``x``, which may be a scalar of NumPy's, as an array of the dtype of ``input``."""
    return x if isinstance(x, Symbol) else input._type.backend.xp.asarray(x, input._type.numpy)


def _native_dropout(input: Any, p: float) -> Any:
    return input * (_kept(input, input.shape, 1 - p) / (1 - p))


NATIVE_DROPOUT = Fused("native_dropout", _native_dropout)  # keeps no mask: it is made again for the gradient


def _drop(input: Any, size: Shape, p: float, inplace: bool) -> Any:
    """``input`` with a share ``p`` of its parts, of which ``size`` tells the number, set to 0."""
    if input.dtype.category < FLOAT:
        raise DtypeError(f"result type Float can't be cast to the desired output type {input.dtype.scalar_name}")
    if input.device.type == "cuda" and size == input.shape and p < 1 and not inplace:
        return NATIVE_DROPOUT(input, float(p))
    factor = _like(_kept(input, size, 1 - p) / (1 - p), input) if p < 1 else 0
    return _times(input, factor, inplace)


@public(name="dropout", method=False)
def native_dropout(input: Any, p: float, train: bool) -> Any:
    """``dropout`` with the signature of torch.dropout."""
    return dropout(input, p, train)


@functional
def dropout(input: Any, p: float = 0.5, training: bool = True, inplace: bool = False) -> Any:
    """In training, each element becomes 0 with probability ``p``, and is divided by ``1 - p`` otherwise.

    So its expectation stays. After ``manual_seed`` the CPU draws what PyTorch's CPU draws. Gradient: ``g``
    times the same factors. Source: torch.nn.functional.dropout; Srivastava et al. 2014.

    >>> import autograd_gpu as ag
    >>> dropout(ag.tensor([1.0, 2.0]), p=0.9, training=False)
    tensor([1., 2.])
    """
    _check_probability(p)
    if not training or p == 0 or 0 in input.shape:
        return input
    return _drop(input, tuple(input.shape), p, inplace)


def _feature_dropout(input: Any, p: float, training: bool, inplace: bool) -> Any:
    """``dropout`` of whole channels of an input (N, C, ...)."""
    if not training or p == 0 or 0 in input.shape:
        return input
    if input.ndim < 2:
        raise ShapeError("Feature dropout requires at least 2 dimensions in the input")
    return _drop(input, (*input.shape[:2], *(1,) * (input.ndim - 2)), p, inplace)


@functional
def dropout1d(input: Any, p: float = 0.5, training: bool = True, inplace: bool = False) -> Any:
    """``dropout`` of whole channels of an input (N, C, L) or (C, L).

    Source: torch.nn.functional.dropout1d.
    """
    _check_probability(p)
    if input.ndim not in (2, 3):
        raise RuntimeError(
            f"dropout1d: Expected 2D or 3D input, but received a {input.ndim}D input. Note that dropout1d "
            "exists to provide channel-wise dropout on inputs with 1 spatial dimension, a channel dimension, "
            "and an optional batch dimension (i.e. 2D or 3D inputs)."
        )
    if input.ndim == 3:
        return _feature_dropout(input, p, training, inplace)
    dropped = _feature_dropout(input.unsqueeze(0), p, training, inplace)
    return input if inplace else dropped.squeeze(0)


def _warn_of_axes(name: str, ndim: int, axes: int) -> None:
    """PyTorch's warning of an input without ``axes`` axes beside those of examples and channels."""
    if ndim not in (axes + 1, axes + 2):
        warnings.warn(
            f"{name}: Received a {ndim}-D input to {name}, which is deprecated and will result in an error "
            "in a future release. To retain the behavior and silence this warning, please use dropout "
            f"instead. Note that {name} exists to provide channel-wise dropout on inputs with {axes} spatial "
            "dimensions, a channel dimension, and an optional batch dimension "
            f"(i.e. {axes + 1}D or {axes + 2}D inputs).",
            stacklevel=3,
        )


@functional
def dropout2d(input: Any, p: float = 0.5, training: bool = True, inplace: bool = False) -> Any:
    """``dropout`` of whole channels of an input (N, C, H, W). Source: torch.nn.functional.dropout2d."""
    _check_probability(p)
    _warn_of_axes("dropout2d", input.ndim, 2)
    if input.ndim == 3:
        warnings.warn(
            "dropout2d: Received a 3D input to dropout2d and assuming that channel-wise 1D dropout behavior "
            "is desired - input is interpreted as shape (N, C, L), where C is the channel dim. This behavior "
            "will change in a future release to interpret the input as one without a batch dimension, i.e. "
            "shape (C, H, W). To maintain the 1D channel-wise dropout behavior, please switch to using "
            "dropout1d instead.",
            stacklevel=2,
        )
    return _feature_dropout(input, p, training, inplace)


@functional
def dropout3d(input: Any, p: float = 0.5, training: bool = True, inplace: bool = False) -> Any:
    """``dropout`` of whole channels of an input (N, C, D, H, W) or (C, D, H, W).

    Source: torch.nn.functional.dropout3d.
    """
    _check_probability(p)
    _warn_of_axes("dropout3d", input.ndim, 3)
    if input.ndim == 5:
        return _feature_dropout(input, p, training, inplace)
    dropped = _feature_dropout(input.unsqueeze(0), p, training, inplace)
    return input if inplace else dropped.squeeze(0)


@functional
def alpha_dropout(input: Any, p: float = 0.5, training: bool = False, inplace: bool = False) -> Any:
    """``dropout`` for selu: elements become its limit for negative numbers; mean and variance are restored.

    Source: torch.nn.functional.alpha_dropout; Klambauer et al. 2017.
    """
    _check_probability(p)
    if not training or p == 0 or 0 in input.shape:
        return input
    if p == 1:
        return _times(input, 0, inplace)
    kept = _kept(input, tuple(input.shape), 1 - p)
    scale = 1 / sqrt((ALPHA * ALPHA * p + 1) * (1 - p))
    result = _times(input, _like(kept * scale, input), inplace)
    shift = _like((kept - 1) * (ALPHA * scale) + ALPHA * scale * p, input)
    return result.add_(shift) if inplace else result + shift
