"""C++ of programs for the CPU, from the formulas and texts of operations that CUDA's kernels are made of.

A kernel is a function of its arrays, numbers and sizes that computes the parts ``first`` to ``last`` of its work,
which threads share. How the work is divided depends on its size alone, so the results do not depend on the threads.
Loops over neighbours are vectorised, with the vector functions of glibc where it has them (up to 4 ulp), and with an
exp of single precision of its own. No headers.
"""

import os
import platform
from collections.abc import Iterator, Sequence
from functools import cache
from typing import NamedTuple

from . import cuda
from .codegen import helpers
from .cuda import NO_COMPLEX, NUMBER, Output, Source, joined, laid_out
from .expr import Expr, fold
from .reductions import Reduction

ONE_OPERAND = [
    "acos", "acosh", "asin", "asinh", "atan", "atanh", "ceil", "cos", "cosh", "erf", "erfc", "exp", "exp2", "expm1",
    "floor", "lgamma", "log", "log10", "log1p", "log2", "rint", "sin", "sinh", "sqrt", "tan", "tanh", "tgamma", "trunc",
]  # fmt: skip
TWO_OPERANDS = ["atan2", "copysign", "fmod", "hypot", "pow"]
# glibc's vector functions, by the version that they came with
VECTORISED = {
    (2, 22): {"cos", "exp", "log", "pow", "sin"},
    (2, 35): {
        "acos", "acosh", "asin", "asinh", "atan", "atan2", "atanh", "cosh", "erf", "erfc", "exp2", "expm1", "hypot",
        "log10", "log1p", "log2", "sinh", "tan", "tanh",
    },
}  # fmt: skip
STORED = {**cuda.STORED, "bool": "truth"}
MISSING = {"erfinv", "complex", "times_i"}  # operations whose text calls what C has not, or makes complex numbers

TYPES = """\
#define __device__
#if defined(__GNUC__) && !defined(__clang__)
#define VECTOR __attribute__((simd("notinbranch")))
#else
#define VECTOR
#endif
struct float16 { unsigned short bits; };
struct bfloat16 { unsigned short bits; };
struct truth { unsigned char bits; };  // bools in memory: loops over bool itself are not vectorised

inline float as_float(unsigned int bits) { float x; __builtin_memcpy(&x, &bits, 4); return x; }
inline unsigned int as_bits(float x) { unsigned int bits; __builtin_memcpy(&bits, &x, 4); return bits; }

template <typename T> inline T widen(T x) { return x; }
inline bool widen(truth x) { return x.bits != 0; }
inline float widen(bfloat16 x) { return as_float((unsigned int)x.bits << 16); }
inline float widen(float16 x) {
    const unsigned int size = (x.bits & 0x7fffu) << 13, endless = size >= 0x0f800000u ? 0x7f800000u : 0u;
    return as_float(as_bits(as_float(size) * 0x1p112f) | endless | (x.bits & 0x8000u) << 16);
}

template <typename T> struct Narrow {
    template <typename U> static inline T from(U x) { return static_cast<T>(x); }
    static inline T from(bool x) { return x ? T(1) : T(0); }
};
template <> struct Narrow<truth> {
    template <typename U> static inline truth from(U x) { return {(unsigned char)(x != U(0))}; }
};
template <> struct Narrow<float16> {  // to nearest, ties to even
    static inline float16 from(float x) {
        const unsigned int size = as_bits(x) & 0x7fffffffu, sign = as_bits(x) >> 16 & 0x8000u;
        const unsigned int small = as_bits(as_float(size) + 0.5f) - 0x3f000000u;
        const unsigned int normal = (size - 0x38000000u + 0xfffu + (size >> 13 & 1)) >> 13;
        const unsigned int result = size < 0x38800000u ? small : normal;
        const unsigned int endless = size > 0x7f800000u ? 0x7e00u : 0x7c00u;
        return {(unsigned short)(sign | (size >= 0x477ff000u ? endless : result))};
    }
};
template <> struct Narrow<bfloat16> {  // to nearest, ties to even
    static inline bfloat16 from(float x) {
        const unsigned int bits = as_bits(x), rounded = (bits + 0x7fff + (bits >> 16 & 1)) >> 16;
        return {(unsigned short)(x != x ? 0x7fff : rounded)};
    }
};
"""

OWN_FUNCTIONS = """\
inline double nan(const char*) { return __builtin_nan(""); }
inline float abs(float x) { return __builtin_fabsf(x); }
inline double abs(double x) { return __builtin_fabs(x); }
inline bool isinf(float x) { return __builtin_isinf(x); }
inline bool isinf(double x) { return __builtin_isinf(x); }
inline bool signbit(float x) { return __builtin_signbit(x); }
inline bool signbit(double x) { return __builtin_signbit(x); }
inline float exp(float x) {  // to 1 ulp, subnormal results too
    x = x < -104.0f ? -104.0f : x > 89.0f ? 89.0f : x;
    const float big = 0x1.8p23f, shifted = x * 0x1.715476p+0f + big, n = shifted - big;
    const float r = x - n * 0x1.62e400p-1f - n * 0x1.7f7d1cp-20f;
    float p = 0x1.a057b4p-13f;
    p = p * r + 0x1.6d2d92p-10f;
    p = p * r + 0x1.11114cp-7f;
    p = p * r + 0x1.5554f4p-5f;
    p = p * r + 0x1.555556p-3f;
    p = p * r + 0.5f;
    p = p * (r * r) + r + 1.0f;
    const int power = int(as_bits(shifted) - as_bits(big)), half = power >> 1;
    return p * as_float((unsigned int)(half + 127) << 23) * as_float((unsigned int)(power - half + 127) << 23);
}
inline float rsqrt(float x) { return 1.0f / sqrt(x); }
inline double rsqrt(double x) { return 1.0 / sqrt(x); }
inline float fmax(float x, float y) { return y != y || x >= y ? x : y; }
inline double fmax(double x, double y) { return y != y || x >= y ? x : y; }
"""


