"""Dropout: PyTorch's masks on the CPU, their statistics elsewhere, gradients and errors."""

import warnings

import numpy as np
import pytest
from both import check, check_stays_on_device
from numpy.testing import assert_array_equal
from support import assert_same, host, ours, theirs

import autograd_gpu as ag
import autograd_gpu.nn.functional as F


def seeded(function):
    """``function(f, x)`` after ``manual_seed(0)`` of whichever ``f`` belongs to."""

    def after_seed(f, x):
        if f is F:
            ag.manual_seed(0)
        else:
            import torch

            torch.manual_seed(0)
        return function(f, x)

    return after_seed


@pytest.mark.parametrize("p", [0.3, 0.5, 0.9, 1.0])
@pytest.mark.parametrize("shape", [(), (3,), (20,), (4, 5), (0, 3)], ids=str)
@pytest.mark.parametrize("dtype", ["float32", "float64", "float16", "bfloat16"])
def test_the_mask_is_torchs(p, shape, dtype, rng):
    node = 0 not in shape
    check(
        seeded(lambda f, x: f.dropout(x * 1, p)),
        [rng.normal(size=shape)],
        rng,
        dtype=dtype,
        node=node,
        orders=1,
    )


@pytest.mark.parametrize("view", ["transposed", "strided", "permuted", "narrow", "expanded"])
def test_the_mask_is_drawn_in_the_order_of_memory(view, rng):
    base = rng.normal(size=(3, 4, 6))
    x = {
        "transposed": base[0].T,
        "strided": base[1].T[::2],
        "permuted": base.transpose(2, 0, 1),
        "narrow": base.transpose(1, 2, 0)[1:, ::3],
        "expanded": np.broadcast_to(base[:1, :, :1], (3, 4, 6)),
    }[view]
    torch = pytest.importorskip("torch")
    torch.manual_seed(1)
    ag.manual_seed(1)
    strides, offset = [s // 8 for s in x.strides], (x.ctypes.data - base.ctypes.data) // 8
    torchs = torch.as_strided(torch.from_numpy(base.copy()), x.shape, strides, offset)
    expected = torch.nn.functional.dropout(torchs)
    mine = ag.from_numpy(x if x.flags.writeable else np.broadcast_to(x[:1, :, :1].copy(), x.shape))
    assert_array_equal(host(F.dropout(mine)), host(expected))


def test_draws_follow_each_other_as_torchs(rng):
    torch = pytest.importorskip("torch")
    x = rng.normal(size=7).astype(np.float32)
    torch.manual_seed(5)
    ag.manual_seed(5)
    for p in (0.2, 0.0, 1.0, 0.7):
        assert_same(F.dropout(ours(x), p), torch.nn.functional.dropout(theirs(x), p))
    assert_same(ag.rand(3), torch.rand(3))


@pytest.mark.parametrize("name", ["dropout", "alpha_dropout"])
def test_in_place(name, rng):
    torch = pytest.importorskip("torch")
    x = rng.normal(size=(4, 3))
    torch.manual_seed(2)
    ag.manual_seed(2)
    mine, torchs = ours(x, requires_grad=True), theirs(x, requires_grad=True)
    a, b = mine * 1, torchs * 1
    y = getattr(F, name)(a, 0.4, training=True, inplace=True)
    expected = getattr(torch.nn.functional, name)(b, 0.4, training=True, inplace=True)
    assert y is a
    assert_same(a, b)
    y.sum().backward()
    expected.sum().backward()
    assert_same(mine.grad, torchs.grad)


@pytest.mark.parametrize("name", ["dropout", "alpha_dropout", "dropout1d"])
def test_without_training_or_probability_the_input_itself_comes_back(name, rng):
    x = ours(rng.normal(size=(2, 3)))
    function = getattr(F, name)
    if name != "dropout1d":
        assert function(x, 0.5, training=False) is x
        assert function(x, 0.0, training=True) is x
    assert_array_equal(host(function(x, 0.0, training=True)), host(x))


def test_is_a_function_of_the_package_too(rng):
    x = ours(rng.normal(size=5))
    assert ag.dropout(x, 0.5, False) is x


@pytest.mark.parametrize("name", ["dropout1d", "dropout2d", "dropout3d", "alpha_dropout"])
@pytest.mark.parametrize("ndim", [2, 3, 4, 5])
def test_channels_drop_as_in_torch(name, ndim, rng):
    if name == "dropout1d" and ndim > 3:
        pytest.skip("refused")
    function = seeded(lambda f, x: getattr(f, name)(x, 0.4, training=True))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        check(function, [rng.normal(size=(5, 4, 2, 3, 2)[:ndim])], rng, node=False, orders=1)


@pytest.mark.parametrize("name", ["dropout2d", "dropout3d"])
@pytest.mark.parametrize("ndim", [2, 3, 4, 5])
def test_warnings_of_axes_are_torchs(name, ndim):
    torch = pytest.importorskip("torch")
    texts = []
    for functional, x in ((torch.nn.functional, torch.ones((2,) * ndim)), (F, ag.ones((2,) * ndim))):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            getattr(functional, name)(x)
        texts.append([str(w.message) for w in caught])
    assert texts[0] == texts[1]


@pytest.mark.parametrize("name", ["dropout", "alpha_dropout"])
def test_statistics_on_the_device(name, device):
    x = ours(np.ones(2000, np.float32), device, requires_grad=True)
    y = getattr(F, name)(x, 0.3, training=True)
    values = np.unique(host(y))
    assert len(values) == 2
    assert 1250 < (host(y) == values[1]).sum() < 1550  # six standard deviations from 1400
    y.sum().backward()
    if name == "dropout":
        assert_array_equal(host(x.grad), host(y))


@pytest.mark.gpu
def test_both_passes_stay_on_the_device(rng):
    check_stays_on_device(lambda f, x: f.dropout(x), [rng.normal(size=(4, 3))])


X = np.zeros((4, 3), np.float32)
REFUSED = {
    "more than 1": lambda f, t: f.dropout(t(X), 1.5),
    "less than 0": lambda f, t: f.dropout(t(X), -0.1),
    "alpha": lambda f, t: f.alpha_dropout(t(X), 2),
    "1d": lambda f, t: f.dropout1d(t(X), -1.0),
    "2d": lambda f, t: f.dropout2d(t(X), 1.1),
    "3d": lambda f, t: f.dropout3d(t(X), 1.1),
    "integers": lambda f, t: f.dropout(t(X.astype(np.int64))),
    "axes": lambda f, t: f.dropout1d(t(X[None, None])),
}


@pytest.mark.parametrize("case", REFUSED)
def test_errors_are_torchs(case):
    torch = pytest.importorskip("torch")
    with pytest.raises(Exception) as expected:  # noqa: PT011  torch says which
        REFUSED[case](torch.nn.functional, theirs)
    with pytest.raises(expected.type) as raised:
        REFUSED[case](F, ours)
    assert str(raised.value) == str(expected.value)


def test_nan_is_no_probability():
    with pytest.raises(ValueError, match=r"^dropout probability has to be between 0 and 1, but got nan$"):
        F.dropout(ours(X), float("nan"))
