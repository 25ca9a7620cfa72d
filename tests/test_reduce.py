"""Reductions and scans: what PyTorch gives, over overloads, dtypes, layouts and devices, derivatives included."""

import numpy as np
import pytest
from against_torch import agree, case, fits_difference_quotient, layouts, on_gpu
from support import assert_same, host, ours, theirs

import autograd_gpu as ag
from autograd_gpu.backward import grad

# What is run on a matrix x of shape (2, 3); each line here and in PyTorch.
SMOOTH = """
x.sum()
x.sum(0)
x.sum(-1, keepdim=True)
x.sum((0, 1))
x.sum(dim=(1, 0), keepdim=True)
x.sum([])
x.sum(axis=1, keepdims=True)
t.sum(x, 1)
x.sum_to_size(1, 3)
x.sum_to_size(3)
x.sum_to_size(())
x.sum_to_size((2, 1))
x.mean()
x.mean(1)
x.mean((0, -1), True)
t.mean(x, dim=0)
x.prod()
x.prod(0)
x.prod(1, keepdim=True)
x.var()
x.var(0)
x.var(False)
x.var((0, 1), keepdim=True)
x.var(1, unbiased=False)
x.var(1, correction=0.5)
x.std()
x.std(-1, True, True)
x.std(0, correction=0)
t.var_mean(x)
t.var_mean(x, 1, correction=0)
t.std_mean(x, (0, 1), keepdim=True)
t.std_mean(x, 0)
x.logsumexp(0)
x.logsumexp((0, 1), keepdim=True)
x.norm()
x.norm(1)
x.norm(3, 0)
x.norm(0.5, 1, True)
x.norm(1.5)
x.norm(-1, dim=1)
x.norm("fro", dim=(0, 1))
x.norm(float("inf"))
x.norm(float("-inf"), 1)
t.norm(x, p=2, dim=1, keepdim=True)
t.dist(x, 2 * x)
t.dist(x, x[0] / 3, p=3)
x.cumsum(0)
x.cumsum(-1)
x.cumprod(1)
x.cumprod(0)
x.diff()
x.diff(2)
x.diff(dim=0, prepend=x, append=x)
""".strip().splitlines()

ORDER = """
x.max()
x.max(0)
x.max(-1, keepdim=True)
x.max(dim=1)[0]
t.max(x, 1).values
x.min()
x.min(0)
t.min(x, -1, True)
x.amax()
x.amax(0)
x.amax((0, 1), keepdim=True)
x.amin(-1)
x.amin(())
x.aminmax()
x.aminmax(dim=1, keepdim=True)
x.nansum()
x.nansum(1, True)
x.nanmean(0)
x.median()
x.median(1)
x.median(0, keepdim=True)
x.nanmedian()
x.nanmedian(-1)
x.cummax(0)
x.cummax(1)
x.cummin(-1)
x.logcumsumexp(0)
x.logcumsumexp(1)
""".strip().splitlines()

PLAIN = """
x.argmax()
x.argmax(0)
x.argmax(1, True)
x.argmax(None, True)
x.argmin()
x.argmin(-1)
x.any()
x.any(0)
x.any((0, 1), True)
x.any(())
x.all()
x.all(-1, keepdim=True)
x.count_nonzero()
x.count_nonzero(0)
x.count_nonzero((0, 1))
""".strip().splitlines()

FLOATS = ("float16", "bfloat16", "float32", "float64")
COMPLEX = ("complex64", "complex128")
INTEGERS = ("bool", "uint8", "int8", "int32", "int64")
STEEP = ("x.prod", "x.cumprod", "norm(-1", "norm(0.5")  # of which 16 bits hold little


def values(rng: np.random.Generator, dtype: str, shape: tuple[int, ...] = (2, 3)) -> np.ndarray:
    """Values of ``dtype``, no two of them equal but for bools and integers."""
    size = int(np.prod(shape))
    numbers = (rng.permutation(2 * size + 2)[:size].reshape(shape) - size) / 4 + 0.125
    if dtype in COMPLEX:
        numbers = numbers + 1j * rng.normal(size=shape)
    elif dtype in INTEGERS:
        numbers = rng.integers(0, 2 if dtype == "bool" else 5, shape)
    return np.asarray(numbers).astype(getattr(ag, dtype).numpy)


@pytest.mark.parametrize("text", SMOOTH + ORDER + PLAIN)
def test_all_layouts_agree_with_torch(text, rng):
    for _, array in layouts(rng):
        agree(case(text), array, rng=rng)


