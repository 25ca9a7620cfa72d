"""Views share memory and version with their base, know their metadata, and can change their shape in place."""

import warnings

import numpy as np
import pytest
from against_torch import agree, case
from support import host, ours, theirs
from test_shape import CONTIGUOUS_VIEWS, COPIES, SEVERAL, SLICES, VIEWS

import autograd_gpu as ag
from autograd_gpu.tensor import wrap


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
    with pytest.raises(RuntimeError, match="more than one element of the written-to tensor refers to a single memory"):
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
    scalar = ours(np.ones(()))
    for name in ("T", "mT", "H", "mH"):
        with pytest.warns(UserWarning, match=f"Tensor.{name} is deprecated on 0-D tensors"):
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
    with pytest.raises(RuntimeError, match="a leaf Variable that requires grad is being used in an in-place operation"):
        x.t_()
    assert x.shape == (2, 3)
    with pytest.raises(IndexError):
        (x * 1).transpose_(0, 5)
    plain = ours(np.zeros((2, 3)))
    assert plain.t_() is plain
    assert plain.shape == (3, 2)
    assert plain._version == 1
