"""Shapes: what PyTorch gives, over overloads, dtypes, layouts and devices; views share memory and version."""

import warnings

import numpy as np
import pytest
from against_torch import agree, case, fits_difference_quotient, layouts, on_gpu
from support import host, ours, theirs

import autograd_gpu as ag
from autograd_gpu.backward import grad
from autograd_gpu.tensor import wrap

# What is run on a matrix x of shape (2, 3), and which of it is a view in torch.
VIEWS = """
x.unsqueeze(0)
x.unsqueeze(-1)
x.unsqueeze(1).squeeze(1)
x.unsqueeze(0).squeeze()
x.unsqueeze(0).squeeze((0, 2))
x.squeeze()
x.squeeze(0)
t.squeeze(x, dim=-1)
x.transpose(0, 1)
x.transpose(-1, -2)
x.swapaxes(0, -1)
x.swapdims(0, 1)
x.t()
x.T
x.mT
x.H
x.mH
x.adjoint()
x.permute(1, 0)
x.permute((1, 0))
t.permute(x, (-1, 0))
x.permute(dims=[1, 0])
x.movedim(0, 1)
x.movedim((0, 1), (1, 0))
t.moveaxis(x, 1, 0)
x.expand(4, 2, 3)
x.expand(2, 2, -1)
x.unsqueeze(1).expand(2, 4, 3)
x.expand_as(t.zeros(2, 2, 3))
t.broadcast_to(x, (2, 2, 3))
t.broadcast_tensors(x, t.zeros(2, 2, 3))[0]
x.diagonal()
x.diagonal(1)
x.diagonal(-1, 1, 0)
x.diagonal(5)
x.unfold(1, 2, 1)
x.unfold(0, 1, 1)
x.unfold(1, 1, 2)
x.unfold(1, 3, 2)
t.atleast_3d(x)
""".strip().splitlines()

CONTIGUOUS_VIEWS = """
x.view(6)
x.view(3, -1)
x.view((1, 6))
x.view([2, 3, 1])
x.view_as(t.zeros(3, 2))
x.reshape(-1)
x.reshape(3, 2)
t.reshape(x, shape=(6, 1))
x.reshape_as(t.zeros(3, 2))
x.flatten()
x.flatten(0, 1)
x.unflatten(1, (3, -1))
t.unflatten(x, -1, (1, 3))
x.ravel()
""".strip().splitlines()

SEVERAL = """
x.split(2, 1)
x.split(5)
x.split([1, 2], 1)
x.split([0, 2, 0])
t.split(x, 1)
x.split_with_sizes([1, 1])
x.chunk(2)
x.chunk(2, -1)
t.chunk(x, 5, dim=1)
x.unbind()
x.unbind(1)
t.unbind(x, dim=-1)
x.unbind(axis=1)
""".strip().splitlines()

SLICES = """
x.tensor_split(2, 1)
x.tensor_split((1,), 1)
x.tensor_split((0, 5, 2), 1)
t.tensor_split(x, 3)
x.tensor_split([-1], dim=-1)
x.hsplit(3)
x.hsplit([1])
x.vsplit(2)
t.unsqueeze(x, 0).dsplit(3)
""".strip().splitlines()

COPIES = """
x.reshape(6)
x.reshape(3, 2)
x.flatten()
x.ravel()
x.contiguous()
x.repeat(2, 3)
x.repeat((2, 1, 2))
x.repeat(0, 2)
x.repeat(1, 1)
x.tile(2)
x.tile((2, 1, 2))
t.tile(x, dims=(2, 2))
x.repeat_interleave(2)
x.repeat_interleave(3, dim=1)
x.repeat_interleave(1, 0)
t.repeat_interleave(x, 2, 0)
x.repeat_interleave(t.tensor([1, 0, 2], device=x.device), 1)
x.repeat_interleave(t.tensor([2, 1], device=x.device), dim=0, output_size=3)
x.repeat_interleave(t.tensor([3], device=x.device), 0)
x.repeat_interleave(t.tensor([0, 1, 2, 0, 1, 1], device=x.device))
t.repeat_interleave(t.tensor([1, 0, 2]))
x.flip(0)
x.flip(0, 1)
x.flip((1,))
t.flip(x, (-1,))
t.flip(x, dims=[0])
x.flip(())
x.fliplr()
x.flipud()
x.rot90()
x.rot90(2)
x.rot90(4)
x.rot90(-1, (1, 0))
t.rot90(x, 3, [0, 1])
x.roll(1)
x.roll(-4)
x.roll(0)
x.roll(1, 0)
x.roll((1, -2), (0, 1))
x.roll(shifts=5, dims=-1)
x.tril()
x.tril(9)
x.triu()
x.triu(diagonal=-1)
x.diag()
x.diag(1)
x.diag(-2)
x.diagflat()
t.diagflat(x, -1)
t.diag_embed(x)
t.diag_embed(x, 1, 0, 2)
x.diag_embed(-1)
t.cat([x])
t.cat([x, x])
t.cat((x, 2 * x), dim=-1)
t.cat([x, x.reshape(6, 1).view(2, 3)], axis=1)
t.concat([x])
t.concatenate([x, t.zeros(0), x], 0)
t.stack([x, x])
t.stack((x, x, x), -1)
t.hstack([x, x])
t.vstack([x, x])
t.dstack([x, x])
t.column_stack([x, x])
t.row_stack([x, x])
t.cartesian_prod(x.reshape(-1), x.reshape(-1))
t.meshgrid(x.reshape(-1), x.reshape(-1)[:2], indexing="ij")
t.meshgrid(x.reshape(-1), x.reshape(-1)[:2], indexing="xy")
t.meshgrid([x.reshape(-1)], indexing="xy")
""".strip().splitlines()

