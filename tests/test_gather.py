"""Elements picked and put by index tensors and masks: what PyTorch gives, derivatives and errors included."""

import re

import numpy as np
import pytest
from against_torch import agree, fits_difference_quotient, on_gpu
from support import host, ours

import autograd_gpu as ag
from autograd_gpu.autograd import grad

# What is run on x of shape (3, 4) and v of the same shape, with i = [2, 0, 2], j an index of shape (3, 2) and
# m a mask of shape (3, 4).
SMOOTH = """
x.gather(1, j)
t.gather(x, 0, j)
x.gather(-1, j[:1])
x.gather(1, j.int())
x.gather(1, j[:, :0])
t.take_along_dim(x, j, 1)
t.take_along_dim(x, j[:1], dim=1)
t.take_along_dim(x, j)
x.scatter(1, j[:, :1], v[:, :1])
t.scatter(x, 0, u, v)
x.scatter(1, j, 5.0)
x.scatter(dim=1, index=j, value=-2)
x.scatter(1, j[:0], v[:0, :2])
x.scatter_add(1, j, v[:, :2])
x.scatter_add(0, j, v[:, 1:3])
x.scatter_add(1, j[:, :0], v[:, :0])
x.index_select(0, i)
x.index_select(1, i)
x.index_select(-1, t.tensor(1).to(i.device))
x.index_select(0, i.int())
x.index_add(0, i, v)
x.index_add(1, i, v[:, :3])
t.index_add(x, 0, i, v, alpha=-2)
x.index_add(0, t.tensor(1).to(i.device), v[:1])
x.index_copy(0, i[:2], v[:2])
x.index_copy(1, i[:2], v[:, :2])
x.index_fill(0, i, 3.0)
x.index_fill(1, i, v[0, 0])
x.index_put((i,), v)
x.index_put((i, i), v[0, 0])
x.index_put([i[:2], i[:2]], v[0, :2])
x.index_put((i,), v, accumulate=True)
x.index_put((i, i), v[0, :3], True)
x.index_put((m,), v[0, 0])
x.index_put((m[:, 0], i[:2]), v[0, :2])
x.take(j)
x.take(-1 - j)
t.take(x, i)
x.put(i[:2], v[0, :2])
x.put(i, v[0, :3], accumulate=True)
x.masked_fill(m, 2.0)
x.masked_fill(m[0], 2)
x[0].masked_fill(m, 2.0)
x.masked_fill(m, v[0, 0])
x.masked_select(m)
x.masked_select(m[0])
x[0].masked_select(m)
x.masked_select(~m & m)
x.masked_scatter(m, v)
x.masked_scatter(m[0], v)
t.nn.functional.embedding(j, x)
t.nn.functional.embedding(j, x, padding_idx=2)
t.nn.functional.embedding(j, x, -3)
t.nn.functional.embedding(i[0], x)
t.nn.functional.embedding(i, x, scale_grad_by_freq=True)
x.select(1, 2)
x.select(-2, -1)
t.narrow(x, 1, 1, 2)
x.narrow(0, -2, 2)
t.fill(x, 3.0)
t.fill(x, v[0, 0])
""".strip().splitlines()
PLAIN = """
t.nonzero(m)
m.nonzero(as_tuple=True)
t.argwhere(m)
t.where(m)
t.nonzero(i)
t.nonzero(i[0])
t.nonzero(i[1])
i[0].nonzero(as_tuple=True)
t.nn.functional.one_hot(i)
t.nn.functional.one_hot(j, 7)
t.nn.functional.one_hot(i[0], num_classes=3)
t.nn.functional.one_hot(i[:0], 3)
""".strip().splitlines()
SECOND_NODES = ("take_along_dim", "scatter_add", "masked", "index_put((m", "fill(x", "put(", "scatter(")


def run(text, device="cpu"):
    """``text`` as a function of a torch module and the tensors x and v."""

    def function(t, x, v):
        def index(values, dtype=np.int64):
            array = np.array(values, dtype)
            return ours(array, device) if t is ag else t.tensor(array)

        given = {
            "t": t, "x": x, "v": v, "i": index([2, 0, 2]), "j": index([[2, 0], [1, 1], [0, 2]]),
            "u": index([[0, 1, 2, 0], [1, 2, 0, 1], [2, 0, 1, 2]]),
            "m": index([[1, 0, 0, 1], [0, 0, 0, 0], [0, 1, 1, 1]], bool),
        }  # fmt: skip
        return eval(text, given)

    return function


