"""The random numbers are PyTorch's, bit for bit, whatever the dtype, the size and the calls before."""

import copy
import math
import pickle
import sys

import numpy as np
import pytest

from autograd_gpu import _libm
from autograd_gpu import dtypes as D
from autograd_gpu import generator as G
from autograd_gpu.errors import DtypeError, ShapeError
from autograd_gpu.generator import MersenneTwister

SEEDS = [0, 1, 2**31 + 7, -3]
# Around the block of 16 normals, the 624 words of the engine's state, and what PyTorch would thread.
SHAPES = [(), (0,), (1,), (2,), (15,), (16,), (17,), (4, 8), (0, 3), (623,), (624,), (5, 125), (70001,)]
FLOATING = [*D.REDUCED, D.float32, D.float64]
CONTINUOUS = [*FLOATING, D.complex64, D.complex128]
REAL = [*FLOATING, D.bool_, D.uint8, D.int8, D.int16, D.int32, D.int64]


@pytest.fixture(scope="module")
def torch():
    return pytest.importorskip("torch")


@pytest.fixture(scope="module")
def torch_fma(torch):
    """PyTorch with the vector code that the package follows."""
    if torch.backends.cpu.get_cpu_capability() not in ("AVX2", "AVX512"):
        pytest.skip("PyTorch rounds differently without AVX2")
    return torch


def array(tensor):
    """A tensor's numbers as a NumPy array of the same dtype."""
    if str(tensor.dtype) == "torch.bfloat16":
        return tensor.view(sys.modules["torch"].int16).numpy().view(D.bfloat16.numpy)
    return tensor.numpy()


def of(torch, dtype):
    return getattr(torch, dtype.name)


class Both:
    """One stream here and one in PyTorch, with the same seed."""

    def __init__(self, torch, seed):
        self.here, self.there = MersenneTwister().manual_seed(seed), torch.Generator().manual_seed(seed)

    def agree(self, ours, theirs, *told):
        """What was drawn has the same bits, and the streams are still at the same place."""
        theirs = array(theirs)
        assert (ours.dtype, ours.shape) == (theirs.dtype, theirs.shape), told
        assert ours.tobytes() == theirs.tobytes(), told
        assert place(self.here.get_state()) == place(self.there.get_state().numpy()), told


def place(state):
    """What decides the next numbers: the words left, where they start, and the spare normal."""
    left = int(state[8:12].view("<i4")[0])
    return left, state[24:].tobytes()


@pytest.mark.parametrize("dtype", CONTINUOUS, ids=str)
@pytest.mark.parametrize("seed", SEEDS)
def test_random(torch, seed, dtype):
    for shape in SHAPES:
        both = Both(torch, seed)
        both.agree(
            both.here.random(shape, dtype),
            torch.rand(shape, dtype=of(torch, dtype), generator=both.there),
            shape,
        )


@pytest.mark.parametrize("dtype", CONTINUOUS, ids=str)
@pytest.mark.parametrize("seed", SEEDS)
def test_uniform(torch_fma, seed, dtype):
    torch = torch_fma
    bounds = [(-1 / math.sqrt(33), 1 / math.sqrt(33)), (0.3, 7.7), (-1.0, 1e4), (2.5, 2.5), (-3e4, -2e4)]
    for shape in SHAPES:
        for low, high in bounds:
            both = Both(torch, seed)
            both.agree(
                both.here.uniform(shape, low, high, dtype),
                torch.empty(shape, dtype=of(torch, dtype)).uniform_(low, high, generator=both.there),
                shape,
                low,
            )


@pytest.mark.parametrize("dtype", D.REDUCED, ids=str)
def test_uniform_16_bit_never_reaches_its_upper_bound(dtype):
    drawn = MersenneTwister().manual_seed(4).random((20_000,), dtype)
    assert drawn.max() < 1
    assert (drawn == 0).sum() > 1  # what would have been rounded to 1


@pytest.mark.parametrize("dtype", CONTINUOUS, ids=str)
@pytest.mark.parametrize("seed", SEEDS)
def test_normal(torch_fma, seed, dtype):
    torch = torch_fma
    for shape in SHAPES:
        for mean, std in [(0.0, 1.0), (0, 0.02), (1.5, 0.3), (-1e3, 7.1), (2.0, 0.0)]:
            both = Both(torch, seed)
            both.agree(
                both.here.normal(shape, dtype, mean, std),
                torch.empty(shape, dtype=of(torch, dtype)).normal_(mean, std, generator=both.there),
                shape,
                mean,
            )