EVERYTHING = VIEWS + CONTIGUOUS_VIEWS + SEVERAL + SLICES + COPIES
LINEAR = [text for text in EVERYTHING if "t.repeat_interleave(t.tensor" not in text]


@pytest.mark.parametrize("text", VIEWS + SEVERAL + SLICES + COPIES)
def test_all_layouts_agree_with_torch(text, rng):
    for _, array in layouts(rng):
        agree(case(text), array, rng=rng)


@pytest.mark.parametrize("text", CONTIGUOUS_VIEWS)
def test_views_of_contiguous_tensors_agree_with_torch(text, rng):
    agree(case(text), rng.normal(size=(2, 3)), rng=rng)


@on_gpu
@pytest.mark.parametrize("text", EVERYTHING)
def test_a_gpu_agrees_with_torch(text, rng):
    on_device = text.replace("t.zeros(", "x.new_zeros(")
    agree(case(on_device), rng.normal(size=(2, 3)).astype(np.float32), rng=rng, device="cuda")


@pytest.mark.parametrize("text", LINEAR)
def test_gradients_are_difference_quotients(text, rng):
    fits_difference_quotient(
        case(text.replace("t.zeros(0)", "x.new_zeros(0)")), rng.normal(size=(2, 3)), rng=rng
    )


@pytest.mark.parametrize("dtype", ["bool", "uint8", "int64", "float16", "bfloat16", "float32", "complex64"])
@pytest.mark.parametrize("text", EVERYTHING)
def test_other_dtypes_agree_with_torch(text, dtype, rng):
    if dtype == "bool" and "2 * x" in text:
        text = text.replace("2 * x", "x")
    values = rng.integers(0, 2 if dtype == "bool" else 9, (2, 3))
    agree(
        case(text),
        values.astype(getattr(ag, dtype).numpy),
        rng=rng,
        second=False,
        same_nodes=dtype != "complex64",
    )


@pytest.mark.parametrize("text", [
    "x.view(1, 1)", "x.reshape(-1)", "x.reshape(())", "x.flatten()", "x.squeeze()", "x.squeeze(0)", "x.squeeze(-1)",
    "x.unsqueeze(0)", "x.unsqueeze(-1)", "x.transpose(0, -1)", "x.t()", "x.permute(())", "x.expand(2, 3)", "x.expand(())",
    "x.repeat(3)", "x.repeat(())", "x.tile(2)", "x.repeat_interleave(3)", "x.flip(0)", "x.flip(())", "x.roll(1)",
    "t.stack([x, x])", "t.hstack([x, x])", "t.vstack([x, x])", "t.dstack([x, x])", "t.column_stack([x, x])",
    "t.diagflat(x)", "x.unfold(0, 1, 1)", "x.ravel()", "x.contiguous()", "t.atleast_1d(x)", "t.atleast_2d(x)", "t.atleast_3d(x)",
    "t.broadcast_tensors(x, x)", "t.meshgrid(x, x, indexing='ij')", "x.expand(0)",
])  # fmt: skip
def test_0d_tensors_agree_with_torch(text, rng):
    agree(case(text), rng.normal(size=()), rng=rng)


@pytest.mark.parametrize("text", [
    "x.view(3, 0)", "x.view(-1, 3)", "x.reshape(-1)", "x.reshape(0)", "x.t().reshape(-1)", "x.flatten()", "x.squeeze()",
    "x.unsqueeze(1)", "x.transpose(0, 1)", "x.expand(2, 0, 3)", "x.repeat(2, 2)", "x.flip(0)", "x.roll(1)", "x.roll(1, 0)",
    "x.tril()", "x.diag()", "x.diagonal()", "x.split(2)", "x.split(0)", "x.chunk(3)", "x.unbind(1)", "t.cat([x, x])",
    "t.cat([x, x], 1)", "t.stack([x, x])", "x.repeat_interleave(2)", "x.rot90()", "t.hstack([x, x])", "x.tile(2)",
])  # fmt: skip
def test_empty_tensors_agree_with_torch(text, rng):
    agree(case(text), np.zeros((0, 3)), rng=rng)


