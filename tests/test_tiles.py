"""Tiles of NumPy, which threads share: the same results for all numbers of threads."""

import os
import sys
import threading

import numpy as np
import pytest
from support import host, ours

import autograd_gpu as ag
from autograd_gpu import fusion
from autograd_gpu.fusion.threads import Threads


@pytest.fixture
def threads():
    """Sets the number of threads, for this test."""
    before = ag.get_num_threads()
    yield ag.set_num_threads
    ag.set_num_threads(before)


def normed(x, w):
    z = (x * w).tanh()
    return (z - z.mean(-1, keepdim=True)) * ag.exp(-z) + w


def whole(x, w):
    return (x * w - (x * w).max()).exp().sum()


def gradients(function, x, w):
    """The result and the gradients of ``function``, node by node or, if it is fused, on tiles."""
    x, w = ours(x, requires_grad=True), ours(w, requires_grad=True)
    with fusion.compiling("off"), fusion.fuse("off"):
        y = function(x, w)
        y.backward(ag.ones_like(y))
    return [host(t) for t in (y.detach(), x.grad, w.grad)]


@pytest.mark.parametrize("function", [normed, whole])
@pytest.mark.parametrize("shape", [(3000, 300), (7, 200_000), (1, 900_000)])
def test_any_number_of_threads_gives_the_same(function, shape, threads, rng):
    x, w = rng.standard_normal(shape, np.float32), rng.standard_normal(shape[-1:], np.float32)
    exact = gradients(function, x.astype(np.float64), w.astype(np.float64))
    fused = ag.fuse(function)
    threads(1)
    known = gradients(fused, x, w)
    for mine, other in zip(known, exact, strict=True):
        np.testing.assert_allclose(mine, other, rtol=2e-4, atol=2e-5 * np.abs(other).max())
    for number in 2, 5:
        threads(number)
        for mine, other in zip(gradients(fused, x, w), known, strict=True):
            np.testing.assert_array_equal(mine, other)


def test_each_task_is_done_and_errors_come_back(threads):
    threads(3)
    done, names = [], set()

    def task(number):
        names.add(threading.current_thread().name)
        done.append(number)

    several = Threads()
    several.number = 3
    several.each([lambda i=i: task(i) for i in range(50)])
    assert sorted(done) == list(range(50))

    def fail():
        raise IndexError("of a task")

    with pytest.raises(IndexError, match="of a task"):
        several.each([fail, lambda: None, lambda: None])


@pytest.mark.skipif(not hasattr(os, "fork") or sys.platform == "darwin", reason="forks")
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_child_of_a_fork_has_threads_of_its_own(threads, rng):
    threads(2)
    x, w = rng.standard_normal((3000, 300), np.float32), rng.standard_normal(300, np.float32)
    fused = ag.fuse(normed)
    known = gradients(fused, x, w)
    child = os.fork()
    if not child:
        try:
            same = all(np.array_equal(a, b) for a, b in zip(gradients(fused, x, w), known, strict=True))
            os._exit(0 if same else 2)
        finally:
            os._exit(1)
    assert os.waitpid(child, 0)[1] == 0
