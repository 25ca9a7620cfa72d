"""Tensors to and from NumPy, CuPy, DLPack, Python numbers, pickles and copies."""

import copy
import io
import pickle
import re
import warnings

import numpy as np
import pytest
from expressions import agree, complain
from numpy.testing import assert_array_equal
from support import host, ours

import autograd_gpu as ag
from autograd_gpu.dtypes import ALL
from autograd_gpu.errors import GraphError

T = "torch.tensor([1.0, 2.0, 3.0])"
G = "torch.tensor(2.0, requires_grad=True)"
K = "torch.tensor(3)"
C = "torch.tensor(1 + 2j)"

AGREES = f"""
{T}.tolist()
{K}.tolist()
torch.ones(2, 0).tolist()
torch.tensor([1.5], dtype=torch.bfloat16).tolist()
torch.tensor([[True]]).tolist()
{T}[0].item()
{G}.item()
{C}.item()
torch.tensor(1.5, dtype=torch.bfloat16).item()
torch.tensor(1.5, dtype=torch.float16).item()
float({K})
int(torch.tensor(-2.7))
bool({G}), int({G})
complex({C})
float(torch.tensor(2 + 0j))
bool(torch.ones(1, 1)), bool(torch.tensor(0.0))
range(5)[{K}]
[1, 2, 3, 4][torch.tensor([1])]
[1, 2, 3, 4][torch.tensor(True)]
{K}.__index__()
len(torch.ones(2, 3))
list({T})
list(torch.ones(2, 2))
[1 in {T}, 5 in {T}, torch.tensor(2.0) in {T}]
list(reversed([1, 2])), reversed({T})
f"{{{G}:.3f}} {{{K}:5d}} {{{T}}} {{{G}}}"
{T}.to(torch.float64)
{T}.to("cpu", torch.float64)
{T}.to(device="cpu", dtype=torch.float64)
{T}.to(torch.ones(1, dtype=torch.int8))
{T}.to()
{T}.to(None)
{T}.to(dtype=None)
{T}.to(float)
{T}.to(torch.float64, True)
{T}.to("cpu", torch.float64, True, True)
torch.ones(2, 3).t().to(torch.float64)
torch.ones(2, 3).t().to(torch.float64, memory_format=torch.contiguous_format)
{G}.to(torch.int64)
{C}.to(torch.float32)
{C}.to(torch.bool)
torch.tensor([nan, 1e30]).to(torch.int32)
torch.tensor([-1.5, 3.7]).to(torch.int64)
{T}.double(), {T}.half(), {T}.bfloat16(), {T}.long(), {T}.int()
{T}.short(), {T}.char(), {T}.byte(), {T}.bool()
{T}.cfloat(), {T}.cdouble(), {T}.type(torch.LongTensor), {T}.type("torch.DoubleTensor"), {T}.type(torch.half)
{T}.type(), torch.ones(2, dtype=torch.bool).type(), {T}.type_as({K})
{T}.get_device(), {T}.is_cuda, {T}.is_cpu, {T}.is_complex(), {T}.is_floating_point(), {T}.is_signed()
{T}.is_sparse, {T}.layout, {T}.device
torch.is_tensor({T}), torch.is_tensor([1]), torch.is_floating_point({T})
torch.is_complex({C}), torch.is_signed({T})
torch.is_nonzero({K}), torch.is_same_size({T}, {K})
torch.typename({T}), torch.typename(3), torch.typename(torch.Tensor)
torch.as_tensor([1, 2.0])
torch.as_tensor(5)
torch.as_tensor(np.arange(3), dtype=torch.float32)
torch.as_tensor({G})
torch.as_tensor({G}, dtype=torch.float64).requires_grad
torch.asarray(np.arange(3))
torch.asarray([1.0], requires_grad=True)
torch.asarray(np.float64(3))
torch.asarray(bytearray(b"abcd"), dtype=torch.uint8)
torch.asarray({G}, requires_grad=False)
torch.asarray({G}, requires_grad=True)
torch.asarray({G}, requires_grad=True, dtype=torch.float64).requires_grad
torch.from_numpy(np.arange(3))
torch.from_numpy(np.ones((2, 3)).T)
torch.frombuffer(bytearray(b"abcdefgh"), dtype=torch.int32)
torch.frombuffer(bytearray(b"abcdefgh"), dtype=torch.int32, count=1, offset=4)
torch.from_dlpack(np.ones(2))
np.asarray({T}, dtype=np.float64)
{T}.__array__(np.float64)
{G}.numpy(force=True)
hasattr({T}, "__cuda_array_interface__")
np.float64(2) * {T}
{T} * np.float64(2)
copy(torch.ones(2, requires_grad=True))
deepcopy(torch.ones(2, requires_grad=True))
loads(dumps(torch.ones(2, requires_grad=True)))
loads(dumps(torch.ones(2, requires_grad=True) * 2))
loads(dumps([torch.float32, torch.Size([2]), torch.device("cuda:1"), torch.strided]))
torch.result_type({T}, {K}), torch.result_type(1, 2.0)
torch.result_type({T}, 1j), torch.result_type({K}, 1.5)
torch.promote_types(torch.int8, torch.float16)
torch.finfo(torch.float32), torch.finfo(torch.float64)
torch.finfo(torch.float16), torch.finfo(torch.bfloat16)
torch.finfo(), torch.finfo(torch.complex64)
torch.finfo(torch.float32).eps, torch.finfo(torch.float64).max, torch.finfo(torch.bfloat16).tiny
torch.finfo(torch.float32).bits, torch.finfo(torch.float32).dtype, torch.finfo(torch.float64).resolution
torch.iinfo(torch.int32), torch.iinfo(torch.uint8).max, torch.iinfo(torch.int64).bits
torch.finfo(torch.float32) == torch.finfo(torch.float32)
torch.strided, torch.contiguous_format, torch.preserve_format
torch.pi, torch.inf, torch.nan, torch.e, torch.newaxis
torch.half, torch.float, torch.double, torch.short, torch.int, torch.long
torch.bool, torch.cfloat, torch.cdouble
torch.device("cuda", 1), torch.device("cpu"), str(torch.device("cuda:1"))
"""

