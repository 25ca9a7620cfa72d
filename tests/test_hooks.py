"""Hooks on tensors, nodes and leaves: what they see, what they may change, and in which order they run, as in torch.

One difference is meant: leaves get their gradients, and their hooks run, after all nodes have run.
"""

import gc
import re
import weakref

import numpy as np
import pytest
from programs import Programs, assert_agrees, assert_fails_alike, leaf
from support import ours

import autograd_gpu as ag
from autograd_gpu.engine import Node

agrees, fails = Programs(), Programs()


@agrees.parametrize()
def test_hooks_agree_with_torch(program, device):
    assert_agrees(program, device)


@fails.parametrize()
def test_hooks_that_may_not_are_refused_in_torchs_words(program):
    assert_fails_alike(program)


class Log(list):
    """Makes hooks that note their name and what they were given."""

    def hook(self, name, result=lambda *args: None):
        def hook(*args):
            self.append((name, *args))
            return result(*args)

        return hook


# --- on tensors --------------------------------------------------------------------------------------


@agrees
def tensor_hooks_run_in_order_and_see_what_the_former_returned(m, device):
    log, x = Log(), leaf(m, device)
    y = x * 2
    y.register_hook(log.hook("a"))
    y.register_hook(log.hook("b", lambda g: g * 10))
    y.register_hook(log.hook("c", lambda g: g + 1))
    x.register_hook(log.hook("x", lambda g: g * 3))
    x.register_hook(log.hook("x again"))
    (y * y).sum().backward()
    return log, x.grad


@agrees
def a_tensor_hook_sees_the_sum_of_all_uses(m, device):
    log, x = Log(), leaf(m, device)
    y = x * 2
    y.register_hook(log.hook("y"))
    (y * 3 + y.exp() + y).sum().backward()
    return log, x.grad


@agrees
def removed_hooks_do_not_run(m, device):
    log, x = Log(), leaf(m, device)
    y = x * 2
    handle = y.register_hook(log.hook("removed"))
    y.register_hook(log.hook("kept"))
    handle.remove()
    handle.remove()
    with x.register_hook(log.hook("while it lasts")):
        y.sum().backward(retain_graph=True)
    y.sum().backward()
    return log


@agrees
def a_hook_that_removes_itself(m, device):
    log, x = Log(), leaf(m, device)
    handles = []
    handles.append(x.register_hook(log.hook("once", lambda g: handles[0].remove())))
    x.register_hook(log.hook("always"))
    (x * 2).sum().backward()
    (x * 2).sum().backward()
    return log


@agrees
def hooks_on_results_of_one_node(m, device):
    log, x = Log(), leaf(m, device)
    a, b, c = (x * 1).unbind()
    a.register_hook(log.hook("a", lambda g: g * 10))
    b.register_hook(log.hook("b"))
    (a * 2 + b * 3).backward()
    return log, x.grad


@agrees
def leaf_hooks_run_in_autograd_grad_too(m, device):
    log, x, w = Log(), leaf(m, device), leaf(m, device)
    x.register_hook(log.hook("x", lambda g: g * 2))
    w.register_hook(log.hook("w is not asked for"))
    y = x * w
    y.register_hook(log.hook("y"))
    return m.autograd.grad(y.sum(), x), log, x.grad


@agrees
def hooks_record_only_when_a_graph_is_created(m, device):
    log, x = Log(), leaf(m, device)
    y = x * x
    y.register_hook(lambda g: log.append((m.is_grad_enabled(), g.requires_grad)))
    x.register_hook(lambda g: log.append((m.is_grad_enabled(), g.requires_grad)))
    m.autograd.grad((y * y).sum(), x, retain_graph=True)
    m.autograd.grad((y * y).sum(), x, create_graph=True)
    return log


@agrees
def a_hook_takes_part_in_the_second_derivative(m, device):
    x = leaf(m, device)
    y = x * x
    y.register_hook(lambda g: g * g)
    (g,) = m.autograd.grad((y * y).sum(), x, create_graph=True)
    return g, m.autograd.grad(g.sum(), x)


@agrees
def a_hook_may_keep_and_write_to_its_gradient(m, device):
    kept, x, w = [], leaf(m, device), leaf(m, device)
    y = x + w
    y.register_hook(kept.append)
    x.register_hook(kept.append)
    (y * 2).sum().backward()
    kept[0].mul_(100)
    kept[1].mul_(100)
    return x.grad, w.grad


