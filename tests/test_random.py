"""Random tensors: on the CPU PyTorch's, after the same seed and calls; on CUDA sound and repeatable."""

import copy
import pickle
import re
import subprocess
import sys

import numpy as np
import pytest
from expressions import complain, evaluate
from numpy.testing import assert_array_equal
from support import host, ours

import autograd_gpu as ag
from autograd_gpu.dtypes import ALL
from autograd_gpu.errors import DtypeError, GraphError

DRAWS = """
torch.rand(3)
torch.rand((2, 3), dtype=torch.float64)
torch.rand(size=(2,))
torch.rand(2, dtype=torch.complex64)
torch.rand(2, requires_grad=True)
torch.randn(3)
torch.randn(4, 5)
torch.randn(3, dtype=torch.float64)
torch.randn(2, dtype=torch.complex64)
torch.randint(5, (3,))
torch.randint(2, 5, (3,))
torch.randint(-3, 5, size=(2, 3))
torch.randint(high=5, size=(3,))
torch.randint(low=1, high=5, size=[3])
torch.randint(5, (3,), dtype=torch.float32, requires_grad=True)
torch.randint(5, (3,), dtype=torch.uint8)
torch.randint(2**40, (3,))
torch.randint(5, ())
torch.randperm(10)
torch.randperm(5, dtype=torch.float32)
torch.rand_like(torch.ones(2, 3))
torch.rand_like(torch.ones(2, 3).t())
torch.rand_like(torch.ones(2, dtype=torch.int64), dtype=torch.float64)
torch.randn_like(torch.ones(4, 5))
torch.randn_like(torch.ones(4, 5).t())
torch.randn_like(torch.ones(4, 1, 5).transpose(0, 1))
torch.randn_like(torch.ones(2, 3), requires_grad=True)
torch.randint_like(torch.ones(2, 3).t(), 5)
torch.randint_like(torch.ones(3), 1, 5)
torch.randint_like(torch.ones(3), low=1, high=5)
torch.bernoulli(torch.tensor([0.1, 0.5, 0.9, 0.0, 1.0]))
torch.bernoulli(torch.ones(7), 0.3)
torch.tensor([0.1, 0.5, 0.9], dtype=torch.float64).bernoulli()
torch.normal(0, 1, (3,))
torch.normal(2.0, 3.0, size=(20,), dtype=torch.float64)
torch.normal(torch.arange(4.0), 2.0)
torch.normal(torch.arange(20.0), 2.0)
torch.normal(torch.arange(4.0))
torch.normal(1.0, torch.arange(4.0))
torch.normal(torch.arange(3.0), torch.ones(2, 1))
torch.normal(torch.arange(20.0).reshape(4, 5).t(), 2.0)
torch.multinomial(torch.tensor([0.1, 0.2, 0.7]), 2)
torch.multinomial(torch.tensor([[0.1, 0.2, 0.7], [1.0, 0.0, 0.0]]), 4, replacement=True)
torch.zeros(3).uniform_()
torch.zeros(3).uniform_(-2, 5)
torch.zeros(3).uniform_(to=5)
torch.zeros(4, 5).t().uniform_()
torch.zeros(4, 5).normal_(1, 2)
torch.zeros(4, 5).t().normal_()
torch.zeros(4, 10)[:, ::2].normal_()
torch.zeros(3).random_()
torch.zeros(3, dtype=torch.int64).random_(5)
torch.zeros(3, dtype=torch.int16).random_(-2, 5)
torch.zeros(3, dtype=torch.int64).random_(3, None)
torch.zeros(3).bernoulli_()
torch.zeros(3).bernoulli_(0.2)
torch.zeros(3, dtype=torch.int64).bernoulli_(torch.tensor([0.1, 0.5, 0.9]))
torch.zeros(2, 3).bernoulli_(torch.tensor([0.1, 0.5, 0.9]))
torch.zeros(3).exponential_(2.0)
torch.rand(2, out=torch.zeros(3))
"""