def test_nothing_can_be_unbound():
    assert ag.tensor([[0.0]])[:0].unbind() == ()


@pytest.mark.parametrize("text", [
    "x.reshape(2, 12)", "x.reshape(24)", "x.flatten(1)", "x.flatten(0, 1)", "x.transpose(0, 2).reshape(12, 2)",
    "x.transpose(0, 2).flatten(1)", "x.transpose(0, 1).reshape(3, 8)", "x.permute(2, 0, 1).view(4, 6)",
    "x.unflatten(2, (2, 2)).permute(3, 1, 0, 2)", "x.squeeze((0, 1))", "x.permute(1, 2, 0)", "x.movedim((0, 1), (-1, 0))",
    "x.mT", "x.mH", "x.expand(5, 2, 3, 4)", "x.split([1, 0, 2], dim=1)", "x.unbind(1)", "x.diagonal(0, 1, 2)",
    "x.diagonal(1, -1, 0)", "t.diag_embed(x, -2, 1, -1)", "x.tril(1)", "x.triu(-1)", "x.flip(2, 0)", "x.roll((1, 2), (2, 0))",
    "x.rot90(1, (0, 2))", "x.repeat(1, 2, 1)", "x.repeat_interleave(2, -2)", "x.unfold(1, 2, 1)", "x.unfold(-1, 3, 1)",
    "t.stack([x, x], 2)", "t.cat([x, x], -2)", "t.hstack([x, x])", "t.vstack([x, x])", "t.dstack([x, x])", "x.sum_to_size(1, 4)",
])  # fmt: skip
def test_three_axes_agree_with_torch(text, rng):
    agree(case(text), rng.normal(size=(2, 3, 4)), rng=rng)


@pytest.mark.parametrize("text", [
    "t.cat([x, z])", "t.stack([x, z])", "t.hstack([x, z])", "t.cat([z, x, z], 1)", "t.broadcast_tensors(x, z[:1])",
])  # fmt: skip
@pytest.mark.parametrize("dtypes", [
    ("float32", "float64"), ("float16", "bfloat16"), ("int64", "float32"), ("bool", "int8"), ("uint8", "int8"),
    ("float32", "complex64"), ("float64", "complex64"), ("int32", "float16"),
], ids=" ".join)  # fmt: skip
def test_joined_dtypes_promote_as_in_torch(text, dtypes, rng):
    x, z = (rng.integers(0, 2, (2, 3)).astype(getattr(ag, d).numpy) for d in dtypes)
    agree(case(text), x, z, rng=rng, second=False, same_nodes=False)


def test_1d_tensors_without_elements_can_be_joined_to_any(rng):
    nothing = np.zeros(0)
    for text in ("t.cat([x, z])", "t.cat([z, x], 1)", "t.cat([z, z])", "t.cat([z, x, z, x])"):
        agree(case(text), rng.normal(size=(2, 3)), nothing, rng=rng)


@pytest.mark.parametrize("dtype", ["complex64", "complex128"])
def test_complex_numbers_are_viewed_as_pairs(dtype, rng):
    x = (rng.normal(size=(2, 3)) + 1j * rng.normal(size=(2, 3))).astype(dtype)
    agree(case("t.view_as_real(x)"), x, rng=rng)
    agree(case("t.view_as_real(x.t())"), x, rng=rng)
    agree(case("t.view_as_complex(x)"), rng.normal(size=(2, 3, 2)), rng=rng)
    agree(case("t.view_as_complex(x.transpose(0, 1))"), rng.normal(size=(2, 3, 2)), rng=rng)


def test_bits_are_viewed_in_another_dtype():
    torch = pytest.importorskip("torch")
    x = np.arange(6, dtype=np.float32).reshape(2, 3)
    for d in ("int32", "int16", "uint8"):
        mine, torchs = ours(x).view(getattr(ag, d)), theirs(x).view(getattr(torch, d))
        assert host(mine).tolist() == torchs.tolist()
    wide = ours(x[:, :2].copy()).view(ag.float64)
    assert wide.shape == (2, 1)
    assert wide._base is not None


# --- memory and versions ---------------------------------------------------------------------------


def test_views_share_memory_and_version(device):
    for text in VIEWS + CONTIGUOUS_VIEWS + SEVERAL + SLICES:
        x = ours(np.arange(6.0).reshape(2, 3), device)
        results = case(text.replace("t.zeros(", "x.new_zeros("))(ag, x)
        for view in results if isinstance(results, tuple) else (results,):
            assert view._base is x or view is x, text
            assert view._counter is x._counter, text
            if view.numel():
                assert x._type.backend.shares_memory(view.array, x.array), text
        x.mul_(2)
        assert all(v._version == 1 for v in (results if isinstance(results, tuple) else (results,)))


