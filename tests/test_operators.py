"""Operators, overloads, in-place forms and errors of the elementwise functions, as users of torch know them."""

import types
from typing import Any

import numpy as np
import pytest
from elementwise import differentiable, sample, taken
from support import assert_same, host, ours, theirs

import autograd_gpu as ag
from autograd_gpu import backends
from autograd_gpu.op import FUNCTIONAL, IN_PLACE, PUBLIC, TABLE, Op
from autograd_gpu.tensor import Tensor

F = types.SimpleNamespace(**FUNCTIONAL)


def leaf(*values: float) -> Tensor:
    return ag.tensor(list(values), requires_grad=True)


# --- nodes ----------------------------------------------------------------------------------------

NODES = {
    "AddBackward0 ..": lambda a, b: a + b,
    "AddBackward0 .-": lambda a, b: 2 + a,
    "AddBackward0 .. alpha": lambda a, b: ag.add(a, b, alpha=2),
    "SubBackward0 ..": lambda a, b: a - b,
    "SubBackward0 .. alpha": lambda a, b: a.sub(b, alpha=2),
    "RsubBackward1 .": lambda a, b: 2 - a,
    "RsubBackward0 ..": lambda a, b: ag.rsub(input=a, other=b),
    "RsubBackward1 . alpha": lambda a, b: ag.rsub(a, 2, alpha=3),
    "MulBackward0 ..": lambda a, b: a * b,
    "MulBackward0 .- reflected": lambda a, b: 2 * a,
    "DivBackward0 ..": lambda a, b: a / b,
    "DivBackward0 .-": lambda a, b: a / 2,
    "DivBackward2 ..": lambda a, b: ag.div(a, b, rounding_mode="floor"),
    "MulBackward0 n-": lambda a, b: 2 / a,
    "PowBackward0 .": lambda a, b: a**2,
    "PowBackward0 . 3": lambda a, b: a**3,
    "PowBackward0 . half": lambda a, b: a.pow(0.5),
    "PowBackward1 ..": lambda a, b: a**b,
    "PowBackward2 .": lambda a, b: 2**a,
    "NegBackward0 .": lambda a, b: -a,
    "AbsBackward0 .": lambda a, b: abs(a),
    "RemainderBackward0 .": lambda a, b: a % 2,
    "RemainderBackward1 ..": lambda a, b: a % b,
    "FmodBackward0 .": lambda a, b: a.fmod(2),
    "NotImplemented ..": lambda a, b: a // b,
    "NotImplemented .": lambda a, b: a // 2,
    "ClampBackward1 .": lambda a, b: a.clamp(min=0),
    "ClampBackward1 . both": lambda a, b: a.clip(0, 1),
    "ClampBackward0 ..-": lambda a, b: a.clamp(a, a.detach()),
    "ClampMinBackward0 .": lambda a, b: a.clamp_min(0),
    "ClampMinBackward1 ..": lambda a, b: a.clamp_min(b),
    "WhereBackward0 ..": lambda a, b: ag.where(a > 0, a, b),
    "WhereBackward0 .- number": lambda a, b: ag.where(a > 0, a, 0.0),
    "WhereBackward0 .. method": lambda a, b: a.where(a > 0, b),
    "LerpBackward0 ..": lambda a, b: a.lerp(b, 0.5),
    "LerpBackward1 ...": lambda a, b: a.lerp(b, a),
    "AddcmulBackward0 ...": lambda a, b: ag.addcmul(a, a, b, value=2),
    "AddcdivBackward0 ...": lambda a, b: a.addcdiv(a, b),
    "XlogyBackward1 .": lambda a, b: ag.xlogy(2, a),
    "XlogyBackward2 .": lambda a, b: ag.xlogy(a, 2),
    "CopysignBackward1 .": lambda a, b: a.copysign(-1),
    "RoundBackward0 .": lambda a, b: a.round(),
    "RoundBackward1 .": lambda a, b: a.round(decimals=2),
    "Log1PBackward0 .": lambda a, b: a.log1p(),
    "Deg2RadBackward0 .": lambda a, b: a.deg2rad(),
    "Atan2Backward0 ..": lambda a, b: ag.arctan2(a, other=b),
    "Logaddexp2Backward0 ..": lambda a, b: ag.logaddexp2(a, other=b),
    "LogitBackward0 .": lambda a, b: a.logit(0.1),
    "NanToNumBackward0 .": lambda a, b: a.nan_to_num(),
    "ReluBackward0 .": lambda a, b: a.relu(),
    "SiluBackward0 .": lambda a, b: F.silu(a),
    "GeluBackward0 .": lambda a, b: F.gelu(a),
    "GeluBackward0 . tanh": lambda a, b: F.gelu(a, approximate="tanh"),
    "EluBackward0 . selu": lambda a, b: F.selu(a),
    "HardtanhBackward0 . relu6": lambda a, b: F.relu6(a),
    "LogSigmoidBackward0 .": lambda a, b: F.logsigmoid(a),
    "SoftplusBackward0 .": lambda a, b: F.softplus(a),
    "LeakyReluBackward0 .": lambda a, b: F.leaky_relu(a),
    "SubBackward0 .n tanhshrink": lambda a, b: F.tanhshrink(a),
    "DivBackward0 .n softsign": lambda a, b: F.softsign(a),
}


