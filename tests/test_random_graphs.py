"""Random graphs: a planned backward pass gives what node by node gives, and what double precision gives."""

import itertools
import math
from collections.abc import Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import pytest
from elementwise import DIFFERENTIABLE, NUMBERS
from formulas import to_device, wide
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from support import host

import autograd_gpu as ag
from autograd_gpu import fusion
from autograd_gpu.dtypes import BY_NAME, COMPLEX
from autograd_gpu.tensor import wrap

DEVICES = pytest.mark.parametrize("device", ["cpu", pytest.param("cuda", marks=pytest.mark.gpu)])

# --- what graphs are made of -----------------------------------------------------------------------------

JUMPS = {"div_floor", "div_trunc", "remainder", "fmod", "floor", "ceil", "trunc", "round", "round_to", "frac", "sign",
         "sgn", "hardshrink", "threshold", "angle", "copysign", "nan_to_num"}  # fmt: skip
SLOW = {"lgamma", "digamma", "polygamma", "erfinv", "rad2deg"}  # to compile, or to lose digits
OPS = [
    op
    for op in DIFFERENTIABLE
    if op.name not in JUMPS | SLOW and not op.conditions and op.result in ("same", "float", "real")
]


class Thrice(ag.autograd.Function):
    """The identity with three times its gradient."""

    @staticmethod
    def forward(ctx, v):
        return v * 1

    @staticmethod
    def backward(ctx, g):
        return g * 3


def into(v: Any, low: float, high: float) -> Any:
    """``v`` brought between ``low`` and ``high``; a complex one into the disc over that diameter."""
    v = (v / (1 + v.abs()) if v.is_complex() else v.tanh()) * (0.98 * (high - low) / 2)
    return v if low == -high else v + (low + high) / 2


def apply(op: Any, v: Any, w: Any) -> Any:
    """An operation of the table on ``v`` and ``w``, in its domain."""
    numbers, operands = iter(NUMBERS.get(op.name, ())), itertools.cycle([into(v, *op.domain), into(w, *op.domain)])
    return op(*(next(numbers) if i in op.numbers else next(operands) for i in range(op.arity)))


def hooked(v: Any, w: Any) -> Any:
    v = v * 1
    if v.requires_grad:
        v.register_hook(lambda g: g * 2)
    return v


OTHERS = {
    "chosen": lambda v, w: ag.where(v > w, v * w, w),
    "sum": lambda v, w: v.sum() * 0.1 + w,
    "sum of rows": lambda v, w: v.sum(-1, keepdim=True) * 0.1 if v.ndim else v * 1,
    "mean of columns": lambda v, w: v.mean(0) if v.ndim and v.shape[0] else v * 1,
    "softmax": lambda v, w: v.softmax(-1) if v.ndim else v * 1,
    "transposed": lambda v, w: v.transpose(0, -1) if v.ndim else v * 1,
    "every other": lambda v, w: v[..., ::2] if v.ndim else v * 1,
    "expanded": lambda v, w: v.expand(2, *v.shape) if v.ndim < 4 else v * 1,
    "copied": lambda v, w: v.clone(),
    "cast": lambda v, w: v.double().to(v.dtype),
    "twice the same": lambda v, w: v * v,
}
CALLED = {"hook": hooked, "custom": lambda v, w: Thrice.apply(v), "detached": lambda v, w: v.detach() + w}
STEPS = {op.name: partial(apply, op) for op in OPS} | OTHERS | CALLED


class Graph(NamedTuple):
    """Leaves (shape and layout), steps (what, of which two values), and which of the last values are the roots."""

    leaves: Sequence[tuple[tuple[int, ...], str]]
    steps: Sequence[tuple[str, int, int]]
    roots: Sequence[int]

    def run(self, leaves: Sequence[Any]) -> list[Any]:
        """The roots that lead to a leaf."""
        values = list(leaves)
        for name, i, j in self.steps:
            v, w = values[i % len(values)], values[j % len(values)]
            values.append(STEPS[name](v, w if broadcast(v, w) else v))
        return [root for i in self.roots if (root := values[-1 - i % len(self.steps)]).requires_grad]


def broadcast(v: Any, w: Any) -> bool:
    """Whether two tensors go together."""
    return all(m == n or 1 in (m, n) for m, n in zip(v.shape[::-1], w.shape[::-1], strict=False))


