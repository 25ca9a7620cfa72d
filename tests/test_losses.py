"""Losses: values, gradients and second gradients as PyTorch's, numerics at the edges, and what is refused."""

import warnings
from inspect import signature
from typing import Any, NamedTuple

import numpy as np
import pytest
from both import check, check_quotient, check_stays_on_device
from numpy.testing import assert_allclose, assert_array_equal
from support import assert_same, host, ours, theirs

import autograd_gpu as ag
import autograd_gpu.nn.functional as F

REDUCTIONS = ("none", "mean", "sum")
pytestmark = pytest.mark.filterwarnings("ignore:reduction. 'mean' divides")


class Loss(NamedTuple):
    """A loss, what its operands are drawn from, and options to call it with."""

    name: str
    operands: str  # one letter each, see DRAWN
    options: dict[str, Any] = {}  # noqa: RUF012  never written to
    constant: tuple[int, ...] = ()  # operands by which torch has no derivative

    def __call__(self, functional, *operands, reduction="mean"):
        names = ("weight", "pos_weight")[: len(operands) - 2] if self.name.startswith("binary") else ()
        named = dict(zip(names, operands[2:], strict=True)) if names else {}
        positional = operands[: len(operands) - len(named)]
        return getattr(functional, self.name)(*positional, **named, **self.options, reduction=reduction)

    @property
    def node(self):
        """Whether torch's node has the operands of ours: it has several nodes for the others, of which we have one."""
        return self.name not in ("l1_loss", "kl_div") and self.options.get("beta") != 0


DRAWN = {
    "n": lambda rng, shape: rng.normal(size=shape),
    "p": lambda rng, shape: rng.uniform(0.05, 0.95, shape),
    "s": lambda rng, shape: np.sign(rng.normal(size=shape)),
    "+": lambda rng, shape: rng.uniform(0.5, 3, shape),
}
LOSSES = [
    Loss("mse_loss", "nn"),
    Loss("l1_loss", "nn"),
    Loss("smooth_l1_loss", "nn"),
    Loss("smooth_l1_loss", "nn", {"beta": 0.3}),
    Loss("smooth_l1_loss", "nn", {"beta": 0.0}),
    Loss("huber_loss", "nn"),
    Loss("huber_loss", "nn", {"delta": 0.4}),
    Loss("soft_margin_loss", "ns", constant=(1,)),
    Loss("binary_cross_entropy", "pp"),
    Loss("binary_cross_entropy", "pp+", constant=(2,)),
    Loss("binary_cross_entropy_with_logits", "np"),
    Loss("binary_cross_entropy_with_logits", "np+", constant=(2,)),
    Loss("binary_cross_entropy_with_logits", "np++", constant=(2, 3)),
    Loss("kl_div", "np"),
    Loss("kl_div", "nn", {"log_target": True}),
    Loss("hinge_embedding_loss", "ns", {"margin": 0.7}, constant=(1,)),
    Loss("margin_ranking_loss", "nns", {"margin": 0.2}, constant=(2,)),
    Loss("gaussian_nll_loss", "nn+", {"full": True}),
    Loss("gaussian_nll_loss", "nn+", {"eps": 1.0}),
    Loss("poisson_nll_loss", "n+"),
    Loss("poisson_nll_loss", "++", {"log_input": False, "full": True}),
    Loss("triplet_margin_loss", "nnn"),
    Loss("triplet_margin_loss", "nnn", {"p": 1, "swap": True, "margin": 3.0}),
]
IDS = [f"{loss.name}-{loss.operands}{list(loss.options.values()) or ''}" for loss in LOSSES]
every_loss = pytest.mark.parametrize("loss", LOSSES, ids=IDS)


def drawn(loss: Loss, shape: tuple[int, ...], rng: np.random.Generator) -> list[np.ndarray]:
    return [DRAWN[letter](rng, shape) for letter in loss.operands]


def reducing(loss: Loss, reduction: str) -> Any:
    return lambda functional, *operands: loss(functional, *operands, reduction=reduction)


@every_loss
@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("shape", [(4, 3), (5,), (2, 0)], ids=str)
def test_value_and_two_derivatives_are_torchs(loss, reduction, shape, rng):
    check(reducing(loss, reduction), drawn(loss, shape, rng), rng, constant=loss.constant, node=loss.node)


