"""Random programs of views and writes have the values, gradients, versions, flags and errors that torch gives."""

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from programs import message
from support import host

import autograd_gpu as ag
from autograd_gpu.op import PUBLIC
from conftest import CUDA_MISSING


def slice_key(a: int, ndim: int) -> Any:
    keys = [
        0,
        -1,
        slice(0, 2),
        slice(1, None),
        slice(None, None, 2),
        None,
        ...,
        (Ellipsis, 0),
        (slice(None), slice(0, 1)),
    ]
    key = keys[a % len(keys)]
    return key if ndim >= (2 if isinstance(key, tuple) and len(key) == 2 and key[0] is not Ellipsis else 1) else ...


def other_shape(v: Any, a: int) -> tuple[int, ...]:
    n = int(np.prod(v.shape))
    return [(-1,), (n,), (1, n), (n, 1), (2, n // 2) if n % 2 == 0 else (n,)][a % 5]


Named = tuple[str, Callable[[Any, Any, Any, int], Any]]
# (name, how it makes a tensor of the tensor v, another tensor w, and a number a)
VIEWS: list[Named] = [
    ("view", lambda m, v, w, a: v.view(other_shape(v, a))),
    ("reshape", lambda m, v, w, a: v.reshape(other_shape(v, a))),
    ("getitem", lambda m, v, w, a: v[slice_key(a, v.ndim)]),
    ("t", lambda m, v, w, a: v.t()),
    ("transpose", lambda m, v, w, a: v.transpose(0, -1)),
    ("unsqueeze", lambda m, v, w, a: v.unsqueeze(a % (v.ndim + 1))),
    ("squeeze", lambda m, v, w, a: v.squeeze()),
    ("squeeze(dim)", lambda m, v, w, a: v.squeeze(0)),
    ("expand", lambda m, v, w, a: v.expand(2, *v.shape)),
    ("permute", lambda m, v, w, a: v.permute(*reversed(range(v.ndim)))),
    ("diagonal", lambda m, v, w, a: v.diagonal()),
    ("narrow", lambda m, v, w, a: v.narrow(0, 0, 1)),
    ("unbind", lambda m, v, w, a: v.unbind(0)[a % v.shape[0]]),
    ("split", lambda m, v, w, a: v.split(2)[a % 2 - 1]),
    ("flatten", lambda m, v, w, a: v.flatten()),
    ("detach", lambda m, v, w, a: v.detach()),
]
READS: list[Named] = [
    ("mul", lambda m, v, w, a: v * w),
    ("square", lambda m, v, w, a: v * v),
    ("sin", lambda m, v, w, a: v.sin()),
    ("exp", lambda m, v, w, a: v.exp()),
    ("sum", lambda m, v, w, a: v.sum()),
    ("add", lambda m, v, w, a: v + w),
    ("clone", lambda m, v, w, a: v.clone()),
]


def write_item(m: Any, v: Any, w: Any, a: int) -> Any:
    v[slice_key(a, v.ndim)] = w if a % 2 else 0.5
    return v


def add_assign(m: Any, v: Any, w: Any, a: int) -> Any:
    v += w
    return v


WRITES: list[Named] = [
    ("mul_ number", lambda m, v, w, a: v.mul_(0.5 + a / 4)),
    ("mul_", lambda m, v, w, a: v.mul_(w)),
    ("add_", lambda m, v, w, a: v.add_(w, alpha=a / 2)),
    ("sub_ sum", lambda m, v, w, a: v.sub_(w.sum())),
    ("zero_", lambda m, v, w, a: v.zero_()),
    ("fill_", lambda m, v, w, a: v.fill_(a / 3)),
    ("copy_", lambda m, v, w, a: v.copy_(w)),
    ("sin_", lambda m, v, w, a: v.sin_()),
    ("tanh_", lambda m, v, w, a: v.tanh_()),
    ("setitem", write_item),
    ("+=", add_assign),
]
VIEW_NAMES, WRITE_NAMES = dict(VIEWS), dict(WRITES)
STEPS = (
    [(*view, recording) for view in VIEWS for recording in (True, True, False)]
    + [(*read, True) for read in READS]
    + [(*write, recording) for write in WRITES for recording in (True, True, True, False)]
)
Step = tuple[int, int, int, int]  # what, on which tensor, with which other, and a number


class Run:
    """A program as it runs on one library."""

    def __init__(self, m: Any, device: str = "cpu") -> None:
        self.m = m
        self.leaf = m.tensor(np.linspace(0.5, 1.5, 12).reshape(2, 3, 2).tolist(), dtype=m.float64, device=device)
        self.leaf.requires_grad_()
        constant = m.tensor([[0.25, 0.5, 0.75], [1.0, 1.25, 1.5]], dtype=m.float64, device=device)
        self.tensors = [self.leaf, self.leaf[0] * 1, constant, self.leaf * 2]
        self.unrecorded: list[Any] = []  # views made without recording, of tensors that require grad

    def step(self, step: Step) -> Exception | None:
        what, i, j, a = step
        name, function, recording = STEPS[what % len(STEPS)]
        v, w = self.tensors[i % len(self.tensors)], self.tensors[j % len(self.tensors)]
        if any(t is w or (t is v and name not in WRITE_NAMES) for t in self.unrecorded):
            w = v = self.leaf  # torch's results of these require grad, but no gradient flows through them
        try:
            with self.m.set_grad_enabled(recording):
                result = function(self.m, v, w, a)
        except (RuntimeError, IndexError, ValueError, TypeError, ZeroDivisionError) as error:
            self.tensors.append(self.leaf)  # so that both count alike
            return error
        self.tensors.append(result)
        if not recording and name in VIEW_NAMES:
            self.unrecorded.append(result)
        return None

    def state(self, i: int) -> Any:
        t = self.tensors[i]
        return t.requires_grad, t.is_leaf, t._version, tuple(t.shape), t.output_nr

    def overlap(self, step: Step) -> str:
        """Whether a tensor is written to with itself, or with another that shares its memory."""
        what, i, j, _ = step
        v, w = self.tensors[i % len(self.tensors)], self.tensors[j % len(self.tensors)]
        if STEPS[what % len(STEPS)][0] not in WRITE_NAMES:
            return ""
        return "same" if v is w else "other" * np.shares_memory(v.detach().numpy(), w.detach().numpy())

    def backward(self) -> Exception | None:
        try:
            used = [t for t in self.tensors if not any(t is u for u in self.unrecorded)]
            total = sum((t * (1 + i)).sum() for i, t in enumerate(used))
            total.backward()
        except RuntimeError as error:
            return error
        return None


# What torch raises when a view whose base was written to is used, we raise when a gradient passes it, or not at all.
# We compute before we write, so that operands may overlap what is written to.
DIFFERENT = re.compile(
    "its base or another view of its base has been|some elements of the input tensor and the written-to"
)


# Of several things that are wrong, these may be noticed in another order.
SIZES = re.compile(
    "The size of tensor a|The expanded size of the tensor|the number of sizes provided|refers to a single mem"
)


def kind(error: Exception | None) -> str:
    """An error to compare: by its text, but any stale array is like any other."""
    text = "" if error is None else message(error)
    return text.partition("[")[0] if text.startswith("one of the variables needed") else text


def check_program(steps: list[Step], device: str = "cpu") -> None:
    torch = pytest.importorskip("torch")
    mine, torchs = Run(ag, device), Run(torch)
    on_itself = False
    for step in steps:
        if (overlap := torchs.overlap(step)) == "other":
            return  # torch's result is undefined
        name = STEPS[step[0] % len(STEPS)][0]
        on_itself |= overlap == "same"
        expected = torchs.step(step)
        if expected is not None and DIFFERENT.search(str(expected)):
            return
        got = mine.step(step)
        if (got is None) != (expected is None) and "single memory location" in kind(got or expected):
            return  # filling an expanded tensor
        assert (got is None) == (expected is None), f"{name}: {got!r}, torch: {expected!r}"
        if isinstance(expected, RuntimeError) and name != "setitem" and not SIZES.search(kind(got) + kind(expected)):
            assert isinstance(got, RuntimeError), f"{name}: {got!r}, torch: {expected!r}"
            assert kind(got) == kind(expected), f"{name}: {kind(got)}, torch: {kind(expected)}"
        for i in range(len(torchs.tensors)):
            try:
                state = torchs.state(i)
            except RuntimeError as error:
                assert DIFFERENT.search(str(error))
                return
            assert mine.state(i) == state, f"{name}: tensor {i} is {mine.state(i)}, torch: {state}"
            what = f"{name}: tensor {i}"
            np.testing.assert_allclose(host(mine.tensors[i]), host(torchs.tensors[i]), atol=1e-12, err_msg=what)
    expected = torchs.backward()
    got = mine.backward()
    if got is None and on_itself and "modified by an inplace operation" in str(expected):
        return  # what torch saves of the operand, it writes over; we keep a copy
    if expected is None or not DIFFERENT.search(str(expected)):
        assert kind(got) == kind(expected), f"backward: {got!r}, torch: {expected!r}"
        if expected is None:
            np.testing.assert_allclose(host(mine.leaf.grad), host(torchs.leaf.grad), rtol=1e-9, atol=1e-9)


steps = st.lists(
    st.tuples(st.integers(0, len(STEPS) - 1), st.integers(0, 15), st.integers(0, 15), st.integers(0, 9)), max_size=12
)


@settings(max_examples=400, deadline=None, derandomize=True)
@given(steps)
def test_random_programs_agree_with_torch(steps):
    check_program(steps)


@pytest.mark.gpu
@pytest.mark.skipif(CUDA_MISSING is not None, reason=str(CUDA_MISSING))
@settings(max_examples=40, deadline=None, derandomize=True)
@given(steps)
def test_random_programs_on_the_device_agree_with_torch(steps):
    check_program(steps, "cuda")


def outcome_of_a_write(m: Any, name: str, count: int, place: int) -> str:
    """What becomes of backward when an operand of an operation, or its result, is written to in between."""
    operands = [m.tensor([0.3, 0.6, 0.7], dtype=m.float64, requires_grad=True) * 1 for _ in range(count)]
    try:
        y = getattr(m, name)(*operands)
        with m.no_grad():
            [*operands, y][place].add_(1)
        y.sum().backward()
    except Exception as error:  # noqa: BLE001  all functions are called, whatever they take
        return "stale" if "modified by an inplace operation" in str(error) else "no such thing"
    return "fine"


# These keep their result where torch keeps the operand, or a reshaped operand where torch keeps none.
KEEP_OTHERS = {"erfinv", "kron"}


@pytest.mark.filterwarnings("ignore")
def test_what_torch_lets_be_written_to_may_be_written_to():
    torch = pytest.importorskip("torch")
    count_fine = 0
    for name in sorted(set(PUBLIC) & set(dir(torch)) - KEEP_OTHERS):
        for count in (1, 2, 3):
            for place in range(count + 1):
                if not name.endswith("_") and outcome_of_a_write(torch, name, count, place) == "fine":
                    assert outcome_of_a_write(ag, name, count, place) == "fine", (name, count, place)
                    count_fine += 1
    assert count_fine > 100
