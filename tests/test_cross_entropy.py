"""Cross entropy and nll_loss: every kind of target, and the classes that do not count."""

import numpy as np
import pytest
from both import check, check_quotient, check_stays_on_device
from support import host, ours, theirs

import autograd_gpu as ag
import autograd_gpu.nn.functional as F
from autograd_gpu import fusion

REDUCTIONS = ("none", "mean", "sum")
every_reduction = pytest.mark.parametrize("reduction", REDUCTIONS)
SHAPES = [(4, 3), (3,), (2, 3, 5), (2, 3, 4, 5), (2, 3, 2, 2, 2), (1, 1), (0, 3)]
every_shape = pytest.mark.parametrize("shape", SHAPES, ids=str)
CLASSES = 3


def class_target(shape, rng, ignored=False):
    """A class for each row, or -100 for some."""
    sizes = shape[:1] + shape[2:] if len(shape) > 1 else ()
    target = rng.integers(0, shape[min(len(shape) - 1, 1)], sizes)
    return np.where(rng.random(sizes) < 0.3, -100, target) if ignored else target


@every_reduction
@every_shape
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_classes(reduction, shape, weighted, smoothing, rng):
    arrays = [rng.normal(size=shape), class_target(shape, rng, ignored=len(shape) > 1)]
    if weighted:
        arrays.append(rng.uniform(0.5, 2, shape[min(len(shape) - 1, 1)]))

    def loss(f, x, t, w=None):
        return f.cross_entropy(x, t, w, reduction=reduction, label_smoothing=smoothing)

    # of 3 or 5 axes and reduction "none", torch's last node is the view that brings back the shape
    check(loss, arrays, rng, constant=(2,), node=len(shape) not in (3, 5) or reduction != "none")


@every_reduction
@every_shape
@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_probabilities(reduction, shape, smoothing, rng):
    target = rng.uniform(0, 1, shape)

    def loss(f, x, t):
        return f.cross_entropy(x, t, reduction=reduction, label_smoothing=smoothing)

    # torch has several nodes where one is here, which has both operands
    y = check(loss, [rng.normal(size=shape), target], rng, node=False)
    expected = loss(
        pytest.importorskip("torch").nn.functional, theirs(np.ones((2, 2)), requires_grad=True), theirs(X[:2, :2])
    )
    assert y.grad_fn.name() == expected.grad_fn.name()


def test_probabilities_with_weights(rng):
    arrays = [rng.normal(size=(4, 3, 2)), rng.uniform(0, 1, (4, 3, 2)), rng.uniform(0.5, 2, 3)]
    check(lambda f, x, t, w: f.cross_entropy(x, t, w), arrays, rng, constant=(2,), node=False)


@every_reduction
@pytest.mark.parametrize("target", [np.array([0, 5, 1, 2]), np.array([0, -1, 1, -1])], ids=["outside", "-1"])
def test_ignore_index(reduction, target, rng):
    ignored = int(target[1])
    check(
        lambda f, x, t: f.nll_loss(x, t, ignore_index=ignored, reduction=reduction),
        [rng.normal(size=(4, 3)), target],
        rng,
    )


@every_reduction
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_where_all_are_ignored_the_mean_is_nan(reduction, smoothing, device):
    x, t = ours(np.ones((2, 3)), device), ours(np.array([-100, -100]), device)
    loss = host(F.cross_entropy(x, t, reduction=reduction, label_smoothing=smoothing))
    assert np.isnan(loss).all() if reduction == "mean" else not loss.any()


def test_an_ignored_row_may_hold_anything(rng):
    x = np.array([[np.inf, np.nan, 0.0], [-1.0, -2.0, -3.0]])
    check(lambda f, x, t: f.nll_loss(x, t), [x, np.array([-100, 1])], rng, orders=1)


@pytest.mark.parametrize("dtype", ["uint8", "int64"])
def test_dtypes_of_the_target(dtype, rng):
    check(lambda f, x, t: f.cross_entropy(x, t), [rng.normal(size=(4, 3)), np.array([2, 0, 1, 1], dtype)], rng)


