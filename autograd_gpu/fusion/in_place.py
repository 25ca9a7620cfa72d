"""Updates of large NumPy arrays in place, by compiled kernels."""

from collections.abc import Callable, Sequence
from ctypes import c_double, c_longlong, c_void_p
from functools import lru_cache

import numpy as np

from ..dtypes import dtype
from . import loops
from .calls import PART, function_of
from .compiler import CannotCompile
from .cpp import compiles
from .cuda import DENSE, NUMBER, Output, Source
from .expr import Expr
from .native import least
from .reductions import ELEMENT
from .threads import THREADS


class InPlace:
    """``roots[i]``, of the slots of ``arrays`` arrays and then numbers, written into array ``first + i``."""

    def __init__(self, function: Callable[..., int], first: int) -> None:
        self.function, self.first = function, first

    def __call__(self, tensors: Sequence[Sequence[np.ndarray]], numbers: Sequence[float]) -> None:
        """Update each of ``tensors``, whose arrays have one axis, one length and one dtype."""
        reals = (c_double * len(numbers))(*numbers)
        for arrays in tensors:
            pointers = [array.ctypes.data for array in (*arrays, *arrays[self.first :])]
            size = arrays[0].size
            arguments = (c_void_p * len(pointers))(*pointers), reals, (c_longlong * 2)(size, PART)
            THREADS.share(self.function, arguments, -(-size // PART), size)


@lru_cache(maxsize=256)
def in_place(
    name: str, roots: tuple[Expr, ...], arrays: int, first: int, numbers: int, stored: dtype, computed: dtype
) -> InPlace | None:
    """The kernel of an update; None if it cannot be compiled."""
    outputs = tuple(Output(root, ELEMENT, stored) for root in roots)
    source = Source(
        "KERNEL", outputs, (stored,) * arrays + (None,) * numbers, DENSE * arrays + NUMBER * numbers, computed
    )
    try:
        return InPlace(function_of(loops.Line(source), name), first) if compiles(roots) else None
    except CannotCompile:
        return None


def pays(tensors: Sequence[Sequence[np.ndarray]]) -> bool:
    """Whether ``tensors`` are so large that a compiled kernel takes less time than NumPy, and lie as it reads them."""
    if sum(arrays[0].size for arrays in tensors) < least():
        return False
    return all(array.flags.aligned and array.flags.c_contiguous for arrays in tensors for array in arrays)
