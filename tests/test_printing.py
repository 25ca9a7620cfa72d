"""A tensor's text is PyTorch's, to the letter."""

import dataclasses
import math

import numpy as np
import pytest

from autograd_gpu import dtypes, printing
from autograd_gpu.modes import Namespace
from autograd_gpu.printing import get_printoptions, printoptions, set_printoptions, tensor_text

SHAPES = [
    (), (1,), (7,), (60,), (1000,), (1001,), (0,), (0, 3), (2, 0, 3), (1, 1), (4, 5), (1, 30), (30, 1),
    (2, 3, 4), (1, 2, 1, 3), (40, 40), (3, 400), (400, 3), (2, 12, 50), (12, 10, 9), (1, 1200, 1),
    (2, 7, 8, 10),
]  # fmt: skip

VALUES = {  # each fills a shape with float64 numbers, which are then converted to the dtype under test
    "normal": lambda rng, shape: rng.normal(size=shape),
    "whole": lambda rng, shape: rng.integers(-20, 20, shape),
    "whole, to 1000": lambda rng, shape: rng.integers(1, 1001, shape),
    "whole, vast": lambda rng, shape: 10.0 ** rng.integers(0, 12, shape),
    "halves": lambda rng, shape: rng.integers(-20, 20, shape) / 2,
    "close to 1e8": lambda rng, shape: 1e8 + rng.integers(-8, 9, shape) * (rng.random() < 0.5),
    "about 1e-4": lambda rng, shape: 1e-4 * rng.uniform(0.999, 1.5, shape),
    "tiny": lambda rng, shape: 1e-7 * rng.normal(size=shape),
    "many magnitudes": lambda rng, shape: rng.normal(size=shape) * 10.0 ** rng.integers(-30, 30, shape),
    "ratio about 1000": lambda rng, shape: rng.choice([1.0, 999.5, 1000.0, 1000.5], shape),
    "zeros": lambda _, shape: np.zeros(shape),
    "signed zeros": lambda rng, shape: rng.choice([0.0, -0.0], shape),
    "special": lambda rng, shape: rng.choice([math.nan, math.inf, -math.inf], shape),
    "special and whole": lambda rng, shape: rng.choice([math.nan, math.inf, -math.inf, -0.0, 3], shape),
    "special and large": lambda rng, shape: rng.choice([math.nan, math.inf, -0.0, 12345.0, -2.5e9], shape),
    "special and normal": lambda rng, shape: rng.choice([math.nan, -math.inf, 0, -1.5, 0.1], shape),
    "the ends": lambda rng, shape: rng.choice([5e-324, 1e-310, 1.7e308, -6e-8, 65504.0], shape),
}  # fmt: skip

OPTIONS: dict[str, list] = {
    "precision": [None, 0, 1, 2, 7, 12],
    "threshold": [None, 0, 5, 50, math.inf],
    "edgeitems": [None, 0, 1, 2, 5],
    "linewidth": [None, 1, 20, 33, 120, 300],
    "profile": [None, "default", "short", "full"],
    "sci_mode": [None, True, False],
}


@pytest.fixture
def rng(request):
    return np.random.default_rng(list(request.node.name.encode()))


@pytest.fixture
def torch(monkeypatch):
    torch = pytest.importorskip("torch")
    monkeypatch.setattr(Namespace, "name", "torch")
    return torch


@pytest.fixture(autouse=True)
def _unchanged_options():
    before = get_printoptions()
    yield
    assert get_printoptions() == before, "a test left the print options changed"


def filled(rng, dtype, shape, kind):
    """An array of ``dtype`` whose numbers are of a ``kind`` in `VALUES`; complex parts of two kinds."""
    if dtype.is_complex:
        parts = filled(rng, dtype.to_real(), (2, *shape), kind)
        other = rng.choice(list(VALUES))
        array = np.empty(shape, dtype.numpy)
        array.real, array.imag = parts[0], filled(rng, dtype.to_real(), shape, other)
        return array
    values = np.asarray(VALUES[kind](rng, shape), dtype=np.float64)
    with np.errstate(all="ignore"):
        if dtype.is_floating_point:
            return values.astype(dtype.numpy)
        return np.asarray(np.nan_to_num(values)).astype(np.int64).astype(dtype.numpy)


