"""Bounds for gradients, against PyTorch's."""

from math import inf

import numpy as np
import pytest
from support import assert_same, host, ours, theirs

import autograd_gpu as ag
from autograd_gpu.dtypes import BY_NAME
from autograd_gpu.nn import utils

torch = pytest.importorskip("torch")

DIGITS = {"float16": 5e-3, "bfloat16": 3e-2, "float32": 2e-6, "complex64": 2e-6, "float64": 1e-12}
SHAPES = [(5,), (3, 4), (), (0,), (2, 3, 4), (20_011,)]


def with_gradients(rng, device, dtypes=("float32",), shapes=SHAPES, scale=1.0):
    """The same parameters with gradients here and in torch, and one without."""
    mine, torchs = [ag.ones(2, device=device, requires_grad=True)], [torch.ones(2, requires_grad=True)]
    for dtype in dtypes:
        for shape in shapes:
            array = np.asarray(rng.normal(size=shape) * scale)
            if BY_NAME[dtype].is_complex:
                array = array + 1j * rng.normal(size=shape)
            array = array.astype(BY_NAME[dtype].numpy)
            p, q = ours(array, device, requires_grad=True), theirs(array, requires_grad=True)
            p.grad, q.grad = ours(array, device), theirs(array)
            mine.append(p)
            torchs.append(q)
    return mine, torchs


def gradients(params):
    return [p.grad for p in params]


@pytest.mark.parametrize("max_norm", [1.0, 1e4])
@pytest.mark.parametrize("norm_type", [2, 1, inf, 3.5, 0.5, -inf, -1])
def test_clip_grad_norm(norm_type, max_norm, device, rng):
    shapes = SHAPES if norm_type > 0 else [shape for shape in SHAPES if 0 not in shape]
    shapes = [shape for shape in shapes if shape != (0,) or norm_type != inf]  # torch has no maximum of nothing
    mine, torchs = with_gradients(rng, device, shapes=shapes)
    norm = utils.clip_grad_norm_(mine, max_norm, norm_type)
    expected = torch.nn.utils.clip_grad_norm_(torchs, max_norm, norm_type)
    assert_same(norm, expected, scale=5)
    assert norm.device == mine[0].device
    assert_same(gradients(mine), gradients(torchs), scale=5)


@pytest.mark.parametrize(
    "dtypes",
    [("float64",), ("float16",), ("bfloat16",), ("float32", "float64"), ("float16", "float32"), ("complex64",)],
    ids="-".join,
)
@pytest.mark.parametrize("norm_type", [2, 1])
def test_dtypes(norm_type, dtypes, device, rng):
    shapes = [(5,), (3, 4), ()]
    mine, torchs = with_gradients(rng, device, dtypes, shapes)
    norm = utils.clip_grad_norm_(mine, 0.5, norm_type)
    expected = torch.nn.utils.clip_grad_norm_(torchs, 0.5, norm_type)
    rtol = max(DIGITS[dtype] for dtype in dtypes)  # torch rounds each tensor's norm to its dtype
    assert f"torch.{norm.dtype.name}" == str(expected.dtype)
    for a, b in zip([norm, *gradients(mine)[1:]], [expected, *gradients(torchs)[1:]], strict=True):
        np.testing.assert_allclose(host(a).astype(complex), host(b).astype(complex), rtol=rtol, atol=rtol / 100)


@pytest.mark.parametrize("norm_type", [2, 1, inf, 3.0, 0])
def test_total_norm_and_its_use(norm_type, device, rng):
    mine, torchs = with_gradients(rng, device, shapes=[(7,), (2, 3)])
    norm = utils.get_total_norm(gradients(mine[1:]), norm_type)
    expected = torch.nn.utils.get_total_norm(gradients(torchs[1:]), norm_type)
    assert_same(norm, expected)
    utils.clip_grads_with_norm_(mine, 0.3, norm)
    torch.nn.utils.clip_grads_with_norm_(torchs, 0.3, expected)
    assert_same(gradients(mine), gradients(torchs))
    assert host(norm) == pytest.approx(host(expected))


