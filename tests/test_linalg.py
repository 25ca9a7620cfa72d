"""Products of vectors and matrices, and einsum: what PyTorch gives, over ranks, layouts, dtypes and devices."""

import numpy as np
import pytest
from against_torch import agree, case, fits_difference_quotient, on_gpu
from support import assert_same, host, ours, theirs

import autograd_gpu as ag
from autograd_gpu.autograd import grad

# A product, and the shapes of its operands x and z.
PRODUCTS = {
    "t.dot(x, z)": [((3,), (3,)), ((0,), (0,))],
    "x.vdot(z)": [((3,), (3,))],
    "t.mv(x, z)": [((2, 3), (3,)), ((2, 0), (0,)), ((0, 3), (3,))],
    "t.mm(x, z)": [((2, 3), (3, 4)), ((2, 0), (0, 3)), ((0, 3), (3, 2))],
    "x.bmm(z)": [((5, 2, 3), (5, 3, 4)), ((0, 2, 3), (0, 3, 4))],
    "x @ z": [
        ((3,), (3,)), ((3,), (3, 4)), ((3,), (5, 3, 4)), ((3,), (6, 5, 3, 4)), ((2, 3), (3,)), ((2, 3), (3, 4)),
        ((2, 3), (5, 3, 4)), ((5, 2, 3), (3,)), ((6, 5, 2, 3), (3,)), ((5, 2, 3), (3, 4)), ((6, 5, 2, 3), (3, 4)),
        ((5, 2, 3), (5, 3, 4)), ((5, 2, 3), (1, 3, 4)), ((1, 2, 3), (5, 3, 4)), ((5, 2, 3), (6, 5, 3, 4)),
        ((6, 1, 2, 3), (5, 3, 4)), ((6, 5, 2, 3), (6, 5, 3, 4)), ((2, 1, 2, 3), (1, 3, 3, 2)), ((5, 2, 0), (0, 2)),
        ((0, 2, 3), (3, 4)), ((5, 0, 3), (3, 2)), ((2, 0, 3), (2, 3, 4)),
    ],
    "t.matmul(x, z).sum()": [((2, 3), (3, 4))],
    "t.inner(x, z)": [((3,), (3,)), ((2, 3), (4, 3)), ((2, 3), (5, 4, 3)), ((2, 3), ()), ((), (2, 3)), ((), ())],
    "x.outer(z)": [((2,), (3,)), ((0,), (3,))],
    "x.ger(z)": [((2,), (3,))],
    "t.kron(x, z)": [((2, 3), (4,)), ((2, 3), (3, 2)), ((), (3,))],
    "t.tensordot(x, z)": [((2, 3, 4), (3, 4, 5))],
    "t.tensordot(x, z, 1)": [((2, 3), (3, 4)), ((2, 1), (3, 4)), ((2, 3), (1, 4))],
    "t.tensordot(x, z, 0)": [((2, 3), (4,))],
    "t.tensordot(x, z, ([0, 1], [1, 0]))": [((2, 3, 4), (3, 2, 5))],
    "t.tensordot(x, z, dims=([-1], [0]))": [((2, 3), (3,))],
    "t.einsum('ij,jk->ik', x, z)": [((2, 3), (3, 4)), ((2, 1), (3, 4)), ((2, 0), (0, 4))],
    "t.einsum('ij,jk', x, z)": [((2, 3), (3, 4))],
    "t.einsum('ij,kj->ki', x, z)": [((2, 3), (4, 3))],
    "t.einsum('i,i', x, z)": [((3,), (3,))],
    "t.einsum('i,j->ij', x, z)": [((3,), (4,))],
    "t.einsum('i,j->ji', x, z)": [((3,), (4,))],
    "t.einsum('bij,bjk->bik', x, z)": [((5, 2, 3), (5, 3, 4)), ((1, 2, 3), (5, 3, 4))],
    "t.einsum('...ij,...jk', x, z)": [((5, 2, 3), (3, 4)), ((5, 2, 3), (6, 5, 3, 4)), ((6, 1, 2, 3), (5, 3, 4))],
    "t.einsum('...ij,...jk->...ki', x, z)": [((5, 2, 3), (5, 3, 4))],
    "t.einsum('ij,ij->i', x, z)": [((2, 3), (2, 3))],
    "t.einsum('ij,ij->', x, z)": [((2, 3), (2, 3)), ((2, 3), (1, 3))],
    "t.einsum('ij,kl->', x, z)": [((2, 3), (2, 3))],
    "t.einsum('ijk,jil->kl', x, z)": [((2, 3, 4), (3, 2, 5))],
    "t.einsum('iij,j', x, z)": [((3, 3, 2), (2,))],
    "t.einsum('bn,anm,bm->ba', x, z, x)": [((2, 3), (4, 3, 3))],
    "t.einsum('ij,jk,ki->', x, z, x)": [((3, 3), (3, 3))],
    "t.einsum('i...,...->i...', x, z)": [((2, 3), (3,))],
    "t.einsum('iA,Aa', x, z)": [((2, 3), (3, 4))],
    "t.einsum(' ij , jk -> ik ', [x, z])": [((2, 3), (3, 4))],
    "t.einsum('ij,', x, z)": [((2, 3), ())],
    "t.einsum(x, [0, 1], z, [1, 2], [0, 2])": [((2, 3), (3, 4))],
    "t.einsum(x, [0, 1], z, [1, 2])": [((2, 3), (3, 4))],
    "t.einsum(x, [..., 0], z, [..., 0], [...])": [((5, 3), (5, 3))],
    "t.cross(x, z, dim=-1)": [((3,), (3,)), ((2, 3), (2, 3)), ((1, 3), (4, 3)), ((0, 3), (1, 3))],
    "x.cross(z, dim=0)": [((3, 2), (3, 2))],
    "t.nn.functional.bilinear(x, z, t.ones(5, 3, 4).to(x))": [((6, 3), (6, 4)), ((3,), (4,)), ((2, 6, 3), (2, 6, 4))],
    "t.nn.functional.linear(x, z)": [((5, 3), (4, 3)), ((3,), (4, 3)), ((6, 5, 3), (4, 3)), ((5, 3), (3,))],
}  # fmt: skip
SINGLE = {
    "t.trace(x)": [(2, 3), (3, 3), (0, 3), (3, 0)],
    "t.einsum('ii', x)": [(3, 3)],
    "t.einsum('ii->i', x)": [(3, 3)],
    "t.einsum('iij->j', x)": [(3, 3, 2)],
    "t.einsum('iiij->ij', x)": [(2, 2, 2, 3)],
    "t.einsum('ij->', x)": [(2, 3)],
    "t.einsum('ij->j', x)": [(2, 3)],
    "t.einsum('ij->ji', x)": [(2, 3)],
    "t.einsum('ba', x)": [(2, 3)],
    "t.einsum('...ij->...ji', x)": [(5, 2, 3), (2, 3)],
    "t.einsum('...ij->ij', x)": [(5, 2, 3)],
    "t.einsum('i...->...', x)": [(2, 3, 4)],
    "t.einsum('', x)": [()],
    "t.einsum(x, [0, 0])": [(3, 3)],
    "x @ x.mT": [(2, 3), (4, 2, 3)],
    "x.outer(x)": [(3,)],
}
# A product added to x, and the shapes of its three operands.
ADDED = {
    "t.addmm(x, z, w)": [((4,), (2, 3), (3, 4)), ((2, 4), (2, 3), (3, 4)), ((2, 1), (2, 3), (3, 4)), ((), (2, 3), (3, 4))],
    "t.addmm(x, z, w, beta=2, alpha=-3)": [((4,), (2, 3), (3, 4))],
    "t.addmm(x, z, w, beta=0)": [((4,), (2, 3), (3, 4))],
    "x.addmm(z, w, alpha=0.5)": [((2, 4), (2, 3), (3, 4))],
    "t.addmv(x, z, w)": [((2,), (2, 3), (3,)), ((1,), (2, 3), (3,)), ((), (2, 3), (3,))],
    "t.addmv(x, z, w, beta=0.5, alpha=2)": [((2,), (2, 3), (3,))],
    "t.addr(x, z, w)": [((2, 3), (2,), (3,)), ((3,), (2,), (3,))],
    "t.addr(x, z, w, beta=0.5, alpha=2)": [((2, 3), (2,), (3,))],
    "t.baddbmm(x, z, w)": [((5, 2, 4), (5, 2, 3), (5, 3, 4)), ((4,), (5, 2, 3), (5, 3, 4))],
    "t.baddbmm(x, z, w, beta=0.5, alpha=2)": [((5, 2, 4), (5, 2, 3), (5, 3, 4))],
    "t.addbmm(x, z, w)": [((2, 4), (5, 2, 3), (5, 3, 4)), ((1,), (5, 2, 3), (5, 3, 4))],
    "t.addbmm(x, z, w, beta=0.5, alpha=2)": [((2, 4), (5, 2, 3), (5, 3, 4))],
    "t.nn.functional.bilinear(x, z, t.ones(2, 3, 4).to(x), w)": [((6, 3), (6, 4), (2,))],
    "t.nn.functional.linear(x, z, w)": [
        ((5, 3), (4, 3), (4,)), ((3,), (4, 3), (4,)), ((6, 5, 3), (4, 3), (4,)), ((7, 6, 5, 3), (4, 3), (4,)),
    ],
}  # fmt: skip
CASES = [
    *((text, shapes) for text, several in (PRODUCTS | ADDED).items() for shapes in several),
    *((text, (shape,)) for text, several in SINGLE.items() for shape in several),
]
# torch wraps, expands or transposes before and after in other ways; the first node is the same
OTHER_STEPS = ("@", "inner", "kron", "tensordot", "einsum", "t.matmul", "ger", "outer", "linear")
# torch computes these by other steps, so that the first node has another name, too
OTHER_NODES = {
    "x @ z": {((2, 3), (5, 3, 4)), ((1, 2, 3), (5, 3, 4))},
    "t.einsum('ij,jk->ik', x, z)": {((2, 1), (3, 4))},
    "t.einsum('ij,kl->', x, z)": {((2, 3), (2, 3))},
    "t.einsum('bij,bjk->bik', x, z)": {((1, 2, 3), (5, 3, 4))},
    "t.einsum('...ij,...jk', x, z)": {((5, 2, 3), (6, 5, 3, 4)), ((6, 1, 2, 3), (5, 3, 4))},
}


