"""Functions of neural networks, in ``functional``, and bounds for gradients, in ``utils``."""

from ..errors import missing_from
from . import functional, utils

__all__ = ["functional", "utils"]

__getattr__ = missing_from(__name__)
