"""Softmax and its relatives: values, derivatives, numerics and signatures as PyTorch's."""

import warnings

import numpy as np
import pytest
from both import check, check_quotient, check_stays_on_device
from numpy.testing import assert_allclose, assert_array_equal
from support import assert_same, host, ours, theirs

import autograd_gpu as ag
import autograd_gpu.nn.functional as F

NAMES = ("softmax", "log_softmax", "softmin")
every_name = pytest.mark.parametrize("name", NAMES)


def along(name, dim, **options):
    return lambda f, x: getattr(f, name)(x, dim, **options)


@every_name
@pytest.mark.parametrize(
    ("shape", "dim"),
    [((4, 3), 0), ((4, 3), -1), ((2, 3, 4), 1), ((5,), 0), ((), 0), ((), -1), ((2, 0), 1), ((0, 2), 1)],
)
def test_value_and_two_derivatives_are_torchs(name, shape, dim, rng):
    check(along(name, dim), [rng.normal(size=shape)], rng)


@every_name
@pytest.mark.parametrize("layout", ["transposed", "strided", "reversed"])
def test_layouts(name, layout, rng):
    x = {
        "transposed": rng.normal(size=(3, 4)).T,
        "strided": rng.normal(size=(4, 6))[:, ::2],
        "reversed": rng.normal(size=(4, 3))[::1],
    }[layout]
    check(along(name, 1), [x], rng)


@every_name
def test_on_the_device_in_single_precision(name, device, rng):
    check(along(name, 1), [rng.normal(size=(4, 3))], rng, device, "float32", scale=5)


@every_name
@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_in_half_precision(name, dtype, device, rng):
    check(along(name, 1), [rng.normal(size=(4, 7))], rng, device, dtype, orders=1)


@every_name
def test_gradient_is_the_difference_quotient(name, rng):
    check_quotient(along(name, 0), [rng.normal(size=(3, 2))], rng)


@every_name
@pytest.mark.gpu
def test_both_passes_stay_on_the_device(name, rng):
    check_stays_on_device(along(name, 1), [rng.normal(size=(4, 3))])


@pytest.mark.parametrize("name", ["softmax", "log_softmax"])
def test_is_a_function_a_method_and_in_functional(name, rng):
    x = ours(rng.normal(size=(2, 3)))
    expected = host(getattr(F, name)(x, 1))
    assert_array_equal(host(getattr(ag, name)(x, 1)), expected)
    assert_array_equal(host(getattr(x, name)(dim=-1)), expected)
    assert_array_equal(host(getattr(ag, name)(x, 1, ag.float64)), expected)


@every_name
@pytest.mark.parametrize("dtype", ["float64", "float16"])
def test_dtype_is_cast_to_first(name, dtype, rng):
    torch = pytest.importorskip("torch")
    x = rng.normal(size=(2, 3)).astype(np.float32)
    mine, torchs = ours(x, requires_grad=True), theirs(x, requires_grad=True)
    y = getattr(F, name)(mine, 1, dtype=getattr(ag, dtype))
    expected = getattr(torch.nn.functional, name)(torchs, 1, dtype=getattr(torch, dtype))
    assert_same(y, expected)
    y.sum().backward()
    expected.sum().backward()
    assert_same(mine.grad, torchs.grad, scale=1000)
    assert getattr(F, name)(ours(np.array([1, 2])), 0, dtype=ag.float32).dtype is ag.float32


@every_name
@pytest.mark.parametrize("shape", [(), (3,), (2, 3), (2, 3, 4), (2, 2, 2, 2)], ids=str)
def test_implicit_dim_warns(name, shape, rng):
    torch = pytest.importorskip("torch")
    x = rng.normal(size=shape)
    with pytest.warns(UserWarning, match="^Implicit dimension") as expected:
        y = getattr(torch.nn.functional, name)(theirs(x))
    with pytest.warns(UserWarning, match="^Implicit dimension") as caught:
        assert_same(getattr(F, name)(ours(x)), y)
    assert str(caught[0].message) == str(expected[0].message)
    assert caught[0].filename == __file__


# --- numerics --------------------------------------------------------------------------------------------


