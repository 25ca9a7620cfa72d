"""Streams, devices and errors: a planned backward pass runs where it should, and all of it or nothing."""

import subprocess
import sys
import textwrap

import numpy as np
import pytest
from numpy.testing import assert_allclose
from support import host, ours

import autograd_gpu as ag
from autograd_gpu import fusion

cudasim = pytest.importorskip("cudasim", reason="records where kernels run: needs the simulated device")
pytestmark = pytest.mark.gpu

N = 1000


@pytest.fixture
def leaf(rng):
    """Makes leaves on the device, with values between 0.5 and 1.5."""

    def make(*shape):
        return ours((rng.random(shape) + 0.5).astype(np.float32), "cuda", requires_grad=True)

    return make


def network(x, w, b):
    """Elementwise operations, a matrix product, sums, and a fan-out."""
    h = (x @ w + b).tanh()
    return (h * h + h.exp().softmax(-1)).sum()


def step(*leaves):
    """Both passes; the gradients."""
    for t in leaves:
        t.grad = None
    network(*leaves).backward()
    return [t.grad for t in leaves]


# --- streams ---------------------------------------------------------------------------------------------


def test_all_kernels_run_on_the_current_stream(leaf):
    leaves = leaf(8, 5), leaf(5, 3), leaf(3)
    expected = [host(g) for g in step(*leaves)]
    for stream in ag.cuda.Stream(), ag.cuda.Stream():  # the second pass replays the plan of the first
        with stream, cudasim.trace() as trace:
            grads = step(*leaves)
        assert {record.stream for record in [*trace.kernels, *trace.blas]} == {stream.stream.ptr}
        assert not trace.syncs
        stream.synchronize()
        for mine, known in zip(grads, expected, strict=True):
            assert_allclose(host(mine), known, rtol=1e-6)
    with cudasim.trace() as trace:
        step(*leaves)
    assert {record.stream for record in [*trace.kernels, *trace.blas]} == {0}


def test_gradients_of_one_stream_are_ready_for_another_that_waits(leaf):
    leaves = leaf(8, 5), leaf(5, 3), leaf(3)
    side = ag.cuda.Stream()
    side.wait_stream(ag.cuda.current_stream())
    with side:
        grads = step(*leaves)
    ag.cuda.current_stream().wait_stream(side)
    totals = [g.sum() for g in grads]
    for total, known in zip(totals, step(*leaves), strict=True):
        assert_allclose(host(total), host(known).sum(), rtol=1e-4)


def test_memory_goes_back_to_the_stream_that_it_was_used_on(leaf):
    """CuPy's pool never hands memory freed on one stream to another."""
    import cupy

    x = leaf(N)
    side = ag.cuda.Stream()
    with side:
        (x.exp() * x).sum().backward()
        address = x.grad.data_ptr()
        x.grad = None
    on_default = [cupy.empty(N, np.float32) for _ in range(20)]
    assert address not in [array.data.ptr for array in on_default]
    with side:
        on_side = [cupy.empty(N, np.float32) for _ in range(20)]
    assert address in [array.data.ptr for array in on_side]


# --- devices ---------------------------------------------------------------------------------------------

TWO_DEVICES = """
    import numpy as np, cupy, cudasim
    import autograd_gpu as ag

    def step(device):
        x = ag.linspace(0.5, 1.5, 1000, device=device).reshape(20, 50).requires_grad_()
        b = ag.linspace(0.5, 1.5, 50, device=device).requires_grad_()
        ((x * b).tanh().softmax(-1) * x).sum().backward()
        return x.grad, b.grad

    known = [g.numpy() for g in step("cpu")]
    for number in 0, 1, 0, 1:  # made and replayed
        with cudasim.trace() as trace:
            grads = step(f"cuda:{number}")
        assert {kernel.device for kernel in trace.kernels} == {number}, {kernel.device for kernel in trace.kernels}
        assert cupy.cuda.runtime.getDevice() == 0
        for mine, expected in zip(grads, known):
            assert mine.device.index == number
            np.testing.assert_allclose(mine.cpu().numpy(), expected, rtol=1e-4, atol=1e-6)
    with ag.cuda.device(1):
        grads = step("cuda")
        assert grads[0].device.index == 1
        step("cuda:0")
    for _ in range(2):  # half of a graph on each
        x = ag.linspace(0.5, 1.5, 1000, device="cuda:0", requires_grad=True)
        y = (x * 2).exp()
        w = ag.linspace(0.5, 1.5, 1000, device="cuda:1", requires_grad=True)
        (y.to("cuda:1") * w).tanh().sum().backward()
        assert (x.grad.device.index, w.grad.device.index) == (0, 1)
        e = np.exp(2 * x.detach().cpu().numpy())
        slope = 1 - np.tanh(e * w.detach().cpu().numpy()) ** 2
        np.testing.assert_allclose(x.grad.cpu().numpy(), slope * w.detach().cpu().numpy() * e * 2, rtol=1e-3, atol=1e-4)
        np.testing.assert_allclose(w.grad.cpu().numpy(), slope * e, rtol=1e-3, atol=1e-4)
    print("done")
"""


