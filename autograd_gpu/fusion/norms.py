"""The norm of many arrays on a CUDA device, taken as one vector, and their scaling to a largest norm.

One launch gives a partial result for each block, a second joins these and scales: nothing waits for the device,
and the order of the sums does not depend on chance.
"""

from collections.abc import Sequence
from functools import lru_cache, reduce
from math import inf
from typing import Any

from ..backends import Type
from ..dtypes import dtype, promote_types
from .cuda import STORED
from .multi import SIZES, common, computed_in
from .update import bring_back, in_line

# by order: what an element counts, two of these joined, the norm made of all
_RULES = {
    2.0: ("x * x", "x + y", "sqrt(x)"),
    1.0: ("abs(x)", "x + y", "x"),
    inf: ("abs(x)", "x != x || x > y ? x : y", "x"),
}
_POWER = ("pow(abs(x), order)", "x + y", "pow(x, A(1) / order)")

JOIN = """
typedef {accumulated} A;
__device__ __forceinline__ A size_of(A x, A order) {{ return {size}; }}
__device__ __forceinline__ A join(A x, A y) {{ return {join}; }}
__device__ __forceinline__ A norm_of(A x, A order) {{ return {norm}; }}

__device__ A join_all(A x) {{
    __shared__ A values[THREADS];
    values[threadIdx.x] = x;
    for (int half = THREADS / 2; half; half /= 2) {{
        __syncthreads();
        if (threadIdx.x < half) values[threadIdx.x] = join(values[threadIdx.x], values[threadIdx.x + half]);
    }}
    __syncthreads();
    return values[0];
}}
"""

PARTS = """
extern "C" __global__ void __launch_bounds__(THREADS)
norm_parts(const long long* rows, const long long* chunks, const __grid_constant__ Moving moving,
           int count, A order, A* parts) {
    __shared__ Chunk chunk;
    A sum = 0;
    for (int c = blockIdx.x; c < count; c += gridDim.x) {
        find(chunk, rows, chunks, c, moving);
        const S* const p = chunk.at[0];
        const int size = chunk.size, packed = chunk.aligned ? size / WIDTH * WIDTH : 0;
        for (int i = threadIdx.x * WIDTH; i < packed; i += THREADS * WIDTH) {
            const Pack a = *reinterpret_cast<const Pack*>(p + i);
            #pragma unroll
            for (int k = 0; k < WIDTH; ++k) sum = join(sum, size_of(widen(a.v[k]), order));
        }
        for (int i = packed + threadIdx.x; i < size; i += THREADS) sum = join(sum, size_of(widen(p[i]), order));
    }
    sum = join_all(sum);
    if (threadIdx.x == 0) parts[blockIdx.x] = sum;
}
"""

SCALE = """
extern "C" __global__ void __launch_bounds__(THREADS)
clip_norm(const long long* rows, const long long* chunks, const __grid_constant__ Moving moving,
          int count, A order, const A* parts, int number, A limit, {result}* total) {{
    __shared__ Chunk chunk;
    A sum = 0;
    for (int i = threadIdx.x; i < number; i += THREADS) sum = join(sum, parts[i]);
    const A norm = norm_of(join_all(sum), order), factor = limit / (norm + A(1e-6));
    if (blockIdx.x == 0 && threadIdx.x == 0) *total = Narrow<{result}>::from(norm);
    if (factor >= A(1)) return;  // not if it is nan, which spreads
    for (int c = blockIdx.x; c < count; c += gridDim.x) {{
        find(chunk, rows, chunks, c, moving);
        S* const p = chunk.at[0];
        const int size = chunk.size, packed = chunk.aligned ? size / WIDTH * WIDTH : 0;
        for (int i = threadIdx.x * WIDTH; i < packed; i += THREADS * WIDTH) {{
            Pack a = *reinterpret_cast<const Pack*>(p + i);
            #pragma unroll
            for (int k = 0; k < WIDTH; ++k) a.v[k] = Narrow<S>::from(widen(a.v[k]) * T(factor));
            *reinterpret_cast<Pack*>(p + i) = a;
        }}
        for (int i = packed + threadIdx.x; i < size; i += THREADS) p[i] = Narrow<S>::from(widen(p[i]) * T(factor));
    }}
}}
"""


@lru_cache(maxsize=256)
def sources(d: dtype, result: dtype, order: float) -> tuple[str, str]:
    """The two kernels for arrays of ``d``, whose norm of ``order`` is stored as ``result``."""
    size, join, norm = _RULES.get(order, _POWER)
    begin = common(d, STORED[computed_in(d).name], 1) + JOIN.format(
        accumulated=STORED[computed_in(result).name], size=size, join=join, norm=norm
    )
    return begin + PARTS, begin + SCALE.format(result=STORED[result.name])


def fits(types: Sequence[Type], order: float) -> bool:
    """Whether ``clip`` takes arrays of ``types``: real ones on one CUDA device (complex ones for order 2)."""
    devices = {type_.device for type_ in types}
    real = order == 2 or not any(type_.dtype.is_complex for type_ in types)
    return len(devices) == 1 and devices.pop().type == "cuda" and real and order > 0


def clip(arrays: dict[Type, list[Any]], order: float, limit: float | None, norm: Any = None) -> Any:
    """The norm of all ``arrays`` as an array, after scaling them to at most ``limit``, if there is one.

    A ``norm`` known already, an array of one element, takes the place of theirs.
    """
    result = reduce(promote_types, (type_.dtype.to_real() for type_ in arrays))
    parts, staged = [], []
    for type_, some in arrays.items():
        places, copied = in_line(type_, [(array, None) for array in some])
        parts.append((*sources(type_.dtype.to_real(), result, order), places))
        staged += copied
    first = next(iter(arrays))
    total = first.backend.multi.clip(
        parts, first.device.index, computed_in(result).numpy, result.numpy, order, limit, norm, SIZES
    )
    if limit is not None:
        bring_back(staged, 0)
    return total
