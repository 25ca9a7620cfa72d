"""Views and writes: random programs of both have the values, gradients, versions, flags and errors that torch gives."""

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from programs import Programs, assert_agrees, assert_fails_alike, message
from support import host, ours

import autograd_gpu as ag
from conftest import CUDA_MISSING

agrees, fails = Programs(), Programs()


@agrees.parametrize()
def test_views_and_writes_agree_with_torch(program, device):
    assert_agrees(program, device)


@fails.parametrize()
def test_forbidden_writes_are_refused_in_torchs_words(program):
    assert_fails_alike(program)


# --- random programs -------------------------------------------------------------------------------------


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


# --- views ---------------------------------------------------------------------------------------------------


def leaf(m, device, values=(1.0, 2.0, 3.0)):
    return m.tensor(list(values), device=device, requires_grad=True)


def matrix(m, device):
    return m.arange(6.0, device=device).view(2, 3).requires_grad_()


@agrees
def views_share_a_version(m, device):
    x = m.ones(2, 3, device=device)
    views = [x.view(6), x[0], x.t(), x.unsqueeze(0), x.expand(2, 2, 3), x.detach(), x.unbind()[1], x[:, 1:]]
    versions = []
    for view in [x, views[0], views[5], views[7]]:
        view.add_(1)
        versions.append([v._version for v in [x, *views]])
    copies = [x.clone(), x + 0, x.data, x[[0, 1]], x.t().reshape(-1)]
    x.zero_()
    return versions, [c._version for c in copies], x._version, views


@agrees
def writes_through_data_are_not_counted(m, device):
    x = leaf(m, device)
    y = x * x
    x.data.add_(1)
    before = x._version
    y.sum().backward()
    return before, x, x.grad


@agrees
def bases(m, device):
    x = m.ones(2, 3, device=device)
    v = x[0]
    w = v.view(3, 1)
    return x._base, v._base is x, w._base is x, x.clone()._base, x.detach()._base


@agrees
def a_write_to_a_view_reaches_the_base_and_other_views(m, device):
    x = leaf(m, device)
    base = x * 1
    before, v = base[1:], base[:2]
    v.mul_(3)
    after = base.view(3, 1)
    y = (before * 2).sum() + (base * base).sum() + (after * v.sum()).sum()
    y.backward()
    return base, before, after, base.grad_fn, before.grad_fn, after.grad_fn, x.grad


@agrees
def a_write_to_the_base_reaches_the_views(m, device):
    x = matrix(m, device)
    base = x * 1
    views = [base.t(), base[0], base[:, 1:], base.view(-1), base.expand(2, 2, 3), base.unfold(1, 2, 1), base.diagonal()]
    base.mul_(m.arange(6.0, device=device).view(2, 3) + 1)
    sum((v * v).sum() for v in views).backward()
    return views, x.grad


@agrees
def a_view_of_a_view_of_a_view(m, device):
    x = matrix(m, device)
    base = x * 1
    w = base.t()[1:].unsqueeze(1)[..., 0]
    w.mul_(x.sum())
    base[1].mul_(2)
    (base * base).sum().backward()
    return base, w, x.grad, w._version


@agrees
def second_derivatives_through_writes(m, device):
    x = matrix(m, device)
    base = x * x
    v = base[0]
    v.mul_(v.detach() + x[1])
    base.t()[1].exp_()
    (g,) = m.autograd.grad((base * base).sum() + v.sum(), x, create_graph=True)
    return g, m.autograd.grad((g * g).sum(), x)


@agrees
def second_derivatives_through_views_derived_anew(m, device):
    x = matrix(m, device)
    base = x * x
    v, w = base.expand(2, 2, 3), base.view(-1)[1:3]
    base.mul_(x)
    (g,) = m.autograd.grad((v * v).sum() + w.prod(), x, create_graph=True)
    return g, m.autograd.grad((g * g).sum(), x)


@agrees
def writes_to_views_of_a_transposed_base(m, device):
    x = m.arange(12.0, device=device).view(3, 4).requires_grad_()
    base = (x * 1).t()
    for make in (lambda: base.t().view(-1), lambda: base.t().view(2, 6), lambda: base[1:], lambda: base.t()[0]):
        make().mul_(2)
        make()[0] = 7.0
    (base * base).sum().backward()
    return base, x.grad


