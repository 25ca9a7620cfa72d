"""Which CUDA devices there are, and which is current."""

import sys
from typing import Any, NamedTuple

from .. import backends
from ..devices import device as Device


def is_available() -> bool:
    """Whether CuPy and a CUDA device are there; ``autograd_gpu.show_config()`` tells what is missing."""
    return backends.why_no_cuda() is None


def device_count() -> int:
    """Return the number of CUDA devices."""
    return int(backends.cuda().DEVICES) if is_available() else 0


def is_initialized() -> bool:
    """Whether a CUDA device has been used."""
    return f"{backends.__name__}._cupy" in sys.modules


def index_of(device: Any = None) -> int:
    """The number of a CUDA device, given as one, as ``"cuda:1"`` or as a device; None is the current one."""
    found = backends.resolve(Device("cuda" if device is None else device))
    if found.index is None:
        raise ValueError(f"Expected a cuda device, but got: {found}")
    return found.index


def current_device() -> int:
    """Return the number of the current device."""
    return index_of()


def set_device(device: Any) -> None:
    """Make ``device`` the current one of this thread."""
    backends.cuda().xp.cuda.Device(index_of(device)).use()


class device:  # noqa: N801  torch's name
    """A ``with`` block in which ``device`` is the current one; None changes nothing."""

    def __init__(self, device: Any) -> None:
        self.idx = -1 if device is None else index_of(device)

    def __enter__(self) -> None:
        self._scope = None if self.idx < 0 else backends.cuda().xp.cuda.Device(self.idx)
        if self._scope is not None:
            self._scope.__enter__()

    def __exit__(self, *error: object) -> None:
        if self._scope is not None:
            self._scope.__exit__(*error)


class DeviceProperties(NamedTuple):
    """What CUDA says of a device."""

    name: str
    major: int
    minor: int
    total_memory: int
    multi_processor_count: int


def get_device_properties(device: Any = None) -> DeviceProperties:
    """Return name, compute capability (major, minor), bytes of memory and number of multiprocessors."""
    found = backends.cuda().xp.cuda.runtime.getDeviceProperties(index_of(device))
    return DeviceProperties(
        name=found["name"].decode(),
        major=found["major"],
        minor=found["minor"],
        total_memory=found["totalGlobalMem"],
        multi_processor_count=found["multiProcessorCount"],
    )


def get_device_name(device: Any = None) -> str:
    """Return the name of a device, such as ``"NVIDIA H100 80GB HBM3"``."""
    return get_device_properties(device).name


def get_device_capability(device: Any = None) -> tuple[int, int]:
    """Return the compute capability of a device: (9, 0)."""
    found = get_device_properties(device)
    return found.major, found.minor


def synchronize(device: Any = None) -> None:
    """Wait until a device has done all it was told."""
    backends.cuda().xp.cuda.Device(index_of(device)).synchronize()
