"""Imports what defines operations and functions of Tensors, and then gives Tensor its methods."""

from . import (  # noqa: F401
    backward,
    composites,
    conversion,
    creation,
    decisions,
    dispatch,
    explaining,
    indexing,
    interchange,
    metadata,
    ops,
    picking,
    sampling,
    topython,
    typeinfo,
)
from .methods import install

install()