REFUSED = """
torch.rand(2, dtype=torch.int64)
torch.randn(2, dtype=torch.int64)
torch.randn(-2)
torch.randint(5, 2, (3,))
torch.randint(5, (3,), requires_grad=True)
torch.rand_like(torch.ones(2, dtype=torch.int64))
torch.randperm(-1)
torch.bernoulli(torch.ones(2, dtype=torch.int64))
torch.zeros(3).bernoulli_(2)
torch.zeros(3).bernoulli_(torch.ones(2))
torch.normal(torch.ones(3), torch.ones(2))
torch.normal(torch.ones(3), -torch.ones(3))
torch.normal(torch.ones(3, dtype=torch.int64), 1.0)
torch.zeros(3).normal_(1, -1)
torch.zeros(3, dtype=torch.int64).normal_()
torch.zeros(3).uniform_(2, 1)
torch.zeros(3, dtype=torch.int64).uniform_()
torch.zeros(3).random_(5, 2)
torch.zeros(3).exponential_(0)
torch.multinomial(torch.ones(3), 5)
torch.multinomial(-torch.ones(3), 1)
torch.ones(3, requires_grad=True).uniform_()
torch.set_rng_state(torch.ones(3))
torch.set_rng_state([1])
torch.manual_seed("a")
"""


def lines(text):
    return [line for line in text.splitlines() if line]


@pytest.fixture(autouse=True)
def _streams_stay_where_they_are():
    with ag.random.fork_rng():
        yield


def long_strides(tensor):
    """The strides of axes where they matter."""
    return [step for step, size in zip(tensor.stride(), tensor.shape, strict=True) if size > 1]


@pytest.mark.parametrize("seed", [0, 2**35 + 1])
@pytest.mark.parametrize("expression", lines(DRAWS))
def test_draws_are_torchs(expression, seed):
    torch = pytest.importorskip("torch")
    if torch.backends.cpu.get_cpu_capability() not in ("AVX2", "AVX512"):
        pytest.skip("PyTorch rounds differently without AVX2")
    ag.manual_seed(seed)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        mine, theirs = evaluate(expression, ag), evaluate(expression, torch)
        assert long_strides(mine) == long_strides(theirs)
        assert (mine.requires_grad, f"torch.{mine.dtype.name}") == (theirs.requires_grad, str(theirs.dtype))
        assert_array_equal(host(mine), host(theirs))
        assert_array_equal(host(ag.rand(1)), host(torch.rand(1)), "the streams are at different places")


@pytest.mark.parametrize("expression", lines(REFUSED))
def test_refused_as_torch_refuses_it(expression, monkeypatch):
    before = ag.get_rng_state().tolist()
    complain(expression, monkeypatch)
    assert ag.get_rng_state().tolist() == before, "an error took numbers from the stream"


def test_a_generator_is_drawn_from_instead_of_the_default_one():
    before = ag.get_rng_state().tolist()
    g = ag.Generator()
    calls = [
        lambda: ag.rand(2, generator=g),
        lambda: ag.randn(2, generator=g),
        lambda: ag.randint(5, (2,), generator=g),
        lambda: ag.randperm(5, generator=g),
        lambda: ag.rand_like(ag.ones(2), generator=g),
        lambda: ag.normal(ag.ones(2), 1.0, generator=g),
        lambda: ag.normal(0.0, 1.0, (2,), generator=g),
        lambda: ag.bernoulli(ag.full((8,), 0.5), generator=g),
        lambda: ag.multinomial(ag.ones(5), 2, generator=g),
        lambda: ag.ones(2).uniform_(generator=g),
        lambda: ag.ones(8).bernoulli_(generator=g),
    ]
    for call in calls:
        assert g.manual_seed(3) is g
        first = call()
        assert g.get_state().tolist() != ag.Generator().manual_seed(3).get_state().tolist()
        g.manual_seed(3)
        assert_array_equal(host(call()), host(first))
    assert ag.get_rng_state().tolist() == before
    with pytest.raises(TypeError, match="argument 'generator' must be Generator, not int"):
        ag.rand(2, generator=3)


def test_a_new_generator_is_torchs():
    torch = pytest.importorskip("torch")
    assert ag.Generator().initial_seed() == torch.Generator().initial_seed()
    assert ag.Generator().device is ag.device("cpu")
    assert ag.Generator("cpu").manual_seed(-1).initial_seed() == torch.Generator().manual_seed(-1).initial_seed()


