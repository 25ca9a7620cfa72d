"""CUDA C of programs: what all kernels share. No header but for complex numbers, no CuPy."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from ..dtypes import COMPLEX, FLOAT, INT, bool_, dtype
from .codegen import helpers
from .expr import Expr, fold
from .reductions import POSITION, Reduction

# How an input is laid out, by its strides along rows and columns, a letter each
NUMBER, CONSTANT, ROW_WISE, COLUMN_WISE, DENSE, STRIDED = "nkrcds"
SHARED, WARP_WISE = "pw"  # neighbouring columns share elements; or whole warps do

PRELUDE = """\
struct float16 { unsigned short bits; };
struct bfloat16 { unsigned short bits; };

template <typename T> __device__ __forceinline__ T widen(T x) { return x; }
__device__ __forceinline__ float widen(float16 x) {
    float y;
    asm("cvt.f32.f16 %0, %1;" : "=f"(y) : "h"(x.bits));
    return y;
}
__device__ __forceinline__ float widen(bfloat16 x) { return __uint_as_float((unsigned int)x.bits << 16); }

template <typename T> struct Narrow {
    template <typename U> static __device__ __forceinline__ T from(U x) { return static_cast<T>(x); }
};
template <> struct Narrow<float16> {
    static __device__ __forceinline__ float16 from(float x) {
        float16 y;
        asm("cvt.rn.f16.f32 %0, %1;" : "=h"(y.bits) : "f"(x));
        return y;
    }
};
template <> struct Narrow<bfloat16> {  // to nearest, ties to even
    static __device__ __forceinline__ bfloat16 from(float x) {
        const unsigned int bits = __float_as_uint(x);
        const unsigned int rounded = (bits + 0x7fff + (bits >> 16 & 1)) >> 16;
        return {(unsigned short)(x != x ? 0x7fff : rounded)};
    }
};
"""
SHUFFLES = """\
template <typename T> __device__ __forceinline__ T other(T x, int mask) { return __shfl_xor_sync(~0u, x, mask); }
template <typename T> __device__ __forceinline__ T first(T x, int width) { return __shfl_sync(~0u, x, 0, width); }
"""
COMPLEX_SHUFFLES = """\
template <typename T> __device__ __forceinline__ complex<T> other(complex<T> x, int mask) {
    return complex<T>(other(x.real(), mask), other(x.imag(), mask));
}
template <typename T> __device__ __forceinline__ complex<T> first(complex<T> x, int width) {
    return complex<T>(first(x.real(), width), first(x.imag(), width));
}
"""
COMPLEX_HEADER = """\
#include <cupy/complex.cuh>
template <typename T> __device__ __forceinline__ T real_of(T x) { return x; }
template <typename T> __device__ __forceinline__ T real_of(complex<T> x) { return x.real(); }
"""
NO_COMPLEX = "template <typename T> struct complex;\n"  # functions may name it

SEVERAL = "template <typename T> struct alignas(sizeof(T) * {count}) Several {{ T values[{count}]; }};"  # neighbours

STORED = {
    "bool": "bool", "uint8": "unsigned char", "int8": "signed char", "int16": "short", "int32": "int",
    "int64": "long long", "float16": "float16", "bfloat16": "bfloat16", "float32": "float", "float64": "double",
    "complex64": "complex<float>", "complex128": "complex<double>",
}  # fmt: skip
COMPUTED = {**STORED, "float16": "float", "bfloat16": "float"}


@dataclass(frozen=True)
class Output:
    """A root: its formula, the dtype that it is stored in, and the reduction that follows, over rows or over all.

    Without a reduction its level says whether there is a value for each element or for each row.
    """

    formula: Expr
    level: int
    dtype: dtype
    reduction: Reduction | None = None

    @property
    def stored(self) -> str:
        """The C++ type of the array."""
        return STORED[self.dtype.name]

    @property
    def by_column(self) -> bool:
        """Whether it is reduced to a value for each column."""
        return self.reduction is not None and self.reduction.over < self.level


@dataclass(frozen=True)
class Source:
    """What decides a kernel's text, but for the sizes of a block."""

    name: str
    outputs: tuple[Output, ...]
    inputs: tuple[dtype | None, ...]  # None: a number
    layouts: str  # a letter for each input
    computed: dtype
    shared: tuple[tuple[bool, bool], ...] = ()  # whether neighbouring batches, or rows, share elements of each input

    @property
    def parameters(self) -> Iterator[str]:
        """What the kernel takes for its inputs and outputs."""
        for i, (d, layout) in enumerate(zip(self.inputs, self.layouts, strict=True)):
            if layout == NUMBER:
                yield f"const {self.number if d is None else 'long long'} in{i}"
            else:
                yield f"const {STORED[d.name]}* __restrict__ in{i}"  # type: ignore[union-attr]
        for i, output in enumerate(self.outputs):
            yield f"{output.stored}* __restrict__ out{i}"

    @property
    def number(self) -> str:
        """What numbers are passed as."""
        return {COMPLEX: "complex<double>", FLOAT: "double"}.get(self.computed.category, "long long")

    @property
    def real(self) -> str:
        """What is computed in."""
        return COMPUTED[self.computed.name]

    @property
    def constant(self) -> str:
        """What constants are: real, also among complex numbers, as they are compared with their parts."""
        return COMPUTED[self.computed.to_real().name] if self.computed.is_complex else "scalar"

    def once(self, i: int, kind: str, place: str, thread: str) -> list[str]:
        """Read input ``i``, one value for a whole warp, by one of its threads."""
        return [
            f"{kind} x{i} = {kind}(0);",
            f"if ({thread} % 32 == 0) x{i} = {kind}(widen({place}[0]));",
            f"x{i} = first(x{i}, 32);",
        ]

    def identity(self, reduction: Reduction) -> str:
        """What a reduction starts from."""
        return reduction.identity if self.computed.category >= FLOAT else reduction.integer

    def narrowed(self, i: int, value: str) -> str:
        """The value of a root as it is stored: the real part of a real one, which is complex where others are."""
        output = self.outputs[i]
        value = f"real_of({value})" if self.computed.is_complex and not output.dtype.is_complex else value
        return f"Narrow<{output.stored}>::from({value})"

    def store(self, i: int, place: str, value: str) -> str:
        """The statement that stores a root's value."""
        return f"out{i}[{place}] = {self.narrowed(i, value)};"

    def types(self) -> list[str]:
        """The C++ type that each input is computed in; numbers and what is compared with a position stay integers."""
        places: set[int] = set()

        def call(op: object, *args: int | None) -> int | None:
            if op is POSITION:
                return -1
            if -1 in args:
                places.update(arg for arg in args if arg is not None)
            return None

        formulas = tuple(output.formula for output in self.outputs)
        fold(formulas, var=lambda i: i, const=lambda _: None, call=call)
        places.update(i for i, layout in enumerate(self.layouts) if layout == NUMBER)
        return [
            "bool" if d is bool_ else "integer" if d is not None and d.category == INT and i in places else "scalar"
            for i, d in enumerate(self.inputs)
        ]

    def prelude(self, *, shuffles: bool) -> str:
        """What comes before the kernel: types, and the functions that its formulas call."""
        dtypes = *self.inputs, self.computed, *(output.dtype for output in self.outputs)
        is_complex = any(d is not None and d.is_complex for d in dtypes)
        return "\n".join(
            [
                (COMPLEX_HEADER if is_complex else NO_COMPLEX) + PRELUDE,
                SHUFFLES * shuffles + COMPLEX_SHUFFLES * (shuffles and is_complex),
                f"typedef {self.real} scalar;\ntypedef long long integer;",
                *helpers(tuple(output.formula for output in self.outputs)),
            ]
        )


