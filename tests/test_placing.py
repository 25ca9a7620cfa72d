"""What views by integers and slices hand back: the sum in the tensor viewed, in few arrays and launches."""

import numpy as np
import pytest
from against_torch import on_gpu
from support import assert_same, host, ours, theirs

import autograd_gpu as ag
from autograd_gpu import fusion
from autograd_gpu.autograd import grad

LARGE = 1 << 15  # elements of which a gap is looked for
CASES = {  # parts of x, of shape (3, n, 4)
    "disjoint parts that leave no gap": "x[0], x[1], x[2]",
    "parts along the last axis": "x[..., :1], x[..., 1:3], x[..., 3]",
    "parts with a gap": "x[0], x[2]",
    "one part": "x[1]",
    "overlapping parts": "x[:2], x[1:], x[1]",
    "one part twice": "x[0], x[0]",
    "steps": "x[:, ::2], x[:, 1::2]",
    "steps that meet": "x[:, ::2], x[:, ::3], x[:, 1:]",
    "tiles": "x[:, ::2, ::2], x[:, ::2, 1::2], x[:, 1::2, ::2], x[:, 1::2, 1::2]",
    "tiles that are no grid": "x[:1], x[1:, :2], x[1:, 2:]",
    "all": "x[:], x[...], x[None]",
    "all once": "x[None],",
    "single elements": "x[0, 0, 0], x[-1, -1, -1], x[0, 0, 0]",
    "nothing": "x[:0], x[2:], x[:0]",
    "a view beside what is none": "x[0], x * x, x[1:]",
    "functions of views": "x.select(0, 1), x.narrow(1, 1, 2), *x.split(2, -1), *x.unbind(0), *x.chunk(2, 1)",
    "some of the parts": "x.unbind(1)[0], *x.split(1)[1:], x.tensor_split(2, 1)[1]",
    "views of views": "x[0][1:], x[0][0], x[:, 1][:, 2], x.mT[0]",
}


def parts_of(text, t, x):
    return eval(f"({text})", {"t": t, "x": x})


def loss_of(parts):
    """A number with another derivative by each element of each part."""
    return sum((part * part * (i + 1)).sum() for i, part in enumerate(parts))


@pytest.mark.parametrize("mode", ["on", "off"])
@pytest.mark.parametrize("n", [4, LARGE // 12])
@pytest.mark.parametrize("text", CASES.values(), ids=CASES)
def test_gradients_agree_with_torch(text, n, mode, device, rng):
    torch = pytest.importorskip("torch")
    values = rng.normal(size=(3, n, 4)).astype("f")
    torchs = theirs(values, requires_grad=True)
    loss_of(parts_of(text, torch, torchs * 1)).backward()
    with fusion.fuse(mode):
        for _ in range(2):  # the second pass replays a plan, where there is one
            x = ours(values, device, requires_grad=True)
            y = x * 1
            y.retain_grad()
            loss_of(parts_of(text, ag, y)).backward()
            assert_same(x.grad, torchs.grad)
            assert_same(y.grad, torchs.grad)


@pytest.mark.parametrize("text", CASES.values(), ids=CASES)
def test_gradients_of_leaves_and_second_gradients_agree_with_torch(text, device, rng):
    torch = pytest.importorskip("torch")
    values = rng.normal(size=(3, 4, 4))
    found = []
    for t, make in ((ag, lambda a, **k: ours(a, device, **k)), (torch, theirs)):
        x = make(values, requires_grad=True)
        parts = parts_of(text, t, x)
        (once,) = t.autograd.grad(loss_of([part * part for part in parts]), x, create_graph=True)
        (twice,) = t.autograd.grad((once * once).sum(), x)
        loss_of(parts_of(text, t, x)).backward()
        found.append((once, twice, x.grad))
    for mine, torchs in zip(*found, strict=True):
        assert_same(mine, torchs)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "complex64"])
