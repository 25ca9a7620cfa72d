"""What dtype comes out of two: PyTorch's answer for every pair of dtypes, ranks and Python numbers."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from support import ours, theirs

import autograd_gpu as ag
from autograd_gpu import dtypes

torch = pytest.importorskip("torch")

DTYPES = [d for d in dtypes.ALL if d is not None]
KINDS = ("axes", "0-d", "number")
FUNCTIONS = {
    "add": lambda t: t.add,
    "sub": lambda t: t.sub,
    "mul": lambda t: t.mul,
    "div": lambda t: t.div,
    "floor_divide": lambda t: t.floor_divide,
    "remainder": lambda t: t.remainder,
    "pow": lambda t: t.pow,
    "float_power": lambda t: t.float_power,
    "eq": lambda t: t.eq,
    "lt": lambda t: t.lt,
    "bitwise_and": lambda t: t.bitwise_and,
    "bitwise_left_shift": lambda t: t.bitwise_left_shift,
    "where": lambda t: lambda a, b: t.where(t.tensor([True]), a, b),
    "clamp": lambda t: lambda a, b: t.clamp(a, min=b),
    "copysign": lambda t: t.copysign,
    "xlogy": lambda t: t.xlogy,
    "truediv": lambda t: lambda a, b: a / b,
    "radd": lambda t: lambda a, b: b + a,
    "rtruediv": lambda t: lambda a, b: b / a,
    "rpow": lambda t: lambda a, b: b**a,
    "rmod": lambda t: lambda a, b: b % a,
    "rsub": lambda t: lambda a, b: b - a,
    "and": lambda t: lambda a, b: a & b,
}
TENSORS_ONLY = {
    "maximum": lambda t: t.maximum,
    "fmin": lambda t: t.fmin,
    "atan2": lambda t: t.atan2,
    "logical_and": lambda t: t.logical_and,
    "addcmul": lambda t: lambda a, b: t.addcmul(a, b, b),
    "lerp": lambda t: lambda a, b: t.lerp(a, b, 0.5),
    "hypot": lambda t: t.hypot,
    "bitwise_xor": lambda t: t.bitwise_xor,
}


def operand(make: Callable[[Any], Any], d: dtypes.dtype, kind: str) -> Any:
    array = np.ones((2,) if kind == "axes" else (), d.numpy)
    return array.item() if kind == "number" else make(array)


def outcome(function: Callable[..., Any], *operands: Any) -> str:
    """The result's dtype, or the kind of the error."""
    try:
        return repr(function(*operands).dtype).partition(".")[2]
    except RuntimeError:
        return "RuntimeError"
    except TypeError:
        return "TypeError"


def unlike_torch(name: str, first: str, second: str, kind: str) -> bool:
    """Pairs that make complex32, which is not here; and bounds and exponents that nobody means."""
    if "float16" in (first, second) and ("complex" in first or "complex" in second):
        return True
    senseless = {("pow", "bool"), ("clamp", "bool")} if first == "bool" else {("clamp", "complex128")}
    return kind == "number" and (name, second) in senseless


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", [*FUNCTIONS, *TENSORS_ONLY])
def test_every_pair_of_dtypes_gives_torchs(name: str, kind: str) -> None:
    if kind == "number" and name in TENSORS_ONLY:
        pytest.skip("takes no numbers in torch")
    function = {**FUNCTIONS, **TENSORS_ONLY}[name]
    wrong = []
    for first in DTYPES:
        for second in DTYPES:
            if kind == "number" and second.name not in ("bool", "int64", "float64", "complex128"):
                continue
            for rank in ("axes", "0-d"):
                if unlike_torch(name, first.name, second.name, kind):
                    continue
                mine = outcome(function(ag), operand(ours, first, rank), operand(ours, second, kind))
                torchs = outcome(function(torch), operand(theirs, first, rank), operand(theirs, second, kind))
                if mine != torchs:
                    wrong.append(f"{first.name} ({rank}), {second.name} ({kind}): {mine}, torch {torchs}")
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("default", [ag.float64, ag.float16])
def test_the_default_dtype_is_that_of_floats_and_divided_integers(default: ag.dtypes.dtype) -> None:
    whole = ag.tensor([1, 2])
    ag.set_default_dtype(default)
    try:
        assert [t.dtype for t in (whole / 2, whole * 0.5, whole.exp(), 1.0 - whole)] == [default] * 4
        assert (whole * 1j).dtype is default.to_complex()
        assert (ours(np.ones(2, np.float32)) * 2.5).dtype is ag.float32
    finally:
        ag.set_default_dtype(ag.float32)


@pytest.mark.parametrize("d", DTYPES, ids=[d.name for d in DTYPES])
def test_numbers_are_rounded_or_wrapped_as_torch_does(d: dtypes.dtype) -> None:
    array = np.ones(3, d.numpy)
    for value in (True, 3, 300, -1, 0.1, 1e10):
        if isinstance(value, float) and d.category < dtypes.FLOAT:
            continue
        mine, torchs = ours(array) * value, theirs(array) * value
        assert mine.tolist() == torchs.tolist(), value