@agrees
def a_returned_tensor_stays_its_owners(m, device):
    mine = m.full((3,), 7.0, device=device)
    x = leaf(m, device)
    x.register_hook(lambda g: mine)
    for _ in range(2):
        (x * 2).sum().backward()
    return x.grad, mine


@agrees
def zero_dimensional_gradients(m, device):
    log = Log()
    x = m.tensor(2.0, device=device, requires_grad=True)
    y = x * x
    y.register_hook(log.hook("y", lambda g: g * 3))
    x.register_hook(log.hook("x", lambda g: g * 5))
    y.exp().log().backward()
    return log, x.grad


@agrees
def hooks_stay_with_the_value_they_were_registered_on(m, device):
    log, x = Log(), leaf(m, device)
    y = x * 1
    y.register_hook(log.hook("before"))
    y.mul_(2)
    y.register_hook(log.hook("after"))
    y.sum().backward()
    return log


@agrees
def hooks_on_a_view_and_its_base(m, device):
    log, x = Log(), leaf(m, device)
    y = x * 1
    v = y[:2]
    y.register_hook(log.hook("y"))
    v.register_hook(log.hook("v"))
    (v * v).sum().backward()
    return log


# --- retained gradients --------------------------------------------------------------------------------


@agrees
def retained_gradients_are_those_after_all_hooks(m, device):
    x = leaf(m, device)
    y = x * 2
    y.retain_grad()
    y.retain_grad()
    y.register_hook(lambda g: g * 10)
    x.retain_grad()
    y.sum().backward(retain_graph=True)
    first = y.grad.clone()
    y.sum().backward()
    return y.retains_grad, x.retains_grad, first, y.grad, x.grad


@agrees
def retained_gradients_follow_a_write(m, device):
    x = leaf(m, device)
    y = x * 1
    y.retain_grad()
    y.mul_(2)
    y[0] = 5.0
    (y * y).sum().backward()
    return y.grad, x.grad


@agrees
def retained_gradients_of_views_follow_a_write_to_the_base(m, device):
    x = leaf(m, device)
    y = x * 1
    v = y[:2]
    v.retain_grad()
    y.retain_grad()
    y.mul_(3)
    (v * v).sum().backward()
    return v.grad, y.grad, x.grad


@agrees
def retained_gradients_in_autograd_grad(m, device):
    x = leaf(m, device)
    y = x * 2
    y.retain_grad()
    g = m.autograd.grad((y * y).sum(), x)
    return y.grad, g, x.grad


@agrees
def retained_gradients_of_one_of_several_results(m, device):
    x = leaf(m, device)
    a, b, c = (x * 2).unbind()
    b.retain_grad()
    (a * b * c).backward()
    return b.grad, x.grad


@agrees
def retained_gradients_are_copies(m, device):
    x = leaf(m, device)
    y = x * 1
    z = y + 1
    y.retain_grad()
    z.retain_grad()
    z.sum().backward()
    y.grad.mul_(100)
    return y.grad, z.grad, x.grad


# --- on nodes ------------------------------------------------------------------------------------------


@agrees
def node_hooks_see_tuples(m, device):
    log, x = Log(), leaf(m, device)
    y = x * 3
    y.grad_fn.register_hook(log.hook("post"))
    y.grad_fn.register_prehook(log.hook("pre"))
    y.register_hook(log.hook("tensor"))
    y.sum().backward()
    return log


@agrees
def node_hooks_may_replace(m, device):
    log, x, w = Log(), leaf(m, device), leaf(m, device)
    y = x * w
    y.grad_fn.register_prehook(log.hook("pre", lambda gs: (gs[0] * 2,)))
    y.grad_fn.register_prehook(log.hook("pre again"))
    y.grad_fn.register_hook(log.hook("post", lambda ins, outs: (ins[0] * 5, ins[1])))
    y.grad_fn.register_hook(log.hook("post again", lambda ins, outs: (ins[0], None)))
    y.sum().backward()
    return log, x.grad, w.grad


@agrees
def node_hooks_of_a_node_with_several_results(m, device):
    log, x = Log(), leaf(m, device)
    a, b, c = (x * 1).unbind()
    node = a.grad_fn
    node.register_prehook(log.hook("pre", lambda gs: (gs[0] * 2, gs[1], gs[2])))
    node.register_hook(log.hook("post"))
    (a * 2 + c * 3).backward()
    return log, x.grad


