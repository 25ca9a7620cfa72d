"""What this package runs on, and what it does without."""

import importlib
import platform
import sys
from typing import Any

import numpy as np

from . import backends
from ._version import __version__
from .backends._numpy import RETURNS_ARRAYS
from .dtypes import bfloat16
from .fusion import compiler

LIBRARIES = ("numpy", "scipy", "cupy", "ml_dtypes")


def _version_of(library: str) -> str:
    try:
        return str(importlib.import_module(library).__version__)
    except ImportError:
        return "not installed"


def _cuda_devices() -> list[str]:
    cupy = backends.cuda().xp
    properties = map(cupy.cuda.runtime.getDeviceProperties, range(cupy.cuda.runtime.getDeviceCount()))
    return [
        f"cuda:{i}: {p['name'].decode()}, {p['totalGlobalMem'] / 2**30:.1f} GiB, compute capability "
        f"{p['major']}.{p['minor']}"
        for i, p in enumerate(properties)
    ]


def _notes(why_no_cuda: str | None) -> list[str]:
    """What is left out, and what mends it."""
    notes = [f"no CUDA: {why_no_cuda}"] if why_no_cuda else []
    if bfloat16 is None:
        notes.append("no bfloat16: it needs ml_dtypes; pip install ml_dtypes")
    if not RETURNS_ARRAYS:
        notes.append(f"NumPy {np.__version__} is supported; from 2.3 on small operations cost less")
    return notes + compiler.notes()


def show_config(mode: str = "stdout") -> dict[str, Any] | None:
    """Print versions, devices, and what is not active and why; ``mode="dicts"`` returns them instead."""
    if mode not in ("stdout", "dicts"):
        raise ValueError(f"show_config: mode must be 'stdout' or 'dicts', got {mode!r}")
    missing = backends.why_no_cuda()
    config = {
        "versions": {"autograd_gpu": __version__, "python": platform.python_version()}
        | {library: _version_of(library) for library in LIBRARIES},
        "devices": [
            f"cpu: {platform.processor() or platform.machine()}",
            *([] if missing else _cuda_devices()),
        ],
        "notes": _notes(missing),
    }
    if mode == "dicts":
        return config
    sys.stdout.write(_text(config))
    return None


def _text(config: dict[str, Any]) -> str:
    lines = [f"{name} {version}" for name, version in config["versions"].items()]
    lines += [f"device {device}" for device in config["devices"]]
    lines += [f"note: {note}" for note in config["notes"]]
    return "\n".join(lines) + "\n"
