"""Functions of raw arrays with their adjoints: kernels, linear maps, second derivatives, checks, errors."""

import numpy as np
import pytest
from numpy.testing import assert_allclose
from support import host, ours

import autograd_gpu as ag
from autograd_gpu import backends
from autograd_gpu.autograd import grad, gradcheck, gradgradcheck
from autograd_gpu.errors import DeviceError, DtypeError, GraphError, ShapeError

CUBE = r"""
extern "C" __global__ void cube(const double* x, double* y, int n) {
    int i = blockDim.x * blockIdx.x + threadIdx.x;
    if (i < n) y[i] = x[i] * x[i] * x[i];
}
extern "C" __global__ void cube_adjoint(const double* g, const double* x, double* out, int n) {
    int i = blockDim.x * blockIdx.x + threadIdx.x;
    if (i < n) out[i] = 3 * x[i] * x[i] * g[i];
}"""


def launched(name, *arrays):
    import cupy

    out = cupy.empty_like(arrays[0])
    cupy.RawKernel(CUBE, name)((1,), (64,), (*arrays, out, out.size))
    return out


cube = ag.array_function(
    lambda x: launched("cube", x),
    lambda g, x: launched("cube_adjoint", g, x),
    numpy=(lambda x: x**3, lambda g, x: 3 * x * x * g),
    name="cube",
)


def test_a_raw_kernel_with_its_adjoint(device, rng):
    array = rng.normal(size=(4, 3)).T  # not in C order: the kernel gets a copy that is
    x = ours(array, device, requires_grad=True)
    result = cube(x)
    assert result.grad_fn.name() == "CubeBackward0"
    assert_allclose(host(result), array**3)
    assert gradcheck(cube, x)
    result.sum().backward()  # the cotangent is one number expanded
    assert_allclose(host(x.grad), 3 * array**2)


def product(x, y, *, power=1):
    return x * y**power


def product_adjoint(g, x, y, *, power):
    return g * y**power, g * x * power * y ** (power - 1)


def test_several_operands_and_a_parameter(device, rng):
    op = ag.array_function(product, product_adjoint)
    x, y = (ours(rng.uniform(1, 2, 3), device, requires_grad=True) for _ in range(2))
    assert gradcheck(lambda x, y: op(x, y, power=3), (x, y))
    (of_y,) = grad(op(x.detach(), y, power=2).sum(), y)
    assert_allclose(host(of_y), 2 * host(x) * host(y))


def test_an_array_without_gradient_is_a_parameter(device):
    op = ag.array_function(
        lambda x, *, index: x[index], lambda g, x, *, index: backends.of(g).xp.bincount(index, g, x.size)
    )
    x, index = ours(np.array([1.0, 2.0, 3.0]), device, requires_grad=True), ours(np.array([2, 0, 2]), device)
    (found,) = grad(op(x, index=index).sum(), x)
    assert found.tolist() == [1, 0, 2]
    with pytest.raises(GraphError, match="index is a parameter, which has no gradient"):
        op(x, index=x)


def test_what_the_adjoint_names_is_saved():
    x = ag.ones(3, requires_grad=True)
    saved = [
        ag.array_function(lambda x: x * x, adjoint)(x).grad_fn.saved
        for adjoint in (lambda g: g, lambda g, x: g, lambda g, result: g)
    ]
    assert [[value is not None for value in kept] for kept in saved] == [[], [True, False], [False, True]]


def test_the_result_may_be_read_by_the_adjoint(device, rng):
    exp = ag.array_function(lambda y: backends.of(y).xp.exp(y), lambda g, result: g * result, name="exp")
    assert gradcheck(exp, ours(rng.normal(size=3), device, requires_grad=True))


def test_several_results(device, rng):
    def adjoint(of_sum, of_difference):
        return of_sum + of_difference, of_sum - of_difference

    op = ag.array_function(lambda x, y: (x + y, x - y, (x > y).astype("i4")), adjoint)
    x, y = (ours(rng.normal(size=3), device, requires_grad=True) for _ in range(2))
    assert gradcheck(lambda x, y: op(x, y)[:2], (x, y))
    total, difference, larger = op(x, y)
    assert not larger.requires_grad
    assert [g.tolist() for g in grad(difference.sum(), (x, y))] == [[1, 1, 1], [-1, -1, -1]]


def test_second_derivatives_by_an_adjoint_with_an_adjoint(device, rng):
    backward = ag.array_function(lambda g, x: 3 * x * x * g, lambda h, g, x: (3 * x * x * h, 6 * x * g * h))
    op = ag.array_function(lambda x: x**3, backward, name="cube")
    x = ours(rng.normal(size=3), device, requires_grad=True)
    assert gradcheck(op, x)
    assert gradgradcheck(op, x)


def test_an_opaque_adjoint_has_no_derivative(device):
    x = ag.ones(3, device=device, dtype=ag.float64, requires_grad=True)
    (first,) = grad(cube(x).sum(), x, create_graph=True)
    assert first.tolist() == [3, 3, 3]
    with pytest.raises(GraphError, match=r"cube_adjoint\(\) has no adjoint.*make it array_function\(cube_adjoint, "):
        first.sum().backward()


# --- linear maps ----------------------------------------------------------------------------------


def fourier():
    """The Fourier transform of the last axis; NumPy's scaled inverse is not its adjoint."""
    return ag.linear_operator(
        lambda x: backends.of(x).xp.fft.fft(x),
        lambda g: backends.of(g).xp.fft.ifft(g) * g.shape[-1],
        name="fourier",
    )


