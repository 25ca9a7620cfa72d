"""CUDA devices as ``torch.cuda`` has them, by way of CuPy; without one ``is_available()`` is False."""

from ..dtypes import bfloat16
from ..errors import missing_from
from ..legacy import CUDA_TYPES
from .devices import (
    current_device,
    device,
    device_count,
    get_device_capability,
    get_device_name,
    get_device_properties,
    is_available,
    is_initialized,
    set_device,
    synchronize,
)
from .memory import (
    empty_cache,
    max_memory_allocated,
    mem_get_info,
    memory_allocated,
    memory_reserved,
    reset_peak_memory_stats,
)
from .seeds import get_rng_state, initial_seed, manual_seed, manual_seed_all, seed, set_rng_state
from .streams import Event, Stream, current_stream, default_stream, stream

__all__ = [
    "Event",
    "Stream",
    "current_device",
    "current_stream",
    "default_stream",
    "device",
    "device_count",
    "empty_cache",
    "get_device_capability",
    "get_device_name",
    "get_device_properties",
    "get_rng_state",
    "initial_seed",
    "is_available",
    "is_bf16_supported",
    "is_initialized",
    "manual_seed",
    "manual_seed_all",
    "max_memory_allocated",
    "mem_get_info",
    "memory_allocated",
    "memory_reserved",
    "reset_peak_memory_stats",
    "seed",
    "set_device",
    "set_rng_state",
    "stream",
    "synchronize",
]
__all__ += list(CUDA_TYPES)

globals().update(CUDA_TYPES)  # torch.cuda.FloatTensor …
__getattr__ = missing_from(__name__)


def is_bf16_supported() -> bool:
    """Whether bfloat16 can be used on the current device (through ml_dtypes)."""
    return is_available() and bfloat16 is not None
