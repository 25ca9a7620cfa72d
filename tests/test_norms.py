"""Normalisation: values, derivatives, running statistics and errors as PyTorch's."""

import numpy as np
import pytest
from both import cast, check, check_quotient, check_stays_on_device
from numpy.testing import assert_allclose
from support import assert_same, host, ours, theirs

import autograd_gpu as ag
import autograd_gpu.nn.functional as F


def affine(function, parameters):
    """``function(f, x, weight, bias)`` of so many parameters."""
    return lambda f, x, *rest: function(f, x, *rest, *(None,) * (parameters - len(rest)))


# for each: the function, the shape of the input, and that of weight and bias
NORMS = {
    "layer": (lambda f, x, w, b: f.layer_norm(x, (3,), w, b), (4, 3), (3,), 2),
    "layer of two axes": (lambda f, x, w, b: f.layer_norm(x, (3, 4), w, b, eps=0.1), (2, 3, 4), (3, 4), 2),
    "layer of a vector": (lambda f, x, w, b: f.layer_norm(x, [5], w, b), (5,), (5,), 2),
    "rms": (lambda f, x, w: f.rms_norm(x, (3,), w), (4, 3), (3,), 1),
    "rms with eps": (lambda f, x, w: f.rms_norm(x, (3, 4), w, eps=0.1), (2, 3, 4), (3, 4), 1),
    "group": (lambda f, x, w, b: f.group_norm(x, 2, w, b), (2, 4, 3), (4,), 2),
    "group of matrices": (lambda f, x, w, b: f.group_norm(x, 2, w, b), (3, 6), (6,), 2),
    "instance": (lambda f, x, w, b: f.instance_norm(x, weight=w, bias=b), (2, 3, 4), (3,), 2),
    "batch": (lambda f, x, w, b: f.batch_norm(x, None, None, w, b, training=True), (5, 3), (3,), 2),
    "batch of images": (
        lambda f, x, w, b: f.batch_norm(x, None, None, w, b, training=True, eps=0.1), (2, 3, 2, 2), (3,), 2
    ),
}  # fmt: skip
every_norm = pytest.mark.parametrize("name", NORMS)


def case(name, count, rng):
    """A norm of NORMS with the first ``count`` of its parameters, and its operands."""
    function, shape, parameter, most = NORMS[name]
    arrays = [rng.normal(1, 2, shape), *(rng.normal(size=parameter) for _ in range(min(count, most)))]
    return affine(function, most), arrays


@every_norm
@pytest.mark.parametrize("parameters", [0, 1, 2])
def test_value_and_two_derivatives_are_torchs(name, parameters, rng):
    function, arrays = case(name, parameters, rng)
    check(function, arrays, rng)


@every_norm
def test_on_the_device_in_single_precision(name, device, rng):
    function, arrays = case(name, 2, rng)
    check(function, arrays, rng, device, "float32", orders=1, scale=20)


def results(function, arrays, g, device):
    """The value of ``function(F, *tensors)`` and its gradients along ``g``, as arrays."""
    xs = [ours(array, device, requires_grad=True) for array in arrays]
    y = function(F, *xs)
    return [host(z) for z in (y, *ag.autograd.grad(y, xs, ours(g, device)))]


@every_norm
@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_half_precision_rounds_only_what_comes_out(name, dtype, device, rng):
    if device == "cuda" and name not in ("layer", "batch"):
        pytest.skip("its kernels are those of these two")
    if name == "instance":
        pytest.skip("sums the gradients of its parameters over the examples in another step")
    function, arrays = case(name, 2, rng)
    arrays = [cast(array, dtype) for array in arrays]
    g = cast(rng.normal(size=arrays[0].shape), dtype)
    exact = results(function, [array.astype(np.float64) for array in arrays], g.astype(np.float64), device)
    unit = 2.0 ** (-11 if dtype == "float16" else -8)
    for half, full in zip(results(function, arrays, g, device), exact, strict=True):
        assert_allclose(half, full, rtol=1.01 * unit, atol=1e-5 * np.abs(full).max())