@agrees
def node_hooks_when_a_graph_is_created(m, device):
    log, x = Log(), leaf(m, device)
    y = x * x
    y.grad_fn.register_hook(lambda ins, outs: (ins[0] * ins[0], ins[1]))
    y.grad_fn.register_prehook(lambda outs: (outs[0] * 3,))
    (g,) = m.autograd.grad((y * y).sum(), x, create_graph=True)
    return g, m.autograd.grad(g.sum(), x), log


@agrees
def a_prehook_that_returns_none_as_gradient(m, device):
    x = leaf(m, device)
    y = x * 3
    y.grad_fn.register_prehook(lambda gs: (None,))
    (y.sum() + x.sum()).backward()
    return x.grad


@agrees
def hooks_on_the_node_of_a_leaf(m, device):
    log, x = Log(), leaf(m, device)
    y = x * 3
    node = y.grad_fn.next_functions[0][0]
    node.register_hook(log.hook("post", lambda ins, outs: log.append(x.grad.clone())))
    node.register_prehook(log.hook("pre", lambda gs: (gs[0] * 2,)))
    x.register_hook(log.hook("tensor"))
    x.register_post_accumulate_grad_hook(lambda p: log.append(("post accumulate", p is x, p.grad.clone())))
    y.sum().backward(retain_graph=True)
    log.append(m.autograd.grad(y.sum(), x))
    return log, x.grad


@agrees
def post_accumulate_hooks(m, device):
    log, x, w = Log(), leaf(m, device), leaf(m, device)
    handle = x.register_post_accumulate_grad_hook(lambda p: log.append(p.grad.clone()))
    w.register_post_accumulate_grad_hook(lambda p: log.append("w"))
    for _ in range(2):
        (x * 2).sum().backward()
    m.autograd.grad((x * 2).sum(), x)
    handle.remove()
    (x * 2).sum().backward()
    return log, x.grad


@agrees
def an_optimizer_step_in_a_post_accumulate_hook(m, device):
    x = leaf(m, device)

    def step(p):
        p.sub_(0.5 * p.grad)
        p.grad = None

    x.register_post_accumulate_grad_hook(step)
    for _ in range(2):
        (x * x).sum().backward()
    return x, x.grad


@agrees
def numbers_and_conditions_are_no_operands(m, device):
    log, x, w = Log(), leaf(m, device), leaf(m, device)
    for y in (x**3, 2**x, m.where(x > 1.5, x, w), x.clamp(0.5, 2.5)):
        y.grad_fn.register_hook(log.hook("post", lambda ins, outs: tuple(g if g is None else g * 2 for g in ins)))
        y.sum().backward()
        log.append(len(y.grad_fn.next_functions))
    return log, x.grad, w.grad


@agrees
def the_order_along_a_chain(m, device):
    log, x = Log(), leaf(m, device, (0.5,))
    values = [x * 2]
    for name in ("exp", "sin", "neg", "tanh"):
        values.append(getattr(values[-1], name)())
    for i, y in enumerate(values):
        y.register_hook(lambda g, i=i: log.append(("tensor", i)))
        y.grad_fn.register_prehook(lambda gs, i=i: log.append(("pre", i)))
        y.grad_fn.register_hook(lambda ins, outs, i=i: log.append(("post", i)))
    y.sum().backward()
    return log


@agrees
def the_order_in_a_diamond(m, device):
    log, x = Log(), leaf(m, device, (0.5,))
    a = x * 2
    b, c = a.exp(), a.sin()
    d = b * c + a
    for name, y in (("a", a), ("b", b), ("c", c), ("d", d)):
        y.grad_fn.register_hook(lambda ins, outs, name=name: log.append(name))
    d.sum().backward()
    return log


# --- errors --------------------------------------------------------------------------------------------


def tensor_hook(hook):
    def program(m, device):
        x = leaf(m, device)
        y = x * 3
        y.register_hook(lambda g: hook(m, g))
        y.sum().backward()

    return program


def node_hook(hook, register="register_hook"):
    def program(m, device):
        x = leaf(m, device)
        y = x * 3
        getattr(y.grad_fn, register)(lambda *args: hook(m, *args))
        y.sum().backward()

    return program


