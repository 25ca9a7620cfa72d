"""Seeing all that runs on this thread: to compare programs with exact ones, or to show it to a profiler."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import backends
from ..backends import _numpy, cuda, why_no_cuda
from ..dtypes import REDUCED, dtype
from ..errors import FusionError
from ..modes import modes
from . import interpret
from .text import texts

if TYPE_CHECKING:
    from .program import Program


class Watch:
    """Runs programs in place of their own road, on which it runs them; and other operations and pullbacks."""

    def run(self, program: "Program", road: ModuleType, values: Sequence[Any], *where: Any) -> list[Any]:
        """The roots of ``program``, of ``values`` over a domain, with targets."""
        return road.run(program, values, *where)  # type: ignore[no-any-return]

    def call(self, name: str, function: Callable[..., Any], *operands: Any, **params: Any) -> Any:
        """What ``function``, of the operation or node called ``name``, returns."""
        return function(*operands, **params)


@contextmanager
def watching(watch: Watch | None) -> Iterator[None]:
    """Inside, programs of this thread are run by ``watch``."""
    before, modes.watch = modes.watch, watch
    try:
        yield
    finally:
        modes.watch = before


def tolerance(d: dtype) -> float:
    """How far a result may be from the exact one, relative to the largest: some roundings in a long sum."""
    return 3e-2 if d in REDUCED else 1e-3 if d.numpy.itemsize // (1 + d.is_complex) == 4 else 1e-8


class Check(Watch):
    """Compares every program with the same formulas in double precision; FusionError names the first that differs."""

    def run(self, program: "Program", road: ModuleType, values: Sequence[Any], *where: Any) -> list[Any]:
        """The roots of ``program``, found equal to the exact ones."""
        made = super().run(program, road, values, *where)
        if program.computed.is_floating_point or program.computed.is_complex:
            host = [backends.of(v).to_host(v) if hasattr(v, "shape") else v for v in values]
            exact = interpret.exactly(program, host, *where)
            for i, (got, expected) in enumerate(zip(made, exact, strict=True)):
                self.compare(program, i, backends.of(got).to_host(got), expected)
        return made

    @staticmethod
    def compare(program: "Program", i: int, got: np.ndarray, expected: np.ndarray) -> None:
        """Raise if the root ``i`` is not what was expected."""
        got = _numpy.widen(got)
        known = np.isfinite(expected) & (np.abs(expected) < np.finfo(got.dtype).max if got.dtype.kind in "fc" else True)
        limit = tolerance(program.outputs[i]) * (np.abs(expected[known]).max() if known.any() else 0)
        wrong = known & ~(np.abs(got - np.where(known, expected, 0)) <= limit)
        wrong |= np.isnan(expected) & ~np.isnan(got)
        if wrong.any():
            place = tuple(int(n) for n in np.argwhere(wrong)[0])
            formula = texts((program.roots[i],), tuple(f"x{n}" for n in range(len(program.inputs))))[0]
            raise FusionError(
                f"{program.name} computed {got[place]} at {list(place)} of result {i}, expected {expected[place]} "
                f"(in double precision); {int(wrong.sum())} of {wrong.size} elements differ. Its formula: {formula}"
            )


class Ranges(Watch):
    """An NVTX range around every program, operation on arrays of a device, and pullback, with its name."""

    def run(self, program: "Program", road: ModuleType, values: Sequence[Any], *where: Any) -> list[Any]:
        """The roots of ``program``."""
        with named_range(program.name):
            return super().run(program, road, values, *where)

    def call(self, name: str, function: Callable[..., Any], *operands: Any, **params: Any) -> Any:
        """What ``function`` returns."""
        with named_range(name):
            return function(*operands, **params)


@contextmanager
def named_range(name: str) -> Iterator[None]:
    """An NVTX range; nothing where there is no CUDA."""
    nvtx = None if why_no_cuda() else cuda().xp.cuda.nvtx
    if nvtx is not None:
        nvtx.RangePush(name)
    try:
        yield
    finally:
        if nvtx is not None:
            nvtx.RangePop()