@cache
def glibc() -> tuple[int, ...]:
    """The version of glibc, where its vector functions are known to be; (0,) elsewhere."""
    name = os.confstr("CS_GNU_LIBC_VERSION") if "CS_GNU_LIBC_VERSION" in getattr(os, "confstr_names", ()) else None
    if name is None or platform.machine() != "x86_64":
        return (0,)
    return tuple(int(number) for number in name.split()[-1].split(".")[:2])


@cache
def functions() -> str:
    """The functions of real numbers that the texts of operations call, each of float and of double."""
    vectorised = {name for version, names in VECTORISED.items() if glibc() >= version for name in names}
    lines = []
    for name in (*ONE_OPERAND, *TWO_OPERANDS):
        vector = "VECTOR " * (name in vectorised)
        operands = [f"{{}} {x}" for x in "xy"[: 1 + (name in TWO_OPERANDS)]]
        for kind, suffix in ("float", "f"), ("double", ""):
            own = ", ".join(operands).format(*[kind] * len(operands))
            lines.append(f'extern "C" {vector}{kind} {name}{suffix}({own}) noexcept;')
            if suffix and name != "exp":
                values = ", ".join("xy"[: len(operands)])
                lines.append(f"inline float {name}({own}) {{ return {name}f({values}); }}")
    return "\n".join([*lines, OWN_FUNCTIONS])


def compiles(formulas: tuple[Expr, ...]) -> bool:
    """Whether all operations of formulas have C++ texts here."""
    found: set[str] = set()
    fold(formulas, var=id, const=id, call=lambda op, *_: found.add(op.name))
    return not found & MISSING


class Variable(NamedTuple):
    """What values are reduced to in a loop: for an extreme, which ignores nan as processors do, nans are counted."""

    name: str
    reduction: Reduction

    @property
    def kind(self) -> str:
        """``sum``, ``max`` or ``min``."""
        return self.reduction.name.partition("_")[0]

    @property
    def extreme(self) -> bool:
        """Whether it is no sum."""
        return self.kind != "sum"

    @property
    def nans(self) -> str:
        """The variable in which nans are counted."""
        return f"nans_{self.name}"

    def begin(self) -> str:
        """The statements before the loop."""
        return f"scalar {self.name} = {self.reduction.identity};\n" + f"scalar {self.nans} = 0;" * self.extreme

    def clause(self) -> str:
        """What the line before a vectorised loop says of it."""
        if self.extreme:
            return f" reduction({self.kind} : {self.name}) reduction(+ : {self.nans})"
        return f" reduction(+ : {self.name})"

    def add(self, value: str) -> str:
        """The statements that reduce another value."""
        if not self.extreme:
            return f"{self.name} += {value};"
        sign, name = ">" if self.kind == "max" else "<", self.name
        return f"{name} = {name} {sign} {value} ? {name} : {value};\n{self.nans} += {value} != {value} ? 1 : 0;"

    def end(self) -> str:
        """The statement after the loop."""
        return f'if ({self.nans} != 0) {self.name} = nan("");' * self.extreme


def simd(sums: Sequence[Variable]) -> str:
    """The line before a vectorised loop that reduces to these variables."""
    return "#pragma omp simd" + "".join(variable.clause() for variable in sums)


def store(i: int, output: Output, place: str, value: str) -> str:
    """The statement that stores a root's value."""
    return f"out{i}[{place}] = Narrow<{STORED[output.dtype.name]}>::from({value});"


class Kernel:
    """Writes the frame of a kernel; a subclass its body."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self.types = source.types()
        self.sizes: list[str] = []  # names of what is passed besides arrays and real numbers

    def body(self) -> str:
        """What the kernel does with its arguments, once those it needs are among ``sizes``."""
        raise NotImplementedError

    def text(self) -> str:
        """The kernel."""
        source, body = self.source, self.body()
        return laid_out(f"""\
{NO_COMPLEX}{TYPES}
{functions()}
typedef {source.real} scalar;
typedef long long integer;
{joined(helpers(tuple(output.formula for output in source.outputs)))}
extern "C" __attribute__((visibility("default"))) int {source.name}(
    char* const* arrays, const double* reals, const long long* sizes, long long first, long long last) {{
{joined(self.arguments())}
{body}
return 0;
}}
""")

    def arguments(self) -> Iterator[str]:
        """The arguments under their names; numbers that are integers come behind the sizes."""
        arrays = reals = 0
        for n, name in enumerate(self.sizes):
            yield f"const long long {name} = sizes[{n}];"
        integers = len(self.sizes)
        for i, (d, layout) in enumerate(zip(self.source.inputs, self.source.layouts, strict=True)):
            if layout != NUMBER:
                kind = f"const {STORED[d.name]}*"  # type: ignore[union-attr]
                yield f"{kind} in{i} = ({kind})arrays[{arrays}];"
                arrays += 1
            elif d is None:
                yield f"const {self.types[i]} x{i} = {self.types[i]}(reals[{reals}]);"
                reals += 1
            else:
                yield f"const {self.types[i]} x{i} = {self.types[i]}(sizes[{integers}]);"
                integers += 1
        for i, output in enumerate(self.source.outputs):
            kind = f"{STORED[output.dtype.name]}*"
            yield f"{kind} out{i} = ({kind})arrays[{arrays}];"
            arrays += 1

    def once(self, i: int, pointer: str) -> str:
        """The statement that reads an input of one value."""
        return f"const {self.types[i]} x{i} = {self.types[i]}(widen({pointer}[0]));"