def function_of(text):
    return eval(f"lambda t, x, z=None, w=None: {text}")


def random(rng, shape, dtype="float64"):
    values = rng.normal(size=shape)
    if dtype.startswith("complex"):
        values = values + 1j * rng.normal(size=shape)
    if dtype.startswith(("int", "uint")):
        values = rng.integers(0, 5, shape)
    return np.asarray(values).astype(getattr(ag, dtype).numpy)


@pytest.mark.parametrize(("text", "shapes"), CASES, ids=str)
def test_products_agree_with_torch(text, shapes, rng):
    arrays = [random(rng, shape) for shape in shapes]
    agree(function_of(text), *arrays, rng=rng, same_nodes=not any(word in text for word in OTHER_STEPS))


@pytest.mark.parametrize(("text", "shapes"), CASES, ids=str)
def test_the_result_has_the_node_that_torch_names(text, shapes, rng):
    torch = pytest.importorskip("torch")
    arrays = [random(rng, shape) for shape in shapes]
    mine = function_of(text)(ag, *(ours(a, requires_grad=True) for a in arrays))
    torchs = function_of(text)(torch, *(theirs(a, requires_grad=True) for a in arrays))
    if shapes not in OTHER_NODES.get(text, ()):
        assert mine.grad_fn.name() == torchs.grad_fn.name()


