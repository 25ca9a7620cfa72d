"""The same Python expression here and in PyTorch: equal values to the last bit, or equal complaints."""

import re
import warnings
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from support import host

import autograd_gpu as ag
from autograd_gpu.modes import Namespace


def evaluate(expression: str, torch: Any) -> Any:
    return eval(expression, {"torch": torch, "np": np, "nan": np.nan, "inf": np.inf})


def facts(value: Any) -> Any:
    """What must be equal of a result."""
    if isinstance(value, tuple | list):
        return [facts(item) for item in value]
    if hasattr(value, "requires_grad"):
        return (
            tuple(value.shape), str(value.dtype), value.stride() if value.numel() else None,
            value.requires_grad, value.is_leaf,
        )  # fmt: skip
    return repr(value)


def arrays(value: Any) -> list[np.ndarray]:
    if isinstance(value, tuple | list):
        return [array for item in value for array in arrays(item)]
    return [host(value)] if hasattr(value, "requires_grad") else []


def outcome(expression: str, torch: Any) -> tuple[Any, list[str]]:
    """The value of an expression, or its error, and the texts of its warnings."""
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        try:
            value = evaluate(expression, torch)
        except Exception as error:  # noqa: BLE001  the error is compared
            value = error
    return value, [re.sub(r" \(Triggered internally.*", "", str(w.message), flags=re.DOTALL) for w in seen]


def agree(expression: str, monkeypatch: pytest.MonkeyPatch, *, ulp: int = 0) -> Any:
    """Evaluate here and in PyTorch: the same dtypes, strides and values (up to ``ulp`` in the last place)."""
    torch = pytest.importorskip("torch")
    monkeypatch.setattr(Namespace, "name", "torch")
    (mine, said), (theirs, they_said) = outcome(expression, ag), outcome(expression, torch)
    for value in (mine, theirs):
        if isinstance(value, Exception):
            raise value
    assert facts(mine) == facts(theirs)
    for a, b in zip(arrays(mine), arrays(theirs), strict=True):
        if ulp:
            np.testing.assert_array_max_ulp(a, b, ulp)
        else:
            assert_array_equal(a, b)
            assert np.signbit(a.real).tobytes() == np.signbit(b.real).tobytes()
    assert said == they_said
    return mine


def complain(expression: str, monkeypatch: pytest.MonkeyPatch) -> Exception:
    """Evaluate here and in PyTorch: both raise, ours torch's type, with a text that starts alike."""
    torch = pytest.importorskip("torch")
    monkeypatch.setattr(Namespace, "name", "torch")
    mine, theirs = outcome(expression, ag)[0], outcome(expression, torch)[0]
    assert isinstance(theirs, Exception), f"torch gives {theirs!r}"
    assert isinstance(mine, Exception), f"torch raises {theirs!r}, here it is {mine!r}"
    known = next(kind for kind in type(theirs).__mro__ if kind.__module__ == "builtins")
    assert isinstance(mine, known), f"torch raises {known.__name__}, here it is {mine!r}"
    assert str(mine).startswith(str(theirs).split("\n")[0].strip())
    return mine