def combined(reduction: Reduction, a: str, b: str) -> str:
    """The expression of two values reduced to one."""
    return f"({reduction.combine.format(a, b)})"


def block_reduction(i: int, reduction: Reduction, threads: int, rows: int = 1) -> str:
    """The function ``reduce{i}`` that reduces a value of each of a row's ``threads``, for all of them.

    A block has so many ``rows`` at a time.
    """
    warps = ""
    if threads > 32:
        warps = f"""
    __shared__ scalar shared[{rows}][{threads // 32}];
    if (threadIdx.x % 32 == 0) shared[threadIdx.y][threadIdx.x / 32] = x;
    __syncthreads();
    x = shared[threadIdx.y][0];
    for (int i = 1; i < {threads // 32}; ++i) x = {combined(reduction, "x", "shared[threadIdx.y][i]")};
    __syncthreads();"""
    return f"""\
__device__ __forceinline__ scalar reduce{i}(scalar x) {{
    for (int mask = {min(threads, 32) // 2}; mask; mask /= 2) {{
        const scalar y = other(x, mask);
        x = {combined(reduction, "x", "y")};
    }}{warps}
    return x;
}}
"""


def joined(lines: Iterable[str]) -> str:
    """Lines as one text."""
    return "\n".join(lines)


def laid_out(text: str) -> str:
    """``text`` with each line moved to the right by the braces that are open there, and no line empty."""
    depth, result = 0, []
    for line in filter(None, map(str.strip, text.splitlines())):
        result.append("    " * (depth - line.startswith("}")) + line)
        depth += line.count("{") - line.count("}")
    return "\n".join(result) + "\n"
