"""Memory of large results on the CPU: kept for the next ones, never more than there once was, the user's left alone."""

import os
import resource
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
from numpy._core.multiarray import get_handler_name

import autograd_gpu as ag
from autograd_gpu import fusion
from autograd_gpu.fusion import memory, native
from autograd_gpu.modes import modes

if native.LEAST["on"] == float("inf") or memory.kept() is None:
    pytest.skip("memory is kept where there is a C++ compiler", allow_module_level=True)

N = 10**6
OURS = "autograd_gpu"


def faults(function):
    """How many pages of memory the system had to find while ``function`` ran."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    function()
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before


@pytest.fixture
def chain(rng):
    """A step of a chain of operations on large arrays, which has run and is planned."""
    x, w = (ag.tensor(rng.random(N, dtype=np.float32), requires_grad=True) for _ in range(2))

    def step():
        x.grad = w.grad = None
        ((x * w).tanh().exp() + w).sum().backward()

    for _ in range(4):
        step()
    return step


def test_a_step_that_ran_before_needs_no_fresh_pages(chain):
    assert faults(chain) < 3 * N * 4 / resource.getpagesize() / 10


def test_results_are_ours_and_the_users_arrays_are_not(chain):
    chain()
    x = ag.ones(N, requires_grad=True)
    y = x.exp()
    y.sum().backward()
    assert get_handler_name(y.array) == OURS
    assert get_handler_name(np.exp(x.array)) == "default_allocator"
    assert get_handler_name(np.empty(N)) == "default_allocator"


def test_zeros_are_zero_and_arrays_can_be_resized(chain):
    chain()
    with memory.Keeping():
        for size in (10, N, N - 7, 2 * N):
            np.full(size, 7.0)  # its memory is free again
            zeros = np.zeros(size)
            assert not zeros.any()
            assert get_handler_name(zeros) == OURS
            for length in (N // 3, 5, 3 * N, 0, N):
                zeros.resize(length, refcheck=False)
                zeros[:] = 1
            assert zeros.sum() == N


def test_no_more_than_there_once_was():
    before = memory_in_use()
    with memory.Keeping():
        held = [np.ones(N) for _ in range(8)]
        del held
        for n in range(1, 80):
            np.ones(n * 10**5)  # each of another size
    assert memory_in_use() - before < 2 * 8 * N * 8  # all together had 2.5 GB


def memory_in_use():
    """Bytes of this process that are in memory."""
    try:
        return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * resource.getpagesize()
    except OSError:
        pytest.skip("needs /proc")


def test_arrays_that_another_thread_lets_go(chain):
    made = []

    def work():
        fusion.stats()
        x = ag.ones(N, requires_grad=True)
        for _ in range(3):
            y = ag.nn.functional.gelu(x)
            y.sum().backward()
        made.append(y.detach())

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(made) == 4
    assert {get_handler_name(y.array) for y in made} == {OURS}
    expected = float(made[0].sum())
    made.clear()
    chain()
    assert float(ag.nn.functional.gelu(ag.ones(N)).sum()) == expected


@pytest.mark.skipif(not hasattr(os, "fork") or sys.platform == "darwin", reason="forks")
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_child_of_a_fork(chain):
    chain()
    child = os.fork()
    if not child:
        try:
            chain()
            os._exit(0)
        finally:
            os._exit(1)
    assert os.waitpid(child, 0)[1] == 0


def test_nothing_is_kept_on_a_thread_that_has_no_large_results():
    found = []

    def work():
        x = ag.ones(10, requires_grad=True)
        x.exp().sum().backward()
        found.append(modes.keeping)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert found == [None]