@pytest.mark.parametrize(("text", "shapes"), CASES, ids=str)
def test_gradients_are_difference_quotients(text, shapes, rng):
    fits_difference_quotient(function_of(text), *(random(rng, shape) for shape in shapes), rng=rng)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "complex64", "complex128"])
@pytest.mark.parametrize(
    ("text", "shapes"), [(text, shapes[0]) for text, shapes in (PRODUCTS | ADDED).items()], ids=str
)
def test_other_dtypes_agree_with_torch(text, shapes, dtype, rng):
    if "bilinear" in text and dtype.startswith("complex"):
        return  # torch cannot
    arrays = [random(rng, shape, dtype) for shape in shapes]
    agree(function_of(text), *arrays, rng=rng, scale=4, second=dtype == "complex128", same_nodes=False)


@pytest.mark.parametrize("dtype", ["uint8", "int8", "int16", "int32", "int64"])
@pytest.mark.parametrize(
    "text", ["x @ z", "x.T @ x", "t.trace(x)", "t.einsum('ij,jk', x, z)", "t.addmm(z, x, z, alpha=2)"]
)
def test_integers_agree_with_torch(text, dtype, rng):
    agree(case(text), random(rng, (3, 3), dtype), random(rng, (3, 3), dtype), rng=rng)


def layouts_of(rng):
    """Matrices of shape (3, 4) that lie in memory in different ways."""
    values = rng.normal(size=96)
    yield values[:12].reshape(3, 4)
    yield values[:12].reshape(4, 3).T
    yield values.reshape(6, 16)[::2, ::4]
    yield values[12::-1][:12].reshape(3, 4)[:, ::-1]
    yield np.broadcast_to(values[:4], (3, 4))


@pytest.mark.parametrize(
    "text", ["x @ z.T", "x.mT @ z", "t.einsum('ij,kj', x, z)", "x[0] @ z.T", "t.nn.functional.linear(x, z)"]
)
def test_all_layouts_agree_with_torch(text, rng):
    for x in layouts_of(rng):
        for z in layouts_of(rng):
            agree(case(text), x.copy(order="K"), z.copy(order="K"), rng=rng, same_nodes=False)
    x, z = ours(rng.normal(size=(3, 4))), ours(rng.normal(size=(1, 4)))
    np.testing.assert_allclose(host(x @ z.expand(3, 4).T), host(x) @ np.broadcast_to(host(z), (3, 4)).T)


@on_gpu
@pytest.mark.parametrize(
    ("text", "shapes"), [(text, s) for text, several in (PRODUCTS | ADDED).items() for s in several[:2]], ids=str
)
def test_a_gpu_agrees_with_torch(text, shapes, rng):
    arrays = [random(rng, shape, "float32") for shape in shapes]
    agree(
        function_of(text),
        *arrays,
        rng=rng,
        device="cuda",
        scale=3,
        second=text in ("x @ z", "t.addmm(x, z, w)"),
        same_nodes=False,
    )


@on_gpu
@pytest.mark.parametrize(("text", "shape"), [(text, shapes[0]) for text, shapes in SINGLE.items()], ids=str)
def test_a_gpu_agrees_with_torch_on_one_operand(text, shape, rng):
    agree(
        function_of(text),
        random(rng, shape, "float32"),
        rng=rng,
        device="cuda",
        scale=3,
        second=False,
        same_nodes=False,
    )


