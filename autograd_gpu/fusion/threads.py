"""How many threads compute one kernel on the CPU, and how they share it."""

import os
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from ctypes import c_int, c_longlong, c_void_p, cast
from functools import cache
from pathlib import Path
from typing import Any

from ..modes import modes
from .compiler import COMPILER, CannotCompile
from .pool import POOL

EACH = 4  # pieces for each thread: one that is held up leaves more to the others
ALONE = 1 << 17  # elements of a thread: another one that sleeps begins 50 µs late (benchmarks/thresholds.py)
SPIN = 200_000  # nanoseconds that a thread waits for work before it sleeps: Python's between two kernels of a step


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
    """How many threads there are to be, and how a kernel is shared among them."""

    def __init__(self) -> None:
        self.number = wanted()

    def share(self, function: Any, arguments: Sequence[Any], parts: int, elements: int) -> int:
        """``function(*arguments, 0, parts)``, in pieces on several threads if that pays; not 0 if one fails."""
        number = min(self.number, parts, elements // ALONE)
        if number < 2 or (several := pool()) is None:
            return function(*arguments, 0, parts)  # type: ignore[no-any-return]
        piece = max(parts // (EACH * number), 1)
        return several(cast(function, c_void_p), *arguments, parts, piece, number)

    def each(self, tasks: Sequence[Callable[[], None]]) -> None:
        """Do all ``tasks``, on NumPy, which lets other threads of Python's compute meanwhile."""
        left = deque(tasks)

        def work() -> None:
            while True:
                try:
                    task = left.popleft()
                except IndexError:
                    return
                task()

        number = min(self.number, len(tasks)) - 1
        helpers = [executor().submit(lambda: modes.quiet(work)) for _ in range(number)]
        try:
            work()
        finally:
            wait(helpers)
        for helper in helpers:
            helper.result()


@cache
def executor() -> ThreadPoolExecutor:
    """Threads of Python's; a child of a fork makes its own."""
    return ThreadPoolExecutor(os.cpu_count(), "autograd_gpu")


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=executor.cache_clear)


@cache
def pool() -> Callable[..., int] | None:
    """What calls a function on several threads; None where there are none."""
    try:
        share = COMPILER.function(
            POOL.replace("SPIN", str(SPIN)), "autograd_gpu_share", ["-pthread"], without="kernels have one thread"
        )
    except CannotCompile:
        return None
    share.argtypes = [c_void_p] * 4 + [c_longlong] * 2 + [c_int]
    return share  # type: ignore[no-any-return]


THREADS = Threads()


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
    THREADS.number = number
