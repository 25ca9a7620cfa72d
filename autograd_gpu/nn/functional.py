"""Functions of neural networks under PyTorch's names: activations, losses, normalisation, dropout and more.

>>> import autograd_gpu as ag
>>> import autograd_gpu.nn.functional as F
>>> F.softmax(ag.tensor([0.0, 0.0]), dim=0)
tensor([0.5000, 0.5000])
"""

from .. import _define  # noqa: F401  these fill the registry
from ..errors import missing_from
from ..op import FUNCTIONAL
from . import attention as _attention  # noqa: F401
from . import dropout as _dropout  # noqa: F401
from . import gumbel as _gumbel  # noqa: F401

globals().update(FUNCTIONAL)
__getattr__ = missing_from(__name__)


def __dir__() -> list[str]:
    return sorted(FUNCTIONAL)