@every_name
@pytest.mark.parametrize("row", [[1000.0, -1000.0, 1000.0], [1e30, -1e30, 0.0], [-1000.0, -1000.1, -999.0]], ids=str)
def test_large_numbers_do_not_overflow(name, row, rng):
    y = check(along(name, 0), [np.array(row)], rng, orders=1)
    assert np.isfinite(host(y)).all()


@every_name
@pytest.mark.parametrize("row", [[-np.inf, 0, 1], [-np.inf, -np.inf, -np.inf], [np.inf, 0, 1], [np.nan, 0, 1]], ids=str)
def test_special_values(name, row, rng):
    check(along(name, 0), [np.array(row)], rng, orders=0)


def test_all_minus_inf_is_nan(device):
    x = ours(np.full((2, 3), -np.inf), device)
    assert np.isnan(host(ag.softmax(x, 1))).all()
    assert np.isnan(host(ag.log_softmax(x, 1))).all()


# --- gumbel_softmax, glu ---------------------------------------------------------------------------------


@pytest.mark.parametrize("hard", [False, True])
@pytest.mark.parametrize("dim", [0, -1])
def test_gumbel_softmax_draws_torchs_numbers(hard, dim, rng):
    torch = pytest.importorskip("torch")

    def drawn(f, x):
        (torch if f is torch.nn.functional else ag).manual_seed(3)
        return f.gumbel_softmax(x, tau=0.7, hard=hard, dim=dim)

    check(drawn, [rng.normal(size=(4, 3))], rng, orders=1)


def test_gumbel_softmax_on_the_device(device, rng):
    x = ours(rng.normal(size=(4, 3)).astype(np.float32), device, requires_grad=True)
    y = F.gumbel_softmax(x, hard=True)
    assert_allclose(host(y).sum(1), 1, rtol=1e-6)
    assert_allclose(host(y).max(1), 1, rtol=1e-6)
    y.sum().backward()
    assert x.grad.device == x.device


@pytest.mark.parametrize(("shape", "dim"), [((4, 6), -1), ((4, 6), 0), ((2, 4, 3), 1), ((2,), 0), ((0, 2), 1)])
def test_glu(shape, dim, rng):
    check(lambda f, x: f.glu(x, dim), [rng.normal(size=shape)], rng)


def test_glu_on_the_device(device, rng):
    check(lambda f, x: f.glu(x), [rng.normal(size=(2, 4))], rng, device, "float32", scale=5)


# --- what is refused -------------------------------------------------------------------------------------

X = np.zeros((4, 3), np.float32)
REFUSED = {
    "dim": lambda f, t: f.softmax(t(X), 2),
    "dim of log": lambda f, t: f.log_softmax(t(X), -3),
    "dim of a scalar": lambda f, t: f.softmin(t(X[0, 0]), 1),
    "gumbel dim": lambda f, t: f.gumbel_softmax(t(X), dim=5),
    "odd glu": lambda f, t: f.glu(t(X)),
    "scalar glu": lambda f, t: f.glu(t(X[0, 0])),
    "glu dim": lambda f, t: f.glu(t(X), 2),
}


@pytest.mark.parametrize("case", REFUSED)
def test_errors_are_torchs(case):
    torch = pytest.importorskip("torch")
    with pytest.raises(Exception) as expected:  # noqa: PT011  torch says which
        REFUSED[case](torch.nn.functional, theirs)
    with pytest.raises(expected.type) as raised:
        REFUSED[case](F, ours)
    assert str(raised.value) == str(expected.value)


@pytest.mark.parametrize("name", ["softmax", "log_softmax"])
@pytest.mark.parametrize(("dtype", "word"), [("int64", "Long"), ("bool", "Bool"), ("complex64", "ComplexFloat")])
def test_only_floating_dtypes(name, dtype, word):
    with pytest.raises(RuntimeError, match=f"^\"{name}_lastdim_kernel_impl\" not implemented for '{word}'$"):
        getattr(F, name)(ours(X.astype(dtype)), 1)


def test_the_deprecated_eps_of_gumbel_softmax_warns():
    with pytest.warns(UserWarning, match=r"^`eps` parameter is deprecated and has no effect\.$"):
        F.gumbel_softmax(ours(X), eps=1e-8)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        F.gumbel_softmax(ours(X))
