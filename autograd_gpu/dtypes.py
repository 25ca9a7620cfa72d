"""Element types, and which of them an operation on several computes in (PyTorch's rules)."""

from functools import cache
from typing import ClassVar

import numpy as np

from .modes import Namespace

try:
    from ml_dtypes import bfloat16 as _bfloat16
except ImportError:
    _bfloat16 = None

BOOL, INT, FLOAT, COMPLEX = range(4)
_CATEGORY = {"b": BOOL, "u": INT, "i": INT, "f": FLOAT, "V": FLOAT, "c": COMPLEX}


class dtype:  # noqa: N801  torch's name
    """An element type: ``autograd_gpu.float32``.

    ``numpy`` is the array library's dtype, ``category`` orders bool < integer < floating < complex,
    ``typename`` is the word in error messages (``FloatTensor``).
    """

    __slots__ = ("__weakref__", "category", "itemsize", "name", "numpy", "scalar_name", "typename")
    _of: ClassVar[dict[np.dtype, "dtype"]] = {}

    def __init__(self, name: str, typename: str, scalar_name: str, numpy: np.dtype) -> None:
        self.name, self.typename, self.scalar_name, self.numpy = name, typename, scalar_name, numpy
        self.category = _CATEGORY[numpy.kind]
        self.itemsize = numpy.itemsize
        self._of[numpy] = self

    @property
    def is_floating_point(self) -> bool:
        return self.category == FLOAT

    @property
    def is_complex(self) -> bool:
        return self.category == COMPLEX

    @property
    def is_signed(self) -> bool:
        return self.numpy.kind not in "bu"

    def to_real(self) -> "dtype":
        """The dtype of a complex number's parts; any other dtype itself."""
        return {complex64: float32, complex128: float64}.get(self, self)

    def to_complex(self) -> "dtype":
        """The complex dtype whose parts have this dtype."""
        return complex128 if self in (float64, complex128) else complex64

    def __repr__(self) -> str:
        return f"{Namespace.name}.{self.name}"

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return by_name, (self.name,)


bool_ = dtype("bool", "BoolTensor", "Bool", np.dtype(np.bool_))
uint8 = dtype("uint8", "ByteTensor", "Byte", np.dtype(np.uint8))
int8 = dtype("int8", "CharTensor", "Char", np.dtype(np.int8))
int16 = dtype("int16", "ShortTensor", "Short", np.dtype(np.int16))
int32 = dtype("int32", "IntTensor", "Int", np.dtype(np.int32))
int64 = dtype("int64", "LongTensor", "Long", np.dtype(np.int64))
float16 = dtype("float16", "HalfTensor", "Half", np.dtype(np.float16))
float32 = dtype("float32", "FloatTensor", "Float", np.dtype(np.float32))
float64 = dtype("float64", "DoubleTensor", "Double", np.dtype(np.float64))
complex64 = dtype("complex64", "ComplexFloatTensor", "ComplexFloat", np.dtype(np.complex64))
complex128 = dtype("complex128", "ComplexDoubleTensor", "ComplexDouble", np.dtype(np.complex128))
bfloat16 = dtype("bfloat16", "BFloat16Tensor", "BFloat16", np.dtype(_bfloat16)) if _bfloat16 else None

ALL = tuple(dtype._of.values())
BY_NAME = {d.name: d for d in ALL}


def by_name(name: str) -> dtype:
    """The dtype called ``name``."""
    return BY_NAME[name]


REDUCED = tuple(d for d in (float16, bfloat16) if d)  # computed in float32, stored in 16 bits


class _Default:
    dtype = float32


def get_default_dtype() -> dtype:
    """The floating dtype of Python floats and of ``zeros()`` (float32 unless set).

    >>> get_default_dtype()
    autograd_gpu.float32
    """
    return _Default.dtype


def set_default_dtype(d: dtype) -> None:
    """Make ``d`` the dtype of Python floats and of ``zeros()``; TypeError unless it is floating."""
    if not (isinstance(d, dtype) and d.is_floating_point):
        raise TypeError(f"only floating-point types are supported as the default type, got {d!r}; pass e.g. float64")
    _Default.dtype = d


def of(numpy_dtype: np.dtype) -> dtype:
    """The dtype of an array library's ``numpy_dtype``; TypeError, naming it, if there is none."""
    try:
        return dtype._of[numpy_dtype]
    except KeyError:
        kind = numpy_dtype.type
        raise TypeError(
            f"can't convert np.ndarray of type {kind.__module__}.{kind.__name__}. The only supported types "
            f"are: {', '.join(BY_NAME)}."
        ) from None


@cache
def promote_types(type1: dtype, type2: dtype) -> dtype:
    """The smallest dtype that an operation on both computes in (source: torch.promote_types).

    The higher category wins; within one, the wider; unsigned with signed takes a wider signed.

    >>> promote_types(int64, float16)
    autograd_gpu.float16
    """
    low, high = sorted((type1, type2), key=lambda d: d.category)
    if low.category == high.category:
        if {low, high} == set(REDUCED):
            return float32
        return of(np.promote_types(low.numpy, high.numpy))
    if high.is_complex and low is float64:
        return complex128
    return high


def of_scalar(value: complex) -> dtype:
    """The dtype that a Python number has as a tensor of its own."""
    if isinstance(value, bool | np.bool_):
        return bool_
    if isinstance(value, int | np.integer):
        return int64
    if isinstance(value, float | np.floating):
        return get_default_dtype()
    return get_default_dtype().to_complex()


def combine(higher: dtype | None, lower: dtype | None) -> dtype | None:
    """What operands of two priorities compute in (tensors with axes > 0-d tensors > Python numbers).

    ``lower`` counts only where its category is the higher one
    (source: combine_categories in PyTorch's TypeProperties.cpp).
    """
    if higher is None or lower is None:
        return higher or lower
    if higher.is_complex or (lower.category <= higher.category and higher is not bool_):
        return higher
    if higher.is_floating_point:
        return higher.to_complex()
    return promote_types(higher, lower)
