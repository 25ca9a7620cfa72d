"""The switches of the running thread, and the name that the package prints itself under."""

import contextvars
import threading
from collections.abc import Callable
from typing import Any

import numpy as np


def _quiet() -> Callable[..., Any]:
    """A caller that runs a NumPy function with floating-point warnings off, for 30 ns a call.

    PyTorch computes 1/0 and log(-1) without a word; ``np.errstate`` around each call would cost
    more than the call, and setting it globally would silence the user's own NumPy code.
    """
    with np.errstate(all="ignore"):
        return contextvars.copy_context().run


class Modes(threading.local):
    """One thread's switches; a new thread starts with these values."""

    grad = True  # operations on tensors that require grad are recorded
    compiling = "on"  # large programs on the CPU are compiled (see fusion/native.py)
    fuse = True  # backward passes on a CUDA device take the planned road
    keeping: bool | None = None  # memory of large results is kept (see fusion/memory.py); None: not asked yet
    watch: Any = None  # sees every program that runs (see fusion/watch.py)
    inference = False  # tensors made now can never be recorded

    def __init__(self) -> None:
        self.quiet = _quiet()


modes = Modes()


class Anomaly:
    """Of all threads, as in torch: nodes remember where they were made, cotangents are checked for nan."""

    on = False
    check_nan = True


class Namespace:
    """``autograd_gpu`` in texts such as ``autograd_gpu.float32``; ``torch`` while running a torch script."""

    name = "autograd_gpu"
