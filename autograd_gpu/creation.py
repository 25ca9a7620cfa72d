"""Tensors of a given size: zeros, ranges, and tensors like others.

Each function here takes torch's keywords too: ``out= dtype= layout= device= pin_memory= requires_grad=``
(see ``factory.py``).
"""

import math
from collections.abc import Callable
from functools import wraps
from numbers import Complex, Real
from operator import index
from typing import Any, NamedTuple

import numpy as np

from . import _libm as libm
from . import backends
from .backends import Type
from .devices import device as Device
from .dtypes import COMPLEX, FLOAT, INT, REDUCED, float32, float64, get_default_dtype, int64, of_scalar
from .dtypes import dtype as Dtype
from .errors import DtypeError, ShapeError
from .factory import as_dtype, check_differentiable, check_options, factory, finished, place, sizes, with_signature
from .layouts import arranged, contiguous_format, in_order, preserve_format
from .op import public
from .tensor import Tensor
from .values import fitted

Shape = tuple[int, ...]


def inferred() -> None:
    """Leave it to the function to infer the dtype from its arguments."""


def filled(shape: Shape, value: Any, type_: Type) -> Any:
    """An array with ``value`` everywhere, on the current device."""
    return type_.backend.xp.full(shape, value, type_.numpy)


def as_held(value: Any, dtype: Dtype) -> Any:
    """The Python number nearest to ``value`` that ``dtype`` has; RuntimeError if it is out of its range."""
    held = fitted(value, dtype)
    return float(held) if dtype.is_floating_point else held.item()


def number(value: Any, function: str, argument: str) -> Any:
    """An argument as a Python number; it may be an array, or a tensor without gradient, of one element."""
    if isinstance(value, Tensor) and not value.requires_grad:
        return value.item()
    if isinstance(value, np.generic | np.ndarray) and value.size == 1:
        return value.item()
    if isinstance(value, Complex):
        return value
    raise TypeError(f"{function}(): argument '{argument}' must be Number, not {type(value).__name__}")


def size_of(size: tuple[Any, ...], keyword: Any, function: str) -> Shape:
    """The sizes given by position or as ``size=``."""
    if keyword is not None:
        size = (*size, keyword)
    if not size:
        raise TypeError(f'{function}() missing 1 required positional arguments: "size"')
    return sizes(size, function)


@public(method=False)
@factory()
def zeros(*args: Any, size: Any = None, dtype: Dtype, device: Device) -> Any:
    """Zeros, in the default dtype unless ``dtype`` is given.

    >>> zeros(2, 3)
    tensor([[0., 0., 0.],
            [0., 0., 0.]])
    """
    shape = size_of(args, size, "zeros")
    return filled(shape, 0, backends.type_for(dtype, device))


@public(method=False)
@factory()
def ones(*args: Any, size: Any = None, dtype: Dtype, device: Device) -> Any:
    """Ones, in the default dtype unless ``dtype`` is given.

    >>> ones((2,), dtype=int64)
    tensor([1, 1])
    """
    shape = size_of(args, size, "ones")
    return filled(shape, 1, backends.type_for(dtype, device))


@public(method=False)
@factory()
def empty(
    *args: Any,
    size: Any = None,
    memory_format: Any = None,  # noqa: ARG001  only contiguous_format is possible
    dtype: Dtype,
    device: Device,
) -> Any:
    """Memory as it comes: the values are arbitrary.

    >>> empty(2, 3).shape
    autograd_gpu.Size([2, 3])
    """
    shape = size_of(args, size, "empty")
    type_ = backends.type_for(dtype, device)
    return type_.backend.empty(shape, type_.dtype, device)


@public(method=False)
@factory(inferred)
def full(size: Any, fill_value: Any, *, dtype: Dtype | None, device: Device) -> Any:
    """``fill_value`` everywhere; its own kind decides the dtype unless ``dtype`` is given.

    >>> full((2,), 3)
    tensor([3, 3])
    """
    value = number(fill_value, "full", "fill_value")
    if not isinstance(size, tuple | list):
        raise TypeError(f"full(): argument 'size' (position 1) must be tuple of ints, not {type(size).__name__}")
    type_ = backends.type_for(dtype or of_scalar(value), device)
    return filled(sizes(tuple(size), "full"), as_held(value, type_.dtype), type_)


@public(method=False)
@factory()
def scalar_tensor(s: Any, *, dtype: Dtype, device: Device) -> Any:
    """A 0-d tensor with the number ``s``, in the default dtype unless ``dtype`` is given."""
    type_ = backends.type_for(dtype, device)
    return filled((), as_held(number(s, "scalar_tensor", "s"), type_.dtype), type_)


