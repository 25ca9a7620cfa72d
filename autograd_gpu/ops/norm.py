"""Normalisation of each example: mean 0 and variance 1 over some axes, then a learned scale and shift."""

from math import prod
from typing import Any

import numpy as np

from ..dtypes import FLOAT, REDUCED, float32
from ..errors import DtypeError, ShapeError
from ..fused import Decision, Fused, decided
from ..op import TABLE, public

Shape = tuple[int, ...]


def standard(input: Any, dim: Shape, eps: float, near: Any = None) -> tuple[Any, Any, Any, Any]:
    """``input`` with mean 0 and variance 1 over ``dim``; its mean, its variance, and 1 / standard deviation.

    With values ``near`` the means, of which differences are summed so that little cancels, one pass gives both sums.
    """
    if near is None:
        mean = TABLE.mean(input, dim=dim, keepdim=True)
        rest = input - mean
        var = TABLE.mean(rest * rest, dim=dim, keepdim=True)
    else:
        rest = input - near
        more = TABLE.mean(rest, dim=dim, keepdim=True)
        var = TABLE.maximum(TABLE.mean(rest * rest, dim=dim, keepdim=True) - more * more, 0.0)
        mean, rest = near + more, rest - more
    scale = TABLE.rsqrt(var + eps)
    return rest * scale, mean, var, scale


def scaled(x: Any, weight: Any, bias: Any, d: Any) -> Any:
    """``x * weight + bias`` in the dtype ``d``; either may be None."""
    y = x if weight is None else x * weight
    return (y if bias is None else y + bias).to(d)


def _layer_norm(input: Any, weight: Any, bias: Any, dim: Shape, eps: float) -> Any:
    return scaled(standard(input, dim, eps)[0], weight, bias, input.dtype)


def _of_layer_norm(g: Any, input: Any, weight: Any, _bias: Any, dim: Shape, eps: float, _y: Any) -> tuple[Any, ...]:
    x, _, _, scale = standard(input, dim, eps)
    h = g if weight is None else g * weight
    own = x * TABLE.mean(h * x, dim=dim, keepdim=True)
    return (h - TABLE.mean(h, dim=dim, keepdim=True) - own) * scale, g * x, g, None, None


def _group_norm(input: Any, weight: Any, bias: Any, sizes: tuple[Shape, ...], eps: float) -> Any:  # noqa: ARG001
    return _layer_norm(input, weight, bias, (2, 3), eps)


def of_group_norm(
    g: Any, input: Any, weight: Any, bias: Any, _sizes: tuple[Shape, ...], eps: float, y: Any
) -> tuple[Any, ...]:
    """The cotangents of the arguments of ``group_norm`` in groups that are the axes 2 and 3."""
    return _of_layer_norm(g, input, weight, bias, (2, 3), eps, y)


def _rms_norm(input: Any, dim: Shape, eps: float) -> Any:
    return input * TABLE.rsqrt(TABLE.mean(input * input, dim=dim, keepdim=True) + eps)


def _scaled_rms_norm(input: Any, weight: Any, dim: Shape, eps: float) -> Any:
    return (_rms_norm(input, dim, eps) * weight).to(input.dtype)


NATIVE_LAYER_NORM = Fused(
    "native_layer_norm",
    _layer_norm,
    gradient=_of_layer_norm,
    title="LayerNormKernelImpl",
    takes=(FLOAT,),
    counted=("input", "weight", "bias"),
)
NATIVE_GROUP_NORM = Fused(
    "native_group_norm",
    _group_norm,
    gradient=of_group_norm,
    title="GroupNormKernelImpl",
    takes=(FLOAT,),
    seen="sizes",
    counted=("input", "weight", "bias"),
)
# In torch this is a product of the input, or of what it is normalised to
RMS_NORM = Fused("rms_norm", _rms_norm, node="MulBackward0", takes=(FLOAT,), counted=("input", "input"))
SCALED_RMS_NORM = Fused("rms_norm", _scaled_rms_norm, node="MulBackward0", takes=(FLOAT,), counted=("input", "weight"))


# --- what users call -------------------------------------------------------------------------------------


