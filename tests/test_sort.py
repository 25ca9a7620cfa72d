"""Sorting, choosing and counting: what PyTorch gives, ties, nan and derivatives included."""

import numpy as np
import pytest
from against_torch import agree, case, fits_difference_quotient, layouts, on_gpu
from support import assert_same, host, ours, theirs

import autograd_gpu as ag

# What is run on a matrix x of shape (2, 3) without ties.
ORDER = """
x.sort()
x.sort(0)
x.sort(dim=-1, descending=True)
t.sort(x, 1, True)
t.sort(x, dim=0, stable=True)
x.sort(stable=True, descending=True)
t.sort(x).values
x.msort()
x.topk(2)
x.topk(1, 0)
t.topk(x, 2, dim=-1, largest=False)
x.topk(3, sorted=True)
x.topk(0)
x.kthvalue(1)
x.kthvalue(2, 0)
t.kthvalue(x, 3, dim=-1, keepdim=True)
""".strip().splitlines()
INDICES = """
x.argsort()
x.argsort(0, True)
t.argsort(x, dim=-1, descending=True, stable=True)
""".strip().splitlines()
SCALAR = [
    "x.sort()",
    "x.sort(0, True)",
    "x.argsort()",
    "x.topk(1)",
    "x.topk(1, 0)",
    "x.kthvalue(1)",
    "x.kthvalue(1, 0, True)",
    "x.msort()",
]
FLOATS = ("float16", "bfloat16", "float32", "float64")
INTEGERS = ("bool", "uint8", "int8", "int16", "int32", "int64")


@pytest.mark.parametrize("text", ORDER + INDICES)
def test_all_layouts_agree_with_torch(text, rng):
    for _, array in layouts(rng):
        agree(case(text), array, rng=rng)


@pytest.mark.parametrize("text", ORDER)
def test_gradients_are_difference_quotients(text, rng):
    fits_difference_quotient(case(text), rng.permutation(6).reshape(2, 3) / 3, rng=rng)


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("text", ORDER + INDICES)
def test_other_floating_dtypes_agree_with_torch(text, dtype, rng):
    x = rng.permutation(6).reshape(2, 3).astype(getattr(ag, dtype).numpy)
    agree(case(text), x, rng=rng, second=False)


@pytest.mark.parametrize("dtype", INTEGERS)
@pytest.mark.parametrize("text", [t for t in ORDER + INDICES if "topk" not in t and "kth" not in t])
def test_bools_and_integers_with_ties_agree_with_torch(text, dtype, rng):
    x = rng.integers(0, 2 if dtype == "bool" else 4, (2, 3)).astype(getattr(ag, dtype).numpy)
    agree(case(text), x, rng=rng)


@pytest.mark.parametrize("text", SCALAR)
def test_0d_tensors_agree_with_torch(text, rng):
    agree(case(text), np.array(2.5), rng=rng)


@pytest.mark.parametrize("text", ["x.sort()", "x.sort(0)", "x.argsort(1)", "x.topk(0)", "x.topk(2, 1)", "x.msort()"])
def test_empty_tensors_agree_with_torch(text, rng):
    agree(case(text), np.zeros((0, 3)), rng=rng)


@on_gpu
@pytest.mark.parametrize("text", ORDER + INDICES)
def test_a_gpu_agrees_with_torch(text, rng):
    x = rng.permutation(6).reshape(2, 3).astype(np.float32)
    agree(case(text), x, rng=rng, device="cuda", second=text in ORDER[::4])


@on_gpu
@pytest.mark.parametrize("text", SCALAR)
def test_0d_tensors_on_a_gpu_agree_with_torch(text, rng):
    agree(case(text), np.array(2.5, np.float32), rng=rng, device="cuda", second=False)


NAN, INF = float("nan"), float("inf")


@pytest.mark.parametrize("descending", [False, True])
@pytest.mark.parametrize(
    "x", [[1.0, NAN, 0.0, NAN, INF], [2.0, 1.0, 2.0, 1.0, 2.0], [-0.0, 0.0, -INF, 0.0], [NAN, NAN]], ids=str
)
def test_nan_is_the_largest_and_ties_keep_their_order(x, descending, device, rng):
    agree(lambda t, x: t.sort(x, stable=True, descending=descending), np.array(x), rng=rng, device=device, second=False)
    agree(lambda t, x: t.argsort(x, stable=True, descending=descending), np.array(x), rng=rng, device=device)


@pytest.mark.parametrize("largest", [True, False])
def test_topk_of_long_lines_agrees_with_torch(largest, rng, device):
    x = rng.permutation(4000).reshape(4, 1000).astype(np.float32)
    agree(lambda t, x: t.topk(x, 7, largest=largest), x, rng=rng, device=device, second=False)
    agree(lambda t, x: t.topk(x.T, 7, 0, largest), x, rng=rng, device=device, second=False, same_nodes=False)


