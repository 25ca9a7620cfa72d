"""Programs on NumPy: small arrays at one go, large ones tile by tile, so that what lies between stays in the cache.

As NumPy's own, results have their axes in memory as the inputs have.
"""

import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import lru_cache, partial
from math import inf, prod
from typing import TYPE_CHECKING, Any

import numpy as np

from ..dtypes import complex128, dtype, float64
from ..layouts import outer_to_inner
from ..modes import modes
from .expr import Expr, fold, slot, substitute
from .reductions import ALL, ELEMENT, POSITION, ROW, Place, Reduction
from .straight import At, Function, Shape, Writer, full, operations, real_of
from .threads import THREADS

if TYPE_CHECKING:
    from .program import Program

SMALL = 1 << 18  # bytes of an array of the domain's shape, up to which all is computed at one go
TILE = 1 << 22  # bytes of all that a tile is computed of and in
PARTS = 8  # of the tiles, at most, that threads share


def run(program: "Program", values: Sequence[Any], domain: Shape, targets: Sequence[Shape | None]) -> list[np.ndarray]:
    """What ``Program.run`` returns, of NumPy arrays and numbers."""
    return modes.quiet(prepared(program, domain, tuple(targets)), values)  # type: ignore[no-any-return]


def exactly(
    program: "Program", values: Sequence[Any], domain: Shape, targets: Sequence[Shape | None]
) -> list[np.ndarray]:
    """The same in double precision, which other roads are compared with."""
    return run(precise(program), values, domain, targets)


@lru_cache(maxsize=2048)
def precise(program: "Program") -> "Program":
    """``program`` in double precision."""
    wide = widest(program.computed)
    return replace(program, computed=wide, outputs=(wide,) * len(program.outputs))


def widest(computed: dtype) -> dtype:
    """The dtype of double precision."""
    return complex128 if computed.is_complex else float64


@lru_cache(maxsize=4096)
def naturals(domain: Shape, axes: int) -> tuple[Shape, Shape, Shape]:
    """The shapes of values of the levels ALL, ROW and ELEMENT."""
    return (), domain[: len(domain) - axes] + (1,) * axes, domain


def level_of_shape(shape: Shape, domain: Shape, axes: int) -> int:
    """The level of an array of ``shape``, which broadcasts to ``domain``; the same for all numbers of rows."""
    if not shape or (len(shape) <= axes and prod(shape) == 1 and shape != domain):
        return ALL
    row, own = domain[len(domain) - axes :], shape[-axes:]
    return ROW if len(shape) > axes and own != row and prod(own) == 1 else ELEMENT


@lru_cache(maxsize=2048)
def functions(program: "Program") -> "Functions":
    """The functions of ``program``."""
    return Functions(program)


class Functions:
    """A program's functions of NumPy arrays."""

    def __init__(self, program: "Program") -> None:
        self.program = program
        self.small = Writer(program).function()
        self.tiled: dict[Any, Function] = {}  # by the levels of the inputs, and which roots are summed
        ops = operations(program.roots)
        self.placed = any(isinstance(op, Place) for op in ops)
        rows = POSITION in ops or any(isinstance(op, Reduction) and op.level == ROW for op in ops)
        self.whole = program.axes if rows or ROW in program.levels else 0  # axes that no tile divides
        self.totals = any(isinstance(op, Reduction) and op.level == ALL for op in ops)

    def in_tiles(self, values: Sequence[Any], domain: Shape, targets: Sequence[Shape | None]) -> list[np.ndarray]:
        """The roots, after what is reduced over all elements or rows, of which they may be made."""
        *stages, (last, _) = in_stages(self.program) if self.totals else [(self.program, ())]
        held = list(values)
        for stage, ops in stages:
            held += [total[()] for total in Sweep(stage, held, domain, [()] * len(ops), ops).run()]
        return Sweep(last, held, domain, targets, [np.add] * len(targets)).run()


@lru_cache(maxsize=4096)
def prepared(
    program: "Program", domain: Shape, targets: tuple[Shape | None, ...]
) -> Callable[[Sequence[Any]], list[np.ndarray]]:
    """The function of the values of ``program``."""
    of_program = functions(program)
    if prod(domain) * real_of(program.computed).itemsize > SMALL:
        return partial(of_program.in_tiles, domain=domain, targets=targets)
    return AtOnce(of_program, domain, targets)


