"""Plans of complex numbers, and of real ones among them: chains are one kernel, gradients PyTorch's."""

import numpy as np
import pytest
from support import assert_same, host, ours, theirs

import autograd_gpu as ag
from autograd_gpu import fusion

torch = pytest.importorskip("torch")


def chain(_, z):
    for _ in range(5):
        z = ((z * (0.9 + 0.1j)).sin() + 0.5j) / (z + 2)
    return z


def optics(_, phase, amplitude):
    """The intensity of two waves, and the angle between them."""
    field = (1j * phase).exp() * amplitude + phase
    return field.abs() ** 2 + field.real * field.imag + (field * field.conj() + field).angle()


def made_of_parts(library, x, y):
    return library.complex(x.exp(), y.sin()).sqrt().abs().relu().clamp(0.1, 1.2)


def by_a_number(_, x):
    return (x * (1 + 2j) * (3 - 1j)).real.relu()


def broadcast(_, z, b):
    return (z * b).exp()


def two_shapes(_, z, b):
    return (z * b + b).abs()


def softmax(_, z):
    return (z * 2).abs().softmax(-1) * z.abs()


def powers(_, z):
    return z**3 + z**0.5 + z.sgn() * z.conj()


# name, shapes and dtypes of leaves, launches of the planned backward pass
WORKS = [
    (chain, [((1000,), "complex64")], 1),
    (chain, [((30,), "complex128")], 1),
    (optics, [((1000,), "float32"), ((1000,), "float32")], 1),
    (optics, [((4, 5), "float64"), ((4, 5), "float64")], 1),
    (made_of_parts, [((30,), "float32"), ((30,), "float32")], 1),
    (by_a_number, [((30,), "float32")], 1),
    (broadcast, [((500, 30), "complex64"), ((30,), "float32")], 1),
    (broadcast, [((30, 300), "complex64"), ((30, 1), "float32")], 1),
    (broadcast, [((3000, 30), "complex64"), ((1,), "complex64")], 2),
    (two_shapes, [((20, 30), "float32"), ((30,), "complex64")], 1),
    (broadcast, [((30,), "complex64"), ((30,), "float64")], 1),
    (softmax, [((8, 5), "complex64")], 2),
    (powers, [((30,), "complex64")], 1),
]


def leaves_of(rng, kinds):
    """Values of absolute value 0.5 to 1.5, complex ones in the first quadrant."""
    made = []
    for shape, dtype in kinds:
        values = rng.random(shape) + 0.5
        turned = values * np.exp(1j * rng.random(shape)) if dtype.startswith("complex") else values
        made.append(turned.astype(dtype))
    return made


def both(arrays, device):
    """Leaves of ours and of torch's."""
    return [ours(a, device, requires_grad=True) for a in arrays], [theirs(a, requires_grad=True) for a in arrays]


@pytest.mark.gpu
@pytest.mark.parametrize(("work", "kinds", "launches"), WORKS)
def test_a_chain_is_one_kernel_and_its_gradient_is_torchs(work, kinds, launches, rng):
    cudasim = pytest.importorskip("cudasim", reason="counts kernels: needs the simulated device")
    arrays = leaves_of(rng, kinds)
    leaves, torchs = both(arrays, "cuda")
    for _ in range(2):
        for leaf in leaves:
            leaf.grad = None
        y = work(ag, *leaves)
        seed = ag.full_like(y, 1.5)
        with cudasim.trace() as trace:
            y.backward(seed)
    assert len(trace.kernels) == launches
    assert not trace.copies
    expected = work(torch, *torchs)
    expected.backward(torch.full_like(expected, 1.5))
    for leaf, known in zip(leaves, torchs, strict=True):
        assert_same(leaf.grad, known.grad, scale=20)


LARGE = [
    (chain, [((40000,), "complex64")]),
    (optics, [((40000,), "float64"), ((40000,), "float64")]),
    (broadcast, [((2000, 20), "complex128"), ((20,), "float64")]),
    (two_shapes, [((2000, 20), "float32"), ((20,), "complex64")]),
]


@pytest.mark.parametrize(("work", "kinds"), LARGE)
def test_large_arrays_on_the_cpu_are_planned_as_well(work, kinds, rng):
    leaves, torchs = both(leaves_of(rng, kinds), "cpu")
    expected = work(torch, *torchs)
    expected.backward(torch.ones_like(expected))
    for _ in range(3):
        for leaf in leaves:
            leaf.grad = None
        y = work(ag, *leaves)
        y.backward(ag.ones_like(y))
        for leaf, known in zip(leaves, torchs, strict=True):
            assert_same(leaf.grad, known.grad, scale=50)


@pytest.mark.gpu
@pytest.mark.parametrize("work", [chain, optics, by_a_number], ids=lambda work: work.__name__)
def test_programs_of_complex_numbers_pass_the_check(work, rng):
    kinds = next(kinds for other, kinds, _ in WORKS if other is work)
    leaves = [ours(a, "cuda", requires_grad=True) for a in leaves_of(rng, kinds)]
    with fusion.fuse("check"):
        y = work(ag, *leaves)
        y.backward(ag.ones_like(y))


@pytest.mark.gpu
def test_a_number_may_be_complex_the_next_time(rng):
    z = ours(rng.random(30) + 1j, "cuda", requires_grad=True)
    for number in 2.0, 2.0 + 3j:
        z.grad = None
        (z.exp() * number).abs().sum().backward()
        exact = theirs(host(z), requires_grad=True)
        (exact.exp() * number).abs().sum().backward()
        assert_same(z.grad, exact.grad)


@pytest.mark.gpu
def test_16_bits_beside_complex_numbers(rng):
    x, z = (rng.random(30) + 0.5).astype(np.float16), (rng.random(30) + 0.5j).astype(np.complex64)
    own, other = [
        (wrap(x), wrap(z))
        for wrap in (lambda a: ours(a, "cuda", requires_grad=True), lambda a: theirs(a, requires_grad=True))
    ]
    for a, b in own, other:
        (b * a.exp()).abs().sum().backward()
    assert_same(own[0].grad, other[0].grad)
    assert_same(own[1].grad, other[1].grad)
