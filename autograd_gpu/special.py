"""torch.special: functions of mathematics, which the package has as well, some under another name.

>>> from autograd_gpu import special, tensor
>>> special.expit(tensor([0.0, 2.0]))
tensor([0.5000, 0.8808])
"""

from . import _define  # noqa: F401  fills the registry
from .errors import missing_from
from .op import PUBLIC

NAMES = {name: name for name in (
    "digamma", "erf", "erfc", "erfinv", "exp2", "expm1", "log1p", "log_softmax", "logit", "logsumexp", "polygamma",
    "round", "sinc", "softmax", "xlogy",
)} | {"expit": "sigmoid", "gammaln": "lgamma", "psi": "digamma"}  # fmt: skip

globals().update({name: PUBLIC[known_as] for name, known_as in NAMES.items()})
__getattr__ = missing_from(__name__)


def __dir__() -> list[str]:
    return sorted(NAMES)
