"""CUDA C that works on many arrays in one launch: updates in place, norms, scaling. No header, no CuPy.

A block works on a chunk of one tensor, whose arrays all lie densely in memory in the same order. The table
``rows`` holds for each tensor its number of elements and the addresses of those of its arrays that stay where
they are, ``chunks`` the tensor (low 16 bits) and the place in it of each chunk; the addresses of each tensor's
first array, which may change with each launch, are an argument of the kernel.
"""

from functools import lru_cache
from typing import NamedTuple

from ..dtypes import REDUCED, dtype, float32
from .codegen import helpers, statements
from .cuda import PRELUDE, STORED
from .expr import Expr


class Sizes(NamedTuple):
    """How the work is split; the launcher gets it, too."""

    chunk: int = 1 << 14  # elements: 16 packs of float32 for each thread
    threads: int = 256
    tensors: int = 448  # their addresses, as an argument of a kernel, stay below the 4096 bytes of CUDA 12.0
    blocks: int = 512  # that give a partial norm, which each block of the next launch reads


SIZES = Sizes()

COMMON = """
typedef {stored} S;
typedef {computed} T;
const int CHUNK = {chunk}, THREADS = {threads}, WIDTH = 16 / sizeof(S), ARRAYS = {arrays};
struct alignas(16) Pack {{ S v[WIDTH]; }};
struct Moving {{ S* of[{tensors}]; }};
struct Chunk {{ S* at[ARRAYS]; int size; bool aligned; }};

// The chunk that all threads of the block share.
__device__ void find(Chunk& chunk, const long long* rows, const long long* chunks, int c, const Moving& moving) {{
    __syncthreads();
    if (threadIdx.x == 0) {{
        const long long entry = chunks[c], *const row = rows + (entry & 0xffff) * ARRAYS;
        const long long start = (entry >> 16) * CHUNK, rest = row[0] - start;
        chunk.size = rest < CHUNK ? rest : CHUNK;
        chunk.at[0] = moving.of[entry & 0xffff] + start;
        for (int i = 1; i < ARRAYS; ++i) chunk.at[i] = reinterpret_cast<S*>(row[i]) + start;
        unsigned long long bits = 0;
        for (int i = 0; i < ARRAYS; ++i) bits |= reinterpret_cast<unsigned long long>(chunk.at[i]);
        chunk.aligned = bits % 16 == 0;
    }}
    __syncthreads();
}}
"""

UPDATE = """
__device__ __forceinline__ void update({element}) {{
{body}
}}

extern "C" __global__ void __launch_bounds__(THREADS)
{name}(const long long* rows, const long long* chunks, const __grid_constant__ Moving moving{numbers}) {{
    __shared__ Chunk chunk;
    find(chunk, rows, chunks, blockIdx.x, moving);
    const int size = chunk.size, packed = chunk.aligned ? size / WIDTH * WIDTH : 0;
    {pointers}
    #pragma unroll 1
    for (int i = threadIdx.x * WIDTH; i < packed; i += THREADS * WIDTH) {{
        {load}
        #pragma unroll
        for (int k = 0; k < WIDTH; ++k) update({lane});
        {store}
    }}
    #pragma unroll 1
    for (int i = packed + threadIdx.x; i < size; i += THREADS) update({single});
}}
"""


def common(d: dtype, ctype: str, arrays: int) -> str:
    """The beginning of every kernel for arrays of ``d``, computed in ``ctype``."""
    return PRELUDE + COMMON.format(stored=STORED[d.name], computed=ctype, arrays=arrays, **SIZES._asdict())


def computed_in(d: dtype) -> dtype:
    """What values of the real floating dtype ``d`` are computed in."""
    return float32 if d in REDUCED else d


@lru_cache(maxsize=1024)
def update_source(
    name: str, roots: tuple[Expr, ...], arrays: int, first: int, numbers: int, d: dtype, ctype: str
) -> str:
    """The kernel that writes ``roots[i]`` into array ``first + i``; their slots are the arrays, then the numbers."""
    lines, results = statements(roots, {i: f"x{i}" for i in range(arrays + numbers)}, ctype)
    body = [f"const T x{i} = widen(a{i});" for i in range(arrays)]
    body += lines
    body += [f"a{i} = Narrow<S>::from({result});" for i, result in enumerate(results, first)]
    element = [f"{'const ' if i < first else ''}S& a{i}" for i in range(arrays)]
    given = [f"T x{arrays + i}" for i in range(numbers)]
    passed = [f"x{arrays + i}" for i in range(numbers)]
    text = UPDATE.format(
        name=name,
        element=", ".join(element + [f"const {number}" for number in given]),
        body="\n".join(f"    {line}" for line in body),
        numbers="".join(f", {number}" for number in given),
        pointers="\n    ".join(f"S* const p{i} = chunk.at[{i}];" for i in range(arrays)),
        load="\n        ".join(f"Pack a{i} = *reinterpret_cast<const Pack*>(p{i} + i);" for i in range(arrays)),
        lane=", ".join([f"a{i}.v[k]" for i in range(arrays)] + passed),
        store="\n        ".join(f"*reinterpret_cast<Pack*>(p{i} + i) = a{i};" for i in range(first, arrays)),
        single=", ".join([f"p{i}[i]" for i in range(arrays)] + passed),
    )
    return common(d, ctype, arrays) + "\n".join(helpers(roots)) + text
