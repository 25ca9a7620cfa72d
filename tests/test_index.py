"""Indexing and assignment: what PyTorch gives, over keys, layouts, dtypes and devices, derivatives included."""

import numpy as np
import pytest
from against_torch import agree, fits_difference_quotient, names, on_gpu
from support import host, ours, theirs

import autograd_gpu as ag
from autograd_gpu.autograd import grad

INT = "t.tensor([2, 0, 2])"
MASK = "t.tensor([True, False, True])"
# Keys of a tensor of shape (3, 4, 5); of those up to "...:" one step here is one step in torch.
SINGLE_STEPS = (
    """
0
-1
None
...
()
:
1:
::2
-9:9
5:
2:1
:, 1
..., 0
..., -1:
:, None
..., None
:, :
:, 1:3
:, 0:4
t.tensor(1)
t.tensor(1):t.tensor(2)
[0, 2]
[True, False, True]
range(2)
[[0, 1], [1, 2]], [[0, 1], [1, 2]]
(0, 2), (1, 2)
[]
""".strip().splitlines()
    + [
        key.replace("I", INT).replace("M", MASK)
        for key in """
I
:, I
..., I
I, I
:, I, I
I, :, I
I.reshape(3, 1), I
:, I.reshape(3, 1), I
I.reshape(1, 3)
I.int()
-1 - I
M
:, t.tensor([True, False, False, True])
M, I[:2]
M, t.tensor([True, False, False, True])
x.detach() > 0
(x.detach() > 0).any(2)
:, (x.detach() > 0).any(0)
x.detach() > 9
I[:0]
t.ones(0, 3, dtype=t.int64)
t.zeros(3, dtype=t.bool)
""".strip().splitlines()
    ]
)
MANY_STEPS = (
    """
0, 1
0, 1, 2
1:, 0
0, 1:2
0, ..., 1
0, None, 0
:, 0:3, None
1, :, ::2
0, None, 1:, ..., None
:, None, 0
True
False
0, True
True, None, False
t.tensor(True)
0, :, I
I, :, 0
0, I
:, 0, I
1:, I
::2, I[:2]
None, I
:, I, None, I
0, I, I
0, t.tensor([True, False, False, True])
1:, :, t.tensor([True, False, False, True, True])
..., 0, I
M, 0
I, None
x.detach()[..., 0] > 0, True
t.tensor(1), I
True, I
""".strip()
    .replace("I", INT)
    .replace("M", MASK)
    .splitlines()
)
KEYS = SINGLE_STEPS + MANY_STEPS


def reading(key):
    return eval(f"lambda t, x: x[{key}]")


def values(rng, shape=(3, 4, 5), dtype="float64"):
    numbers = rng.normal(size=shape)
    if dtype.startswith("complex"):
        numbers = numbers + 1j * rng.normal(size=shape)
    if dtype.startswith(("int", "uint", "bool")):
        numbers = rng.integers(0, 2 if dtype == "bool" else 100, shape)
    return np.asarray(numbers).astype(getattr(ag, dtype).numpy)


def layouts(rng):
    """Arrays of shape (3, 4, 5) that lie in memory in different ways."""
    numbers = rng.normal(size=480)
    yield numbers[:60].reshape(3, 4, 5)
    yield numbers[:60].reshape(5, 4, 3).T
    yield numbers.reshape(6, 8, 10)[::2, ::2, ::2]
    yield numbers[7:67].reshape(4, 3, 5).swapaxes(0, 1)


@pytest.mark.parametrize("key", KEYS)
def test_all_layouts_agree_with_torch(key, rng):
    for array in layouts(rng):
        agree(reading(key), array, rng=rng, same_nodes=key in SINGLE_STEPS)


@pytest.mark.parametrize("key", MANY_STEPS)
def test_the_node_of_several_steps_is_torchs_last(key, rng):
    torch = pytest.importorskip("torch")
    array = values(rng)
    mine, known = (
        reading(key)(ag, ours(array, requires_grad=True)),
        reading(key)(torch, theirs(array, requires_grad=True)),
    )
    assert names(mine)[0] == names(known)[0]


@pytest.mark.parametrize(
    "dtype", ["bool", "uint8", "int64", "float16", "bfloat16", "float32", "complex64", "complex128"]
)
@pytest.mark.parametrize("key", KEYS[::3])
def test_other_dtypes_agree_with_torch(key, dtype, rng):
    key = key.replace("x.detach()", "x.detach().real.float()")
    agree(reading(key), values(rng, dtype=dtype), rng=rng, scale=2, second=False, same_nodes=False)