@public(method=False)
@factory()
def eye(n: Any, m: Any = None, *, dtype: Dtype, device: Device) -> Any:
    """A matrix of ``n`` rows and ``m`` (or ``n``) columns with ones on the diagonal, zeros elsewhere.

    >>> eye(2, 3)
    tensor([[1., 0., 0.],
            [0., 1., 0.]])
    """
    for name, value in (("n", n), ("m", m)):
        if value is not None and not hasattr(value, "__index__"):
            raise TypeError(f"eye(): argument '{name}' must be int, not {type(value).__name__}")
        if value is not None and index(value) < 0:
            raise ShapeError(f"{name} must be greater or equal to 0, got {value}")
    type_ = backends.type_for(dtype, device)
    return type_.backend.xp.eye(index(n), None if m is None else index(m), dtype=type_.numpy)


@public(method=False)
@factory(inferred)
def arange(start: Any = None, end: Any = None, step: Any = 1, *, dtype: Dtype | None, device: Device) -> Any:
    """``arange(end)``, ``arange(start, end, step=1)``: from ``start`` (0) up to, not including, ``end``.

    Integers give int64, else the default dtype is taken, unless ``dtype`` is given.

    >>> arange(1, 2, 0.25)
    tensor([1.0000, 1.2500, 1.5000, 1.7500])
    """
    if end is None:
        start, end = 0, start
    if end is None:
        raise TypeError("arange() missing 1 required positional argument: 'end'")
    start = _real(0 if start is None else start, "start")
    end, step = _real(end, "end"), _real(step, "step")
    whole = not any(isinstance(value, float) for value in (start, end, step))
    dtype = dtype or (int64 if whole else get_default_dtype())
    if dtype.category not in (INT, FLOAT):
        raise DtypeError(f"\"arange_cpu\" not implemented for '{dtype.scalar_name}'")
    if dtype.category == INT:
        start, end, step = int(start), int(end), int(step)
    type_ = backends.type_for(dtype, device)
    return _rounded(_arange(start, _length(start, end, step), step, type_), dtype)


def _real(value: Any, argument: str) -> Any:
    value = number(value, "arange", argument)
    if not isinstance(value, Real):
        raise DtypeError("value cannot be converted to type double without overflow")
    return value