@on_gpu
@pytest.mark.parametrize("text", SMOOTH + ORDER + PLAIN)
def test_a_gpu_agrees_with_torch(text, rng):
    agree(case(text), values(rng, "float32"), rng=rng, device="cuda", scale=3, second=text in SMOOTH[::3])


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32"])
@pytest.mark.parametrize("text", SMOOTH + ORDER + PLAIN)
def test_other_floating_dtypes_agree_with_torch(text, dtype, rng):
    scale = 1 if dtype == "float32" else 8 if text.startswith(STEEP) else 3
    agree(case(text), abs(values(rng, dtype)), rng=rng, second=False, scale=scale)


@on_gpu
@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "complex64", "int32", "bool"])
@pytest.mark.parametrize("text", ["x.sum(0)", "x.prod()", "x.cumsum(0)", "x.any(0)", "x.count_nonzero()"])
def test_other_dtypes_on_a_gpu_agree_with_torch(text, dtype, rng):
    agree(case(text), values(rng, dtype), rng=rng, device="cuda", second=False, scale=8)


@pytest.mark.parametrize("dtype", COMPLEX)
@pytest.mark.parametrize("text", [t for t in SMOOTH if "inf" not in t] + ["x.any(0)", "x.all()", "x.count_nonzero()"])
def test_complex_dtypes_agree_with_torch(text, dtype, rng):
    agree(case(text), values(rng, dtype), rng=rng, scale=5, second=dtype == "complex128")


@pytest.mark.parametrize("dtype", INTEGERS)
@pytest.mark.parametrize("text", [
    "x.sum()", "x.sum(0)", "x.prod()", "x.prod(1)", "x.cumsum(0)", "x.cumprod(1)", "x.nansum()", "x.nansum(0)",
    "x.amax(0)", "x.amin()", "x.max()", "x.max(1).values", "x.min(0).values", "x.any(0)", "x.all()", "x.aminmax()",
    "x.count_nonzero(1)", "x.logsumexp(0)", "x.sum(0, dtype=t.float64)", "x.sum(dtype=t.uint8)", "x.mean(dtype=t.float32)",
    "x.prod(0, dtype=t.float16)", "x.cumsum(0, dtype=t.float32)", "x.sum(dtype=t.bool)", "x.sum_to_size(1, 3)",
])  # fmt: skip
def test_bools_and_integers_agree_with_torch(text, dtype, rng):
    agree(case(text), values(rng, dtype), rng=rng)


@pytest.mark.parametrize("text", [
    "x.sum(dtype=t.float64)", "x.mean(0, dtype=t.float64)", "x.prod(dtype=t.float64)", "x.cumsum(0, dtype=t.float64)",
    "x.norm(dtype=t.float64)", "x.nansum(dtype=t.float64)", "x.cumprod(0, dtype=t.float64)",
])  # fmt: skip
def test_a_dtype_asked_for_is_computed_in(text, rng):
    agree(case(text), values(rng, "float32"), rng=rng, same_nodes=False)


@pytest.mark.parametrize("text", [text for text in SMOOTH + ORDER if "inf" not in text])
def test_gradients_are_difference_quotients(text, rng):
    fits_difference_quotient(case(text), rng.permutation(6).reshape(2, 3) / 3 + 0.4, rng=rng)


SCALAR = """
x.sum()
x.sum(0)
x.sum(-1, keepdim=True)
x.mean()
x.mean(0)
x.prod()
x.prod(0)
x.var(correction=0)
x.std(0, correction=0)
t.var_mean(x, correction=0)
x.logsumexp(0)
x.norm()
x.norm(1, 0)
x.max()
x.max(0)
x.max(0, keepdim=True)
x.amin(0)
x.amax()
x.aminmax()
x.argmax()
x.argmax(0)
x.argmin(0, True)
x.median()
x.median(0)
x.cumsum(0)
x.cumprod(0)
x.logcumsumexp(0)
x.cummax(0)
x.any()
x.all(0)
x.count_nonzero()
x.sum_to_size(())
x.mode(0)
""".strip().splitlines()


@pytest.mark.parametrize("text", SCALAR)
def test_0d_tensors_agree_with_torch(text, rng):
    agree(case(text), values(rng, "float64", ()), rng=rng)


@on_gpu
@pytest.mark.parametrize("text", SCALAR)
def test_0d_tensors_on_a_gpu_agree_with_torch(text, rng):
    agree(case(text), values(rng, "float32", ()), rng=rng, device="cuda", second=False)