@pytest.mark.parametrize("zero_dim", [False, True], ids=["vectors", "0-d"])
@pytest.mark.parametrize("expected", NODES)
def test_nodes_and_their_parents_are_called_as_in_torch(expected: str, zero_dim: bool) -> None:
    """A dot is a leaf, n another node, a dash a constant."""
    a, b = (leaf(1.0, 2.0) if not zero_dim else ag.tensor(1.5, requires_grad=True) for _ in range(2))
    name, parents = expected.split()[:2]
    y = NODES[expected](a, b)
    assert type(y.grad_fn).__name__ == name
    shown = ("-" if node is None else "." if type(node).__name__ == "AccumulateGrad" else "n"
             for node, _ in y.grad_fn.next_functions)  # fmt: skip
    assert "".join(shown) == parents


@pytest.mark.parametrize("write", ["a // b", "a // 2", "3 // a", "ag.heaviside(a, b)"])
def test_what_torch_does_not_differentiate_refuses_in_backward(write: str) -> None:
    a, b = leaf(1.0, 2.0), leaf(3.0, 4.0)
    y = eval(write, {"a": a, "b": b, "ag": ag})
    assert repr(y).endswith("grad_fn=<NotImplemented>)")
    name = "heaviside" if "heaviside" in write else "floor_divide"
    with pytest.raises(RuntimeError, match=f"derivative for aten::{name} is not implemented"):
        y.sum().backward()
    assert a.grad is None


# --- Python's operators ---------------------------------------------------------------------------


class Stranger:
    """Knows how to deal with tensors."""

    def __radd__(self, other: Any) -> str:
        return "stranger"

    __rmul__ = __rsub__ = __rtruediv__ = __rpow__ = __rfloordiv__ = __rmod__ = __rand__ = __radd__
    __lt__ = __gt__ = __eq__ = __radd__

    def __hash__(self) -> int:
        return 0


@pytest.mark.parametrize("write", ["t + s", "t * s", "t - s", "t / s", "t ** s", "t // s", "t % s", "t < s", "t == s"])
@pytest.mark.parametrize("t", [ag.tensor([1.0]), ag.tensor([1])], ids=["float", "int"])
def test_an_operator_leaves_strangers_to_themselves(write: str, t: Tensor) -> None:
    assert eval(write, {"t": t, "s": Stranger()}) == "stranger"


@pytest.mark.parametrize("other", [None, "a", [1.0], {}])
@pytest.mark.parametrize("t", [ag.tensor([1.0, 2.0]), ag.tensor([1, 2])], ids=["float", "int"])
def test_foreign_operands_are_refused(other: Any, t: Tensor) -> None:
    for write in ("t + o", "o + t", "t - o", "o - t", "t * o", "o * t", "t / o", "o / t", "t ** o", "o ** t", "o // t"):
        with pytest.raises(TypeError):
            eval(write, {"t": t, "o": other})
    for write in ("t < o", "t >= o"):
        with pytest.raises(TypeError, match="not supported between instances of 'Tensor'"):
            eval(write, {"t": t, "o": other})
    assert (t == other) is False
    assert (t != other) is True


