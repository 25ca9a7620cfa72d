"""``torch.optim``: optimizers, whose step is one launch for all parameters of a dtype on a CUDA device.

>>> import autograd_gpu as torch
>>> x = torch.tensor([1.0, 2.0], requires_grad=True)
>>> optimizer = torch.optim.SGD([x], lr=0.1)
>>> (x * x).sum().backward()
>>> optimizer.step()
>>> x
tensor([0.8000, 1.6000], requires_grad=True)
"""

from ..errors import missing_from
from . import lr_scheduler
from .adagrad import Adagrad
from .adam import Adam, AdamW
from .optimizer import Optimizer
from .rmsprop import RMSprop
from .sgd import SGD

__all__ = ["SGD", "Adagrad", "Adam", "AdamW", "Optimizer", "RMSprop", "lr_scheduler"]

__getattr__ = missing_from(__name__)
