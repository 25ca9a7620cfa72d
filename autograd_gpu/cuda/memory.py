"""Memory of CUDA devices, as CuPy's default pool counts it."""

from typing import Any

from .. import backends
from .devices import device as on_device
from .devices import is_initialized


def memory_allocated(device: Any = None) -> int:
    """Return the bytes that arrays take on a device; 0 where none was used."""
    if not is_initialized():
        return 0
    with on_device(device):
        return int(backends.cuda().xp.get_default_memory_pool().used_bytes())


def memory_reserved(device: Any = None) -> int:
    """Return the bytes that the pool holds of a device, those free for new arrays included."""
    if not is_initialized():
        return 0
    with on_device(device):
        return int(backends.cuda().xp.get_default_memory_pool().total_bytes())


def mem_get_info(device: Any = None) -> tuple[int, int]:
    """Return the bytes that are free and that there are on a device, for all processes."""
    cupy = backends.cuda().xp
    with on_device(device):
        free, total = cupy.cuda.runtime.memGetInfo()
    return free, total


def empty_cache() -> None:
    """Give the pool's free memory back to the devices."""
    if is_initialized():
        backends.cuda().xp.get_default_memory_pool().free_all_blocks()


class _Peak:
    """The most bytes that arrays took, by device; watched from the first question on."""

    hook: Any = None
    most: dict[int, int] = {}  # noqa: RUF012  one for the process

    @classmethod
    def watch(cls, index: int) -> None:
        """Start watching a device, and the allocations of this thread."""
        cls.most.setdefault(index, memory_allocated(index))
        if cls.hook is None:
            cls.hook = _hook(cls.most)
            cls.hook.__enter__()  # for good


def _hook(most: dict[int, int]) -> Any:
    """A CuPy memory hook that notes in ``most`` what is allocated after each allocation."""
    cupy = backends.cuda().xp
    used = cupy.get_default_memory_pool().used_bytes

    class Watch(cupy.cuda.MemoryHook):  # type: ignore[misc, name-defined]
        name = "autograd_gpu.cuda.max_memory_allocated"

        def malloc_postprocess(self, *, device_id: int, **_: Any) -> None:
            most[device_id] = max(most.get(device_id, 0), used())

    return Watch()


def max_memory_allocated(device: Any = None) -> int:
    """Return the most bytes that arrays took on a device since ``reset_peak_memory_stats()``.

    Before its first call (or this function's) nothing is watched, nor are other threads' allocations.
    """
    if not is_initialized():
        return 0
    index = on_device("cuda" if device is None else device).idx
    _Peak.watch(index)
    return _Peak.most[index]


def reset_peak_memory_stats(device: Any = None) -> None:
    """Let ``max_memory_allocated`` start from what is allocated now."""
    index = on_device("cuda" if device is None else device).idx
    _Peak.watch(index)
    _Peak.most[index] = memory_allocated(index)
