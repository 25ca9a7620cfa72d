"""PyTorch's CPU random numbers, bit for bit: the same seed and the same calls give the same arrays.

The engine is MT19937. A draw takes 32-bit words, or two of them, high one first, as one of 64 bits:

    uniform      the low 24 bits times 2**-24 (float64: the low 53 of 64 bits times 2**-53)
    normal       below 16 numbers: Box-Muller in double, whose second sample is kept for the next draw;
                 from 16 on: Box-Muller on blocks of 16 uniforms, the last 16 numbers from fresh ones
    integers     word % span (64 bits from 2**28 on)
    bernoulli    uniform < p (53 bits where p is a double)
    exponential  log1p(-uniform53) / -rate

Sources: DistributionsHelper.h, DistributionTemplates.h and avx_mathfun.h of PyTorch 2.13's ATen, as its
wheel has them compiled for x86 with AVX2. Where PyTorch runs without AVX2 (ATEN_CPU_CAPABILITY=default),
its float32 normals of 16 and more were up to 2.4e-6 off these, its uniforms with bounds by a unit in the
last place. On CUDA it draws another stream (Philox).

Each array is in C order. PyTorch fills a tensor that is not contiguous in the order of its memory: draw
the array with the axes in that order, normals with ``contiguous=False``, and permute them.
"""

import math
import operator
import secrets
from collections.abc import Sequence
from typing import Any, SupportsIndex

import numpy as np
from numpy.typing import NDArray

from . import _libm as libm
from . import dtypes
from .errors import DtypeError, ShapeError

Array = NDArray[Any]
Shape = Sequence[int]

DEFAULT_SEED = 67280421310721
_BLOCK = 16  # normals that PyTorch makes at a time
_FORMAT = {  # digits of the fraction, largest number
    dtypes.float16: (11, 65504.0),
    dtypes.bfloat16: (8, float.fromhex("0x1.fep127")),
    dtypes.float32: (24, float.fromhex("0x1.fffffep127")),
    dtypes.float64: (53, float.fromhex("0x1.fffffffffffffp1023")),
}
_STATE = np.dtype(  # CPUGeneratorImplState in ATen/CPUGeneratorImpl.cpp
    {
        "names": ["seed", "left", "seeded", "next", "key", "normal", "has_normal"],
        "formats": ["<u8", "<i4", "<i4", "<u8", ("<u8", 624), "<f8", "<i4"],
        "offsets": [0, 8, 12, 16, 24, 5024, 5040],
        "itemsize": 5056,
    }
)


