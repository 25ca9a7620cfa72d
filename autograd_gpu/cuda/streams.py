"""Streams and events: CuPy's, under torch's names. Operations run on CuPy's current stream."""

from typing import Any

from .. import backends


def _cupy_cuda() -> Any:
    return backends.cuda().xp.cuda


class Event:
    """A mark in a stream; two of them tell the time between.

    With ``enable_timing``, ``start.elapsed_time(end)`` is in milliseconds; both must have been reached.
    """

    def __init__(self, enable_timing: bool = False, blocking: bool = False, interprocess: bool = False) -> None:
        self.event = _cupy_cuda().Event(blocking, not enable_timing, interprocess)

    def record(self, stream: "Stream | None" = None) -> None:
        """Put the mark after what ``stream`` (the current one) was told so far."""
        self.event.record((stream or current_stream()).stream)

    def wait(self, stream: "Stream | None" = None) -> None:
        """Let what ``stream`` (the current one) is told from now on wait for the mark."""
        (stream or current_stream()).wait_event(self)

    def query(self) -> bool:
        """Whether the mark was reached."""
        return bool(self.event.done)

    def synchronize(self) -> None:
        """Wait until the mark is reached."""
        self.event.synchronize()

    def elapsed_time(self, end_event: "Event") -> float:
        """Return the milliseconds from this mark to another."""
        return float(_cupy_cuda().get_elapsed_time(self.event, end_event.event))


class Stream:
    """A queue of work for a device; ``with stream:`` makes it the current one."""

    def __init__(self, stream: Any = None) -> None:
        self.stream = _cupy_cuda().Stream(non_blocking=True) if stream is None else stream

    def __enter__(self) -> "Stream":
        self.stream.__enter__()
        return self

    def __exit__(self, *error: object) -> None:
        self.stream.__exit__(*error)

    def synchronize(self) -> None:
        """Wait until all its work is done."""
        self.stream.synchronize()

    def query(self) -> bool:
        """Whether all its work is done."""
        return bool(self.stream.done)

    def record_event(self, event: Event | None = None) -> Event:
        """Put a mark after its work so far."""
        event = event or Event()
        event.record(self)
        return event

    def wait_event(self, event: Event) -> None:
        """Let its further work wait for a mark."""
        self.stream.wait_event(event.event)

    def wait_stream(self, stream: "Stream") -> None:
        """Let its further work wait for what another stream was told so far."""
        self.wait_event(stream.record_event())

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Stream) and self.stream == other.stream

    def __hash__(self) -> int:
        return hash(self.stream)


def current_stream() -> Stream:
    """Return the stream that operations run on now."""
    return Stream(_cupy_cuda().get_current_stream())


def default_stream() -> Stream:
    """Return the device's default stream."""
    return Stream(_cupy_cuda().Stream.null)


def stream(stream: Stream) -> Stream:
    """``with stream(s):`` makes ``s`` the current stream."""
    return stream
