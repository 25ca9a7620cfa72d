"""Streams of random numbers, and their seeds. ``sampling.py`` draws tensors from them.

After ``manual_seed`` the numbers on the CPU are PyTorch's, bit for bit. Tensors asked for on a CUDA device
are drawn there, from another stream (see ``backends/_philox.py``), which ``manual_seed`` starts too.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any, SupportsInt

from . import backends, streams
from .devices import cpu
from .devices import device as Device
from .dtypes import uint8
from .errors import missing_from
from .op import public
from .tensor import Tensor, wrap

__getattr__ = missing_from(__name__)


class Generator:
    """A stream of random numbers: PyTorch's own on the CPU, another on a CUDA device.

    >>> Generator().manual_seed(7).initial_seed()
    7
    """

    __slots__ = ("device", "stream")

    def __init__(self, device: Any = "cpu") -> None:
        self.device = backends.resolve(Device(device))
        self.stream = backends.type_for(uint8, self.device).backend.Stream()

    def manual_seed(self, seed: Any) -> "Generator":
        """Start the stream of ``seed``, an integer of 64 bits, and return this generator."""
        self.stream.manual_seed(seed)
        return self

    def seed(self) -> int:
        """Start the stream of a random seed, and return that seed."""
        return self.stream.seed()  # type: ignore[no-any-return]

    def initial_seed(self) -> int:
        """Return the seed that the stream started from."""
        return self.stream.initial_seed()  # type: ignore[no-any-return]

    def get_state(self) -> Tensor:
        """Return where the stream is, as a uint8 tensor; on the CPU PyTorch's own format."""
        return wrap(self.stream.get_state())

    def set_state(self, state: Tensor) -> "Generator":
        """Continue where ``get_state`` was called."""
        if not isinstance(state, Tensor):
            raise TypeError(f"expected a torch.ByteTensor, but got {type(state).__name__}")
        if state.dtype is not uint8:
            raise TypeError("RNG state must be a torch.ByteTensor")
        self.stream.set_state(state.numpy(force=True))
        return self

    def clone_state(self) -> "Generator":
        """Return another generator at the same place of the same stream."""
        return Generator(self.device).set_state(self.get_state())

    def __reduce__(self) -> tuple[Any, ...]:
        return _restored, (str(self.device), self.get_state())


def _restored(device: str, state: Tensor) -> Generator:
    return Generator(device).set_state(state)


def default_generator_of(device: Device) -> Generator:
    """The generator that draws on ``device`` when no other is given."""
    generator: Generator = object.__new__(Generator)
    generator.device, generator.stream = device, streams.stream_on(device)
    return generator


default_generator = default_generator_of(cpu)


def stream_of(generator: Generator | None, device: Device) -> Any:
    """The stream to draw from on ``device``: the given generator's, or the default one."""
    if generator is None:
        return streams.stream_on(device)
    if not isinstance(generator, Generator):
        raise TypeError(f"argument 'generator' must be Generator, not {type(generator).__name__}")
    if generator.device is not device:
        raise RuntimeError(f"Expected a '{device}' device type for generator but found '{generator.device}'")
    return generator.stream


@public(method=False)
def manual_seed(seed: SupportsInt) -> Generator:
    """Start the streams of ``seed`` on the CPU and on all CUDA devices; returns the CPU's generator."""
    number = int(seed)
    default_generator.manual_seed(number)
    streams.seed_cuda(number)
    return default_generator


@public(method=False)
def seed() -> int:
    """Start all streams of one random seed, and return that seed."""
    chosen = default_generator.seed()
    streams.seed_cuda(chosen)
    return chosen


@public(method=False)
def initial_seed() -> int:
    """Return the seed that the CPU's stream started from."""
    return default_generator.initial_seed()


@public(method=False)
def get_rng_state() -> Tensor:
    """Return where the CPU's stream is, as a uint8 tensor that ``set_rng_state`` and PyTorch's take."""
    return default_generator.get_state()


@public(method=False)
def set_rng_state(new_state: Tensor) -> None:
    """Let the CPU's stream continue where ``get_rng_state``, or PyTorch's, was called."""
    default_generator.set_state(new_state)


@contextmanager
def fork_rng(devices: Iterable[Any] | None = None, enabled: bool = True) -> Iterator[None]:
    """Let all streams be, after a ``with`` block, where they were before it.

    Of the CUDA streams, those of ``devices``, or all that have been drawn from.
    """
    named = streams.drawn_from() if devices is None else [backends.resolve(Device(d)) for d in devices]
    kept = [streams.stream_on(device) for device in {cpu, *named}] if enabled else []
    states = [stream.get_state() for stream in kept]
    try:
        yield
    finally:
        for stream, state in zip(kept, states, strict=True):
            stream.set_state(state)
