"""The class body of Tensor in parts, each beside what it needs."""

from typing import TypeVar

from .tensor import Tensor

Part = TypeVar("Part", bound=type[Tensor])


def extends_tensor(part: Part) -> Part:
    """Give Tensor what its subclass ``part`` defines, whose class statement is only a notation."""
    for name, value in vars(part).items():
        if name in ("__module__", "__doc__", "__slots__", "__static_attributes__", "__firstlineno__"):
            continue
        if hasattr(value, "__qualname__"):
            value.__qualname__ = f"Tensor.{name}"
        setattr(Tensor, name, value)
    return part