@on_gpu
@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "complex64", "float64"])
@pytest.mark.parametrize(
    ("text", "shapes"),
    [("x @ z", ((2, 3), (3, 4))), ("x @ z", ((5, 2, 3), (5, 3, 4))), ("t.dot(x, z)", ((3,), (3,)))],
    ids=str,
)
def test_other_dtypes_on_a_gpu_agree_with_torch(text, shapes, dtype, rng):
    arrays = [random(rng, shape, dtype) for shape in shapes]
    agree(function_of(text), *arrays, rng=rng, device="cuda", scale=4, second=False, same_nodes=False)


@on_gpu
def test_a_backward_pass_of_products_stays_on_the_device(rng):
    cudasim = pytest.importorskip("cudasim")
    shapes = ((4, 3), (3, 5), (5,), (2, 3, 4), (2, 4, 2))
    for _ in range(2):
        x, w, b, p, q = (ours(random(rng, s, "float32"), "cuda", requires_grad=True) for s in shapes)
        loss = (
            ag.nn.functional.linear(x, w.T, b).sum()
            + (x @ w @ b).sum()
            + (p @ q).sum()
            + ag.einsum("ij,bjk->", x.T, q).sum()
        )
        with cudasim.trace() as trace:
            loss.backward()
    assert trace.blas
    assert not trace.syncs
    assert not trace.h2d_bytes
    assert not trace.d2h_bytes


@on_gpu
@pytest.mark.parametrize("shapes", [((4, 3), (3, 5)), ((2, 4, 3), (2, 3, 5))], ids=str)
def test_a_product_is_one_call_of_cublas_and_so_is_each_gradient(shapes, rng):
    cudasim = pytest.importorskip("cudasim")
    x, z = (ours(random(rng, s, "float32"), "cuda", requires_grad=True) for s in shapes)
    with cudasim.trace() as forward:
        y = x @ z
    g = ours(random(rng, tuple(y.shape), "float32"), "cuda")
    with cudasim.trace() as backward:
        grad(y, (x, z), g)
    assert (len(forward.blas), len(forward.kernels)) == (1, 0)
    assert (len(backward.blas), len(backward.kernels)) == (2, 0)


def laid_out(make, values, order):
    """A leaf of ``values`` whose axes lie in memory in this ``order``, that with the longest strides first."""
    return make(values.transpose(order).copy()).permute(*np.argsort(order).tolist()).detach().requires_grad_()


ORDERS = [(0, 1, 2, 3), (0, 1, 3, 2), (0, 2, 1, 3), (2, 0, 1, 3), (1, 0, 2, 3), (3, 2, 1, 0)]


@pytest.mark.parametrize("orders", [(a, b) for a in ORDERS for b in ORDERS[:4]], ids=str)
def test_batches_of_two_axes_in_all_layouts_agree_with_torch(orders, device, rng):
    torch = pytest.importorskip("torch")
    values = random(rng, (2, 3, 4, 5)), random(rng, (2, 3, 5, 6))
    found = []
    for t, make in ((ag, lambda a: ours(a, device)), (torch, theirs)):
        x, z = (laid_out(make, v, o) for v, o in zip(values, orders, strict=True))
        y = (x @ z).transpose(1, 2) * 1
        grads = t.autograd.grad((y * y).sum(), (x, z), create_graph=True)
        found.append((y, *grads, *t.autograd.grad(sum((g * g).sum() for g in grads), (x, z))))
    for mine, torchs in zip(*found, strict=True):
        assert_same(mine, torchs)


@pytest.mark.parametrize("shapes", [((3, 4, 5), (2, 3, 5, 6)), ((2, 3, 4, 5), (3, 5, 6)), ((2, 1, 4, 5), (1, 3, 5, 6))])
def test_batches_of_two_axes_broadcast_as_in_torch(shapes, device, rng):
    torch = pytest.importorskip("torch")
    found = []
    values = [random(rng, shape) for shape in shapes]
    for t, make in ((ag, lambda a: ours(a, device)), (torch, theirs)):
        x, z = (make(v).requires_grad_() for v in values)
        y = x @ z
        found.append((y, *t.autograd.grad((y * y).sum(), (x, z))))
    for mine, torchs in zip(*found, strict=True):
        assert_same(mine, torchs)


@on_gpu
def test_products_of_views_of_matrices_copy_nothing_on_a_gpu(rng):
    cudasim = pytest.importorskip("cudasim")
    x, w = (ours(random(rng, shape, "float32"), "cuda", requires_grad=True) for shape in ((8, 12), (6, 12)))
    g = ours(random(rng, (4, 3), "float32"), "cuda")
    with cudasim.trace() as trace:
        y = x[::2, 2:9] @ w[::2, 2:9].T
        parts = grad(y, (x, w), g, retain_graph=True)
    assert [r.kind for r in trace.of("kernel", "d2d", "memset", "blas")] == ["blas"] * 3 + ["memset", "kernel"] * 2
    with cudasim.trace() as trace:
        again = grad(y, (x, w), g)
    assert len(trace.blas) == 2
    for a, b in zip(parts, again, strict=True):
        np.testing.assert_array_equal(host(a), host(b))