class AtOnce:
    """A run of a program on small arrays, in one step."""

    def __init__(self, of_program: Functions, domain: Shape, targets: tuple[Shape | None, ...]) -> None:
        program, axes = of_program.program, of_program.program.axes
        shapes = naturals(domain, axes)
        at = At(domain, axes, tuple(slice(0, n) for n in domain)) if of_program.placed else None
        self.call = of_program.small.call
        self.place = domain, shapes[ROW], domain[len(domain) - axes :], at, (), (), ()
        self.roots = []
        for level, target, d, new in zip(program.levels, targets, program.outputs, of_program.small.new, strict=True):
            natural = shapes[level]
            shape = natural if target is None else target
            summed = summed_axes(natural, shape) if prod(natural) != prod(shape) else ()
            keepdims = len(natural) - len(summed) != len(shape)
            self.roots.append((natural, shape, d.numpy, summed, keepdims, new))

    def __call__(self, values: Sequence[Any]) -> list[np.ndarray]:
        results = []
        made = self.call(*values, *self.place)
        for value, (natural, shape, d, summed, keepdims, new) in zip(made, self.roots):  # noqa: B905  strict costs
            if summed:
                value = value if value.shape == natural else full(value, natural)  # noqa: PLW2901
                value, new = np.add.reduce(value, summed, keepdims=keepdims), True  # type: ignore[call-overload]  # noqa: PLW2901
            if new and value.dtype is d and value.shape == shape:
                results.append(value if shape else np.asarray(value))
                continue
            if value.shape != shape:
                same = value.size == prod(shape)
                value = value.reshape(shape) if same else np.array(np.broadcast_to(value, shape), d)  # noqa: PLW2901
            own = new or (value.base is None and not any([value is v for v in values]))  # noqa: C419  is faster
            results.append(np.asarray(value).astype(d, copy=not own))
        return results


def summed_axes(shape: Shape, target: Shape) -> tuple[int, ...]:
    """The axes of ``shape`` along which ``target`` has size 1 or no axis."""
    missing = len(shape) - len(target)
    return tuple(i for i, n in enumerate(shape) if n != 1 and (i < missing or target[i - missing] == 1))


@lru_cache(maxsize=256)
def in_stages(program: "Program") -> "list[tuple[Program, tuple[np.ufunc, ...]]]":
    """Programs of what is reduced in ``program`` to one value, of which later ones may need earlier; it is the last."""
    depth: dict[Expr, int] = {}
    fold(
        program.roots,
        var=lambda _: 0,
        const=lambda _: 0,
        call=lambda op, *args: max(args, default=0) + (isinstance(op, Reduction) and op.level == ALL),
        done=depth,
    )
    totals = [node for node in depth if isinstance(node.op, Reduction) and node.op.level == ALL]
    known: dict[Expr, Expr] = {}
    stages, inputs = [], program.inputs
    for number in sorted({depth[node] for node in totals}):
        now = [node for node in totals if depth[node] == number]
        roots = tuple(substitute(node.args[0], known) for node in now)
        levels, outputs = tuple(node.op.over for node in now), (widest(program.computed),) * len(now)
        stage = replace(program, roots=roots, levels=levels, inputs=inputs, outputs=outputs)
        stages.append((stage, tuple(node.op.numpy for node in now)))
        known |= {node: slot(len(inputs) + i) for i, node in enumerate(now)}
        inputs += (None,) * len(now)
    roots = tuple(substitute(root, known) for root in program.roots)
    return [*stages, (replace(program, roots=roots, inputs=inputs), ())]


class Scratch(threading.local):
    """One thread's memory to compute tiles in: new memory would have to be mapped at each call."""

    memory = np.empty(0, np.uint8)

    def arrays(
        self, function: Function, shape: Shape, real: np.dtype, order: Sequence[int]
    ) -> tuple[list[np.ndarray], list[np.ndarray]]:
        """What ``function`` computes tiles of ``shape`` in, the axes in memory in ``order``."""
        count, placed = prod(shape), (-1, *(shape[axis] for axis in order))
        back = (0, *(order.index(axis) + 1 for axis in range(len(order))))
        need = count * (function.reals * real.itemsize + function.truths)
        if self.memory.size < need:
            self.memory = np.empty(need, np.uint8)
        memory = self.memory
        if need > 2 * TILE:  # rows so long that it is not worth keeping
            del self.memory
        reals, truths = np.split(memory[:need], [function.reals * real.itemsize * count])
        return (
            list(reals.view(real).reshape(placed).transpose(back)),
            list(truths.view(np.bool_).reshape(placed).transpose(back)),
        )


SCRATCH = Scratch()


