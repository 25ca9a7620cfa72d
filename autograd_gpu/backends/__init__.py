"""The array libraries, one module each; ``of(array)`` picks it.

A backend module has: ``xp`` (the library's namespace), ``is_array``, ``device_of(array)``,
``elementwise(op, operands)`` and ``compute(op, operands, computed, result, out)`` (run a record),
``overwrite(op, operands, out)``, ``dense(x)`` (a copy without gaps), ``matmul(a, b)``,
``multiplied_in_place(x)`` (whether that copies nothing), ``total(x, axes, ...)`` (a sum or mean), ``indexing`` (take,
put and add by index arrays), ``scalar(value, dtype)`` (a Python number as an operand), ``from_host``/``to_host``,
``shares_memory``, ``empty``, ``Scope(device)`` (make it current). CuPy is imported only when CUDA is asked for.
"""

import importlib
from collections.abc import Callable
from functools import cache
from types import ModuleType
from typing import Any, ClassVar

from ..devices import cpu, device
from ..dtypes import REDUCED, dtype
from ..dtypes import of as dtype_of
from ..errors import MissingCuda
from . import _numpy


class Device:
    """How arrays on a CUDA device are computed with: by programs. fusion/forward.py fills this in."""

    compute: ClassVar[Callable[..., Any]]
    dense: ClassVar[Callable[..., Any]]
    total: ClassVar[Callable[..., Any]]
    reduced: ClassVar[Callable[..., Any]]


def of(array: Any) -> ModuleType:
    """The backend of ``array``; TypeError if it is no array of a supported library."""
    return _of_kind(array.__class__)


@cache
def _of_kind(kind: type) -> ModuleType:
    """The backend of arrays of the class ``kind``."""
    match kind.__module__.partition(".")[0]:
        case "numpy" | "ml_dtypes":
            return _numpy
        case "cupy":
            return cuda()
    raise TypeError(f"expected a numpy or cupy array, got {kind.__name__}; wrap it with tensor(...)")


_NUMBERS = (bool, int, float, complex, type(None))


def of_any(operands: tuple[Any, ...]) -> ModuleType:
    """The backend of the first array among ``operands``, whose others may be Python numbers."""
    for operand in operands:
        if not isinstance(operand, _NUMBERS):
            return of(operand)
    return _numpy


def cuda() -> ModuleType:
    """The CuPy backend; MissingCuda, saying what is missing and what mends it, where there is none."""
    if (reason := why_no_cuda()) is not None:
        raise MissingCuda(f"CUDA was asked for, but {reason}")
    return importlib.import_module("._cupy", __name__)


def why_no_cuda() -> str | None:
    """None where CuPy and a CUDA device work, else what is missing and what mends it."""
    try:
        import cupy  # noqa: PLC0415  lazily: importing it takes a second and needs no GPU-less user
    except ImportError as error:
        return (
            f"CuPy cannot be imported ({error}); "
            'install it with: pip install "autograd_gpu[cuda12]" (or [cuda13] for a CUDA 13 driver)'
        )
    if not cupy.cuda.is_available():
        return (
            f"CuPy {cupy.__version__} sees no CUDA device; "
            "check the NVIDIA driver with nvidia-smi, and that the extra fits it: "
            'pip install "autograd_gpu[cuda12]" (or [cuda13])'
        )
    return None


class Type:
    """An array's dtype and device together, one object each, so that equal means identical."""

    __slots__ = ("backend", "device", "dtype", "numpy", "reduced")
    _made: ClassVar[dict[tuple[dtype, device], "Type"]] = {}

    def __init__(self, d: dtype, where: device) -> None:
        self.dtype, self.device, self.numpy = d, where, d.numpy
        self.backend = cuda() if where.type == "cuda" else _numpy
        self.reduced = d in REDUCED

    def __repr__(self) -> str:
        return f"{self.dtype!r} on {self.device}"

    def with_dtype(self, d: dtype) -> "Type":
        return self if d is self.dtype else type_for(d, self.device)


def type_for(d: dtype, where: device) -> Type:
    """The Type of dtype ``d`` on the device ``where`` (whose index is known)."""
    if (found := Type._made.get((d, where))) is None:
        found = Type._made[d, where] = Type(d, where)
    return found


def type_of(array: Any) -> Type:
    """The Type of ``array``."""
    where = cpu if type(array).__module__ == "numpy" else of(array).device_of(array)
    return type_for(dtype_of(array.dtype), where)


def resolve(where: device) -> device:
    """``where`` with its index filled in, after checking that it is there."""
    if where.type == "cpu":
        return cpu
    return cuda().resolve(where)  # type: ignore[no-any-return]
