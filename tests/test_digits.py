"""The digits network (64-128-10, relu, cross-entropy): training steps on real images, as in PyTorch."""

from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_allclose
from support import host, ours, theirs

import autograd_gpu as ag
import autograd_gpu.nn.functional as F

DATA = Path(__file__).parents[1] / "examples" / "data" / "digits.npz"
BATCH = 32


@pytest.fixture(scope="module")
def images_and_labels():
    with np.load(DATA) as data:
        return (data["images"][:BATCH] / 16).astype(np.float32), data["labels"][:BATCH].astype(np.int64)


def weights(rng):
    """Weights of He's scale and small biases."""
    shapes = (64, 128), (128,), (128, 10), (10,)
    scales = (2 / 64) ** 0.5, 0.1, (2 / 128) ** 0.5, 0.1
    return [rng.normal(0, scale, shape).astype(np.float32) for scale, shape in zip(scales, shapes, strict=True)]


def step(torch, functional, images, labels, parameters, p=0.0):
    """The loss of a batch, whose gradients are then in the parameters."""
    w1, b1, w2, b2 = parameters
    hidden = functional.dropout(torch.relu(images @ w1 + b1), p)
    loss = functional.cross_entropy(hidden @ w2 + b2, labels)
    loss.backward()
    return loss


def assert_equal_to_rounding(mine, torchs):
    """Equal to within some roundings of float32, measured by the largest element."""
    expected = host(torchs)
    assert_allclose(host(mine), expected, rtol=2e-6, atol=2e-6 * np.abs(expected).max())


def test_loss_and_gradients_are_torchs(images_and_labels, device, rng):
    torch = pytest.importorskip("torch")
    arrays, start = images_and_labels, weights(rng)
    mine = [ours(w, device, requires_grad=True) for w in start]
    torchs = [theirs(w, requires_grad=True) for w in start]
    loss = step(ag, F, *(ours(a, device) for a in arrays), mine)
    expected = step(torch, torch.nn.functional, *map(theirs, arrays), torchs)
    assert loss.grad_fn.name() == expected.grad_fn.name() == "NllLossBackward0"
    assert_equal_to_rounding(loss, expected)
    for p, q in zip(mine, torchs, strict=True):
        assert p.grad.device == p.device
        assert p.grad.dtype is ag.float32
        assert_equal_to_rounding(p.grad, q.grad)


def test_ten_steps_with_dropout_follow_torchs(images_and_labels, rng):
    torch = pytest.importorskip("torch")
    arrays, start = images_and_labels, weights(rng)
    mine, torchs = (
        [ours(w, requires_grad=True) for w in start],
        [theirs(w, requires_grad=True) for w in start],
    )
    torch.manual_seed(7)
    ag.manual_seed(7)
    for _ in range(10):
        loss = step(ag, F, *map(ours, arrays), mine, p=0.2)
        expected = step(torch, torch.nn.functional, *map(theirs, arrays), torchs, p=0.2)
        for library, parameters in ((ag, mine), (torch, torchs)):
            with library.no_grad():
                for p in parameters:
                    p.sub_(0.5 * p.grad)
                    p.grad = None
        assert_allclose(host(loss), host(expected), rtol=1e-5)
    assert host(loss) < 1.5  # the images are being learnt: it started above ln 10


def test_steps_lower_the_loss(images_and_labels, device, rng):
    arrays = [ours(a, device) for a in images_and_labels]
    parameters = [ours(w, device, requires_grad=True) for w in weights(rng)]
    losses = []
    for _ in range(5):
        losses.append(step(ag, F, *arrays, parameters).item())
        with ag.no_grad():
            for p in parameters:
                p.sub_(0.5 * p.grad)
                p.grad = None
    assert losses == sorted(losses, reverse=True)
    assert losses[-1] < losses[0] / 2


@pytest.mark.gpu
def test_a_training_step_stays_on_the_device(images_and_labels, rng):
    cudasim = pytest.importorskip("cudasim")
    arrays = [ours(a, "cuda") for a in images_and_labels]
    parameters = [ours(w, "cuda", requires_grad=True) for w in weights(rng)]
    for _ in range(2):
        with cudasim.trace() as trace:
            step(ag, F, *arrays, parameters)
    assert trace.launches
    assert not trace.syncs
    assert not trace.h2d_bytes
    assert not trace.d2h_bytes