def test_functions_name_the_operand_that_is_none() -> None:
    x = ag.tensor([1.0])
    for call, message in (
        (lambda: ag.mul(x, "a"), "mul(): argument 'other' (position 2) must be Tensor, not str"),
        (lambda: ag.add("a", x), "add(): argument 'input' (position 1) must be Tensor, not str"),
        (lambda: ag.exp(2.0), "exp(): argument 'input' (position 1) must be Tensor, not float"),
        (lambda: ag.add(x, x, alpha="a"), "add(): argument 'alpha' must be Number, not str"),
        (lambda: ag.clamp(x, "a"), "clamp(): argument 'min' (position 2) must be Tensor, not str"),
        (lambda: ag.pow(2, 3), "pow(): argument 'input' (position 1) must be Tensor, not int"),
        (lambda: ag.exp(x, dtype=ag.float32), "exp() got an unexpected keyword argument 'dtype'"),
    ):
        with pytest.raises(TypeError) as caught:
            call()
        assert str(caught.value) == message


def test_arrays_are_operands() -> None:
    array = np.array([1.0, 2.0], np.float32)
    x = leaf(3.0, 4.0)
    for y in (array * x, x * array, array + x, x - array, np.float32(2) * x):
        assert type(y) is Tensor
        assert y.requires_grad
    assert (array / x).tolist() == pytest.approx([1 / 3, 0.5])


ERRORS = {
    "b - b": "Subtraction, the `-` operator, with two bool tensors is not supported. Use the `^` or `logical_xor()` "
    "operator instead.",
    "b - 1": "Subtraction, the `-` operator, with a bool tensor is not supported. If you are trying to invert a mask, "
    "use the `~` or `logical_not()` operator instead.",
    "1 - b": "Subtraction, the `-` operator, with a bool tensor is not supported. If you are trying to invert a mask, "
    "use the `~` or `logical_not()` operator instead.",
    "i - True": "Subtraction, the `-` operator, with a bool tensor is not supported. If you are trying to invert a "
    "mask, use the `~` or `logical_not()` operator instead.",
    "-b": "Negation, the `-` operator, on a bool tensor is not supported. If you are trying to invert a mask, use the "
    "`~` or `logical_not()` operator instead.",
    "+b": "The `+` operator, on a bool tensor is not supported.",
    "i // 0": "ZeroDivisionError",
    "i % 0": "ZeroDivisionError",
    "i.fmod(z)": "ZeroDivisionError",
    "ag.div(i, z, rounding_mode='trunc')": "ZeroDivisionError",
    "ag.div(i, 1, rounding_mode='up')": "div expected rounding_mode to be one of None, 'trunc', or 'floor' but found 'up'",
    "i ** -1": "Integers to negative integer powers are not allowed.",
    "ag.add(i, i, alpha=1.5)": "For integral input tensors, argument alpha must not be a floating point number.",
    "ag.add(x, b, alpha=True)": "Boolean alpha only supported for Boolean results.",
    "ag.add(x, x, alpha=1j)": "For non-complex input tensors, argument alpha must not be a complex number.",
    "ag.clamp(x)": "torch.clamp: At least one of 'min' or 'max' must not be None",
    "ag.clamp(c, 0)": "clamp is not supported for complex types",
    "ag.lerp(x, x.double(), 0.5)": "expected dtype float for `end` but got dtype double",
    "ag.where(x, x, x)": "where expected condition to be a boolean tensor, but got a tensor with dtype Float",
    "ag.heaviside(i, x)": "heaviside is not yet implemented for tensors with different dtypes.",
    "ag.isclose(x, i)": "Float did not match Long",
    "ag.isclose(x, x, rtol=-1)": "rtol must be greater than or equal to zero, but got -1",
    "ag.polygamma(-1, x)": "polygamma(n, x) does not support negative n.",
    "ag.imag(x)": "imag is not implemented for tensors with non-complex dtypes.",
    "ag.sign(c)": "Unlike NumPy, torch.sign is not intended to support complex numbers. Please use torch.sgn instead.",
    "ag.floor(c)": "floor is not supported for complex inputs",
    "ag.maximum(c, c)": "maximum not implemented for complex tensors.",
    "x & x": "\"bitwise_and_cpu\" not implemented for 'Float'",
    "x << 1": "\"lshift_cpu\" not implemented for 'Float'",
    "x + x3": "The size of tensor a (2) must match the size of tensor b (3) at non-singleton dimension 0",
    "F.gelu(x, approximate='x')": "approximate argument must be either none or tanh.",
}