@agrees
def writes_to_permuted_memory(m, device):
    x = m.arange(24.0, device=device).view(2, 3, 4).requires_grad_()
    base = (x * 1).permute(2, 0, 1).clone(memory_format=m.preserve_format)
    flat = base.permute(1, 2, 0).view(6, 4)
    flat[2:4].sin_()
    (base * base).sum().backward()
    return base, flat, x.grad


@agrees
def writes_to_zero_dimensional_tensors(m, device):
    x = m.tensor(2.0, device=device, requires_grad=True)
    base = x * 1
    base.view(1).mul_(3)
    base.unsqueeze(0)[0] = base.clone() * x
    v = base.view(1, 1)
    base.exp_()
    (v * base).sum().backward()
    return base, v, x.grad


@agrees
def writes_to_parts_of_complex_numbers(m, device):
    z = m.tensor([1 + 2j, 3 - 1j], device=device, requires_grad=True)
    base = z * 1
    base.real.mul_(2)
    m.view_as_real(base)[:, 1].exp_()
    (base.abs() ** 2).sum().backward()
    return base, z.grad


@agrees
def a_view_written_to_makes_its_base_require_grad(m, device):
    x = leaf(m, device)
    base = m.zeros(2, 3, device=device)
    row, other = base[0], base[1]
    row.copy_(x * 2)
    ((base * base).sum() + other.sum()).backward()
    return base, base.requires_grad, row.requires_grad, other.requires_grad, row.grad_fn, x.grad


@agrees
def slices_of_a_constant_filled_one_by_one(m, device):
    x = leaf(m, device)
    out = m.zeros(3, device=device)
    for i in range(3):
        out[i] = x[i] ** (i + 1) if i == 0 else out[i - 1].clone() * x[i]
    out.sum().backward()
    return out, out.grad_fn, out._version, x.grad


@agrees
def all_kinds_of_assignment(m, device):
    x = matrix(m, device)
    found = []
    for key in (
        0,
        -1,
        slice(0, 1),
        (slice(None), 1),
        (0, 2),
        ...,
        None,
        (slice(None), slice(None, None, 2)),
        [0, 1],
        (1, [0, 2]),
    ):
        base = x * 2
        base[key] = base[key].clone() * x.sum() + 1
        base[key] = 3.0 if key == 0 else base[key].detach()
        found.append(base)
    mask = m.tensor([[True, False, True], [False, False, True]], device=device)
    base = x * 2
    base[mask] = x[0] * 5
    base[~mask] *= 2
    found.append(base)
    sum((y * y).sum() for y in found).backward()
    return found, x.grad


@agrees
def augmented_assignment_to_items(m, device):
    x = matrix(m, device)
    base = x * 1
    base[0] *= x[1]
    base[:, 1] += 3
    base[1, 2] /= 2
    base.sum().backward()
    return base, base._version, x.grad


@agrees
def writes_that_keep_what_they_need(m, device):
    """Operands that are written over: torch and we keep copies."""
    found = []
    for write in (
        lambda y, w: y.mul_(w),
        lambda y, w: y.exp_(),
        lambda y, w: y.mul_(2).sigmoid_(),
        lambda y, w: y.add_(w).sin_(),
        lambda y, w: y.div_(w).neg_(),
        lambda y, w: y.abs_(),
        lambda y, w: y.pow_(2),
        lambda y, w: y.clamp_(0.5, 2.5),
        lambda y, w: y.sub_(w, alpha=2).neg_(),
    ):
        x, w = leaf(m, device), leaf(m, device, (0.5, 1.5, 2.0))
        y = write(x * 1, w)
        (y * w).sum().backward()
        found.append((y, y.grad_fn.next_functions != (), y._version, x.grad, w.grad))
    return found


@agrees
def a_saved_value_assigned_elsewhere_stays_its_own(m, device):
    x = leaf(m, device)
    y = x.tanh()
    buffer = m.zeros(2, 3, device=device)
    buffer[0] = y
    buffer[1].copy_(y)
    buffer.mul_(3)
    (buffer * buffer).sum().backward()
    return buffer, x.grad


@agrees
def writes_without_recording(m, device):
    x = leaf(m, device)
    base = x * 2
    v = base[:2]
    with m.no_grad():
        v.mul_(5)
        base[2] = 1.0
        x.add_(1)
    base.sum().backward()
    return base, v._version, x._version, type(base.grad_fn).__name__, x.grad


