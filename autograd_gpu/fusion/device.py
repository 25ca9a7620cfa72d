"""Programs on a CUDA device: which kernels compute one, and how they are launched.

``run`` looks up what was prepared for arrays of these shapes and strides; nothing of it is done twice.
"""

from collections.abc import Callable, Sequence
from functools import lru_cache, reduce
from typing import TYPE_CHECKING, Any

from ..backends import cuda
from ..shapes import broadcast
from .axes import dense
from .lowering import Lowering, Spec

if TYPE_CHECKING:
    from .program import Program

Shape = tuple[int, ...]


def spec_of(value: Any) -> Spec | None:
    """What launches depend on of an array; None of a number."""
    if not hasattr(value, "strides"):
        return None
    size = value.itemsize
    return Spec(value.shape, tuple([stride // size for stride in value.strides]), value.data.ptr % 16 == 0)


@lru_cache(maxsize=4096)
def prepare(
    program: "Program", specs: tuple[Spec | None, ...], domain: Shape | None, targets: tuple[Shape | None, ...], _: int
) -> tuple[list[float], list[Callable[[list[Any]], None]], list[int]]:
    """Numbers to add to the values, the steps that compute ``program`` on them, and the numbers of the results."""
    if domain is None:
        domain = reduce(broadcast, (spec.shape for spec in specs if spec is not None))
    lowering = Lowering(program, specs, domain)
    results = lowering.program(program, domain, targets)
    return lowering.numbers, lowering.steps, results


def prepared(
    program: "Program", values: Sequence[Any], domain: Shape | None, targets: Sequence[Shape | None]
) -> tuple[list[float], list[Any], list[int]]:
    """What ``prepare`` returns for ``values``."""
    specs = tuple([spec_of(value) for value in values])
    return prepare(program, specs, domain, tuple(targets), cuda().current())


def run(program: "Program", values: Sequence[Any], domain: Shape | None, targets: Sequence[Shape | None]) -> list[Any]:
    """What ``Program.run`` returns, of CuPy arrays and numbers."""
    numbers, steps, results = prepared(program, values, domain, targets)
    held = [*values, *numbers]
    for step in steps:
        step(held)
    return [held[i] for i in results]


def run_into(program: "Program", values: Sequence[Any], out: Any) -> Any:
    """Write the only root of ``program`` into the array ``out``, of its shape and dtype; return ``out``."""
    numbers, steps, (result,) = prepared(program, values, out.shape, (None,))
    held = [*values, *numbers]
    if len(steps) == 1 and spec_of(out)[1] == dense(out.shape):  # type: ignore[index]
        steps[0](held, [out])
    else:
        for step in steps:
            step(held)
        out[...] = held[result]
    return out
