"""Matrix products on CuPy, each one cuBLAS call, which reads transposed, strided and broadcast operands in place.

``cupy.matmul`` copies such operands first, gathers pointers for batches, and has no batches of bfloat16.
"""

from math import prod
from typing import Any

import cupy
import numpy as np
from cupy_backends.cuda.libs import cublas

from ..layouts import dense_matrices
from ..shapes import Shape, broadcast

# By dtype, its number in cudaDataType, what products are summed in, and the dtype of factors. 16-bit floats: float32
_TYPES = {
    "e": (2, cublas.CUBLAS_COMPUTE_32F, "f"), "E": (14, cublas.CUBLAS_COMPUTE_32F, "f"),
    "f": (0, cublas.CUBLAS_COMPUTE_32F, "f"), "d": (1, cublas.CUBLAS_COMPUTE_64F, "d"),
    "F": (4, cublas.CUBLAS_COMPUTE_32F, "F"), "D": (5, cublas.CUBLAS_COMPUTE_64F, "D"),
}  # fmt: skip
_ONES, _ZEROS = ({char: np.array(value, char) for char in "fdFD"} for value in (1, 0))
_KINDS = {
    char: (kind, computed, _ONES[factor].ctypes.data, _ZEROS[factor].ctypes.data)
    for char, (kind, computed, factor) in _TYPES.items()
}
_N, _T, _DEFAULT = cublas.CUBLAS_OP_N, cublas.CUBLAS_OP_T, cublas.CUBLAS_GEMM_DEFAULT
_handle = cupy.cuda.device.get_cublas_handle


def matmul(a: Any, b: Any) -> Any:
    """``a @ b``, where batches broadcast; 16-bit floats are summed in float32."""
    if (known := _KINDS.get(a.dtype.char)) is None or a.ndim == 1:
        return cupy.matmul(a, b)
    if b.ndim == 1:
        return matmul(a, b[:, None]).reshape(a.shape[:-1])
    size_a, size_b = a.shape, b.shape
    n, k, m = size_a[-2], size_a[-1], size_b[-1]
    batch = size_a[:-2] if size_a[:-2] == size_b[:-2] else broadcast(size_a[:-2], size_b[:-2])
    y = cupy.ndarray((*batch, n, m), a.dtype)
    if not y.size or not k:
        y.fill(0)
        return y
    a, op_a, leading_a, step_a = _placed(a, batch)
    b, op_b, leading_b, step_b = _placed(b, batch)
    kind, computed, one, zero = known
    # cuBLAS counts along columns: it computes the transposed product of what it sees as transposed operands
    if (count := prod(batch)) == 1:
        cublas.gemmEx(
            _handle(), op_b, op_a, m, n, k, one, b.data.ptr, kind, leading_b, a.data.ptr, kind, leading_a,
            zero, y.data.ptr, kind, m, computed, _DEFAULT,
        )  # fmt: skip
    else:
        cublas.gemmStridedBatchedEx(
            _handle(), op_b, op_a, m, n, k, one, b.data.ptr, kind, leading_b, step_b, a.data.ptr, kind, leading_a,
            step_a, zero, y.data.ptr, kind, m, n * m, count, computed, _DEFAULT,
        )  # fmt: skip
    return y


def multiplied_in_place(x: Any) -> bool:
    """Whether products of batches of matrices ``x`` need no copy of it."""
    return x.dtype.char not in _KINDS or _layout(x) is not None


def _placed(x: Any, batch: Shape) -> tuple[Any, int, int, int]:
    """The matrices ``x``, or a copy, one for each of ``batch``; and their layout."""
    if (layout := _layout(x)) is None:
        return _placed(dense_matrices(x), batch)
    if x.shape[:-2] == batch:
        return x, *layout
    return _placed(cupy.broadcast_to(x, (*batch, *x.shape[-2:])), batch)


def _layout(x: Any) -> tuple[int, int, int] | None:
    """The transposition, leading dimension and batch stride of matrices; None if cuBLAS cannot read them in place."""
    shape, strides, item = x.shape, x.strides, x.itemsize
    rows, columns = shape[-2], shape[-1]
    across, along = strides[-2], strides[-1]
    if along == item or columns == 1:
        op, leading, least = _N, across if rows > 1 else columns * item, columns * item
    else:
        op, leading, least = _T, along, rows * item
        if across != item and rows > 1:
            return None
    if leading < least or leading % item:
        return None
    step = count = 0  # of the batch axes seen so far
    for i in range(len(shape) - 3, -1, -1):
        if (size := shape[i]) > 1:
            if count and strides[i] != step * count:
                return None
            step, count = step if count else strides[i], size * (count or 1)
    return (op, leading // item, step // item) if step >= 0 and not step % item else None