@pytest.mark.parametrize("write", ERRORS)
def test_errors_say_what_torchs_say(write: str) -> None:
    names = {
        "x": ag.tensor([1.0, 2.0]), "x3": ag.tensor([1.0, 2.0, 3.0]), "i": ag.tensor([1, 2]), "z": ag.tensor([0, 1]),
        "b": ag.tensor([True, False]), "c": ag.tensor([1j, 2j]), "ag": ag, "F": F,
    }  # fmt: skip
    for _ in range(2):  # the second call may take another road
        with pytest.raises(RuntimeError) as caught:
            eval(write, names)
        assert str(caught.value) == ERRORS[write]


def test_inverting_floats_is_a_type_error() -> None:
    with pytest.raises(
        TypeError, match=r"~ \(operator.invert\) is only implemented on integer and Boolean-type tensors"
    ):
        ~ag.tensor([1.0])
    with pytest.raises(ValueError, match="min_val cannot be greater than max_val"):
        F.hardtanh(ag.tensor([1.0]), 1, 0)


# --- in place -------------------------------------------------------------------------------------

WRITABLE = [op for op in TABLE.values() if isinstance(op, Op) and op.public and op.in_place and op.name in IN_PLACE]


def arguments(op: Op, rng: np.random.Generator) -> list[Any]:
    dtype = taken(op, "float64", "int64")[0]
    if op.name == "heaviside":
        dtype = "float64"
    return sample(op, rng, dtype, (3, 4))


@pytest.mark.parametrize("op", WRITABLE, ids=[op.name for op in WRITABLE])
def test_in_place_forms_write_into_their_tensor(op: Op, rng: np.random.Generator, device: str) -> None:
    first, *more = arguments(op, rng)
    expected = op(*(ours(x, device) if isinstance(x, np.ndarray) else x for x in (first, *more)))
    x = ours(first, device)
    memory = x.array
    others = [ours(o, device) if isinstance(o, np.ndarray) else o for o in more]
    named = {"value": others.pop()} if "value" in op.defaults else {}
    assert getattr(x, f"{op.name}_")(*others, **named) is x
    assert x.array is memory
    assert x._version == 1
    np.testing.assert_allclose(host(x), host(expected).astype(first.dtype), rtol=1e-12)


NOT_IN_TORCH = ("asinh", "acosh", "atanh")  # "the derivative for 'inplace version of asinh' is not implemented"
RECORDABLE = [op for op in WRITABLE if op.partials not in (None, NotImplemented) and op.name not in NOT_IN_TORCH]


@pytest.mark.parametrize("op", RECORDABLE, ids=[op.name for op in RECORDABLE])
def test_in_place_forms_are_differentiated_as_in_torch(op: Op, rng: np.random.Generator) -> None:
    pytest.importorskip("torch")
    operands = arguments(op, rng)
    recorded = differentiable(op, operands)
    grads = []
    for make in ours, theirs:
        leaves = [
            make(x, requires_grad=i in recorded) if isinstance(x, np.ndarray) else x for i, x in enumerate(operands)
        ]
        x = leaves[0] * 1.0
        more = leaves[1:]
        named = {"value": more.pop()} if "value" in op.defaults else {}
        y = getattr(x, f"{op.name}_")(*more, **named)
        (y * y).sum().backward()
        grads.append([leaves[i].grad for i in recorded])
    for mine, torchs in zip(*grads, strict=True):
        assert_same(mine, torchs, scale=4, what=op.name)