def as_torch(torch, array):
    """The same numbers as a tensor of PyTorch, which knows no bfloat16 of NumPy's."""
    if array.dtype.kind == "V":
        return torch.from_numpy(array.view(np.int16)).view(torch.bfloat16)
    return torch.from_numpy(array)


def drawn_options(rng):
    """A few print options, the others left out."""
    names = [name for name in OPTIONS if rng.random() < 0.4]
    return {name: OPTIONS[name][rng.integers(len(OPTIONS[name]))] for name in names}


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("dtype", dtypes.ALL, ids=lambda dtype: dtype.name)
def test_text_is_torchs(torch, rng, dtype, shape):
    for kind in VALUES:
        array = filled(rng, dtype, shape, kind)
        assert tensor_text(array, dtype) == repr(as_torch(torch, array)), kind


@pytest.mark.parametrize("kind", VALUES)
@pytest.mark.parametrize("dtype", [dtypes.int64, dtypes.float32, dtypes.complex128], ids=lambda dtype: dtype.name)
def test_text_is_torchs_under_all_options(torch, rng, dtype, kind):
    for _ in range(12):
        shape = SHAPES[rng.integers(len(SHAPES))]
        array, options = filled(rng, dtype, shape, kind), drawn_options(rng)
        with printoptions(**options), torch._tensor_str.printoptions(**options):
            assert tensor_text(array, dtype) == repr(as_torch(torch, array)), (shape, options)


@pytest.mark.parametrize("default_device", ["cpu", "cuda"])
@pytest.mark.parametrize("dtype", [dtypes.float32, dtypes.float64, dtypes.complex64], ids=lambda dtype: dtype.name)
def test_suffixes_wrap_as_in_torch(torch, rng, monkeypatch, dtype, default_device):
    monkeypatch.setattr(torch._C, "_get_default_device", lambda: default_device)  # 'cuda': 'cpu' is shown
    device = None if default_device == "cpu" else "cpu"
    for shape in [*((n,) for n in range(24)), (2, 9), (0, 2), (3, 2, 1)]:
        array = filled(rng, dtype, shape, "normal")
        leaf = as_torch(torch, array).requires_grad_()
        with printoptions(linewidth=60), torch._tensor_str.printoptions(linewidth=60):
            assert tensor_text(array, dtype, device=device, requires_grad=True) == repr(leaf)
            text = tensor_text(array, dtype, device=device, requires_grad=True, grad_fn="CloneBackward0")
            assert text == repr(leaf.clone())


@pytest.mark.parametrize("shape", [(), (0,), (4, 9)], ids=str)
def test_prefix_moves_the_lines_as_in_torch(torch, rng, shape):
    subclass = type("Measurement", (torch.Tensor,), {})
    array = filled(rng, dtypes.float64, shape, "normal")
    expected = repr(as_torch(torch, array).as_subclass(subclass))
    assert tensor_text(array, dtypes.float64, prefix="Measurement(") == expected


@pytest.mark.parametrize("default", [d for d in dtypes.ALL if d.is_floating_point], ids=lambda d: d.name)
def test_dtype_is_shown_when_torch_shows_it(torch, default):
    dtypes.set_default_dtype(default)
    torch.set_default_dtype(getattr(torch, default.name))
    try:
        for dtype in dtypes.ALL:
            for array in np.ones(2, dtype.numpy), np.ones((), dtype.numpy), np.ones(0, dtype.numpy):
                assert tensor_text(array, dtype) == repr(as_torch(torch, array))
    finally:
        dtypes.set_default_dtype(dtypes.float32)
        torch.set_default_dtype(torch.float32)


def test_options_change_as_in_torch(torch, rng):
    ours = []
    with printoptions(), torch._tensor_str.printoptions():
        for _ in range(50):
            options = drawn_options(rng)
            set_printoptions(**options)
            torch.set_printoptions(**options)
            assert get_printoptions() == torch._tensor_str.get_printoptions(), options
            ours.append(get_printoptions())
    assert len({tuple(options.items()) for options in ours}) > 20


