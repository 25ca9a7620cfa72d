"""The backward pass: orders, sums, seeds, freed graphs, chosen inputs, higher derivatives, and what gradients own."""

import threading

import numpy as np
import pytest
from programs import Programs, assert_agrees, assert_alike, leaf
from support import ours

import autograd_gpu as ag
from autograd_gpu import autograd

agrees = Programs()


@agrees.parametrize()
def test_backward_passes_agree_with_torch(program, device):
    assert_agrees(program, device)


# --- sums and orders -----------------------------------------------------------------------------------


@agrees
def gradients_accumulate(m, device):
    x = leaf(m, device)
    grads = []
    for _ in range(3):
        (x * x).sum().backward()
        grads.append(x.grad.clone())
    return grads, x.grad.requires_grad


@agrees
def accumulation_is_in_place(m, device):
    x = leaf(m, device)
    (x * 2).sum().backward()
    first = x.grad
    (x * 3).sum().backward()
    return first is x.grad, first, first._version


@agrees
def a_diamond(m, device):
    x = leaf(m, device)
    a = x * x
    b, c = a.exp(), a.sin()
    (b * c + a * b).sum().backward()
    return x.grad


@agrees
def a_value_used_many_times(m, device):
    x = leaf(m, device)
    y = x * 2
    total = y
    for _ in range(10):
        total = total + y * y
    total.sum().backward()
    return x.grad


@agrees
def several_leaves_and_constants(m, device):
    x, w = leaf(m, device), leaf(m, device, (0.5, 0.25, 0.125))
    c = m.ones(3, device=device)
    y = (x * w + c) * c - w
    y.sum().backward()
    return x.grad, w.grad, c.grad, y.grad_fn.next_functions[1]


@agrees
def a_leaf_is_its_own_root(m, device):
    x = leaf(m, device)
    seed = m.tensor([5.0, 6.0, 7.0], device=device)
    x.backward(seed)
    x.backward(seed)
    return x.grad, seed, m.autograd.grad(x, x, seed)


@agrees
def several_roots(m, device):
    x = leaf(m, device)
    y = x * 2
    z = y * x
    m.autograd.backward([y.sum(), z, y], [None, m.ones(3, device=device), 3 * m.ones(3, device=device)])
    return x.grad


@agrees
def the_same_root_twice(m, device):
    x = leaf(m, device)
    y = (x * x).sum()
    m.autograd.backward([y, y])
    return x.grad


@agrees
def a_root_that_leads_to_another(m, device):
    x = leaf(m, device)
    y = x * 2
    z = (y * y).sum()
    m.autograd.backward([y.sum(), z])
    return x.grad, m.autograd.grad([(x * 3).sum(), (x * x).sum()], x)


@agrees
def unused_parts_get_nothing(m, device):
    x, w = leaf(m, device), leaf(m, device)
    a, b, c = (x * w).unbind()
    (b * 2).backward()
    return x.grad, w.grad


@agrees
def no_roots(m, device):
    return m.autograd.backward([])


# --- seeds -----------------------------------------------------------------------------------------------


@agrees
def seeds_of_other_dtypes(m, device):
    found = []
    for dtype in (m.float64, m.float16, m.int64):
        x = leaf(m, device)
        (x * 2).backward(m.ones(3, dtype=dtype, device=device))
        found.append(x.grad)
    return found


@agrees
def a_single_element_is_a_scalar(m, device):
    x = leaf(m, device)
    (x * 2)[:1].backward()
    (x * 2).view(1, 3)[:, 1:2].backward()
    return x.grad


@agrees
def complex_seeds(m, device):
    z = m.tensor([1 + 2j, 3 - 1j], device=device, requires_grad=True)
    (z * z).backward(m.tensor([1 + 1j, 2j], device=device))
    return z.grad


@agrees
def mixed_dtypes_in_one_graph(m, device):
    x = leaf(m, device)
    w = m.tensor([1.0, 2.0, 3.0], dtype=m.float64, device=device, requires_grad=True)
    h = m.tensor([1.0, 2.0, 3.0], dtype=m.float16, device=device, requires_grad=True)
    ((x * w) * h).sum().backward()
    return x.grad, w.grad, h.grad