@on_gpu
def test_a_batch_that_has_to_be_copied_is_copied_once(rng):
    cudasim = pytest.importorskip("cudasim")
    x, z = (ours(random(rng, shape, "float32"), "cuda", requires_grad=True) for shape in ((2, 5, 3, 4), (2, 5, 3, 6)))
    with cudasim.trace() as forward:
        y = x.permute(0, 2, 1, 3).mT @ z.transpose(1, 2)  # (2, 3, 4, 5) and (2, 3, 5, 6)
    g = ours(random(rng, (2, 4, 3, 6), "float32"), "cuda").transpose(1, 2)
    with cudasim.trace() as backward:
        grad(y, (x, z), g)
    assert [r.kind for r in forward.of("kernel", "blas")] == ["kernel", "kernel", "blas"]
    assert [r.kind for r in backward.of("kernel", "blas")] == ["kernel", "blas", "blas"]


@on_gpu
def test_a_product_is_added_to_the_bias_in_its_place(rng):
    cudasim = pytest.importorskip("cudasim")
    x, w, b = (ours(random(rng, shape, "float32"), "cuda") for shape in ((64, 32), (128, 32), (128,)))
    for _ in range(2):
        with cudasim.trace() as trace:
            y = ag.nn.functional.linear(x, w, b)
    (kernel,) = trace.kernels
    assert len(trace.blas) == 1
    assert kernel.bytes_stored == y.nbytes
    np.testing.assert_allclose(host(y), host(x) @ host(w).T + host(b), rtol=1e-4, atol=1e-5)


def test_a_product_over_nothing_is_the_bias(device, rng):
    bias = ours(random(rng, (3,), "float32"), device)
    y = ag.addmm(bias, ag.ones(2, 0, device=device), ag.ones(0, 3, device=device))
    np.testing.assert_array_equal(host(y), np.broadcast_to(host(bias), (2, 3)))


def test_the_gradient_of_a_transposed_matrix_is_no_copy(device, rng):
    w, x = ours(random(rng, (3, 4)), device, requires_grad=True), ours(random(rng, (2, 4)), device)
    for product in (x @ w.T, ag.nn.functional.linear(x, w), ag.einsum("ij,kj", x, w)):
        w.grad = None
        product.sum().backward()
        assert w.grad.is_contiguous()


@on_gpu
@pytest.mark.parametrize("dtype", ["float32", "complex128", "float16"])
def test_batches_of_all_layouts_are_multiplied_on_a_gpu(dtype, rng):
    def layouts(n, m):
        big = ours(random(rng, (4, 3 * n, 3 * m), dtype), "cuda").array
        yield big[:, :n, :m].copy()
        yield big.ravel()[: 4 * n * m].reshape(4, m, n).swapaxes(1, 2)
        yield big[:, ::3, :m]
        yield big[:, :n, ::3]
        yield big[::-1, :n, :m]
        yield big[:1, :n, :m]
        yield big.ravel()[: n * m].reshape(1, n, m).repeat(4, axis=0)
        yield big.ravel()[: n * 4 * m].reshape(n, 4, m).swapaxes(0, 1)
        yield big[:, :1, :m] + 0 * big[:, :n, :m]

    for n, k, m in ((2, 3, 4), (1, 3, 1), (2, 1, 3)):
        for a in layouts(n, k):
            for b in layouts(k, m):
                x, z = ag.as_tensor(a), ag.as_tensor(b)
                np.testing.assert_allclose(
                    host(x @ z), host(x) @ host(z), rtol=1e-4, atol=1e-5 if dtype != "float16" else 5e-3
                )


def random_equation(rng):
    """An equation for einsum and the shapes of its operands; now and then axes of size 1 stand for larger ones."""
    sizes = {label: int(rng.integers(1, 4)) for label in "abcdE"}
    terms, shapes = [], []
    for _ in range(rng.integers(1, 4)):
        labels = list(rng.choice(list(sizes), rng.integers(0, 4)))
        shape = [1 if rng.random() < 0.1 and labels.count(c) == 1 else sizes[c] for c in labels]
        if rng.random() < 0.2:
            place, hidden = rng.integers(0, len(labels) + 1), [int(rng.choice([1, 2]))] * int(rng.integers(0, 2))
            labels.insert(place, "...")
            shape[place:place] = hidden
        terms.append("".join(labels))
        shapes.append(tuple(shape))
    known = sorted(set("".join(terms)) - {"."})
    rng.shuffle(known)
    chosen = "".join(known[: rng.integers(0, len(known) + 1)])
    left = ",".join(terms)
    dots = "..." if "..." in left else ""
    return left + (f"->{dots}{chosen}" if rng.random() < 0.7 else ""), shapes


@pytest.mark.parametrize("number", range(200))
def test_random_equations_agree_with_torch(number, rng):
    equation, shapes = random_equation(rng)
    arrays = [random(rng, shape) for shape in shapes]
    agree(
        lambda t, *operands: t.einsum(equation, *operands), *arrays, rng=rng, second=number % 4 == 0, same_nodes=False
    )


def test_linear_has_torchs_graph():
    x, w, b = (ours(np.ones(s), requires_grad=True) for s in ((5, 3), (4, 3), (4,)))
    y = ag.nn.functional.linear(x, w, b)
    bias, rows, columns = (node for node, _ in y.grad_fn.next_functions)
    assert y.grad_fn.name() == "AddmmBackward0"
    assert bias.variable is b
    assert rows.variable is x
    assert columns.name() == "TBackward0"
    assert columns.next_functions[0][0].variable is w


