"""CUDA C of a program over values that lie one after the other, with reductions over all."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from .codegen import statements
from .cuda import (
    CONSTANT,
    DENSE,
    NUMBER,
    SEVERAL,
    STORED,
    Output,
    Source,
    block_reduction,
    combined,
    joined,
    laid_out,
)

if TYPE_CHECKING:
    from .reductions import Reduction


@dataclass(frozen=True)
class Stride:
    """How threads share the values: each takes ``vector`` neighbours at a time; places are of the type ``index``."""

    threads: int
    vector: int
    index: str


class Flat:
    """Writes a kernel of roots of level ELEMENT over inputs that are dense, constant or numbers.

    Neighbours are read and written at once, up to 16 bytes. What is reduced over all leaves as a part for each
    block, ``out[block]``.
    """

    def __init__(self, source: Source, stride: Stride) -> None:
        self.source, self.stride = source, stride
        self.types = source.types()
        self.dense = [i for i, layout in enumerate(source.layouts) if layout == DENSE]
        self.sums: list[tuple[int, Output, Reduction]] = [
            (i, output, output.reduction) for i, output in enumerate(source.outputs) if output.reduction is not None
        ]
        self.kept = [(i, output) for i, output in enumerate(source.outputs) if output.reduction is None]

    def text(self) -> str:
        """The kernel."""
        source, (threads, vector, index) = self.source, (self.stride.threads, self.stride.vector, self.stride.index)
        results = [f"scalar& y{i}" for i in range(len(source.outputs))]
        values = [f"const {kind} x{i}" for i, kind in enumerate(self.types)]
        parameters = [*source.parameters, "const long long elements"]
        return laid_out(f"""\
{source.prelude(shuffles=bool(self.sums) or CONSTANT in source.layouts)}
{SEVERAL.format(count=vector)}
{"".join(block_reduction(i, reduction, threads) for i, _, reduction in self.sums)}
__device__ __forceinline__ void compute({", ".join([*values, f"const {index} place", *results])}) {{
{joined(self.formulas())}
}}

extern "C" __global__ void __launch_bounds__({threads}) {source.name}({", ".join(parameters)}) {{
    const {index} step = ({index})gridDim.x * {threads * vector};
    {index} place = (({index})blockIdx.x * {threads} + threadIdx.x) * {vector};
{joined(self.before())}
    for (; place + {vector} <= elements; place += step) {{
{joined(self.several())}
    }}
{joined(self.rest())}
{joined(self.finish())}
}}
""")

    def formulas(self) -> Iterator[str]:
        """The roots ``y0 ...`` of the values ``x0 ...`` of one place."""
        formulas = tuple(output.formula for output in self.source.outputs)
        lines, results = statements(formulas, {i: f"x{i}" for i in range(len(self.types))}, self.source.constant)
        yield from lines
        yield from (f"y{i} = {result};" for i, result in enumerate(results))

    def before(self) -> Iterator[str]:
        """What is read once, and where sums start."""
        for i, layout in enumerate(self.source.layouts):
            if layout == CONSTANT:
                yield from self.source.once(i, self.types[i], f"in{i}", "threadIdx.x")
            elif layout == NUMBER:
                yield f"const {self.types[i]} x{i} = {self.types[i]}(in{i});"
        yield from (f"scalar sum{i} = {self.source.identity(reduction)};" for i, _, reduction in self.sums)

    def one(self, place: str, read: Callable[[int], str], keep: Callable[[int], str]) -> Iterator[str]:
        """Compute the roots at ``place``: ``read`` gives the dense inputs, ``keep`` stores what is not summed."""
        values = [f"{t}(widen({read(i)}))" if i in self.dense else f"x{i}" for i, t in enumerate(self.types)]
        results = [f"y{i}" for i in range(len(self.source.outputs))]
        yield from (f"scalar y{i};" for i in range(len(self.source.outputs)))
        yield f"compute({', '.join([*values, place, *results])});"
        yield from (keep(i) for i, _ in self.kept)
        yield from (f"sum{i} = {combined(reduction, f'sum{i}', f'y{i}')};" for i, _, reduction in self.sums)

    def several(self) -> Iterator[str]:
        """Compute the roots at ``vector`` places."""
        for i in self.dense:
            kind = f"const Several<{STORED[self.source.inputs[i].name]}>"  # type: ignore[union-attr]
            yield f"{kind} in_{i} = *reinterpret_cast<{kind}*>(in{i} + place);"
        yield from (f"Several<{output.stored}> out_{i};" for i, output in self.kept)
        yield "#pragma unroll"
        yield f"for (int k = 0; k < {self.stride.vector}; ++k) {{"
        yield from self.one(
            "place | k",  # which tells the compiler that neighbours share random words
            lambda i: f"in_{i}.values[k]",
            lambda i: f"out_{i}.values[k] = {self.source.narrowed(i, f'y{i}')};",
        )
        yield "}"
        for i, output in self.kept:
            yield f"*reinterpret_cast<Several<{output.stored}>*>(out{i} + place) = out_{i};"

    def rest(self) -> Iterator[str]:
        """Compute the roots at the last places, fewer than ``vector``: one thread has them."""
        if self.stride.vector > 1:
            yield "for (; place < elements; ++place) {"
            yield from self.one("place", lambda i: f"in{i}[place]", lambda i: self.source.store(i, "place", f"y{i}"))
            yield "}"

    def finish(self) -> Iterator[str]:
        """Bring together what the threads of the block have summed, and store it."""
        for i, _, _ in self.sums:
            yield f"sum{i} = reduce{i}(sum{i});"
            yield f"if (threadIdx.x == 0) {self.source.store(i, 'blockIdx.x', f'sum{i}')}"
