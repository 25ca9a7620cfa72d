"""Products of vectors, matrices and batches of matrices.

A product is one call of the array library (on CuPy one cuBLAS call), and so is each of its gradients;
transposes are views. 16-bit floats are summed in float32 and rounded once. Gradients: Giles 2008, "Collected
matrix derivative results", section 2.2.1; where the operands are complex, the other one is conjugated.
"""

from math import prod
from typing import Any

from ..backends import of
from ..errors import DtypeError, ShapeError
from ..op import INT, NUMBER, TABLE, ArrayOp, public
from ..shapes import broadcast
from .arguments import is_tensor
from .reduce import conj
from .shape import Shape, expanded_size

# What C++ calls the dtypes, in one of torch's messages.
C_NAMES = {
    "uint8": "unsigned char", "int8": "signed char", "int16": "short int", "int32": "int", "int64": "long int",
    "float16": "c10::Half", "bfloat16": "c10::BFloat16", "float32": "float", "float64": "double",
    "complex64": "c10::complex<float>", "complex128": "c10::complex<double>", "bool": "bool",
}  # fmt: skip


def adjoint(x: Any) -> Any:
    """The conjugate transpose of a matrix, or of each of a batch."""
    return conj(x).mT


def scaled(x: Any, factor: Any) -> Any:
    """``x`` times a number; no work where that is 1."""
    return x if factor == 1 else x * factor


def summed_to(x: Any, shape: Shape) -> Any:
    """``x`` summed over the axes along which ``shape`` was broadcast."""
    return x if x.shape == shape else TABLE.sum_to_size(x, size=shape)


def column(x: Any) -> Any:
    """A vector as a matrix of one column."""
    return TABLE.reshape(x, size=(*x.shape, 1))


def matmul_of(a: Any, b: Any) -> Any:
    """The product of two arrays."""
    return of(a).matmul(a, b)


def of_left(g: Any, other: Any, alpha: Any = 1) -> Any:
    """The cotangent of ``a`` in ``alpha * a @ other``, of matrices or batches."""
    part = TABLE.mm(g, adjoint(other), columns=False) if g.ndim == 2 else TABLE.bmm(g, adjoint(other))
    return scaled(part, alpha.conjugate())


def of_right(g: Any, other: Any, alpha: Any = 1, *, columns: bool = False) -> Any:
    """The cotangent of ``b`` in ``alpha * other @ b``; if ``b`` is a transposed view, ``columns``, so is this."""
    if columns:
        return of_right(conj(other), conj(g), alpha).mT
    part = TABLE.mm(adjoint(other), g, columns=False) if g.ndim == 2 else TABLE.bmm(adjoint(other), g)
    return scaled(part, alpha.conjugate())


def outer_conj(a: Any, b: Any) -> Any:
    return column(a) * conj(b)


def _plus(input: Any, product: Any, beta: Any, alpha: Any) -> Any:
    """``beta * input + alpha * product``, where ``beta=0`` means without ``input``, be it nan."""
    product = scaled(product, alpha)
    return (product if beta == 0 else scaled(input, beta) + product).astype(product.dtype, copy=False)