COMPLAINS = f"""
{T}.item()
torch.ones(0).item()
float({T})
int({T})
float({C})
int({C})
bool({T})
bool(torch.ones(0))
len({K})
list({K})
[1, 2, 3][torch.tensor(1.0)]
[1, 2, 3][{T}]
"x" in {T}
None in {T}
f"{{{T}:.3f}}"
{G}.numpy()
({G} * 1).numpy()
np.asarray({G})
{G}.__dlpack__()
torch.from_dlpack(torch.ones(2, requires_grad=True))
{T}.__cuda_array_interface__
torch.from_numpy([1])
torch.from_numpy(np.float32(1))
torch.from_numpy(np.array([1], dtype=">i4"))
torch.asarray([1, 2], copy=False)
torch.asarray(object())
torch.as_tensor([1.0], requires_grad=True)
torch.frombuffer(bytearray(b"abc"), dtype=torch.int32)
{T}.detach().foo
deepcopy({G} * 1)
torch.is_nonzero({T})
torch.finfo(torch.int32)
torch.iinfo(torch.float32)
torch.iinfo(torch.bool)
torch.ones(2, 3).t()[0].detach_()
"""


def lines(text):
    return [line for line in text.splitlines() if line]


@pytest.fixture(autouse=True)
def _names(monkeypatch):
    import expressions

    def evaluate(expression, torch):
        names = {"copy": copy.copy, "deepcopy": copy.deepcopy, "dumps": pickle.dumps, "loads": pickle.loads}
        return eval(expression, {"torch": torch, "np": np, "nan": np.nan, **names})

    monkeypatch.setattr(expressions, "evaluate", evaluate)


@pytest.mark.parametrize("expression", lines(AGREES))
def test_agrees_with_torch(expression, monkeypatch):
    agree(expression, monkeypatch)


@pytest.mark.parametrize("expression", lines(COMPLAINS))
def test_complains_as_torch(expression, monkeypatch):
    complain(expression, monkeypatch)


@pytest.mark.parametrize("kind", [float, complex])
def test_numbers_of_what_has_a_gradient_warn_here(kind):
    with pytest.warns(UserWarning, match="^Converting a tensor with requires_grad=True to a scalar") as seen:
        assert kind(ag.tensor(2.0, requires_grad=True)) == 2
    assert seen[0].filename == __file__


@pytest.mark.parametrize("kind", ["'numpy.object_'", "'numpy.str_'"])
def test_arrays_without_a_counterpart_are_named(kind):
    array = np.array([None] if "object" in kind else ["a"])
    message = rf"^can't convert np.ndarray of type {kind[1:-1]}\. The only supported types are: bool, uint8"
    for make in (ag.tensor, ag.from_numpy, ag.as_tensor):
        with pytest.raises(TypeError, match=message):
            make(array)


