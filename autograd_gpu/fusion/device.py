"""Programs on a CUDA device: which kernels compute one, and how they are launched.

``run`` looks up what was prepared for arrays of these shapes and strides; nothing of it is done twice.
"""

from collections.abc import Sequence
from functools import cache, lru_cache, reduce
from typing import TYPE_CHECKING, Any

from ..backends import cuda
from ..shapes import broadcast
from .axes import dense
from .lowering import Lowering
from .roots import Spec

if TYPE_CHECKING:
    from .program import Program

Shape = tuple[int, ...]
Prepared = tuple[list[float], list[Any], list[int]]  # numbers to add to the values, steps, results


def spec_of(value: Any) -> Spec | None:
    """What launches depend on of an array; None of a number."""
    if not hasattr(value, "strides"):
        return None
    size = value.itemsize
    return Spec(value.shape, tuple([stride // size for stride in value.strides]), value.data.ptr % 16 == 0)


@lru_cache(maxsize=4096)
def prepare(
    program: "Program", specs: tuple[Spec | None, ...], domain: Shape | None, targets: tuple[Shape | None, ...], _: int
) -> Prepared:
    """How ``program`` is computed on the current device ``_``."""
    if domain is None:
        domain = reduce(broadcast, (spec.shape for spec in specs if spec is not None))
    lowering = Lowering(program, specs, domain)
    results = lowering.program(program, domain, targets)
    return lowering.numbers, lowering.steps, results


@lru_cache(maxsize=4096)
def prepare_alike(
    program: "Program", shape: Shape, domain: Shape | None, targets: tuple[Shape | None, ...], device: int
) -> Prepared:
    """What ``prepare`` returns where all arrays have one shape, are dense and begin at 16 bytes."""
    spec = Spec(shape, dense(shape), aligned=True)
    return prepare(program, tuple(kind and spec for kind in program.inputs), domain, targets, device)


library = cache(cuda)  # looking for it takes longer than a launch


def common_shape(values: Sequence[Any]) -> Shape | None:
    """The one shape of ``values``, if they are arrays, dense, and begin at 16 bytes."""
    ndarray, shape = library().xp.ndarray, None
    for value in values:
        if value.__class__ is not ndarray or not value._c_contiguous or value.data.ptr % 16:
            return None
        if shape is None:
            shape = value.shape
        elif value.shape != shape:
            return None
    return shape


def home_of(values: Sequence[Any]) -> int:
    """The number of the device that the arrays among ``values`` are on."""
    for value in values:
        if hasattr(value, "data"):
            return value.data.device_id  # type: ignore[no-any-return]
    raise TypeError("a program on a CUDA device takes one array at least")


def prepared(
    program: "Program",
    values: Sequence[Any],
    domain: Shape | None,
    targets: Sequence[Shape | None],
    doubtful: tuple[int, ...] | None = None,
) -> Prepared:
    """What ``prepare`` returns for ``values``.

    Arrays but the ``doubtful`` ones are known to be dense, to begin at 16 bytes, and to have the shape of the first of
    these; None: nothing is known.
    """
    device = library().current()
    shape = common_shape([values[i] for i in (program.arrays if doubtful is None else doubtful)])
    if shape is not None:
        return prepare_alike(program, shape, domain, tuple(targets), device)
    return prepare(program, tuple([spec_of(value) for value in values]), domain, tuple(targets), device)


def run(
    program: "Program",
    values: Sequence[Any],
    domain: Shape | None,
    targets: Sequence[Shape | None],
    doubtful: tuple[int, ...] | None = None,
) -> list[Any]:
    """What ``Program.run`` returns, of CuPy arrays and numbers, computed on the arrays' device (see ``prepared``)."""
    if (home := home_of(values)) != library().current():
        with library().xp.cuda.Device(home):
            return run(program, values, domain, targets, doubtful)
    numbers, steps, results = prepared(program, values, domain, targets, doubtful)
    held = [*values, *numbers]
    for step in steps:
        step(held)
    return [held[i] for i in results]


def run_into(program: "Program", values: Sequence[Any], out: Any) -> Any:
    """Write the only root of ``program`` into the array ``out``, of its shape and dtype; return ``out``."""
    numbers, steps, (result,) = prepared(program, values, out.shape, (None,))
    held = [*values, *numbers]
    aligned = not out.data.ptr % 16 or any([value is out for value in values])  # noqa: C419  a list is faster
    if len(steps) == 1 and out._c_contiguous and aligned:  # kernels count on it of what they do not read
        steps[0](held, [out])
    else:
        for step in steps:
            step(held)
        out[...] = held[result]
    return out