def test_topk_counts_nan_as_the_largest(device):
    x = ours(np.array([1.0, NAN, 3.0, 2.0]), device)
    assert host(x.topk(2).indices).tolist() == [1, 2]
    assert host(x.topk(3, largest=False).values).tolist() == [1, 2, 3]


def test_equal_elements_get_their_own_gradients(device):
    x = ours(np.array([2.0, 1.0, 2.0]), device, requires_grad=True)
    (x.sort().values * ours(np.array([1.0, 10.0, 100.0]), device)).sum().backward()
    assert host(x.grad).tolist() == [10, 1, 100]


def test_pairs_are_named_tuples_that_print_as_in_torch():
    values, indices = pair = ag.sort(ag.tensor([3.0, 1.0]))
    assert pair.values is values
    assert pair.indices is indices
    assert repr(pair) == "autograd_gpu.return_types.sort(\nvalues=tensor([1., 3.]),\nindices=tensor([1, 0]))"
    assert repr(ag.tensor([1, 2]).topk(1)).startswith("autograd_gpu.return_types.topk(\nvalues=tensor([2])")
    assert repr(ag.tensor([1, 2]).kthvalue(1)).startswith("autograd_gpu.return_types.kthvalue(")


# --- counting --------------------------------------------------------------------------------------

# What is run on x = [3, 1, 2, 1, 3] and y = [[1, 2], [1, 2], [0, 1]], floats or integers.
COUNTS = """
t.unique(x)
x.unique(return_inverse=True)
t.unique(x, return_counts=True)
t.unique(x, True, True, True)
t.unique(x, sorted=False)
t.unique(y, return_inverse=True, return_counts=True)
t.unique(y, dim=0, return_inverse=True, return_counts=True)
t.unique(y, dim=1)
t.unique(y, dim=-1, return_inverse=True)
t.unique(y[:0])
t.unique(y[:0], dim=0)
t.unique(x[0], return_inverse=True)
t.unique_consecutive(x)
x.unique_consecutive(True, True)
t.unique_consecutive(y, return_inverse=True)
t.unique_consecutive(y, dim=0, return_inverse=True, return_counts=True)
t.unique_consecutive(x[:0], return_inverse=True, return_counts=True)
t.searchsorted(x.sort().values, y)
t.searchsorted(x.sort().values, y, right=True)
t.searchsorted(x.sort().values, y, side="right", out_int32=True)
t.searchsorted(x.sort().values, 2)
t.searchsorted(y.T.sort().values.contiguous(), y.T.contiguous())
t.searchsorted(x, y, sorter=x.argsort(stable=True))
t.bucketize(y, x.sort().values)
t.bucketize(2, x.sort().values, right=True)
""".strip().splitlines()
INTEGER_COUNTS = """
t.bincount(x)
x.bincount(minlength=7)
t.bincount(x, t.ones(5))
t.bincount(x, weights=t.ones(5, dtype=t.float64), minlength=2)
t.bincount(x, t.ones(5, dtype=t.int64))
t.bincount(x[:0])
t.bincount(x[:0], minlength=3)
""".strip().splitlines()
FLOAT_COUNTS = """
t.histc(x, 4)
x.histc(bins=3, min=1, max=2)
x.histc(3, 0, 2)
t.histc(x, 2, min=1, max=1)
t.histc(x[:0], 3)
t.histc(y, 5)
t.unique(x / 0 - x / 0)
""".strip().splitlines()
X, Y = np.array([3, 1, 2, 1, 3]), np.array([[1, 2], [1, 2], [0, 1]])


def counting(text):
    return eval(f"lambda t, x, y: {text}")


@pytest.mark.parametrize("dtype", ["int64", "int32", "uint8", "float32", "float64", "float16", "bfloat16"])
@pytest.mark.parametrize("text", COUNTS)
def test_counts_agree_with_torch(text, dtype, rng):
    arrays = [a.astype(getattr(ag, dtype).numpy) for a in (X, Y)]
    torch = pytest.importorskip("torch")
    result, known = counting(text)(ag, *map(ours, arrays)), counting(text)(torch, *map(theirs, arrays))
    assert_same(result, known)


@pytest.mark.parametrize(
    ("text", "dtype"), [*((t, "int64") for t in INTEGER_COUNTS), *((t, "float32") for t in FLOAT_COUNTS)]
)
def test_counts_of_some_dtypes_agree_with_torch(text, dtype):
    torch = pytest.importorskip("torch")
    arrays = [a.astype(dtype) for a in (X, Y)]
    assert_same(counting(text)(ag, *map(ours, arrays)), counting(text)(torch, *map(theirs, arrays)))


