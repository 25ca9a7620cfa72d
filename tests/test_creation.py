"""Tensors from numbers, of a given size, like others: PyTorch's values, dtypes, strides and complaints."""

import inspect
import itertools
import math
import re
import threading

import numpy as np
import pytest
from expressions import agree, complain
from numpy.testing import assert_array_equal
from support import host, ours

import autograd_gpu as ag
from autograd_gpu.dtypes import ALL
from autograd_gpu.errors import DtypeError, MissingCuda, ShapeError
from autograd_gpu.layouts import inner_to_outer

MADE = """
torch.tensor(3)
torch.tensor(3.5)
torch.tensor(True)
torch.tensor(2j)
torch.tensor([])
torch.tensor([[]])
torch.tensor([[], []])
torch.tensor([[], [1]])
torch.tensor([1, 2.5])
torch.tensor([True, 2])
torch.tensor([True, 2.5])
torch.tensor([1, 2j])
torch.tensor([[1.5, 2j]])
torch.tensor((1, 2))
torch.tensor(range(3))
torch.tensor([[[1, 2], [3, 4]], [[5, 6], [7, 8]]])
torch.tensor(np.float64(3))
torch.tensor(np.float32(3))
torch.tensor([np.float64(3), 1.5])
torch.tensor([np.float32(3), 1])
torch.tensor([np.int32(3), 1])
torch.tensor([np.int32(3)])
torch.tensor([np.bool_(True)])
torch.tensor([torch.tensor(1), torch.tensor(2.5)])
torch.tensor(torch.tensor([1.0]))
torch.tensor(torch.tensor([1.0], requires_grad=True))
torch.tensor([torch.tensor(1.0, requires_grad=True)])
torch.tensor([1.5, -2.7], dtype=torch.int64)
torch.tensor([-1, 255], dtype=torch.uint8)
torch.tensor([0.1, 1e40, 2**70], dtype=torch.float32)
torch.tensor([0.1, 70000.0, 1 / 3, 2**-25], dtype=torch.float16)
torch.tensor([0.1, 70000.0, 1 / 3], dtype=torch.bfloat16)
torch.tensor([2, 0, 0.5, nan], dtype=torch.bool)
torch.tensor([1, 2.5], dtype=torch.complex64)
torch.tensor([1.0], dtype=float)
torch.tensor([1.0], dtype=int)
torch.tensor([1.0], dtype=bool)
torch.tensor([1.0], dtype=complex)
torch.tensor([1.0], requires_grad=True)
torch.tensor(data=[1.0])
torch.tensor(np.arange(6).reshape(2, 3).T)
torch.tensor(np.array(["1"]).astype(np.int8))
torch.tensor([1.0]).new_tensor([1])
torch.tensor([1]).new_tensor([1.5])
torch.tensor([1.0]).new_tensor([1], dtype=torch.int8)
torch.ones(2, dtype=torch.float64).new_tensor([True])
torch.scalar_tensor(3)
torch.scalar_tensor(3.5, dtype=torch.int32)
torch.zeros(2, 3)
torch.zeros((2, 3))
torch.zeros([2, 3], dtype=torch.int8)
torch.zeros(size=(2,))
torch.zeros(())
torch.zeros(0, 3)
torch.zeros(torch.Size([2, 2]))
torch.zeros(torch.tensor(3))
torch.zeros(np.int64(3))
torch.zeros(2, layout=torch.strided, pin_memory=False, device="cpu", requires_grad=True)
torch.zeros(2, dtype=torch.complex64, requires_grad=True)
torch.ones(3, dtype=torch.bfloat16)
torch.full((2,), 3)
torch.full((2,), 3.0)
torch.full((2,), True)
torch.full((2,), 1j)
torch.full((2,), 0.1, dtype=torch.float16)
torch.full((2,), 3.7, dtype=torch.int64)
torch.full(size=(2,), fill_value=1)
torch.full((), 2)
torch.full((2,), torch.tensor(3))
torch.eye(3)
torch.eye(2, 3, dtype=torch.int64)
torch.eye(3, 0)
torch.zeros_like(torch.ones(2, dtype=torch.int64))
torch.ones_like(torch.ones(2, requires_grad=True))
torch.zeros_like(torch.ones(2), requires_grad=True)
torch.full_like(torch.ones(2, dtype=torch.int64), 3.7)
torch.full_like(torch.ones(2), fill_value=3, dtype=torch.int64)
torch.zeros_like(torch.ones(2, 3).t())
torch.zeros_like(torch.ones(2, 3).t(), memory_format=torch.contiguous_format)
torch.zeros_like(torch.ones(3, 1).expand(3, 4))
torch.zeros_like(torch.ones(1, 4).expand(3, 4))
torch.ones_like(torch.ones(2, 3, 4).permute(2, 0, 1))
torch.ones(2).new_zeros(3)
torch.ones(2, dtype=torch.float64).new_zeros((3, 2))
torch.ones(2, dtype=torch.int8).new_full((2,), 3.7)
torch.ones(2).new_ones(2, dtype=torch.int64)
torch.ones(2).new_ones(2, requires_grad=True)
torch.empty(2, 3).fill_(1)
torch.empty_like(torch.ones(2, 3).t()).fill_(1)
torch.ones(2).new_empty(3).fill_(1)
torch.arange(5)
torch.arange(5.0)
torch.arange(1, 5)
torch.arange(1, 5, 2)
torch.arange(1.0, 5)
torch.arange(5, 1, -2)
torch.arange(0)
torch.arange(True)
torch.arange(end=3)
torch.arange(start=1, end=3, step=1)
torch.arange(torch.tensor(3))
torch.arange(torch.tensor(3.0))
torch.arange(5, dtype=torch.float64)
torch.arange(2**40, 2**40 + 5, 2)
torch.arange(1.7, 4.2, dtype=torch.int32)
torch.arange(3, requires_grad=True, dtype=torch.float32)
torch.linspace(0, 1, 5)
torch.linspace(3, 10, steps=5, requires_grad=True)
torch.linspace(start=0, end=1, steps=2)
torch.linspace(0, 1, 1)
torch.linspace(0, 1, 0)
torch.linspace(0, 10, 4, dtype=torch.int64)
torch.linspace(0.5, 9.7, 7, dtype=torch.int64)
torch.linspace(1j, 2, 3)
torch.linspace(torch.tensor(0.0), torch.tensor(1.0), 3)
torch.logspace(0, 2, 3)
torch.logspace(0, 2, 3, base=2)
torch.logspace(0, 1, 1)
torch.logspace(0, 2, 5, dtype=torch.int64)
torch.Tensor()
torch.Tensor([1, 2])
torch.Tensor([[1, 2], [3, 4]])
torch.Tensor((2, 3))
torch.Tensor(2, 3).shape
torch.Tensor(3).shape
torch.Tensor(torch.Size([2, 3])).shape
torch.Tensor(size=(2,)).shape
torch.Tensor(np.array([1, 2]))
torch.Tensor(torch.ones(2, dtype=torch.int64))
torch.Tensor(torch.ones(2, requires_grad=True)).requires_grad
torch.Tensor([1], device="cpu")
torch.FloatTensor([1, 2])
torch.FloatTensor(2, 3).shape
torch.LongTensor([1.5, 2])
torch.BoolTensor([1, 0])
torch.HalfTensor([1]), torch.BFloat16Tensor([1]), torch.ByteTensor([1])
torch.LongTensor(np.array([1, 2], dtype=np.int32))
torch.FloatTensor(torch.ones(2))
[isinstance(torch.ones(2), t) for t in (torch.FloatTensor, torch.LongTensor, torch.Tensor)]
repr(torch.FloatTensor), repr(torch.cuda.LongTensor)
"""

