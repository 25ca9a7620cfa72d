"""Bounds for gradients: on their norm, taken as one vector, or on each element."""

import warnings
from collections import defaultdict
from collections.abc import Iterable
from functools import cache
from math import inf
from types import GeneratorType
from typing import Any

from ...backends import Type
from ...fusion.norms import clip, fits
from ...fusion.update import Update
from ...op import PUBLIC, TABLE
from ...ops.vector_norm import vector_norm
from ...tensor import Tensor, user_line, wrap
from ...writes import check_memory, check_writable

Tensors = Tensor | Iterable[Tensor]


def _listed(tensors: Tensors) -> list[Tensor]:
    return [tensors] if isinstance(tensors, Tensor) else list(tensors)


def _gradients(parameters: Tensors) -> list[Tensor]:
    """The gradients that there are, without their history."""
    return [p._grad.detach() for p in _listed(parameters) if p._grad is not None]


def _by_type(tensors: list[Tensor]) -> dict[Type, list[Any]]:
    """The arrays of ``tensors``, by dtype and device."""
    found = defaultdict(list)
    for tensor in tensors:
        found[tensor._type].append(tensor.array)
    return dict(found)


def _check_writable(grads: list[Tensor]) -> None:
    for grad in grads:
        check_writable(grad)
        check_memory(grad.array)


def _count_writes(grads: list[Tensor]) -> None:
    line = user_line()
    for grad in grads:
        grad._counter.bump()
        grad._counter.writer, grad._counter.operation = line, ""


def get_total_norm(
    tensors: Tensors,
    norm_type: float = 2.0,
    error_if_nonfinite: bool = False,
    foreach: bool | None = None,  # noqa: ARG001  a hint
) -> Tensor:
    """The norm of order ``norm_type`` of all elements of ``tensors``, as a 0-d tensor.

    With ``error_if_nonfinite`` it waits for the device, and raises RuntimeError if the norm is nan or infinite.
    ``foreach`` changes nothing here. Source: torch.nn.utils.get_total_norm.

    >>> import autograd_gpu as torch
    >>> get_total_norm([torch.tensor([3.0]), torch.tensor([4.0])])
    tensor(5.)
    """
    tensors, order = [tensor.detach() for tensor in _listed(tensors)], float(norm_type)
    if not tensors:
        return PUBLIC["tensor"](0.0)  # type: ignore[no-any-return]
    arrays = _by_type(tensors)
    if fits(list(arrays), order):
        total = wrap(clip(arrays, order, None))
    else:
        norms = [vector_norm(tensor, order).to(tensors[0].device) for tensor in tensors]
        total = vector_norm(PUBLIC["stack"](norms), order)
    if error_if_nonfinite and not bool(total.isfinite()):
        raise RuntimeError(
            f"The total norm of order {order} for gradients from `parameters` is non-finite, so it cannot be "
            "clipped. To disable this error and scale the gradients by the non-finite norm anyway, set "
            "`error_if_nonfinite=False`"
        )
    return total


def clip_grads_with_norm_(
    parameters: Tensors,
    max_norm: float,
    total_norm: Tensor,
    foreach: bool | None = None,  # noqa: ARG001  a hint
) -> None:
    """Scale the gradients of ``parameters``, in place, by ``max_norm / (total_norm + 1e-6)`` where that is below 1.

    ``foreach`` changes nothing here. Source: torch.nn.utils.clip_grads_with_norm_.
    """
    grads, limit = _gradients(parameters), float(max_norm)
    if not grads:
        return
    _check_writable(grads)
    arrays, total_norm = _by_type(grads), total_norm.detach()
    if total_norm.device is grads[0].device and fits([*arrays], 2.0):
        clip(arrays, inf, limit, total_norm.array)
        _count_writes(grads)
        return
    factor: Any = TABLE.clamp_max(TABLE.div(limit, TABLE.add(total_norm, 1e-6)), 1.0)
    for grad in grads:
        grad.mul_(factor.to(grad.device))


def clip_grad_norm_(
    parameters: Tensors,
    max_norm: float,
    norm_type: float = 2.0,
    error_if_nonfinite: bool = False,
    foreach: bool | None = None,  # noqa: ARG001  a hint
) -> Tensor:
    """Scale the gradients of ``parameters``, in place, to a norm of ``max_norm`` if it is larger; return what it was.

    The gradients count as one vector. On a CUDA device this is two launches for each dtype, and waits for the
    device only with ``error_if_nonfinite``, which raises RuntimeError if the norm is nan or infinite. ``foreach``
    changes nothing here. Source: torch.nn.utils.clip_grad_norm_; Pascanu et al. 2013.

    >>> import autograd_gpu as torch
    >>> x = torch.tensor([3.0, 4.0], requires_grad=True)
    >>> (x * x / 2).sum().backward()
    >>> clip_grad_norm_(x, max_norm=1.0)
    tensor(5.)
    >>> x.grad
    tensor([0.6000, 0.8000])
    """
    listed, order = _listed(parameters), float(norm_type)
    if isinstance(parameters, GeneratorType) and not listed:
        warnings.warn("`parameters` is an empty generator, no gradient clipping will occur.", stacklevel=2)
    grads = _gradients(listed)
    arrays = _by_type(grads)
    if error_if_nonfinite or not fits([*arrays], order):
        total = get_total_norm(grads, order, error_if_nonfinite)
        clip_grads_with_norm_(listed, max_norm, total)
        return total
    _check_writable(grads)
    total = wrap(clip(arrays, order, float(max_norm)))
    _count_writes(grads)
    return total


@cache
def _clamp() -> Update:
    def clamp(grad: Any, *, low: Any, high: Any) -> tuple[Any, ...]:
        return (TABLE.minimum(TABLE.maximum(grad, low), high),)

    return Update("clamp", clamp, arrays=1, reads=0)


def clip_grad_value_(
    parameters: Tensors,
    clip_value: float,
    foreach: bool | None = None,  # noqa: ARG001  a hint
) -> None:
    """Bring each element of the gradients of ``parameters``, in place, between ``-clip_value`` and ``clip_value``.

    On a CUDA device this is one launch for each dtype. ``foreach`` changes nothing here.
    Source: torch.nn.utils.clip_grad_value_.

    >>> import autograd_gpu as torch
    >>> x = torch.tensor([0.25, 4.0], requires_grad=True)
    >>> (x * x).sum().backward()
    >>> clip_grad_value_(x, 1.0)
    >>> x.grad
    tensor([0.5000, 1.0000])
    """
    grads, limit = _gradients(parameters), float(clip_value)
    _check_writable(grads)
    arrays = _by_type(grads)
    for type_ in arrays:
        TABLE.clamp_min.refuse(type_.dtype)
    bounds = {"low": -limit, "high": limit}
    updates = [_clamp().prepare(type_, [(array, None) for array in some], bounds) for type_, some in arrays.items()]
    for update in updates:
        update()
    _count_writes(grads)