@every_norm
def test_gradient_is_the_difference_quotient(name, rng):
    function, arrays = case(name, 2, rng)
    check_quotient(function, arrays, rng)


@every_norm
@pytest.mark.gpu
def test_both_passes_stay_on_the_device(name, rng):
    function, arrays = case(name, 2, rng)
    check_stays_on_device(function, arrays)


def test_of_a_transposed_input(rng):
    arrays = [rng.normal(size=(3, 4)).T, rng.normal(size=3), rng.normal(size=3)]
    check(lambda f, x, w, b: f.layer_norm(x, (3,), w, b), arrays, rng)


def test_of_no_rows(rng):
    check(lambda f, x: f.layer_norm(x, (3,)), [np.zeros((0, 3))], rng, orders=1)


def test_a_large_mean_does_not_cancel(rng):
    check(lambda f, x: f.layer_norm(x, (8,)), [rng.normal(size=(2, 8)) + 1e6], rng, orders=1, scale=100)


# --- batch_norm ------------------------------------------------------------------------------------------


def both(stats):
    """The same arrays as our tensors and as torch's."""
    return [ours(s) for s in stats], [theirs(s) for s in stats]


@pytest.mark.parametrize("shape", [(5, 3), (2, 3, 4)], ids=str)
@pytest.mark.parametrize("momentum", [0.1, 0.5])
def test_training_moves_the_running_statistics(shape, momentum, rng):
    torch = pytest.importorskip("torch")
    x = rng.normal(3, 2, shape).astype(np.float32)
    mine, torchs = both([rng.normal(size=3).astype(np.float32), rng.uniform(0.5, 2, 3).astype(np.float32)])
    kept = mine[0].array
    for _ in range(2):
        y = F.batch_norm(ours(x, requires_grad=True), *mine, training=True, momentum=momentum)
        expected = torch.nn.functional.batch_norm(theirs(x), *torchs, training=True, momentum=momentum)
        assert_same(y, expected, scale=5)
        assert_same(mine, torchs, scale=5)
    assert mine[0].array is kept
    assert not mine[0].requires_grad
    assert mine[0]._version > 0


@pytest.mark.parametrize("weighted", [False, True])
def test_evaluation_uses_the_running_statistics(weighted, rng):
    mean, var = rng.normal(size=3), rng.uniform(0.5, 2, 3)
    parameters = [rng.normal(size=3), rng.normal(size=3)] if weighted else []
    arrays = [rng.normal(size=(4, 3, 2)), mean, var, *parameters]
    check(lambda f, x, m, v, *rest: f.batch_norm(x, m, v, *rest), arrays, rng, constant=(1, 2))


def test_evaluation_leaves_the_running_statistics(device, rng):
    stats = [ours(np.zeros(3), device), ours(np.ones(3), device)]
    F.batch_norm(ours(rng.normal(size=(4, 3)), device), *stats)
    assert_allclose(host(stats[0]), 0)
    assert_allclose(host(stats[1]), 1)


def test_the_gradient_does_not_see_later_moves_of_the_statistics(rng):
    x, stats = ours(rng.normal(size=(4, 3)), requires_grad=True), [ours(np.zeros(3)), ours(np.ones(3))]
    y = F.batch_norm(x, *stats, eps=0.0)
    stats[1].fill_(100.0)
    y.sum().backward()
    assert_allclose(host(x.grad), 1)


def test_running_statistics_on_the_device(device, rng):
    x, stats = rng.normal(3, 2, (6, 2)), [ours(np.zeros(2), device), ours(np.ones(2), device)]
    F.batch_norm(ours(x, device), *stats, training=True, momentum=1.0)
    assert_allclose(host(stats[0]), x.mean(0))
    assert_allclose(host(stats[1]), x.var(0, ddof=1))