@pytest.mark.parametrize("bad", [np.nan, inf, -inf])
@pytest.mark.parametrize("norm_type", [2, 1, inf, 3.0])
def test_gradients_that_are_not_finite(norm_type, bad, device, rng):
    mine, torchs = with_gradients(rng, device, shapes=[(1000,), (3,)])
    for params in mine, torchs:
        with (ag if params is mine else torch).no_grad():
            params[1].grad[700] = bad
    before = host(mine[1].grad)
    text = f"The total norm of order {float(norm_type)} for gradients from `parameters` is non-finite, so it cannot be"
    with pytest.raises(RuntimeError, match=text):
        utils.clip_grad_norm_(mine, 1.0, norm_type, error_if_nonfinite=True)
    np.testing.assert_array_equal(host(mine[1].grad), before)
    assert_same(utils.clip_grad_norm_(mine, 1.0, norm_type), torch.nn.utils.clip_grad_norm_(torchs, 1.0, norm_type))
    assert_same(gradients(mine), gradients(torchs))


def test_one_tensor_a_generator_or_nothing(device):
    x = ag.ones(4, device=device, requires_grad=True)
    x.grad = ag.ones(4, device=device)
    assert utils.clip_grad_norm_(x, 1).tolist() == 2
    assert utils.clip_grad_norm_((p for p in [x]), 1).tolist() == pytest.approx(1)
    assert utils.clip_grad_norm_([], 1).tolist() == 0
    assert utils.clip_grad_norm_([ag.ones(1, requires_grad=True)], 1).tolist() == 0
    with pytest.warns(UserWarning, match="`parameters` is an empty generator, no gradient clipping will occur."):
        utils.clip_grad_norm_((p for p in ()), 1)
    empty = ag.ones(0, device=device, requires_grad=True)
    empty.grad = ag.ones(0, device=device)
    assert utils.clip_grad_norm_(empty, 1).tolist() == 0


def test_any_layout(device, rng):
    array = rng.normal(size=(6, 8))
    mine, torchs = ours(array, device, requires_grad=True), theirs(array, requires_grad=True)
    mine.grad, torchs.grad = ours(array, device), theirs(array)
    whole = mine.grad
    for view in (lambda t: t.T, lambda t: t[::2], lambda t: t[:, 1:5]):
        p, q = view(mine.detach()).requires_grad_(), view(torchs.detach()).requires_grad_()
        p.grad, q.grad = view(whole), view(torchs.grad)
        assert_same(utils.clip_grad_norm_(p, 0.9), torch.nn.utils.clip_grad_norm_(q, 0.9))
        utils.clip_grad_value_(p, 0.2)
        torch.nn.utils.clip_grad_value_(q, 0.2)
    assert_same(whole, torchs.grad)


@pytest.mark.parametrize("dtype", ["float32", "float64", "float16", "bfloat16"])
def test_clip_grad_value(dtype, device, rng):
    mine, torchs = with_gradients(rng, device, (dtype,))
    with ag.no_grad():
        mine[1].grad[0] = np.nan
        torchs[1].grad[0] = np.nan
    utils.clip_grad_value_(mine, 0.25)
    torch.nn.utils.clip_grad_value_(torchs, 0.25)
    assert_same(gradients(mine), gradients(torchs))


def test_complex_numbers_have_no_order(rng):
    mine, _ = with_gradients(rng, "cpu", ("complex64",))
    with pytest.raises(RuntimeError, match="clamp is not supported for complex types"):
        utils.clip_grad_value_(mine, 1.0)


@pytest.mark.parametrize(
    "clip", [lambda p: utils.clip_grad_norm_(p, 1.0), lambda p: utils.clip_grad_value_(p, 0.1)], ids=["norm", "value"]
)
def test_it_is_a_write_to_the_gradients(clip, device):
    x = ag.ones(4, device=device, requires_grad=True)
    (x**3).sum().backward(create_graph=False)
    y = x.grad * ag.ones(4, device=device, requires_grad=True)
    version = x.grad._version
    clip(x)
    assert x.grad._version == version + 1
    assert x._version == 0
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        y.sum().backward()