def test_copies_share_nothing(device):
    for text in COPIES:
        if "meshgrid" in text or "(t.tensor([1, 0, 2]))" in text:
            continue
        x = ours(np.arange(6.0).reshape(3, 2), device).t()
        copy = case(text.replace("t.zeros(", "x.new_zeros("))(ag, x)
        assert copy._counter is not x._counter, text
        assert not x._type.backend.shares_memory(copy.array, x.array) or not copy.numel(), text


def test_which_reshapes_are_views_is_as_in_torch(rng):
    torch = pytest.importorskip("torch")
    sizes = [
        (24,),
        (2, 12),
        (6, 4),
        (3, 2, 4),
        (1, 24, 1),
        (2, 3, 2, 2),
        (4, 6),
        (12, 2),
        (8, 3),
        (2, 1, 3, 4),
    ]
    sources = [
        "x", "x.transpose(0, 1)", "x.transpose(1, 2)", "x.permute(2, 0, 1)", "x.permute(1, 2, 0)", "x.transpose(0, 2)",
        "x.unsqueeze(1).transpose(0, 2)", "x.unsqueeze(0).expand(1, 2, 3, 4)", "x[:, :1].expand(2, 3, 4)",
    ]  # fmt: skip
    for source in sources:
        x, y = case(source)(ag, ours(rng.normal(size=(2, 3, 4)))), case(source)(torch, torch.zeros(2, 3, 4))
        for size in sizes:
            mine, torchs = x.reshape(size), y.reshape(size)
            assert (mine._base is not None) == torchs._is_view() == (torchs.data_ptr() == y.data_ptr()), (
                source,
                size,
            )
            if not torchs._is_view():
                with pytest.raises(RuntimeError, match="view size is not compatible"):
                    x.view(size)


# A write through each of these views gives the base a new history.
@pytest.mark.parametrize(
    "text",
    [v for v in VIEWS if not any(w in v for w in ("expand", "broadcast", "unfold"))] + CONTIGUOUS_VIEWS,
)
def test_writing_through_a_view_is_differentiated_as_in_torch(text, rng):
    def written(t, x):
        base = x * 1
        case(text)(t, base).mul_(3)
        return base

    agree(written, rng.normal(size=(2, 3)), rng=rng, second=False)


def test_writing_to_the_base_gives_its_views_a_new_history(rng):
    for text in (
        "base.view(6)",
        "base.t()",
        "base.diagonal()",
        "base.unsqueeze(1)",
        "base.transpose(0, 1).unsqueeze(0)",
    ):

        def seen(t, x, text=text):
            base = x * 1
            view = eval(text, {"base": base})
            base.mul_(x)
            return view * 2

        agree(seen, rng.normal(size=(2, 3)), rng=rng, second=False, same_nodes=False)


@pytest.mark.parametrize(("text", "name"), [
    ("x.unbind()[0]", "Unbind"), ("x[:1].unbind()[0]", "Unbind"), ("x.split(1)[0]", "Split"), ("x.split(9)[0]", "Split"),
    ("x.split([1, 1])[0]", "SplitWithSizes"), ("x.chunk(2, 1)[0]", "Split"),
])  # fmt: skip
def test_one_of_several_views_cannot_be_written_to(text, name):
    x = ours(np.ones((2, 3)), requires_grad=True) * 1
    with pytest.raises(RuntimeError) as caught:
        case(text)(ag, x).mul_(2)
    assert str(caught.value) == (
        f"Output 0 of {name} is a view and is being modified inplace. This view is the output of a function that "
        "returns multiple views. Such functions do not allow the output views to be modified inplace. You should "
        "replace the inplace operation by an out-of-place one."
    )
    assert host(x).tolist() == [[1, 1, 1], [1, 1, 1]]


def test_an_expanded_tensor_cannot_be_written_to():
    x = ours(np.ones((1, 3)))
    with pytest.raises(
        RuntimeError, match="more than one element of the written-to tensor refers to a single memory"
    ):
        x.expand(2, 3).mul_(2)
    x.expand(1, 1, 3).mul_(2)
    assert host(x).tolist() == [[2, 2, 2]]


def test_views_of_memory_that_cannot_be_written_to_cannot_be_either():
    fixed = np.ones((1, 3))
    fixed.flags.writeable = False
    for text in ("x.expand(2, 3)", "x.expand(1, 1, 3)", "x.diagonal()", "x.view(3)"):
        assert not case(text)(ag, wrap(fixed)).array.flags.writeable, text


