"""Launches and bytes of whole passes: what a hand-written kernel for the work would take, and little more."""

import math
from typing import Any, NamedTuple

import numpy as np
import pytest
from support import ours

import autograd_gpu as ag
import autograd_gpu.nn.functional as F
from autograd_gpu import fusion

cudasim = pytest.importorskip("cudasim", reason="counts kernels and bytes: needs the simulated device")
pytestmark = pytest.mark.gpu


class Limit(NamedTuple):
    """Launches, and bytes in units of the float32 elements of the work."""

    launches: int
    units: float


class Arrays:
    """Makes tensors on the device."""

    def __init__(self, rng: np.random.Generator) -> None:
        self.rng = rng
        self.leaves: list[Any] = []

    def leaf(self, *shape: int) -> Any:
        array = self.rng.random(shape, np.float32) + 0.5
        self.leaves.append(ours(array.astype(np.float32), "cuda", requires_grad=True))
        return self.leaves[-1]

    def labels(self, rows: int, classes: int) -> Any:
        return ours(self.rng.integers(0, classes, rows), "cuda")


def chain(new, n):
    x = new.leaf(n)

    def run():
        y = x
        for _ in range(6):
            y = ag.sigmoid(ag.sin(ag.tanh(y) * 1.5) + 0.5)
        return y

    return run


def multiply_add(new, n):
    x, y, z = new.leaf(n), new.leaf(n), new.leaf(n)
    return lambda: x * y + z


@ag.fuse
def gelu_of_sum(x, b):
    return F.gelu(x + b, approximate="tanh")


def bias_gelu(new, rows, columns):
    x, b = new.leaf(rows, columns), new.leaf(columns)
    return lambda: gelu_of_sum(x, b)


def bias_gelu_unfused(new, rows, columns):
    x, b = new.leaf(rows, columns), new.leaf(columns)
    return lambda: F.gelu(x + b, approximate="tanh")


def layer_norm(new, rows, columns):
    x, w, b = new.leaf(rows, columns), new.leaf(columns), new.leaf(columns)
    return lambda: F.layer_norm(x, (columns,), w, b)


def batch_norm(new, *shape):
    x, w, b = new.leaf(*shape), new.leaf(shape[1]), new.leaf(shape[1])
    return lambda: F.batch_norm(x, None, None, w, b, training=True)


def instance_norm(new, *shape):
    x, w, b = new.leaf(*shape), new.leaf(shape[1]), new.leaf(shape[1])
    return lambda: F.instance_norm(x, weight=w, bias=b)


def group_norm(new, *shape):
    x, w, b = new.leaf(*shape), new.leaf(shape[1]), new.leaf(shape[1])
    return lambda: F.group_norm(x, 8, w, b)


def cross_entropy(new, rows, classes):
    x, target = new.leaf(rows, classes), new.labels(rows, classes)
    return lambda: F.cross_entropy(x, target)


@ag.fuse
def dropped_sum(x, y):
    return F.dropout(x, 0.1) + y


def dropout_residual(new, n):
    x, y = new.leaf(n), new.leaf(n).detach()
    return lambda: dropped_sum(x, y)


def gradient_of_a_row(new, rows, columns):
    x, w = new.leaf(rows, columns).detach(), new.leaf(columns)
    return lambda: x * w


# of the chain, six times, tanh, sin and sigmoid save an array each
WORK = {
    "chain of 30": (chain, (20_000,), Limit(30, 60), Limit(1, 1 + 18 + 1)),
    "x * y + z": (multiply_add, (20_000,), Limit(2, 6), Limit(1, 6)),
    "bias + GELU": (bias_gelu, (1024, 768), Limit(1, 2.1), Limit(2, 3.3)),
    "bias + GELU, two operations": (bias_gelu_unfused, (1024, 768), Limit(2, 4.1), Limit(2, 3.3)),
    "layer norm": (layer_norm, (4096, 768), Limit(1, 2.1), Limit(3, 3.5)),
    "batch norm": (batch_norm, (64, 64, 16, 16), Limit(3, 3.1), Limit(3, 5.2)),
    "batch norm of rows": (batch_norm, (8192, 128), Limit(3, 3.3), Limit(3, 5.4)),
    "instance norm": (instance_norm, (64, 32, 16, 16), Limit(1, 2.1), Limit(1, 3.1)),
    "group norm": (group_norm, (16, 64, 16, 16), Limit(1, 2.1), Limit(3, 5.2)),
    "cross entropy": (cross_entropy, (512, 1000), Limit(2, 1.2), Limit(1, 2.1)),
    "dropout + residual": (dropout_residual, (20_000,), Limit(1, 3.1), Limit(1, 2.1)),
}
LARGE = {
    "bias + GELU": (bias_gelu, (8192, 768), Limit(1, 2.1), Limit(2, 3.3)),
    "layer norm": (layer_norm, (8192, 768), Limit(1, 2.1), Limit(3, 3.5)),
    "cross entropy": (cross_entropy, (4096, 1000), Limit(2, 1.2), Limit(1, 2.1)),
}


