"""A program: formulas over one domain, computed together, on arrays of either library.

On CuPy it is one kernel (or a few, see device.py), on NumPy a loop over tiles (see interpret.py), or compiled where
arrays are large (see native.py).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache, reduce
from typing import Any

from .. import backends
from ..backends import _numpy
from ..dtypes import dtype
from ..modes import modes
from ..shapes import broadcast
from . import device, native
from .expr import Expr

Shape = tuple[int, ...]


@dataclass(frozen=True, eq=False)  # found by identity
class Program:
    """What is computed, of what.

    Slot i of the ``roots`` is an array of dtype ``inputs[i]``, or a number where that is None. A root has one of the
    ``levels`` of reductions.py, and leaves as an array of one of the dtypes ``outputs``; rows are the last ``axes``
    axes of the domain; the arithmetic is in the dtype ``computed``. ``name`` goes into the kernels' names.
    """

    roots: tuple[Expr, ...]
    levels: tuple[int, ...]
    inputs: tuple[dtype | None, ...]
    outputs: tuple[dtype, ...]
    computed: dtype
    axes: int = 1
    name: str = "fused"

    @cached_property
    def arrays(self) -> tuple[int, ...]:
        """The slots that have a dtype."""
        return tuple(i for i, kind in enumerate(self.inputs) if kind is not None)

    def run(
        self, values: Sequence[Any], domain: Shape | None = None, targets: Sequence[Shape | None] | None = None
    ) -> list[Any]:
        """The roots as new arrays, of ``values``, whose shapes broadcast to ``domain`` (or make it up together).

        A root of level ELEMENT has the shape of the domain, one of level ROW has 1 in place of its last axes, one of
        level ALL is 0-d; or it is summed to its target, a shape that broadcasts to that.
        """
        targets = (None,) * len(self.roots) if targets is None else targets
        road = native if backends.of_any(tuple(values)) is _numpy else device
        if domain is None and (road is native or modes.watch is not None):
            domain = reduce(broadcast, (value.shape for value in values if hasattr(value, "shape")))
        if modes.watch is not None:
            return modes.watch.run(self, road, values, domain, targets)  # type: ignore[no-any-return]
        return road.run(self, values, domain, targets)  # type: ignore[no-any-return]


@dataclass(frozen=True, eq=False)
class Over:
    """A program over a domain that is known, as are the targets; on few elements on the host it is one function."""

    program: Program
    domain: Shape
    targets: tuple[Shape | None, ...]
    at_once: Callable[[Sequence[Any]], list[Any]] | None

    @classmethod
    def of(
        cls, program: Program, domain: Shape, targets: Sequence[Shape | None] | None = None, *, on_host: bool
    ) -> "Over":
        """``program`` over ``domain``."""
        wanted = (None,) * len(program.roots) if targets is None else tuple(targets)
        return cls(program, domain, wanted, native.at_once(program, domain, wanted) if on_host else None)

    def run(self, values: Sequence[Any]) -> list[Any]:
        """What the program gives, of arrays whose shapes broadcast to the domain."""
        if self.at_once is not None and modes.watch is None and modes.compiling != "always":
            return modes.quiet(self.at_once, values)  # type: ignore[no-any-return]
        return self.program.run(values, self.domain, self.targets)


@lru_cache(maxsize=2048)
def program(*parts: Any) -> Program:
    """The one ``Program`` of these parts: kernels are found by it."""
    return Program(*parts)