def test_in_place_operators_keep_the_memory_and_its_dtype(device: str) -> None:
    x = ours(np.array([5.0, 7.0], np.float32), device)
    memory = x.array
    x += 1
    x -= ours(np.array([1.0, 2.0]), device)
    x *= x
    x /= 2
    x **= 2
    x %= 50
    assert x.tolist() == [6.25, 24.0]
    x.add_(x, alpha=-0.5)
    assert x.tolist() == [3.125, 12.0]
    x.clamp_(max=20).neg_().div_(3, rounding_mode="floor").mul_(0.27).round_(decimals=1)
    assert x.tolist() == pytest.approx([-0.5, -1.1])
    assert x.array is memory
    assert x.dtype is ag.float32
    assert x._version == 12


def test_in_place_forms_without_a_graph_compute_into_the_tensor(monkeypatch: pytest.MonkeyPatch) -> None:
    x, g = ag.tensor([1.0, 2.0]), ag.tensor([3.0, 4.0])
    seen = []
    for name in ("add", "add_scaled"):
        original = TABLE[name].numpy

        def watched(*args: Any, original: Any = original, out: Any = None) -> Any:
            seen.append(out)
            return original(*args, out=out)

        monkeypatch.setattr(TABLE[name], "numpy", watched)
    x.add_(g)
    x.add_(g, alpha=-0.5)
    assert [out is x.array for out in seen] == [True, True]


@pytest.mark.parametrize(
    ("write", "message"),
    [
        ("i.add_(1.5)", "result type Float can't be cast to the desired output type Long"),
        ("i.div_(2)", "result type Float can't be cast to the desired output type Long"),
        ("one.add_(x)", r"output with shape \[1\] doesn't match the broadcast shape \[2\]"),
        ("x.expand(3, 2).add_(1)", "more than one element of the written-to tensor refers to a single memory location"),
        ("leaf.add_(1)", "a leaf Variable that requires grad is being used in an in-place operation."),
        ("leaf.exp_()", "a leaf Variable that requires grad is being used in an in-place operation."),
    ],
)
@pytest.mark.parametrize("grad", [True, False])
def test_writes_that_cannot_be_are_refused_and_change_nothing(write: str, message: str, grad: bool) -> None:
    names = {"i": ag.tensor([1, 2]), "x": ag.tensor([1.0, 2.0]), "one": ag.tensor([1.0]), "leaf": leaf(1.0, 2.0)}
    before = {name: t.tolist() for name, t in names.items()}
    if "leaf" in write and not grad:
        pytest.skip("allowed without a graph")
    with ag.set_grad_enabled(grad), pytest.raises(RuntimeError, match=message):
        eval(write, dict(names))
    assert {name: t.tolist() for name, t in names.items()} == before
    assert all(t._version == 0 for t in names.values())


def test_an_overlapping_write_reads_before_it_writes(device: str) -> None:
    x = ours(np.arange(6.0), device)
    x[1:].add_(x[:-1])
    assert x.tolist() == [0, 1, 3, 5, 7, 9]


def test_out_is_written_to_and_resized(device: str) -> None:
    x = ours(np.array([1.0, 4.0], np.float32), device)
    out = ours(np.zeros(2, np.float32), device)
    memory = out.array
    assert ag.sqrt(x, out=out) is out
    assert out.array is memory
    assert out.tolist() == [1, 2]
    assert ag.add(x, x, alpha=2, out=ours(np.zeros(0, np.float32), device)).tolist() == [3, 12]
    with pytest.raises(RuntimeError, match="result type Float can't be cast to the desired output type Long"):
        ag.sqrt(x, out=ours(np.zeros(2, np.int64), device))


@pytest.mark.parametrize(
    "call", ["ag.exp(x, out=t)", "ag.add(x, 1, out=t)", "ag.exp(t, out=x)", "ag.clamp(x, 0, 1, out=t)"]
)
def test_out_takes_no_part_in_a_graph(call: str) -> None:
    name = call[3 : call.index("(")]
    with pytest.raises(RuntimeError) as caught:
        eval(call, {"ag": ag, "x": leaf(1.0), "t": ag.tensor([1.0])})
    assert str(caught.value) == (
        f"{name}(): functions with out=... arguments don't support automatic differentiation, but one of the arguments "
        "requires grad."
    )