def test_a_contiguous_tensor_is_its_own_contiguous_copy():
    x = ours(np.ones((2, 3)))
    assert x.contiguous() is x
    assert x.t().contiguous().is_contiguous()
    assert type((x.requires_grad_().t().contiguous()).grad_fn).__name__ == "CloneBackward0"


# --- metadata --------------------------------------------------------------------------------------

SOURCES = [
    "x", "x.t()", "x.unsqueeze(0)", "x.unsqueeze(1)", "x.unsqueeze(2)", "x.t().unsqueeze(0)", "x.t().unsqueeze(1)",
    "x.expand(2, 2, 3)", "x.diagonal()", "x[:, 1:]", "x[1]", "x[:, ::2]", "x.view(3, 2, 1)",
    "x.t().view(3, 2, 1)", "x.unfold(1, 2, 1)", "x[1:].unsqueeze(0)", "x.permute(1, 0)", "x.chunk(2, 1)[1]", "x.unbind(1)[2]",
]  # fmt: skip


@pytest.mark.parametrize("source", SOURCES)
def test_metadata_are_torchs(source):
    torch = pytest.importorskip("torch")
    array = np.arange(6, dtype=np.float32).reshape(2, 3)
    x, y = case(source)(ag, ours(array)), case(source)(torch, theirs(array))
    assert x.stride() == y.stride()
    assert [x.stride(d) for d in range(x.ndim)] == list(y.stride())
    assert x.size() == tuple(y.size())
    assert [x.size(-d) for d in range(x.ndim)] == [y.size(-d) for d in range(x.ndim)]
    for name in ("dim", "ndimension", "numel", "nelement", "element_size", "storage_offset", "is_contiguous"):
        assert getattr(x, name)() == getattr(y, name)(), name
    for name in ("nbytes", "itemsize", "ndim"):
        assert getattr(x, name) == getattr(y, name), name
    assert ag.numel(x) == torch.numel(y)


def test_strides_of_empty_and_0d_tensors(device):
    assert ours(np.zeros((0, 3)), device).stride() == (3, 1)
    assert ours(np.zeros((3, 0, 2)), device).stride() == (2, 2, 1)
    assert ours(np.zeros(()), device).stride() == ()


def test_addresses(device):
    x = ours(np.arange(6.0).reshape(2, 3), device)
    y = x.transpose(0, 1).unbind()[1]
    assert y.data_ptr() - x.data_ptr() == 8
    assert y.storage_offset() == 1
    assert x.storage_offset() == 0


def test_reversing_other_than_two_axes_warns():
    x = ours(np.zeros((2, 3, 4)))
    with pytest.warns(UserWarning, match="The use of `x.T` on tensors of dimension other than 2") as caught:
        assert x.T.shape == (4, 3, 2)
    assert caught[0].filename == __file__
    for name in ("T", "mT", "H", "mH"):
        with pytest.warns(UserWarning, match=f"Tensor.{name} is deprecated on 0-D tensors"):
            scalar = ours(np.ones(()))
            assert getattr(scalar, name) is scalar
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert x.unbind()[0].unbind()[0].T.shape == (4,)


# --- changes of shape in place ---------------------------------------------------------------------


@pytest.mark.parametrize("text", [
    "y.t_()", "y.transpose_(0, 1)", "y.unsqueeze_(0)", "y.unsqueeze_(1).squeeze_(1)", "y.swapaxes_(0, 1)", "y.squeeze_()",
])  # fmt: skip
def test_shapes_change_in_place_as_in_torch(text, rng):
    def changed(t, x):
        y = x * 2
        result = eval(text, {"y": y})
        assert result is y
        assert y._version >= 1
        return y * 3

    agree(changed, rng.normal(size=(2, 3)), rng=rng, same_nodes=False)


def test_a_view_outlives_its_bases_change_of_shape(rng):
    def changed(t, x):
        y = x * 2
        view = y.view(6)
        y.t_()
        y.mul_(x.t())
        return y, view

    agree(changed, rng.normal(size=(2, 3)), rng=rng, second=False, same_nodes=False)


def test_a_view_can_change_its_own_shape(rng):
    def changed(t, x):
        y = x * 2
        view = y.diagonal()
        view.unsqueeze_(0)
        view.mul_(5)
        return y, view

    agree(changed, rng.normal(size=(2, 3)), rng=rng, second=False, same_nodes=False)


def test_a_tensor_that_changes_its_shape_retains_its_gradient():
    y = ours(np.ones((2, 3)), requires_grad=True) * 2
    y.retain_grad()
    y.t_()
    (y * ours(np.arange(6.0).reshape(3, 2))).sum().backward()
    assert host(y.grad).tolist() == [[0, 1], [2, 3], [4, 5]]