@pytest.mark.parametrize("is_complex", [False, True], ids=["real", "complex"])
def test_linear_maps_have_derivatives_of_every_order(is_complex, device, rng):
    op = fourier()
    values = rng.normal(size=(2, 4)) + is_complex * 1j * rng.normal(size=(2, 4))
    x = ours(values if is_complex else values.real, device, requires_grad=True)
    assert_allclose(host(op(x)), np.fft.fft(host(x.detach())))
    assert gradcheck(op, x)
    assert gradgradcheck(op, x)
    assert gradgradcheck(lambda x: op(x * x).abs(), x)  # an intensity, as in optics


def test_the_adjoint_of_a_linear_map_is_one(device):
    op = ag.linear_operator(lambda x: x[1:], lambda g: backends.of(g).xp.pad(g, (1, 0)), name="rest")
    g = ag.tensor([1.0, 2.0], device=device, requires_grad=True)
    result = op.adjoint(g)
    assert result.tolist() == [0, 1, 2]
    assert result.grad_fn.name() == "RestAdjointBackward0"
    assert grad(result @ result.detach(), g)[0].tolist() == [1, 2]


def test_float16_goes_through_as_it_is(device):
    op = ag.linear_operator(lambda x: 2 * x, lambda g: 2 * g)
    x = ag.ones(2, dtype=ag.float16, device=device, requires_grad=True)
    op(x).sum().backward()
    assert (x.grad.dtype, x.grad.tolist()) == (ag.float16, [2, 2])


# --- what does not fit ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("adjoint", "error", "message"),
    [
        (lambda g: g[:1], ShapeError, r"returned a cotangent of 'x' of shape \[1\], expected \[3\], the operand's"),
        (lambda g: g.astype("f8"), DtypeError, "'x' of dtype float64 on cpu, expected float32 on cpu"),
        (lambda g: g + 0j, DtypeError, "'x' of dtype complex64 on cpu, expected float32"),
        (lambda g: (g, g), ValueError, "returned 2 cotangents, expected one for each of x; what has none is a keyword"),
        (lambda g: None, TypeError, "twice_adjoint.. must return numpy arrays, got NoneType"),
        (lambda g: ag.tensor(g) + 0, TypeError, "must return numpy arrays, got Tensor"),
        (
            lambda g, h: g,
            TypeError,
            "has 1 floating results: its adjoint must take a cotangent of each, and takes g, h",
        ),
    ],
)
def test_what_the_adjoint_returns_is_checked_before_anything_changes(adjoint, error, message):
    x = ag.ones(3, requires_grad=True)
    result = ag.array_function(lambda x: 2 * x, adjoint, name="twice")(x)
    with pytest.raises(error, match=message):
        result.sum().backward()
    assert x.grad is None


def test_functions_that_are_refused():
    with pytest.raises(TypeError, match="expected a Python function of named arrays and keyword-only parameters"):
        ag.array_function(lambda *x: x, lambda g: g)
    with pytest.raises(TypeError, match=r"got <built-in function|got <class"):
        ag.array_function(int, lambda g: g)
    with pytest.raises(TypeError, match="takes first of all the cotangent"):
        ag.array_function(lambda x: x, lambda x: x)
    with pytest.raises(TypeError, match=r"has parameters that f\(\) lacks: \['step'\]"):
        ag.array_function(lambda x: x, lambda g, *, step: g, name="f")
    with pytest.raises(TypeError, match="takes one array, the cotangent, got g, x"):
        ag.linear_operator(lambda x: x, lambda g, x: g)
    with pytest.raises(TypeError, match="a pair of functions"):
        ag.array_function(lambda x: x, lambda g: g, numpy=np.sin)
    with pytest.raises(TypeError, match=r"f\(\) takes 2 arrays \(x, y\), got 1"):
        ag.array_function(lambda x, y: x, lambda g: (g, g), name="f")(ag.ones(1))
    with pytest.raises(TypeError, match="floating results before others"):
        ag.array_function(lambda x: (x > 0, x), lambda g: g)(ag.ones(1))


def test_cpu_tensors_meet_a_function_of_cuda_arrays():
    def kernel(x):
        raise TypeError("Unsupported type <class 'numpy.ndarray'>")  # as CuPy says

    with pytest.raises(DeviceError, match=r"f\(\) is a function of CUDA arrays and got CPU tensors: .* by numpy="):
        ag.array_function(kernel, lambda g: g, name="f")(ag.ones(1))


@pytest.mark.gpu
def test_a_result_on_the_device_from_cpu_tensors_is_refused():
    import cupy

    with pytest.raises(DeviceError, match="is a function of CUDA arrays and got CPU tensors"):
        ag.array_function(lambda x: cupy.asarray(x) + 1, lambda g: g)(ag.ones(1))


def test_results_have_memory_of_their_own(device):
    x = ag.ones(3, device=device)
    same = ag.array_function(lambda x: x, lambda g: g)(x)
    same += 1
    assert x.tolist() == [1, 1, 1]


def test_a_plan_is_not_mistaken_for_one_of_another_dtype(device):
    op = ag.linear_operator(lambda x: 2 * x, lambda g: 2 * g)
    for dtype in (ag.float32, ag.float64):
        x = ag.ones(3, dtype=dtype, device=device, requires_grad=True)
        (op(x) + op(x)).sum().backward()
        assert (x.grad.dtype, x.grad.tolist()) == (dtype, [4, 4, 4])


def test_an_adjoint_that_writes_into_its_cotangent_spoils_no_other_pass(device):
    def adjoint(g, x):
        g *= 2
        return g * x

    halved_square = ag.array_function(lambda x: x * x, adjoint)
    x = ours(np.float32(3.0), device, requires_grad=True)
    for _ in range(3):
        x.grad = None
        halved_square(x).backward()
        assert host(x.grad) == 6