def test_functional_forms_work_in_place_too() -> None:
    x = ag.tensor([-1.0, 2.0])
    assert F.relu(x, inplace=True) is x
    assert x.tolist() == [0, 2]
    assert F.leaky_relu_(ag.tensor([-1.0]), 0.5).tolist() == [-0.5]
    a = leaf(-1.0, 2.0)
    y = F.elu(a * 2, inplace=True)
    y.sum().backward()
    assert a.grad.tolist() == pytest.approx([2 * np.exp(-2), 2])


# --- overloads ------------------------------------------------------------------------------------

CALLS = {
    "alpha": lambda t, F, x, y: t.add(x, y, alpha=-2) + x.sub(y, alpha=0.5) + t.rsub(x, y, alpha=3),
    "bounds": lambda t, F, x, y: x.clamp(y, y + 1) + x.clamp(max=0.3) + t.clip(x, -0.2, 0.4) + x.clamp_min(y),
    "powers": lambda t, F, x, y: x**2 + x**3 + x.pow(0) + t.pow(x, 1) + (x * x) ** 0.5 + 2**x + (x * x + 1) ** y + t.square(y),
    "inverse powers": lambda t, F, x, y: (x + 3) ** -1 + (x + 3) ** -2 + (y + 3) ** -0.5 + 1 / (y + 3),
    "rounded": lambda t, F, x, y: t.div(x, y, rounding_mode="floor") + x.div(y, rounding_mode="trunc") * y,
    "decimals": lambda t, F, x, y: x * t.round(y, decimals=1) + (30 * x).round(decimals=-1) * y,
    "lerp": lambda t, F, x, y: t.lerp(x, y, 0.7) + x.lerp(y, y),
    "addc": lambda t, F, x, y: t.addcmul(x, x, y, value=0.5) + x.addcdiv(x, y + 3, value=2),
    "logit": lambda t, F, x, y: t.logit(x.sigmoid()) + (0.6 * y).sigmoid().logit(eps=0.3),
    "nan_to_num": lambda t, F, x, y: (x / (y - y)).nan_to_num(0.5, 3.0, -3.0) + (x.log()).nan_to_num(),
    "polygamma": lambda t, F, x, y: t.polygamma(2, x + 3) + (y + 3).polygamma(0),
    "modulo": lambda t, F, x, y: x % 0.7 + 3 % (y + 3) * 0 + x.fmod(0.3) + x.remainder(y + 3),
    "composites": lambda t, F, x, y: F.tanhshrink(x) + F.softsign(y) + F.hardtanh(x, -0.3, 0.4) + F.threshold(y, 0.1, 2.0),
    "selection": lambda t, F, x, y: t.where(x > y, x, y) + x.where(y > 0, x * 2) + t.where(x > 0, 1.0, y),
    "float_power": lambda t, F, x, y: t.float_power(x + 3, 2.5) + (x + 3).float_power(y),
}  # fmt: skip


@pytest.mark.filterwarnings("ignore:invalid value")
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("case", CALLS)
def test_overloads_have_torchs_values_and_gradients(case: str, dtype: str, rng: np.random.Generator) -> None:
    torch = pytest.importorskip("torch")
    arrays = [rng.uniform(-1, 1, (3, 4)).astype(dtype) for _ in range(2)]
    results = []
    for make, library, functional in ((ours, ag, F), (theirs, torch, torch.nn.functional)):
        x, y = (make(a, requires_grad=True) for a in arrays)
        if case == "modulo" and library is torch:
            z = x % 0.7 + x.fmod(0.3) + x.remainder(y + 3)  # torch does not differentiate 3 % y
        else:
            z = CALLS[case](library, functional, x, y)
        first = library.autograd.grad(z.sum(), (x, y), create_graph=True, materialize_grads=True)
        results.append((z, *first))
    for mine, torchs in zip(*results, strict=True):
        assert_same(mine, torchs, scale=10, what=case)


