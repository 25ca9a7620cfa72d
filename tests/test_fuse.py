"""Fused functions: values and derivatives as unfused ones and as PyTorch's, what they keep, and what they refuse."""

import linecache
import math

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from support import TOLERANCE, assert_same, host, ours, theirs

import autograd_gpu as ag
import autograd_gpu.nn.functional as F
from autograd_gpu import fusion
from autograd_gpu.errors import DtypeError, FusionError, ShapeError
from autograd_gpu.fusion.program import program

# --- functions, each with the shapes of its tensors ------------------------------------------------------------


def biased_gelu(f, x, bias):
    return f.nn.functional.gelu(x + bias, approximate="tanh")


def layer_norm(f, x, weight, bias, eps=1e-5):
    centred = x - x.mean(-1, keepdim=True)
    return centred * f.rsqrt((centred * centred).mean(-1, keepdim=True) + eps) * weight + bias


def built_in_norm(f, x, weight, bias):
    return f.nn.functional.layer_norm(x.tanh(), (4,), weight, bias)


def over_two_axes(f, x, weight):
    return (x - x.mean((-2, -1), keepdim=True)) / x.std((-2, -1), keepdim=True) * weight


def scaled_softmax(f, x, column):
    return f.softmax(x * column, -1) + f.nn.functional.log_softmax(x, dim=1)


def weighted_loss(f, x, weights):
    return -(f.logsumexp(x, -1) * weights).mean()


def values_of_rows(f, x, row):
    return x.sum(-1) * row.exp() + x.amax(-1)


def rows_back(f, x):
    return x * x.sum(-1)[:, None] + x.mean(-1).unsqueeze(-1)


def over_all(f, x, weight):
    return x * weight / (x * x).sum().sqrt() + x.mean()


def variance(f, x):
    return x.var(-1, keepdim=True, correction=0) + x.std(-1, keepdim=True)


def extremes(f, x):
    return (x - x.amax(-1, keepdim=True)).tanh() + x.amin(-1, keepdim=True) * x.max() - x.min()


def norms(f, x):
    return x / x.norm(dim=-1, keepdim=True) + x.norm(p=1, dim=-1, keepdim=True) * x.norm(p=math.inf)


def choices(f, x, weight):
    chosen = f.where(x > weight, x * weight, 0.0).masked_fill(x < -1, 3.0)
    return chosen + (x > 0) * weight + x.clamp(-0.5, 1.0) * ((x > 0) & ~(weight > 0)).float().to(x.dtype)


def with_scalar(f, x, scale):
    return (x * scale).sigmoid() / scale + 2 / (3 - x) ** 2 + 2**x


def two_results(f, x, weight):
    return (x * weight).exp(), (x - weight).sum(-1, keepdim=True)


def detached(f, x):
    return x * x.sum(-1, keepdim=True).detach() + x.detach()


def without_gradient(f, x):
    with f.no_grad():
        top = x.amax(-1, keepdim=True) * 2
    return (x - top).exp()


CASES = {
    "bias and gelu": (biased_gelu, [(3, 4), (4,)]),
    "layer norm": (layer_norm, [(3, 4), (4,), (4,)]),
    "layer norm of a vector": (layer_norm, [(4,), (4,), (4,)]),
    "layer norm of batches": (layer_norm, [(2, 3, 4), (4,), (3, 1)]),
    "built-in norm": (built_in_norm, [(3, 4), (4,), (4,)]),
    "rows of two axes": (over_two_axes, [(3, 2, 4), (2, 1)]),
    "softmax": (scaled_softmax, [(3, 4), (3, 1)]),
    "loss": (weighted_loss, [(3, 4), (3,)]),
    "values of rows": (values_of_rows, [(3, 4), (3,)]),
    "values of square rows": (values_of_rows, [(4, 4), (4,)]),
    "axes back": (rows_back, [(3, 4)]),
    "over all": (over_all, [(3, 4), (4,)]),
    "variance": (variance, [(3, 4)]),
    "extremes": (extremes, [(3, 4)]),
    "norms": (norms, [(3, 4)]),
    "choices": (choices, [(3, 4), (4,)]),
    "scalar": (with_scalar, [(3, 4), ()]),
    "one row": (scaled_softmax, [(1, 4), (1, 1)]),
    "one column": (scaled_softmax, [(3, 1), (3, 1)]),
    "detached": (detached, [(3, 4)]),
    "without gradient": (without_gradient, [(3, 4)]),
}
every_case = pytest.mark.parametrize("name", CASES)


