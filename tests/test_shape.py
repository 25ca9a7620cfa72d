"""Shapes: what PyTorch gives, over overloads, dtypes, layouts and devices; views share memory and version."""

import numpy as np
import pytest
from against_torch import agree, case, fits_difference_quotient, layouts, on_gpu
from support import assert_same, host, ours, theirs

import autograd_gpu as ag
from autograd_gpu.backward import grad

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


@on_gpu
@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "complex64", "int32", "bool"])
@pytest.mark.parametrize(
    "text", ["x.tril()", "x.triu(1)", "x.repeat(2, 2)", "x.roll(1)", "t.cat([x, x])", "x.unfold(1, 2, 1)"]
)
def test_other_dtypes_on_a_gpu_agree_with_torch(text, dtype, rng):
    array = rng.integers(0, 2, (2, 3)).astype(getattr(ag, dtype).numpy)
    agree(case(text), array, rng=rng, device="cuda", second=False)


@pytest.mark.parametrize("text", LINEAR)
def test_gradients_are_difference_quotients(text, rng):
    fits_difference_quotient(case(text.replace("t.zeros(0)", "x.new_zeros(0)")), rng.normal(size=(2, 3)), rng=rng)


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


@pytest.mark.parametrize("dtype", ["bool", "int16", "bfloat16", "float64", "complex64"])
@pytest.mark.parametrize("text", ["y.reshape(6, 10)", "y.mT.reshape(-1)", "y.contiguous()", "y[:, :, ::2].flatten()"])
def test_copies_of_what_is_repeated_agree_with_torch(text, dtype, device, rng):
    pytest.importorskip("torch")
    values = (rng.normal(size=(3, 1, 5)) * 3).astype(getattr(ag, dtype).numpy)
    size = (3, 4, 5)
    mine = eval(text, {"y": ours(values, device).expand(size)})
    torchs = eval(text, {"y": theirs(values).expand(size)})
    assert_same(mine, torchs)
    assert mine.is_contiguous()


@on_gpu
def test_what_is_repeated_is_read_once_to_be_copied(rng):
    cudasim = pytest.importorskip("cudasim")
    x = ours(rng.normal(size=(2, 32, 1, 32, 1)).astype("f"), "cuda")
    for _ in range(2):
        with cudasim.trace() as trace:
            y = x.expand(2, 32, 2, 32, 2).reshape(2, 64, 64)
    (kernel,) = trace.kernels
    assert kernel.bytes_stored == y.nbytes
    assert kernel.bytes_loaded <= 2 * x.nbytes