@agrees
def views_made_without_recording(m, device):
    x = leaf(m, device)
    base = x * 1
    with m.no_grad():
        v, w = base[:2], x[:2]
        c = m.ones(3, device=device)[:2]
    return [(t, t.requires_grad, t.is_leaf, t.grad_fn) for t in (v, w, c, v.detach())]


@agrees
def a_leaf_written_to_without_recording(m, device):
    x = leaf(m, device)
    for _ in range(2):
        (x * x).sum().backward()
        with m.no_grad():
            x -= 0.1 * x.grad
            x.grad.zero_()
    return x, x.is_leaf, x._version


@agrees
def a_view_that_is_a_leaf(m, device):
    base = m.ones(3, device=device)
    v = base[:2].requires_grad_()
    (v * 2).sum().backward()
    return v.is_leaf, v.requires_grad, base.requires_grad, v.grad


@agrees
def broadcasting_into_a_write(m, device):
    x, row = matrix(m, device), leaf(m, device)
    y = x * 1
    y.add_(row)
    y[:, 0] = row.sum()
    y.mul_(m.ones(1, device=device) * 2)
    y.sum().backward()
    return y, x.grad, row.grad


@agrees
def casts_into_a_write(m, device):
    x = m.ones(3, dtype=m.float64, device=device, requires_grad=True)
    y = m.zeros(3, device=device)
    y.add_(x)
    y.mul_(m.tensor([1, 2, 3], device=device))
    y.sum().backward()
    i = m.zeros(3, dtype=m.int64, device=device)
    i[:] = m.tensor([1.9, -1.9, 2.0], device=device)
    return y, x.grad, i


# --- what is forbidden -------------------------------------------------------------------------------------------


@fails
def a_write_to_a_leaf(m, device):
    leaf(m, device).add_(1)


@fails
def a_write_to_a_view_of_a_leaf(m, device):
    leaf(m, device)[:2].mul_(2)


@fails
def an_assignment_to_a_part_of_a_leaf(m, device):
    leaf(m, device)[0] = 1


@fails
def a_write_to_a_view_that_is_a_leaf(m, device):
    m.ones(3, device=device)[:2].requires_grad_().mul_(2)


@fails
def a_write_to_one_of_several_views(m, device):
    (leaf(m, device) * 1).unbind()[0].mul_(2)


@fails
def a_write_to_a_part_of_one_of_several_views(m, device):
    (leaf(m, device) * 1).split(2)[1].view(1, 1).mul_(2)


@fails
def a_write_to_one_of_several_views_of_a_leaf(m, device):
    leaf(m, device).chunk(3)[2].mul_(2)


@fails
def a_recorded_write_to_one_of_several_views_of_a_constant(m, device):
    m.ones(3, device=device).unbind()[0].mul_(leaf(m, device)[0])


@fails
def a_recorded_write_to_a_view_made_without_recording(m, device):
    x = leaf(m, device) * 1
    with m.no_grad():
        v = x[:2]
    v.mul_(2)


@fails
def a_recorded_write_to_a_view_of_a_constant_made_without_recording(m, device):
    with m.no_grad():
        v = m.ones(3, device=device)[:2]
    v.mul_(leaf(m, device)[:2])


@fails
def a_recorded_write_to_a_view_made_in_inference_mode(m, device):
    x = leaf(m, device) * 1
    with m.inference_mode():
        v = x[:2]
    v.add_(1)


@fails
def a_write_to_an_inference_tensor(m, device):
    with m.inference_mode():
        x = m.ones(3, device=device)
    x.add_(1)


@fails
def a_write_to_an_expanded_tensor(m, device):
    (leaf(m, device) * 1).expand(2, 3).add_(1)


@fails
def a_write_that_would_change_the_shape(m, device):
    (leaf(m, device) * 1).add_(m.ones(2, 3, device=device))


@fails
def a_write_of_floats_into_integers(m, device):
    m.ones(3, dtype=m.int64, device=device).add_(1.5)


@fails
def a_stale_operand(m, device):
    x = leaf(m, device) * 1
    y = x * x
    x.add_(1)
    y.sum().backward()


@fails
def a_stale_result(m, device):
    y = leaf(m, device).exp()
    y.add_(1)
    y.sum().backward()


@fails
def an_operand_stale_by_assignment(m, device):
    x = leaf(m, device) * 1
    y = x * x
    x[0] = 5
    y.sum().backward()