@pytest.mark.parametrize("key", [INT, f"{INT}, :, {INT}", f"1, {INT}", "1:, ::2, 0", "[0, 0, 0], [1, 1, 1]"])
def test_gradients_are_difference_quotients(key, rng):
    fits_difference_quotient(reading(key), values(rng), rng=rng)


@on_gpu
@pytest.mark.parametrize("key", KEYS[::2])
def test_a_gpu_agrees_with_torch(key, rng):
    key = key.replace("x.detach()", "x.detach().abs().sub(0.5)")
    agree(reading(key), values(rng, dtype="float32"), rng=rng, device="cuda", scale=2, second=False, same_nodes=False)


@on_gpu
@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "complex64", "float64"])
def test_elements_that_are_named_twice_add_up_on_a_gpu(dtype, rng):
    agree(reading(INT), values(rng, dtype=dtype), rng=rng, device="cuda", scale=2, second=False)
    agree(reading(f"{INT}, :, {INT}"), values(rng, dtype=dtype), rng=rng, device="cuda", scale=2, second=False)


@pytest.mark.parametrize("key", [key for key in KEYS if not set(key) & set("tTF[(")])
def test_basic_keys_make_views(key, rng):
    x = ours(values(rng))
    y = reading(key)(ag, x)
    assert not host(y).size or np.shares_memory(y.array, x.array)
    assert y._version == x._version == 0
    y.zero_()
    assert y._version == x._version == 1


def test_arrays_are_keys_of_either_kind(rng):
    x = values(rng, (4,))
    tensor = ours(x)
    for key in (
        np.array([1, 3]),
        np.array([True, False, True, False]),
        np.int64(2),
        np.array(2),
        np.array([1, 2], np.int32),
    ):
        np.testing.assert_array_equal(host(tensor[key]), x[key])


def test_iteration_and_in_go_by_indexing():
    x = ag.tensor([[1.0, 2.0], [3.0, 4.0]], requires_grad=True)
    assert [row.tolist() for row in x] == [[1.0, 2.0], [3.0, 4.0]]
    assert 3 in x


# --- assignment ------------------------------------------------------------------------------------

# key, and the key by which v, of the shape of x, gets the shape of what key names
TARGETS = {
    "0": "0", "...": "...", ":": ":", "1:": "1:", "0, 1": "0, 1", "0, 1, 2": "0, 1, 2", "None": "None", ":, None": ":, None",
    "..., ::2": "..., ::2", INT[:-6] + "])": "[2]", f"{INT}[1:]": "[0, 2]", f":, {INT}[1:]": ":, [0, 2]", MASK: "[0, 2]",
    f"0, {INT}[1:]": "0, [0, 2]", f"1:, {INT}[1:]": "1:, [0, 2]", "x.detach() > 0": "x.detach() > 0",
    ":, [True, False, False, True]": ":, [0, 3]", f"{MASK}, 1": "[0, 2], 1", "t.tensor(1)": "1", "[0, 1], [2, 3]": "[0, 1], [2, 3]",
    "True": "True", "t.tensor(True), 0": "True, 0",
}  # fmt: skip


def writing(key, value):
    """A function of x and v that assigns to a part of a tensor made of x, and returns this tensor."""

    def function(t, x, v):
        y = x * 1
        y[eval(f"_[{key}]", {"t": t, "x": x, "_": KEY})] = eval(value, {"t": t, "x": x, "v": v})
        return y

    return function


class _Key:
    def __getitem__(self, key):
        return key


KEY = _Key()


@pytest.mark.parametrize("key", TARGETS)
@pytest.mark.parametrize(
    "value",
    ["5.0", "-3", "t.tensor(7.0, dtype=t.float64)", "v[_]", "v[_][..., :1]", "v[_][:1]", "v[_][None]", "v[0, 0, 0]"],
)
def test_assignment_agrees_with_torch(key, value, rng):
    if key == "0, 1, 2" and (":" in value):
        return
    if key == "x.detach() > 0" and "..., " in value:
        return
    value = value.replace("_", TARGETS[key])
    agree(writing(key, value), values(rng), values(rng), rng=rng, same_nodes=False)


