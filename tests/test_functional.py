"""nn.functional: what it exports, and distances, padding and attention as PyTorch's."""

import inspect

import numpy as np
import pytest
from both import check, check_quotient, check_stays_on_device
from support import ours, theirs

import autograd_gpu as ag
import autograd_gpu.nn.functional as F
from autograd_gpu import nn
from autograd_gpu.autograd.gradcheck import gradcheck
from autograd_gpu.errors import Unsupported
from autograd_gpu.op import FUNCTIONAL

# --- the module ------------------------------------------------------------------------------------------


def test_every_registered_function_is_exported():
    assert dir(F) == sorted(FUNCTIONAL)
    assert all(getattr(F, name) is function for name, function in FUNCTIONAL.items())
    assert ag.nn.functional is nn.functional is F


def test_what_is_missing_is_named():
    with pytest.raises(Unsupported, match=r"^torch\.nn\.functional\.conv9d is not in autograd_gpu, which has "):
        F.conv9d  # noqa: B018
    with pytest.raises(Unsupported, match=r"^torch\.nn\.Transformer is not in autograd_gpu"):
        nn.Transformer  # noqa: B018
    assert not hasattr(F, "conv9d")


@pytest.mark.parametrize("name", sorted(FUNCTIONAL))
def test_arguments_have_torchs_names_order_and_defaults(name):
    torch = pytest.importorskip("torch")
    theirs_ = getattr(torch.nn.functional, name)
    try:
        expected = inspect.signature(theirs_).parameters
    except ValueError:
        pytest.skip("a built-in function")
    mine = inspect.signature(getattr(F, name)).parameters
    if name.startswith(("boosted", "fractional", "_")) or "args" in expected:
        pytest.skip("dispatches by its arguments")
    assert [(p.name, p.default) for p in mine.values()] == [(p.name, p.default) for p in expected.values()]


def test_every_function_is_documented():
    for name, function in FUNCTIONAL.items():
        assert function.__doc__, name


# --- distances -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("a", "b", "dim"), [((4, 3), (4, 3), 1), ((4, 3), (1, 3), 0), ((2, 3, 4), (3, 1), -1), ((3,), (3,), 0)]
)
def test_cosine_similarity(a, b, dim, rng):
    check(lambda f, x, y: f.cosine_similarity(x, y, dim=dim), [rng.normal(size=a), rng.normal(size=b)], rng)


def test_cosine_similarity_with_nothing(rng):
    check(lambda f, x, y: f.cosine_similarity(x, y), [np.zeros((2, 3)), rng.normal(size=(2, 3))], rng, orders=0)


@pytest.mark.parametrize("p", [1.0, 2.0, 3.0, float("inf")])
@pytest.mark.parametrize("keepdim", [False, True])
def test_pairwise_distance(p, keepdim, rng):
    arrays = [rng.normal(size=(4, 3)), rng.normal(size=3)]
    check(lambda f, x, y: f.pairwise_distance(x, y, p, keepdim=keepdim), arrays, rng, node=False)


@pytest.mark.parametrize("p", [1, 2.0, 3.0, float("inf")])
@pytest.mark.parametrize("dim", [0, 1, (0, 1)])
def test_normalize(p, dim, rng):
    check(lambda f, x: f.normalize(x, p, dim), [rng.normal(size=(4, 3))], rng)


@pytest.mark.parametrize("name", ["cosine_similarity", "pairwise_distance", "normalize"])
def test_distances_on_the_device(name, device, rng):
    count = 1 if name == "normalize" else 2
    arrays = [rng.normal(size=(4, 3)) for _ in range(count)]
    check(lambda f, *xs: getattr(f, name)(*xs), arrays, rng, device, "float32", orders=1, scale=10, node=False)


# --- padding ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("widths", [(1, 2), (0, 1, 2, 0), (-1, 1), (-1, -1, 2, 1, 0, 1), (0, 0), ()], ids=str)
@pytest.mark.parametrize("value", [None, 2.5])
def test_pad_with_a_constant(widths, value, rng):
    check(lambda f, x: f.pad(x, widths, value=value), [rng.normal(size=(2, 3, 4))], rng, node=any(widths))


@pytest.mark.parametrize("mode", ["reflect", "replicate", "circular"])
@pytest.mark.parametrize(
    ("shape", "widths"),
    [((2, 3), (1, 2)), ((2, 3, 4), (3, 1)), ((2, 3, 4), (1, 0, 2, 1)), ((1, 2, 3, 4), (2, 2, 1, 1))],
)
def test_pad_with_its_own_elements(mode, shape, widths, rng):
    check(lambda f, x: f.pad(x, widths, mode=mode), [rng.normal(size=shape)], rng, node=False)


@pytest.mark.parametrize("mode", ["constant", "reflect", "replicate", "circular"])
def test_pad_on_the_device(mode, device, rng):
    check(
        lambda f, x: f.pad(x, (2, 1), mode=mode),
        [rng.normal(size=(2, 4))],
        rng,
        device,
        "float32",
        node=False,
    )


@pytest.mark.parametrize("dtype", ["int64", "bool", "float16"])
def test_pad_of_other_dtypes(dtype, rng):
    x = rng.normal(size=(2, 3)) > 0
    check(lambda f, x: f.pad(x, (1, 1), value=1), [x.astype(dtype)], rng, dtype="float16", orders=0)