def test_a_million_normals(torch_fma):
    both = Both(torch_fma, 5)
    both.agree(both.here.normal((1000, 1003), D.float32), torch_fma.randn((1000, 1003), generator=both.there))


def test_logarithm_and_cosine_of_uniforms():
    unit = np.arange(0, 2**24, 101, dtype=np.float32) * np.float32(2.0**-24)
    angle = np.float32(math.tau) * unit
    cos, sin = _libm.cos_sin(angle)
    np.testing.assert_allclose(_libm.log(1 - unit), np.log(1 - unit.astype(float)), rtol=2e-7)
    np.testing.assert_allclose(cos, np.cos(angle.astype(float)), atol=1e-7)
    np.testing.assert_allclose(sin, np.sin(angle.astype(float)), atol=1e-7)


@pytest.mark.parametrize("dtype", FLOATING, ids=str)
def test_normal_into_a_tensor_that_is_not_contiguous(torch_fma, dtype):
    torch = torch_fma
    for rows, columns in [(2, 3), (4, 5), (30, 41)]:
        both = Both(torch, 6)
        both.agree(
            both.here.normal((rows, columns), dtype, 0.5, 3.0, contiguous=False),
            torch.empty(rows, columns, dtype=of(torch, dtype)).t().normal_(0.5, 3, generator=both.there).t(),
            rows,
        )


@pytest.mark.parametrize("dtype", REAL, ids=str)
@pytest.mark.parametrize("seed", SEEDS)
def test_integers(torch, seed, dtype):
    least, most = G.integer_range(dtype)
    for shape in SHAPES:
        for low, high in [(0, 2), (least, most), (least, 1), (most - 1, most)]:
            both = Both(torch, seed)
            both.agree(
                both.here.integers(low, high, shape, dtype),
                torch.randint(low, high, shape, dtype=of(torch, dtype), generator=both.there),
                shape,
                low,
                high,
            )


SPANS = [10, 2**28 - 1, 2**28, 2**28 + 1, 2**31, 2**32 - 1, 2**32, 3 * 2**40 + 1, 2**63 - 1, 2**64 - 1]


