"""What the tests of elementwise operations know of each row: what it is in torch, and samples of its operands."""

from collections.abc import Callable
from typing import Any

import numpy as np

from autograd_gpu import dtypes
from autograd_gpu.dtypes import BOOL, FLOAT, INT
from autograd_gpu.op import TABLE, Op

OPS = [op for op in TABLE.values() if isinstance(op, Op)]
DIFFERENTIABLE = [op for op in OPS if op.partials not in (None, NotImplemented)]

# Rows that are another function, or other arguments of one, in torch.
TORCH = {
    "zero": "torch.zeros_like({0})",
    "stopped": "{0}.detach()",
    "add_scaled": "torch.add({0}, {1}, alpha={2})",
    "sub_scaled": "torch.sub({0}, {1}, alpha={2})",
    "rsub_scaled": "torch.rsub({0}, {1}, alpha={2})",
    "addcmul": "torch.addcmul({0}, {1}, {2}, value={3})",
    "addcdiv": "torch.addcdiv({0}, {1}, {2}, value={3})",
    "div_floor": "torch.div({0}, {1}, rounding_mode='floor')",
    "div_trunc": "torch.div({0}, {1}, rounding_mode='trunc')",
    "round_to": "torch.round({0}, decimals={1})",
    "clamp_from_below": "torch.clamp({0}, min={1})",
    "clamp_from_above": "torch.clamp({0}, max={1})",
    "clamped_logit": "torch.logit({0}, {1})",
    "polygamma": "torch.polygamma({1}, {0})",
    "gelu_tanh": "F.gelu({0}, approximate='tanh')",
    "times_i": "turned({0})",
    "imag": "torch.imag({0}) if {0}.is_complex() else torch.zeros_like({0})",
    "masked_fill": "torch.where({1}, {2}, {0})",
    "masked_put": "torch.where({1}, {2}, {0})",
}

# What torch does not have: the row does, or its gradient does.
NOT_IN_TORCH = {
    ("complex", "float16"): "complex32",
    ("complex", "bfloat16"): "complex bfloat16",
    ("times_i", "float16"): "complex32",
    ("nan_to_num", "complex64"): "a gradient",
    ("nan_to_num", "complex128"): "a gradient",
    ("silu", "complex64"): "a gradient",
    ("silu", "complex128"): "a gradient",
    ("hardtanh", "uint8"): "unsigned numbers with negative limits",
}

# The Python numbers that a row takes beside tensors, in its order.
NUMBERS: dict[str, tuple[float, ...]] = {
    "add_scaled": (3,),
    "sub_scaled": (3,),
    "rsub_scaled": (3,),
    "addcmul": (2,),
    "addcdiv": (2,),
    "round_to": (1,),
    "clamped_logit": (0.2,),
    "polygamma": (1,),
    "nan_to_num": (0.5, 1.5, -2.5),
    "hardtanh": (-1.0, 0.5),
    "leaky_relu": (0.1,),
    "threshold": (1, 20),
    "hardshrink": (0.5,),
    "softshrink": (0.5,),
    "elu": (1.5,),
    "celu": (1.5,),
    "softplus": (2.0, 1.5),
}


def turned(x: Any) -> Any:
    """i times a torch tensor, exactly."""
    import torch

    if x.is_complex():
        return torch.complex(-x.imag, x.real)
    x = x if x.dtype is torch.float64 else x.float()
    return torch.complex(torch.zeros_like(x), x)


def torch_function(op: Op) -> Callable[..., Any]:
    """``op`` as a function of torch tensors."""
    import torch
    import torch.nn.functional as F

    if text := TORCH.get(op.name):
        names = [f"x{i}" for i in range(op.arity)]
        return eval(f"lambda {', '.join(names)}: {text.format(*names)}", {"torch": torch, "F": F, "turned": turned})
    return getattr(torch, op.name, None) or getattr(F, op.name)


def ids(ops: list[Op]) -> list[str]:
    return [op.name for op in ops]


def taken(op: Op, *names: str) -> list[str]:
    """Those dtypes of ``names`` that ``op`` takes."""
    return [name for name in names if dtypes.BY_NAME[name].category in op.takes]


def values(rng: np.random.Generator, shape: tuple[int, ...], dtype: str, domain: tuple[float, float]) -> np.ndarray:
    """Random elements inside ``domain``: integers with zeros and signs unless it is positive."""
    d = dtypes.BY_NAME[dtype]
    low, high = domain
    match d.category:
        case c if c == BOOL:
            return rng.integers(0, 2, shape).astype(bool)
        case c if c == INT:
            least = 1 if low > 0 else 0 if dtype == "uint8" else -3
            return rng.integers(least, 4, shape).astype(d.numpy)
        case c if c == FLOAT:
            return rng.uniform(low, high, shape).astype(d.numpy)
    return (rng.uniform(low, high, shape) + 1j * rng.uniform(-0.4, 0.4, shape)).astype(d.numpy)


def sample(op: Op, rng: np.random.Generator, dtype: str, *shapes: tuple[int, ...]) -> list[Any]:
    """Operands of ``op``: arrays of ``dtype`` and of ``shapes`` (repeated), conditions, and its numbers."""
    shapes = shapes * op.arity
    numbers = iter(NUMBERS.get(op.name, ()))
    operands: list[Any] = []
    for i in range(op.arity):
        if i in op.numbers:
            operands.append(next(numbers))
        elif i in op.conditions:
            operands.append(rng.integers(0, 2, shapes[i]).astype(bool))
        else:
            operands.append(values(rng, shapes[i], dtype, op.domain))
    return operands


def differentiable(op: Op, operands: list[Any]) -> list[int]:
    """The operands whose gradient is asked for."""
    return [
        i
        for i, x in enumerate(operands)
        if isinstance(x, np.ndarray) and i not in op.conditions and dtypes.of(x.dtype).category >= FLOAT
    ]


def tensors(make: Callable[..., Any], operands: list[Any], recorded: list[int], *more: Any) -> list[Any]:
    """The arrays of ``operands`` as tensors that ``make(array, *more)`` makes, those ``recorded`` as leaves."""
    return [
        make(x, *more, requires_grad=i in recorded) if isinstance(x, np.ndarray) else x for i, x in enumerate(operands)
    ]


def cotangent(rng: np.random.Generator, y: Any) -> np.ndarray:
    """Random numbers in the shape and dtype of the Tensor ``y``."""
    g = rng.standard_normal(y.shape)
    if y.dtype.is_complex:
        g = g + 1j * rng.standard_normal(y.shape)
    return np.asarray(g).astype(y.dtype.numpy)