REFUSED = """
torch.tensor([[1, 2], [3]])
torch.tensor([[1, 2], [3, 4, 5]])
torch.tensor([[[1], [2]], [[3], [4, 5]]])
torch.tensor([[1], []])
torch.tensor([[1, 2], 3])
torch.tensor([1, [2]])
torch.tensor("a")
torch.tensor(["a"])
torch.tensor([1, "a"])
torch.tensor(b"ab")
torch.tensor(None)
torch.tensor([1, None])
torch.tensor(object())
torch.tensor({1: 2})
torch.tensor([300], dtype=torch.uint8)
torch.tensor([128], dtype=torch.int8)
torch.tensor([nan], dtype=torch.int64)
torch.tensor([1e30], dtype=torch.int64)
torch.tensor([1j], dtype=torch.float32)
torch.tensor([2**63])
torch.tensor([1], requires_grad=True)
torch.tensor([1.0], requires_grad=1)
torch.tensor([1.0], dtype="float32")
torch.tensor([1.0], foo=1)
torch.tensor([1.0], torch.float32)
torch.tensor(np.array([1], dtype=">i4"))
torch.zeros()
torch.zeros(2.5)
torch.zeros("a")
torch.zeros(True)
torch.zeros(2, dtype=torch.int64, requires_grad=True)
torch.zeros(2, memory_format=torch.contiguous_format)
torch.ones(-1)
torch.full(2, 3)
torch.eye(-1)
torch.eye(2, -1)
torch.arange(5, 1)
torch.arange(1, 5, 0)
torch.arange(inf)
torch.arange(3, dtype=torch.bool)
torch.arange(3, dtype=torch.complex64)
torch.arange(1j)
torch.linspace(0, 1, -1)
torch.logspace(0, 1, -1)
torch.zeros_like([1])
torch.Tensor(2.5)
torch.zeros(2).type("foo")
torch.zeros(2).type(float)
"""