def test_can_cast_is_torchs():
    torch = pytest.importorskip("torch")
    for a in ALL:
        for b in ALL:
            theirs = torch.can_cast(getattr(torch, a.name), getattr(torch, b.name))
            assert ag.can_cast(a, b) == theirs, (a, b)


@pytest.mark.parametrize("share", [ag.from_numpy, ag.as_tensor, ag.asarray, ag.from_dlpack])
def test_arrays_are_shared(share):
    array = np.arange(6.0).reshape(2, 3)
    for view in (array, array.T, array[:, ::2]):
        tensor = share(view)
        tensor[0, 0] = 7.0
        assert view[0, 0] == 7.0
        view[0, 0] = 8.0
        assert tensor[0, 0].item() == 8.0
        assert tuple(s // 8 for s in view.strides) == tensor.stride()
        view[0, 0] = 0.0


def test_the_gradient_of_a_shared_array_is_an_array():
    array = np.arange(3.0)
    x = ag.from_numpy(array).requires_grad_()
    (x * x).sum().backward()
    assert type(x.grad.array) is np.ndarray
    assert x.grad.array.tolist() == [0.0, 2.0, 4.0]
    assert x.array is array


def test_subclasses_of_ndarray_are_taken_as_arrays():
    class Mine(np.ndarray):
        def __mul__(self, other):
            raise AssertionError

    x = ag.from_numpy(np.array([[1.0, 2.0], [3.0, 4.0]]).view(Mine))
    assert type(x.array) is np.ndarray
    assert (x * x).tolist() == [[1.0, 4.0], [9.0, 16.0]]


def test_numpy_gives_the_array_itself():
    x = ag.ones(3)
    assert x.numpy() is x.array
    assert x.detach().numpy() is x.array
    assert np.shares_memory(np.asarray(x), x.array)
    assert not np.shares_memory(np.array(x), x.array)
    with pytest.raises(ValueError, match="Unable to avoid copy"):
        np.array(x, dtype=np.float64, copy=False)


def test_nothing_is_converted_for_nothing(device):
    x = ours(np.ones(3, np.float32), device)
    same = [
        x.to(ag.float32),
        x.to(device),
        x.to(x),
        x.float(),
        x.type(ag.float32),
        x.type_as(x),
        ag.as_tensor(x),
    ]
    assert all(y is x for y in same)
    assert x.to(ag.float32, copy=True) is not x
    assert not x._type.backend.shares_memory(x.to(ag.float32, copy=True).array, x.array)


@pytest.mark.parametrize("goal", ALL, ids=str)
def test_conversion_of_every_dtype_and_its_gradient(goal, device):
    values = np.array([[0.0, 1.0, 2.0], [3.0, 5.0, 7.0]])
    for source in ALL:
        x = ag.tensor(values, dtype=source, device=device)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # the imaginary part is discarded
            y = x.to(goal)
        assert y.dtype is goal
        expected = values.astype(bool) if ag.bool in (source, goal) else values
        assert_array_equal(host(y).astype(complex), expected.astype(complex))
        if min(source.category, goal.category) >= ag.float32.category and source is not goal:
            x.requires_grad_()
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", UserWarning)
                y = x.to(goal)
            assert y.grad_fn.name() == "ToCopyBackward0"
            y.backward(ag.tensor(values, dtype=goal, device=device))
            assert x.grad.dtype is source
            assert_array_equal(host(x.grad), values)


def test_casting_complex_to_real_warns_once_here(device):
    x = ours(np.array([1 + 2j]), device)
    for convert in (ag.Tensor.float, lambda x: x.to(ag.float64)):
        with pytest.warns(UserWarning, match="^Casting complex values to real discards the imaginary part$") as seen:
            y = convert(x)
        assert host(y).tolist() == [1.0]
    assert seen[0].filename == __file__


def test_ndarrays_and_tensors_compute_together(device):
    x = ours(np.array([1.0, 2.0]), device, requires_grad=True)
    array = np.array([3.0, 4.0]) if device == "cpu" else ours(np.array([3.0, 4.0]), device).array
    for y in (array * x, x * array, array - x, array / x, array < x, array**x, array @ x, x @ array):
        assert type(y) is ag.Tensor
        assert y.device == x.device
    (array * x).sum().backward()
    assert host(x.grad).tolist() == [3.0, 4.0]


def test_iteration_has_gradients(device):
    x = ours(np.arange(6.0).reshape(3, 2), device, requires_grad=True)
    first, _, third = x
    assert first.grad_fn.name() == "UnbindBackward0"
    (first * 2 + third * 3).sum().backward()
    assert host(x.grad).tolist() == [[2, 2], [0, 0], [3, 3]]


def test_dlpack_both_ways():
    x = ag.arange(4.0)
    assert x.__dlpack_device__() == (1, 0)
    array = np.from_dlpack(x)
    array = array if array.flags.writeable else x.array
    assert np.shares_memory(array, x.array)
    assert ag.from_dlpack(x).array is x.array
    torch = pytest.importorskip("torch")
    theirs = torch.from_dlpack(x)
    theirs[0] = 9.0
    assert x[0].item() == 9.0
    back = ag.from_dlpack(theirs)
    assert np.shares_memory(back.array, x.array)
    assert ag.as_tensor(theirs).tolist() == x.tolist()
    copied = ag.tensor(theirs)
    assert not np.shares_memory(copied.array, x.array)
    with pytest.raises(TypeError, match="expected an object with __dlpack__ and __dlpack_device__, got list"):
        ag.from_dlpack([1])


def test_other_array_likes_are_read():
    class ArrayLike:
        def __array__(self, dtype=None, copy=None):
            return np.arange(3, dtype=np.float32)

    assert ag.tensor(ArrayLike()).tolist() == [0.0, 1.0, 2.0]
    assert ag.as_tensor(ArrayLike(), dtype=ag.int64).tolist() == [0, 1, 2]


def test_asarray_copies_as_told():
    array = np.ones(3)
    assert not np.shares_memory(ag.asarray(array, copy=True).array, array)
    assert ag.asarray(array, copy=False).array is array
    with pytest.raises(ValueError, match="can't alias tensor"):
        ag.asarray(array, dtype=ag.float32, copy=False)
    with pytest.raises(RuntimeError, match="can require gradients"):
        ag.asarray([1], requires_grad=True)


@pytest.mark.parametrize("dtype", ALL, ids=str)
def test_pickles_and_copies_of_every_dtype(dtype, device):
    x = ag.tensor([[0, 1], [1, 0]], dtype=dtype, device=device)
    for twin in (pickle.loads(pickle.dumps(x)), copy.deepcopy(x), copy.copy(x)):
        assert (twin.dtype, twin.device, twin.requires_grad) == (dtype, x.device, False)
        assert_array_equal(host(twin), host(x))
    assert copy.copy(x).array is x.array
    assert copy.deepcopy(x).array is not x.array


def test_deepcopy_takes_the_gradient_along_and_keeps_identity():
    x = ag.ones(2, requires_grad=True)
    (x * 3).sum().backward()
    twins = copy.deepcopy([x, x])
    assert twins[0] is twins[1]
    assert twins[0].grad.tolist() == [3.0, 3.0]
    assert twins[0].grad is not x.grad
    shallow = copy.copy(x)
    assert shallow.requires_grad
    assert shallow.grad is None


def test_detach_in_place():
    x = ag.ones(2, requires_grad=True)
    y = x * 2
    assert y.detach_() is y
    assert y.is_leaf
    assert not y.requires_grad
    with pytest.raises(GraphError, match=re.escape("Can't detach views in-place. Use detach() instead.")):
        (x * 2)[0].detach_()


def test_save_and_load(tmp_path, device):
    state = {
        "weights": [ag.randn(2, 3, device=device).requires_grad_(), ag.arange(3)],
        "half": ag.ones(2, dtype=ag.bfloat16),
        "step": 7,
        "size": ag.Size([2, 3]),
        "dtype": ag.float32,
        "device": ag.device("cuda:1"),
        "array": np.arange(3),
        "tuple": (1.5, "name", None, 2j, {1, 2}),
    }
    ag.save(state, tmp_path / "state.pt")
    ag.save(state, str(tmp_path / "again.pt"))
    buffer = io.BytesIO()
    ag.save(state, buffer)
    buffer.seek(0)
    for loaded in (ag.load(tmp_path / "state.pt"), ag.load(str(tmp_path / "again.pt")), ag.load(buffer)):
        first = loaded["weights"][0]
        assert first.requires_grad
        assert first.device == state["weights"][0].device
        assert_array_equal(host(first), host(state["weights"][0]))
        assert {k: loaded[k] for k in ("step", "size", "dtype", "device", "tuple")} == {
            k: state[k] for k in ("step", "size", "dtype", "device", "tuple")
        }
        assert loaded["array"].tolist() == [0, 1, 2]
    moved = ag.load(tmp_path / "state.pt", map_location="cpu")["weights"][0]
    assert moved.device == ag.device("cpu")
    moved = ag.load(tmp_path / "state.pt", map_location={"cuda:0": "cpu"})["weights"][0]
    assert moved.device == ag.device("cpu")


class Evil:
    def __reduce__(self):
        return print, ("run",)


def test_load_refuses_what_could_run_code(tmp_path, capsys):
    ag.save([Evil()], tmp_path / "evil.pt")
    with pytest.raises(pickle.UnpicklingError, match=r"names builtins\.print, .*weights_only=False"):
        ag.load(tmp_path / "evil.pt")
    assert capsys.readouterr().out == ""
    ag.load(tmp_path / "evil.pt", weights_only=False)
    assert capsys.readouterr().out == "run\n"


def test_what_is_on_a_device_is_not_copied_unasked():
    with pytest.raises(TypeError, match=r"expected np\.ndarray"):
        ag.from_numpy(ag.ones(2))


@pytest.mark.gpu
@pytest.mark.skipif(not ag.cuda.is_available(), reason="there is no CUDA device")
class TestCuda:
    """Arrays on the device."""

    def test_cupy_arrays_are_shared(self):
        import cupy

        array = cupy.arange(4.0)
        for share in (ag.as_tensor, ag.asarray, ag.from_dlpack):
            x = share(array)
            assert x.array.data.ptr == array.data.ptr
        x = ag.as_tensor(array).requires_grad_()
        (x * x).sum().backward()
        assert type(x.grad.array) is cupy.ndarray
        assert x.grad.array.get().tolist() == [0.0, 2.0, 4.0, 6.0]
        assert (cupy.ones(4) * x).requires_grad

    def test_protocols(self):
        import cupy

        x = ag.arange(4.0, device="cuda")
        assert x.__dlpack_device__() == (2, 0)
        assert cupy.from_dlpack(x).data.ptr == x.array.data.ptr
        assert cupy.asarray(x).data.ptr == x.array.data.ptr
        assert x.__cuda_array_interface__["data"][0] == x.array.data.ptr
        with pytest.raises(RuntimeError, match="Can't get __cuda_array_interface__ on Variable that requires grad"):
            x.requires_grad_().__cuda_array_interface__  # noqa: B018

        class Foreign:
            __cuda_array_interface__ = x.detach().array.__cuda_array_interface__

        assert ag.as_tensor(Foreign()).array.data.ptr == x.array.data.ptr

    def test_nothing_goes_to_the_host_unasked(self):
        x = ag.ones(3, device="cuda")
        message = r"^can't convert cuda:0 device type tensor to numpy. Use Tensor.cpu\(\) to copy the tensor to"
        for convert in (ag.Tensor.numpy, np.asarray):
            with pytest.raises(TypeError, match=message):
                convert(x)
        assert x.numpy(force=True).tolist() == [1.0] * 3
        assert x.cpu().numpy().tolist() == [1.0] * 3

    def test_there_and_back(self):
        x = ag.arange(6.0).reshape(2, 3).requires_grad_()
        y = x.cuda()
        assert (y.device, y.is_cuda, y.get_device()) == (ag.device("cuda:0"), True, 0)
        assert y.grad_fn.name() == "ToCopyBackward0"
        (y * y).cpu().sum().backward()
        assert x.grad.tolist() == [[0.0, 2.0, 4.0], [6.0, 8.0, 10.0]]
        assert x.to("cuda", ag.float64).dtype is ag.float64
        assert x.cuda(0).device == x.to(0).device == x.to(y).device == y.device
        assert y.type() == "torch.cuda.FloatTensor"
        assert isinstance(y, ag.cuda.FloatTensor)
        assert not isinstance(y, ag.FloatTensor)
        assert ag.cuda.LongTensor([1, 2]).device == y.device
        assert y.type("torch.FloatTensor").device == x.device

    def test_numpy_arrays_go_to_the_device_when_asked(self):
        assert ag.tensor(np.ones(3), device="cuda").device == ag.device("cuda:0")
        assert ag.as_tensor(np.ones(3), device="cuda", dtype=ag.float16).dtype is ag.float16