@on_gpu
@pytest.mark.parametrize("key", list(TARGETS)[::2])
@pytest.mark.parametrize("value", ["5.0", "v[_]", "v[0, 0, 0]"])
def test_assignment_on_a_gpu_agrees_with_torch(key, value, rng):
    value = value.replace("_", TARGETS[key])
    agree(
        writing(key, value),
        values(rng, dtype="float32"),
        values(rng, dtype="float32"),
        rng=rng,
        device="cuda",
        second=False,
        same_nodes=False,
    )


@pytest.mark.parametrize("dtype", ["bool", "uint8", "int64", "float16", "bfloat16", "float32", "complex64"])
@pytest.mark.parametrize("key", TARGETS)
def test_assignment_without_history_agrees_with_torch(key, dtype, rng):
    if dtype == "bool" and "x." in key:
        return
    key = key.replace("x.detach()", "x.detach().real")
    for value in (
        "1",
        "v[0, 0, 0]",
        f"v[{TARGETS[key.replace('.real', '')]}]".replace("x.detach()", "x.detach().real"),
    ):

        def function(t, x, v, value=value):
            y = x.detach().clone()
            y[eval(f"_[{key}]", {"t": t, "x": x, "_": KEY})] = eval(value, {"t": t, "x": x, "v": v.detach()})
            return y

        agree(function, values(rng, dtype=dtype), values(rng, dtype=dtype), rng=rng)


@pytest.mark.parametrize(("key", "value", "nodes"), [
    ("0", "v[0]", ["CopySlices", "MulBackward0"]),
    ("0", "5.0", ["CopySlices", "MulBackward0"]),
    (":", "v", ["CopyBackwards", "MulBackward0"]),
    ("...", "5.0", ["FillBackward3", "MulBackward0"]),
    (INT, "5.0", ["IndexPutBackward0", "MulBackward0"]),
    (MASK, "5.0", ["IndexPutBackward0", "MulBackward0"]),
    (MASK, "v[:2]", ["IndexPutBackward0", "MulBackward0"]),
    (f"0, {INT}", "5.0", ["CopySlices", "MulBackward0"]),
])  # fmt: skip
def test_assignment_makes_the_nodes_that_torch_makes(key, value, nodes, rng):
    torch = pytest.importorskip("torch")
    x, v = values(rng), values(rng)
    mine = writing(key, value)(ag, ours(x, requires_grad=True), ours(v, requires_grad=True))
    known = writing(key, value)(torch, theirs(x, requires_grad=True), theirs(v, requires_grad=True))
    assert names(mine) == names(known) == nodes


def test_a_slice_copy_leads_to_the_base_and_to_the_value():
    x, v = ag.ones(2, 3, requires_grad=True), ag.ones(3, requires_grad=True)
    y = x * 1
    before = y.grad_fn
    y[0] = v
    (base, _), (written, _) = y.grad_fn.next_functions
    assert written is not None
    assert base is before
    assert y._version == 1
    first, second = grad(y.sum(), (x, v))
    assert first.tolist() == [[0.0] * 3, [1.0] * 3]
    assert second.tolist() == [1.0] * 3


def test_writing_to_a_view_of_a_view_reaches_the_base(device):
    x, v = (ours(np.ones(s, np.float32), device, requires_grad=True) for s in ((2, 3), (2,)))
    y = x * 2
    view = y.t()
    view[1] = v
    view[2, 0] = 7
    assert host(y).tolist() == [[2, 1, 7], [2, 1, 2]]
    y.sum().backward()
    assert host(x.grad).tolist() == [[2, 0, 0], [2, 0, 2]]
    assert host(v.grad).tolist() == [1, 1]
    assert type(y.grad_fn).__name__ == "CopySlices"


def test_repeated_writes_keep_the_last_value(device):
    x, v, w = (ours(np.full(s, n, np.float32), device, requires_grad=True) for s, n in (((3,), 1), ((), 2), ((), 3)))
    y = x * 1
    for value in (v, w):
        y[1] = value
    (y * y).sum().backward()
    assert host(y).tolist() == [1, 3, 1]
    assert host(x.grad).tolist() == [2, 0, 2]
    assert (float(v.grad.item()), float(w.grad.item())) == (0.0, 6.0)