LAYOUTS = {
    "dense": lambda make, shape: make(shape),
    "transposed": lambda make, shape: make(shape[::-1]).T,
    "backwards": lambda make, shape: make(shape)[(slice(None, None, -1),) * len(shape)],
    "every other": lambda make, shape: make((*shape, 2))[..., 0],
    "stride 0": lambda make, shape: np.broadcast_to(make((1,) * len(shape)), shape),
    "off by one": lambda make, shape: make((math.prod(shape) + 1,))[1:].reshape(shape),
}


@st.composite
def shapes(draw):
    """Shapes that broadcast together, and layouts."""
    domain = draw(st.lists(st.sampled_from([0, 1, 2, 3, 3, 4, 5, 5]), max_size=3).map(tuple))

    def shape():
        full = tuple(1 if draw(st.sampled_from([False, False, True])) else n for n in domain)
        return full[draw(st.sampled_from([0, 0, 0, 1, 2])) :]

    return [(shape(), draw(st.sampled_from(list(LAYOUTS)))) for _ in range(draw(st.integers(1, 4)))]


def graphs(*kinds, most=13):
    """Graphs of at most ``most`` steps, each of which is up to three operations of the table."""
    names = st.one_of(*(st.sampled_from(kind) for kind in kinds))
    numbers = st.integers(0, 50)
    return st.builds(
        Graph,
        shapes(),
        st.lists(st.tuples(names, numbers, numbers), min_size=2, max_size=most),
        st.lists(st.integers(0, 3), min_size=1, max_size=3),
    )


ELEMENTWISE = [op.name for op in OPS]
PLANNED = ELEMENTWISE, ELEMENTWISE, list(OTHERS)
ALL = (*PLANNED, list(CALLED))
COMPLEX_TOO = [op.name for op in OPS if COMPLEX in op.takes]
REAL_ONLY = {"chosen", "softmax", "cast"}

# --- running them ----------------------------------------------------------------------------------------


def arrays(graph: Graph, dtypes: Sequence[str]) -> list[np.ndarray]:
    """The values of the leaves, of ``dtypes`` in turn."""
    rng = np.random.default_rng(len(graph.steps))

    def maker(name):
        d = BY_NAME[name]
        turn = 0.5 + 0.5j if d.is_complex else 1
        return lambda shape: np.asarray(turn * rng.uniform(-1.5, 1.5, shape)).astype(d.numpy)

    kinds = itertools.cycle(dtypes)
    return [np.asarray(LAYOUTS[layout](maker(next(kinds)), shape)) for shape, layout in graph.leaves]


def tensors(values: Sequence[np.ndarray], device: str) -> list[Any]:
    """Leaves."""
    return [wrap(to_device(value, device)).requires_grad_() for value in values]


def seeds(roots: Sequence[Any], device: str) -> list[Any]:
    """Cotangents for ``roots``."""
    rng = np.random.default_rng(1)
    return [wrap(to_device(np.asarray(rng.normal(size=root.shape)).astype(root.dtype.numpy), device)) for root in roots]


def backward(roots: Sequence[Any], device: str, **options: Any) -> None:
    """A pass from ``roots``, if there are any."""
    if roots:
        ag.autograd.backward(roots, seeds(roots, device), **options)


def gradients(graph: Graph, values: Sequence[np.ndarray], device: str, mode: str) -> list[Any]:
    """The leaves' gradients by a plan (``"on"``) or node by node (``"off"``)."""
    leaves = tensors(values, device)
    with fusion.fuse(mode):
        backward(graph.run(leaves), device)
    return [leaf.grad for leaf in leaves]


def assert_near(mine: Sequence[Any], known: Sequence[Any], tolerance: float, what: str) -> None:
    """The same gradients are there, and differ by little of the largest number."""
    for i, (a, b) in enumerate(zip(mine, known, strict=True)):
        assert (a is None) == (b is None), f"{what}, leaf {i}"
        if a is not None:
            a, b = wide(host(a)), wide(host(b))
            assert a.shape == b.shape
            assert_allclose(
                a, b, rtol=tolerance, atol=tolerance * np.abs(b).max(initial=1e-3), err_msg=f"{what}, leaf {i}"
            )


