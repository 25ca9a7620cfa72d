"""Functions of neural networks, in ``functional``."""

from ..errors import missing_from
from . import functional

__all__ = ["functional"]

__getattr__ = missing_from(__name__)