def test_augmented_assignment_is_read_and_written(device):
    x = ours(np.ones(4, np.float32), device, requires_grad=True)
    y = x * 1
    y[1:3] *= 3
    y[0] += y[1]
    y[ours(np.array([0, 3]), device)] += 10
    assert host(y).tolist() == [14, 3, 3, 11]
    y.sum().backward()
    assert host(x.grad).tolist() == [1, 6, 3, 1]


def test_a_constant_tensor_gets_a_history_by_a_recorded_value(device):
    y, v = ours(np.zeros((2, 2), np.float32), device), ours(np.ones(2, np.float32), device, requires_grad=True)
    y[0] = v
    assert y.requires_grad
    assert not y.is_leaf
    z = ours(np.zeros(3, np.float32), device)
    z[ours(np.array([0, 2]), device)] = v
    assert z.grad_fn.name() == "IndexPutBackward0"


def test_values_are_cast_and_arrays_are_taken(device):
    y = ours(np.zeros(3, np.int64), device)
    y[0] = 2.7
    y[1] = ours(np.array(3.9), device)
    y[2:] = np.array([5.5])
    assert host(y).tolist() == [2, 3, 5]
    z = ours(np.zeros(3), device, requires_grad=True) * 1
    v = ours(np.ones(2, np.float32), device, requires_grad=True)
    z[1:] = v
    z.sum().backward()
    assert v.grad.dtype is ag.float32


def test_a_write_makes_saved_arrays_stale():
    x = ag.tensor([1.0, 2.0], requires_grad=True)
    y = x * 1
    z = y.exp().sum() + (y * y).sum()
    y[0] = 5
    with pytest.raises(RuntimeError, match=r"modified by an inplace operation.*is at version 1; expected version 0"):
        z.backward()


def test_a_changed_index_is_noticed():
    x, index = ag.ones(3, requires_grad=True), ag.tensor([0, 1])
    y = x[index]
    index[0] = 2
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        y.sum().backward()


def test_nodes_tell_what_they_saved_and_where_they_lead():
    x, index = ag.ones(3, 3, requires_grad=True), ag.tensor([0, 1])
    node = x[:, index].grad_fn
    assert [saved.tolist() for saved in node._saved_indices] == [[0, 1]]
    assert len(node.next_functions) == 1
    node = x.gather(1, ag.tensor([[2]])).grad_fn
    assert node._saved_index.tolist() == [[2]]
    assert node._saved_dim == 1


def test_inference_tensors_are_written_to_in_inference_mode_alone():
    with ag.inference_mode():
        x = ag.zeros(3)
        x[0] = 1
        x[ag.tensor([1])] = 2
        x[1:].zero_()
    assert x.tolist() == [1.0, 0.0, 0.0]
    with pytest.raises(RuntimeError, match="Inplace update to inference tensor outside InferenceMode"):
        x[0] = 3
    assert x.tolist() == [1.0, 0.0, 0.0]


def test_a_changed_mask_does_not_matter():
    x, mask = ag.ones(3, requires_grad=True), ag.tensor([True, False, True])
    y = x[mask]
    mask[0] = False
    y.sum().backward()
    assert x.grad.tolist() == [1.0, 0.0, 1.0]


VIEW_OF_LEAF = "a view of a leaf Variable that requires grad is being used in an in-place operation."
LEAF = "a leaf Variable that requires grad is being used in an in-place operation."


@pytest.mark.parametrize(("statement", "message"), [
    ("x[0] = 1", VIEW_OF_LEAF), ("x[1:] = 1", VIEW_OF_LEAF), ("x[t.tensor([0])] = 1", LEAF),
    ("x[t.tensor([True, False])] = 1", LEAF), ("x[1:][t.tensor([0])] = 1", VIEW_OF_LEAF), ("x[:] = 1", LEAF), ("x[...] = 1", LEAF), ("x.fill_(1)", LEAF),
    ("x.zero_()", LEAF), ("x.copy_(x.detach())", LEAF), ("x[0].fill_(1)", VIEW_OF_LEAF),
    ("x.masked_fill_(x > 0, 1)", LEAF), ("x.index_add_(0, t.tensor([0]), t.ones(1))", LEAF),
])  # fmt: skip
def test_leaves_that_require_grad_are_not_written_to(statement, message):
    torch = pytest.importorskip("torch")
    for t in (ag, torch):
        x = t.ones(2, requires_grad=True)
        with pytest.raises(RuntimeError) as caught:
            exec(statement, {"x": x, "t": t})
        assert str(caught.value) == message
        assert x.tolist() == [1.0, 1.0]
        with t.no_grad():
            exec(statement, {"x": x, "t": t})
        assert x._version == 1