def check(graph: Graph, device: str, dtypes: Sequence[str], tolerance: float) -> None:
    """Both roads against double precision, and against each other."""
    values = arrays(graph, dtypes)
    exact = gradients(graph, [np.ascontiguousarray(wide(v)).reshape(v.shape) for v in values], "cpu", "off")
    planned, plain = (gradients(graph, values, device, mode) for mode in ("on", "off"))
    for grad, value in zip(planned, values, strict=True):
        assert grad is None or (grad.dtype.numpy, tuple(grad.shape)) == (value.dtype, value.shape)
    assert_near(plain, exact, tolerance, "node by node")
    assert_near(planned, exact, tolerance, "planned")


def bounded(examples: int) -> Any:
    return settings(max_examples=examples, derandomize=True, deadline=None, database=None)


@DEVICES
@bounded(30)
@given(graph=graphs(*PLANNED))
def test_graphs_of_operations_of_the_table(graph, device):
    check(graph, device, ["float32"], 2e-3)


@DEVICES
@bounded(20)
@given(graph=graphs(*ALL))
def test_graphs_with_hooks_and_functions_of_their_own(graph, device):
    check(graph, device, ["float32"], 2e-3)


@DEVICES
@bounded(12)
@given(graph=graphs(*PLANNED, most=8))
def test_graphs_of_several_dtypes(graph, device):
    check(graph, device, ["float32", "float64"], 2e-3)


@DEVICES
@bounded(10)
@given(graph=graphs(*PLANNED, most=4), dtype=st.sampled_from(["float16", "bfloat16"]))
def test_graphs_of_16_bits(graph, dtype, device):
    check(graph, device, [dtype], 5e-2 if dtype == "float16" else 0.2)


@pytest.mark.slow  # to compile
@DEVICES
@bounded(15)
@given(graph=graphs(COMPLEX_TOO, COMPLEX_TOO, [name for name in OTHERS if name not in REAL_ONLY], most=6))
def test_graphs_of_complex_and_real_numbers(graph, device):
    check(graph, device, ["complex64", "float32"], 5e-3)


@DEVICES
@bounded(12)
@given(graph=graphs(*ALL, most=8))
def test_two_passes_over_a_graph_give_twice_the_gradients(graph, device):
    values = arrays(graph, ["float32"])
    leaves = tensors(values, device)
    roots = graph.run(leaves)
    backward(roots, device, retain_graph=True)
    backward(roots, device)
    for leaf, once in zip(leaves, gradients(graph, values, device, "on"), strict=True):
        assert (leaf.grad is None) == (once is None)
        if once is not None:
            assert_allclose(host(leaf.grad), 2 * host(once), rtol=1e-6)


@DEVICES
@bounded(12)
@given(graph=graphs(*ALL, most=8))
def test_gradients_never_share_memory(graph, device):
    leaves = tensors(arrays(graph, ["float32"]), device)
    roots = graph.run(leaves)
    given_ = seeds(roots, device)
    if roots:
        ag.autograd.backward(roots, given_)
    grads = [leaf.grad for leaf in leaves if leaf.grad is not None]
    everything = [*grads, *given_, *leaves]
    for i, grad in enumerate(grads):
        before = [host(t).copy() for t in everything]
        with ag.no_grad():
            grad += 1
        before[i] += 1
        for t, values in zip(everything, before, strict=True):
            assert_array_equal(host(t), values)


@DEVICES
@bounded(12)
@given(graph=graphs(*ALL, most=8))
def test_a_write_to_a_saved_array_leaves_gradients_as_they_were(graph, device):
    values = arrays(graph, ["float32"])
    leaves = tensors(values, device)
    backward(graph.run(leaves), device)
    kept = [leaf.grad if leaf.grad is None else host(leaf.grad).copy() for leaf in leaves]
    if not (roots := graph.run(leaves)):
        return
    results = [root.tanh() for root in roots]
    (written,) = results[-1:]
    with ag.no_grad():
        written += 1
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        backward(results, device)
    for leaf, before in zip(leaves, kept, strict=True):
        assert (leaf.grad is None) == (before is None)
        assert before is None or host(leaf.grad).tobytes() == before.tobytes()
    backward(graph.run(leaves), device)
    for leaf, before in zip(leaves, kept, strict=True):
        assert before is None or host(leaf.grad).tobytes() == (2 * before).tobytes()