def _length(start: float, end: float, step: float) -> int:
    """How many steps from ``start`` stay before ``end``."""
    if step == 0:
        raise ShapeError("step must be nonzero")
    if not (math.isfinite(start) and math.isfinite(end)):
        raise ShapeError(f"unsupported range: {start} -> {end}")
    if (end - start) * step < 0:
        raise ShapeError(f"upper bound and lower bound inconsistent with step sign: from {start} to {end} by {step}")
    if isinstance(start, int) and isinstance(end, int) and isinstance(step, int):
        return -((start - end) // step)
    return math.ceil((end - start) / step)


def _arange(start: float, count: int, step: float, type_: Type) -> Any:
    """``count`` numbers from ``start`` by ``step``, with the roundings of PyTorch's vector code.

    That computes a group of numbers, as many as an AVX2 register holds, from the first of them.
    """
    i = type_.backend.xp.arange(count)
    if not type_.dtype.is_floating_point:
        return start + i * step
    if type_.reduced:
        return np.float32(start) + i.astype(np.float32) * np.float32(step)
    lane = i % (32 // type_.dtype.itemsize)
    lane[count - count % (64 // type_.dtype.itemsize) :] = 0
    first = libm.affine((i - lane).astype(np.float64), float(step), float(start)).astype(type_.numpy)
    return libm.affine(lane.astype(np.float64), float(step), first.astype(np.float64))


def _rounded(values: Any, dtype: Dtype) -> Any:
    """``values`` in ``dtype``: 16-bit floats by way of single precision, as in C++."""
    return (values.astype(np.float32) if dtype in REDUCED else values).astype(dtype.numpy)


@public(method=False)
@factory(inferred)
def linspace(start: Any, end: Any, steps: Any, *, dtype: Dtype | None, device: Device) -> Any:
    """``steps`` numbers at equal distances, from ``start`` to ``end``.

    >>> linspace(0, 1, 5)
    tensor([0.0000, 0.2500, 0.5000, 0.7500, 1.0000])
    """
    start, end, steps = _checked_ends(start, end, steps, "linspace")
    type_ = backends.type_for(dtype or _linspace_dtype(start, end), device)
    return _rounded(_linspace(start, end, steps, type_), type_.dtype)


@public(method=False)
@factory(inferred)
def logspace(start: Any, end: Any, steps: Any, base: float = 10.0, *, dtype: Dtype | None, device: Device) -> Any:
    """``base`` to the powers of ``linspace(start, end, steps)``.

    >>> logspace(0, 2, 3)
    tensor([  1.,  10., 100.])
    """
    start, end, steps = _checked_ends(start, end, steps, "logspace")
    type_ = backends.type_for(dtype or _linspace_dtype(start, end), device)
    powers_in = type_ if type_.dtype.category >= FLOAT else type_.with_dtype(float64)
    return _rounded(type_.backend.xp.power(base, _linspace(start, end, steps, powers_in)), type_.dtype)


def _checked_ends(start: Any, end: Any, steps: Any, function: str) -> tuple[Any, Any, int]:
    """The arguments of ``function`` as numbers."""
    if not hasattr(steps, "__index__"):
        raise TypeError(f"{function}(): argument 'steps' must be int, not {type(steps).__name__}")
    if index(steps) < 0:
        raise ShapeError(f"number of steps must be non-negative, got {steps}")
    return number(start, function, "start"), number(end, function, "end"), index(steps)


def _linspace_dtype(start: Any, end: Any) -> Dtype:
    """The default dtype, complex if an end is complex."""
    default = get_default_dtype()
    return default.to_complex() if isinstance(start, complex) or isinstance(end, complex) else default


def _linspace(start: Any, end: Any, count: int, type_: Type) -> Any:
    """``linspace`` before its last rounding: from both ends to the middle, each number rounded once."""
    xp = type_.backend.xp
    if count < 2:
        return xp.full(count, start)
    if type_.dtype.category == COMPLEX:
        return start + (end - start) / (count - 1) * xp.arange(count)
    if type_.dtype.category < FLOAT:
        start, end = int(start), int(end)
    scalar = np.float32 if type_.reduced or type_.dtype is float32 else np.float64
    start, end = scalar(start), scalar(end)
    step, i = (end - start) / scalar(count - 1), xp.arange(count).astype(scalar)
    low, high = libm.affine(i, step, start), libm.affine(count - 1 - i, -step, end)
    return xp.where(xp.arange(count) < count // 2, low, high)


class Target(NamedTuple):
    """The array that a function of a tensor is to make: its axes as they shall lie in memory."""

    shape: Shape
    type_: Type
    contiguous: bool  # whether the axes are in the tensor's own order


def like(function: Callable[..., Any]) -> Callable[..., Tensor]:
    """Make of ``function(target, ...)``, which returns an array, a function of a tensor of that kind."""
    name = function.__name__

    @wraps(function)
    def make(
        input: Any,
        *args: Any,
        dtype: Any = None,
        layout: Any = None,
        device: Any = None,
        pin_memory: bool = False,
        requires_grad: bool = False,
        memory_format: Any = preserve_format,
        **kwargs: Any,
    ) -> Tensor:
        if not isinstance(input, Tensor):
            found = type(input).__name__
            raise TypeError(f"{name}(): argument 'input' (position 1) must be Tensor, not {found}")
        check_options(layout, requires_grad, name)
        where = input.device if device is None else place(device)
        type_ = backends.type_for(as_dtype(dtype, name) or input.dtype, where)
        if requires_grad:
            check_differentiable(type_.dtype)
        whole = memory_format is contiguous_format or in_order(input.array)

        def fill(shape: Shape) -> Any:
            return function(Target(shape, type_, whole), *args, **kwargs)

        with type_.backend.Scope(where):
            array = fill(input._shape) if whole else arranged(input.array, fill)
        return finished(array, requires_grad=requires_grad, pin_memory=pin_memory)

    with_signature(make, function, hidden=("target",))
    return make


@public(method=False)
@like
def zeros_like(target: Target) -> Any:
    """Zeros in the shape, dtype, device and order of axes of ``input``."""
    return filled(target.shape, 0, target.type_)


@public(method=False)
@like
def ones_like(target: Target) -> Any:
    """Ones in the shape, dtype, device and order of axes of ``input``."""
    return filled(target.shape, 1, target.type_)


@public(method=False)
@like
def empty_like(target: Target) -> Any:
    """Arbitrary values in the shape, dtype, device and order of axes of ``input``."""
    return target.type_.backend.empty(target.shape, target.type_.dtype, target.type_.device)


@public(method=False)
@like
def full_like(target: Target, fill_value: Any) -> Any:
    """``fill_value`` in the shape, dtype, device and order of axes of ``input``."""
    value = as_held(number(fill_value, "full_like", "fill_value"), target.type_.dtype)
    return filled(target.shape, value, target.type_)


def _new(make: Callable[..., Tensor]) -> None:
    """Register ``Tensor.new_zeros`` and so on: ``make`` with this tensor's dtype and device as defaults."""
    name = f"new_{make.__name__}"

    def method(self: Tensor, *args: Any, dtype: Any = None, device: Any = None, **options: Any) -> Tensor:
        return make(*args, dtype=dtype or self.dtype, device=device or self.device, **options)

    method.__name__ = name
    method.__doc__ = f"``{make.__name__}``, in this tensor's dtype and on its device unless others are given."
    public(method, function_too=False)


for _make in (zeros, ones, empty, full):
    _new(_make)
