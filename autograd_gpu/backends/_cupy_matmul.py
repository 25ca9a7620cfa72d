"""Batches of matrix products on CuPy as one cuBLAS call that reads transposed and broadcast operands in place.

``cupy.matmul`` copies a batch of transposed matrices first, gathers pointers for a broadcast one, and has no
batches of bfloat16.
"""

from typing import Any

import cupy
import numpy as np
from cupy_backends.cuda.libs import cublas

_GEMM = {
    "f": cublas.sgemmStridedBatched, "d": cublas.dgemmStridedBatched,
    "F": cublas.cgemmStridedBatched, "D": cublas.zgemmStridedBatched,
}  # fmt: skip
_16_BIT = {"e": 2, "E": 14}  # float16 and bfloat16: their numbers in cudaDataType
_ONE, _ZERO = ({code: np.asarray(value, code) for code in _GEMM} for value in (1, 0))


def matmul(a: Any, b: Any) -> Any:
    """``a @ b``; 16-bit floats are summed in float32."""
    char = a.dtype.char
    if a.ndim != 3 or b.ndim != 3 or not (char in _GEMM or char in _16_BIT):
        return cupy.matmul(a, b)
    batch = a.shape[0] if b.shape[0] == 1 else b.shape[0]
    (_, n, k), m = a.shape, b.shape[2]
    if not (a.size and b.size):
        return cupy.zeros((batch, n, m), a.dtype)
    y = cupy.empty((batch, n, m), a.dtype)
    a, op_a, leading_a, stride_a = _layout(a)
    b, op_b, leading_b, stride_b = _layout(b)
    handle = cupy.cuda.device.get_cublas_handle()
    # cuBLAS counts along columns: it computes the transposed product of what it sees as transposed operands
    if (kind := _16_BIT.get(char)) is None:
        _GEMM[char](
            handle, op_b, op_a, m, n, k, _ONE[char].ctypes.data, b.data.ptr, leading_b, stride_b,
            a.data.ptr, leading_a, stride_a, _ZERO[char].ctypes.data, y.data.ptr, m, n * m, batch,
        )  # fmt: skip
    else:
        cublas.gemmStridedBatchedEx(
            handle, op_b, op_a, m, n, k, _ONE["f"].ctypes.data, b.data.ptr, kind, leading_b, stride_b,
            a.data.ptr, kind, leading_a, stride_a, _ZERO["f"].ctypes.data, y.data.ptr, kind, m, n * m, batch,
            cublas.CUBLAS_COMPUTE_32F, cublas.CUBLAS_GEMM_DEFAULT,
        )  # fmt: skip
    return y


def _layout(x: Any) -> tuple[Any, int, int, int]:
    """A batch (b, rows, columns) as cuBLAS takes it: the array, transposition, leading dimension, batch stride."""
    batch, item = x.shape[0], x.itemsize
    stride = x.strides[0] if batch > 1 else 0
    for flag, along, across in ((cublas.CUBLAS_OP_N, 2, 1), (cublas.CUBLAS_OP_T, 1, 2)):
        length = x.shape[along]
        leading = x.strides[across] if x.shape[across] > 1 else length * item
        dense = x.strides[along] == item or length == 1
        if dense and leading >= length * item and leading % item == 0 and stride >= 0:
            return x, flag, leading // item, stride // item
    return _layout(cupy.ascontiguousarray(x))
