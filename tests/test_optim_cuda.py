"""What a step costs on the device: launches, bytes, copies, compilations."""

import re

import numpy as np
import pytest
from support import host, ours

import autograd_gpu as ag
from autograd_gpu import backends, optim
from autograd_gpu.fusion import norms
from autograd_gpu.fusion.multi import update_source
from autograd_gpu.nn import utils
from autograd_gpu.optim import adam

cudasim = pytest.importorskip("cudasim", reason="counts kernels and bytes: needs the simulated device")
pytestmark = pytest.mark.gpu

# 50 parameters: weights and biases of layers, small ones and one that is no multiple of anything
SHAPES = [(64, 64), (64,), (128, 64), (128,), (10, 128), (10,), (3, 3, 16, 7), (), (1,), (251, 83)] * 5


@pytest.fixture
def parameters(rng):
    made = [ours(rng.normal(size=shape).astype(np.float32), "cuda", requires_grad=True) for shape in SHAPES]
    give_gradients(made, rng)
    return made


def give_gradients(params, rng):
    """New gradients, in new memory."""
    for p in params:
        p.grad = ours(np.asarray(rng.normal(size=p.shape), np.float32), "cuda")


def compiled():
    """How many kernels over many arrays there are."""
    return backends.cuda().multi.function.cache_info().misses


def elements(params):
    return sum(p.numel() for p in params)


def traced(work):
    """The trace of ``work``, which copies nothing, waits for nothing and compiles nothing."""
    before = compiled()
    with cudasim.trace() as trace:
        work()
    assert compiled() == before
    assert not trace.copies
    assert not trace.syncs
    return trace


@pytest.mark.parametrize(
    ("make", "arrays"),
    [
        (optim.SGD, 3),
        (lambda p: optim.SGD(p, momentum=0.9, nesterov=True, weight_decay=0.1), 5),
        (optim.Adam, 7),
        (lambda p: optim.AdamW(p, amsgrad=True), 9),
        (lambda p: optim.RMSprop(p, centered=True, momentum=0.9), 9),
        (optim.Adagrad, 5),
    ],
    ids=["SGD", "SGD-nesterov", "Adam", "AdamW-amsgrad", "RMSprop-all", "Adagrad"],
)
def test_a_step_is_one_launch_that_reads_and_writes_all_once(make, arrays, parameters, rng):
    optimizer = make(parameters)
    optimizer.step()
    for lr in 0.1, 0.01:
        optimizer.param_groups[0]["lr"] = lr
        optimizer.zero_grad()
        give_gradients(parameters, rng)
        trace = traced(optimizer.step)
        assert trace.launches == 1
        assert trace.kernel_bytes <= (arrays + 0.1) * elements(parameters) * 4


def test_each_dtype_is_one_launch(rng):
    params = [
        ag.ones(5, device="cuda", dtype=dtype, requires_grad=True)
        for dtype in (ag.float16, ag.float32, ag.float64, ag.bfloat16) * 3
    ]
    optimizer = optim.Adam(params)
    for p in params:
        p.grad = ag.ones_like(p)
    optimizer.step()
    assert traced(optimizer.step).launches == 4


def test_more_parameters_than_a_launch_takes():
    params = [ag.ones(1, device="cuda", requires_grad=True) for _ in range(900)]
    for p in params:
        p.grad = ag.ones_like(p)
    optimizer = optim.SGD(params)
    optimizer.step()
    assert traced(optimizer.step).launches == 3


def test_a_large_parameter_is_spread_over_the_device():
    x = ag.zeros(1 << 20, device="cuda", requires_grad=True)
    x.grad = ag.ones_like(x)
    optimizer = optim.SGD([x], lr=1.0)
    optimizer.step()
    (kernel,) = traced(optimizer.step).kernels
    assert kernel.grid[0] >= 64
    assert x.sum().tolist() == -(2 << 20)


def test_no_access_is_out_of_bounds(rng):
    with cudasim.exact_memory():
        for dtype in np.float32, np.float64, np.float16:
            params = [ours(rng.normal(size=n).astype(dtype), "cuda", requires_grad=True) for n in (1, 7, 16_385)]
            for p in params:
                p.grad = ours(rng.normal(size=p.shape).astype(dtype), "cuda")
            optim.Adam(params).step()
            utils.clip_grad_norm_(params, 1e-3)
            utils.clip_grad_value_(params, 1e-4)


def test_memory_that_is_not_aligned(rng):
    """Views that begin anywhere are updated as well, element by element."""
    whole = ours(rng.normal(size=101).astype(np.float32), "cuda")
    other = ours(host(whole), "cpu")
    for tensor in whole, other:
        p = tensor[1:].requires_grad_()
        p.grad = ag.ones_like(p)
        for _ in range(2):
            optim.Adam([p], lr=0.1).step()
            utils.clip_grad_norm_(p, 5.0)
    np.testing.assert_allclose(host(whole), host(other), rtol=1e-5)


