"""Random numbers drawn on a CUDA device: Philox 4x32-10, whose words are a function of seed and place.

The counters are cuRAND's, the numbers made of the words (see ``_words.py``) are not: another stream than
PyTorch's, on the CPU or on CUDA.
"""

import math
import secrets
from collections.abc import Sequence
from functools import cache
from typing import Any, SupportsIndex

import cupy
import numpy as np

from .. import dtypes
from ..dtypes import dtype as Dtype
from ..generator import (
    as_seed,
    check_bounds,
    check_floating,
    check_multinomial,
    check_within,
    count_of,
    integer_range,
)
from ._words import PHILOX, Word

OPEN = """
template <typename T> __device__ T open_unit(unsigned int high, unsigned int low);  // in (0, 1]

template <> __device__ float open_unit<float>(unsigned int high, unsigned int) {
    return high * 0x1p-32f + 0x1p-33f;
}

template <> __device__ double open_unit<double>(unsigned int high, unsigned int low) {
    return ((join(high, low) >> 11) + 1) * 0x1p-53;
}
"""

# What a draw takes besides seed and draw number, and what it makes of the words; T is the type computed in.
DRAWS = {
    "uniform": (
        "float64 low, float64 high",
        """T value = unit<T>(w.x, w.y) * (T(high) - T(low)) + T(low);
           out = value;
           if (!(static_cast<T>(out) < T(high))) out = T(low);  // it was rounded up""",
    ),
    "normal": (
        "float64 mean, float64 std",
        """T radius = sqrt(T(-2) * log(open_unit<T>(w.x, w.y)));
           out = radius * cospi(T(2) * unit<T>(w.z, w.w)) * T(std) + T(mean);""",
    ),
    "integers": (
        "uint64 low, uint64 span",
        """long long value = low + (span ? join(w.x, w.y) % span : join(w.x, w.y));
           out = static_cast<T>(value);""",
    ),
    "bernoulli": ("float64 p", "out = static_cast<T>(unit<double>(w.x, w.y) < p);"),
    "bernoulli_of": ("P p", "out = static_cast<T>(unit<double>(w.x, w.y) < static_cast<double>(p));"),
    "exponential": ("float64 rate", "out = max(-log(open_unit<T>(w.x, w.y)) / T(rate), T(1e-38));"),
}


@cache
def kernel(draw: str, d: Dtype) -> Any:
    """The kernel that fills an array of dtype ``d``."""
    parameters, body = DRAWS[draw]
    computed = {dtypes.float64: "double"}.get(d, "float" if d.is_floating_point else "long long")
    return cupy.ElementwiseKernel(
        f"int64 seed, int64 draw, {parameters}",
        f"{d.name} out",
        f"typedef {computed} T;\nWords w = philox(seed, draw, i);\n{body}",
        f"draw_{draw}",
        preamble=PHILOX + OPEN,
    )