def test_programs_run_on_the_device_of_their_arrays(monkeypatch):
    monkeypatch.setenv("CUDASIM_DEVICES", "2")
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", textwrap.dedent(TWO_DEVICES)], capture_output=True, text=True, check=False
    )
    assert done.stdout.startswith("done"), done.stderr


# --- errors on the way -----------------------------------------------------------------------------------

TIMES = pytest.mark.parametrize("passes", [0, 2], ids=["composed", "replayed"])


def gradients(leaves):
    return [None if t.grad is None else host(t.grad).tobytes() for t in leaves]


@TIMES
def test_a_saved_array_that_was_written_to_stops_all_gradients(passes, leaf):
    """The gradient of w is known before the write is found."""
    x, w = leaf(N), leaf()

    def forward():
        y = x.exp()
        return y, y.sum() * w

    for _ in range(passes):
        forward()[1].backward()
    before = gradients((x, w))
    y, loss = forward()
    with ag.no_grad():
        y += 1
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        loss.backward()
    assert gradients((x, w)) == before
    x.grad = w.grad = None
    forward()[1].backward()
    assert_allclose(host(x.grad), host(w) * np.exp(host(x)), rtol=1e-5)
    assert_allclose(host(w.grad), np.exp(host(x)).sum(), rtol=1e-5)


@TIMES
def test_an_operation_that_fails_stops_all_gradients(passes, leaf, monkeypatch):
    leaves = leaf(8, 5), leaf(5, 3), leaf(3)
    for _ in range(passes):
        network(*leaves).backward()
    before = gradients(leaves)
    product = type((leaves[0] @ leaves[1]).grad_fn)

    def fail(*_):
        raise MemoryError("no more")

    loss = network(*leaves)
    with monkeypatch.context() as patched:
        patched.setattr(product, "pullback", fail)
        with pytest.raises(MemoryError, match="no more"):
            loss.backward()
    assert gradients(leaves) == before
    mine = [host(g) for g in step(*leaves)]
    with fusion.fuse("off"):
        known = [host(g) for g in step(*leaves)]
    for a, b in zip(mine, known, strict=True):
        assert_allclose(a, b, rtol=1e-5, atol=1e-6)


@TIMES
def test_a_graph_that_was_freed_stops_all_gradients(passes, leaf):
    x, w = leaf(N), leaf(N)
    for _ in range(passes):
        (x * w).exp().sum().backward()
    inner = (x * w).exp()
    inner.sum().backward()
    before = gradients((x, w))
    with pytest.raises(RuntimeError, match="backward through the graph a second time"):
        (inner * w).sum().backward()
    assert gradients((x, w)) == before


def test_a_launch_that_fails_stops_all_gradients(leaf):
    """Out of memory on the device, in the middle."""
    import cupy

    leaves = leaf(8, 5), leaf(5, 3), leaf(3)
    expected = [host(g) for g in step(*leaves)]
    before = gradients(leaves)
    loss = network(*leaves)

    def refuse(size):
        raise MemoryError(f"{size} bytes")

    with cupy.cuda.using_allocator(refuse), pytest.raises(MemoryError, match="bytes"):
        loss.backward()
    assert gradients(leaves) == before
    for mine, known in zip(step(*leaves), expected, strict=True):
        assert_allclose(host(mine), known, rtol=1e-6)