@agrees
def a_seed_that_requires_grad(m, device):
    x, seed = leaf(m, device), leaf(m, device)
    (x * x).backward(seed)
    (g,) = m.autograd.grad(x * x, x, seed, create_graph=True)
    return x.grad, seed.grad, g, m.autograd.grad(g.sum(), (x, seed))


@agrees
def no_seed_among_several(m, device):
    x = leaf(m, device)
    return m.autograd.grad([x.sum(), x * 2], x, [None, m.ones(3, device=device)])


# --- keeping the graph -----------------------------------------------------------------------------------


@agrees
def a_kept_graph_runs_again(m, device):
    x = leaf(m, device)
    y = (x * x * x).sum()
    y.backward(retain_graph=True)
    y.backward(retain_graph=True)
    y.backward()
    return x.grad


@agrees
def what_saved_nothing_runs_again(m, device):
    x = leaf(m, device)
    y = (x + 1) - x.sum()
    y.sum().backward()
    y.sum().backward()
    return x.grad


@agrees
def two_losses_on_one_trunk(m, device):
    x = leaf(m, device)
    trunk = x * 2
    (trunk * 1).sum().backward(retain_graph=True)
    trunk.sum().backward()
    return x.grad


@agrees
def higher_derivatives(m, device):
    x = m.tensor([0.3, -0.7], dtype=m.float64, device=device, requires_grad=True)
    found = [(x.sin() * x.exp() + 1 / x).sum()]
    for _ in range(4):
        found += m.autograd.grad(found[-1].sum(), x, create_graph=True)
    return found


@agrees
def a_hessian_vector_product(m, device):
    x = leaf(m, device)
    v = m.tensor([1.0, 0.5, -1.0], device=device)
    (g,) = m.autograd.grad((x * x * x).sum() + x.prod(), x, create_graph=True)
    return m.autograd.grad((g * v).sum(), x)


@agrees
def a_gradient_penalty(m, device):
    x, w = leaf(m, device), leaf(m, device, (0.1, 0.2, 0.3))
    y = (w * x).tanh().sum()
    (g,) = m.autograd.grad(y, x, create_graph=True)
    (y + (g * g).sum()).backward()
    return x.grad, w.grad


@agrees
def created_graphs_keep_what_they_need(m, device):
    x = leaf(m, device)
    y = (x * x).sum()
    (g,) = m.autograd.grad(y, x, create_graph=True)
    (h,) = m.autograd.grad(g.sum(), x, create_graph=True)
    return g, h, g.requires_grad, m.autograd.grad(y, x)


@agrees
def a_gradient_that_needs_none(m, device):
    x = leaf(m, device)
    (g,) = m.autograd.grad((x * 3).sum(), x, create_graph=True)
    return g, g.requires_grad


# --- chosen inputs ---------------------------------------------------------------------------------------


@agrees
def backward_to_chosen_leaves(m, device):
    x, w = leaf(m, device), leaf(m, device)
    (x * w).sum().backward(inputs=[w])
    (x * w).sum().backward(inputs=x)
    (x * w).sum().backward(inputs=[x, x])
    return x.grad, w.grad


@agrees
def backward_to_a_result(m, device):
    x = leaf(m, device)
    y = x * 2
    z = y * y
    z.sum().backward(inputs=[y, z])
    return x.grad, y.grad, z.grad, y.retains_grad


@agrees
def backward_to_a_result_and_a_leaf(m, device):
    x = leaf(m, device)
    y = x * 2
    (y * y).sum().backward(inputs=[y, x])
    return x.grad, y.grad


@agrees
def backward_to_what_is_not_there(m, device):
    x, other = leaf(m, device), leaf(m, device)
    (x * 2).sum().backward(inputs=[other])
    return x.grad, other.grad


@agrees
def grad_by_results(m, device):
    x = leaf(m, device)
    y = x * 2
    z = y.exp()
    a, b, c = z.unbind()
    return m.autograd.grad(a * b + z.sum(), [x, y, z, a, b])