def traced(run, leaves):
    """The traces of both passes, once all is made."""
    for _ in range(2):
        for leaf in leaves:
            leaf.grad = None
        with cudasim.trace() as forward:
            y = run()
        g = ag.ones_like(y)
        with cudasim.trace() as backward:
            y.backward(g)
    return forward, backward


@pytest.mark.parametrize(
    ("make", "sizes", "forward", "backward"),
    [
        *(pytest.param(*work, id=name) for name, work in WORK.items()),
        *(pytest.param(*work, id=f"{name}, large", marks=pytest.mark.slow) for name, work in LARGE.items()),
    ],
)
def test_launches_and_bytes(make, sizes, forward, backward, rng):
    new = Arrays(rng)
    run = make(new, *sizes)
    for limit, trace in zip((forward, backward), traced(run, new.leaves), strict=True):
        assert trace.launches <= limit.launches
        assert trace.kernel_bytes <= limit.units * 4 * math.prod(sizes)
        assert not trace.copies
        assert not trace.syncs


def test_a_sum_over_many_rows_keeps_the_device_busy(rng):
    """The gradient of what is broadcast is a sum over axis 0 of a product, 65536 x 64."""
    new = Arrays(rng)
    _, trace = traced(gradient_of_a_row(new, 65536, 64), new.leaves)
    assert trace.launches <= 2
    assert trace.kernel_bytes <= 2.1 * 4 * 65536 * 64
    assert math.prod(trace.kernels[0].grid) >= 100


@pytest.mark.parametrize(("norm", "most"), [(F.batch_norm, 5), (F.instance_norm, 7)])
def test_running_statistics_do_not_wait(norm, most, rng):
    new = Arrays(rng)
    x, mean, var = new.leaf(16, 32, 8, 8), new.leaf(32).detach(), new.leaf(32).detach()
    kwargs = {"training": True} if norm is F.batch_norm else {}
    trace, _ = traced(lambda: norm(x, mean, var, **kwargs), new.leaves[:1])
    assert trace.launches <= most
    assert not trace.h2d_bytes + trace.d2h_bytes
    assert not trace.syncs


def test_batch_norm_of_running_statistics_is_one_launch(rng):
    new = Arrays(rng)
    x, w, b, mean, var = new.leaf(16, 32, 8, 8), *(new.leaf(32) for _ in range(4))
    with ag.no_grad():
        for _ in range(2):
            with cudasim.trace() as trace:
                F.batch_norm(x, mean, var, w, b)
    assert trace.launches == 1
    assert trace.kernel_bytes <= 2.3 * 4 * x.numel()


@pytest.mark.parametrize("sizes", [(64, 37), (37, 11)])
def test_other_sizes_and_numbers_compile_nothing(sizes, rng):
    """Layouts and sizes of blocks may need a kernel of their own; a batch of another size does not."""
    new = Arrays(rng)
    leaves = [new.leaf(rows, 50) for rows in sizes]

    def step(x, number):
        loss = (F.layer_norm(x * number, (50,)).tanh() + number).softmax(-1).square().sum()
        loss.backward()

    for number in 1.5, 2.5:
        step(leaves[0], number)
    before = fusion.stats()
    step(leaves[1], 3.5)
    after = fusion.stats()
    assert (after.kernels, after.plans_built) == (before.kernels, before.plans_built)