def _normalized_shape(name: str, shape: Any, input: Any, gap: str = ", ") -> Shape:
    """``shape`` as a tuple, checked to be the end of the input's."""
    if not isinstance(shape, tuple | list):
        raise TypeError(
            f"{name}(): argument 'normalized_shape' (position 2) must be tuple of ints, not {type(shape).__name__}"
        )
    sizes: Shape = tuple(shape)
    if not sizes:
        raise ShapeError(
            "Expected normalized_shape to be at least 1-dimensional, i.e., containing at least one element, "
            "but got normalized_shape = []"
        )
    if tuple(input.shape[-len(sizes) :]) != sizes:
        raise ShapeError(
            f"Given normalized_shape={list(sizes)}, expected input with shape "
            f"[*{gap}{', '.join(map(str, sizes))}], but got input of size{list(input.shape)}"
        )
    return sizes


def _check_shape(name: str, parameter: Any, shape: Shape) -> None:
    if parameter is not None and tuple(parameter.shape) != shape:
        raise ShapeError(
            f"Expected {name} to be of same shape as normalized_shape, but got {name} of shape "
            f"{list(parameter.shape)} and normalized_shape = {list(shape)}"
        )


@public(method=False, functional=True)
@decided
def layer_norm(
    input: Any,
    normalized_shape: Any,
    weight: Any = None,
    bias: Any = None,
    eps: float = 1e-5,
) -> Any:
    """``(input - mean) / sqrt(var + eps) * weight + bias`` over the last axes.

    ``normalized_shape`` holds their sizes, and is the shape of ``weight`` and ``bias``.
    Gradient, with x the normalised input and h = g weight: ``(h - mean(h) - x mean(h x)) / sqrt(var + eps)``.
    Source: torch.nn.functional.layer_norm; Ba et al. 2016.

    >>> import autograd_gpu as ag
    >>> layer_norm(ag.tensor([1.0, 3.0]), (2,))
    tensor([-1.0000,  1.0000])
    """
    shape = _normalized_shape("layer_norm", normalized_shape, input)
    _check_shape("weight", weight, shape)
    _check_shape("bias", bias, shape)
    dim = tuple(range(input.ndim - len(shape), input.ndim))
    return Decision(NATIVE_LAYER_NORM, (input, weight, bias, dim, eps))


@public(method=False, functional=True)
@decided
def rms_norm(input: Any, normalized_shape: Any, weight: Any = None, eps: float | None = None) -> Any:
    """``input / sqrt(mean(input**2) + eps) * weight`` over the last axes.

    ``normalized_shape`` holds their sizes, and is the shape of ``weight``. ``eps`` is the dtype's machine
    epsilon unless given. Source: torch.nn.functional.rms_norm; Zhang and Sennrich 2019.
    """
    shape = _normalized_shape("rms_norm", normalized_shape, input, gap="")
    _check_shape("weight", weight, shape)
    if input.dtype.category < FLOAT:
        raise DtypeError(f"\"rms_norm\" not implemented for '{input.dtype.scalar_name}'")
    if eps is None:
        eps = float(np.finfo((float32 if input.dtype in REDUCED else input.dtype).numpy).eps)
    dim = tuple(range(input.ndim - len(shape), input.ndim))
    if weight is None:
        return Decision(RMS_NORM, (input, dim, eps))
    return Decision(SCALED_RMS_NORM, (input, weight, dim, eps))


@public(method=False, functional=True)
@decided
def group_norm(
    input: Any,
    num_groups: int,
    weight: Any = None,
    bias: Any = None,
    eps: float = 1e-5,
) -> Any:
    """Normalise an input (N, C, ...) over groups of ``C / num_groups`` channels, each example by itself.

    ``weight`` and ``bias`` have shape (C,). Source: torch.nn.functional.group_norm; Wu and He 2018.
    """
    shape = tuple(input.shape)
    if input.ndim < 2:
        raise ShapeError(f"Expected at least 2 dimensions for input tensor but received {input.ndim}")
    if num_groups < 1 or shape[1] % num_groups:
        raise ShapeError(
            "Expected number of channels in input to be divisible by num_groups, but got input of shape "
            f"{list(shape)} and num_groups={num_groups}"
        )
    for name, parameter in (("weight", weight), ("bias", bias)):
        if parameter is not None and tuple(parameter.shape) != shape[1:2]:
            raise ShapeError(
                f"Expected {name} to be a vector of size equal to the number of channels in input, but got "
                f"{name} of shape {list(parameter.shape)} and input of shape {list(shape)}"
            )
    channels = shape[1] // num_groups
    of_channels = (num_groups, channels, 1)
    sizes = (shape[0], num_groups, channels, prod(shape[2:])), of_channels, of_channels
    return Decision(NATIVE_GROUP_NORM, (input, weight, bias, sizes, float(eps)))