def test_the_gradient_of_a_linear_layers_weight_lies_as_the_weight(rng):
    x, w = (ours(random(rng, s), requires_grad=True) for s in ((5, 3), (4, 3)))
    (slope,) = grad(ag.nn.functional.linear(x, w).sum(), w)
    assert slope.is_contiguous()


def test_batched_products_are_wrapped_as_in_torch():
    x, z = (ours(np.ones(s), requires_grad=True) for s in ((5, 2, 3), (5, 3, 4)))
    node = (x @ z).grad_fn
    assert node.name() == "UnsafeViewBackward0"
    assert node.next_functions[0][0].name() == "BmmBackward0"
    node = (x @ z[0]).grad_fn
    assert node.next_functions[0][0].name() == "MmBackward0"


def test_beta_zero_leaves_out_even_nan():
    x, z, w = ag.full((2,), float("nan")), ag.ones(3, 2), ag.ones(2, 2)
    assert ag.addmm(x, z, w, beta=0).tolist() == [[2.0, 2.0]] * 3


def test_16_bit_floats_are_summed_in_float32(rng):
    pytest.importorskip("torch")
    x = random(rng, (4, 3000), "float16")
    assert_same(ours(x) @ ours(x).T, theirs(x) @ theirs(x).T)


def test_in_place_products(rng):
    x, z, w = (ours(random(rng, s), requires_grad=True) for s in ((2, 4), (2, 3), (3, 4)))
    y = x * 1
    assert y.addmm_(z, w, alpha=2) is y
    assert y.grad_fn.name() == "AddmmBackward0"
    for mine, known in zip(grad(y.sum(), (x, z, w)), grad(ag.addmm(x, z, w, alpha=2).sum(), (x, z, w)), strict=True):
        np.testing.assert_array_equal(host(mine), host(known))


