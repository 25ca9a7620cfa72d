"""Functions of neural networks under PyTorch's names: activations, losses, normalisation, dropout and more.

>>> import autograd_gpu as ag
>>> import autograd_gpu.nn.functional as F
>>> F.softmax(ag.tensor([0.0, 0.0]), dim=0)
tensor([0.5000, 0.5000])
"""

from typing import Any

from .. import methods  # noqa: F401  fills the registry
from ..errors import Unsupported
from ..op import FUNCTIONAL

globals().update(FUNCTIONAL)


def __getattr__(name: str) -> Any:
    raise Unsupported(
        f"torch.nn.functional.{name} is not in autograd_gpu, which has: {', '.join(sorted(FUNCTIONAL))}",
        name=name,
    )


def __dir__() -> list[str]:
    return sorted(FUNCTIONAL)