def test_outputs_of_several_views_are_not_written_to():
    x = ag.ones(2, 2, requires_grad=True) * 1
    first, _ = x.unbind(0)
    with pytest.raises(RuntimeError, match=r"Output 0 of Unbind(Backward0)? is a view and is being modified inplace"):
        first[0] = 1


def test_copy_fill_and_zero(device, rng):
    for statement, node in (
        ("y.copy_(v)", "CopyBackwards"), ("y.copy_(v[:1])", "CopyBackwards"), ("y.fill_(3)", "FillBackward2"),
        ("y.fill_(v[0, 0])", "FillBackward3"), ("y.zero_()", "ZeroBackward0"), ("y[0].copy_(v[0])", "CopySlices"),
        ("y[0].fill_(2)", "CopySlices"), ("y[0].zero_()", "CopySlices"), ("y.copy_(v.float())", "CopyBackwards"),
    ):  # fmt: skip

        def function(t, x, v, statement=statement):
            y = x * 1
            exec(statement, {"y": y, "v": v, "t": t})
            return y

        arrays = values(rng, (2, 3)), values(rng, (2, 3))
        agree(function, *arrays, rng=rng, device=device, same_nodes=False)
        made = function(ag, *(ours(a, device, requires_grad=True) for a in arrays))
        assert type(made.grad_fn).__name__ == node


def test_memory_is_written_to_directly_where_nothing_is_recorded(device):
    x = ours(np.zeros((2, 3), np.float32), device)
    memory = x.array
    x[0] = 1
    x[ours(np.array([1]), device), 0] = 2
    x[ours(np.array([[False, False, False], [False, True, False]]), device)] = 3
    x.t()[2].fill_(4)
    assert x.array is memory
    assert host(x).tolist() == [[1, 1, 4], [2, 3, 4]]
    assert x._version == 4
    assert not x.requires_grad


OVERLAP = (
    "unsupported operation: some elements of the input tensor and the written-to tensor refer to a single memory "
    "location. Please clone() the tensor before performing the operation."
)


@pytest.mark.parametrize("statement", ["x[1:] = x[:-1]", "x[1:].copy_(x[:-1])", "x.copy_(x.t())"])
def test_memory_that_overlaps_itself_is_not_copied(statement, device):
    torch = pytest.importorskip("torch")
    for x in (ours(np.arange(9.0).reshape(3, 3), device), torch.arange(9.0).reshape(3, 3)):
        before = host(x).copy()
        with pytest.raises(RuntimeError) as caught:
            exec(statement, {"x": x})
        assert str(caught.value) == OVERLAP
        np.testing.assert_array_equal(host(x), before)


def test_parts_of_the_same_memory_are_copied_to_each_other(device):
    x = ours(np.arange(9.0).reshape(3, 3), device)
    x[0] = x[2]
    x[:, 0] = x[:, 1]
    x[1:, :2] = x[:2, :2]
    x[[0, 1]] = x[[1, 0]]
    assert host(x).tolist() == [[7, 7, 5], [7, 7, 8], [4, 4, 8]]
    x.copy_(x)
    y = ours(np.arange(4.0), device, requires_grad=True) * 1
    y[::2] = y[1::2]
    y.sum().backward()
    assert host(y).tolist() == [1, 1, 3, 3]


def test_copy_crosses_devices():
    x = ag.zeros(3)
    assert x.copy_(ag.tensor([1, 2, 3])).tolist() == [1.0, 2.0, 3.0]


@on_gpu
def test_values_and_indices_come_from_the_cpu(rng):
    x = ours(np.zeros((3, 2), np.float32), "cuda", requires_grad=True) * 1
    v = ag.ones(2, requires_grad=True)
    x[0] = v
    x[ag.tensor([1, 2])] = v
    x.sum().backward()
    assert v.grad.device.type == "cpu"
    assert v.grad.tolist() == [3.0, 3.0]
    assert x[ag.tensor([True, False, False])].device.type == "cuda"
    with pytest.raises(RuntimeError, match="indices should be either on cpu or on the same device"):
        v[ours(np.array([0]), "cuda")]


# --- errors ----------------------------------------------------------------------------------------