@on_gpu
@pytest.mark.parametrize(("text", "dtype"), [
    *((t, "float32") for t in COUNTS[::2]), *((t, "int64") for t in INTEGER_COUNTS if "ones" not in t), *((t, "float32") for t in FLOAT_COUNTS[:4]),
])  # fmt: skip
def test_counts_on_a_gpu_agree_with_torch(text, dtype):
    torch = pytest.importorskip("torch")
    arrays = [a.astype(dtype) for a in (X, Y)]
    assert_same(counting(text)(ag, *(ours(a, "cuda") for a in arrays)), counting(text)(torch, *map(theirs, arrays)))


@pytest.mark.parametrize("x", [[True, False, True], [False]], ids=str)
def test_distinct_bools(x, rng):
    torch = pytest.importorskip("torch")
    assert_same(ours(np.array(x)).unique(return_counts=True), torch.tensor(x).unique(return_counts=True))


def test_counts_have_no_gradient():
    x = ag.tensor([1.0, 2.0], requires_grad=True)
    assert not ag.unique(x).requires_grad
    assert not ag.searchsorted(x, x).requires_grad
    assert not ag.histc(x, 2).requires_grad


ERRORS = {
    "x.sort(2)": (IndexError, "Dimension out of range (expected to be in range of [-2, 1], but got 2)"),
    "c.sort()": (RuntimeError, " Sort does not support complex dtypes on CPU"),
    "x.topk(4)": (RuntimeError, "selected index k out of range"),
    "x.topk(-1)": (RuntimeError, "selected index k out of range"),
    "(x > 0).topk(1)": (RuntimeError, "topk does not support bool dtypes on CPU"),
    "x.kthvalue(4)": (RuntimeError, "kthvalue(): selected number k out of range for dimension 1"),
    "x.kthvalue(0, 0)": (RuntimeError, "kthvalue(): selected number k out of range for dimension 0"),
    "t.unique(x, dim=2)": (IndexError, "Dimension out of range (expected to be in range of [-2, 1], but got 2)"),
    "t.unique(x[:, :0], dim=0)": (RuntimeError, "There are 0 sized dimensions, and they aren't selected, so unique cannot be applied"),
    "t.bincount(x[0])": (NotImplementedError, "\"bincount_cpu\" not implemented for 'Float'"),
    "t.bincount(t.tensor([-1]))": (RuntimeError, "bincount only supports 1-d non-negative integral inputs."),
    "t.bincount(t.tensor([[1]]))": (RuntimeError, "bincount only supports 1-d non-negative integral inputs."),
    "t.bincount(t.tensor([1]), t.ones(2))": (RuntimeError, "weights should be 1-d and have the same length as input"),
    "t.bincount(t.tensor([1]), minlength=-1)": (RuntimeError, "minlength should be >= 0"),
    "t.searchsorted(x, t.ones(3))": (RuntimeError, "torch.searchsorted(): boundaries tensor should be 1 dimension or the first N-1 dimensions of boundaries tensor and input value tensor must match, but we got boundaries tensor [2, 3] and input value tensor [3]"),
    "t.searchsorted(x[0], x, right=True, side='left')": (RuntimeError, "torch.searchsorted(): side and right can't be set to opposites, got side of left while right was True"),
    "t.searchsorted(x[0], x, side='foo')": (RuntimeError, "torch.searchsorted(): side can only be 'left' or 'right' but got foo"),
    "t.searchsorted(x[0, 0], x)": (RuntimeError, "torch.searchsorted(): boundaries tensor should have positive dimension, but got 0 dimension"),
    "t.searchsorted(x, 3.)": (RuntimeError, "torch.searchsorted(): input value can be a scalar only when boundaries tensor dimension is 1, but we got boundaries tensor dim(2) and input value's dim(0) numel(1)"),
    "t.bucketize(x, x)": (RuntimeError, "boundaries tensor must be 1 dimension, but got dim(2)"),
    "t.histc(x, 0)": (RuntimeError, "torch.histogram(): bins must be > 0, but got 0 for dimension 0"),
    "t.histc(x, 3, 3, 1)": (RuntimeError, "torch.histc: max must be larger than min"),
    "t.histc(t.tensor([1]), 3)": (NotImplementedError, "\"histogram_cpu\" not implemented for 'Long'"),
    "t.histc(x, 3, max=float('inf'))": (RuntimeError, "torch.histc: range of [0, inf] is not finite"),
    "t.sort([1, 2])": (TypeError, "sort(): argument 'input' (position 1) must be Tensor, not list"),
}  # fmt: skip


@pytest.mark.parametrize("text", ERRORS)
def test_errors_are_torchs(text):
    torch = pytest.importorskip("torch")
    kind, message = ERRORS[text]
    for t in (ag, torch):
        with pytest.raises(kind) as caught:
            eval(text, {"x": t.ones(2, 3), "c": t.tensor([1j]), "t": t})
        assert str(caught.value).split("\n")[0] == message