def fused(function):
    """``function(ag, *arguments)`` as a fused function of the arguments."""

    def bound(*arguments):
        return function(ag, *arguments)

    bound.__name__ = function.__name__
    return ag.fuse(bound)


def case(name, rng):
    function, shapes = CASES[name]
    return function, [rng.uniform(0.2, 2, shape) * rng.choice([-1, 1], shape) for shape in shapes]


def derivatives(y, xs, g):
    return [None if d is None else host(d) for d in ag.autograd.grad(y, xs, g, allow_unused=True)]


# --- values and derivatives ------------------------------------------------------------------------------------


@every_case
def test_value_and_gradient_are_torchs(name, device, rng):
    torch = pytest.importorskip("torch")
    function, arrays = case(name, rng)
    mine, torchs = (
        [ours(a, device, requires_grad=True) for a in arrays],
        [theirs(a, requires_grad=True) for a in arrays],
    )
    y, expected = fused(function)(*mine), function(torch, *torchs)
    assert_same(y, expected)
    g = rng.normal(size=tuple(expected.shape))
    found = ag.autograd.grad(y, mine, ours(g, device), allow_unused=True)
    for a, b in zip(found, torch.autograd.grad(expected, torchs, theirs(g), allow_unused=True), strict=True):
        assert_same(a, b)


@every_case
def test_derivatives_of_both_orders_are_difference_quotients(name, device, rng):
    if name in ("detached", "without gradient"):
        pytest.skip("its gradient is not that of its value")
    function, arrays = case(name, rng)
    xs = [ours(a, device, requires_grad=True) for a in arrays]
    assert ag.autograd.gradcheck(fused(function), xs)
    assert ag.autograd.gradgradcheck(fused(function), xs)


@every_case
@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32"])
def test_dtypes(name, dtype, device, rng):
    function, arrays = case(name, rng)
    numpy = getattr(ag, dtype).numpy
    narrow = [a.astype(numpy) for a in arrays]
    exact = [ours(a.astype(np.float64), device, requires_grad=True) for a in narrow]
    xs = [ours(a, device, requires_grad=True) for a in narrow]
    y, expected = fused(function)(*xs), function(ag, *exact)
    assert y.dtype is getattr(ag, dtype)
    rtol, _ = TOLERANCE[dtype]
    assert_allclose(host(y).astype(float), host(expected), rtol=2 * rtol, atol=2 * rtol)
    for a, b in zip(ag.autograd.grad(y.sum(), xs), ag.autograd.grad(expected.sum(), exact), strict=True):
        assert a.dtype is getattr(ag, dtype)
        assert_allclose(host(a).astype(float), host(b), rtol=4 * rtol, atol=8 * rtol)


@pytest.mark.parametrize("kinds", ["float32 float64", "float16 float32", "float32 int64", "float32 bool"])
def test_mixed_dtypes_promote_as_unfused(kinds, device, rng):
    first, second = (np.dtype(kind) for kind in kinds.split())
    x = ours(rng.normal(size=(3, 4)).astype(first), device, requires_grad=True)
    y = ours((rng.normal(size=4) > 0).astype(second), device)
    for function in (lambda x, y: x * y, lambda x, y: (x * y).sum(-1), lambda x, y: ag.where(y == 1, x, 2)):
        mine, expected = ag.fuse(function)(x, y), function(x, y)
        assert mine.dtype is expected.dtype
        assert_allclose(host(mine), host(expected), rtol=2e-3)
        assert ag.autograd.grad(mine.sum(), [x])[0].dtype is x.dtype