def test_array_layout_does_not_matter(torch, rng):
    array = filled(rng, dtypes.float32, (6, 8), "normal")
    for view in array.T, array[::-2, ::3], np.asfortranarray(array), np.broadcast_to(array[0], (3, 8)):
        assert tensor_text(view, dtypes.float32) == repr(torch.from_numpy(view.copy()))


def test_signalling_nans_print_without_a_warning():
    array = np.array([0x7F800001, 0x3F800000], np.uint32).view(np.float32)
    assert tensor_text(array, dtypes.float32) == "tensor([nan, 1.])"


@pytest.mark.parametrize(
    ("values", "dtype", "text"),
    [
        ([1, 2], "float32", "tensor([1., 2.])"),
        (0.1, "float32", "tensor(0.1000)"),
        ([0.5, -100], "float64", "tensor([   0.5000, -100.0000], dtype=autograd_gpu.float64)"),
        ([1e-5, 1], "float32", "tensor([1.0000e-05, 1.0000e+00])"),
        ([1, 1001], "float32", "tensor([1.0000e+00, 1.0010e+03])"),
        ([1, 1000], "float32", "tensor([   1., 1000.])"),
        ([1e8 + 8], "float32", "tensor([1.0000e+08])"),
        ([1e8], "float32", "tensor([100000000.])"),
        ([0, -0.0], "float32", "tensor([0., -0.])"),
        ([math.nan, math.inf, 100], "float32", "tensor([ nan,  inf, 100.])"),
        ([math.nan, -math.inf, 1], "float32", "tensor([nan, -inf, 1.])"),
        ([0.1, 2], "float16", "tensor([0.1000, 2.0000], dtype=autograd_gpu.float16)"),
        ([1, -10], "int64", "tensor([  1, -10])"),
        ([[1], [20]], "uint8", "tensor([[ 1],\n        [20]], dtype=autograd_gpu.uint8)"),
        ([True, False], "bool", "tensor([ True, False])"),
        (False, "bool", "tensor(False)"),
        (1 - 2j, "complex64", "tensor(1.-2.j)"),
        ([1 + 0.5j, -0.0], "complex64", "tensor([1.+0.5000j, -0.+0.0000j])"),
        ([complex(math.nan, math.inf)], "complex128", "tensor([nan+infj], dtype=autograd_gpu.complex128)"),
        ([], "float32", "tensor([])"),
        ([[]], "float32", "tensor([], size=(1, 0))"),
        ([], "int64", "tensor([], dtype=autograd_gpu.int64)"),
        ([[[0, 0]], [[0, 0]]], "float32", "tensor([[[0., 0.]],\n\n        [[0., 0.]]])"),
        (range(1001), "int64", "tensor([   0,    1,    2,  ...,  998,  999, 1000])"),
    ],
)
def test_text(values, dtype, text):
    assert tensor_text(np.array(values, dtype), dtypes.BY_NAME[dtype]) == text


def test_long_axes_are_cut_in_the_middle():
    text = """\
tensor([[[    0,     1,     2,  ...,    17,    18,    19],
         [   20,    21,    22,  ...,    37,    38,    39]],

        [[   40,    41,    42,  ...,    57,    58,    59],
         [   60,    61,    62,  ...,    77,    78,    79]],

        [[   80,    81,    82,  ...,    97,    98,    99],
         [  100,   101,   102,  ...,   117,   118,   119]],

        ...,

        [[39880, 39881, 39882,  ..., 39897, 39898, 39899],
         [39900, 39901, 39902,  ..., 39917, 39918, 39919]],

        [[39920, 39921, 39922,  ..., 39937, 39938, 39939],
         [39940, 39941, 39942,  ..., 39957, 39958, 39959]],

        [[39960, 39961, 39962,  ..., 39977, 39978, 39979],
         [39980, 39981, 39982,  ..., 39997, 39998, 39999]]])"""
    assert tensor_text(np.arange(40000).reshape(1000, 2, 20), dtypes.int64) == text


