"""The table of operations, by family."""

from . import convert, elementwise, reduce, shape

__all__ = ["convert", "elementwise", "reduce", "shape"]