ERRORS = {
    "x[5]": (IndexError, "index 5 is out of bounds for dimension 0 with size 3"),
    "x[-4]": (IndexError, "index -4 is out of bounds for dimension 0 with size 3"),
    "x[0, 7]": (IndexError, "index 7 is out of bounds for dimension 1 with size 4"),
    "x[t.tensor(5)]": (IndexError, "index 5 is out of bounds for dimension 0 with size 3"),
    "x[t.tensor([0, 3])]": (IndexError, "index 3 is out of bounds for dimension 0 with size 3"),
    "x[:, t.tensor([-5])]": (IndexError, "index -5 is out of bounds for dimension 0 with size 4"),
    "x[t.tensor([0]), :, t.tensor([9])]": (IndexError, "index 9 is out of bounds for dimension 1 with size 5"),
    "x.fill_(1e60)": (RuntimeError, "value cannot be converted to type float without overflow"),
    "x.half().fill_(1e9)": (RuntimeError, "value cannot be converted to type c10::Half without overflow"),
    "x.long().fill_(float('nan'))": (RuntimeError, "value cannot be converted to type int64_t without overflow"),
    "x.to(t.uint8).__setitem__(0, 300)": (RuntimeError, "value cannot be converted to type uint8_t without overflow"),
    "x[t.tensor([0]), t.tensor([4])]": (IndexError, "index 4 is out of bounds for dimension 1 with size 4"),
    "t.zeros(0, 3)[t.tensor([0])]": (IndexError, "index is out of bounds for dimension with size 0"),
    "x[0, 0, 0, 0]": (IndexError, "too many indices for tensor of dimension 3"),
    "x[:, :, :, :]": (IndexError, "too many indices for tensor of dimension 3"),
    "x[x > 0, 0]": (IndexError, "too many indices for tensor of dimension 3"),
    "s[0]": (IndexError, "invalid index of a 0-dim tensor. Use `tensor.item()` in Python or `tensor.item<T>()` in C++ to convert a 0-dim tensor to a number"),
    "s[:]": (IndexError, "slice() cannot be applied to a 0-dim tensor."),
    "s[0, 0]": (IndexError, "too many indices for tensor of dimension 0"),
    "s[t.tensor([0])]": (IndexError, "too many indices for tensor of dimension 0"),
    "x[::-1]": (ValueError, "step must be greater than zero"),
    "x[::0]": (ValueError, "slice step cannot be zero"),
    "x[1.0]": (IndexError, "only integers, slices (`:`), ellipsis (`...`), None and long or byte Variables are valid indices (got float)"),
    "x[{}]": (IndexError, "only integers, slices (`:`), ellipsis (`...`), None and long or byte Variables are valid indices (got dict)"),
    "x[1j]": (IndexError, "only integers, slices (`:`), ellipsis (`...`), None and long or byte Variables are valid indices (got complex)"),
    "x[0, 'a']": (TypeError, "new(): invalid data type 'str'"),
    "x[t.tensor([1.])]": (IndexError, "tensors used as indices must be long, int, byte or bool tensors"),
    "x[t.tensor(1.)]": (IndexError, "tensors used as indices must be long, int, byte or bool tensors"),
    "x[t.tensor([1], dtype=t.int16)]": (IndexError, "tensors used as indices must be long, int, byte or bool tensors"),
    "x[t.tensor([True, False])]": (IndexError, "The shape of the mask [2] at index 0 does not match the shape of the indexed tensor [3, 4, 5] at index 0"),
    "x[:, t.tensor([True, False])]": (IndexError, "The shape of the mask [2] at index 0 does not match the shape of the indexed tensor [3, 4, 5] at index 1"),
    "x[t.tensor([0, 1]), t.tensor([0, 1, 2])]": (IndexError, "shape mismatch: indexing tensors could not be broadcast together with shapes [2], [3]"),
    "x.__setitem__(0, t.ones(6))": (RuntimeError, "The expanded size of the tensor (5) must match the existing size (6) at non-singleton dimension 1.  Target sizes: [4, 5].  Tensor sizes: [6]"),
    "x.__setitem__(0, t.ones(3, 4, 5))": (RuntimeError, "expand(torch.FloatTensor{[3, 4, 5]}, size=[4, 5]): the number of sizes provided (2) must be greater or equal to the number of dimensions in the tensor (3)"),
    "x.__setitem__(t.tensor([0, 1]), t.ones(6))": (RuntimeError, "shape mismatch: value tensor of shape [6] cannot be broadcast to indexing result of shape [2, 4, 5]"),
    "x.__setitem__(t.tensor([0, 1]), t.ones(5).double())": (RuntimeError, "Index put requires the source and destination dtypes match, got Float for the destination and Double for the source."),
    "x.__setitem__(t.tensor([0, 5]), 1)": (IndexError, "index 5 is out of bounds for dimension 0 with size 3"),
    "x.__setitem__(t.tensor([True, False]), 1)": (IndexError, "The shape of the mask [2] at index 0 does not match the shape of the indexed tensor [3, 4, 5] at index 0"),
    "x.__setitem__(5, 1)": (IndexError, "index 5 is out of bounds for dimension 0 with size 3"),
    "x.__setitem__(0, 'a')": (TypeError, "can't assign a str to a torch.FloatTensor"),
    "x.__setitem__(0, None)": (TypeError, "can't assign a NoneType to a torch.FloatTensor"),
    "x.__setitem__(0, [1, 2])": (TypeError, "can't assign a list to a torch.FloatTensor"),
    "x.__setitem__(0, 1j)": (RuntimeError, "value cannot be converted to type float without overflow"),
    "x.fill_(t.ones(1))": (RuntimeError, "fill_ only supports 0-dimension value tensor but got tensor with 1 dimensions."),
    "x.copy_(t.ones(6))": (RuntimeError, "The size of tensor a (5) must match the size of tensor b (6) at non-singleton dimension 2"),
    "x.copy_(t.ones(1, 3, 4, 5))": (RuntimeError, "output with shape [3, 4, 5] doesn't match the broadcast shape [1, 3, 4, 5]"),
    "x.copy_('a')": (TypeError, "copy_(): argument 'other' (position 1) must be Tensor, not str"),
    "t.zeros(3).expand(2, 3).copy_(t.ones(2, 3))": (RuntimeError, "unsupported operation: more than one element of the written-to tensor refers to a single memory location. Please clone() the tensor before performing the operation."),
    "x.select(1, 5)": (IndexError, "select(): index 5 out of range for tensor of size [3, 4, 5] at dimension 1"),
    "s.select(0, 0)": (IndexError, "select() cannot be applied to a 0-dim tensor."),
    "x.narrow(1, 0, 9)": (RuntimeError, "start (0) + length (9) exceeds dimension size (4)."),
    "x.narrow(1, 9, 1)": (IndexError, "start out of range (expected to be in range of [-4, 4], but got 9)"),
}  # fmt: skip