@pytest.mark.parametrize("loss", [loss for loss in LOSSES if not loss.node], ids=lambda loss: str(loss[:3]))
@pytest.mark.parametrize("reduction", [*REDUCTIONS, "batchmean"])
def test_the_node_is_called_as_the_last_of_torchs(loss, reduction, rng):
    torch = pytest.importorskip("torch")
    if reduction == "batchmean" and loss.name != "kl_div":
        pytest.skip("is one of kl_div's")
    losses = [
        loss(functional, *(make(x, requires_grad=True) for x in drawn(loss, (2, 3), rng)), reduction=reduction)
        for functional, make in ((F, ours), (torch.nn.functional, theirs))
    ]
    assert losses[0].grad_fn.name() == losses[1].grad_fn.name()


@every_loss
def test_of_one_number(loss, rng):
    if loss.name == "triplet_margin_loss":
        pytest.skip("needs vectors")
    check(loss, drawn(loss, (), rng), rng, constant=loss.constant, node=loss.node)


@every_loss
@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_on_the_device_in_single_precision(loss, reduction, device, rng):
    if device == "cuda" and reduction == "sum":
        pytest.skip("its kernels are those of the mean")
    arrays = drawn(loss, (4, 3), rng)
    options = {"constant": loss.constant, "scale": 5, "node": loss.node}
    check(reducing(loss, reduction), arrays, rng, device, "float32", orders=1, **options)


@every_loss
@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_in_half_precision(loss, dtype, device, rng):
    if device == "cuda" and loss.name not in ("mse_loss", "binary_cross_entropy_with_logits"):
        pytest.skip("its kernels are much like those of these two")
    if loss.name in ("kl_div", "gaussian_nll_loss", "poisson_nll_loss", "triplet_margin_loss", "l1_loss"):
        pytest.skip("rounds after each of its operations, here and in torch")
    options = {"constant": loss.constant, "scale": 2, "node": loss.node}
    check(loss, drawn(loss, (4, 3), rng), rng, device, dtype, orders=1, **options)


@every_loss
def test_gradient_is_the_difference_quotient(loss, rng):
    if "eps" in loss.options:
        pytest.skip("what bounds the variance takes no part in the gradient")
    arrays = drawn(loss, (3, 2), rng)
    constants = {i: ours(arrays[i]) for i in loss.constant}

    def of_the_others(functional, *xs):
        rest = iter(xs)
        return loss(functional, *(constants[i] if i in constants else next(rest) for i in range(len(arrays))))

    check_quotient(of_the_others, [a for i, a in enumerate(arrays) if i not in loss.constant], rng)


@every_loss
@pytest.mark.gpu
def test_both_passes_stay_on_the_device(loss, rng):
    check_stays_on_device(loss, drawn(loss, (4, 3), rng), loss.constant)


@pytest.mark.parametrize("name", ["mse_loss", "l1_loss", "huber_loss"])
@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_weights_of_elements(name, reduction, rng):
    arrays = [rng.normal(size=(3, 2)), rng.normal(size=(3, 2)), rng.uniform(0.5, 2, (3, 2))]
    check(lambda f, x, t, w: getattr(f, name)(x, t, weight=w, reduction=reduction), arrays, rng, node=False)
    with pytest.raises(ValueError, match=r"^Weights and input must have the same size\.$"):
        getattr(F, name)(ag.zeros(3, 2), ag.zeros(3, 2), weight=ag.zeros(2))