def lines(text):
    return [line for line in text.splitlines() if line]


@pytest.mark.parametrize("expression", lines(MADE))
def test_made_as_torch_makes_it(expression, monkeypatch):
    agree(expression, monkeypatch)


@pytest.mark.parametrize("expression", lines(REFUSED))
def test_refused_as_torch_refuses_it(expression, monkeypatch):
    complain(expression, monkeypatch)


RANGES = [
    (0, 1, 0.01),
    (0, 10, 0.1),
    (-3, 3, 0.007),
    (1, 2, 1 / 3),
    (0, 100, 0.3),
    (-1.7, 22, 0.0123),
    (5, -5, -0.1),
]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("bounds", RANGES, ids=str)
def test_arange_has_torchs_roundings(bounds, dtype, monkeypatch):
    agree(f"torch.arange(*{bounds}, dtype=torch.{dtype})", monkeypatch)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("ends", [(-math.pi, math.pi), (0, 1), (-1, 1), (0.1, 0.7), (3.3, -9.1)], ids=str)
def test_linspace_has_torchs_roundings(ends, dtype, monkeypatch):
    for steps in (2, 3, 17, 50, 101, 2000):
        agree(f"torch.linspace(*{ends}, {steps}, dtype=torch.{dtype})", monkeypatch)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_ranges_of_16_bit_floats(dtype, monkeypatch):
    torch = pytest.importorskip("torch")
    for make in (lambda t, d: t.arange(0, 3, 0.1, dtype=d), lambda t, d: t.linspace(-1, 1, 33, dtype=d)):
        mine, theirs = host(make(ag, getattr(ag, dtype))), host(make(torch, getattr(torch, dtype)))
        np.testing.assert_allclose(mine, theirs, rtol=2.0**-7 if dtype == "bfloat16" else 2.0**-10, atol=1e-3)


def test_strides_of_tensors_like_others(monkeypatch):
    torch = pytest.importorskip("torch")
    for shape in [(2, 3, 4), (1, 3, 2), (2, 1, 1, 3)]:
        for axes in itertools.permutations(range(len(shape))):
            x, y = ag.ones(shape).permute(axes), torch.ones(shape).permute(axes)
            long = [i for i, n in enumerate(x.shape) if n > 1]
            mine, theirs = ag.empty_like(x).stride(), torch.empty_like(y).stride()
            assert [mine[i] for i in long] == [theirs[i] for i in long], (shape, axes)


def test_order_of_axes_is_that_of_torch(rng):
    torch = pytest.importorskip("torch")
    for _ in range(300):
        shape = rng.choice([1, 2, 3, 4], rng.integers(1, 5))
        x = torch.ones(*map(int, shape)).permute(*map(int, rng.permutation(len(shape))))
        x = x[tuple(slice(None, None, int(step)) for step in rng.choice([1, 1, 2], len(shape)))]
        x = x.expand([int(rng.choice([1, 3])) if n == 1 else n for n in x.shape])
        strides, step = [0] * x.ndim, 1
        for axis in inner_to_outer(tuple(x.shape), x.stride()):
            strides[axis], step = step, step * x.shape[axis]
        long = [i for i, n in enumerate(x.shape) if n > 1]
        assert [strides[i] for i in long] == [torch.empty_like(x).stride(i) for i in long], (
            x.shape,
            x.stride(),
        )


