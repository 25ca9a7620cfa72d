"""Small programs run on this package and on PyTorch: what they return, or raise, is the same.

A program is a function of a torch module and a device; it returns tensors, nodes, plain values, and
tuples, lists or dicts of these. ``collect()`` gives a decorator that gathers programs for ``parametrize``.
"""

import re
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from support import assert_same

import autograd_gpu as ag
from autograd_gpu.engine import Node
from autograd_gpu.tensor import Tensor

Program = Callable[[Any, str], Any]


class Programs(list[Program]):
    """Programs, gathered by decorating them."""

    def __call__(self, program: Program) -> Program:
        self.append(program)
        return program

    def parametrize(self) -> Any:
        """Run the test for each of them, as ``program``."""
        return pytest.mark.parametrize("program", self, ids=[program.__name__ for program in self])


def leaf(m: Any, device: str = "cpu", values: Sequence[Any] = (1.0, 2.0, 3.0)) -> Any:
    """A tensor that requires grad."""
    return m.tensor(list(values), device=device, requires_grad=True)


def assert_alike(mine: Any, torchs: Any, where: str) -> None:
    """The same values, in the same containers; nodes have the same name."""
    if isinstance(mine, Tensor):
        assert_same(mine, torchs, what=where)
        assert mine.requires_grad == torchs.requires_grad, f"{where}: requires_grad"
    elif isinstance(mine, Node):
        assert mine.name() == torchs.name(), where
    elif isinstance(mine, tuple | list):
        assert isinstance(torchs, tuple | list), f"{where}: {mine}, torch has {torchs}"
        assert len(mine) == len(torchs), f"{where}: {mine}, torch has {torchs}"
        for i, (a, b) in enumerate(zip(mine, torchs, strict=True)):
            assert_alike(a, b, f"{where}[{i}]")
    elif isinstance(mine, dict):
        assert_alike(list(mine.items()), list(torchs.items()), where)
    else:
        assert mine == torchs, f"{where}: {mine}, torch has {torchs}"


def assert_agrees(program: Program, device: str = "cpu") -> None:
    """``program`` returns here what it returns on PyTorch."""
    torch = pytest.importorskip("torch")
    assert_alike(program(ag, device), program(torch, "cpu"), program.__name__)


def outcome(program: Program, module: Any, device: str) -> Exception:
    """The error that ``program`` raises."""
    try:
        result = program(module, device)
    except Exception as error:  # noqa: BLE001
        return error
    raise AssertionError(f"{program.__name__} raised nothing on {module.__name__}, it returned {result!r}")


def message(error: Exception) -> str:
    """An error's text without where PyTorch raised it, and without the lines that only we add."""
    text = re.sub(r" \(Triggered internally at .*\)", "", str(error)).replace("autograd_gpu.", "torch.")
    return text.partition("\nSaved by ")[0]


def assert_fails_alike(program: Program, device: str = "cpu") -> None:
    """``program`` raises here what it raises on PyTorch, with the same text."""
    torch = pytest.importorskip("torch")
    mine, torchs = outcome(program, ag, device), outcome(program, torch, "cpu")
    assert message(mine) == message(torchs)
    assert isinstance(mine, type(torchs)), f"{type(mine).__mro__}, torch raises {type(torchs)}"
