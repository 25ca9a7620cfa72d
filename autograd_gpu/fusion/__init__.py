"""Formulas over arrays that have not run yet, and the code generated from them.

On a CUDA device, backward passes run by plans: ``stats()`` counts them, ``fuse("off")`` does without.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from ..modes import modes
from . import forward  # noqa: F401  what arrays on a device are computed with
from .kernels import kernels_made
from .stats import STATS, Stats

__all__ = ["Stats", "fuse", "stats"]


def stats() -> Stats:
    """How many plans were found and built, kernels composed and launched by plans, since the start.

    >>> from autograd_gpu import fusion
    >>> fusion.stats().launches
    0
    """
    return replace(STATS, kernels=kernels_made())


@contextmanager
def fuse(mode: str) -> Iterator[None]:
    """Inside, backward passes on a CUDA device of this thread run by plans (``"on"``) or node by node (``"off"``)."""
    if mode not in ("on", "off"):
        raise ValueError(f"fuse() takes 'on' or 'off', got {mode!r}")
    before, modes.fuse = modes.fuse, mode == "on"
    try:
        yield
    finally:
        modes.fuse = before
