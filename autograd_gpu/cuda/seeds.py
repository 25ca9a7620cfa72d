"""Seeds of the streams of random numbers on CUDA devices."""

from typing import Any, SupportsInt

from .. import backends
from ..devices import device as Device
from ..random import Generator, default_generator_of
from ..streams import seed_cuda
from ..tensor import Tensor
from .devices import is_available


def _generator(device: Any = "cuda") -> Generator:
    return default_generator_of(backends.resolve(Device(device)))


def manual_seed(seed: SupportsInt) -> None:
    """Start the stream of ``seed`` on the current device; without one, nothing happens."""
    if is_available():
        _generator().manual_seed(int(seed))


def manual_seed_all(seed: SupportsInt) -> None:
    """Start the streams of ``seed`` on all devices; without one, nothing happens."""
    seed_cuda(int(seed))


def seed() -> None:
    """Start the stream of a random seed on the current device."""
    _generator().seed()


def initial_seed() -> int:
    """Return the seed that the current device's stream started from."""
    return _generator().initial_seed()


def get_rng_state(device: Any = "cuda") -> Tensor:
    """Return where a device's stream is, as 16 uint8: the seed and the number of draws."""
    return _generator(device).get_state()


def set_rng_state(new_state: Tensor, device: Any = "cuda") -> None:
    """Let a device's stream continue where ``get_rng_state`` was called."""
    _generator(device).set_state(new_state)