def values(rng, dtype="float64", shape=(3, 4)):
    numbers = rng.normal(size=shape)
    if dtype.startswith("complex"):
        numbers = numbers + 1j * rng.normal(size=shape)
    if dtype.startswith(("int", "uint", "bool")):
        numbers = rng.integers(0, 2 if dtype == "bool" else 50, shape)
    return np.asarray(numbers).astype(getattr(ag, dtype).numpy)


def same_nodes(text):
    return not any(word in text for word in SECOND_NODES)


@pytest.mark.parametrize("text", SMOOTH + PLAIN)
def test_agrees_with_torch(text, rng):
    agree(run(text), values(rng), values(rng), rng=rng, same_nodes=same_nodes(text))


@pytest.mark.parametrize("text", SMOOTH[::2])
def test_strided_operands_agree_with_torch(text, rng):
    wide = rng.normal(size=(2, 8, 6))
    agree(run(text), wide[0, ::2, ::2].T, wide[1, ::2, ::2].T, rng=rng, second=False, same_nodes=False)


@pytest.mark.parametrize(
    "text", [text for text in SMOOTH if "by_freq" not in text and "padding" not in text and "-3" not in text]
)
def test_gradients_are_difference_quotients(text, rng):
    if text == "t.fill(x, 3.0)":
        return
    if "index_put((i" in text and "rue" not in text:
        return  # where an index comes twice, one value is lost
    needs_v = re.search(r"\bv\b", text) and ":0" not in text
    operands = (values(rng), values(rng)) if needs_v else (values(rng),)
    fits_difference_quotient(lambda t, x, v=None: run(text)(t, x, x.detach() if v is None else v), *operands, rng=rng)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "complex64", "complex128"])
@pytest.mark.parametrize("text", SMOOTH)
def test_other_dtypes_agree_with_torch(text, dtype, rng):
    if "embedding" in text and (dtype.startswith("complex") or "by_freq" in text):
        return  # torch cannot
    agree(run(text), values(rng, dtype), values(rng, dtype), rng=rng, scale=4, second=False, same_nodes=False)


@pytest.mark.parametrize("dtype", ["bool", "uint8", "int8", "int32", "int64"])
@pytest.mark.parametrize("text", [t for t in SMOOTH if "alpha" not in t and "embedding" not in t])
def test_bools_and_integers_agree_with_torch(text, dtype, rng):
    if dtype == "bool" and ("add" in text or "accumulate" in text or "True)" in text):
        return
    agree(run(text), values(rng, dtype), values(rng, dtype), rng=rng)


@on_gpu
@pytest.mark.parametrize("text", [text for text in SMOOTH + PLAIN if text != "x.index_put((i,), v)"])  # either wins
def test_a_gpu_agrees_with_torch(text, rng):
    x, v = values(rng, "float32"), values(rng, "float32")
    agree(run(text, "cuda"), x, v, rng=rng, device="cuda", scale=2, second=text in SMOOTH[::6], same_nodes=False)


@on_gpu
@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "complex64", "int8", "int64"])
@pytest.mark.parametrize(
    "text", ["x.gather(1, j)", "x.scatter_add(1, j, v[:, :2])", "x.index_add(0, i, v)", "x.scatter(1, j, 5)"]
)
def test_other_dtypes_on_a_gpu_agree_with_torch(text, dtype, rng):
    agree(run(text, "cuda"), values(rng, dtype), values(rng, dtype), rng=rng, device="cuda", scale=3, second=False)


@pytest.mark.parametrize("text", [
    "x.gather(0, t.tensor(0))", "x.gather(0, t.tensor([0]))", "x.scatter(0, t.tensor(0), v)", "x.scatter_add(0, t.tensor([0]), v)",
    "x.index_select(0, t.tensor([0]))", "x.index_add(0, t.tensor([0]), v)", "x.index_fill(0, t.tensor([0]), 2)",
    "x.index_copy(0, t.tensor([0]), v)", "x.masked_fill(t.tensor(True), 2)", "x.masked_select(t.tensor(True))", "x.take(t.tensor([0, 0]))",
    "x.masked_select(t.tensor([True, False]))", "x.take(t.tensor(0))",
])  # fmt: skip
def test_0d_tensors_agree_with_torch(text, rng):
    agree(lambda t, x, v: eval(text), values(rng, shape=()), values(rng, shape=()), rng=rng, same_nodes=False)