@pytest.mark.parametrize("use_input_stats", [True, False])
def test_instance_norm_with_running_statistics(use_input_stats, rng):
    torch = pytest.importorskip("torch")
    x, parameters = rng.normal(3, 2, (2, 3, 4)), [rng.normal(size=3), rng.normal(size=3)]
    mine, torchs = both([rng.normal(size=3), rng.uniform(0.5, 2, 3)])
    y = F.instance_norm(ours(x), *mine, *map(ours, parameters), use_input_stats=use_input_stats)
    assert_same(
        y,
        torch.nn.functional.instance_norm(
            theirs(x), *torchs, *map(theirs, parameters), use_input_stats=use_input_stats
        ),
    )
    assert_same(mine, torchs)


# --- what is refused -------------------------------------------------------------------------------------

X, ONES = np.ones((4, 3), np.float32), [np.ones(n, np.float32) for n in range(4)]
REFUSED = {
    "size": lambda f, t: f.layer_norm(t(X), (4,)),
    "an int": lambda f, t: f.layer_norm(t(X), 3),
    "no sizes": lambda f, t: f.layer_norm(t(X), ()),
    "weight": lambda f, t: f.layer_norm(t(X), (3,), t(ONES[2])),
    "bias": lambda f, t: f.layer_norm(t(X), (3,), None, t(ONES[2])),
    "rms size": lambda f, t: f.rms_norm(t(X), (4,)),
    "rms weight": lambda f, t: f.rms_norm(t(X), (3,), t(ONES[2])),
    "rms dtype": lambda f, t: f.rms_norm(t(X.astype(np.int64)), (3,)),
    "groups": lambda f, t: f.group_norm(t(X), 2),
    "no channels": lambda f, t: f.group_norm(t(X[0]), 1),
    "group weight": lambda f, t: f.group_norm(t(X), 3, t(ONES[2])),
    "one pixel": lambda f, t: f.instance_norm(t(X)),
    "no statistics of instances": lambda f, t: f.instance_norm(t(X[None]), use_input_stats=False),
    "no statistics": lambda f, t: f.batch_norm(t(X), None, None),
    "no variance": lambda f, t: f.batch_norm(t(X), t(ONES[3]), None),
    "size of mean": lambda f, t: f.batch_norm(t(X), t(ONES[2]), t(ONES[3])),
    "size of variance": lambda f, t: f.batch_norm(t(X), t(ONES[3]), t(ONES[2])),
    "size of weight": lambda f, t: f.batch_norm(t(X), t(ONES[3]), t(ONES[3]), t(ONES[2])),
    "size of bias": lambda f, t: f.batch_norm(t(X), t(ONES[3]), t(ONES[3]), None, t(ONES[2])),
    "one value": lambda f, t: f.batch_norm(t(X[:1]), None, None, training=True),
    "statistics with gradient": lambda f, t: f.batch_norm(t(X), t(ONES[3]).requires_grad_(), t(ONES[3])),
    "eps in training": lambda f, t: f.batch_norm(t(X), None, None, training=True, eps=0.0),
    "eps": lambda f, t: f.batch_norm(t(X), t(ONES[3]), t(ONES[3]), eps=-1.0),
    "a vector": lambda f, t: f.batch_norm(t(X[0]), t(ONES[3]), t(ONES[3])),
}


@pytest.mark.parametrize("case", REFUSED)
def test_errors_are_torchs(case):
    torch = pytest.importorskip("torch")
    with pytest.raises(Exception) as expected:  # noqa: PT011  torch says which
        REFUSED[case](torch.nn.functional, theirs)
    with pytest.raises(expected.type) as raised:
        REFUSED[case](F, ours)
    assert str(raised.value).replace("autograd_gpu", "torch") == str(expected.value)


@pytest.mark.parametrize("groups", [0, -1])
def test_groups_are_at_least_one(groups):
    with pytest.raises(RuntimeError, match=f"num_groups={groups}$"):
        F.group_norm(ours(X), groups)


def test_integers_are_refused():
    with pytest.raises(RuntimeError, match=r"^\"LayerNormKernelImpl\" not implemented for 'Long'$"):
        F.layer_norm(ag.ones(2, 3, dtype=ag.int64), (3,))