def test_the_shape_of_a_leaf_cannot_change_in_place():
    x = ours(np.zeros((2, 3)), requires_grad=True)
    with pytest.raises(
        RuntimeError, match="a leaf Variable that requires grad is being used in an in-place operation"
    ):
        x.t_()
    assert x.shape == (2, 3)
    with pytest.raises(IndexError):
        (x * 1).transpose_(0, 5)
    plain = ours(np.zeros((2, 3)))
    assert plain.t_() is plain
    assert plain.shape == (3, 2)
    assert plain._version == 1


# --- errors ----------------------------------------------------------------------------------------

OUT_OF_RANGE = "Dimension out of range (expected to be in range of [-2, 1], but got {})"
ERRORS = {
    "x.view(4)": (RuntimeError, "shape '[4]' is invalid for input of size 6"),
    "x.view(-1, -1)": (RuntimeError, "only one dimension can be inferred"),
    "x.view(-1, 4)": (RuntimeError, "shape '[-1, 4]' is invalid for input of size 6"),
    "x.t().view(6)": (RuntimeError, "view size is not compatible with input tensor's size and stride (at least one dimension spans across two contiguous subspaces). Use .reshape(...) instead."),
    "x.view(t.float64)": (RuntimeError, "self.size(-1) must be divisible by 2 to view Float as Double (different element sizes), but got 3"),
    "x.t().view(t.int16)": (RuntimeError, "self.stride(-1) must be 1 to view Float as Short (different element sizes), but got 3"),
    "s.view(t.float64)": (RuntimeError, "self.dim() cannot be 0 to view Float as Double (different element sizes)"),
    "x.reshape(-2, 3)": (RuntimeError, "invalid shape dimension -2 at index 0 of shape [-2, 3]"),
    "x.reshape(-1, 0)": (RuntimeError, "shape '[-1, 0]' is invalid for input of size 6"),
    "e.reshape(-1, 0)": (RuntimeError, "cannot reshape tensor of 0 elements into shape [-1, 0] because the unspecified dimension size -1 can be any value and is ambiguous"),
    "x.flatten(1, 0)": (RuntimeError, "flatten() has invalid args: start_dim cannot come after end_dim"),
    "x.unflatten(1, (2, 2))": (RuntimeError, "unflatten: Provided sizes [2, 2] don't multiply up to the size of dim 1 (3) in the input tensor"),
    "x.unflatten(1, ())": (RuntimeError, "unflatten: sizes must be non-empty"),
    "x.squeeze(3)": (IndexError, OUT_OF_RANGE.format(3)),
    "s.squeeze(1)": (IndexError, "Dimension out of range (expected to be in range of [-1, 0], but got 1)"),
    "x.squeeze((0, 0))": (RuntimeError, "dim 0 appears multiple times in the list of dims"),
    "x.unsqueeze(3)": (IndexError, "Dimension out of range (expected to be in range of [-3, 2], but got 3)"),
    "x.transpose(0, 2)": (IndexError, OUT_OF_RANGE.format(2)),
    "c.t()": (RuntimeError, "t() expects a tensor with <= 2 dimensions, but self is 3D"),
    "x[0].mT": (RuntimeError, "tensor.mT is only supported on matrices or batches of matrices. Got 1-D tensor."),
    "c.H": (RuntimeError, "tensor.H is only supported on matrices (2-D tensors). Got 3-D tensor. For batches of matrices, consider using tensor.mH"),
    "x[0].H": (RuntimeError, "tensor.H is only supported on matrices (2-D tensors). Got 1-D tensor."),
    "x.permute(0)": (RuntimeError, "permute(sparse_coo): number of dimensions in the tensor input does not match the length of the desired ordering of dimensions i.e. input.dim() = 2 is not equal to len(dims) = 1"),
    "x.permute(0, 0)": (RuntimeError, "permute(): duplicate dims are not allowed."),
    "x.movedim((0, 0), (0, 1))": (RuntimeError, "movedim: repeated dim in `source` ([0, 0])"),
    "x.movedim((0,), (0, 1))": (RuntimeError, "movedim: Invalid source or destination dims: source ([0] dims) should contain the same number of dims as destination ([0, 1] dims)"),
    "x.expand(3, 3)": (RuntimeError, "The expanded size of the tensor (3) must match the existing size (2) at non-singleton dimension 0.  Target sizes: [3, 3].  Tensor sizes: [2, 3]"),
    "x.expand(3)": (RuntimeError, "expand(torch.FloatTensor{[2, 3]}, size=[3]): the number of sizes provided (1) must be greater or equal to the number of dimensions in the tensor (2)"),
    "x.expand(-1, 2, 3)": (RuntimeError, "The expanded size of the tensor (-1) isn't allowed in a leading, non-existing dimension 0"),
    "t.broadcast_tensors(x, x[0, :2])": (RuntimeError, "The size of tensor a (3) must match the size of tensor b (2) at non-singleton dimension 1"),
    "t.broadcast_shapes((1, 3), (2, 1), (5,))": (RuntimeError, "Attempting to broadcast a dimension of length 5 at -1! Mismatching argument at index 2 had (5,); but expected shape should be broadcastable to [2, 3]"),
    "x.repeat(2)": (RuntimeError, "Number of dimensions of repeat dims can not be smaller than number of dimensions of tensor"),
    "x.repeat(2, -1)": (RuntimeError, "Trying to create tensor with negative dimension -3: [4, -3]"),
    "x.repeat_interleave(-1)": (RuntimeError, "Repeats must be non-negative"),
    "x.flip(0, 0)": (RuntimeError, "dim 0 appears multiple times in the list of dims"),
    "s.fliplr()": (RuntimeError, "Input must be >= 2-d."),
    "s.flipud()": (RuntimeError, "Input must be >= 1-d."),
    "x.rot90(1, (0, 0))": (RuntimeError, "expected rotation dims to be different, but got dim0 = 0 and dim1 = 0"),
    "x.rot90(1, (0,))": (RuntimeError, "expected total rotation dims == 2, but got dims = 1"),
    "x[0].rot90()": (RuntimeError, "expected total dims >= 2, but got total dims = 1"),
    "x.roll((1, 1))": (RuntimeError, "shifts and dimensions must align. shifts: 2, dims:0"),
    "x.roll(())": (RuntimeError, "`shifts` required"),
    "s.roll(1, 0)": (IndexError, "Dimension specified as 0 but tensor has no dimensions"),
    "t.cat([x, x[:, :2]])": (RuntimeError, "Sizes of tensors must match except in dimension 0. Expected size 3 but got size 2 for tensor number 1 in the list."),
    "t.cat([])": (ValueError, "torch.cat(): expected a non-empty list of Tensors"),
    "t.cat([x, s])": (RuntimeError, "zero-dimensional tensor (at position 1) cannot be concatenated"),
    "t.cat([x, x[0]])": (RuntimeError, "Tensors must have same number of dimensions: got 2 and 1"),
    "t.cat([x, x], 2)": (IndexError, OUT_OF_RANGE.format(2)),
    "t.cat(x)": (TypeError, "cat(): argument 'tensors' (position 1) must be tuple of Tensors, not Tensor"),
    "t.cat([x, 1])": (TypeError, "expected Tensor as element 1 in argument 0, but got int"),
    "t.stack([x, x[0]])": (RuntimeError, "stack expects each tensor to be equal size, but got [2, 3] at entry 0 and [3] at entry 1"),
    "t.stack([])": (RuntimeError, "stack expects a non-empty TensorList"),
    "t.vstack([x, x[:, :2]])": (RuntimeError, "Sizes of tensors must match except in dimension 0. Expected size 3 but got size 2 for tensor number 1 in the list."),
    "x.split(0)": (RuntimeError, "split_size can only be 0 if dimension size is 0, but got dimension size of 2"),
    "x.split(-1)": (RuntimeError, "split expects split_size be non-negative, but got split_size=-1"),
    "x.split([1, 1], 1)": (RuntimeError, "split_with_sizes expects split_sizes to sum exactly to 3 (input tensor's size at dimension 1), but got split_sizes=[1, 1]"),
    "x.split([3, -1])": (RuntimeError, "split_with_sizes expects split_sizes have only non-negative entries, but got split_sizes=[3, -1]"),
    "s.split(1)": (RuntimeError, "split expects at least a 1-dimensional tensor"),
    "x.chunk(0)": (RuntimeError, "chunk expects `chunks` to be greater than 0, got: 0"),
    "s.chunk(2)": (RuntimeError, "chunk expects at least a 1-dimensional tensor"),
    "s.tensor_split(2)": (RuntimeError, "tensor_split expected at least a 1-dimensional tensor, but got a tensor with 0 dims"),
    "x.tensor_split(0)": (RuntimeError, "number of sections must be larger than 0, got 0"),
    "x.hsplit(2)": (RuntimeError, "torch.hsplit attempted to split along dimension 1, but the size of the dimension 3 is not divisible by the split_size 2!"),
    "x[0].vsplit(1)": (RuntimeError, "torch.vsplit requires a tensor with at least 2 dimension, but got a tensor with 1 dimensions!"),
    "x.repeat_interleave(i, dim=1)": (RuntimeError, "repeats must have the same size as input along dim, but got repeats.size(0) = 2 and input.size(1) = 3"),
    "x.repeat_interleave(-i, dim=0)": (RuntimeError, "repeats can not be negative"),
    "t.diag_embed(x, 0, 1, 1)": (RuntimeError, "diagonal dimensions cannot be identical 1, 1"),
    "s.unbind()": (IndexError, "Dimension specified as 0 but tensor has no dimensions"),
    "x[0].tril()": (RuntimeError, "tril: input tensor must have at least 2 dimensions"),
    "s.diag()": (RuntimeError, "diag(): Supports 1D or 2D tensors. Got 0D"),
    "x.diagonal(0, 0, 0)": (RuntimeError, "diagonal dimensions cannot be identical 0, 0"),
    "x.unfold(1, 4, 1)": (RuntimeError, "maximum size for tensor at dimension 1 is 3 but size is 4"),
    "x.unfold(1, 2, 0)": (RuntimeError, "step is 0 but must be > 0"),
    "x.unfold(1, -1, 1)": (RuntimeError, "size is -1 but must be >= 0"),
    "t.meshgrid(x[0], i, indexing='ij')": (RuntimeError, "meshgrid expects all tensors to have the same dtype"),
    "t.meshgrid(x[0], indexing='k')": (RuntimeError, 'torch.meshgrid: indexing must be one of "xy" or "ij", but received: k'),
    "t.view_as_complex(x)": (RuntimeError, "Tensor must have a last dimension of size 2"),
    "t.view_as_complex(x[:, :2])": (RuntimeError, "Tensor must have a stride divisible by 2 for all but last dimension"),
    "t.view_as_complex(i)": (RuntimeError, "view_as_complex is only supported for half, float and double tensors, but got a tensor of scalar type: Long"),
    "t.view_as_complex(s)": (RuntimeError, "Input tensor must have one or more dimensions"),
    "t.view_as_real(x)": (RuntimeError, "view_as_real is only supported for complex tensors"),
    "x.size(5)": (IndexError, OUT_OF_RANGE.format(5)),
    "s.size(0)": (IndexError, "Dimension specified as 0 but tensor has no dimensions"),
    "x.stride(4)": (IndexError, OUT_OF_RANGE.format(4)),
}  # fmt: skip