def test_several_results_and_those_that_are_not_used(device, rng):
    arrays = [rng.normal(size=(3, 4)), rng.normal(size=4)]
    for used in ([0], [1], [0, 1]):
        found = []
        for function in (fused(two_results), lambda *xs: two_results(ag, *xs)):
            xs = [ours(a, device, requires_grad=True) for a in arrays]
            ys = function(*xs)
            assert isinstance(ys, tuple)
            found.append(derivatives(sum(ys[i].sin().sum() for i in used), xs, None))
        for a, b in zip(*found, strict=True):
            assert_allclose(a, b, rtol=1e-12)
    mask, y = ag.fuse(lambda x: (x > 0, x * 2))(xs[0])
    assert not mask.requires_grad
    assert y.requires_grad
    assert mask.dtype is ag.bool


# --- operands --------------------------------------------------------------------------------------------------


def laid_out(layout, rng):
    base = rng.normal(size=(6, 8))
    return {
        "transposed": base.T[:6, :4],
        "sliced": base[::2, 1::2],
        "reversed": base[::-1, ::-1],
        "broadcast": np.broadcast_to(base[:, :1], (6, 4)),
        "broadcast rows": np.broadcast_to(base[0], (5, 8)),
    }[layout]


@pytest.mark.parametrize("layout", ["transposed", "sliced", "reversed", "broadcast", "broadcast rows"])
def test_layouts(layout, device, rng):
    x = laid_out(layout, rng)
    weight = rng.normal(size=x.shape[::-1]).T[0]
    found = []
    for function in (fused(layer_norm), lambda *xs: layer_norm(ag, *xs)):
        xs = [ours(a, device, requires_grad=True) for a in (x, weight, weight)]
        y = function(*xs)
        found.append([host(y), *derivatives(y.sin().sum(), xs, None)])
    for a, b in zip(*found, strict=True):
        assert_allclose(a, b, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("shape", [(0, 4), (3, 0), (0,), (0, 0), (2, 0, 3)], ids=str)
def test_sizes_of_0(shape, device):
    x = ours(np.ones(shape), device, requires_grad=True)
    for function in (
        lambda x: x * 2 + 1,
        lambda x: x.softmax(-1),
        lambda x: x * x.sum(),
        lambda x: x.sum(-1),
        lambda x: x.sum(),
    ):
        mine, expected = ag.fuse(function)(x), function(x)
        assert_array_equal(host(mine), host(expected))
        assert_array_equal(*(host(ag.autograd.grad(y.sum(), [x])[0]) for y in (mine, expected)))


@pytest.mark.parametrize("rows", [1, 3, 300])
@pytest.mark.parametrize("columns", [5, 4099])
def test_large_arrays_are_as_small_ones(rows, columns, device, rng):
    """Enough for several tiles, also with rows that are long, and for several blocks."""
    arrays = [rng.normal(size=(rows, columns)), rng.normal(size=columns), rng.normal(size=(rows, 1))]

    def function(x, weight, column):
        y = (x * weight).softmax(-1) + column * x / (x * x).mean()
        return y - y.sum(-1, keepdim=True) * x.amax()

    found = []
    for f in (ag.fuse(function), function):
        xs = [ours(a, device, requires_grad=True) for a in arrays]
        y = f(*xs)
        found.append([host(y), *derivatives(y.sin().sum(), xs, None)])
    for a, b in zip(*found, strict=True):
        assert_allclose(a, b, rtol=1e-9, atol=1e-9 + 1e-12 * np.abs(b).max())  # small ones are sums of large ones


def test_many_axes(device, rng):
    arrays = [rng.normal(size=shape) for shape in ((5, 1, 3, 1, 40), (4, 1, 6, 1), (3, 1, 40), (5, 4, 1, 6, 40))]

    def function(a, b, c, d):
        return (a * b + c * d).log_softmax(-1) * c

    found = []
    for f in (ag.fuse(function), function):
        xs = [ours(x, device, requires_grad=True) for x in arrays]
        y = f(*xs)
        found.append([host(y), *derivatives(y.sin().sum(), xs, None)])
    for a, b in zip(*found, strict=True):
        assert_allclose(a, b, rtol=1e-9, atol=1e-10)


SPECIAL = [np.nan, np.inf, -np.inf, 0.0, -0.0, 1e-310, 1.0, 1.0]


@pytest.mark.parametrize(
    "function",
    [
        lambda x: x.amax(-1),
        lambda x: x.amin(-1, keepdim=True) * x,
        lambda x: x.softmax(-1),
        lambda x: x.log_softmax(-1),
        lambda x: x.logsumexp(-1),
        lambda x: x.relu() + x.abs() * x.sign(),
        lambda x: ag.maximum(x, -x) + x.clamp(0, 1),
        lambda x: x.std(-1),
        lambda x: x.norm(dim=-1),
    ],
)
def test_special_values_and_ties(function, device):
    rows = [[a, b] for a in SPECIAL for b in SPECIAL]
    found = []
    for f in (ag.fuse(function), function):
        x = ours(np.array(rows), device, requires_grad=True)
        y = f(x)
        found.append([host(y), *derivatives(y.sum(), [x], None)])
    for a, b in zip(*found, strict=True):
        assert_allclose(a, b, rtol=1e-12)


def test_where_passes_0_to_what_is_not_taken_as_unfused_and_in_pytorch(device):
    """So that 0 · inf is nan there; ``elementwise`` promises more."""
    torch = pytest.importorskip("torch")

    def function(f, x):
        return f.where(x > 0, 3 * x.sqrt(), x)

    values = np.array([-1.0, 0.0, 4.0])
    expected = theirs(values, requires_grad=True)
    function(torch, expected).sum().backward()
    assert expected.grad[:2].isnan().all()
    for f in (fused(function), lambda x: function(ag, x)):
        x = ours(values, device, requires_grad=True)
        assert_allclose(*derivatives(f(x).sum(), [x], None), expected.grad)


@pytest.mark.parametrize("values", [(1.0, 0.0), (0.0, 1.0), (1.0, -0.0), (-0.0, 1.0), (2.0, 0.0)], ids=str)
@pytest.mark.parametrize("of", [lambda f, x: x > 0, lambda f, x: x <= 0, lambda f, x: f.isnan(x)])
def test_choices_between_two_numbers(values, of, device):
    x = ours(np.array([math.nan, -1.0, 0.0, 2.0], np.float32), device)
    got = ag.fuse(lambda x: ag.where(of(ag, x), *values) * x)(x)
    expected = ag.where(of(ag, x), *values) * x
    assert_array_equal(host(got), host(expected))
    if device == "cpu":  # the assembler of CUDA 13.0 makes 0.0 of the -0.0 in a choice between it and 1.0
        assert_array_equal(np.signbit(host(got)[1:]), np.signbit(host(expected)[1:]))


@pytest.mark.parametrize("dtype", ["bool", "uint8", "int32", "int64"])
@pytest.mark.parametrize("number", [1, 2.5, 0, 300])
def test_integers_are_compared_with_numbers_as_unfused(dtype, number, device):
    x, i = ours(np.arange(5.0), device), ours(np.array([0, 1, 2, 1, 0]).astype(dtype), device)

    def function(x, i):
        return ag.where(i < number, x, 0.0) + ag.where(i == number, 10 * x, 0.0)

    assert_array_equal(host(ag.fuse(function)(x, i)), host(function(x, i)))


def test_numpys_numbers_come_first_and_last(device):
    x = ours(np.ones(3), device, requires_grad=True)
    for function in (
        lambda x: np.sqrt(2) * x - np.float32(1),
        lambda x: np.float64(2) / (np.int64(1) + x) ** np.float64(3),
    ):
        assert_allclose(host(ag.fuse(function)(x)), host(function(x)))


def test_numpys_functions_refuse_symbols():
    with pytest.raises(TypeError, match="does not support ufuncs"):
        ag.fuse(lambda x: np.sin(x) + 1)(ag.ones(3))


def test_arrays_are_operands_too(rng):
    x = rng.normal(size=(2, 3))
    assert_allclose(host(ag.fuse(lambda x, y: x + y)(x, ours(x))), 2 * x)


# --- what is traced, and how often -----------------------------------------------------------------------------


def count_traces(function):
    calls = []

    def counting(*arguments):
        calls.append(arguments)
        return function(*arguments)

    return ag.fuse(counting), calls


def test_floats_and_numbers_of_rows_make_no_new_program(device, rng):
    f, calls = count_traces(lambda x, weight, eps: (x * weight).softmax(-1) * eps)

    def step(rows, eps):
        x, w = (ours(rng.normal(size=shape), device, requires_grad=True) for shape in ((rows, 4), (4,)))
        y = f(x, w, eps)
        y.sum().backward()
        return y

    step(8, 0.1)
    made = program.cache_info().misses
    before = step(5, 0.1)
    assert len(calls) == 2
    after = step(5, 0.2)
    assert len(calls) == 2
    step(1, 3.0)
    assert program.cache_info().misses == made
    assert before.grad_fn.__class__ is after.grad_fn.__class__


def test_traces_are_kept_by_what_they_depend_on(rng):
    f, calls = count_traces(lambda x, power, flag: x**power if flag else x)
    x = ours(rng.normal(size=3))
    for power, flag in [(2, True), (3, True), (2, False), (2, True), (2, 1), (2.0, True)]:
        f(x, power, flag)
    assert len(calls) == 6  # a float that is looked at is traced twice: once to find that out
    f(ours(np.ones(3, np.float32)), 2, True)
    with ag.no_grad():
        f(x, 2, True)
    f(ours(np.ones(3), requires_grad=True), 2, True)
    assert len(calls) == 8


def test_floats_that_decide_are_part_of_what_is_traced(rng):
    f = ag.fuse(lambda x, slope: x * slope if slope > 1 else x / math.sqrt(slope))
    x = ours(rng.normal(size=3))
    for slope in (0.25, 2.0, 0.25, 4.0):
        assert_allclose(host(f(x, slope)), host(f.__wrapped__(x, slope)))


def test_only_operands_and_reduced_values_are_kept(rng):
    x, w, b = (ours(rng.normal(size=shape), requires_grad=True) for shape in ((30, 40), (40,), (40,)))
    y = fused(layer_norm)(x, w, b)
    arrays = [a for a in y.grad_fn.saved if hasattr(a, "shape")]
    kept = [a for a in arrays if a is not x.array and a is not w.array]
    assert len(arrays) - len(kept) == 2
    assert kept
    assert all(a.shape == (30, 1) for a in kept)


def test_a_write_to_what_is_kept_is_noticed(rng):
    x = ours(rng.normal(size=3), requires_grad=True)
    z = x * 1
    y = ag.fuse(lambda x: x.exp())(z)
    z.add_(1)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        y.sum().backward()


def test_arguments_by_name_defaults_and_signatures(rng):
    @ag.fuse
    def scaled(x, scale=2.0, *, shift=0.0):
        """Scale and shift."""
        return x * scale + shift

    x = ours(rng.normal(size=3))
    for arguments, named in [
        ((x,), {}),
        ((x, 3.0), {}),
        ((), {"x": x, "shift": 1.0}),
        ((x,), {"scale": 5, "shift": x}),
    ]:
        assert_allclose(host(scaled(*arguments, **named)), host(scaled.__wrapped__(*arguments, **named)))
    assert scaled.__name__ == "scaled"
    assert scaled.__doc__ == "Scale and shift."
    with pytest.raises(TypeError, match="missing a required argument: 'x'"):
        scaled()


def test_one_fused_function_in_another(rng):
    inner = ag.fuse(lambda x: x.exp())
    outer = ag.fuse(lambda x: inner(x) * 2)
    x = ours(rng.normal(size=3), requires_grad=True)
    assert outer(x).grad_fn.next_functions[0][0].name() == "torch::autograd::AccumulateGrad"
    assert_allclose(host(outer(x)), 2 * np.exp(host(x)))


def test_the_node_is_named_after_the_function(rng):
    x = ours(np.ones(3), requires_grad=True)
    assert fused(layer_norm)(x, x, x).grad_fn.name() == "LayerNormBackward0"
    assert ag.fuse(lambda x: x * 2)(x).grad_fn.name() == "LambdaBackward0"


@pytest.mark.gpu
def test_kernels_on_the_device():
    cudasim = pytest.importorskip("cudasim")
    shapes = (1024, 256), (256,), (256,)
    x, w, b, g = (ours(np.ones(shape, np.float32), "cuda", requires_grad=True) for shape in (*shapes, shapes[0]))
    f = fused(layer_norm)
    for _ in range(2):
        x.grad = w.grad = b.grad = None
        with cudasim.trace() as forward:
            y = f(x, w, b)
        with cudasim.trace() as backward:
            y.backward(g.detach())
    size = x.numel() * 4
    assert forward.launches == 1
    assert forward.kernel_bytes < 2.6 * size
    assert backward.launches <= 3
    assert backward.kernel_bytes < 4 * size
    assert not forward.syncs
    assert not backward.syncs


# --- random numbers --------------------------------------------------------------------------------------------


def test_dropout(device, rng):
    def function(x, residual, p):
        return F.dropout(x.tanh(), p) + residual

    x, residual = rng.normal(size=(30, 40)), rng.normal(size=(30, 40))
    found = []
    for f in (ag.fuse(function), function):
        xs = [ours(x, device, requires_grad=True), ours(residual, device, requires_grad=True)]
        ag.manual_seed(7)
        y = f(*xs, 0.25)
        found.append([host(y), *derivatives(y.sum(), xs, None), host(ag.rand(3))])
    for a, b in zip(*found, strict=True):
        assert_allclose(a, b)
    dropped = found[0][1] == 0
    assert 0.15 < dropped.mean() < 0.35
    assert_array_equal(dropped, found[0][0] == residual)


def test_dropout_draws_anew_at_each_call_and_has_all_derivatives(device, rng):
    f = ag.fuse(lambda x: F.dropout(x * x, 0.5))
    x = ours(rng.normal(size=(4, 5)), device, requires_grad=True)
    first, second = host(f(x)), host(f(x))
    assert (first != second).any()

    def seeded(x):
        ag.manual_seed(3)
        return f(x)

    assert ag.autograd.gradcheck(seeded, [x])
    assert ag.autograd.gradgradcheck(seeded, [x])


def test_dropout_of_channels(device, rng):
    x = ours(rng.normal(size=(3, 4, 5)), device)
    ag.manual_seed(0)
    y = ag.fuse(lambda x: F.dropout1d(x, 0.5))(x)
    ag.manual_seed(0)
    assert_allclose(host(y), host(F.dropout1d(x, 0.5)))


# --- refusals --------------------------------------------------------------------------------------------------

OUTSIDE = ag.ones(4)


def branch(x):
    return x if x.sum() > 0 else -x


def write(x):
    y = x * 2
    y[0] = 1
    return y


def add_in_place(x):
    x += 1
    return x


def sum_of_rows_and_elements(x):
    return x.sum(-1) * x


REFUSED = {
    "branch": (branch, "it asks for the value of a tensor; where(condition, a, b) takes the place of if"),
    "item": (lambda x: x * x.sum().item(), "it asks for the value of a tensor; where(condition, a, b) takes the place of if"),
    "loop": (lambda x: sum(row for row in x), "it asks for the value of a tensor; where(condition, a, b) takes the place of if"),
    "write": (write, "it writes to a tensor; where(condition, a, b) makes another"),
    "in place": (add_in_place, "it writes to a tensor in place; x = x + y makes another"),
    "method in place": (lambda x: x.add_(1), "add_() writes to a tensor; add() makes another"),
    "out": (lambda x: ag.exp(x, out=x), "exp() writes to a tensor, with out="),
    "reshape": (lambda x: x.reshape(-1), "it reshapes [4, 4] to [16]"),
    "part": (lambda x: x[0], "it takes a part of a tensor"),
    "attribute": (lambda x: x.T, "it asks for .T of a tensor"),
    "scan": (lambda x: x.cumsum(-1), "it calls cumsum()"),
    "indices": (lambda x: x.max(-1).values, "it calls argmax(); amax and amin make values without indices"),
    "first axis": (lambda x: x.sum(0), "it reduces axes [0] of a tensor of shape [4, 4], where a row is the last axes of [4, 4]"),
    "outside": (lambda x: x * OUTSIDE, "mul() takes a tensor from outside of the function: make it an argument"),
    "outside first": (lambda x: OUTSIDE * x, "mul() takes a tensor from outside of the function: make it an argument"),
    "complex": (lambda x: x * 1j, "mul() takes a complex number"),
    "integers": (lambda x: x * ((x > 0) + 1), "add() computes integers; x.float() makes floats of them"),
    "rows and elements": (
        sum_of_rows_and_elements,
        "it computes with a value of each row, whose last axis a reduction took away, and with elements; keepdim=True keeps the axis",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_fused_is_named_with_its_line(name, rng):
    function, what = REFUSED[name]
    with pytest.raises(FusionError) as caught:
        ag.fuse(function)(ours(rng.normal(size=(4, 4))))
    first, place, advice = str(caught.value).splitlines()
    assert first == f"{function.__name__.strip('<>')}() cannot be fused: {what}."
    line = int(place.split(":")[1])
    code = function.__code__
    assert place == f"At {__file__}:{line}: {linecache.getline(__file__, line).strip()}"
    assert code.co_firstlineno <= line <= max(n for *_, n in code.co_lines() if n)
    assert advice.startswith("A fused function is made of elementwise operations")


@pytest.mark.parametrize(
    ("function", "arguments", "error", "text"),
    [
        (lambda x: 3.0, [np.ones(2)], FusionError, r"lambda\(\) must return a tensor or a tuple of tensors, but returned float"),
        (lambda x, y: y, [np.ones((3, 2)), np.ones(2)], FusionError, r"returned a tensor of shape \[2\], but computes with tensors of shape \[3, 2\]"),
        (lambda x, y: x, [np.ones(2), [1]], FusionError, r"argument 2 is a list; expected tensors, numbers and what can be hashed"),
        (lambda x, y: x, [np.ones(2), (ag.ones(2),)], FusionError, r"argument 2 is a tuple with a tensor in it; make each tensor an argument"),
        (lambda x: x, [1.0], TypeError, r"expected a tensor among the arguments, got \(float\)"),
        (lambda x: x, [np.ones(2, complex)], DtypeError, "\"lambda\" not implemented for 'ComplexDouble'"),
        (lambda x, y: x * y, [np.ones(2), np.ones(3)], ShapeError, r"The size of tensor a \(2\) must match"),
    ],
)  # fmt: skip
def test_arguments_and_results_are_checked(function, arguments, error, text):
    arguments = [ours(a) if isinstance(a, np.ndarray) else a for a in arguments]
    with pytest.raises(error, match=text):
        ag.fuse(function)(*arguments)


def test_named_arguments_without_names_are_refused():
    with pytest.raises(TypeError, match=r"name the arguments of a fused function instead of \*\*kwargs"):
        ag.fuse(lambda x, **options: x)


def test_fusion_has_a_switch_of_another_kind():
    assert fusion.fuse is not ag.fuse