@pytest.mark.parametrize(
    "call",
    [
        "t.isclose(x, y)", "t.isclose(x, y, rtol=0.5)", "t.isclose(x, x * nan, equal_nan=True)", "x.isclose(x)",
        "t.isclose(x * nan, x * nan, equal_nan=True)", "t.isclose(x / 0, x / 0)", "t.isclose(x, y, rtol=0, atol=0)",
        "t.isclose(i, i + 1, rtol=0.4)", "t.isclose(b, b)", "t.isclose(c, c + 1e-9)",
    ],
)  # fmt: skip
def test_isclose_is_torchs(call: str) -> None:
    torch = pytest.importorskip("torch")
    mine, torchs = (
        eval(call, {
            "t": t, "nan": float("nan"), "x": t.tensor([1.0, -2.0, 0.0]), "y": t.tensor([1.0, -2.1, 1e-9]),
            "i": t.tensor([1, 2, 5]), "b": t.tensor([True, False]), "c": t.tensor([1j, 2.0]),
        })
        for t in (ag, torch)
    )  # fmt: skip
    assert_same(mine, torchs)


def test_tensors_are_equal_or_close_as_a_whole(device: str) -> None:
    x, y = (ours(np.array(v), device) for v in ([1.0, 2.0], [1.0, 2.0 + 1e-9]))
    assert ag.allclose(x, y) is True
    assert ag.equal(x, y) is False
    assert ag.equal(x, x + 0) is True
    assert x.equal(x[:1]) is False
    assert ag.allclose(x, y + 1) is False


def test_parts_of_complex_tensors_are_views_with_gradients() -> None:
    torch = pytest.importorskip("torch")
    array = np.array([1 + 2j, -3 + 0.5j])
    grads = []
    for make, t in ((ours, ag), (theirs, torch)):
        z = make(array, requires_grad=True)
        y = (z.real * 3 + z.imag**2 + t.real(z.conj()) * t.angle(z) + z.abs()).sum()
        grads.append(t.autograd.grad(y, z)[0])
        w = make(array)
        w.real.mul_(2)
        w.imag += 1
        assert host(w).tolist() == [2 + 3j, -6 + 1.5j]
    assert_same(*grads)
    x = ag.tensor([1.0])
    assert x.real is x
    assert x.conj() is x
    assert ag.complex(x, x).tolist() == [1 + 1j]


def test_every_public_row_has_its_functions_and_aliases() -> None:
    for op in TABLE.values():
        if isinstance(op, Op) and op.public:
            for name in (op.name, *op.aliases):
                assert callable(PUBLIC[name])
                assert hasattr(Tensor, name)
                assert hasattr(Tensor, f"{name}_") == (name in IN_PLACE)
    assert ag.arcsin is ag.asin


def test_torch_has_what_is_public_here() -> None:
    torch = pytest.importorskip("torch")
    for op in TABLE.values():
        if isinstance(op, Op) and op.public:
            for name in (op.name, *op.aliases):
                assert hasattr(torch, name), name
                assert hasattr(torch.Tensor, f"{name}_") == (name in IN_PLACE), name


@pytest.mark.gpu
@pytest.mark.skipif(backends.why_no_cuda() is not None, reason="needs a CUDA device")
def test_a_zero_dim_cpu_tensor_joins_a_device() -> None:
    x = ours(np.array([1.0, 2.0]), "cuda", requires_grad=True)
    factor = ag.tensor(3.0, dtype=ag.float64)
    y = x * factor
    y.sum().backward()
    assert str(y.device) == "cuda:0"
    assert x.grad.tolist() == [3, 3]


@pytest.mark.parametrize("name", ["expit", "gammaln", "psi", "erfinv", "logit", "exp2", "sinc", "round"])
def test_special_has_torchs_names(name: str) -> None:
    torch = pytest.importorskip("torch")
    x = np.array([0.2, 0.7])
    assert_same(getattr(ag.special, name)(ours(x)), getattr(torch.special, name)(theirs(x)))
