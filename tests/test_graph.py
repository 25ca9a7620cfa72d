"""What a graph shows and what gradients own: flags, nodes, saved values, layouts."""

import pytest
from programs import Programs, assert_agrees, leaf
from support import ours

import autograd_gpu as ag
from autograd_gpu import autograd

agrees = Programs()


@agrees.parametrize()
def test_graphs_agree_with_torch(program, device):
    assert_agrees(program, device)


# --- flags ---------------------------------------------------------------------------------------------------


@agrees
def a_leaf_that_no_longer_requires_grad(m, device):
    x, w = leaf(m, device), leaf(m, device)
    y = x * w
    x.requires_grad_(False)
    y.sum().backward()
    return x.grad, w.grad, x.requires_grad


@agrees
def detaching_in_place(m, device):
    x = leaf(m, device)
    y = x * 2
    z = y * 3
    y.detach_()
    z.sum().backward()
    return y.requires_grad, y.is_leaf, y.grad_fn, x.grad, y.grad


@agrees
def detached_parts_are_constants(m, device):
    x = leaf(m, device)
    (x * x.detach() + (x * 2).detach()).sum().backward()
    return x.grad


@agrees
def integers_take_no_part(m, device):
    x = leaf(m, device)
    i = m.tensor([1, 2, 3], device=device)
    y = x * i
    y.sum().backward()
    return x.grad, y.grad_fn.next_functions[1]


@agrees
def backward_inside_no_grad(m, device):
    x = leaf(m, device)
    y = (x * x).sum()
    with m.no_grad():
        y.backward()
    return x.grad


@agrees
def leaf_flags(m, device):
    x = leaf(m, device)
    y = x * 2
    c = m.ones(2, device=device)
    return [(t.is_leaf, t.requires_grad, t.grad_fn, t.output_nr) for t in (x, y, c, y.detach(), c * 2, y.unbind()[2])]


# --- who owns a gradient -------------------------------------------------------------------------------------


@agrees
def gradients_do_not_share_memory(m, device):
    x, w, b = leaf(m, device), leaf(m, device), leaf(m, device)
    seed = m.ones(3, device=device) * 2
    (x + w + b).backward(seed)
    x.grad.mul_(10)
    seed.mul_(100)
    w.grad.add_(1)
    return x.grad, w.grad, b.grad, seed


@agrees
def a_gradient_set_by_the_user_is_added_to(m, device):
    x = leaf(m, device)
    mine = m.ones(3, device=device)
    x.grad = mine
    (x * 2).sum().backward()
    return x.grad is mine, mine


@agrees
def a_gradient_set_to_none_starts_anew(m, device):
    x = leaf(m, device)
    (x * 2).sum().backward()
    old = x.grad
    x.grad = None
    (x * 3).sum().backward()
    return old, x.grad


@agrees
def zeroing_in_place(m, device):
    x = leaf(m, device)
    (x * 2).sum().backward()
    old = x.grad
    x.grad.zero_()
    (x * 3).sum().backward()
    return old is x.grad, x.grad


@agrees
def gradients_are_laid_out_like_their_tensor(m, device):
    found = []
    base = m.arange(6.0, device=device).view(2, 3)
    for x in (base.t(), base.permute(1, 0), m.arange(12.0, device=device).view(3, 4)[:, ::2], base):
        x = x.detach().requires_grad_()
        (x * x).sum().backward()
        x.sum().backward()
        found.append((x.grad, x.grad.stride()))
    return found


@agrees
def gradients_are_no_views(m, device):
    found = []
    for make in (
        lambda x: x.t(),
        lambda x: x[:1],
        lambda x: x.expand(4, 2, 3),
        lambda x: x.reshape(-1),
        lambda x: x + 0,
    ):
        x = m.ones(2, 3, device=device, requires_grad=True)
        make(x).sum().backward()
        x.grad[0, 0] = 7.0
        found.append((x.grad, x.grad.is_contiguous()))
    return found


# --- nodes -----------------------------------------------------------------------------------------------------


def walk(node):
    """The graph below a node as nested lists of names and result numbers."""
    if node is None:
        return None
    return [node.name(), [(walk(child), number) for child, number in node.next_functions]]


@agrees
def the_shape_of_graphs(m, device):
    x, w = leaf(m, device), leaf(m, device)
    z = m.stack([x, w])
    return [
        walk(y.grad_fn)
        for y in (
            x * 2,
            2 * x,
            x + 1,
            x * w,
            x - w.exp(),
            x.sum(),
            x / w,
            -x,
            (x * w).sum().tanh(),
            z.unbind()[1] * x,
            z[0],
            z[:, 1:],
            z.t(),
            m.cat([x, w, m.ones(1, device=device)]),
            x.clone(),
            z.view(-1),
        )
    ]


@agrees
def saved_attributes(m, device):
    x, w = leaf(m, device), leaf(m, device)
    product, power, exponential = x * w, x**3, x.exp()
    scaled = x * 2
    return (
        product.grad_fn._saved_self,
        product.grad_fn._saved_self is x,
        product.grad_fn._saved_other,
        scaled.grad_fn._saved_self,
        float(scaled.grad_fn._saved_other),
        power.grad_fn._saved_self,
        power.grad_fn._saved_exponent,
        exponential.grad_fn._saved_result,
        exponential.grad_fn._saved_result.grad_fn is exponential.grad_fn,
        hasattr(exponential.grad_fn, "_saved_self"),
        hasattr((x + w).grad_fn, "_saved_self"),
        "_saved_result" in dir(exponential.grad_fn),
        product.grad_fn.metadata,
    )


@agrees
def sequence_numbers_grow(m, device):
    x = leaf(m, device)
    a = x * 2
    b = a * 2
    c = b.exp()
    numbers = [t.grad_fn._sequence_nr() for t in (a, b, c)]
    return [n - numbers[0] for n in numbers], c.grad_fn.next_functions[0][0] is b.grad_fn


@agrees
def variables(m, device):
    Variable = m.autograd.Variable
    x = leaf(m, device)
    v, w = Variable(x), Variable(m.ones(3, device=device), requires_grad=True)
    (v * w).sum().backward()
    return v, v is x, w, w.grad, isinstance(x, Variable), isinstance(3, Variable), v.data_ptr() == x.data_ptr()


@agrees
def versions_counted_by_hand(m, device):
    increment = m.autograd.graph.increment_version
    x, y = m.ones(3, device=device), m.ones(3, device=device)
    increment(x)
    increment([x, y])
    return x._version, x[1:]._version, y._version


def test_a_gradient_is_no_view_of_the_seed(device):
    x = ours([1.0, 2.0], device, requires_grad=True)
    seed = ours([3.0, 4.0], device)
    x.view(2).backward(seed)
    seed.mul_(100)
    assert x.grad.tolist() == [3.0, 4.0]


def test_wrong_variables():
    with pytest.raises(TypeError, match="^Variable data has to be a tensor, but got list$"):
        autograd.Variable([1.0])
    with pytest.raises(RuntimeError, match="^Only Tensors of floating point and complex dtype can require gradients$"):
        autograd.Variable(ag.tensor([1]), requires_grad=True)
    with pytest.raises(
        RuntimeError, match="^It is not possible to get the gradient edge for a Tensor that does not requ"
    ):
        autograd.graph.get_gradient_edge(ag.ones(2))
