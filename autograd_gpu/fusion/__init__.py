"""Formulas over arrays that have not run yet, and the code generated from them.

On a CUDA device, operations and backward passes run by programs: ``stats()`` counts them, ``explain(loss)`` shows
them, ``fuse("off")`` differentiates node by node, ``fuse("check")`` compares each with double precision, and
``nvtx()`` shows them to NVIDIA's profilers. On the CPU, those on large arrays are compiled: see ``compiling``.
"""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from typing import Any

from ..modes import modes
from . import forward  # noqa: F401  what arrays on a device are computed with
from .kernels import kernels_made
from .native import compiling
from .stats import STATS, Stats
from .watch import Check, Ranges, watching

__all__ = ["Stats", "compiling", "explain", "fuse", "nvtx", "stats"]

explain: Callable[..., Any]  # explaining.py, which knows Tensors, fills this in


def stats() -> Stats:
    """How many plans were found and built, kernels composed and launched by programs, since the start.

    >>> from autograd_gpu import fusion
    >>> fusion.stats().launches
    0
    """
    return replace(STATS, kernels=kernels_made())


@contextmanager
def fuse(mode: str) -> Iterator[None]:
    """Inside, backward passes on a CUDA device of this thread run by plans (``"on"``) or node by node (``"off"``).

    With ``"check"`` they run by plans, and every program, also on the CPU, is compared with the same formulas in
    double precision; FusionError names the first that differs. This waits for the device at every step.
    """
    if mode not in ("on", "off", "check"):
        raise ValueError(f"fuse() takes 'on', 'off' or 'check', got {mode!r}")
    before, modes.fuse = modes.fuse, mode != "off"
    try:
        with watching(Check() if mode == "check" else modes.watch):
            yield
    finally:
        modes.fuse = before


def nvtx() -> AbstractContextManager[None]:
    """Inside, what this thread runs is in NVTX ranges (source: torch.autograd.profiler.emit_nvtx).

    Programs have their own names (``fwd_exp``, ``bwd_mul_tanh``), other operations on a device's arrays and the
    pullbacks of nodes torch's: ``mm``, ``MmBackward0``.
    """
    return watching(Ranges())