@pytest.mark.parametrize(("span", "dtype"), [(n, D.int64) for n in SPANS] + [(n, D.int32) for n in SPANS if n < 2**32])
def test_integers_take_64_bits_from_2_to_the_28(torch, span, dtype):
    low = -((span + 1) // 2)
    both = Both(torch, 3)
    both.agree(
        both.here.integers(low, low + span, (700,), dtype),
        torch.randint(low, low + span, (700,), dtype=of(torch, dtype), generator=both.there),
    )


@pytest.mark.parametrize(("low", "dtype"), [(5, D.int64), (-(2**63), D.int64), (-7, D.int32), (3, D.uint8)])
def test_integers_without_an_upper_bound(torch, low, dtype):
    both = Both(torch, 3)
    both.agree(
        both.here.integers(low, np.iinfo(dtype.numpy).max + 1, (700,), dtype),
        torch.empty(700, dtype=of(torch, dtype)).random_(low, None, generator=both.there),
    )


@pytest.mark.parametrize("dtype", REAL, ids=str)
def test_integers_without_bounds(torch, dtype):
    for shape in SHAPES:
        both = Both(torch, 8)
        both.agree(
            both.here.any_integers(shape, dtype),
            torch.empty(shape, dtype=of(torch, dtype)).random_(generator=both.there),
            shape,
        )


@pytest.mark.parametrize("n", [0, 1, 2, 3, 17, 624, 625, 626, 1250, 30_000, 100_000])
def test_permutation(torch, n):
    both = Both(torch, 1)
    both.agree(both.here.random((1,), D.float32), torch.rand(1, generator=both.there))
    both.agree(both.here.permutation(n), torch.randperm(n, generator=both.there))


@pytest.mark.parametrize("dtype", [D.int16, D.uint8, D.float16, D.float64], ids=str)
def test_permutation_is_the_same_in_each_dtype(torch, dtype):
    both = Both(torch, 2)
    both.agree(
        both.here.permutation(200).astype(dtype.numpy),
        torch.randperm(200, dtype=of(torch, dtype), generator=both.there),
    )


@pytest.mark.parametrize("dtype", FLOATING, ids=str)
@pytest.mark.parametrize("seed", SEEDS)
def test_bernoulli(torch, seed, dtype):
    for shape in SHAPES:
        p = torch.rand(shape, dtype=of(torch, dtype), generator=torch.Generator().manual_seed(9))
        p.reshape(-1)[:2] = torch.tensor([0.0, 1.0])[: p.numel()]
        both = Both(torch, seed)
        both.agree(both.here.bernoulli(array(p)), torch.bernoulli(p, generator=both.there), shape)


def test_bernoulli_reads_p_in_c_order(torch):
    p = torch.rand(7, 5).t()
    both = Both(torch, 1)
    both.agree(both.here.bernoulli(p.numpy()), torch.bernoulli(p, generator=both.there))


@pytest.mark.parametrize("dtype", REAL, ids=str)
def test_bernoulli_scalar(torch, dtype):
    for shape in SHAPES:
        for p in [0.0, 0.3, 0.5, 1.0]:
            both = Both(torch, 11)
            both.agree(
                both.here.bernoulli_scalar(shape, p, dtype),
                torch.empty(shape, dtype=of(torch, dtype)).bernoulli_(p, generator=both.there),
                shape,
                p,
            )


def test_bernoulli_scalar_is_the_mask_of_dropout(torch):
    torch.manual_seed(12)
    theirs = torch.nn.functional.dropout(torch.ones(30, 41), 0.3)
    ours = MersenneTwister().manual_seed(12).bernoulli_scalar((30, 41), 1 - 0.3, D.float32)
    assert (ours == (theirs.numpy() != 0)).all()
    assert 0 < ours.mean() < 1


@pytest.mark.parametrize("dtype", FLOATING, ids=str)
@pytest.mark.parametrize("seed", SEEDS)
def test_exponential(torch, seed, dtype):
    for shape in SHAPES:
        for rate in [1.0, 0.3, 5.5]:
            both = Both(torch, seed)
            both.agree(
                both.here.exponential(shape, dtype, rate),
                torch.empty(shape, dtype=of(torch, dtype)).exponential_(rate, generator=both.there),
                shape,
                rate,
            )


@pytest.mark.parametrize("dtype", [D.float32, D.float64], ids=str)
@pytest.mark.parametrize("replacement", [False, True])
@pytest.mark.parametrize("seed", SEEDS)
def test_multinomial(torch, seed, replacement, dtype):
    source = torch.Generator().manual_seed(13)
    for shape in [(1,), (5,), (1000,), (1, 4), (3, 7), (40, 50)]:
        probs = torch.rand(shape, dtype=of(torch, dtype), generator=source)
        for count in {1, min(3, shape[-1]), shape[-1], 60 if replacement else 1}:
            both = Both(torch, seed)
            both.agree(
                both.here.multinomial(array(probs), count, replacement),
                torch.multinomial(probs, count, replacement, generator=both.there),
                shape,
                count,
            )


@pytest.mark.parametrize("dtype", D.REDUCED, ids=str)
@pytest.mark.parametrize(("count", "replacement"), [(1, False), (1, True), (50, True)])
def test_multinomial_16_bit(torch, dtype, count, replacement):
    probs = torch.rand(6, 9, generator=torch.Generator().manual_seed(1)).to(of(torch, dtype))
    both = Both(torch, 2)
    both.agree(
        both.here.multinomial(array(probs), count, replacement),
        torch.multinomial(probs, count, replacement, generator=both.there),
    )


@pytest.mark.parametrize("replacement", [False, True])
def test_multinomial_of_transposed_weights_and_zeros(torch, replacement):
    probs = torch.rand(6, 5, generator=torch.Generator().manual_seed(1)).t()
    probs[:, 2] = 0
    both = Both(torch, 2)
    both.agree(
        both.here.multinomial(probs.numpy(), 4, replacement),
        torch.multinomial(probs, 4, replacement, generator=both.there),
    )


def test_multinomial_of_weights_whose_sum_overflows(torch):
    probs = torch.tensor([1e38, 3e38, 2e38])
    both = Both(torch, 2)
    both.agree(
        both.here.multinomial(probs.numpy(), 20, replacement=True),
        torch.multinomial(probs, 20, replacement=True, generator=both.there),
    )


def calls(torch):
    """One call of each kind, here and there: name → what to compare."""
    weights = torch.tensor([0.1, 2.0, 3.0, 0.5])
    return {
        "one normal": lambda b: (b.here.normal((1,), D.float32), torch.randn(1, generator=b.there)),
        "few normals": lambda b: (
            b.here.normal((5,), D.float64, 1.0, 2.0),
            torch.empty(5, dtype=torch.float64).normal_(1, 2, generator=b.there),
        ),
        "many normals": lambda b: (b.here.normal((37,), D.float32), torch.randn(37, generator=b.there)),
        "half normals": lambda b: (
            b.here.normal((37,), D.float16),
            torch.randn(37, dtype=torch.float16, generator=b.there),
        ),
        "uniforms": lambda b: (b.here.random((211,), D.float32), torch.rand(211, generator=b.there)),
        "doubles": lambda b: (
            b.here.random((3,), D.float64),
            torch.rand(3, dtype=torch.float64, generator=b.there),
        ),
        "integers": lambda b: (
            b.here.integers(-3, 9, (2, 2), D.int64),
            torch.randint(-3, 9, (2, 2), generator=b.there),
        ),
        "permutation": lambda b: (b.here.permutation(11), torch.randperm(11, generator=b.there)),
        "mask": lambda b: (
            b.here.bernoulli_scalar((9,), 0.4, D.float32),
            torch.empty(9).bernoulli_(0.4, generator=b.there),
        ),
        "indices": lambda b: (
            b.here.multinomial(weights.numpy(), 2),
            torch.multinomial(weights, 2, generator=b.there),
        ),
    }


@pytest.mark.parametrize("seed", range(5))
def test_any_sequence_of_calls(torch_fma, seed):
    kinds, both = list(calls(torch_fma).items()), Both(torch_fma, seed)
    for step, choice in enumerate(np.random.default_rng(seed).integers(len(kinds), size=120)):
        name, draw = kinds[choice]
        both.agree(*draw(both), step, name)


@pytest.mark.parametrize("draws", [0, 1, 623, 624, 625, 1248])
@pytest.mark.parametrize("spare", [False, True])
def test_state_resumes_and_is_exchanged_with_torch(torch, draws, spare):
    here, there = MersenneTwister().manual_seed(21), torch.Generator().manual_seed(21)
    here.random((draws,), D.float32)
    torch.rand(draws, generator=there)
    if spare:
        here.normal((1,), D.float32)
        torch.randn(1, generator=there)
    saved = here.get_state()
    expected = [here.normal((3,), D.float32), here.random((700,), D.float32)]

    restored, taken, given = MersenneTwister(), MersenneTwister(), torch.Generator()
    restored.set_state(saved)
    taken.set_state(there.get_state().numpy())
    given.set_state(torch.from_numpy(saved))
    here.set_state(saved)
    for g in (restored, taken, here):
        assert g.initial_seed() == 21
        np.testing.assert_array_equal(g.normal((3,), D.float32), expected[0], strict=True)
        np.testing.assert_array_equal(g.random((700,), D.float32), expected[1], strict=True)
    assert given.initial_seed() == 21
    np.testing.assert_array_equal(torch.randn(3, generator=given).numpy(), expected[0])
    np.testing.assert_array_equal(torch.rand(700, generator=given).numpy(), expected[1])


def test_state_is_a_copy():
    g = MersenneTwister()
    state = g.get_state()
    before = state.copy()
    g.random((1000,), D.float32)
    assert (state == before).all()
    state[:] = 0
    assert g.get_state().any()


@pytest.mark.parametrize("twin", [MersenneTwister.clone_state, copy.deepcopy, lambda g: pickle.loads(pickle.dumps(g))])
def test_a_clone_goes_its_own_way(twin):
    g = MersenneTwister().manual_seed(3)
    g.normal((1,), D.float32)  # leaves a spare
    other = twin(g)
    first = g.normal((5,), D.float32)
    assert other.initial_seed() == 3
    np.testing.assert_array_equal(other.normal((5,), D.float32), first, strict=True)


@pytest.mark.parametrize("seed", [-1, -(2**63), 2**63, 2**64 - 1, 2**32, 2**32 + 5, 67280421310721])
def test_seeds_of_64_bits(torch, seed):
    both = Both(torch, seed)
    assert both.here.initial_seed() == both.there.initial_seed()
    both.agree(both.here.random((5,), D.float32), torch.rand(5, generator=both.there))


def test_a_new_generator_is_that_of_torch(torch):
    here, there = MersenneTwister(), torch.Generator()
    assert here.initial_seed() == there.initial_seed()
    assert (here.random((5,), D.float32) == torch.rand(5, generator=there).numpy()).all()


def test_manual_seed_forgets_the_spare_normal_and_returns_the_generator():
    g = MersenneTwister().manual_seed(1)
    first = g.normal((3,), D.float32)
    assert g.manual_seed(np.int64(1)) is g
    np.testing.assert_array_equal(g.normal((3,), D.float32), first, strict=True)


def test_seed_is_another_each_time_and_told():
    g = MersenneTwister()
    told = {g.seed() for _ in range(4)}
    assert len(told) == 4
    assert g.initial_seed() in told
    assert all(0 <= n < 2**64 for n in told)


@pytest.mark.parametrize(
    ("draw", "expected"),
    [
        (lambda g: g.random((3,), D.float32), [0.49625658988952637, 0.7682217955589294, 0.08847743272781372]),
        (
            lambda g: g.normal((3,), D.float32),
            [float.fromhex(x) for x in ("0x1.8a7eb8p+0", "-0x1.2c78ap-2", "-0x1.16e292p+1")],
        ),
        (
            lambda g: g.normal((17,), D.float32)[[0, 1, 2, 15, 16]],
            [
                float.fromhex(x)
                for x in (
                    "-0x1.20370ap+0",
                    "-0x1.b2288cp+0",
                    "0x1.222008p-1",
                    "-0x1.aff666p-1",
                    "0x1.dd186p-1",
                )
            ],
        ),
        (
            lambda g: g.normal((16,), D.float64)[:2],
            [float.fromhex(x) for x in ("-0x1.27bb92e9262dcp+1", "-0x1.7e35794939460p-2")],
        ),
        (lambda g: g.integers(0, 10, (8,), D.int64), [4, 9, 3, 0, 3, 9, 7, 3]),
        (lambda g: g.permutation(8), [4, 0, 7, 3, 2, 5, 1, 6]),
        (lambda g: g.bernoulli(np.full(8, 0.5, np.float32)), [1, 0, 1, 1, 1, 0, 1, 0]),
        (
            lambda g: g.exponential((2,), D.float32),
            [float.fromhex(x) for x in ("0x1.c110d6p+1", "0x1.3afa7ep+0")],
        ),
    ],
)
def test_numbers_that_torch_gives_after_manual_seed_0(draw, expected):
    assert draw(MersenneTwister().manual_seed(0)).tolist() == expected


WEIGHTS = np.array([1.0, 2.0])


@pytest.mark.parametrize(
    ("draw", "error", "text"),
    [
        (
            lambda g: g.manual_seed(2**64),
            ValueError,
            "Overflow when unpacking long long: expected [-2**63, 2**64), got 18446744073709551616",
        ),
        (lambda g: g.manual_seed(3.0), RuntimeError, "manual_seed expected a long, but got float"),
        (lambda g: g.manual_seed(True), RuntimeError, "manual_seed expected a long, but got bool"),
        (lambda g: g.set_state([1]), TypeError, "RNG state must be a torch.ByteTensor, but got list"),
        (
            lambda g: g.set_state(np.zeros(5056)),
            TypeError,
            "RNG state must be a torch.ByteTensor, but got float64",
        ),
        (
            lambda g: g.set_state(np.zeros(3, np.uint8)),
            RuntimeError,
            "Expected a CPUGeneratorImplState of size 5056 but found the input RNG state size to be 3",
        ),
        (
            lambda g: g.set_state(np.zeros(5056, np.uint8)),
            RuntimeError,
            "Invalid mt19937 state: expected seeded=1, left + next == 625, got seeded=0, left=0, next=0",
        ),
        (
            lambda g: g.random((2, -1), D.float32),
            ShapeError,
            "Trying to create tensor with negative dimension -1: [2, -1]",
        ),
        (
            lambda g: g.random((2,), D.int64),
            DtypeError,
            "\"check_uniform_bounds\" not implemented for 'Long'; expected a floating-point dtype",
        ),
        (
            lambda g: g.uniform((2,), 1, 0, D.float32),
            RuntimeError,
            "uniform_ expects to return a [from, to) range, but found from=1 > to=0",
        ),
        (
            lambda g: g.uniform((2,), 0, 1e5, D.float16),
            RuntimeError,
            "to is out of bounds for float16: expected [-65504.0, 65504.0], got 100000.0",
        ),
        (
            lambda g: g.uniform((2,), -6e4, 6e4, D.float16),
            RuntimeError,
            (
                "uniform_ expects to-from <= std::numeric_limits<Half>::max(), but found to=60000.0 and "
                "from=-60000.0 which result in to-from to exceed the limit"
            ),
        ),
        (
            lambda g: g.normal((2,), D.float32, 0, -1),
            RuntimeError,
            "normal expects std >= 0.0, but found std -1",
        ),
        (
            lambda g: g.normal((2,), D.int32),
            DtypeError,
            "\"normal_kernel_cpu\" not implemented for 'Int'; expected a floating-point dtype",
        ),
        (
            lambda g: g.integers(3, 3, (2,), D.int64),
            RuntimeError,
            "random_ expects 'from' to be less than 'to', but got from=3 >= to=3",
        ),
        (
            lambda g: g.integers(0, 300, (2,), D.uint8),
            RuntimeError,
            "to - 1 is out of bounds for uint8: expected [0, 255], got 299",
        ),
        (
            lambda g: g.integers(-1, 2, (2,), D.bool_),
            RuntimeError,
            "from is out of bounds for bool: expected [0, 1], got -1",
        ),
        (
            lambda g: g.integers(0, 2, (2,), D.complex64),
            DtypeError,
            "\"random_from_to\" not implemented for 'ComplexFloat'; expected a real dtype",
        ),
        (
            lambda g: g.permutation(-1),
            RuntimeError,
            "randperm expects n in [0, 214748364), but got n=-1",
        ),
        (
            lambda g: g.bernoulli(np.array([0.5, 2.0])),
            RuntimeError,
            "bernoulli expects all elements of p to be in [0, 1], but got p=2.0",
        ),
        (
            lambda g: g.bernoulli(np.array([math.nan])),
            RuntimeError,
            "bernoulli expects all elements of p to be in [0, 1], but got p=nan",
        ),
        (
            lambda g: g.bernoulli(np.array([1])),
            DtypeError,
            "\"bernoulli_tensor_cpu_p_\" not implemented for 'Long'; expected a floating-point dtype",
        ),
        (
            lambda g: g.bernoulli_scalar((2,), 1.5, D.float32),
            RuntimeError,
            "bernoulli_ expects p to be in [0, 1], but got p=1.5",
        ),
        (
            lambda g: g.bernoulli_scalar((2,), 0.5, D.complex64),
            DtypeError,
            "\"bernoulli_scalar_cpu_\" not implemented for 'ComplexFloat'; expected a real dtype",
        ),
        (
            lambda g: g.exponential((2,), D.float32, 0),
            RuntimeError,
            "exponential_ expects lambda > 0.0, but found lambda=0",
        ),
        (
            lambda g: g.exponential((2,), D.int64),
            DtypeError,
            "\"exponential_cpu\" not implemented for 'Long'; expected a floating-point dtype",
        ),
        (lambda g: g.multinomial(np.array(1.0), 1), RuntimeError, "prob_dist must be 1 or 2 dim, got 0"),
        (lambda g: g.multinomial(WEIGHTS, 0), RuntimeError, "cannot sample n_sample <= 0 samples, got 0"),
        (
            lambda g: g.multinomial(WEIGHTS, 3),
            RuntimeError,
            "cannot sample n_sample > prob_dist.size(-1) samples without replacement, got 3 > 2",
        ),
        (
            lambda g: g.multinomial(-WEIGHTS, 1),
            RuntimeError,
            "probability tensor contains either `inf`, `nan` or element < 0",
        ),
        (
            lambda g: g.multinomial(WEIGHTS * math.inf, 1),
            RuntimeError,
            "probability tensor contains either `inf`, `nan` or element < 0",
        ),
        (
            lambda g: g.multinomial(0 * WEIGHTS, 1),
            RuntimeError,
            "invalid multinomial distribution (sum of probabilities <= 0)",
        ),
        (
            lambda g: g.multinomial(np.array([1, 2]), 1),
            DtypeError,
            "\"multinomial\" not implemented for 'Long'; expected a floating-point dtype",
        ),
    ],
)
def test_bad_input_is_refused_before_the_stream_moves(draw, error, text):
    g = MersenneTwister().manual_seed(0)
    g.normal((1,), D.float32)
    before = g.get_state()
    with pytest.raises(error) as caught:
        draw(g)
    assert str(caught.value) == text
    assert (g.get_state() == before).all()


def test_overflow_is_silent_as_in_torch():
    assert np.isinf(MersenneTwister().normal((3,), D.float16, 0, 1e6)).all()
    assert np.isinf(MersenneTwister().exponential((3,), D.float32, 1e-300)).all()
    assert (MersenneTwister().normal((3,), D.float64, math.inf, 2.0) == math.inf).all()
    assert np.isfinite(MersenneTwister().normal((3,), D.float64, 1.0, 1e301)).all()