@pytest.mark.parametrize("shape", [(0,), (0, 3), (2, 0, 3)], ids=str)
@pytest.mark.parametrize("text", [
    "x.sum()", "x.sum(0)", "x.mean()", "x.mean(-1)", "x.prod()", "x.prod(0)", "x.prod(-1, True)", "x.logsumexp(0)",
    "x.norm()", "x.norm(1, 0)", "x.norm(0)", "x.nansum(0)", "x.cumsum(0)", "x.cumprod(-1)", "x.any(0)", "x.all()",
    "x.count_nonzero(0)", "x.median()", "x.sum(-1, keepdim=True)", "x.logcumsumexp(0)",
])  # fmt: skip
def test_empty_tensors_agree_with_torch(text, shape, rng):
    agree(case(text), np.zeros(shape), rng=rng)


@pytest.mark.parametrize("text", [
    "x.amax(1)", "x.max(1)", "x.min(-1).values", "x.argmax(1)", "x.aminmax(dim=1)", "x.median(1).values",
])  # fmt: skip
def test_empty_results_of_reductions_over_other_axes_agree_with_torch(text, rng):
    agree(case(text), np.zeros((0, 3)), rng=rng)


ZEROS = ([0.0, 2.0, 3.0], [0.0, 0.0, 3.0], [0.0, 0.0, 0.0], [-1.0, 0.0, 2.0])


@pytest.mark.parametrize("x", ZEROS, ids=str)
@pytest.mark.parametrize("text", [
    "x.prod()", "x.prod(0)", "x.cumprod(0)", "x.norm()", "x.norm(1)", "x.norm(0.5)", "x.norm(1.5)", "x.norm(3)",
    "x.norm(0)", "x.norm(float('inf'))", "x.norm(float('-inf'))", "x.norm(-1)", "t.dist(x, 0 * x)", "x.std()", "x.var(0)",
    "t.std_mean(x)",
])  # fmt: skip
def test_gradients_at_zeros_are_torchs(text, x, rng):
    agree(case(text), np.array(x), rng=rng, second=False)


@pytest.mark.parametrize("x", ZEROS, ids=str)
@pytest.mark.parametrize("text", ["x.prod()", "x.prod(0)", "x.cumprod(0)"])
def test_second_gradients_of_products_with_zeros(text, x, rng):
    agree(case(text), np.array(x), rng=rng)


@pytest.mark.parametrize(
    "text",
    [
        "x.max()",
        "x.min()",
        "x.amax()",
        "x.amax(0)",
        "x.amin(1)",
        "x.aminmax()",
        "x.median()",
        "x.norm(float('inf'))",
    ],
)
def test_ties_share_the_gradient(text, rng):
    agree(case(text), np.array([[1.0, 3.0, 3.0], [3.0, 2.0, 2.0], [1.0, 1.0, 3.0]]), rng=rng, second=False)


NAN, INF = float("nan"), float("inf")


@pytest.mark.parametrize("x", [[1.0, NAN, 3.0, NAN], [NAN, NAN], [-INF, 1.0, INF], [-INF, 2.0]], ids=str)
@pytest.mark.parametrize("text", [
    "x.sum()", "x.max()", "x.max(0)", "x.min(0)", "x.min()", "x.amax()", "x.argmax()", "x.argmin()", "x.nansum()",
    "x.nanmean()", "x.median()", "x.median(0)", "x.nanmedian(0)", "x.cummax(0)", "x.cummin(0)", "x.logsumexp(0)",
    "x.norm()", "x.any()", "x.cumsum(0)",
])  # fmt: skip
def test_nan_and_infinities_are_torchs(text, x, rng):
    agree(case(text), np.array(x), rng=rng, second=False)


def test_mode_is_the_smallest_of_the_most_frequent(device):
    x = ours(np.array([[3, 1, 3, 1, 2], [4, 4, 5, 5, 5], [2, 1, 0, 4, 3]]), device)
    values, indices = x.mode(1)
    assert host(values).tolist() == [1, 5, 0]
    assert host(indices).tolist() == [3, 4, 2]
    assert host(x.mode(0).values).tolist() == [2, 1, 0, 1, 2]


def test_the_gradient_of_a_mode_goes_to_its_index(device):
    x = ours(np.array([1.0, 2.0, 2.0]), device, requires_grad=True)
    x.mode().values.backward()
    assert host(x.grad).tolist() == [0, 0, 1]
    assert type(x.mode().values.grad_fn).__name__ == "ModeBackward0"


def test_long_products_have_accurate_gradients(device, rng):
    x = rng.uniform(0.5, 1.5, 1000)
    x[500] = 0
    tensor = ours(x, device, requires_grad=True)
    tensor.prod().backward()
    wanted = np.zeros(1000)
    wanted[500] = np.prod(np.delete(x, 500))
    np.testing.assert_allclose(host(tensor.grad), wanted, rtol=1e-12)


