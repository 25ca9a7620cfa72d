"""The same bits as elements of another dtype: complex numbers as pairs, floats as integers."""

from typing import Any

import numpy as np

from ..dtypes import COMPLEX, FLOAT, dtype
from ..dtypes import of as dtype_of
from ..errors import DtypeError, ShapeError
from ..op import TABLE, ArrayOp, public


def _view_dtype(x: Any, to: dtype) -> Any:
    old, new = x.dtype.itemsize, to.itemsize
    view = f"to view {dtype_of(x.dtype).scalar_name} as {to.scalar_name} (different element sizes)"
    if old != new and not x.ndim:
        raise ShapeError(f"self.dim() cannot be 0 {view}")
    if old != new and x.strides[-1] != old:
        raise ShapeError(f"self.stride(-1) must be 1 {view}, but got {x.strides[-1] // old}")
    if new > old and x.shape[-1] % (new // old):
        raise ShapeError(f"self.size(-1) must be divisible by {new // old} {view}, but got {x.shape[-1]}")
    return x.view(to.numpy)


def _view_as_complex(x: Any) -> Any:
    parts = np.dtype(f"c{2 * x.dtype.itemsize}")
    if any(stride % parts.itemsize for stride in x.strides[:-1]):
        raise ShapeError("Tensor must have a stride divisible by 2 for all but last dimension")
    if x.strides[-1] != x.dtype.itemsize:
        raise ShapeError("Tensor must have a last dimension with stride 1")
    return x.view(parts).reshape(x.shape[:-1])


def _view_as_real(x: Any) -> Any:
    return x.reshape((*x.shape, 1)).view(x.real.dtype)


# fmt: off
ArrayOp("view_dtype", "input", _view_dtype, None, "the bits as elements of another dtype", view=True)
ArrayOp("view_as_complex", "input", _view_as_complex, lambda g: TABLE.view_as_real(g),  # noqa: PLW0108
        "pairs along the last axis as complex numbers", view=True)
ArrayOp("view_as_real", "input", _view_as_real, lambda g: TABLE.view_as_complex(TABLE.contiguous(g)),
        "complex numbers as pairs along a last axis", view=True, takes=(COMPLEX,))
# fmt: on


@public(method=False)
def view_as_real(input: Any) -> Any:
    """Complex numbers as pairs of real ones along a new last axis: a view. Source: torch.view_as_real."""
    if input.dtype.category != COMPLEX:
        raise DtypeError("view_as_real is only supported for complex tensors")
    return TABLE.view_as_real(input)


@public(method=False)
def view_as_complex(input: Any) -> Any:
    """Pairs of real numbers along the last axis as complex ones: a view. Source: torch.view_as_complex."""
    if input.dtype.category != FLOAT:
        raise DtypeError(
            "view_as_complex is only supported for half, float and double tensors, but got a tensor of "
            f"scalar type: {input.dtype.scalar_name}"
        )
    if not input.ndim:
        raise ShapeError("Input tensor must have one or more dimensions")
    if input.shape[-1] != 2:
        raise ShapeError("Tensor must have a last dimension of size 2")
    return TABLE.view_as_complex(input)