def test_one_row_without_a_batch(rng):
    # PyTorch's own backward pass refuses this shape of the target
    check(lambda f, x, t: f.nll_loss(x, t), [rng.normal(size=3), np.array([2])], rng, orders=0)
    check(lambda f, x, t: f.nll_loss(x, t, reduction="none"), [rng.normal(size=3), np.array([2])], rng, orders=0)


@pytest.mark.parametrize("layout", ["transposed", "strided", "view"])
def test_layouts(layout, rng):
    x = {
        "transposed": rng.normal(size=(3, 4)).T,
        "strided": rng.normal(size=(8, 3))[::2],
        "view": rng.normal(size=(9, 5))[1:5, 2:],
    }[layout]
    check(lambda f, x, t: f.cross_entropy(x, t), [x, np.array([2, 0, 1, 1])], rng)


@every_reduction
@pytest.mark.parametrize("shape", [(4, 3), (3,), (2, 3, 4)], ids=str)
def test_on_the_device_in_single_precision(reduction, shape, device, rng):
    arrays = [
        rng.normal(size=shape),
        class_target(shape, rng, ignored=len(shape) > 1),
        rng.uniform(0.5, 2, 3),
    ]
    check(
        lambda f, x, t, w: f.cross_entropy(x, t, w, reduction=reduction, label_smoothing=0.1),
        arrays, rng, device, "float32", orders=1, constant=(2,), scale=5,
    )  # fmt: skip
    check(
        lambda f, x, t: f.cross_entropy(x, t, reduction=reduction),
        arrays[:2], rng, device, "float32", orders=2, scale=5, node=len(shape) != 3,
    )  # fmt: skip


def test_probabilities_on_the_device(device, rng):
    arrays = [rng.normal(size=(4, 3)), rng.uniform(0, 1, (4, 3))]
    check(lambda f, x, t: f.cross_entropy(x, t), arrays, rng, device, "float32", orders=1, scale=5, node=False)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_in_half_precision(dtype, device, rng):
    arrays = [rng.normal(size=(6, 5)), rng.integers(0, 5, 6)]
    check(lambda f, x, t: f.cross_entropy(x, t), arrays, rng, device, dtype, orders=1, scale=2)


def test_gradient_is_the_difference_quotient(rng):
    t = ours(np.array([2, 0, -100, 1]))
    check_quotient(lambda f, x: f.cross_entropy(x, t, label_smoothing=0.1), [rng.normal(size=(4, 3))], rng)
    check_quotient(lambda f, x, t: f.cross_entropy(x, t), [rng.normal(size=(4, 3)), rng.uniform(0, 1, (4, 3))], rng)


@pytest.mark.parametrize("shift", [-1000.0, 1000.0])
def test_large_scores_do_not_overflow(shift, rng):
    x = rng.normal(size=(4, 3)) + shift * np.array([0, 1, 0])
    y = check(lambda f, x, t: f.cross_entropy(x, t), [x, np.array([0, 1, 2, 0])], rng, orders=1)
    assert np.isfinite(host(y))


@pytest.mark.gpu
@pytest.mark.parametrize("reduction", ["none", "mean"])
def test_both_passes_stay_on_the_device(reduction, rng):
    x, t = rng.normal(size=(4, 3)).astype(np.float32), np.array([2, 0, -100, 1])

    def loss(f, x, t):
        return f.cross_entropy(x, t, reduction=reduction)

    check_stays_on_device(loss, [x, t])


@pytest.mark.gpu
def test_a_class_out_of_range_makes_the_loss_nan_on_the_device():
    x = ours(np.zeros((2, 3), np.float32), "cuda", requires_grad=True)
    losses = F.cross_entropy(x, ours(np.array([1, 7]), "cuda"), reduction="none")
    np.testing.assert_allclose(host(losses), [np.log(3), np.nan], rtol=1e-6)


# --- what is refused -------------------------------------------------------------------------------------