@pytest.mark.parametrize("twin", [lambda g: g.clone_state(), copy.deepcopy, lambda g: pickle.loads(pickle.dumps(g))])
def test_a_clone_goes_its_own_way(twin, device):
    g = ag.Generator(device).manual_seed(3)
    ag.randn(1, generator=g, device=device)
    other = twin(g)
    first = ag.randn(5, generator=g, device=device)
    assert other.device == g.device
    assert_array_equal(host(ag.randn(5, generator=other, device=device)), host(first))


def test_states_go_to_torch_and_back():
    torch = pytest.importorskip("torch")
    ag.manual_seed(7)
    ag.randn(3)
    state = ag.get_rng_state()
    assert state.dtype is ag.uint8
    with torch.random.fork_rng():
        torch.set_rng_state(torch.from_numpy(state.numpy()))
        theirs = torch.randn(5)
        back = torch.get_rng_state()
    assert_array_equal(host(ag.randn(5)), theirs.numpy())
    ag.set_rng_state(ag.from_numpy(back.numpy()))
    with torch.random.fork_rng():
        torch.set_rng_state(back)
        assert_array_equal(host(ag.randn(5)), torch.randn(5).numpy())


def test_seeds():
    assert ag.manual_seed(5.0) is ag.default_generator
    assert ag.initial_seed() == 5
    assert ag.seed() == ag.initial_seed() == ag.default_generator.initial_seed()


def test_a_process_starts_anywhere():
    code = "import autograd_gpu as ag; print(ag.initial_seed())"
    runs = [subprocess.run([sys.executable, "-c", code], capture_output=True, check=True) for _ in range(2)]
    assert runs[0].stdout.strip().isdigit()
    assert runs[0].stdout != runs[1].stdout


def test_fork_rng_gives_the_streams_back():
    ag.manual_seed(1)
    first = ag.rand(3).tolist()
    ag.manual_seed(1)
    with ag.random.fork_rng():
        ag.rand(100)
    assert ag.rand(3).tolist() == first
    with ag.random.fork_rng(enabled=False):
        ag.rand(1)
    assert ag.rand(3).tolist() != first


NODES = {
    "UniformBackward0": lambda x: x.uniform_(),
    "NormalBackward0": lambda x: x.normal_(),
    "ExponentialBackward0": lambda x: x.exponential_(),
    "RandomBackward2": lambda x: x.random_(),
    "BernoulliBackward2": lambda x: x.bernoulli_(),
    "BernoulliBackward1": lambda x: x.bernoulli_(ag.full(x.shape, 0.5, device=x.device)),
    "BernoulliBackward0": lambda x: ag.bernoulli(0 * x),
    "NormalBackward1": ag.normal,
    "NormalBackward2": lambda x: ag.normal(0.0, x),
}


@pytest.mark.parametrize("name", NODES)
def test_draws_have_gradient_zero(name, device):
    x = ours(np.full((2, 3), 0.5), device, requires_grad=True)
    y = NODES[name](x * 1)
    assert y.grad_fn.name() == name
    y.sum().backward()
    assert host(x.grad).tolist() == [[0.0] * 3] * 2


def test_normal_of_two_tensors_has_two_gradients(device):
    mean, std = (
        ours(np.ones((2, 3)), device, requires_grad=True),
        ours(np.ones(3), device, requires_grad=True),
    )
    y = ag.normal(mean, std)
    assert y.grad_fn.name() == "NormalBackward3"
    y.sum().backward()
    assert host(mean.grad).tolist() == [[0.0] * 3] * 2
    assert host(std.grad).tolist() == [0.0] * 3


def test_a_leaf_is_not_drawn_over():
    x = ag.ones(3, requires_grad=True)
    with pytest.raises(GraphError, match="a leaf Variable that requires grad is being used in an in-place operation"):
        x.normal_()
    with ag.no_grad():
        x.normal_()
    assert x.tolist() != [1.0] * 3


def test_a_write_is_noticed():
    x = ag.ones(3, requires_grad=True)
    y = x.exp()
    y.uniform_()
    z = x.exp()
    w = z * z
    with ag.no_grad():
        z.uniform_()
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        w.sum().backward()


