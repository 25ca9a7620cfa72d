"""What shape operations refuse, in PyTorch's words, and what they warn of."""

import pytest
from against_torch import case

import autograd_gpu as ag

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
    [
        "x.view()",
        "x.view('a')",
        "x.view(2.0, 3)",
        "x.permute(0.5)",
        "x.movedim(0, (0, 1.5))",
        "t.stack(3)",
        "x.permute()",
        "x.flip()",
        "x.flip(0, dims=0)",
        "x.tile(dim=1)",
    ],
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
    with pytest.raises(
        RuntimeError, match=r"Expected 0D or 1D tensor in the tensor list but got: one of size \[1, 2\]"
    ):
        ag.meshgrid(x.unsqueeze(0), indexing="ij")
    with pytest.raises(RuntimeError, match="\"repeat_interleave\" not implemented for 'Float'"):
        x.repeat_interleave(x)


def test_broadcast_shapes():
    assert ag.broadcast_shapes((1, 3), (2, 1), 3) == (2, 3)
    assert ag.broadcast_shapes() == ()