@agrees
def grad_by_a_result_does_not_run_what_is_below(m, device):
    x = leaf(m, device)
    log = []
    y = x * 2
    y.grad_fn.register_hook(lambda *_: log.append("below"))
    z = y * y
    z.grad_fn.register_hook(lambda *_: log.append("above"))
    return m.autograd.grad(z.sum(), y), log


@agrees
def grad_of_a_result_by_itself(m, device):
    x = leaf(m, device)
    y = x * 2
    return m.autograd.grad(y, [y, x], m.ones(3, device=device) * 3)


@agrees
def grad_by_the_same_input_twice(m, device):
    x = leaf(m, device)
    return m.autograd.grad((x * x).sum(), [x, x])


@agrees
def unused_inputs(m, device):
    x, other = leaf(m, device), m.ones(2, dtype=m.float64, device=device, requires_grad=True)
    y = (x * x).sum()
    return (
        m.autograd.grad(y, [x, other], allow_unused=True, retain_graph=True),
        m.autograd.grad(y, [other, x], materialize_grads=True, retain_graph=True),
        m.autograd.grad(y, (other,), allow_unused=True, materialize_grads=True),
    )


@agrees
def batched_gradients(m, device):
    x = leaf(m, device)
    y = x * x
    rows = m.eye(3, device=device)
    jacobian = m.autograd.grad(y, x, rows, is_grads_batched=True, retain_graph=True)
    two = m.autograd.grad([y, y.sum()], x, [rows, m.arange(3.0, device=device)], is_grads_batched=True)
    return jacobian, two


@agrees
def gradient_edges(m, device):
    edge_of = m.autograd.graph.get_gradient_edge
    x = leaf(m, device)
    y = x * 2
    a, b, c = y.unbind()
    z = a * b
    edge = edge_of(b)
    return (
        m.autograd.grad(z, [edge_of(x), edge_of(y), edge], retain_graph=True),
        m.autograd.grad(edge_of(y), x, m.ones(3, device=device), retain_graph=True),
        m.autograd.grad([edge], [x], [m.tensor(3.0, device=device)]),
        edge.output_nr,
        edge.node,
    )


# --- programs drawn at random ------------------------------------------------------------------------------------


def random_graph(m, device, seed):
    """A graph of 30 nodes over three leaves, with sharing, several roots and some constants."""
    rng = np.random.default_rng(seed)
    leaves = [m.tensor(rng.uniform(0.5, 1.5, 4).tolist(), dtype=m.float64, device=device) for _ in range(3)]
    for x in leaves[:2]:
        x.requires_grad_()
    values = list(leaves)

    def pick():
        return values[max(0, len(values) - 1 - int(rng.exponential(4)))]

    for _ in range(30):
        match rng.integers(10):
            case 0:
                y = pick() + pick()
            case 1:
                y = pick() * pick()
            case 2:
                y = pick() - pick() * 0.5
            case 3:
                y = pick().sin()
            case 4:
                y = pick().tanh()
            case 5:
                y = pick() / (pick() * pick() + 1)
            case 6:
                y = pick().sum() * pick()
            case 7:
                y = m.stack([pick(), pick()]).unbind()[int(rng.integers(2))]
            case 8:
                y = pick()[[1, 0, 3, 2]] if rng.integers(2) else m.cat([pick()[:2], pick()[2:]])
            case _:
                y = (pick() * 0.1).exp()
        values.append(y * 0.5 if rng.integers(2) else y)
    return leaves, values, rng


@pytest.mark.parametrize("seed", range(25))
def test_random_graphs_agree_with_torch(seed):
    torch = pytest.importorskip("torch")

    def run(m):
        leaves, values, rng = random_graph(m, "cpu", seed)
        wanted = [x for x in leaves if x.requires_grad]
        some = [values[i] for i in rng.choice(len(values), 4, replace=False)]
        roots = [y for y in [values[-1], *some] if y.requires_grad]
        seeds = [m.tensor(rng.normal(size=tuple(y.shape)).tolist(), dtype=m.float64) for y in roots]
        first = m.autograd.grad(roots, wanted, seeds, create_graph=True, allow_unused=True)
        used = [g for g in first if g is not None and g.requires_grad]
        second = (
            m.autograd.grad([(g * g).sum() for g in used], wanted, allow_unused=True, retain_graph=True) if used else ()
        )
        m.autograd.backward(roots, seeds)
        return [g if g is None else g.detach() for g in first], second, [x.grad for x in leaves]

    assert_alike(run(ag), run(torch), "gradients")