class MersenneTwister:
    """PyTorch's stream of random numbers on the CPU; the draws return NumPy arrays.

    >>> MersenneTwister().manual_seed(0).random((3,), dtypes.float32)
    array([0.4962566 , 0.7682218 , 0.08847743], dtype=float32)
    """

    __slots__ = ("_engine", "_seed", "_spare")
    _spare: float | None

    def __init__(self) -> None:
        self._engine = np.random.MT19937(0)
        self.manual_seed(DEFAULT_SEED)

    def manual_seed(self, seed: SupportsIndex) -> "MersenneTwister":
        """Start the stream of ``seed``, an integer in [-2**63, 2**64); a negative one counts from 2**64.

        The engine sees the low 32 bits only (as in PyTorch). Returns the generator.
        """
        self._seed = as_seed(seed)
        np.random.RandomState(self._engine).seed(self._seed % 2**32)
        self._spare = None
        return self

    def seed(self) -> int:
        """Start the stream of a seed that the operating system chooses, and return that seed."""
        return self.manual_seed(secrets.randbits(64)).initial_seed()

    def initial_seed(self) -> int:
        """The seed that the stream started from, in [0, 2**64)."""
        return self._seed

    def get_state(self) -> NDArray[np.uint8]:
        """Where the stream is, as 5056 uint8 that ``set_state`` and ``torch.set_rng_state`` take.

        The seed, the engine's 624 words and place among them, and the spare normal sample. The array is
        what the public ``get_state`` wraps in a tensor.
        """
        engine = self._engine.state["state"]
        record = np.zeros((), _STATE)
        record["seed"], record["seeded"] = self._seed, 1
        record["key"], record["next"], record["left"] = engine["key"], engine["pos"], 625 - engine["pos"]
        record["normal"], record["has_normal"] = self._spare or 0.0, self._spare is not None
        return np.frombuffer(record.tobytes(), np.uint8).copy()

    def set_state(self, state: NDArray[np.uint8]) -> None:
        """Continue where ``get_state``, or ``torch.get_rng_state``, was called."""
        if not isinstance(state, np.ndarray) or state.dtype != np.uint8:
            found = getattr(state, "dtype", type(state).__name__)
            raise TypeError(f"RNG state must be a torch.ByteTensor, but got {found}")
        if state.size != _STATE.itemsize:
            expected = f"Expected a CPUGeneratorImplState of size {_STATE.itemsize}"
            raise RuntimeError(f"{expected} but found the input RNG state size to be {state.size}")
        record = np.frombuffer(state.tobytes(), _STATE)[0]
        left, place = int(record["left"]), int(record["next"])
        if record["seeded"] != 1 or not 1 <= left <= 624 or (left > 1 and left + place != 625):
            found = f"got seeded={record['seeded']}, left={left}, next={place}"
            raise RuntimeError(f"Invalid mt19937 state: expected seeded=1, left + next == 625, {found}")
        self._engine.state = {
            "bit_generator": "MT19937",
            "state": {"key": record["key"].astype(np.uint32), "pos": 625 - left},
        }
        self._seed = int(record["seed"])
        self._spare = float(record["normal"]) if record["has_normal"] else None

    def clone_state(self) -> "MersenneTwister":
        """Another generator at the same place of the same stream."""
        twin = MersenneTwister()
        twin.set_state(self.get_state())
        return twin

    def random(self, shape: Shape, dtype: dtypes.dtype) -> Array:
        """``torch.rand``: uniform in [0, 1); a complex number has two such parts."""
        return self.uniform(shape, 0.0, 1.0, dtype)

    def uniform(self, shape: Shape, low: float, high: float, dtype: dtypes.dtype) -> Array:
        """``Tensor.uniform_``: uniform in [low, high), each part of a complex number by itself."""
        count = count_of(shape)
        if dtype.is_complex:
            return _pairs(self.uniform((*shape, 2), low, high, dtype.to_real()), shape, dtype)
        check_floating("check_uniform_bounds", dtype)
        check_bounds(low, high, dtype)
        unit = self._unit(count, dtype is dtypes.float64)
        least, most = unit.dtype.type(low), unit.dtype.type(high)
        values = libm.cast(libm.affine(unit, most - least, least), dtype)
        values[values == libm.cast(most, dtype)] = libm.cast(least, dtype)  # it was rounded up
        return values.reshape(shape)

    def normal(
        self, shape: Shape, dtype: dtypes.dtype, mean: float = 0.0, std: float = 1.0, contiguous: bool = True
    ) -> Array:
        """``torch.randn``, ``Tensor.normal_``: normal with ``mean`` and standard deviation ``std``.

        A complex number has two parts with ``std / sqrt(2)``. ``contiguous=False`` draws as into a
        tensor that is not contiguous: one number at a time however many they are.

        >>> MersenneTwister().manual_seed(0).normal((3,), dtypes.float32)
        array([ 1.5409961, -0.2934289, -2.1787894], dtype=float32)
        """
        count = count_of(shape)
        if not std >= 0.0:
            raise RuntimeError(f"normal expects std >= 0.0, but found std {std}")
        if dtype.is_complex:
            part, std = dtype.to_real(), std / math.sqrt(2.0)
            return _pairs(self.normal((*shape, 2), part, mean, std, contiguous), shape, dtype)
        check_floating("normal_kernel_cpu", dtype)
        many = contiguous and count >= _BLOCK
        values = self._many_normals(count, dtype) if many else self._few_normals(count)
        return libm.cast(libm.affine(values, std, mean), dtype).reshape(shape)

    def integers(self, low: int, high: int, shape: Shape, dtype: dtypes.dtype) -> Array:
        """``torch.randint``, ``Tensor.random_``: integers of [low, high), which ``dtype`` must hold.

        ``high`` may be 2**63, which stands for the missing bound of ``random_(low, None)``.
        """
        count, low, high = count_of(shape), operator.index(low), operator.index(high)
        if low >= high:
            raise RuntimeError(f"random_ expects 'from' to be less than 'to', but got from={low} >= to={high}")
        least, most = integer_range(dtype)
        check_within("from", low, least, most, dtype)
        check_within("to - 1", high - 1, least, most, dtype)
        span = high - low
        words = self._double_words(count) if span >= 2**28 else self._words(count)
        if span < 2**64:  # else each word is an answer
            words = words % np.uint64(span) + np.uint64(low % 2**64)
        return libm.cast(words.view(np.int64), dtype).reshape(shape)

    def any_integers(self, shape: Shape, dtype: dtypes.dtype) -> Array:
        """``Tensor.random_()``: integers of [0, largest], of [0, 2**digits] for a floating dtype."""
        count, span = count_of(shape), integer_range(dtype)[1] + 1
        words = self._double_words(count) if dtype in (dtypes.int64, dtypes.float64) else self._words(count)
        return libm.cast(words % np.uint64(span), dtype).reshape(shape)

    def permutation(self, n: int) -> NDArray[np.int64]:
        """``torch.randperm``: the integers below ``n`` in random order, by swaps from the front.

        From 2**32 // 20 on PyTorch takes another way, which is not here.
        """
        if not 0 <= n < 2**32 // 20:
            raise RuntimeError(f"randperm expects n in [0, {2**32 // 20}), but got n={n}")
        order, front = list(range(n)), np.arange(n - 1, dtype=np.uint64)
        others = self._words(front.size) % (np.uint64(n) - front) + front
        for i, j in enumerate(others.tolist()):
            order[i], order[j] = order[j], order[i]
        return np.array(order, np.int64)

    def bernoulli(self, p: Array) -> Array:
        """``torch.bernoulli(p)``: 1 with probability ``p`` of each element, else 0, in p's dtype."""
        dtype = dtypes.of(p.dtype)
        check_floating("bernoulli_tensor_cpu_p_", dtype)
        if (wrong := p[~((p >= 0) & (p <= 1))]).size:
            raise RuntimeError(f"bernoulli expects all elements of p to be in [0, 1], but got p={wrong[0]}")
        unit = self._unit(p.size, dtype is dtypes.float64).reshape(p.shape)
        return libm.cast(unit < p.astype(unit.dtype), dtype)

    def bernoulli_scalar(self, shape: Shape, p: float, dtype: dtypes.dtype) -> Array:
        """``Tensor.bernoulli_(p)``: 1 with probability ``p``, else 0; ``1 - p`` makes dropout's mask."""
        count = count_of(shape)
        if not 0.0 <= p <= 1.0:
            raise RuntimeError(f"bernoulli_ expects p to be in [0, 1], but got p={p}")
        if dtype.is_complex:
            raise not_implemented("bernoulli_scalar_cpu_", dtype, "real")
        return libm.cast(self._unit(count, double=True) < p, dtype).reshape(shape)

    def exponential(self, shape: Shape, dtype: dtypes.dtype, rate: float = 1.0) -> Array:
        """``Tensor.exponential_``: exponential with mean ``1 / rate``."""
        count = count_of(shape)
        check_floating("exponential_cpu", dtype)
        if not rate > 0.0:
            raise RuntimeError(f"exponential_ expects lambda > 0.0, but found lambda={rate}")
        values = -1.0 / rate * libm.each(math.log1p, -self._unit(count, double=True))
        return libm.cast(values, dtype).reshape(shape)

    def multinomial(self, probs: Array, count: int, replacement: bool = False) -> NDArray[np.int64]:
        """``torch.multinomial``: ``count`` indices from each row of weights ``probs``.

        One index, or several without replacement, are those of the largest ``probs / exponential``;
        several with replacement are looked up in the cumulated weights. Equal quotients (weights of 0,
        or 16-bit dtypes) come in the order of their indices; PyTorch's order of them is undefined.
        """
        check_multinomial(probs, count, replacement)
        check_weights(probs)
        if replacement and count > 1:
            return self._lookup(np.atleast_2d(probs), count).reshape(*probs.shape[:-1], count)
        rows = probs.T if probs.flags.fnc else probs  # in the order of its memory
        clocks = self.exponential(rows.shape, dtypes.of(probs.dtype))
        clocks = clocks.T if probs.flags.fnc else clocks
        with np.errstate(all="ignore"):
            return np.argsort(-(probs / clocks), axis=-1, kind="stable")[..., :count]

    @np.errstate(all="ignore")
    def _lookup(self, weights: Array, count: int) -> Array:
        """For each row, ``count`` indices where uniform numbers fall among its cumulated weights."""
        if weights.dtype.itemsize == 2:
            weights = weights.astype(np.float32)
        cumulated = np.cumsum(weights, axis=1, dtype=weights.dtype)
        cumulated /= cumulated[:, -1:].copy()
        cumulated[:, -1] = 1  # where they overflow it is not
        unit = self._unit(weights.shape[0] * count, double=True).reshape(-1, count)
        return np.array([np.searchsorted(row, u) for row, u in zip(cumulated, unit, strict=True)])

    def _words(self, count: int) -> NDArray[np.uint64]:
        """The next 32-bit words."""
        words: NDArray[np.uint64] = self._engine.random_raw(count)
        return words

    def _double_words(self, count: int) -> NDArray[np.uint64]:
        """The next 64-bit words, of two each."""
        high, low = self._words(2 * count).reshape(count, 2).T
        return high << np.uint64(32) | low

    def _unit(self, count: int, double: bool) -> Array:
        """Uniform numbers in [0, 1), 53 random bits each or 24."""
        if double:
            return (self._double_words(count) & np.uint64(2**53 - 1)) * 2.0**-53
        return (self._words(count) & np.uint64(2**24 - 1)).astype(np.float32) * np.float32(2.0**-24)

    def _few_normals(self, count: int) -> NDArray[np.float64]:
        """Standard normals one at a time, the spare one first."""
        values = [self._spare] if count and self._spare is not None else []
        units = iter(self._unit((count - len(values) + 1) // 2 * 2, double=True).tolist())
        for angle, length in zip(units, units, strict=True):
            radius = math.sqrt(-2.0 * math.log1p(-length))
            values += radius * math.cos(math.tau * angle), radius * math.sin(math.tau * angle)
        if count:
            self._spare = values.pop() if len(values) > count else None
        return np.array(values)

    def _many_normals(self, count: int, dtype: dtypes.dtype) -> Array:
        """At least 16 standard normals, in double or single precision.

        The uniforms of a last, broken block are drawn too, and not used; for a 16-bit dtype they are not.
        """
        double, whole = dtype is dtypes.float64, count - count % _BLOCK
        units = self._unit(whole if dtype.itemsize == 2 else count, double)[:whole]
        if whole < count:
            units = np.concatenate([units, self._unit(_BLOCK, double)])
        values = libm.box_muller(units.reshape(-1, _BLOCK)).ravel()
        return np.concatenate([values[: count - _BLOCK], values[-_BLOCK:]])


def as_seed(seed: SupportsIndex) -> int:
    """A seed as an integer of 64 bits."""
    if isinstance(seed, bool) or not isinstance(seed, SupportsIndex):
        raise RuntimeError(f"manual_seed expected a long, but got {type(seed).__name__}")  # noqa: TRY004
    number = operator.index(seed)
    if not -(2**63) <= number < 2**64:
        raise ValueError(f"Overflow when unpacking long long: expected [-2**63, 2**64), got {number}")
    return number % 2**64


def count_of(shape: Shape) -> int:
    """How many numbers an array of ``shape`` has; ShapeError if it cannot be one."""
    for length in shape:
        if length < 0:
            raise ShapeError(f"Trying to create tensor with negative dimension {length}: {list(shape)}")
    return math.prod(shape)


def _pairs(parts: Array, shape: Shape, dtype: dtypes.dtype) -> Array:
    """The complex numbers whose parts lie along the last axis of ``parts``."""
    return parts.view(dtype.numpy).reshape(shape)


def not_implemented(kernel: str, dtype: dtypes.dtype, expected: str) -> DtypeError:
    """The error that ``dtype`` is none to draw numbers in."""
    return DtypeError(f"\"{kernel}\" not implemented for '{dtype.scalar_name}'; expected a {expected} dtype")


def check_floating(kernel: str, dtype: dtypes.dtype) -> None:
    """DtypeError unless ``dtype`` is floating."""
    if not dtype.is_floating_point:
        raise not_implemented(kernel, dtype, "floating-point")


def check_within(name: str, value: float, least: float, most: float, dtype: dtypes.dtype) -> None:
    """RuntimeError unless an argument lies among the numbers of ``dtype``."""
    if not least <= value <= most:
        raise RuntimeError(f"{name} is out of bounds for {dtype.name}: expected [{least}, {most}], got {value}")


def check_bounds(low: float, high: float, dtype: dtypes.dtype) -> None:
    """RuntimeError unless ``dtype`` has low <= high and their difference."""
    _, largest = _FORMAT[dtype]
    check_within("from", low, -largest, largest, dtype)
    check_within("to", high, -largest, largest, dtype)
    if low > high:
        raise RuntimeError(f"uniform_ expects to return a [from, to) range, but found from={low} > to={high}")
    if high - low > largest:
        limit = f"std::numeric_limits<{dtype.scalar_name}>::max(), but found to={high} and from={low}"
        raise RuntimeError(f"uniform_ expects to-from <= {limit} which result in to-from to exceed the limit")


def integer_range(dtype: dtypes.dtype) -> tuple[int, int]:
    """The integers that ``dtype`` tells apart, first and last."""
    if dtype.is_complex:
        raise not_implemented("random_from_to", dtype, "real")
    if dtype.is_floating_point:
        largest = 2 ** _FORMAT[dtype][0]
        return -largest, largest
    if dtype is dtypes.bool_:
        return 0, 1
    return int(np.iinfo(dtype.numpy).min), int(np.iinfo(dtype.numpy).max)


def check_multinomial(probs: Any, count: int, replacement: bool) -> None:
    """RuntimeError unless ``probs`` has rows of weights from which ``count`` indices can be drawn."""
    check_floating("multinomial", dtypes.of(probs.dtype))
    if probs.ndim not in (1, 2):
        raise RuntimeError(f"prob_dist must be 1 or 2 dim, got {probs.ndim}")
    if count <= 0:
        raise RuntimeError(f"cannot sample n_sample <= 0 samples, got {count}")
    if not replacement and count > probs.shape[-1]:
        found = f"got {count} > {probs.shape[-1]}"
        raise RuntimeError(f"cannot sample n_sample > prob_dist.size(-1) samples without replacement, {found}")


def check_weights(probs: Array) -> None:
    """RuntimeError unless each row of ``probs`` has weights of which one at least is not 0."""
    if not np.all((probs >= 0) & (probs < math.inf)):
        raise RuntimeError("probability tensor contains either `inf`, `nan` or element < 0")
    if not np.all((probs > 0).any(-1)):
        raise RuntimeError("invalid multinomial distribution (sum of probabilities <= 0)")
