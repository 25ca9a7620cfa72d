"""What this package raises.

    Error
    ├── ShapeError   (RuntimeError)   sizes that do not fit each other
    ├── DtypeError   (NotImplementedError, a RuntimeError)  a dtype that the operation does not take
    ├── OutOfBounds  (IndexError, RuntimeError)  an index that is not within the axis
    ├── DeviceError  (RuntimeError)   operands on several devices
    ├── GraphError   (RuntimeError)   the graph cannot be built, changed or walked as asked
    │   ├── FreedError                its saved arrays are gone
    │   └── StaleError                its saved arrays were written to afterwards
    ├── FusionError  (TypeError)      a function that is traced does what no formula can
    ├── MissingCuda  (AssertionError) 'cuda' was asked for and is not there
    └── Unsupported  (AttributeError) torch has it, this package does not

Each is also the builtin type that PyTorch raises in its place, so ``except RuntimeError`` keeps working.
"""

import sys
from collections.abc import Callable
from typing import Any


class Error(Exception):
    """Base of every exception that this package defines."""


class ShapeError(Error, RuntimeError):
    """Sizes that do not fit each other."""


class DtypeError(Error, NotImplementedError):
    """A dtype that the operation does not take."""


class OutOfBounds(Error, IndexError, RuntimeError):
    """An index that is not within the axis: PyTorch raises one or the other, as the operation may be."""


class DeviceError(Error, RuntimeError):
    """Operands on several devices."""


class GraphError(Error, RuntimeError):
    """The graph cannot be built, changed or walked as asked."""


class FreedError(GraphError):
    """The saved arrays of a node were freed by an earlier backward pass."""

    def __init__(self) -> None:
        super().__init__(
            "Trying to backward through the graph a second time (or directly access saved tensors after they "
            "have already been freed). Saved intermediate values of the graph are freed when you call "
            ".backward() or autograd.grad(). Specify retain_graph=True if you need to backward through the "
            "graph a second time or if you need to access saved tensors after calling backward."
        )


class StaleError(GraphError):
    """A saved array was written to after the node saved it."""


class FusionError(Error, TypeError):
    """A function that is traced, by ``fuse`` or ``elementwise``, does what no formula can."""


class MissingCuda(Error, AssertionError):
    """'cuda' was asked for and is not there."""


class Unsupported(Error, AttributeError):
    """PyTorch has it, this package does not."""


def not_here(path: str) -> str:
    """What to say of ``torch.path``, which this package does not have."""
    return f"torch.{path} is not in autograd_gpu, which has PyTorch's autograd and what belongs to it"


def missing_from(module: str, **reasons: str) -> Callable[[str], Any]:
    """The ``__getattr__`` of one of our modules: an error that names, in torch's words, what it lacks."""

    def __getattr__(name: str) -> Any:  # noqa: N807  the very name
        said = not_here(f"{module}.{name}".partition(".")[2])
        reason = reasons.get(name, f"module {module!r} has no attribute {name!r}")
        raise Unsupported(f"{said} ({reason})", name=name, obj=sys.modules.get(module))

    return __getattr__
