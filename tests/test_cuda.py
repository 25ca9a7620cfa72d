"""``autograd_gpu.cuda`` on a device, real or simulated; without one see test_package.py."""

import subprocess
import sys

import pytest

import autograd_gpu as ag

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not ag.cuda.is_available(), reason="there is no CUDA device"),
]


def test_devices():
    assert ag.cuda.device_count() >= 1
    assert ag.cuda.is_initialized()
    assert ag.cuda.current_device() == 0
    assert ag.cuda.get_device_name() == ag.cuda.get_device_name(0) == ag.cuda.get_device_name("cuda:0")
    properties = ag.cuda.get_device_properties(ag.device("cuda"))
    assert properties.name == ag.cuda.get_device_name()
    assert (properties.major, properties.minor) == ag.cuda.get_device_capability()
    assert properties.total_memory > 2**30
    assert properties.multi_processor_count > 0
    assert ag.cuda.is_bf16_supported()
    with pytest.raises(ValueError, match=r"^Expected a cuda device, but got: cpu$"):
        ag.cuda.get_device_name("cpu")
    with pytest.raises(AssertionError, match="invalid device ordinal: cuda:99 was asked for"):
        ag.zeros(1, device="cuda:99")


def test_current_device_as_a_context():
    with ag.cuda.device(0):
        assert ag.ones(1, device="cuda").get_device() == 0
    with ag.cuda.device(None):
        assert ag.cuda.current_device() == 0
    ag.cuda.set_device("cuda:0")
    ag.cuda.synchronize()
    ag.cuda.synchronize(0)


def test_memory():
    ag.cuda.empty_cache()
    before = ag.cuda.memory_allocated()
    ag.cuda.reset_peak_memory_stats()
    x = ag.zeros(2**20, device="cuda")
    assert ag.cuda.memory_allocated() - before == 2**22
    assert ag.cuda.memory_reserved() >= ag.cuda.memory_allocated()
    del x
    assert ag.cuda.memory_allocated() == before
    assert ag.cuda.max_memory_allocated() - before >= 2**22
    ag.cuda.reset_peak_memory_stats(0)
    assert ag.cuda.max_memory_allocated(0) == before
    free, total = ag.cuda.mem_get_info()
    assert 0 < free <= total
    ag.cuda.empty_cache()


def test_events_and_streams():
    start, end = ag.cuda.Event(enable_timing=True), ag.cuda.Event(enable_timing=True)
    start.record()
    ag.ones(1000, device="cuda").exp()
    end.record()
    end.synchronize()
    assert end.query()
    assert start.elapsed_time(end) >= 0
    stream = ag.cuda.Stream()
    assert stream != ag.cuda.current_stream()
    with ag.cuda.stream(stream) as inside:
        assert inside is stream
        assert ag.cuda.current_stream() == stream
        x = ag.ones(3, device="cuda", requires_grad=True)
        (x * x).sum().backward()
    assert ag.cuda.current_stream() == ag.cuda.default_stream()
    ag.cuda.default_stream().wait_stream(stream)
    stream.synchronize()
    assert stream.query()
    assert x.grad.tolist() == [2.0] * 3
    event = stream.record_event()
    event.wait()
    ag.cuda.current_stream().wait_event(event)
    assert len({stream, ag.cuda.default_stream(), ag.cuda.current_stream()}) == 2


def test_two_devices():
    pytest.importorskip("cudasim")
    code = """
import autograd_gpu as ag
assert ag.cuda.device_count() == 2
x = ag.arange(3.0, device="cuda:1").requires_grad_()
y = (x * 2).to("cuda:0")
assert (y.device.index, y.array.device.id) == (0, 0)
assert y.tolist() == [0.0, 2.0, 4.0]
with ag.cuda.device(1):
    assert ag.ones(1, device="cuda").get_device() == 1
    assert ag.cuda.current_device() == 1
assert ag.rand(2, device="cuda:1").array.device.id == 1
assert ag.randperm(5, device="cuda:1").array.device.id == 1
assert ag.zeros_like(x).array.device.id == 1
assert ag.tensor([1.0, 2.0], device="cuda:1").cpu().tolist() == [1.0, 2.0]
z = ag.ones(2, 4, 3, 2, 5, device="cuda:1").requires_grad_()
for _ in range(3):
    q, k, v = (z[:, :, i].transpose(1, 2) for i in range(3))
    (ag.softmax(q @ k.mT, -1) @ v).sum().backward()
    (g,) = ag.autograd.grad((z[0] * z[1]).sum(), z)
    assert z.grad.array.device.id == g.array.device.id == 1
ag.cuda.set_device(1)
assert ag.zeros(1, device="cuda").get_device() == 1
assert repr(ag.ones(1, device="cuda")) == "tensor([1.], device='cuda:1')"
try:
    ag.ones(2, device="cuda:0") + ag.ones(2, device="cuda:1")
except RuntimeError as error:
    print(error)
"""
    done = subprocess.run(
        ["env", "CUDASIM_DEVICES=2", sys.executable, "-c", code], capture_output=True, text=True, check=False
    )
    assert done.stderr == ""
    assert done.stdout.startswith(
        "Expected all tensors to be on the same device, but found at least two devices, cuda:0 and cuda:1!"
    )