@pytest.mark.parametrize("text", [
    "x.gather(1, t.zeros(0, 2, dtype=t.int64))", "x.index_select(0, t.zeros(0, dtype=t.int64))", "x.index_add(0, t.zeros(0, dtype=t.int64), v)",
    "x.masked_fill(x > 0, 1)", "x.masked_select(x > 0)", "x.take(t.zeros(0, dtype=t.int64))",
    "t.nn.functional.embedding(t.zeros(0, 2, dtype=t.int64), x)", "x.scatter(0, t.zeros(0, 2, dtype=t.int64), v)",
])  # fmt: skip
def test_empty_tensors_agree_with_torch(text, rng):
    agree(lambda t, x, v: eval(text), np.zeros((0, 2)), np.zeros((0, 2)), rng=rng, same_nodes=False)


@pytest.mark.parametrize("text", [
    "masked_fill_(m, 2)", "masked_fill_(m, v[0, 0])", "masked_scatter_(m, v)", "scatter_(1, j, 2.0)", "scatter_add_(1, j, v[:, :2])",
    "index_add_(0, i, v)", "index_copy_(0, i[:2], v[:2])", "index_fill_(0, i, 2)", "index_put_((i,), v[0])", "put_(i[:2], v[0, :2])",
    "scatter_(1, j[:, :1], v[:, :1])",
])  # fmt: skip
@pytest.mark.parametrize("target", ["y", "y.t().t()"])
def test_in_place_forms_agree_with_torch(text, target, rng):
    def function(t, x, v):
        y = x * 1
        seen = eval(f"{target}", {"y": y})
        assert run(f"x.{text}")(t, seen, v) is seen
        assert seen._version == y._version == 1
        return y

    agree(function, values(rng), values(rng), rng=rng, same_nodes=target == "y" and "masked_scatter" not in text)


def test_an_index_that_comes_twice_counts_twice(device):
    x = ours(np.ones((2, 2), np.float32), device, requires_grad=True)
    index = ours(np.array([[0, 0, 0], [1, 1, 0]]), device)
    x.gather(1, index).sum().backward()
    assert host(x.grad).tolist() == [[3, 0], [1, 2]]


def test_a_source_may_be_larger_than_its_index(device):
    """torch computes the same, but its gradients have the shape of the index, and are refused."""
    x, v = (ours(np.ones((2, 3), np.float32), device, requires_grad=True) for _ in range(2))
    index = ours(np.array([[2, 0]]), device)
    (x.scatter(1, index, v * 5) + x.scatter_add(1, index, v)).sum().backward()
    assert host(x.grad).tolist() == [[1, 2, 1], [2, 2, 2]]
    assert host(v.grad).tolist() == [[6, 6, 0], [0, 0, 0]]


def test_a_changed_index_is_noticed():
    x, index = ag.ones(3, requires_grad=True), ag.tensor([0, 1])
    y = x.gather(0, index)
    index[0] = 2
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        y.sum().backward()


def test_operands_are_not_kept_without_need():
    x, index = ag.ones(3, requires_grad=True), ag.tensor([0, 1])
    y = x.gather(0, index)
    assert [saved is None for saved in y.grad_fn.saved] == [True, False, True]
    assert len(y.grad_fn.next_functions) == 1


def test_large_sums_of_16_bit_floats_are_rounded_once(device):
    x = ours(np.zeros(1, np.float16), device, requires_grad=True)
    index = ours(np.zeros(5000, np.int64), device)
    (slope,) = grad(x[index], x, ours(np.ones(5000, np.float16), device))
    assert host(slope).tolist() == [5000.0]


