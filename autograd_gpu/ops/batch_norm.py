"""Normalisation of channels: over a whole batch, or of each example by itself, with running statistics."""

from math import prod
from typing import Any

from ..dtypes import FLOAT
from ..errors import ShapeError
from ..fused import Fused
from ..modes import modes
from ..op import TABLE, functional
from ..shapes import Size
from .loss import check_constant
from .norm import of_group_norm, scaled, standard

Shape = tuple[int, ...]

# ``sizes`` are the shapes in which the functions below see their arguments. Beside what is normalised, they return the
# ``running`` statistics, moved by the share ``momentum``; ``unbiased`` is the factor that makes a variance unbiased.


def _with_moved(
    y: Any, mean: Any, var: Any, running: tuple[Any, Any], momentum: float, unbiased: float, dim: Shape
) -> Any:
    """``y``, and the statistics in ``running`` that are not None, moved to ``mean`` and ``var``."""
    new = zip(running, (mean, var * unbiased), strict=True)
    moved = [(old * (1 - momentum) + x * momentum).to(old.dtype) for old, x in new if old is not None]
    return (y, *(TABLE.squeeze_dims(x, dim=dim) for x in moved)) if moved else y


def _of_batches(
    input: Any,
    weight: Any,
    bias: Any,
    near: Any,
    running_mean: Any,
    running_var: Any,
    momentum: float,
    unbiased: float,
    sizes: tuple[Shape | None, ...],  # noqa: ARG001
    dim: Shape,
    eps: float,
) -> Any:
    x, mean, var, _ = standard(input, dim, eps, near)
    y = scaled(x, weight, bias, input.dtype)
    return _with_moved(y, mean, var, (running_mean, running_var), momentum, unbiased, dim)


def _gradient_of_batches(g: Any, input: Any, weight: Any, _bias: Any, near: Any, *rest: Any) -> tuple[Any, ...]:
    *_, dim, eps, _y = rest
    x, _, _, scale = standard(input, dim, eps, near)
    centred = g - TABLE.mean(g, dim=dim, keepdim=True) - x * TABLE.mean(g * x, dim=dim, keepdim=True)
    slope = scale if weight is None else scale * weight
    of_weight, of_bias = (TABLE.sum(part, dim=dim, keepdim=True) for part in (g * x, g))
    return centred * slope, of_weight, of_bias, *(None,) * 8


def _by_running(
    input: Any,
    weight: Any,
    bias: Any,
    mean: Any,
    var: Any,
    sizes: tuple[Shape, ...],  # noqa: ARG001
    eps: float,
) -> Any:
    return scaled((input - mean) * TABLE.rsqrt(var + eps), weight, bias, input.dtype)


def _of_instances(
    input: Any,
    weight: Any,
    bias: Any,
    running_mean: Any,
    running_var: Any,
    momentum: float,
    unbiased: float,
    sizes: tuple[Shape, ...],  # noqa: ARG001
    eps: float,
) -> Any:
    x, mean, var, _ = standard(input, (2, 3), eps)
    y = scaled(x, weight, bias, input.dtype)
    return _with_moved(y, mean, var, (running_mean, running_var), momentum, unbiased, (2, 3))


def _gradient_of_instances(g: Any, input: Any, weight: Any, bias: Any, *rest: Any) -> tuple[Any, ...]:
    *_, sizes, eps, y = rest
    return *of_group_norm(g, input, weight, bias, sizes, eps, y)[:3], *(None,) * 6


def _record(function: Any, gradient: Any = None, *, view: bool = False, along: str | None = None) -> Fused:
    """``function`` as an operation; of instances it is a ``view`` in torch, of what batch_norm makes."""
    return Fused(
        "native_batch_norm",
        function,
        gradient=gradient,
        node="ViewBackward0" if view else None,
        title="batch_norm",
        takes=(FLOAT,),
        along=along,
        seen="sizes",
        counted=("input",) if view else ("input", "weight", "bias"),
        differentiable=1,
    )


OF_BATCHES = _record(_of_batches, _gradient_of_batches, along="dim")
OF_INSTANCES = _record(_of_instances, _gradient_of_instances, view=True)
BY_RUNNING, INSTANCES_BY_RUNNING = (_record(_by_running, view=view) for view in (False, True))


# --- checks ----------------------------------------------------------------------------------------------


def _check_features(features: int, **parameters: Any) -> None:
    """Raise unless each of ``parameters`` that is given has one number for each of the ``features``."""
    for name, parameter in parameters.items():
        if parameter is not None and parameter.numel() != features:
            raise ShapeError(f"{name} should contain {features} elements not {parameter.numel()}")


def _check_several_values(input: Any) -> None:
    """ValueError if a channel has one value, which has no variance."""
    if input.ndim and prod((input.shape[0], *input.shape[2:])) == 1:
        raise ValueError(f"Expected more than 1 value per channel when training, got input size {Size(input.shape)}")