# --- what torch does not promise -----------------------------------------------------------------------------------


class Failing(autograd.Function):
    @staticmethod
    def forward(ctx, x):
        return x * 1

    @staticmethod
    def backward(ctx, g):
        raise ZeroDivisionError


def test_an_error_on_the_way_leaves_every_gradient_as_it_was(device):
    x, w = ours([1.0, 2.0], device, requires_grad=True), ours([3.0, 4.0], device, requires_grad=True)
    (x * w).sum().backward()
    grad = x.grad
    y = w.exp()
    y.retain_grad()
    with pytest.raises(ZeroDivisionError):
        (Failing.apply(x).sum() + y.sum()).backward()
    assert x.grad is grad
    assert y.grad is None
    np.testing.assert_array_equal(x.grad.tolist(), [3, 4])
    np.testing.assert_array_equal(w.grad.tolist(), [1, 2])
    (x * w).sum().backward()
    np.testing.assert_array_equal(x.grad.tolist(), [6, 8])


def test_modes_are_restored_after_an_error():
    y = Failing.apply(ours([1.0], requires_grad=True))
    with pytest.raises(ZeroDivisionError):
        y.backward()
    assert autograd.is_grad_enabled()
    with pytest.warns(UserWarning, match="create_graph=True"), pytest.raises(ZeroDivisionError), ag.no_grad():
        y.backward(create_graph=True)
    assert autograd.is_grad_enabled()


def test_backward_inside_a_backward():
    class Inner(autograd.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x)
            return x * x

        @staticmethod
        def backward(ctx, g):
            (x,) = ctx.saved_tensors
            x = x.detach().requires_grad_()
            with ag.enable_grad():
                (x * x).backward(g)
            return x.grad

    x = ours([1.0, 2.0], requires_grad=True)
    (Inner.apply(Inner.apply(x)) * 3).sum().backward()
    np.testing.assert_allclose(x.grad.tolist(), [12, 96])


def test_backward_passes_in_several_threads():
    w = ours([1.0, 2.0], requires_grad=True)
    found = {}

    def work(i):
        x = ours([float(i), 1.0], requires_grad=True)
        for _ in range(50):
            (y,) = autograd.grad((x * w).exp().sum(), x)
        found[i] = y.tolist()

    threads = [threading.Thread(target=work, args=(i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for i in range(4):
        np.testing.assert_allclose(found[i], [np.exp(i), 2 * np.exp(2)], rtol=1e-6)


@pytest.mark.parametrize(
    "step", [lambda y: y * 0.999, lambda y: -y, lambda y: y.exp().log(), lambda y: y.view(1, 1).view(())]
)
def test_deep_chains_need_no_recursion(step):
    x = ours(1.0, requires_grad=True)
    y = x
    for _ in range(20_000):
        y = step(y)
    (g,) = autograd.grad(y, x, retain_graph=True)
    assert np.isfinite(g.item())
    del y, g


def test_a_second_derivative_of_a_deep_chain_needs_no_recursion():
    x = ours(1.0, requires_grad=True)
    y = x
    for _ in range(3_000):
        y = y * 1.0001
    (g,) = autograd.grad(y * y, x, create_graph=True)
    (h,) = autograd.grad(g, x)
    np.testing.assert_allclose(h.item(), 2 * 1.0001**6000, rtol=1e-3)


@pytest.mark.slow
def test_a_chain_of_a_million_nodes():
    x = ours(1.0, requires_grad=True)
    for backward in (True, False):
        y = x
        for _ in range(1_000_000):
            y = y * 0.999999
        if backward:
            y.backward()
        del y
    np.testing.assert_allclose(x.grad.item(), 0.999999**1e6, rtol=1e-2)


def test_a_leaf_that_is_a_root_twice_gets_both_cotangents(device):
    x = ours(np.array(3.0), device, requires_grad=True)
    ag.autograd.backward([x, x])
    assert x.grad.item() == 2