@fails
def an_operand_stale_by_a_write_to_a_detached_alias(m, device):
    x = leaf(m, device) * 1
    y = x * x
    x.detach().add_(1)
    y.sum().backward()


@fails
def a_stale_leaf(m, device):
    x = leaf(m, device)
    y = x * x
    with m.no_grad():
        x.add_(1)
    y.sum().backward()


def test_a_write_of_a_tensor_to_itself_keeps_what_it_needs():
    """torch finds the operand stale."""
    x = leaf(ag, "cpu")
    y = x * 1
    y.mul_(y)
    y.sum().backward()
    assert x.grad.tolist() == [2.0, 4.0, 6.0]


def test_a_stale_second_result_is_called_so():
    _, b = (ag.stack([leaf(ag, "cpu"), leaf(ag, "cpu")]) * 1).unbind()
    y = b * b
    with ag.no_grad():
        b.add_(1)
    with pytest.raises(
        RuntimeError, match=r"\[torch.FloatTensor \[3\]\], which is output 1 of Unbind, is at version 1"
    ):
        y.sum().backward()


def test_a_view_of_a_view_made_without_recording_is_not_written_to():
    x = leaf(ag, "cpu") * 1
    with ag.no_grad():
        v = x[:2]
    with pytest.raises(
        RuntimeError, match="created in no_grad mode and is being modified inplace with grad mode enabled"
    ):
        v[:1].mul_(2)


def test_views_made_before_their_base_required_grad_may_be_written_to():
    """torch takes the second for a leaf."""
    x = leaf(ag, "cpu")
    base = ag.zeros(2, 3)
    row, other = base[0], base[1]
    row.copy_(x * 2)
    other.add_(x.sum())
    (base * base).sum().backward()
    np.testing.assert_allclose(x.grad.tolist(), [8 * i + 36 for i in (1, 2, 3)])


def test_a_stale_array_names_both_lines():
    x = ours([1.0, 2.0], requires_grad=True) * 1
    y = (x * x).sum()
    x.add_(1)
    with pytest.raises(RuntimeError) as error:
        y.backward()
    saved, written = str(error.value).splitlines()[1:]
    assert re.fullmatch(r"Saved by MulBackward0 at .*test_views.py:\d+: y = \(x \* x\).sum\(\)", saved)
    assert re.fullmatch(r"Written to at .*test_views.py:\d+: x.add_\(1\)", written)


def test_nothing_is_written_where_an_error_is_raised(device):
    x = ours([1.0, 2.0, 3.0], device, requires_grad=True)
    base = x * 1
    views = {
        "a leaf": x,
        "a view of a leaf": x[:2],
        "one of several": base.split(2)[0],
        "expanded": base.expand(2, 3),
        "another shape": base[:2],
        "a narrower dtype": ours([1, 2], device),
    }
    operands = {"another shape": ours([1.0, 2.0, 3.0], device), "a narrower dtype": ours([0.5, 0.5], device)}
    for name, view in views.items():
        before, version, node = view.tolist(), view._version, view.grad_fn
        with pytest.raises(RuntimeError):
            view.mul_(operands.get(name, 2.0))
        assert (view.tolist(), view._version, view.grad_fn) == (before, version, node), name
    assert base.tolist() == [1.0, 2.0, 3.0]


def test_a_view_made_without_recording_whose_base_is_written_to_blocks_gradients():
    x = ours([1.0, 2.0], requires_grad=True)
    base = x * 1
    with ag.no_grad():
        v = base[:1]
    base.mul_(2)
    text = "^A view was created in no_grad mode and its base or another view of its base has been modified inplace with grad"
    with pytest.raises(RuntimeError, match=text):
        v.sum().backward()


def test_views_of_several_may_be_used_after_a_write_to_the_base():
    """torch forbids it; the gradient is right."""
    x = ours([1.0, 2.0], requires_grad=True)
    base = x * 1
    a, b = base.unbind()
    base.mul_(base.detach() * 10)
    (a * b).backward()
    np.testing.assert_allclose(x.grad.tolist(), [20 * 20 * 2.0 / 2 * 1, 20 * 10.0])


def test_long_chains_of_views_and_of_writes():
    x = ours(np.ones(4), requires_grad=True)
    base = x * 1
    v = base
    for _ in range(3000):
        v = v.view(2, 2).t().t().view(4)
    v.mul_(2)
    for _ in range(3000):
        base[:2].add_(1)
    base.sum().backward()
    assert x.grad.tolist() == [2.0] * 4