@pytest.mark.parametrize("dtype", ALL, ids=str)
def test_every_dtype_on_every_device(dtype, device):
    made = [
        ag.zeros(2, 3, dtype=dtype, device=device),
        ag.ones((2, 3), dtype=dtype, device=device),
        ag.full((2, 3), 1, dtype=dtype, device=device),
        ag.eye(2, 3, dtype=dtype, device=device),
        ag.tensor([[1, 0, 1], [0, 1, 1]], dtype=dtype, device=device),
        ag.empty(2, 3, dtype=dtype, device=device).zero_(),
    ]
    values = [
        np.zeros((2, 3)),
        np.ones((2, 3)),
        np.ones((2, 3)),
        np.eye(2, 3),
        [[1, 0, 1], [0, 1, 1]],
        np.zeros((2, 3)),
    ]
    for tensor, value in zip(made, values, strict=True):
        assert tensor.dtype is dtype
        assert tensor.device.type == device
        assert_array_equal(host(tensor), value)
        for like in (ag.zeros_like(tensor), tensor.new_zeros(2, 3), ag.full_like(tensor, 0)):
            assert (like.dtype, like.device) == (dtype, tensor.device)
            assert not host(like).any()


@pytest.mark.parametrize("dtype", ["float32", "float64", "float16", "int64"])
def test_ranges_on_every_device(dtype, device):
    d = getattr(ag, dtype)
    for make in (
        lambda where: ag.arange(0, 37, 3, dtype=d, device=where),
        lambda where: ag.arange(0, 4, 0.01, dtype=d, device=where) if d.is_floating_point else ag.arange(4),
        lambda where: ag.linspace(-3, 7, 101, dtype=d, device=where),
        lambda where: ag.logspace(0, 3, 31, dtype=d, device=where),
    ):
        np.testing.assert_allclose(host(make(device)), host(make("cpu")), rtol=1e-6 if dtype != "float16" else 1e-3)


def test_results_own_their_memory_and_have_no_history():
    data = np.arange(3.0)
    made = ag.tensor(data)
    data[0] = 7
    assert made.tolist() == [0.0, 1.0, 2.0]
    x = ag.ones(2, requires_grad=True)
    assert not ag.zeros_like(x * 2).requires_grad
    with pytest.warns(UserWarning, match="To copy construct from a tensor"):
        copy = ag.tensor(x)
    assert copy.array is not x.array


def test_numpy_arrays_with_negative_strides_are_fine():
    assert ag.tensor(np.arange(3)[::-1]).tolist() == [2, 1, 0]
    assert ag.from_numpy(np.arange(3)[::-1]).tolist() == [2, 1, 0]


def test_out_is_written_to():
    out = ag.empty(0)
    assert ag.zeros(2, 3, out=out) is out
    assert out.tolist() == [[0.0] * 3] * 2
    out = ag.empty(3, dtype=ag.float64)
    array = out.array
    assert ag.arange(3, out=out).array is array
    assert out.tolist() == [0.0, 1.0, 2.0]


def test_default_dtype_is_that_of_python_floats():
    try:
        ag.set_default_dtype(ag.float64)
        assert ag.tensor([1.5]).dtype is ag.float64
        assert ag.tensor([1.5j]).dtype is ag.complex128
        assert {f.dtype for f in (ag.zeros(2), ag.rand(2), ag.linspace(0, 1, 2), ag.Tensor([1]))} == {ag.float64}
        assert ag.tensor([1]).dtype is ag.int64
        ag.set_default_tensor_type("torch.HalfTensor")
        assert ag.ones(1).dtype is ag.float16
        ag.set_default_tensor_type(ag.DoubleTensor)
        assert ag.get_default_dtype() is ag.float64
    finally:
        ag.set_default_dtype(ag.float32)
    with pytest.raises(TypeError, match="only floating-point types are supported as the default type"):
        ag.set_default_dtype(ag.int64)