ERRORS = {
    "t.dot(o(3), o(4))": "inconsistent tensor size, expected tensor [3] and src [4] to have the same number of elements, but got 3 and 4 elements respectively",
    "t.dot(o(3, 3), o(4))": "1D tensors expected, but got 2D and 1D tensors",
    "t.dot(o(3), d(3))": "dot : expected both vectors to have same dtype, but found Float and Double",
    "t.vdot(o(3), o(2))": "inconsistent tensor size, expected tensor [3] and src [2] to have the same number of elements, but got 3 and 2 elements respectively",
    "t.mv(o(2, 3), o(4))": "size mismatch, got input (2), mat (2x3), vec (4)",
    "t.mv(o(2), o(4))": "vector + matrix @ vector expected, got 1, 1, 1",
    "t.mv(o(2, 3), d(3))": "addmv input tensors must have the same dtype, but got Double, Float, and Double",
    "t.mm(o(2, 3), o(2, 3))": "mat1 and mat2 shapes cannot be multiplied (2x3 and 2x3)",
    "t.mm(o(3), o(3, 2))": "self must be a matrix",
    "t.mm(o(2, 3), o(3))": "mat2 must be a matrix",
    "t.mm(o(2, 3), d(3, 3))": "expected m1 and m2 to have the same dtype, but got: float != double",
    "t.mm(o(2, 3).long(), o(3, 3).half())": "expected m1 and m2 to have the same dtype, but got: long int != c10::Half",
    "t.bmm(o(5, 2, 3), o(5, 2, 4))": "Expected size for first two dimensions of batch2 tensor to be: [5, 3] but got: [5, 2].",
    "t.bmm(o(2, 3), o(5, 2, 4))": "batch1 must be a 3D tensor",
    "t.bmm(o(5, 2, 3), o(3, 4))": "batch2 must be a 3D tensor",
    "t.bmm(o(5, 2, 3), d(5, 3, 4))": "expected scalar type Float but found Double",
    "o(2, 3) @ o(2, 3)": "mat1 and mat2 shapes cannot be multiplied (2x3 and 2x3)",
    "o(2, 3) @ o(2)": "size mismatch, got input (2), mat (2x3), vec (2)",
    "o(2) @ o(3, 4)": "mat1 and mat2 shapes cannot be multiplied (1x2 and 3x4)",
    "o(5, 2, 3) @ o(2, 3)": "mat1 and mat2 shapes cannot be multiplied (10x3 and 2x3)",
    "o(5, 2, 3) @ o(2)": "size mismatch, got input (10), mat (10x3), vec (2)",
    "o(5, 2, 3) @ o(5, 2, 3)": "Expected size for first two dimensions of batch2 tensor to be: [5, 3] but got: [5, 2].",
    "o(5, 2, 3) @ o(4, 3, 3)": "The size of tensor a (5) must match the size of tensor b (4) at non-singleton dimension 0",
    "o(2) @ t.tensor(1.)": "both arguments to matmul need to be at least 1D, but they are 1D and 0D",
    "t.tensor(1.) @ o(2, 2)": "both arguments to matmul need to be at least 1D, but they are 0D and 2D",
    "t.addmm(o(5), o(2, 3), o(3, 4))": "The expanded size of the tensor (4) must match the existing size (5) at non-singleton dimension 1.  Target sizes: [2, 4].  Tensor sizes: [5]",
    "t.addmm(o(1, 2, 4), o(2, 3), o(3, 4))": "expand(torch.FloatTensor{[1, 2, 4]}, size=[2, 4]): the number of sizes provided (2) must be greater or equal to the number of dimensions in the tensor (3)",
    "t.addmm(o(4), o(2, 3), o(2, 4))": "mat1 and mat2 shapes cannot be multiplied (2x3 and 2x4)",
    "t.addmm(o(4), o(3), o(3, 4))": "mat1 must be a matrix, got 1-D tensor",
    "t.addmm(d(4), o(2, 3), o(3, 4))": "self and mat2 must have the same dtype, but got Double and Float",
    "t.addmm(o(4), d(2, 3), o(3, 4))": "mat1 and mat2 must have the same dtype, but got Double and Float",
    "t.addmv(o(3), o(2, 3), o(3))": "size mismatch, got input (3), mat (2x3), vec (3)",
    "t.addmv(o(2, 2), o(2, 3), o(3))": "vector + matrix @ vector expected, got 2, 2, 1",
    "t.addr(o(2, 4), o(2), o(3))": "The expanded size of the tensor (3) must match the existing size (4) at non-singleton dimension 1.  Target sizes: [2, 3].  Tensor sizes: [2, 4]",
    "t.addr(o(2, 3), o(2, 2), o(3))": "addr: Expected 1-D argument vec1, but got 2-D",
    "t.addr(o(2, 3).long(), o(2).long(), o(3).long(), beta=.5)": "For integral input tensors, argument beta must not be a floating point number.",
    "t.baddbmm(o(5, 2, 5), o(5, 2, 3), o(5, 3, 4))": "The expanded size of the tensor (4) must match the existing size (5) at non-singleton dimension 2.  Target sizes: [5, 2, 4].  Tensor sizes: [5, 2, 5]",
    "t.baddbmm(o(5, 2, 4), d(5, 2, 3), o(5, 3, 4))": "Input dtypes must be the same, got: input float, batch1: double, batch2: float",
    "t.addbmm(o(2, 4), o(5, 2, 3), o(4, 3, 4))": "batch1 and batch2 must have same number of batches, got 5 and 4",
    "t.addbmm(o(2, 4), o(5, 2, 3), o(5, 2, 4))": "Incompatible matrix sizes for bmm (2x3 and 2x4)",
    "t.outer(o(2, 2), o(3))": "outer: Expected 1-D argument self, but got 2-D",
    "t.trace(o(2))": "trace: expected a matrix, but got tensor with dim 1",
    "t.inner(o(2, 3), o(4, 4))": "inner() the last dimension must match on both input tensors but got shapes [2, 3] and [4, 4]",
    "t.tensordot(o(2, 3, 4), o(3, 2, 5), ([0, 1], [1, 1]))": "contracted dimensions need to match, but first has size 3 in dim 1 and second has size 2 in dim 1",
    "t.tensordot(o(2, 3), o(3, 2), ([0], [1, 1]))": "both dimension lists should have same length",
    "t.tensordot(o(2, 3), o(4), -1)": "tensordot expects dims >= 0, but got dims=-1",
    "t.tensordot(o(2, 3), o(4), 3)": "tensordot expects dims < ndim_a or ndim_b, but got dims=3",
    "t.tensordot(o(2, 3), d(3, 4), 1)": "both inputs should have same dtype",
    "t.einsum('ij,jk', o(2, 3))": "einsum(): fewer operands were provided than specified in the equation",
    "t.einsum('ij', o(2, 3), o(3))": "einsum(): more operands were provided than specified in the equation",
    "t.einsum('ijk', o(2, 3))": "einsum(): the number of subscripts in the equation (3) does not match the number of dimensions (2) for operand 0 and no ellipsis was given",
    "t.einsum('...ijk', o(2, 3))": "einsum(): the number of subscripts in the equation (3) is more than the number of dimensions (2) for operand 0",
    "t.einsum('ij,jk', o(2, 3), o(4, 4))": "einsum(): subscript j has size 4 for operand 1 which does not broadcast with previously seen size 3",
    "t.einsum('ij->ik', o(2, 3))": "einsum(): output subscript k does not appear in the equation for any input operand",
    "t.einsum('ij->ii', o(2, 3))": "einsum(): output subscript i appears more than once in the output",
    "t.einsum('i1', o(2, 3))": "einsum(): invalid subscript given at index 1 in the equation string, subscripts must be in [a-zA-Z]",
    "t.einsum('ij,j?', o(2, 3), o(3, 2))": "einsum(): invalid subscript given at index 4 in the equation string, subscripts must be in [a-zA-Z]",
    "t.einsum('ij->i>', o(2, 3))": "einsum(): invalid subscript given at index 5 in the equation string, subscripts must be in [a-zA-Z]",
    "t.einsum('ii', o(2, 3))": "einsum(): subscript i is repeated for operand 0 but the sizes don't match, 3 != 2",
    "t.einsum('i.j', o(2, 3))": "einsum(): found '.' for operand 0 that is not part of any ellipsis",
    "t.einsum('...i...', o(2, 3))": "einsum(): found '.' for operand 0 for which an ellipsis was already found",
    "t.einsum('...i,...i->...', o(5, 3), o(4, 3))": "einsum(): dimension 0 covered by ellipsis in operand 1has size 4 which does not broadcast with previously seen ellipsis with size 5 for the respective dimension",
    "t.einsum('ij,jk', o(2, 3), d(3, 4))": "expected scalar type Float but found Double",
    "t.cross(o(2, 3), o(3))": "linalg.cross: inputs must have the same number of dimensions.",
    "t.cross(o(2, 4), o(2, 4), dim=1)": "linalg.cross: inputs dimension 1 must have length 3. Got 4 and 4",
    "t.cross(o(2, 2), o(2, 2))": "no dimension of size 3 in input",
    "t.cross(o(2, 3), d(2, 3), dim=1)": "expected scalar type Float but found Double",
    "t.cross(o(2, 3), o(4, 3), dim=1)": "The size of tensor a (2) must match the size of tensor b (4) at non-singleton dimension 0",
    "t.nn.functional.bilinear(o(5, 2), o(5, 4), o(6, 3, 4))": "bilinear(): input1 size does not match weight size: got 2 but expected 3",
    "t.nn.functional.bilinear(o(4, 3), o(5, 4), o(6, 3, 4))": "bilinear(): input batch dimensions do not match at dim 0: got 4 and 5",
    "t.nn.functional.bilinear(o(5, 3), o(5, 4), o(6, 3, 4), o(5))": "bilinear(): bias size does not match weight size: got 5 but expected 6",
    "t.nn.functional.linear(o(5, 3), o(4, 2), o(4))": "mat1 and mat2 shapes cannot be multiplied (5x3 and 2x4)",
    "t.nn.functional.linear(o(6, 5, 3), o(4, 2), o(4))": "mat1 and mat2 shapes cannot be multiplied (30x3 and 2x4)",
    "t.nn.functional.linear(o(3), o(4, 2), o(4))": "mat1 and mat2 shapes cannot be multiplied (1x3 and 2x4)",
    "t.nn.functional.linear(o(5, 3), o(4, 3), o(5))": "The expanded size of the tensor (4) must match the existing size (5) at non-singleton dimension 1.  Target sizes: [5, 4].  Tensor sizes: [5]",
    "t.nn.functional.linear(d(5, 3), o(4, 3), o(4))": "mat1 and mat2 must have the same dtype, but got Double and Float",
}  # fmt: skip
TYPE_ERRORS = {
    "t.mm(3, o(2, 2))": "mm(): argument 'input' (position 1) must be Tensor, not int",
    "t.mm(o(2, 2), 3)": "mm(): argument 'mat2' (position 2) must be Tensor, not int",
    "t.dot(o(2), None)": "dot(): argument 'tensor' (position 2) must be Tensor, not NoneType",
    "t.addmm(o(2), 3, o(2))": "addmm(): argument 'mat1' (position 2) must be Tensor, not int",
    "t.matmul(o(2, 3), 3)": "matmul(): argument 'other' (position 2) must be Tensor, not int",
}