@pytest.mark.parametrize("text", ERRORS)
def test_errors_are_torchs_and_nothing_is_changed(text):
    torch = pytest.importorskip("torch")
    kind, message = ERRORS[text]
    for t in (ag, torch):
        x = t.zeros(3, 4, 5)
        with pytest.raises(kind) as caught:
            eval(text, {"x": x, "s": t.tensor(1.0), "t": t})
        assert str(caught.value).split("\nException")[0] == message
        assert t is torch or not x.any()
        assert t is torch or x._version == 0


def test_a_list_of_more_than_numbers_is_a_tuple_and_warns():
    with pytest.warns(UserWarning, match="Using a non-tuple sequence for multidimensional indexing is deprecated"):
        y = ag.arange(6).reshape(2, 3)[[0, slice(1, 3)]]
    assert y.tolist() == [1, 2]


def test_masks_of_bytes_warn():
    with pytest.warns(UserWarning, match="indexing with dtype torch.uint8 is now deprecated"):
        y = ag.arange(3)[ag.tensor([1, 0, 1], dtype=ag.uint8)]
    assert y.tolist() == [0, 2]


# --- random keys -----------------------------------------------------------------------------------


def random_key(rng, shape):
    """A key of a tensor of ``shape`` as text; now and then one that does not fit."""
    parts, dim = [], 0
    while dim < len(shape) and rng.random() < 0.9:
        n = shape[dim]
        kind = rng.choice(
            ["int", "slice", "index", "mask", "None", "bool", "..."], p=[0.2, 0.25, 0.25, 0.1, 0.1, 0.05, 0.05]
        )
        if kind == "int":
            parts.append(str(rng.integers(-n, n + (rng.random() < 0.1))))
        elif kind == "slice":
            start, stop = ("" if rng.random() < 0.3 else str(rng.integers(-5, 6)) for _ in range(2))
            parts.append(f"{start}:{stop}:{rng.integers(1, 4)}")
        elif kind == "index":
            size = [(2,), (1,), (2, 1), (1, 3), (0,), ()][rng.integers(6)]
            parts.append(f"t.tensor({rng.integers(-n, n, size).tolist()}, dtype=t.int64)")
        elif kind == "mask":
            axes = rng.integers(1, len(shape) - dim + 1)
            parts.append(f"t.tensor({(rng.random(shape[dim : dim + axes]) < 0.5).tolist()})")
            dim += axes - 1
        elif kind == "...":
            parts += ["..."] if "..." not in parts else []
            dim = max(dim, len(shape) - 1)
        else:
            parts.append(str(rng.random() < 0.7) if kind == "bool" else "None")
            dim -= 1
        dim += 1
    return ", ".join(parts) or "()"