ERRORS = {
    "x.gather(1, t.tensor([[0, 4]]))": (RuntimeError, "index 4 is out of bounds for dimension 1 with size 4"),
    "x.gather(1, t.tensor([[0, -1]]))": (RuntimeError, "index -1 is out of bounds for dimension 1 with size 4"),
    "x.gather(1, t.tensor([0]))": (RuntimeError, "Index tensor must have the same number of dimensions as input tensor"),
    "x.gather(1, t.tensor([[0]] * 5))": (RuntimeError, "Size does not match at dimension 0 expected index [5, 1] to be no larger than self [3, 4] apart from dimension 1"),
    "x.gather(1, t.tensor([[0.]]))": (RuntimeError, "gather(): Expected dtype int32/int64 for index"),
    "x.gather(2, t.tensor([[0]]))": (IndexError, "Dimension out of range (expected to be in range of [-2, 1], but got 2)"),
    "x.scatter(1, t.tensor([[0]] * 5), 1.)": (RuntimeError, "Expected index [5, 1] to be no larger than self [3, 4] apart from dimension 1"),
    "x.scatter(1, t.tensor([[0, 0]]), t.ones(3, 1))": (RuntimeError, "Expected index [1, 2] to be no larger than self [3, 4] apart from dimension 1 and to be no larger size than src [3, 1]"),
    "x.scatter(1, t.tensor([[4]]), 1.)": (RuntimeError, "index 4 is out of bounds for dimension 1 with size 4"),
    "x.scatter(1, t.tensor([0]), 1.)": (RuntimeError, "Index tensor must have the same number of dimensions as self tensor"),
    "x.scatter(1, t.tensor([[0]]), t.ones(3, 1).double())": (RuntimeError, "scatter(): Expected self.dtype to be equal to src.dtype"),
    "x.scatter(1, t.tensor([[0.]]), 1.)": (RuntimeError, "scatter(): Expected dtype int32/int64 for index"),
    "x.scatter_add(1, t.tensor([[0, 0]]), t.ones(1, 1))": (RuntimeError, "Expected index [1, 2] to be no larger than self [3, 4] apart from dimension 1 and to be no larger size than src [1, 1]"),
    "t.take_along_dim(x, t.tensor([0]), 1)": (RuntimeError, "torch.take_along_dim(): input and indices should have the same number of dimensions, but got 2 dimensions for input, and 1 dimensions for indices"),
    "t.take_along_dim(x, t.tensor([[0.]]), 1)": (RuntimeError, "torch.take_along_dim(): dtype of indices should be Long but got Float"),
    "x.index_select(1, t.tensor([4]))": (RuntimeError, "INDICES element is out of DATA bounds, id=4 axis_dim=4"),
    "x.index_select(1, t.tensor([0.]))": (RuntimeError, "index_select(): Expected dtype int32 or int64 for index"),
    "x.index_select(1, t.tensor([[0]]))": (IndexError, "index_select(): Index is supposed to be a vector"),
    "x.index_add(1, t.tensor([0, 0]), t.ones(3, 3))": (RuntimeError, "index_add_(): Number of indices (2) should be equal to source.size(dim): (3), for dim: 1"),
    "x.index_add(1, t.tensor([0, 0]), t.ones(2, 2))": (RuntimeError, "source tensor shape must match self tensor shape, excluding the specified dimension. Got self.shape = [3, 4] source.shape = [2, 2]"),
    "x.index_add(1, t.tensor([0, 5]), t.ones(3, 2))": (RuntimeError, "index 5 is out of bounds for dimension 1 with size 4"),
    "x.index_add(1, t.tensor([0., 1]), t.ones(3, 2))": (RuntimeError, "index_add_(): Expected dtype int32/int64 for index but got: Float"),
    "x.index_add(1, t.tensor([0, 1]), t.ones(3, 2).double())": (RuntimeError, "index_add_(): self (Float) and source (Double) must have the same scalar type"),
    "x.index_add(1, t.tensor([[0, 1]]), t.ones(3, 2))": (IndexError, "index_add_(): Index is supposed to be a vector, but got dim: 2 with type: Long and size: [1, 2]"),
    "x.index_add(1, t.tensor([0, 1]), t.ones(3))": (RuntimeError, "index_add_(): Indexing dim 1 is out of bounds of the source tensor with dim 1"),
    "x.index_copy(1, t.tensor([0]), t.ones(3, 2))": (IndexError, "index_copy_(): Number of indices (1) should be equal to source.size(dim) (2)"),
    "x.index_copy(1, t.tensor([0]), t.ones(2, 1))": (RuntimeError, "index_copy_(): Source/destination tensor must have same slice shapes. Destination slice shape: 3 at dimension 1 and source slice shape: 2 at dimension 0."),
    "x.index_copy(1, t.tensor([5]), t.ones(3, 1))": (IndexError, "index_copy_(): index 5 is out of bounds for dimension 1 with size 4"),
    "x.index_copy(1, t.tensor([0.]), t.ones(3, 1))": (RuntimeError, "index_copy_(): Expected a long tensor for index, but got Float"),
    "x.index_copy(1, t.tensor([0]), t.ones(3, 1).double())": (RuntimeError, "index_copy_(): self and source expected to have the same dtype, but got (self) Float and (source) Double"),
    "x.index_fill(1, t.tensor([4]), 5.)": (IndexError, "index 4 is out of bounds for dimension 1 with size 4"),
    "x.index_fill(1, t.tensor([0.]), 5.)": (IndexError, "index_fill_(): Expected dtype int64 for index."),
    "x.index_fill(1, t.tensor([[0]]), 5.)": (RuntimeError, "Index has to be a vector/scalar"),
    "x.index_fill(1, t.tensor([0]), t.ones(1))": (RuntimeError, "index_fill_ only supports a 0-dimensional value tensor, but got tensor with 1 dimension(s)."),
    "t.index_put(x, t.tensor([0]), t.ones(1))": (TypeError, "index_put(): argument 'indices' (position 2) must be tuple of Tensors, not Tensor"),
    "x.index_put((t.tensor([0]),) * 3, t.ones(1))": (IndexError, "too many indices for tensor of dimension 2 (got 3)"),
    "x.take(t.tensor([12]))": (IndexError, "out of range: tried to access index 12 on a tensor of 12 elements."),
    "x.take(t.tensor([0.]))": (RuntimeError, "take(): Expected a long tensor for index, but got Float"),
    "x.masked_fill(t.ones(3, 4), 1.)": (RuntimeError, "masked_fill_ only supports boolean masks, but got mask with dtype float"),
    "x.masked_fill(t.ones(3, 5) > 0, 1.)": (RuntimeError, "The size of tensor a (5) must match the size of tensor b (4) at non-singleton dimension 1"),
    "x.masked_fill(x > 0, t.ones(1))": (RuntimeError, "masked_fill_ only supports a 0-dimensional value tensor, but got tensor with 1 dimension(s)."),
    "x.masked_fill_(t.ones(2, 3, 4) > 0, 1)": (RuntimeError, "output with shape [3, 4] doesn't match the broadcast shape [2, 3, 4]"),
    "x.half().masked_fill(x > 0, -1e9)": (RuntimeError, "value cannot be converted to type c10::Half without overflow"),
    "x.masked_select(t.ones(4))": (RuntimeError, "masked_select: expected BoolTensor for mask"),
    "x.masked_scatter(x == 0, t.ones(5))": (RuntimeError, "Number of elements of source < number of ones in mask"),
    "t.nn.functional.embedding(t.tensor([3]), x)": (IndexError, "index out of range in self"),
    "t.nn.functional.embedding(t.tensor([-1]), x)": (IndexError, "index out of range in self"),
    "t.nn.functional.embedding(t.tensor([0.]), x)": (RuntimeError, "Expected tensor for argument #1 'indices' to have one of the following scalar types: Long, Int; but got torch.FloatTensor instead (while checking arguments for embedding)"),
    "t.nn.functional.embedding(t.tensor([0]), x[0])": (RuntimeError, "'weight' must be 2-D"),
    "t.nn.functional.embedding(t.tensor([0]), x, padding_idx=5)": (AssertionError, "Padding_idx must be within num_embeddings"),
    "t.nn.functional.one_hot(t.tensor([0, 2]), 2)": (RuntimeError, "Class values must be smaller than num_classes."),
    "t.nn.functional.one_hot(t.tensor([-1, 2]))": (RuntimeError, "Class values must be non-negative."),
    "t.nn.functional.one_hot(t.tensor([1.]))": (RuntimeError, "one_hot is only applicable to index tensor of type LongTensor."),
    "t.nn.functional.one_hot(t.zeros(0, dtype=t.int64))": (RuntimeError, "Can not infer total number of classes from empty tensor."),
}  # fmt: skip


@pytest.mark.parametrize("text", ERRORS)
def test_errors_are_torchs(text):
    torch = pytest.importorskip("torch")
    kind, message = ERRORS[text]
    for t in (ag, torch):
        x = t.zeros(3, 4)
        with pytest.raises(kind) as caught:
            eval(text, {"x": x, "t": t})
        assert str(caught.value).split("\nException")[0] == message


@pytest.mark.parametrize("option", [{"max_norm": 1.0}, {"sparse": True}])
def test_what_embedding_has_not_is_said(option):
    with pytest.raises(AttributeError, match="has no max_norm= and no sparse="):
        ag.nn.functional.embedding(ag.tensor([0]), ag.ones(2, 2), **option)
