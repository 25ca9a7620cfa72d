"""Losses and dropout on the device: one pass over the operands each way, and nothing compiled twice."""

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from support import host, ours

import autograd_gpu as ag
import autograd_gpu.nn.functional as F
from autograd_gpu import fusion

cudasim = pytest.importorskip("cudasim", reason="counts kernels and bytes: needs the simulated device")
pytestmark = pytest.mark.gpu

ROWS, COLUMNS = 300, 1000
EACH_BLOCK = 132 * COLUMNS / (ROWS * COLUMNS)  # what it takes that each of so many blocks reads a row

# each with how many of its operands have a number for each element, and one for each column
LOSSES = {
    "mse": (F.mse_loss, 2, 0),
    "mse, weights": (lambda x, t, w: F.mse_loss(x, t, weight=w), 3, 0),
    "l1": (F.l1_loss, 2, 0),
    "smooth l1": (F.smooth_l1_loss, 2, 0),
    "huber": (F.huber_loss, 2, 0),
    "bce": (F.binary_cross_entropy, 2, 0),
    "bce, weights": (F.binary_cross_entropy, 2, 1),
    "bce of logits": (F.binary_cross_entropy_with_logits, 2, 0),
    "bce of logits, weights": (lambda x, t, w: F.binary_cross_entropy_with_logits(x, t, pos_weight=w), 2, 1),
    "soft margin": (F.soft_margin_loss, 2, 0),
    "kl_div": (lambda x, t: F.kl_div(x, t, reduction="batchmean"), 2, 0),
    "probabilities": (F.cross_entropy, 2, 0),
    "probabilities, smoothing": (lambda x, t: F.cross_entropy(x, t, label_smoothing=0.1), 2, 0),
}
CLASSES = {
    "nll": F.nll_loss,
    "classes": F.cross_entropy,
    "classes, smoothing": lambda x, t, w=None: F.cross_entropy(x, t, w, label_smoothing=0.1),
    "classes, sum": lambda x, t, w=None: F.cross_entropy(x, t, w, reduction="sum"),
}


def passes(loss, x, others):
    """The traces of both passes, the gradient being that of ``x``, once all is made."""
    for _ in range(2):
        x.grad = None
        with cudasim.trace() as forward:
            y = loss(x, *others)
        g = ag.ones_like(y)
        with cudasim.trace() as backward:
            y.backward(g)
    return forward, backward


def probabilities(rng, *shape):
    return ours(rng.uniform(0.1, 0.9, shape).astype(np.float32), "cuda")


def assert_within(trace, launches, units, elements):
    assert trace.launches <= launches
    assert trace.kernel_bytes <= units * 4 * elements
    assert not trace.copies
    assert not trace.syncs


@pytest.mark.parametrize("name", LOSSES)
def test_a_loss_of_elements_reads_its_operands_once(name, rng):
    loss, count, rows = LOSSES[name]
    x, *others = (probabilities(rng, ROWS, COLUMNS) for _ in range(count))
    others += [probabilities(rng, COLUMNS) for _ in range(rows)]
    forward, backward = passes(loss, x.requires_grad_(), others)
    units = count + 0.1 + rows * EACH_BLOCK
    assert_within(forward, 2, units, ROWS * COLUMNS)
    assert_within(backward, 1, units + 1, ROWS * COLUMNS)


@pytest.mark.parametrize("name", CLASSES)
@pytest.mark.parametrize("weighted", [False, True])
def test_a_loss_of_classes_reads_the_scores_once(name, weighted, rng):
    x, target = probabilities(rng, ROWS, COLUMNS), ours(rng.integers(0, COLUMNS, ROWS), "cuda")
    weight = [probabilities(rng, COLUMNS)] if weighted else []
    forward, backward = passes(CLASSES[name], x.requires_grad_(), [target, *weight])
    assert_within(forward, 2, 1.2 + weighted * EACH_BLOCK, ROWS * COLUMNS)
    assert_within(backward, 1, 2.1 + weighted * EACH_BLOCK, ROWS * COLUMNS)


@pytest.mark.parametrize("name", ["mse", "huber", "bce"])
def test_a_small_loss_is_one_launch(name, rng):
    x, t = probabilities(rng, 8, 10), probabilities(rng, 8, 10)
    forward, backward = passes(LOSSES[name][0], x.requires_grad_(), [t])
    assert (forward.launches, backward.launches) == (1, 1)


def compiled_by(step):
    """How many kernels and plans ``step`` needs that were not there."""
    before = fusion.stats()
    step()
    after = fusion.stats()
    return after.kernels - before.kernels, after.plans_built - before.plans_built


@pytest.mark.parametrize(
    "loss",
    [
        lambda x, number: F.huber_loss(x, 0 * x.detach(), delta=number),
        lambda x, number: F.binary_cross_entropy_with_logits(x, x.detach() * number),
        lambda x, number: F.cross_entropy(x, (x.detach() > number).sum(1), label_smoothing=number / 2),
        lambda x, number: F.dropout(x, number).sum(),
    ],
    ids=["huber", "bce", "cross entropy", "dropout"],
)
def test_another_batch_and_other_numbers_compile_nothing(loss, rng):
    def step(rows, number):
        loss(probabilities(rng, rows, 50).requires_grad_(), number).backward()

    step(64, 0.5)
    step(64, 0.25)
    assert compiled_by(lambda: step(63, 0.125)) == (0, 0)


def test_dropout_keeps_no_mask(rng):
    x = probabilities(rng, ROWS, COLUMNS).requires_grad_()
    forward, backward = passes(F.dropout, x, [])
    assert_within(forward, 1, 2, ROWS * COLUMNS)
    assert_within(backward, 1, 2, ROWS * COLUMNS)


def test_dropout_has_the_same_mask_in_each_backward_pass_and_another_in_each_call(rng):
    x = probabilities(rng, 4000).requires_grad_()
    y, z = F.dropout(x, 0.3), F.dropout(x, 0.3)
    g = ours(np.ones(4000, np.float32), "cuda")
    first, second = (host(ag.autograd.grad(y, x, g, retain_graph=True)[0]) for _ in range(2))
    assert_array_equal(first, second)
    assert_array_equal(first != 0, host(y) != 0)
    assert (first != host(ag.autograd.grad(z, x, g)[0])).any()
