"""The streams of random numbers to draw from where no generator is given: one for each device.

The CPU's is PyTorch's (``generator.py``), those of CUDA devices are others (``backends/_philox.py``).
"""

from typing import Any

from . import backends
from .devices import cpu
from .devices import device as Device
from .generator import MersenneTwister

CPU = MersenneTwister()
_CUDA: dict[Device, Any] = {}  # made when first drawn from
_cuda_seed = CPU.seed()


def stream_on(device: Device) -> Any:
    """The stream to draw from on ``device``."""
    if device is cpu:
        return CPU
    if (found := _CUDA.get(device)) is None:
        found = _CUDA[device] = backends.cuda().Stream().manual_seed(_cuda_seed)
    return found


def seed_cuda(seed: int) -> None:
    """Start the streams of ``seed`` on all CUDA devices, those included that are drawn from later."""
    global _cuda_seed  # noqa: PLW0603
    _cuda_seed = seed
    for stream in _CUDA.values():
        stream.manual_seed(seed)


def drawn_from() -> list[Device]:
    """The devices whose streams exist."""
    return [cpu, *_CUDA]
