"""Philox 4x32-10: four words of 32 bits that are a function of a seed, a draw and a place.

The words of draw ``n`` at place ``i`` are those of the counter ``(n, i)`` under the key ``seed``, so no state
lives on the device and nothing waits for it, and what was drawn can be had again. Source: Salmon et al.,
"Parallel random numbers: as easy as 1, 2, 3", SC 2011.
"""

from typing import Any

import numpy as np

PHILOX = """
struct Words { unsigned int x, y, z, w; };

__device__ inline Words philox(unsigned long long seed, unsigned long long draw, unsigned long long i) {
    unsigned int key0 = seed, key1 = seed >> 32;
    Words c = {(unsigned int)draw, (unsigned int)(draw >> 32), (unsigned int)i, (unsigned int)(i >> 32)};
    for (int round = 0; round < 10; ++round) {
        unsigned long long a = 0xD2511F53ull * c.x, b = 0xCD9E8D57ull * c.z;
        c = {(unsigned int)(b >> 32) ^ c.y ^ key0, (unsigned int)b,
             (unsigned int)(a >> 32) ^ c.w ^ key1, (unsigned int)a};
        key0 += 0x9E3779B9u;
        key1 += 0xBB67AE85u;
    }
    return c;
}

__device__ inline unsigned long long join(unsigned int high, unsigned int low) {
    return (unsigned long long)high << 32 | low;
}

template <typename T> __device__ T unit(unsigned int high, unsigned int low);  // in [0, 1)

template <> __device__ inline float unit<float>(unsigned int high, unsigned int) { return (high >> 8) * 0x1p-24f; }

template <> __device__ inline double unit<double>(unsigned int high, unsigned int low) {
    return (join(high, low) >> 11) * 0x1p-53;
}

// in [0, 1), where neighbouring places share words: four of float, two of double
template <typename T> __device__ T unit_at(unsigned long long seed, unsigned long long draw, unsigned long long i);

template <> __device__ inline float unit_at<float>(
    unsigned long long seed, unsigned long long draw, unsigned long long i) {
    const Words c = philox(seed, draw, i >> 2);
    const unsigned int even = i & 2 ? c.z : c.x, odd = i & 2 ? c.w : c.y;
    return unit<float>(i & 1 ? odd : even, 0);
}

template <> __device__ inline double unit_at<double>(
    unsigned long long seed, unsigned long long draw, unsigned long long i) {
    const Words c = philox(seed, draw, i >> 1);
    return i & 1 ? unit<double>(c.z, c.w) : unit<double>(c.x, c.y);
}
"""


class Word(int):
    """A seed, or the number of a draw: programs take it as the integer that it is, other numbers as fractions."""

    dtype = np.dtype(np.int64)


_LOW, _HALF = np.uint64(0xFFFFFFFF), np.uint64(32)


def philox(seed: int, draw: int, place: np.ndarray) -> tuple[np.ndarray, ...]:
    """The words at each place, as uint64 arrays: what the device computes."""
    key = seed & 0xFFFFFFFF, seed >> 32 & 0xFFFFFFFF
    i = place.astype(np.uint64)
    x, y = np.full_like(i, draw & 0xFFFFFFFF), np.full_like(i, draw >> 32 & 0xFFFFFFFF)
    z, w = i & _LOW, i >> _HALF
    for _ in range(10):
        a, b = np.uint64(0xD2511F53) * x, np.uint64(0xCD9E8D57) * z
        x, y = (b >> _HALF) ^ y ^ np.uint64(key[0]), b & _LOW
        z, w = (a >> _HALF) ^ w ^ np.uint64(key[1]), a & _LOW
        key = (key[0] + 0x9E3779B9) & 0xFFFFFFFF, (key[1] + 0xBB67AE85) & 0xFFFFFFFF
    return x, y, z, w


def uniform(seed: int, draw: int, place: np.ndarray, real: type) -> Any:
    """A number in [0, 1) at each place, of the type ``real``: four of float32, or two of float64, share words."""
    i = place.astype(np.uint64)
    if real is np.float32:
        word = np.choose((i & np.uint64(3)).astype(np.intp), philox(seed, draw, i >> np.uint64(2)))
        return (word >> np.uint64(8)).astype(np.float32) * np.float32(2.0**-24)
    x, y, z, w = philox(seed, draw, i >> np.uint64(1))
    odd = (i & np.uint64(1)).astype(bool)
    high, low = np.where(odd, z, x), np.where(odd, w, y)
    return ((high << _HALF | low) >> np.uint64(11)).astype(np.float64) * 2.0**-53