def outcome(function, t, *operands):
    """What a function gives, or what it says."""
    try:
        return function(t, *operands)
    except (IndexError, RuntimeError) as error:
        return str(error).split("\n")[0]


@pytest.mark.parametrize("number", range(300))
def test_random_keys_agree_with_torch(number, rng):
    torch = pytest.importorskip("torch")
    shape = tuple(rng.integers(1, 5, rng.integers(1, 5)).tolist())
    key, x = random_key(rng, shape), values(rng, shape)
    mine, known = outcome(reading(key), ag, ours(x)), outcome(reading(key), torch, theirs(x))
    if isinstance(mine, str) or isinstance(known, str):
        assert mine == known, key
        return
    agree(reading(key), x, rng=rng, second=False, same_nodes=False)
    v = values(rng, tuple(known.shape)[number % 2 :])
    if "[" not in key:  # where an index comes twice, either value may be put
        agree(writing(key, "v"), x, v, rng=rng, second=False)
    agree(lambda t, x, v: writing(key, "2.5")(t, x, v) + v, x, x, rng=rng, second=False, same_nodes=False)


# --- without a word to the host ---------------------------------------------------------------------


@on_gpu
@pytest.mark.parametrize("text", [
    "x[0].sum()", "x[1:, ::2].sum()", "x[i].sum()", "x[i, :, i].sum()", "x[m].sum()", "x.gather(0, j).sum()",
    "x.index_select(0, i).sum()", "x.index_add(0, i, x).sum()", "x.scatter_add(0, j, x[:, :1]).sum()",
    "x.scatter(0, j, x[:, :1]).sum()", "x.sort(0).values.sum()", "x.topk(2, 0).values.sum()", "x.masked_fill(m[:, None, None], 0).sum()",
    "x.masked_select(m[:, None, None]).sum()", "t.nn.functional.embedding(i, x[0], padding_idx=0).sum()", "x.take(i).sum()",
    "x.index_put((i,), x[0]).sum()", "x.index_copy(0, i, x).sum()", "x.index_fill(0, i, 2).sum()",
])  # fmt: skip
def test_a_backward_pass_stays_on_the_device(text, rng):
    cudasim = pytest.importorskip("cudasim")
    i = ours(np.array([2, 0, 2]), "cuda")
    given = {"t": ag, "i": i, "j": i.reshape(3, 1, 1), "m": ours(np.array([True, False, True]), "cuda")}
    for _ in range(2):
        given["x"] = ours(values(rng, dtype="float32"), "cuda", requires_grad=True)
        loss = eval(text, given)
        with cudasim.trace() as trace:
            loss.backward()
    assert trace.launches
    assert not trace.syncs
    assert not trace.h2d_bytes
    assert not trace.d2h_bytes


@on_gpu
def test_assignment_stays_on_the_device(rng):
    cudasim = pytest.importorskip("cudasim")
    i, m = ours(np.array([2, 0]), "cuda"), ours(np.array([True, False, True]), "cuda")
    x, v = (ours(values(rng, s, "float32"), "cuda") for s in ((3, 4), (4,)))
    for _ in range(2):
        with cudasim.trace() as trace:
            x[0] = 1.5
            x[1:] = v
            x[i] = v
            x[i] = 2
            x[m] = 3
            x.zero_()
            y = x.clone().requires_grad_() * 1
            y[0] = v
            y[m] = 0
            y[1] = 2.5
            y[i, 1] = 4
            y.sum().backward()
    assert not trace.syncs
    assert not trace.h2d_bytes
    assert not trace.d2h_bytes