for _name, _program in {
    "tensor_hook_size": tensor_hook(lambda m, g: g[:2]),
    "tensor_hook_type": tensor_hook(lambda m, g: g.double()),
    "tensor_hook_number": tensor_hook(lambda m, g: 3),
    "tensor_hook_tuple": tensor_hook(lambda m, g: (g,)),
    "post_one_value": node_hook(lambda m, ins, outs: (ins[0],)),
    "post_tensor": node_hook(lambda m, ins, outs: ins[0]),
    "post_list": node_hook(lambda m, ins, outs: list(ins)),
    "post_size": node_hook(lambda m, ins, outs: (ins[0][:2], None)),
    "post_type": node_hook(lambda m, ins, outs: (ins[0].double(), None)),
    "post_number": node_hook(lambda m, ins, outs: (3.0, None)),
    "post_replaces_none": node_hook(lambda m, ins, outs: (ins[0], ins[0])),
    "pre_tensor": node_hook(lambda m, outs: outs[0], "register_prehook"),
    "pre_two_values": node_hook(lambda m, outs: (outs[0], None), "register_prehook"),
    "pre_size": node_hook(lambda m, outs: (outs[0][:2],), "register_prehook"),
    "pre_type": node_hook(lambda m, outs: (outs[0].double(),), "register_prehook"),
}.items():
    _program.__name__ = _name
    fails(_program)


@fails
def a_named_hook(m, device):
    def halve(g):
        return g[:1]

    x = leaf(m, device)
    x.register_hook(halve)
    x.sum().backward()


@fails
def a_hook_that_is_an_object(m, device):
    class Halve:
        def __call__(self, g):
            return g[:1]

    x = leaf(m, device)
    x.register_hook(Halve())
    x.sum().backward()


@fails
def a_hook_on_a_tensor_without_gradient(m, device):
    m.ones(2).register_hook(print)


@fails
def a_post_accumulate_hook_on_a_tensor_without_gradient(m, device):
    m.ones(2).register_post_accumulate_grad_hook(print)


@fails
def a_post_accumulate_hook_on_a_result(m, device):
    (leaf(m, device) * 2).register_post_accumulate_grad_hook(print)


@fails
def retaining_the_gradient_of_a_tensor_without(m, device):
    m.ones(2).retain_grad()


def test_an_error_in_a_hook_leaves_every_gradient_as_it_was():
    x, w = ours([1.0, 2.0], requires_grad=True), ours([3.0, 4.0], requires_grad=True)
    (x * w).sum().backward()
    before = x.grad, w.grad, x.grad.array.copy(), w.grad.array.copy()

    def fail(*_):
        raise ZeroDivisionError

    def where(name):
        y = x * w
        y.retain_grad()
        {
            "node": y.grad_fn.register_hook,
            "prehook": y.grad_fn.register_prehook,
            "tensor": y.register_hook,
            "leaf": w.register_hook,
            "leaf prehook": y.grad_fn.next_functions[1][0].register_prehook,
        }[name](fail)
        return y

    for name in ("node", "prehook", "tensor", "leaf", "leaf prehook"):
        y = where(name)
        with pytest.raises(ZeroDivisionError):
            y.sum().backward()
        assert y.grad is None, name
        assert x.grad is before[0]
        assert w.grad is before[1]
        np.testing.assert_array_equal(x.grad.array, before[2])
        np.testing.assert_array_equal(w.grad.array, before[3])
        w._hooks = None


def test_nodes_of_leaves():
    x = ours([1.0], requires_grad=True)
    y = x * x
    (a, i), (b, j) = y.grad_fn.next_functions
    assert (a, i, j) == (b, 0, 0)
    assert hash(a) == hash(b)
    assert a != (ours([1.0], requires_grad=True) * 2).grad_fn.next_functions[0][0]
    assert isinstance(a, Node)
    assert isinstance(a, ag.autograd.graph.Node)
    assert a.variable is x
    assert a.name() == "torch::autograd::AccumulateGrad"
    assert re.fullmatch(r"<AccumulateGrad object at 0x[0-9a-f]+>", repr(a))
    assert a.next_functions == ()
    a.metadata["key"] = 1
    assert b.metadata == {"key": 1}


def test_hooks_do_not_keep_tensors_alive():
    gc.disable()
    try:
        x = ours([1.0], requires_grad=True)
        y = x * 2
        y.register_hook(lambda g: g)
        y.retain_grad()
        y.grad_fn.register_hook(lambda *_: None)
        alive = [weakref.ref(y), weakref.ref(y.grad_fn)]
        y.sum().backward()
        x.register_hook(lambda g: g)
        del y
        assert [ref() for ref in alive] == [None, None]
        alive = weakref.ref(x)
        del x
        assert alive() is None
    finally:
        gc.enable()
