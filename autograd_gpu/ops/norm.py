"""Normalisation: mean 0 and variance 1 over some axes, then a learned scale and shift."""

from math import prod
from typing import Any

import numpy as np

from ..dtypes import FLOAT, REDUCED, float32
from ..errors import DtypeError, ShapeError
from ..fused import Fused
from ..op import TABLE, ArrayOp, functional, public
from ..shapes import Size
from .loss import check_constant
from .precision import in_float32

Shape = tuple[int, ...]

# One record serves batches and groups. Its parameters: ``size`` is what the input is viewed as, ``dim`` the axes of
# that view over which it is normalised, ``stats`` the mean and variance to use in place of the input's own
# (arrays, or None), and ``align`` is a shape for weight and bias that broadcasts against the input. Where
# there is no weight or bias it is the number 1 or 0.


def _view(x: Any, size: Shape) -> Any:
    """``x`` in the shape ``size``."""
    return x if x.shape == size else TABLE.reshape(x, size=size)


def _normalised(input: Any, size: Shape, dim: Shape, eps: float, stats: Any) -> tuple[Any, Any, Any, Any]:
    """``input`` viewed as ``size`` and normalised; the mean, the variance, and 1 / standard deviation."""
    x = _view(input, size)
    mean = TABLE.mean(x, dim=dim, keepdim=True) if stats is None else stats[0]
    rest = x - mean
    var = TABLE.mean(rest * rest, dim=dim, keepdim=True) if stats is None else stats[1]
    scale = TABLE.rsqrt(var + eps)
    return rest * scale, mean, var, scale


def _scaled(x: Any, weight: Any, align: Shape) -> Any:
    return x if isinstance(weight, int) else x * _view(weight, align)


@in_float32
def _norm(input: Any, weight: Any, bias: Any, size: Shape, dim: Shape, align: Shape, eps: float, stats: Any) -> Any:
    x, mean, var, _ = _normalised(input, size, dim, eps, stats)
    y = _scaled(_view(x, input.shape), weight, align)
    return y if isinstance(bias, int) else y + _view(bias, align), mean, var


@in_float32
def _norm_vjp(
    g: Any,
    input: Any,
    weight: Any,
    shape: Shape,
    size: Shape,
    dim: Shape,
    align: Shape,
    eps: float,
    stats: Any,
) -> Any:
    g = _view(_scaled(g, weight, align), size)
    x, _, _, scale = _normalised(input, size, dim, eps, stats)
    if stats is None:
        own = x * TABLE.mean(g * x, dim=dim, keepdim=True)
        g = g - TABLE.mean(g, dim=dim, keepdim=True) - own
    return _view(g * scale, shape)


@in_float32
def _norm_weight_vjp(
    g: Any, input: Any, shape: Shape, size: Shape, dim: Shape, align: Shape, eps: float, stats: Any
) -> Any:
    x, *_ = _normalised(input, size, dim, eps, stats)
    return _summed(g * _view(x, input.shape), align, shape)


@in_float32
def _norm_bias_vjp(g: Any, shape: Shape, align: Shape) -> Any:
    return _summed(g, align, shape)


def _summed(g: Any, align: Shape, shape: Shape) -> Any:
    """``g`` summed over the axes along which ``align`` was broadcast, in the shape of the operand."""
    return _view(TABLE.sum_to_size(g, size=align), shape)


ArrayOp(
    "native_batch_norm",
    "input, weight, bias",
    _norm,
    {"input": _norm_vjp, "weight": _norm_weight_vjp, "bias": _norm_bias_vjp},
    "(input - mean) / sqrt(variance + eps) * weight + bias; also the mean and the variance",
    takes=(FLOAT,),
    differentiable=1,
    fits=True,
    title="batch_norm",
)


def _centred(input: Any, dim: Shape, eps: float) -> tuple[Any, Any]:
    """``input`` with mean 0 and variance 1 over ``dim``, and 1 / standard deviation."""
    rest = input - TABLE.mean(input, dim=dim, keepdim=True)
    scale = TABLE.rsqrt(TABLE.mean(rest * rest, dim=dim, keepdim=True) + eps)
    return rest * scale, scale


def _layer_norm(input: Any, weight: Any, bias: Any, dim: Shape, eps: float) -> Any:
    x, _ = _centred(input, dim, eps)
    y = x if weight is None else x * weight
    return (y if bias is None else y + bias).to(input.dtype)


def _of_layer_norm(g: Any, input: Any, weight: Any, _bias: Any, dim: Shape, eps: float, _y: Any) -> tuple[Any, ...]:
    x, scale = _centred(input, dim, eps)
    h = g if weight is None else g * weight
    own = x * TABLE.mean(h * x, dim=dim, keepdim=True)
    return (h - TABLE.mean(h, dim=dim, keepdim=True) - own) * scale, g * x, g, None, None


def _group_norm(input: Any, weight: Any, bias: Any, sizes: tuple[Shape, ...], eps: float) -> Any:  # noqa: ARG001
    return _layer_norm(input, weight, bias, (2, 3), eps)


def _of_group_norm(
    g: Any, input: Any, weight: Any, bias: Any, _sizes: tuple[Shape, ...], eps: float, y: Any
) -> tuple[Any, ...]:
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
    gradient=_of_group_norm,
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
    return NATIVE_LAYER_NORM(input, weight, bias, dim, eps)