def test_long_sums_of_floats_are_as_accurate_as_torchs(rng):
    x = rng.uniform(0, 1, 100_000).astype(np.float32)
    torch = pytest.importorskip("torch")
    assert_same(ours(x).cumsum(0), torch.cumsum(theirs(x), 0), scale=0.01)
    for d in ("float16", "bfloat16"):
        narrow = x.astype(getattr(ag, d).numpy)[:10_000]
        assert_same(ours(narrow).sum(), theirs(narrow).sum())
        assert_same(ours(narrow).mean(), theirs(narrow).mean())
        assert_same(ours(narrow).var(), theirs(narrow).var())


def test_logsumexp_does_not_overflow():
    x = ag.tensor([1000.0, 1000.0], requires_grad=True)
    y = x.logsumexp(0)
    y.backward()
    assert y.item() == pytest.approx(1000 + np.log(2))
    np.testing.assert_allclose(host(x.grad), [0.5, 0.5], rtol=1e-4)


def test_pairs_are_named_tuples_that_print_as_in_torch():
    values, indices = pair = ag.tensor([[1.0, 5.0], [7.0, 2.0]]).max(1)
    assert pair.values is values
    assert pair.indices is indices
    assert repr(pair) == ("autograd_gpu.return_types.max(\nvalues=tensor([5., 7.]),\nindices=tensor([1, 0]))")
    assert repr(ag.tensor([1.0, 2.0]).aminmax()).startswith("autograd_gpu.return_types.aminmax(\nmin=tensor(1.),")


def test_the_nuclear_norm_is_refused():
    with pytest.raises(AttributeError, match="p='nuc'"):
        ag.tensor([[1.0]]).norm("nuc")


def test_max_of_two_tensors_is_maximum():
    a, b = ag.tensor([1.0, 5.0]), ag.tensor([3.0, 4.0])
    assert ag.max(a, b).tolist() == a.max(b).tolist() == ag.max(a, other=b).tolist() == [3.0, 5.0]
    assert ag.min(a, b).tolist() == [1.0, 4.0]


DEGREES = (
    "(): degrees of freedom is <= 0. Correction should be strictly less than the reduction factor "
    "(input numel divided by output numel)."
)


@pytest.mark.parametrize("name", ["var", "std", "var_mean", "std_mean"])
def test_too_few_elements_for_a_variance_warn(name):
    with pytest.warns(UserWarning, match="degrees of freedom") as caught:
        result = getattr(ag, name)(ag.tensor([2.0]))
    assert str(caught[0].message) == name + DEGREES
    assert caught[0].filename == __file__
    assert np.isnan(host(result[0] if isinstance(result, tuple) else result))


ERRORS = {
    "i.mean()": (RuntimeError, "mean(): could not infer output dtype. Input dtype must be either a floating point or complex dtype. Got: Long"),
    "i.mean(dtype=t.int64)": (RuntimeError, "mean(): could not infer output dtype. Optional dtype must be either a floating point or complex dtype. Got: Long"),
    "x.sum(5)": (IndexError, "Dimension out of range (expected to be in range of [-2, 1], but got 5)"),
    "x.sum((0, -2))": (RuntimeError, "dim 0 appears multiple times in the list of dims"),
    "x.prod(2)": (IndexError, "Dimension out of range (expected to be in range of [-2, 1], but got 2)"),
    "x[0, 0].sum(1)": (IndexError, "Dimension out of range (expected to be in range of [-1, 0], but got 1)"),
    "i.var()": (RuntimeError, "std and var only support floating point and complex dtypes"),
    "t.var_mean(i)": (RuntimeError, "var_mean only support floating point and complex dtypes"),
    "i.nanmean()": (RuntimeError, "nanmean(): expected input to have floating point or complex dtype but got Long"),
    "i.norm()": (RuntimeError, "linalg.vector_norm: Expected a floating point or complex tensor as input. Got Long"),
    "x.norm('abc')": (RuntimeError, "linalg.matrix_norm: Order abc not supported."),
    "e.norm(float('inf'))": (RuntimeError, "linalg.vector_norm cannot compute the inf norm on an empty tensor because the operation does not have an identity"),
    "e.norm(float('-inf'), 0)": (RuntimeError, "linalg.vector_norm cannot compute the -inf norm on the dimension 0because this dimension is empty and the operation does not have an identity"),
    "e.max()": (RuntimeError, "max(): Expected reduction dim to be specified for input.numel() == 0. Specify the reduction dim with the 'dim' argument."),
    "e.amin()": (RuntimeError, "amin(): Expected reduction dim to be specified for input.numel() == 0. Specify the reduction dim with the 'dim' argument."),
    "e.max(0)": (IndexError, "max(): Expected reduction dim 0 to have non-zero size."),
    "e.amax(0)": (IndexError, "amax(): Expected reduction dim 0 to have non-zero size."),
    "e.argmax()": (IndexError, "argmax(): Expected reduction dim to be specified for input.numel() == 0."),
    "e.argmin(0)": (IndexError, "argmin(): Expected reduction dim 0 to have non-zero size."),
    "e.aminmax()": (RuntimeError, "aminmax(): cannot compute aminmax over an empty dimension as the operation has no identity."),
    "e.median(0)": (IndexError, "median(): Expected reduction dim 0 to have non-zero size."),
    "e.mode(0)": (IndexError, "mode(): Expected reduction dim 0 to have non-zero size."),
    "c.max(0)": (RuntimeError, "max(): does not support complex input"),
    "c.argmax()": (RuntimeError, "argmax(): does not support complex input"),
    "b.argmax()": (RuntimeError, "argmax(): does not support bool input"),
    "x[0, 0].diff()": (RuntimeError, "diff expects input to be at least one-dimensional"),
    "x.diff(-1)": (RuntimeError, "order must be non-negative but got -1"),
    "x.sum_to_size(2, 2)": (RuntimeError, "size {[2, 2]} is not expandable to size {[2, 3]}."),
    "x.sum_to_size(1, 2, 3)": (RuntimeError, "size {[1, 2, 3]} is not expandable to size {[2, 3]}."),
    "t.sum([1, 2])": (TypeError, "sum(): argument 'input' (position 1) must be Tensor, not list"),
}  # fmt: skip


