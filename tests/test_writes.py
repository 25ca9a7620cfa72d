"""Writes that are forbidden, as in torch, and what writes leave behind."""

import re

import numpy as np
import pytest
from programs import Programs, assert_fails_alike, leaf
from support import ours

import autograd_gpu as ag

fails = Programs()


@fails.parametrize()
def test_forbidden_writes_are_refused_in_torchs_words(program):
    assert_fails_alike(program)


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
    assert re.fullmatch(r"Saved by MulBackward0 at .*test_writes.py:\d+: y = \(x \* x\).sum\(\)", saved)
    assert re.fullmatch(r"Written to at .*test_writes.py:\d+: x.add_\(1\)", written)


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