def test_other_dtypes_agree_with_torch(dtype, device, rng):
    torch = pytest.importorskip("torch")
    values = rng.normal(size=(4, 4)).astype(getattr(ag, dtype).numpy)
    x, z = ours(values, device, requires_grad=True), theirs(values, requires_grad=True)
    for t, leaf in ((ag, x), (torch, z)):
        t.cat([leaf[:3].flatten(), leaf[1:].flatten(), leaf[None].flatten(), leaf[0]]).abs().sum().backward()
    assert_same(x.grad, z.grad)


def test_numbers_have_views_too(device):
    x = ours(np.float32(3), device, requires_grad=True)
    ((x[None] + x[..., None]) * x[...]).sum().backward()
    assert host(x.grad) == 12


def test_hooks_see_tensors(device):
    seen = []
    x = ours(np.ones((2, 3)), device, requires_grad=True)
    y = x * 2
    y.register_hook(lambda g: seen.append(g.clone()))
    part = y[0]
    part.grad_fn.register_hook(lambda given, _: seen.append(given[0]))
    (part.sum() + (y[1] * 3).sum()).backward()
    of_part, of_y = seen
    assert host(of_part).tolist() == [[1, 1, 1], [0, 0, 0]]
    assert host(of_y).tolist() == [[1, 1, 1], [3, 3, 3]]
    assert host(x.grad).tolist() == [[2, 2, 2], [6, 6, 6]]


def test_a_gradient_is_nobody_elses(device):
    x = ours(np.ones((2, 3)), device, requires_grad=True)
    seed = ours(np.ones((1, 2, 3)), device)
    for _ in range(3):  # the first pass, a plan made and a plan replayed
        x.grad = None
        x[None].backward(seed)
        x.grad.zero_()
        assert host(seed).all()


def test_inputs_of_grad_may_be_views(device):
    x = ours(np.arange(6.0).reshape(2, 3), device, requires_grad=True)
    y = x * 1
    part = y[0]
    by_part, by_y = grad((part * part).sum() + y[1].sum(), (part, y))
    assert host(by_part).tolist() == [0, 2, 4]
    assert host(by_y).tolist() == [[0, 2, 4], [1, 1, 1]]


@on_gpu
@pytest.mark.parametrize(
    ("text", "zeros", "copies"),
    [
        ("x[0], x[1], x[2]", 0, 3),
        ("x[0], x[2]", 1, 2),
        ("x[:2], x[1:]", 1, 2),
        ("x[None],", 0, 0),
        ("*x.unbind(),", 0, 3),
        ("*x.split(1)[1:],", 1, 2),
    ],
    ids=str,
)
@pytest.mark.parametrize("times", [1, 2])
def test_each_piece_is_written_once_on_a_gpu(text, zeros, copies, times, rng):
    cudasim = pytest.importorskip("cudasim")
    values = rng.normal(size=(3, 8, 4))
    for _ in range(times):
        x = ours(values, "cuda", requires_grad=True)
        parts = parts_of(text, ag, x)
        seeds = [ours(rng.normal(size=tuple(part.shape)), "cuda") for part in parts]
        with cudasim.trace() as trace:
            found = grad(parts, x, seeds)
    assert len(found) == 1
    assert (len(trace.of("memset")), len(trace.of("kernel", "d2d"))) == (zeros, copies)


@on_gpu
def test_attention_copies_its_parts_once_on_a_gpu(rng):
    cudasim = pytest.importorskip("cudasim")
    for _ in range(2):
        x = ours(rng.normal(size=(2, 8, 3, 4, 16)).astype("f"), "cuda", requires_grad=True)
        with cudasim.trace() as forward:
            q, k, v = (x[:, :, i].transpose(1, 2) for i in range(3))
            mixed = ag.softmax(q @ k.transpose(-1, -2), -1) @ v
        seed = ours(rng.normal(size=(2, 8, 4, 16)).astype("f"), "cuda").transpose(1, 2)
        with cudasim.trace() as backward:
            (found,) = grad(mixed, x, seed)
    assert found.shape == x.shape
    assert [len(forward.of(kind)) for kind in ("blas", "kernel", "memset")] == [2, 4, 0]  # three copies and softmax
    # a copy of the seed, softmax, three parts
    assert [len(backward.of(kind)) for kind in ("blas", "kernel", "memset")] == [4, 5, 0]
