"""Functions of neural networks, in ``functional``."""

from typing import Any

from ..errors import Unsupported
from . import functional

__all__ = ["functional"]


def __getattr__(name: str) -> Any:
    raise Unsupported(
        f"torch.nn.{name} is not in autograd_gpu; functions are in torch.nn.functional", name=name
    )