class Philox:
    """A stream of random numbers whose draws return CuPy arrays on the current device.

    Its methods are those of ``generator.MersenneTwister``. Values of probabilities and weights are not
    checked: that would wait for the device.
    """

    __slots__ = ("_draw", "_seed")

    def __init__(self) -> None:
        self.manual_seed(0)

    def manual_seed(self, seed: SupportsIndex) -> "Philox":
        self._seed, self._draw = as_seed(seed), 0
        return self

    def seed(self) -> int:
        return self.manual_seed(secrets.randbits(64)).initial_seed()

    def initial_seed(self) -> int:
        return self._seed

    def get_state(self) -> np.ndarray:
        """Where the stream is: the seed and the number of draws, 8 bytes each."""
        return np.array([self._seed, self._draw], "<u8").view(np.uint8)

    def set_state(self, state: np.ndarray) -> None:
        if state.dtype != np.uint8 or state.size != 16:
            raise RuntimeError(f"RNG state is wrong size: expected 16 uint8, got {state.size} {state.dtype}")
        self._seed, self._draw = np.frombuffer(state.tobytes(), "<u8").tolist()

    def clone_state(self) -> "Philox":
        twin = Philox()
        twin.set_state(self.get_state())
        return twin

    def _fill(self, draw: str, shape: Sequence[int], d: Dtype, *arguments: Any) -> Any:
        """An array of ``shape`` filled by the next draw."""
        count_of(shape)
        out = cupy.empty(tuple(shape), d.numpy)
        kernel(draw, d)(*map(np.int64, self.next_draw()), *arguments, out)
        return out

    def next_draw(self) -> tuple[Word, Word]:
        """The seed, as a signed integer, and the number of a draw that nobody else makes."""
        self._draw += 1
        return Word(self._seed - (self._seed >> 63 << 64)), Word(self._draw - 1)

    def random(self, shape: Sequence[int], dtype: Dtype) -> Any:
        return self.uniform(shape, 0.0, 1.0, dtype)

    def uniform(self, shape: Sequence[int], low: float, high: float, dtype: Dtype) -> Any:
        if dtype.is_complex:
            return _pairs(self.uniform((*shape, 2), low, high, dtype.to_real()), shape, dtype)
        check_floating("check_uniform_bounds", dtype)
        check_bounds(low, high, dtype)
        return self._fill("uniform", shape, dtype, low, high)

    def normal(
        self, shape: Sequence[int], dtype: Dtype, mean: float = 0.0, std: float = 1.0, contiguous: bool = True
    ) -> Any:
        if not std >= 0.0:
            raise RuntimeError(f"normal expects std >= 0.0, but found std {std}")
        if dtype.is_complex:
            return _pairs(self.normal((*shape, 2), dtype.to_real(), mean, std / math.sqrt(2)), shape, dtype)
        check_floating("normal_kernel_cuda", dtype)
        return self._fill("normal", shape, dtype, mean, std)

    def integers(self, low: int, high: int, shape: Sequence[int], dtype: Dtype) -> Any:
        if low >= high:
            raise RuntimeError(f"random_ expects 'from' to be less than 'to', but got from={low} >= to={high}")
        least, most = integer_range(dtype)
        check_within("from", low, least, most, dtype)
        check_within("to - 1", high - 1, least, most, dtype)
        return self._fill("integers", shape, dtype, np.uint64(low % 2**64), np.uint64((high - low) % 2**64))

    def any_integers(self, shape: Sequence[int], dtype: Dtype) -> Any:
        span = integer_range(dtype)[1] + 1
        return self._fill("integers", shape, dtype, np.uint64(0), np.uint64(span))

    def permutation(self, n: int) -> Any:
        return cupy.argsort(self.integers(-(2**63), 2**63, (n,), dtypes.int64))

    def bernoulli(self, p: Any) -> Any:
        dtype = dtypes.of(p.dtype)
        check_floating("bernoulli_tensor_cuda_p_", dtype)
        return self._fill("bernoulli_of", p.shape, dtype, p)

    def bernoulli_scalar(self, shape: Sequence[int], p: float, dtype: Dtype) -> Any:
        if not 0.0 <= p <= 1.0:
            raise RuntimeError(f"bernoulli_ expects p to be in [0, 1], but got p={p}")
        return self._fill("bernoulli", shape, dtype, p)

    def exponential(self, shape: Sequence[int], dtype: Dtype, rate: float = 1.0) -> Any:
        check_floating("exponential_cuda", dtype)
        if not rate > 0.0:
            raise RuntimeError(f"exponential_ expects lambda > 0.0, but found lambda={rate}")
        return self._fill("exponential", shape, dtype, rate)

    def multinomial(self, probs: Any, count: int, replacement: bool = False) -> Any:
        check_multinomial(probs, count, replacement)
        if not replacement or count == 1:
            clocks = self.exponential(probs.shape, dtypes.of(probs.dtype))
            return cupy.argsort(-(probs / clocks), axis=-1)[..., :count]
        rows = probs.reshape(-1, probs.shape[-1]).astype(np.float64)
        cumulated = cupy.cumsum(rows, axis=1)
        cumulated /= cumulated[:, -1:].copy()
        number = cupy.arange(rows.shape[0])[:, None]  # of each row, added to let all rows be one sorted array
        units = self.random((rows.shape[0], count), dtypes.float64)
        found = cupy.searchsorted((cumulated + number).ravel(), units + number, side="right")
        last = rows.shape[1] - 1
        return cupy.clip(found - number * rows.shape[1], 0, last).reshape(*probs.shape[:-1], count)


def _pairs(parts: Any, shape: Sequence[int], dtype: Dtype) -> Any:
    """The complex numbers whose parts lie along the last axis of ``parts``."""
    return parts.view(dtype.numpy).reshape(tuple(shape))