@pytest.mark.parametrize("text", ERRORS)
def test_errors_are_torchs(text):
    kind, message = ERRORS[text]
    torch = pytest.importorskip("torch")
    for t in (ag, torch):
        x = t.tensor([[0.0, 1, 2], [3, 4, 5]])
        given = {"t": t, "x": x, "c": x.unsqueeze(0), "s": t.tensor(1.0), "i": t.tensor([1, 2]), "e": x[:0]}
        with pytest.raises(kind) as caught:
            eval(text, given)
        assert str(caught.value) == message


@pytest.mark.parametrize(
    "text",
    ["x.view()", "x.view('a')", "x.view(2.0, 3)", "x.permute(0.5)", "x.movedim(0, (0, 1.5))", "t.stack(3)", "x.permute()", "x.flip()", "x.flip(0, dims=0)", "x.tile(dim=1)"],
)
def test_wrong_arguments_are_type_errors(text):
    with pytest.raises(TypeError):
        case(text)(ag, ag.tensor([[1.0, 2.0]]))


def test_a_grid_without_indexing_warns():
    x = ag.tensor([1.0, 2.0])
    with pytest.warns(UserWarning, match="it will be required to pass the indexing argument") as caught:
        rows, _ = ag.meshgrid(x, x)
    assert caught[0].filename == __file__
    assert rows.tolist() == [[1, 1], [2, 2]]