def _run(
    op: Any,
    input: Any,
    weight: Any,
    bias: Any,
    size: Shape,
    dim: Shape,
    align: Shape,
    eps: float,
    stats: Any = None,
) -> Any:
    """``op`` of the records above: the result, the mean and the variance."""
    weight, bias = 1 if weight is None else weight, 0 if bias is None else bias
    return op(input, weight, bias, size=size, dim=dim, align=align, eps=eps, stats=stats)


@public(method=False, functional=True)
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
    return RMS_NORM(input, dim, eps) if weight is None else SCALED_RMS_NORM(input, weight, dim, eps)


def _channels(input: Any) -> Shape:
    """A shape with which a parameter of each channel broadcasts against an input (N, C, ...)."""
    return (1, int(input.shape[1]), *(1,) * (input.ndim - 2))


@public(method=False, functional=True)
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
    return NATIVE_GROUP_NORM(input, weight, bias, sizes, float(eps))


def _check_features(features: int, **parameters: Any) -> None:
    """Raise unless each of ``parameters`` that is given has one number for each of the ``features``."""
    for name, parameter in parameters.items():
        if parameter is not None and parameter.numel() != features:
            raise ShapeError(f"{name} should contain {features} elements not {parameter.numel()}")


@functional
def batch_norm(
    input: Any,
    running_mean: Any,
    running_var: Any,
    weight: Any = None,
    bias: Any = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Any:
    """Normalise each channel of an input (N, C, ...), then scale it by ``weight`` and shift it by ``bias``.

    In training by the mean and variance over the other axes, which also move the running ones (if given),
    in place, by the share ``momentum``: ``running = (1 - momentum) running + momentum new`` (the variance
    that moves is the unbiased one). Otherwise by the running ones.
    Source: torch.nn.functional.batch_norm; Ioffe and Szegedy 2015.
    """
    if training:
        _check_several_values(input)
    if eps < 0 or (training and eps == 0):
        bound = "positive during training" if training else "non-negative"
        raise ValueError(f"batch_norm eps must be {bound}, but got {eps}")
    for name, stat in (("running_mean", running_mean), ("running_var", running_var)):
        if stat is None and not training:
            raise RuntimeError(f"{name} must be defined in evaluation mode")
    _check_features(
        input.shape[1] if input.ndim > 1 else 0,
        running_mean=running_mean,
        running_var=running_var,
        weight=weight,
        bias=bias,
    )
    check_constant("native_batch_norm", running_mean=running_mean, running_var=running_var)
    return _batch_norm(input, running_mean, running_var, weight, bias, training, momentum, eps)


def _batch_norm(
    input: Any,
    running_mean: Any,
    running_var: Any,
    weight: Any,
    bias: Any,
    training: bool,
    momentum: float,
    eps: float,
) -> Any:
    """``batch_norm`` of checked arguments."""
    align = _channels(input)
    stats = None if training else tuple(s.array.reshape(align).copy() for s in (running_mean, running_var))
    dim = (0, *range(2, input.ndim))
    y, mean, var = _run(TABLE.native_batch_norm, input, weight, bias, tuple(input.shape), dim, align, eps, stats)
    if training:
        count = prod(input.shape) // max(input.shape[1], 1)
        for running, new in ((running_mean, mean), (running_var, var * (count / max(count - 1, 1)))):
            if running is not None:
                running.mul_(1 - momentum).add_(momentum * TABLE.reshape(new, size=tuple(running.shape)))
    return y


def _check_several_values(input: Any) -> None:
    """ValueError if a channel has one value, which has no variance."""
    if input.ndim and prod((input.shape[0], *input.shape[2:])) == 1:
        raise ValueError(f"Expected more than 1 value per channel when training, got input size {Size(input.shape)}")


@functional
def instance_norm(
    input: Any,
    running_mean: Any = None,
    running_var: Any = None,
    weight: Any = None,
    bias: Any = None,
    use_input_stats: bool = True,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Any:
    """Normalise each channel of each example of an input (N, C, ...): ``batch_norm`` of N times C channels.

    Running statistics are averaged over the examples. Source: torch.nn.functional.instance_norm; Ulyanov et
    al. 2016.
    """
    if use_input_stats and prod(input.shape[2:]) == 1:
        raise ValueError(f"Expected more than 1 spatial element when training, got input size {Size(input.shape)}")
    if not use_input_stats and (running_mean is None or running_var is None):
        raise RuntimeError("Expected running_mean and running_var to be defined when use_input_stats is false")
    examples, channels, *sizes = input.shape
    _check_features(channels, running_mean=running_mean, running_var=running_var, weight=weight, bias=bias)
    mean, var, scale, shift = (
        None if p is None else p.repeat(examples) for p in (running_mean, running_var, weight, bias)
    )
    merged = input.reshape(1, examples * channels, *sizes)
    y = _batch_norm(merged, mean, var, scale, shift, use_input_stats, momentum, eps)
    if use_input_stats:
        for running, repeated in ((running_mean, mean), (running_var, var)):
            if running is not None and repeated is not None:
                running.copy_(repeated.reshape(examples, channels).mean(0))
    return y.reshape(input.shape)