@pytest.mark.parametrize("text", ERRORS)
def test_errors_are_torchs(text):
    kind, message = ERRORS[text]
    torch = pytest.importorskip("torch")
    for t in (ag, torch):
        x, i = t.tensor([[0.0, 1, 2], [3, 4, 5]]), t.tensor([[0, 1, 2], [3, 4, 5]])
        given = {
            "x": x, "i": i, "b": t.tensor([True]), "c": t.tensor([1j]), "t": t,
            "e": t.tensor([[0.0, 0, 0]])[:0],
        }  # fmt: skip
        with pytest.raises(kind) as caught:
            eval(text, given)
        assert str(caught.value) == message


@pytest.mark.parametrize(
    "text",
    [
        "x.sum('a')",
        "x.sum(1.5)",
        "x.cumsum()",
        "x.sum(foo=1)",
        "x.logsumexp()",
        "x.var(0, unbiased=True, correction=1)",
    ],
)
def test_wrong_arguments_are_type_errors(text):
    with pytest.raises(TypeError):
        case(text)(ag, ag.tensor([[1.0]]))


@on_gpu
@pytest.mark.parametrize(
    "text",
    [
        *SMOOTH[:3],
        "x.prod()",
        "x.cumprod(1)",
        "x.var(0)",
        "x.max()",
        "x.max(1)[0]",
        "x.norm(3)",
        "x.logcumsumexp(0)",
        "x.cummax(1)[0]",
        "x.median(1)[0]",
    ],
)
def test_backward_on_a_gpu_neither_copies_to_the_host_nor_waits(text):
    cudasim = pytest.importorskip("cudasim")
    x = ours(np.arange(6, dtype=np.float32).reshape(2, 3), "cuda", requires_grad=True)
    y = case(text)(ag, x)
    y = y.sum()
    y.backward(retain_graph=True)
    with cudasim.trace() as seen:
        y.backward()
    assert seen.h2d_bytes == seen.d2h_bytes == 0
    assert not seen.syncs


def test_gradients_of_gradients_of_a_cumprod_with_zeros_are_difference_quotients(rng):
    x = np.array([2.0, 0.0, -1.5, 0.0])
    tensor = ours(x, requires_grad=True)
    along = np.array([0.3, -1.0, 0.7, 2.0])
    (first,) = grad(tensor.cumprod(0), tensor, ours(along), create_graph=True)
    (second,) = grad(first, tensor, ours(along[::-1]))
    eps = 1e-6
    quotient = []
    for i in range(4):
        slopes = []
        for sign in (1, -1):
            moved = x.copy()
            moved[i] += sign * eps
            leaf = ours(moved, requires_grad=True)
            slopes.append(host(grad(leaf.cumprod(0), leaf, ours(along))[0]) @ along[::-1])
        quotient.append((slopes[0] - slopes[1]) / (2 * eps))
    np.testing.assert_allclose(host(second), quotient, rtol=1e-6, atol=1e-8)