class Sweep:
    """A run of a program over all tiles; ``combine`` says how each root that has a target is reduced to it."""

    def __init__(
        self,
        program: "Program",
        values: Sequence[Any],
        domain: Shape,
        targets: Sequence[Shape | None],
        combine: Sequence[np.ufunc],
    ) -> None:
        self.program, self.domain, self.combine, self.targets = program, domain, combine, targets
        self.shapes = naturals(domain, program.axes)
        self.real = real_of(program.computed)
        self.values = [aligned(v, len(domain)) if isinstance(v, np.ndarray) else v for v in values]
        levels = tuple([level_of_shape(np.shape(v), domain, program.axes) for v in values])
        self.reduced = tuple(
            [
                target is not None and level != ALL and target != self.shapes[level]
                for target, level in zip(targets, program.levels, strict=True)
            ]
        )
        self.on = functions(program)
        if (function := self.on.tiled.get((levels, self.reduced))) is None:
            function = self.on.tiled[levels, self.reduced] = Writer(program, levels, self.reduced).function()
        self.function = function
        whole = next((v for v in self.values if isinstance(v, np.ndarray) and v.shape == domain), None)
        self.order = list(range(len(domain))) if whole is None else outer_to_inner(whole)  # of the axes in memory

    def begun(self, i: int) -> np.ndarray:
        """Where the values of the root ``i`` go: an array with all axes of the domain."""
        shape = self.targets[i]
        if not self.reduced[i]:
            natural = self.shapes[self.program.levels[i]]
            natural = (1,) * (len(self.domain) - len(natural)) + natural
            placed = np.empty([natural[axis] for axis in self.order], self.program.outputs[i].numpy)
            return placed.transpose([self.order.index(axis) for axis in range(len(self.order))])
        assert shape is not None
        ufunc = self.combine[i]
        start = 0 if ufunc is np.add else -inf if ufunc is np.maximum else inf
        return aligned(np.full(shape, start, widest(self.program.outputs[i]).numpy), len(self.domain))

    def run(self) -> list[np.ndarray]:
        """The roots' arrays, by several threads; each part of the tiles has sums of its own, however many there are."""
        width = self.function.reals + sum(isinstance(v, np.ndarray) and v.size > 1 for v in self.values)
        size = TILE // self.real.itemsize // (width + 1)
        if self.order != sorted(self.order):  # tiles would be in pieces in memory, which costs more than they save
            size = prod(self.domain)
        every = list(tiles(self.domain, self.on.whole, size))
        results = [self.begun(i) for i in range(len(self.targets))]
        sums = [i for i, reduced in enumerate(self.reduced) if reduced]
        number = min(PARTS, len(every)) if sum(results[i].size for i in sums) * PARTS <= prod(self.domain) else 1
        others = [[self.begun(i) if i in sums else out for i, out in enumerate(results)] for _ in range(number - 1)]
        ends = [len(every) * i // number for i in range(number + 1)]
        THREADS.each(
            [
                partial(self.compute, every[first:last], own)
                for first, last, own in zip(ends, ends[1:], [results, *others], strict=False)
            ]
        )
        for i in sums:
            for own in others:
                self.combine[i](results[i], own[i], out=results[i])
        return [
            result.astype(d.numpy, copy=False).reshape(self.shapes[level] if target is None else target)
            for result, d, level, target in zip(
                results, self.program.outputs, self.program.levels, self.targets, strict=True
            )
        ]

    def compute(self, own_tiles: Sequence[tuple[slice, ...]], results: Sequence[np.ndarray]) -> None:
        """Put what the roots are in some tiles into ``results``, or add it up there."""
        program, axes = self.program, self.program.axes
        scratch: dict[Shape, tuple[list[np.ndarray], list[np.ndarray]]] = {}
        for tile in own_tiles:
            shape = tuple([s.stop - s.start for s in tile])
            if (own := scratch.get(shape)) is None:
                own = scratch[shape] = SCRATCH.arrays(self.function, shape, self.real, self.order)
            at = At(self.domain, axes, tile) if self.on.placed else None
            parts = [part(v, tile) if isinstance(v, np.ndarray) else v for v in self.values]
            outs = [part(result, tile) for result in results]
            shapes = naturals(shape, axes)
            made = self.function.call(*parts, shape, shapes[ROW], shape[len(shape) - axes :], at, *own, outs)
            for i, value in enumerate(made):
                self.put(i, value, outs[i], shapes[program.levels[i]])

    def put(self, i: int, value: Any, out: np.ndarray, natural: Shape) -> None:
        """Keep what the root ``i`` is in a tile, or add it up."""
        if self.reduced[i]:
            ufunc = self.combine[i]
            axes = tuple(axis for axis, n in enumerate(out.shape) if n == 1)
            ufunc(out, ufunc.reduce(full(value, natural), axis=axes, keepdims=True), out=out)
        elif not self.function.direct[i]:
            out[...] = value


def aligned(x: np.ndarray, ndim: int) -> np.ndarray:
    """``x`` with ``ndim`` axes."""
    return x.reshape((1,) * (ndim - x.ndim) + x.shape)


def part(x: np.ndarray, tile: tuple[slice, ...]) -> np.ndarray:
    """What of ``x`` belongs to a tile of the domain that it broadcasts to."""
    return x[tuple([slice(None) if n == 1 else s for s, n in zip(tile, x.shape, strict=True)])]


def tiles(domain: Shape, whole: int, size: int) -> Iterator[tuple[slice, ...]]:
    """Parts of ``domain`` of about ``size`` elements, whose last ``whole`` axes are not divided.

    >>> list(tiles((2, 900), 1, 100)) == [(slice(0, 1), slice(0, 900)), (slice(1, 2), slice(0, 900))]
    True
    """
    if whole == len(domain):
        yield tuple(slice(0, n) for n in domain)
        return
    axis = next(a for a in range(len(domain)) if prod(domain[a + 1 :]) <= size)
    axis = min(axis, len(domain) - whole - 1)
    rest = tuple(slice(0, n) for n in domain[axis + 1 :])
    for outer in np.ndindex(*domain[:axis]):
        before = tuple(slice(i, i + 1) for i in outer)
        step = max(1, size // max(prod(domain[axis + 1 :]), 1))
        for start in range(0, domain[axis], step):
            yield (*before, slice(start, min(start + step, domain[axis])), *rest)