# --- the CUDA streams, where there is a device; the same statements hold on the CPU


def test_manual_seed_repeats_the_stream(device):
    def some():
        draws = ag.rand(5, device=device), ag.randn(5, device=device), ag.randperm(9, device=device)
        return [host(draw).tolist() for draw in draws]

    ag.manual_seed(11)
    first = some()
    second = some()
    assert second != first
    ag.manual_seed(11)
    assert some() == first
    ag.manual_seed(12)
    assert some() != first


@pytest.mark.parametrize("dtype", [d for d in ALL if d.is_floating_point], ids=str)
def test_uniform_and_normal_have_their_moments(dtype, device):
    ag.manual_seed(0)
    u = host(ag.rand(20000, dtype=dtype, device=device)).astype(float)
    assert 0 <= u.min() < 0.01
    assert 0.99 < u.max() < 1
    assert abs(u.mean() - 0.5) < 0.01
    assert abs(u.var() - 1 / 12) < 0.005
    n = host(ag.randn(20000, dtype=dtype, device=device)).astype(float)
    assert abs(n.mean()) < 0.03
    assert abs(n.std() - 1) < 0.03
    assert abs((n**4).mean() - 3) < 0.3
    assert abs(np.corrcoef(u, n)[0, 1]) < 0.03
    e = host(ag.empty(20000, dtype=dtype, device=device).exponential_(2.0)).astype(float)
    assert e.min() >= 0
    assert abs(e.mean() - 0.5) < 0.02


@pytest.mark.parametrize("dtype", ALL, ids=str)
def test_integers_fill_their_range(dtype, device):
    if dtype.is_complex:
        with pytest.raises(DtypeError, match="not implemented for"):
            ag.randint(2, (2,), dtype=dtype, device=device)
        return
    low, high = (0, 2) if dtype is ag.bool else (1, 5)
    drawn = host(ag.randint(low, high, (500,), dtype=dtype, device=device)).astype(int)
    assert sorted(set(drawn.tolist())) == list(range(low, high))


def test_integers_of_64_bits(device):
    drawn = host(ag.empty(200, dtype=ag.int64, device=device).random_(-(2**62), None))
    assert drawn.min() < 0 < 2**62 < drawn.max()


def test_bernoulli_follows_each_probability(device):
    ag.manual_seed(0)
    p = np.repeat([0.0, 0.25, 1.0], 4000).reshape(3, 4000)
    drawn = host(ag.bernoulli(ours(p, device)))
    assert drawn[0].sum() == 0
    assert abs(drawn[1].mean() - 0.25) < 0.03
    assert drawn[2].all()
    assert abs(host(ag.empty(4000, device=device).bernoulli_(0.25)).mean() - 0.25) < 0.03


@pytest.mark.parametrize("replacement", [False, True])
def test_multinomial_follows_the_weights(replacement, device):
    ag.manual_seed(0)
    weights = np.tile([[1.0, 0.0, 3.0, 4.0], [2.0, 2.0, 0.0, 0.0]], (2000, 1))
    count = 3 if replacement else 2
    drawn = host(ag.multinomial(ours(weights, device), count, replacement=replacement))
    assert drawn.shape == (4000, count)
    first = np.bincount(drawn[::2, 0], minlength=4) / 2000
    np.testing.assert_allclose(first, [1 / 8, 0, 3 / 8, 1 / 2], atol=0.04)
    assert set(drawn[1::2].ravel().tolist()) == {0, 1}
    if not replacement:
        assert (drawn[:, 0] != drawn[:, 1]).all()


def test_a_permutation_has_each_number_once(device):
    assert sorted(host(ag.randperm(1000, device=device)).tolist()) == list(range(1000))
    assert host(ag.randperm(0, device=device)).tolist() == []


def test_complex_parts_are_drawn_apart(device):
    ag.manual_seed(0)
    z = host(ag.randn(5000, dtype=ag.complex64, device=device))
    assert abs(z.real.var() - 0.5) < 0.05
    assert abs(z.imag.var() - 0.5) < 0.05
    assert abs((z.real * z.imag).mean()) < 0.03