@pytest.mark.parametrize("loss", LOSSES[:7], ids=IDS[:7])
def test_shapes_broadcast_with_a_warning(loss, rng):
    text = (
        r"Using a target size \(torch.Size\(\[3\]\)\) that is different to the input size "
        r"\(torch.Size\(\[2, 3\]\)\). This will likely lead to incorrect results due to broadcasting. "
        r"Please ensure they have the same size."
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        check(loss, [rng.normal(size=(2, 3)), rng.normal(size=3)], rng, node=loss.node)
    with pytest.warns(UserWarning, match=text.replace("torch", "autograd_gpu")):
        loss(F, ours(np.ones((2, 3))), ours(np.ones(3)))


@pytest.mark.parametrize("target", ["int64", "float64", "bool"])
def test_the_target_may_have_another_dtype(target, rng):
    torch = pytest.importorskip("torch")
    x, t = rng.normal(size=3).astype(np.float32), np.array([0, 1, 1], target)
    assert_same(F.mse_loss(ours(x), ours(t)), torch.nn.functional.mse_loss(theirs(x), theirs(t)))


@pytest.mark.parametrize("options", [{}, {"reduce": False}, {"size_average": False}, {"size_average": True}])
def test_older_arguments(options, rng):
    torch = pytest.importorskip("torch")
    x, t = rng.normal(size=3), rng.normal(size=3)
    with warnings.catch_warnings(record=True) as expected:
        warnings.simplefilter("always")
        y = torch.nn.functional.mse_loss(theirs(x), theirs(t), **options)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        assert_same(F.mse_loss(ours(x), ours(t), **options), y)
    assert [str(w.message) for w in caught] == [str(w.message) for w in expected]
    assert all(w.filename == __file__ for w in caught)


def test_older_arguments_have_their_places(rng):
    torch = pytest.importorskip("torch")
    x, t = rng.normal(size=(3, 4)).astype(np.float32), np.array([0, 1, 2])
    with pytest.warns(UserWarning, match="reduction='sum'"):
        y = F.nll_loss(ours(x), ours(t), None, False, 1)
    assert_same(y, torch.nn.functional.nll_loss(theirs(x), theirs(t), ignore_index=1, reduction="sum"))
    assert_same(
        F.smooth_l1_loss(ours(x), ours(2 * x), None, None, "sum", 0.5),
        torch.nn.functional.smooth_l1_loss(theirs(x), theirs(2 * x), None, None, "sum", 0.5),
    )


@pytest.mark.parametrize("name", sorted({*(loss.name for loss in LOSSES), "nll_loss", "cross_entropy"}))
def test_signatures_are_torchs(name):
    torch = pytest.importorskip("torch")
    mine, torchs = (signature(getattr(f, name)).parameters for f in (F, torch.nn.functional))
    assert [(p.name, p.default) for p in mine.values()] == [(p.name, p.default) for p in torchs.values()]


def test_batchmean_is_the_definition(rng):
    arrays = [rng.normal(size=(4, 3)), rng.uniform(0.1, 1, (4, 3))]
    check(lambda f, x, t: f.kl_div(x, t, reduction="batchmean"), arrays, rng, node=False)
    with pytest.warns(UserWarning, match="'batchmean' divides only by the batch size, and aligns with"):
        F.kl_div(ag.zeros(2), ag.ones(2))


@pytest.mark.parametrize("shape", [(4,), (4, 1), (4, 3)], ids=str)
def test_a_variance_for_several_elements(shape, rng):
    arrays = [rng.normal(size=(4, 3)), rng.normal(size=(4, 3)), rng.uniform(0.5, 2, shape)]
    check(lambda f, x, t, v: f.gaussian_nll_loss(x, t, v), arrays, rng)
    check(lambda f, x, t: f.gaussian_nll_loss(x, t, 0.7), arrays[:2], rng)


@pytest.mark.parametrize("margin", [0, 0.3])
@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_cosine_embedding(margin, reduction, rng):
    def loss(f, a, b, t):
        return f.cosine_embedding_loss(a, b, t, margin=margin, reduction=reduction)

    check(loss, [rng.normal(size=(5, 3)), rng.normal(size=(5, 3)), np.array([1, -1, 1, -1, -1])], rng)
    check(loss, [rng.normal(size=3), rng.normal(size=3), np.array(-1)], rng)


# --- at the edges ----------------------------------------------------------------------------------------


def test_certainty_costs_at_most_100(device):
    x, t = ours(np.array([0.0, 1.0, 0.0, 1.0]), device), ours(np.array([0.0, 1.0, 1.0, 0.0]), device)
    assert_array_equal(host(F.binary_cross_entropy(x, t, reduction="none")), [0, 0, 100, 100])


def test_gradient_of_certainty_is_torchs(rng):
    arrays = [np.array([0.0, 1.0, 0.0, 1.0]), np.array([0.0, 1.0, 1.0, 0.0])]
    check(lambda f, x, t: f.binary_cross_entropy(x, t), arrays, rng, orders=1, constant=(1,))


@pytest.mark.parametrize("x", [-1e4, -100.0, 0.0, 100.0, 1e4])
def test_large_logits_do_not_overflow(x, rng):
    arrays = [np.array([x, x]), np.array([0.0, 1.0])]
    y = check(lambda f, x, t: f.binary_cross_entropy_with_logits(x, t), arrays, rng, orders=1)
    assert np.isfinite(host(y))


@pytest.mark.parametrize("loss", LOSSES[:7], ids=IDS[:7])
def test_special_values_of_the_difference(loss, rng):
    x = np.array([np.nan, np.inf, -np.inf, np.inf, 1.0, 0.3, 0.4, -0.0, 1e300])
    t = np.array([0.0, 0.0, 0.0, np.inf, 0.0, 0.0, 0.0, 0.0, 0.0])
    check(reducing(loss, "none"), [x, t], rng, orders=1, node=loss.node)


# --- what is refused -------------------------------------------------------------------------------------

X, P, INT = np.zeros((4, 3), np.float32), np.full((4, 3), 0.5, np.float32), np.zeros((4, 3), np.int64)
REFUSED = {
    "bad reduction": lambda f, t: f.mse_loss(t(X), t(X), reduction="max"),
    "bad shape": lambda f, t: f.binary_cross_entropy(t(P), t(P[0])),
    "bad shape of logits": lambda f, t: f.binary_cross_entropy_with_logits(t(X), t(X[0])),
    "input no probability": lambda f, t: f.binary_cross_entropy(t(P - 1), t(P)),
    "target no probability": lambda f, t: f.binary_cross_entropy(t(P), t(P + 1)),
    "input nan": lambda f, t: f.binary_cross_entropy(t(P * np.nan), t(P)),
    "other dtype": lambda f, t: f.binary_cross_entropy(t(P), t(P.astype(np.float64))),
    "integers": lambda f, t: f.binary_cross_entropy(t(P), t(INT)),
    "integer target of logits": lambda f, t: f.binary_cross_entropy_with_logits(t(X), t(INT)),
    "weight with gradient": lambda f, t: f.binary_cross_entropy(t(P), t(P), weight=t(P).requires_grad_()),
    "pos_weight with gradient": lambda f, t: f.binary_cross_entropy_with_logits(
        t(P), t(P), pos_weight=t(P).requires_grad_()
    ),
    "target with gradient": lambda f, t: f.soft_margin_loss(t(P), t(P).requires_grad_()),
    "beta": lambda f, t: f.smooth_l1_loss(t(X), t(X), beta=-1.0),
    "delta": lambda f, t: f.huber_loss(t(X), t(X), delta=0.0),
    "integral kl": lambda f, t: f.kl_div(t(INT), t(INT), reduction="sum"),
    "ranks": lambda f, t: f.margin_ranking_loss(t(X), t(X), t(X[0])),
    "margin": lambda f, t: f.triplet_margin_loss(t(X), t(X), t(X), margin=0.0),
    "triplet's dimensions": lambda f, t: f.triplet_margin_loss(t(X), t(X), t(X[0])),
    "cosine target": lambda f, t: f.cosine_embedding_loss(t(X), t(X), t(X)),
    "cosine input": lambda f, t: f.cosine_embedding_loss(t(X), t(X), t(X[0, 0])),
    "variance": lambda f, t: f.gaussian_nll_loss(t(X), t(X), t(-P)),
    "number as variance": lambda f, t: f.gaussian_nll_loss(t(X), t(X), -1.0),
    "size of variance": lambda f, t: f.gaussian_nll_loss(t(X), t(X), t(P[:, :2])),
}


@pytest.mark.parametrize("case", REFUSED)
def test_errors_are_torchs(case):
    torch = pytest.importorskip("torch")
    with pytest.raises(Exception) as expected:  # noqa: PT011  torch says which
        REFUSED[case](torch.nn.functional, theirs)
    with pytest.raises(expected.type) as raised:
        REFUSED[case](F, ours)
    assert str(raised.value).replace("autograd_gpu", "torch") == str(expected.value)


def test_integers_and_complex_numbers_are_refused():
    with pytest.raises(RuntimeError, match=r"^\"mse_cpu\" not implemented for 'Long'$"):
        F.mse_loss(ours(INT), ours(INT))
    with pytest.raises(RuntimeError, match=r"^\"mse_cpu\" not implemented for 'ComplexFloat'$"):
        F.mse_loss(ours(X.astype(np.complex64)), ours(X.astype(np.complex64)))


@pytest.mark.gpu
def test_outside_of_probabilities_the_loss_is_nan_on_the_device():
    x, t = ours(np.array([2.0, 0.5]), "cuda"), ours(np.array([1.0, 1.0]), "cuda")
    assert_allclose(host(F.binary_cross_entropy(x, t, reduction="none")), [np.nan, np.log(2)])


@pytest.mark.gpu
@pytest.mark.parametrize("loss", LOSSES[:7], ids=IDS[:7])
def test_both_operands_are_on_one_device(loss):
    with pytest.raises(RuntimeError, match=r"^Expected all tensors to be on the same device, but found at least two"):
        loss(F, ours(X, "cuda"), ours(X))