X, T = np.zeros((4, 3), np.float32), np.array([0, 2, 1, 0])
REFUSED = {
    "int32": lambda f, t: f.cross_entropy(t(X), t(T.astype(np.int32))),
    "bool": lambda f, t: f.nll_loss(t(X), t(T > 0)),
    "float": lambda f, t: f.nll_loss(t(X), t(T.astype(np.float32))),
    "integer probabilities": lambda f, t: f.cross_entropy(t(X), t(X.astype(np.int64))),
    "batch": lambda f, t: f.cross_entropy(t(X), t(T[:3])),
    "out of bounds": lambda f, t: f.cross_entropy(t(X), t(np.array([0, 5, 1, 0]))),
    "negative": lambda f, t: f.nll_loss(t(X), t(np.array([0, -1, 1, 0]))),
    "weight": lambda f, t: f.cross_entropy(t(X), t(T), t(np.ones(2, np.float32))),
    "weight of probabilities": lambda f, t: f.cross_entropy(t(X), t(X), t(np.ones(2, np.float32))),
    "dtype of weight": lambda f, t: f.cross_entropy(t(X), t(T), t(np.ones(3))),
    "smoothing": lambda f, t: f.cross_entropy(t(X), t(T), label_smoothing=1.5),
    "ignored probabilities": lambda f, t: f.cross_entropy(t(X), t(X), ignore_index=1),
    "several targets": lambda f, t: f.cross_entropy(t(X), t(X[:, :2])),
    "several targets in nll": lambda f, t: f.nll_loss(t(X), t(T[:, None])),
    "no dimensions": lambda f, t: f.nll_loss(t(X[0, 0]), t(T[0])),
    "no target": lambda f, t: f.nll_loss(t(X), t(T[0])),
    "several targets of one row": lambda f, t: f.nll_loss(t(X[0]), t(T[:1, None])),
    "weight with gradient": lambda f, t: f.nll_loss(t(X), t(T), t(X[0]).requires_grad_()),
    "two targets of one row": lambda f, t: f.nll_loss(t(X[0]), t(T[:2])),
    "reduction": lambda f, t: f.cross_entropy(t(X), t(T), reduction="foo"),
    "spatial size": lambda f, t: f.cross_entropy(t(X.reshape(2, 3, 2)), t(T.reshape(4, 1)[:2])),
    "spatial dimensions": lambda f, t: f.cross_entropy(t(X.reshape(2, 3, 2, 1)), t(T.reshape(2, 2))),
}


@pytest.mark.parametrize("case", REFUSED)
def test_errors_are_torchs(case):
    torch = pytest.importorskip("torch")
    with pytest.raises(Exception) as expected:  # noqa: PT011  torch says which
        REFUSED[case](torch.nn.functional, theirs)
    with pytest.raises(expected.type) as raised:
        REFUSED[case](F, ours)
    assert str(raised.value) == str(expected.value)


def test_a_weight_that_requires_grad_is_fine_where_nothing_is_recorded():
    weight = ours(np.ones(3, np.float32), requires_grad=True)
    with ag.no_grad():
        F.nll_loss(ours(X), ours(T), weight)


@pytest.mark.parametrize("mode", ["on", "off"])
def test_many_rows_are_as_one_by_one(mode, rng):
    scores, target = rng.standard_normal((700, 300)), rng.integers(300, size=700)
    weight = rng.random(300)
    options = {"weight": ours(weight), "ignore_index": int(target[5]), "label_smoothing": 0.1}
    with fusion.compiling(mode):
        x = ours(scores, requires_grad=True)
        F.cross_entropy(x, ours(target), reduction="none", **options).sum().backward()
    for i in (0, 5, 350, 699):
        row = ours(scores[i : i + 1], requires_grad=True)
        F.cross_entropy(row, ours(target[i : i + 1]), reduction="sum", **options).backward()
        np.testing.assert_allclose(host(x.grad)[i], host(row.grad)[0], rtol=1e-9, atol=1e-12)