@pytest.mark.parametrize(
    ("text", "kind"), [*((text, RuntimeError) for text in ERRORS), *((text, TypeError) for text in TYPE_ERRORS)]
)
def test_errors_are_torchs(text, kind):
    torch = pytest.importorskip("torch")
    for t in (ag, torch):
        given = {"t": t, "o": t.ones, "d": lambda *size, t=t: t.ones(*size, dtype=t.float64)}
        with pytest.raises(kind) as caught:
            eval(text, given)
        assert str(caught.value).split("\n")[0] == (ERRORS | TYPE_ERRORS)[text]


def test_bools_have_no_products():
    x = ag.ones(2, 2, dtype=ag.bool)
    with pytest.raises(NotImplementedError, match="not implemented for 'Bool'"):
        x @ x


def test_einsum_without_operands_says_what_it_needs():
    with pytest.raises(ValueError, match="must specify the equation string and at least one operand"):
        ag.einsum("ij")
    with pytest.raises(ValueError, match="subscripts must be in range"):
        ag.einsum(ag.ones(2), [60])


@pytest.mark.parametrize("text", ["x @ 3", "3 @ x", "x @ True", "x @ 'a'"])
def test_only_tensors_and_arrays_are_operands_of_the_operator(text):
    torch = pytest.importorskip("torch")
    messages = set()
    for t in (ag, torch):
        with pytest.raises(TypeError) as caught:
            eval(text, {"x": t.ones(2, 2)})
        messages.add(str(caught.value))
    assert len(messages) == 1


def test_arrays_are_operands(device):
    x, array = ours(np.ones((2, 2)), device, requires_grad=True), np.arange(4.0).reshape(2, 2)
    if device == "cuda":
        array = x._type.backend.from_host(array, x.device)
    for y in (array @ x, x @ array):
        assert isinstance(y, ag.Tensor)
        assert y.requires_grad
    assert host(array @ x).tolist() == [[1, 1], [5, 5]]