def test_an_error_leaves_nothing_behind():
    state = ag.get_rng_state()
    with pytest.raises(RuntimeError, match=re.escape("Only Tensors of floating point and complex dtype")):
        ag.ones(2, dtype=ag.int64, requires_grad=True)
    with pytest.raises(ShapeError, match=re.escape("negative dimension -2: [-2]")):
        ag.rand(-2)
    with pytest.raises(DtypeError, match="not implemented for 'Long'"):
        ag.rand(2, dtype=ag.int64)
    assert ag.get_rng_state().tolist() == state.tolist()


def test_a_number_with_a_gradient_is_no_fill_value(monkeypatch):
    with pytest.raises(TypeError, match=r"full\(\): argument 'fill_value' must be Number, not Tensor"):
        ag.full((2,), ag.tensor(3.0, requires_grad=True))


@pytest.mark.skipif(ag.cuda.is_available(), reason="there is a CUDA device")
@pytest.mark.parametrize(
    "make",
    [
        lambda: ag.zeros(2, device="cuda"),
        lambda: ag.tensor([1.0], device="cuda:0"),
        lambda: ag.as_tensor([1.0], device="cuda"),
        lambda: ag.rand(2, device="cuda"),
        lambda: ag.ones(2).cuda(),
        lambda: ag.ones(2).to("cuda"),
        lambda: ag.set_default_device("cuda"),
        lambda: ag.ones(2, pin_memory=True),
        lambda: ag.cuda.FloatTensor(2),
        lambda: ag.Generator("cuda"),
        ag.cuda.current_device,
    ],
)
def test_cuda_that_is_not_there_says_what_mends_it(make):
    with pytest.raises(MissingCuda, match=r"^CUDA was asked for, but CuPy .*pip install"):
        make()


def test_default_device_of_a_thread(device):
    assert ag.get_default_device() == ag.device("cpu")
    try:
        ag.set_default_device(device)
        assert ag.get_default_device().type == device
        found = [
            ag.zeros(1),
            ag.tensor(1.0),
            ag.rand(1),
            ag.as_tensor([1]),
            ag.arange(2),
            ag.tensor(np.ones(1)),
        ]
        assert {tensor.device.type for tensor in found} == {device}
        assert ag.from_numpy(np.ones(1)).device.type == "cpu"
        assert ag.ones(1, device="cpu").device.type == "cpu"
    finally:
        ag.set_default_device(None)
    assert ag.zeros(1).device.type == "cpu"


def test_device_as_a_context(device):
    with ag.device(device) as where:
        assert where is ag.device(device)
        assert ag.zeros(1).device.type == device
        with ag.device("cpu"):
            assert ag.zeros(1).device.type == "cpu"
        assert ag.get_default_device().type == device
    assert ag.zeros(1).device.type == "cpu"
    with pytest.raises(ZeroDivisionError), ag.device(device):
        raise ZeroDivisionError
    assert ag.get_default_device().type == "cpu"


def test_a_thread_has_its_own_default_device():
    found = []
    with ag.device("cuda"):
        thread = threading.Thread(target=lambda: found.append(ag.zeros(1).device))
        thread.start()
        thread.join()
    assert found == [ag.device("cpu")]


def test_signatures_show_torchs_keywords():
    shown = inspect.signature(ag.zeros).parameters
    assert {"size", "out", "dtype", "layout", "device", "pin_memory", "requires_grad"} <= shown.keys()
    assert list(inspect.signature(ag.full).parameters)[:2] == ["size", "fill_value"]
    assert "memory_format" in inspect.signature(ag.zeros_like).parameters
    assert "dtype" in inspect.signature(ag.linspace).parameters


@pytest.mark.gpu
@pytest.mark.skipif(not ag.cuda.is_available(), reason="there is no CUDA device")
def test_pinned_memory_is_on_the_host():
    made = ag.ones(3, pin_memory=True)
    assert made.device.type == "cpu"
    assert made.tolist() == [1.0] * 3
    assert made.pin_memory().cuda().tolist() == [1.0] * 3


def test_cuda_arrays_stay_where_they_are(device):
    x = ours(np.arange(3.0), device)
    assert ag.as_tensor(x.array).array is x.array
    made = ag.tensor(x.array)
    assert made.device == x.device
    assert made.array is not x.array
    assert host(made).tolist() == [0.0, 1.0, 2.0]