def test_bfloat16_text():
    bfloat16 = pytest.importorskip("ml_dtypes").bfloat16
    text = tensor_text(np.array([0.1, 1000], bfloat16), dtypes.BY_NAME["bfloat16"])
    assert text == "tensor([1.0010e-01, 1.0000e+03], dtype=autograd_gpu.bfloat16)"


def test_lines_break_before_80_characters():
    lines = tensor_text(np.arange(100), dtypes.int64).splitlines()
    assert [len(line) for line in lines] == [79] * 5 + [48]
    assert lines[0].endswith("17,")
    assert lines[1].startswith("        18, 19,")


def test_suffixes_come_in_torchs_order():
    text = tensor_text(
        np.zeros((0, 2), np.float16),
        dtypes.float16,
        device="cuda:0",
        requires_grad=True,
        grad_fn="AddBackward0",
    )
    assert text == (
        "tensor([], device='cuda:0', size=(0, 2), dtype=autograd_gpu.float16,\n       grad_fn=<AddBackward0>)"
    )
    text = tensor_text(np.ones((), np.float32), dtypes.float32, requires_grad=True)
    assert text == "tensor(1., requires_grad=True)"


def test_dtypes_carry_the_namespace_in_force(monkeypatch):
    monkeypatch.setattr(Namespace, "name", "torch")
    assert tensor_text(np.ones((), np.int32), dtypes.int32) == "tensor(1, dtype=torch.int32)"


def test_options():
    third = np.array([1 / 3, 2000 / 3], np.float32)
    with printoptions(precision=2):
        assert tensor_text(third, dtypes.float32) == "tensor([3.33e-01, 6.67e+02])"
    with printoptions(precision=1, sci_mode=False):
        assert tensor_text(third, dtypes.float32) == "tensor([  0.3, 666.7])"
    with printoptions(sci_mode=True):
        whole = np.array([1, 0], np.float32)
        assert tensor_text(whole, dtypes.float32) == "tensor([1.0000e+00, 0.0000e+00])"
    with printoptions(threshold=4, edgeitems=1):
        assert tensor_text(np.arange(5), dtypes.int64) == "tensor([0,  ..., 4])"
    with printoptions(threshold=4, edgeitems=0):
        assert tensor_text(np.arange(5), dtypes.int64) == "tensor([...], size=(5,))"
        assert tensor_text(np.arange(6).reshape(3, 2), dtypes.int64) == "tensor([...], size=(3, 2))"
    with printoptions(linewidth=16):
        assert tensor_text(np.arange(5), dtypes.int64) == "tensor([0, 1, 2,\n        3, 4])"


def test_setting_options_leaves_the_others_but_sci_mode():
    with printoptions(sci_mode=True, edgeitems=5):
        set_printoptions(precision=2)
        assert dataclasses.astuple(printing.PRINT_OPTIONS) == (2, 1000, 5, 80, None)


@pytest.mark.parametrize(
    ("profile", "expected"),
    [("default", (4, 1000, 3, 80)), ("short", (2, 1000, 2, 80)), ("full", (4, math.inf, 3, 80))],
)
def test_profiles(profile, expected):
    with printoptions():
        set_printoptions(precision=9, threshold=9, edgeitems=9, linewidth=9)
        set_printoptions(profile=profile)
        assert dataclasses.astuple(printing.PRINT_OPTIONS) == (*expected, None)
        set_printoptions(profile=profile, precision=7)
        assert dataclasses.astuple(printing.PRINT_OPTIONS) == (7, *expected[1:], None)


def test_options_return_when_the_block_raises():
    before = get_printoptions()
    with pytest.raises(ZeroDivisionError), printoptions(precision=1, sci_mode=True):
        1 / 0  # noqa: B018
    assert get_printoptions() == before


def test_unknown_options_are_refused():
    with pytest.raises(TypeError, match="unexpected keyword argument 'digits'"), printoptions(digits=3):
        pass