def test_parameters_that_move_are_found(rng):
    """Memory that a parameter or its state has from now on is what is updated."""
    x = ours(rng.normal(size=5), "cuda", requires_grad=True)
    y = ours(host(x), requires_grad=True)
    optimizers = [optim.Adam([p]) for p in (x, y)]
    for _ in range(3):
        for p, optimizer in zip((x, y), optimizers, strict=True):
            p.grad = ag.ones_like(p)
            optimizer.step()
            p.data = p.data.clone()
            optimizer.state[p]["exp_avg"] = optimizer.state[p]["exp_avg"].clone()
    np.testing.assert_allclose(host(x), host(y))


def test_clip_grad_norm_is_two_launches(parameters, rng):
    utils.clip_grad_norm_(parameters, 1.0)
    give_gradients(parameters, rng)
    trace = traced(lambda: utils.clip_grad_norm_(parameters, 0.5))
    assert trace.launches == 2
    assert trace.kernel_bytes <= 3.5 * elements(parameters) * 4
    trace = traced(lambda: utils.clip_grad_norm_(parameters, 1.0))
    assert trace.kernel_bytes <= 1.5 * elements(parameters) * 4  # nothing to scale
    trace = traced(lambda: utils.clip_grad_value_(parameters, 0.5))
    assert trace.launches == 1


@pytest.mark.parametrize("capability", [75, 80, 90, 100, 120])
def test_kernels_compile_for_every_device(capability):
    from cupy_backends.cuda.libs import nvrtc

    update = adam.rule(amsgrad=True, decaying=True, decoupled=True, maximize=True)
    texts = [
        update_source("adam", update.roots, 5, 1, len(update.numbers), ag.bfloat16, "float"),
        *norms.sources(ag.float16, ag.float16, 2.0),
        *norms.sources(ag.float64, ag.float64, 3.0),
    ]
    for text in texts:
        program = nvrtc.createProgram(text, "kernel.cu", (), ())
        nvrtc.compileProgram(program, (f"-arch=sm_{capability}", "-std=c++17"))
        assert nvrtc.getCUBIN(program)
        nvrtc.destroyProgram(program)


@pytest.mark.parametrize(
    ("dtype", "ctype"), [(ag.float32, "float"), (ag.bfloat16, "float"), (ag.float64, "double")], ids=str
)
def test_accesses_are_as_wide_as_can_be(dtype, ctype):
    """16 bytes for each of Adam's four arrays that are read, and three that are written; nothing spills."""
    from cupy_backends.cuda.libs import nvrtc

    update = adam.rule(amsgrad=False, decaying=False, decoupled=False, maximize=False)
    text = update_source("adam", update.roots, 4, 1, len(update.numbers), dtype, ctype)
    program = nvrtc.createProgram(text, "kernel.cu", (), ())
    nvrtc.compileProgram(program, ("-arch=compute_90", "-std=c++17"))
    ptx = nvrtc.getPTX(program).decode()
    nvrtc.destroyProgram(program)
    words = 16 // 8 if dtype is ag.float64 else 16 // 4
    assert len(re.findall(rf"ld\.\w*\.?v{words}\.", ptx)) == 4
    assert len(re.findall(rf"st\.\w*\.?v{words}\.", ptx)) == 3
    assert ".local" not in ptx
    assert dtype is ag.float64 or ".f64" not in ptx


def test_norms_are_the_same_in_each_run(rng):
    x = ours(rng.normal(size=100_003).astype(np.float32), "cuda")
    norms = {utils.get_total_norm([x, x]).item() for _ in range(3)}
    assert len(norms) == 1
    exact = np.sqrt(2 * np.sum(host(x).astype(float) ** 2))
    assert norms.pop() == pytest.approx(exact, rel=1e-6)


def test_streams_have_their_own_tables(parameters, rng):
    """What is copied on one stream is not read on another."""
    optimizer = optim.SGD(parameters, lr=0.5)
    before = [host(p) for p in parameters]
    for _ in range(2):
        stream = ag.cuda.Stream()
        stream.wait_stream(ag.cuda.current_stream())
        with ag.cuda.stream(stream):
            optimizer.step()
        ag.cuda.current_stream().wait_stream(stream)
    for p, old in zip(parameters, before, strict=True):
        np.testing.assert_allclose(host(p), old - host(p.grad), rtol=1e-5, atol=1e-6)


def test_a_training_step(rng):
    """Forward, backward, clip and update of a network, twice: as on the CPU."""
    results = {}
    arrays = [np.random.default_rng(1).normal(size=shape).astype(np.float32) for shape in [(8, 4), (8,), (1, 8)]]
    for device in "cpu", "cuda":
        params = [ours(array, device, requires_grad=True) for array in arrays]
        optimizer = optim.AdamW(params, lr=0.1)
        x = ours(np.linspace(-1, 1, 12, dtype=np.float32).reshape(3, 4), device)
        for _ in range(3):
            optimizer.zero_grad()
            w1, b1, w2 = params
            loss = ((x @ w1.T + b1).tanh() @ w2.T).square().mean()
            loss.backward()
            utils.clip_grad_norm_(params, 0.5)
            optimizer.step()
        results[device] = [host(p) for p in params]
    for mine, other in zip(results["cuda"], results["cpu"], strict=True):
        np.testing.assert_allclose(mine, other, rtol=1e-4, atol=1e-5)