def test_draws_of_every_shape_and_layout(device):
    for shape in [(), (0,), (0, 3), (1,), (2, 3, 4)]:
        assert tuple(ag.rand(shape, device=device).shape) == shape
        x = ag.zeros(shape, device=device)
        assert tuple(ag.randn_like(x).shape) == shape
        assert x.normal_() is x
    x = ag.zeros(3, 4, device=device)
    x.t()[::2].uniform_(1, 2)
    filled = host(x)
    assert (filled[:, ::2] >= 1).all()
    assert (filled[:, 1::2] == 0).all()


@pytest.mark.gpu
@pytest.mark.skipif(not ag.cuda.is_available(), reason="there is no CUDA device")
class TestCuda:
    """What only the CUDA streams have."""

    def test_words_are_those_of_the_paper(self):
        import cupy

        from autograd_gpu.backends._philox import PHILOX

        words = cupy.ElementwiseKernel(
            "uint64 seed, uint64 draw, uint64 element", "raw uint32 out",
            "Words w = philox(seed, draw, element); out[0] = w.x; out[1] = w.y; out[2] = w.z; out[3] = w.w;",
            "words", preamble=PHILOX,
        )  # fmt: skip
        known = {  # Random123's kat_vectors: philox4x32-10
            (0, 0, 0): "6627e8d5 e169c58d bc57ac4c 9b00dbd8",
            (2**64 - 1, 2**64 - 1, 2**64 - 1): "408f276d 41c83b0e a20bc7c6 6d5451fd",
            (
                0x299F31D0A4093822,
                0x85A308D3243F6A88,
                0x0370734413198A2E,
            ): "d16cfe09 94fdcceb 5001e420 24126ea1",
        }
        for arguments, text in known.items():
            out = cupy.empty(4, np.uint32)
            words(*map(np.uint64, arguments), out, size=1)
            assert " ".join(f"{int(word):08x}" for word in out.get()) == text

    def test_a_generator_serves_its_device_only(self):
        message = "Expected a 'cuda:0' device type for generator but found 'cpu'"
        with pytest.raises(RuntimeError, match=message):
            ag.rand(2, device="cuda", generator=ag.Generator())
        with pytest.raises(RuntimeError, match="Expected a 'cpu' device type for generator but found 'cuda:0'"):
            ag.rand(2, generator=ag.Generator("cuda"))

    def test_states(self):
        ag.cuda.manual_seed(5)
        assert ag.cuda.initial_seed() == 5
        ag.rand(3, device="cuda")
        state = ag.cuda.get_rng_state()
        assert (state.dtype, tuple(state.shape)) == (ag.uint8, (16,))
        first = ag.rand(3, device="cuda").tolist()
        ag.cuda.set_rng_state(state)
        assert ag.rand(3, device="cuda").tolist() == first
        ag.cuda.manual_seed_all(5)
        ag.rand(3, device="cuda")
        assert ag.rand(3, device="cuda").tolist() == first
        with pytest.raises(RuntimeError, match="RNG state is wrong size"):
            ag.cuda.set_rng_state(ag.get_rng_state())
        ag.cuda.seed()
        assert ag.cuda.initial_seed() != 5

    def test_the_cpu_stream_is_another(self):
        ag.manual_seed(0)
        assert ag.rand(3).tolist() != ag.rand(3, device="cuda").tolist()
        cpu = ag.rand(3).tolist()
        ag.manual_seed(0)
        ag.rand(100, device="cuda")
        ag.rand(3)
        assert ag.rand(3).tolist() == cpu

    def test_nothing_waits_for_the_device(self):
        cudasim = pytest.importorskip("cudasim")
        x = ag.zeros(100, device="cuda")
        p = ag.full((100,), 0.5, device="cuda")
        with cudasim.trace() as trace:
            ag.rand(100, device="cuda")
            ag.randn_like(x)
            x.uniform_().random_(7).exponential_().bernoulli_(p)
            ag.multinomial(p, 3)
        assert not trace.syncs
        assert trace.h2d_bytes == trace.d2h_bytes == 0


def test_probabilities_are_checked_on_the_cpu():
    with pytest.raises(RuntimeError, match=re.escape("[0, 1], but got p=2.0")):
        ag.bernoulli(ag.tensor([0.5, 2.0]))