def _check_momentum(name: str, momentum: Any) -> None:
    if momentum is None:
        raise TypeError(f"{name}(): argument 'momentum' (position 7) must be float, not NoneType")


# --- what users call -------------------------------------------------------------------------------------


def _middle(input: Any, shape: Shape) -> Any:
    """A value of each channel of ``input``, far from its edges, in ``shape``; without history."""
    values = input.detach()
    array = values.array
    if array.size:
        array = array[tuple(slice(None) if axis == 1 else n // 2 for axis, n in enumerate(array.shape))]
    else:
        array = array.sum((0, *range(2, array.ndim)))
    values._set_array(array.reshape(shape))
    return values


def _unbiased(count: int) -> float:
    """The factor that makes the variance of ``count`` values unbiased."""
    return count / max(count - 1, 1)


def _kept(made: Any, running: tuple[Any, Any]) -> Any:
    """The first of the results ``made``; the others, or their means over examples, become the ``running`` statistics."""
    if not isinstance(made, tuple):
        return made
    y, *moved = made
    for old, new in zip([stat for stat in running if stat is not None], moved, strict=True):
        of_channels = new if new.ndim == 1 else TABLE.mean(new, dim=(0,), keepdim=False)
        old.copy_(of_channels if old.ndim == 1 else TABLE.reshape(of_channels, size=old._shape))
    return y


def _evaluated(op: Fused, input: Any, mean: Any, var: Any, weight: Any, bias: Any, eps: float) -> Any:
    """``input`` normalised by running statistics."""
    if modes.grad and any(x is not None and x.requires_grad for x in (input, weight, bias)):
        mean, var = mean.clone(), var.clone()  # the gradient does not see how they move later
    examples, channels, *sizes = input._shape
    pixels = (prod(sizes),) if sizes else ()
    seen, of_channels = (examples, channels, *pixels), (channels, *(1 for _ in pixels))
    return op(input, weight, bias, mean, var, (seen, *(of_channels,) * 4), float(eps))


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
    Gradient, with x the normalised input: ``(g - mean(g) - x mean(g x)) weight / sqrt(var + eps)``.
    Source: torch.nn.functional.batch_norm; Ioffe and Szegedy 2015.

    >>> import autograd_gpu as ag
    >>> batch_norm(ag.tensor([[1.0], [3.0]]), None, None, training=True)
    tensor([[-1.0000],
            [ 1.0000]])
    """
    if training:
        _check_several_values(input)
    if eps < 0 or (training and eps == 0):
        bound = "positive during training" if training else "non-negative"
        raise ValueError(f"batch_norm eps must be {bound}, but got {eps}")
    for name, stat in (("running_mean", running_mean), ("running_var", running_var)):
        if stat is None and not training:
            raise RuntimeError(f"{name} must be defined in evaluation mode")
    shape = tuple(input.shape)
    _check_features(
        shape[1] if len(shape) > 1 else 0,
        running_mean=running_mean,
        running_var=running_var,
        weight=weight,
        bias=bias,
    )
    check_constant("native_batch_norm", running_mean=running_mean, running_var=running_var)
    _check_momentum("batch_norm", momentum)
    if not training:
        return _evaluated(BY_RUNNING, input, running_mean, running_var, weight, bias, eps)
    channels = shape[1], *(1,) * (len(shape) - 1)
    running = (running_mean, running_var) if input.numel() else (None, None)
    made = OF_BATCHES(
        input,
        weight,
        bias,
        _middle(input, channels),
        *running,
        float(momentum),
        _unbiased(input.numel() // max(shape[1], 1)),
        (None, *(channels,) * 5),
        (0, *range(2, len(shape))),
        float(eps),
    )
    return _kept(made, running)


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
    shape = tuple(input.shape)
    if use_input_stats and prod(shape[2:]) == 1:
        raise ValueError(f"Expected more than 1 spatial element when training, got input size {Size(shape)}")
    if not use_input_stats and (running_mean is None or running_var is None):
        raise RuntimeError("Expected running_mean and running_var to be defined when use_input_stats is false")
    _check_features(shape[1], running_mean=running_mean, running_var=running_var, weight=weight, bias=bias)
    check_constant("native_batch_norm", running_mean=running_mean, running_var=running_var)
    _check_momentum("instance_norm", momentum)
    if not use_input_stats:
        return _evaluated(INSTANCES_BY_RUNNING, input, running_mean, running_var, weight, bias, eps)
    examples, channels, count = shape[0], shape[1], prod(shape[2:])
    of_channels = channels, 1, 1
    running = (running_mean, running_var) if input.numel() else (None, None)
    made = OF_INSTANCES(
        input,
        weight,
        bias,
        *running,
        float(momentum),
        _unbiased(count),
        ((examples, channels, 1, count), *(of_channels,) * 4),
        float(eps),
    )
    return _kept(made, running)