def test_what_a_grid_is_made_of():
    x = ag.tensor([1.0, 2.0])
    assert ag.cartesian_prod(x) is x
    with pytest.raises(RuntimeError, match=r"Expected 0D or 1D tensor in the tensor list but got: one of size \[1, 2\]"):
        ag.meshgrid(x.unsqueeze(0), indexing="ij")
    with pytest.raises(RuntimeError, match="\"repeat_interleave\" not implemented for 'Float'"):
        x.repeat_interleave(x)


def test_broadcast_shapes():
    assert ag.broadcast_shapes((1, 3), (2, 1), 3) == (2, 3)
    assert ag.broadcast_shapes() == ()


@on_gpu
@pytest.mark.parametrize("text", [
    "x.t().reshape(6)", "x.repeat(2, 2)", "x.flip(0)", "x.roll(1, 0)", "x.roll(1)", "x.tril()", "x.diagonal()", "t.diag_embed(x)",
    "t.cat([x, x])", "t.stack([x, x])", "x.split(1)[0]", "x.unbind()[1]", "x.unfold(1, 2, 1)", "x.expand(4, 2, 3)", "x.rot90()",
])  # fmt: skip
def test_backward_on_a_gpu_neither_copies_to_the_host_nor_waits(text):
    cudasim = pytest.importorskip("cudasim")
    x = ours(np.arange(6, dtype=np.float32).reshape(2, 3), "cuda", requires_grad=True)
    y = case(text)(ag, x).sum()
    grad(y, x, retain_graph=True)
    with cudasim.trace() as seen:
        grad(y, x)
    assert seen.h2d_bytes == seen.d2h_bytes == 0
    assert not seen.syncs