# --- attention -------------------------------------------------------------------------------------------


def qkv(rng, batch=(2,), length=3, source=4, features=5, values=2):
    return [
        rng.normal(size=(*batch, length, features)), rng.normal(size=(*batch, source, features)),
        rng.normal(size=(*batch, source, values)),
    ]  # fmt: skip


def attend(f, q, k, v, mask=None, **options):
    return f.scaled_dot_product_attention(q, k, v, attn_mask=mask, **options)


@pytest.mark.parametrize("batch", [(), (2,), (2, 3)], ids=str)
@pytest.mark.parametrize("options", [{}, {"is_causal": True}, {"scale": 0.3}, {"scale": -0.3}], ids=str)
def test_attention(batch, options, rng):
    check(lambda f, *xs: attend(f, *xs, **options), qkv(rng, batch), rng, orders=1, node=False)


def test_second_derivative_of_attention(rng):
    check_quotient(attend, qkv(rng), rng)

    def slope(f, q, k, v):
        y = attend(f, q, k, v)
        return ag.autograd.grad(y.square().sum(), q, create_graph=True)[0]

    x = [ours(a, requires_grad=True) for a in qkv(rng)]
    assert gradcheck(lambda *xs: slope(F, *xs), x)


def test_masks(rng):
    arrays = qkv(rng)
    allowed = rng.random((3, 4)) < 0.6
    allowed[1] = False  # a query that sees nothing
    check(attend, [*arrays, allowed], rng, orders=1, node=False)
    check(attend, [*arrays, rng.normal(size=(2, 1, 4))], rng, orders=1, node=False)


def test_fewer_heads_of_keys_than_of_queries(rng):
    q, k, v = qkv(rng, (2, 4))
    check(lambda f, *xs: attend(f, *xs, enable_gqa=True), [q, k[:, :2], v[:, :2]], rng, orders=1, node=False)


def test_attention_with_dropout_drops_weights(rng):
    ag.manual_seed(0)
    q, k, _ = qkv(rng)
    eye = np.broadcast_to(np.eye(4), (2, 4, 4))
    y = F.scaled_dot_product_attention(ours(q), ours(k), ours(eye), dropout_p=0.5).array
    plain = F.scaled_dot_product_attention(ours(q), ours(k), ours(eye)).array
    assert set(np.unique(np.round(y / plain, 6))) == {0.0, 2.0}


def test_attention_on_the_device(device, rng):
    check(
        lambda f, *xs: attend(f, *xs, is_causal=True),
        qkv(rng),
        rng,
        device,
        "float32",
        orders=1,
        scale=10,
        node=False,
    )


@pytest.mark.gpu
def test_both_passes_of_attention_stay_on_the_device(rng):
    check_stays_on_device(attend, qkv(rng))


# --- what is refused -------------------------------------------------------------------------------------

X, Z = np.zeros((4, 3), np.float32), np.zeros((2, 3, 5), np.float32)
REFUSED = {
    "cosine shapes": lambda f, t: f.cosine_similarity(t(X), t(X[:, :2])),
    "cosine dim": lambda f, t: f.cosine_similarity(t(X), t(X), dim=3),
    "cosine of integers": lambda f, t: f.cosine_similarity(t(X.astype(np.int64)), t(X.astype(np.int64))),
    "distance shapes": lambda f, t: f.pairwise_distance(t(X), t(X[:, :2])),
    "normalize dim": lambda f, t: f.normalize(t(X), dim=4),
    "odd pad": lambda f, t: f.pad(t(X), (1,)),
    "long pad": lambda f, t: f.pad(t(X), (1, 1, 1, 1, 1, 1)),
    "mode": lambda f, t: f.pad(t(X), (1, 1), mode="foo"),
    "value": lambda f, t: f.pad(t(X), (1, 1), mode="reflect", value=1.0),
    "reflecting too much": lambda f, t: f.pad(t(Z), (5, 1), mode="reflect"),
    "around more than once": lambda f, t: f.pad(t(Z), (6, 1), mode="circular"),
    "dimensions": lambda f, t: f.pad(t(X[0]), (1, 1), mode="reflect"),
    "mask and causal": lambda f, t: attend(f, t(X), t(X), t(X), t(X), is_causal=True),
    "dtypes": lambda f, t: attend(f, t(X), t(X.astype(np.float64)), t(X)),
    "vectors": lambda f, t: attend(f, t(X[0]), t(X), t(X)),
    "integer mask": lambda f, t: attend(f, t(Z), t(Z), t(Z), t(np.zeros((3, 3), np.int64))),
}


@pytest.mark.parametrize("case", REFUSED)
def test_errors_are_torchs(case):
    torch = pytest.importorskip("torch")
    with pytest.raises(Exception) as expected:  # noqa: PT011  torch says which
        REFUSED[case](torch.nn.functional, theirs)
    with pytest.raises(expected.type) as raised:
        REFUSED[case](F, ours)
    assert str(raised.value) == str(expected.value)


def test_cutting_off_more_than_there_is():
    with pytest.raises(RuntimeError, match="negative padding -2 and -2, resulted in a negative output size"):
        F.pad(ours(X), (-2, -2))
