"""The threads of one kernel on the CPU: Python's own, as kernels run without the interpreter's lock."""

import os
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

EACH = 4  # pieces for each thread: one that is held up leaves more to the others
ALONE = 1 << 18  # elements of a thread: another one begins 50 to 70 µs late (benchmarks/thresholds.py)


def processors() -> int:
    """How many cores this process may run on; of two that share one, one counts."""
    if not hasattr(os, "sched_getaffinity"):
        return os.cpu_count() or 1
    cores = set()
    for cpu in os.sched_getaffinity(0):
        try:
            path = Path(f"/sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list")
            cores.add(path.read_text(encoding="ascii"))
        except OSError:
            cores.add(str(cpu))
    return len(cores)


def wanted() -> int:
    """How many threads there are at first: OMP_NUM_THREADS, as in PyTorch, else the cores."""
    first = os.environ.get("OMP_NUM_THREADS", "").partition(",")[0].strip()
    return int(first) if first.isdecimal() and int(first) else processors()


class Threads:
    """A pool that is made when it is needed: a process that forks leaves its threads behind."""

    def __init__(self) -> None:
        self.number = wanted()
        self.pool: ThreadPoolExecutor | None = None

    def forget(self) -> None:
        """Have another pool made."""
        self.pool = None

    def resize(self, number: int) -> None:
        """Have ``number`` threads, the caller's included."""
        self.number, pool = number, self.pool
        self.forget()
        if pool is not None:
            pool.shutdown(wait=False)  # what others have begun is finished

    def share(self, task: Callable[[int, int], None], parts: int, elements: int) -> None:
        """Call ``task(first, last)`` for pieces that make up ``range(parts)``, on several threads if that pays."""
        number = min(self.number, parts, elements // ALONE)
        if number < 2:
            task(0, parts)
            return
        count = min(EACH * number, parts)
        pieces = deque((parts * i // count, parts * (i + 1) // count) for i in range(count))

        def work() -> None:
            while True:
                try:
                    piece = pieces.popleft()
                except IndexError:
                    return
                task(*piece)

        helpers = self.submit(work, number - 1)
        try:
            work()
        finally:
            for helper in helpers:
                if not helper.cancel():
                    helper.result()

    def submit(self, work: Callable[[], None], count: int) -> list[Future[None]]:
        """Start ``work`` on ``count`` threads of the pool; none where it is just being replaced or shut down."""
        if (pool := self.pool) is None:
            pool = self.pool = ThreadPoolExecutor(max(self.number - 1, 1), "autograd_gpu")
        begun: list[Future[None]] = []
        with suppress(RuntimeError):  # those that have begun before are waited for
            begun.extend(pool.submit(work) for _ in range(count))
        return begun


THREADS = Threads()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=THREADS.forget)


def get_num_threads() -> int:
    """How many threads compute one kernel on the CPU. Source: torch.get_num_threads.

    >>> import autograd_gpu as ag
    >>> ag.get_num_threads() >= 1
    True
    """
    return THREADS.number


def set_num_threads(number: int) -> None:
    """Have ``number`` threads compute one kernel on the CPU; NumPy's matrix products have threads of their own.

    The results are the same for all numbers. TypeError for what is no int, RuntimeError for one below 1.
    Source: torch.set_num_threads.

    >>> import autograd_gpu as ag
    >>> before = ag.get_num_threads()
    >>> ag.set_num_threads(1)
    >>> ag.get_num_threads()
    1
    >>> ag.set_num_threads(before)
    """
    if not isinstance(number, int) or isinstance(number, bool):
        raise TypeError(f"set_num_threads expects an int, but got {type(number).__name__}")
    if number < 1:
        raise RuntimeError("set_num_threads expects a positive integer")
    THREADS.resize(number)
