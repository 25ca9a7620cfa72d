"""Products of vectors, matrices and batches of matrices.

A product is one call of the array library (on CuPy one cuBLAS call), and so is each of its gradients;
transposes are views. 16-bit floats are summed in float32 and rounded once. Gradients: Giles 2008, "Collected
matrix derivative results", section 2.2.1; where the operands are complex, the other one is conjugated.
"""

from math import prod
from typing import Any

from ..backends import of
from ..errors import DtypeError, ShapeError
from ..layouts import by_columns, dense_matrices
from ..op import NUMBER, TABLE, ArrayOp, public
from ..shapes import broadcast, dim_of
from .arguments import is_tensor
from .precision import in_float32
from .reduce import conj
from .shape import Shape, reshaped

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
    return x if factor == 1 else TABLE.mul(x, factor)


def summed_to(x: Any, shape: Shape) -> Any:
    """``x`` summed over the axes along which ``shape`` was broadcast."""
    return x if x.shape == shape else TABLE.sum_to_size(x, size=shape)


def column(x: Any) -> Any:
    """A vector as a matrix of one column."""
    return TABLE.reshape(x, size=(*x.shape, 1))


def matmul_of(a: Any, b: Any) -> Any:
    """The product of two arrays."""
    return of(a).matmul(a, b)


def product_of(a: Any, b: Any) -> Any:
    """The product of arrays; of Tensors, as an operation on matrices or batches."""
    if not (is_tensor(a) or is_tensor(b)):
        return matmul_of(a, b)
    return (TABLE.mm if a.ndim == b.ndim == 2 else TABLE.bmm)(a, b, columns=False)


def of_left(g: Any, other: Any, alpha: Any = 1) -> Any:
    """The cotangent of ``a`` in ``alpha * a @ other``, of matrices or batches."""
    return scaled(product_of(g, adjoint(other)), alpha.conjugate())


def of_right(g: Any, other: Any, alpha: Any = 1, *, columns: bool = False) -> Any:
    """The cotangent of ``b`` in ``alpha * other @ b``; if ``b`` lies by ``columns``, so does this."""
    if columns:
        return of_right(conj(other), conj(g), alpha).mT
    return scaled(product_of(adjoint(other), g), alpha.conjugate())


def gathered(x: Any) -> Any:
    """Batches of matrices as they are if they can be multiplied in place, else a copy: one for several products."""
    array = x.array if is_tensor(x) else x
    return x if of(array).multiplied_in_place(array) else TABLE.gathered(x)


def outer_conj(a: Any, b: Any) -> Any:
    """The outer product of ``a`` and the conjugate of ``b``."""
    return column(a) * conj(b)


def _trace(x: Any) -> Any:
    return TABLE.sum_all(x.diagonal())


def _on_diagonal(value: Any, size: Shape) -> Any:
    z = of(value).xp.zeros(size, value.dtype)
    step = size[1] + 1
    z.reshape(-1)[: min(size) * step : step] = value
    return z


# fmt: off
ArrayOp("dot", "input, tensor", matmul_of,
        {"input": lambda g, tensor: g * conj(tensor), "tensor": lambda g, input: g * conj(input)},  # noqa: A006
        "sum of input · tensor", takes=NUMBER)
ArrayOp("vdot", "input, other", lambda a, b: matmul_of(conj(a), b),
        {"input": lambda g, other: conj(g) * other, "other": lambda g, input: g * input},  # noqa: A006
        "sum of conj(input) · other", takes=NUMBER)
ArrayOp("mv", "input, vec", matmul_of,
        {"input": lambda g, vec: outer_conj(g, vec), "vec": lambda g, input: TABLE.mv(adjoint(input), g)},  # noqa: A006, PLW0108
        "matrix · vector", takes=NUMBER)
ArrayOp("mm", "input, mat2", lambda a, b, columns: matmul_of(a, b),
        {"input": lambda g, mat2: of_left(g, mat2),  # noqa: PLW0108
         "mat2": lambda g, input, columns: of_right(g, input, columns=columns)},  # noqa: A006
        "matrix · matrix", takes=NUMBER)
ArrayOp("bmm", "input, mat2", lambda a, b, columns: matmul_of(a, b),
        {"input": lambda g, mat2, shape: summed_to(of_left(g, mat2), shape),
         "mat2": lambda g, input, shape, columns: summed_to(of_right(g, input, columns=columns), shape)},  # noqa: A006
        "matrix · matrix for each of a batch; batches broadcast", takes=NUMBER)
ArrayOp("gathered", "input", dense_matrices, lambda g: g, "a copy of matrices without gaps", node="UnsafeViewBackward0")
ArrayOp("batch_of", "input", lambda x, size: x.reshape(size),
        lambda g, shape: gathered(TABLE.reshape(g, size=shape)), "products of matrices as a batch",
        node="UnsafeViewBackward0")
ArrayOp("cross", "input, other", in_float32(lambda a, b, dim: of(a).xp.cross(a, b, axis=dim)),
        {"input": lambda g, other, dim: TABLE.cross(conj(other), g, dim=dim),
         "other": lambda g, input, dim: TABLE.cross(g, conj(input), dim=dim)},  # noqa: A006
        "cross product along dim", takes=NUMBER, node="LinalgCrossBackward0", fits=True)
ArrayOp("trace", "input", _trace, lambda g, shape: TABLE.on_diagonal(g, size=shape), "sum of the diagonal", takes=NUMBER)
ArrayOp("on_diagonal", "value", _on_diagonal, lambda g: TABLE.trace(g), "zeros with value on the diagonal")  # noqa: PLW0108
ArrayOp("first_row", "input", lambda x: x[0], lambda g: TABLE.unsqueeze(g, dim=0), "the row of a matrix of one", node="SqueezeBackward4")
# fmt: on


def check_tensors(name: str, **operands: Any) -> None:
    """TypeError, in torch's words, for the first of the arguments that is no Tensor."""
    for position, (argument, value) in enumerate(operands.items(), 1):
        if not is_tensor(value):
            raise TypeError(
                f"{name}(): argument '{argument}' (position {position}) must be Tensor, not {type(value).__name__}"
            )


def by(rows: int, columns: int) -> str:
    """A matrix's size as messages have it."""
    return f"{rows}x{columns}"


def check_multiply(mat1: Any, mat2: Any, name: str = "mat1 and mat2 shapes cannot be multiplied") -> None:
    """Raise, starting with ``name``, unless matrices (or those of batches) fit each other."""
    if mat1._shape[-1] != mat2._shape[-2]:
        raise ShapeError(f"{name} ({by(*mat1.shape[-2:])} and {by(*mat2.shape[-2:])})")


def _check_vectors(x: Any, y: Any) -> None:
    if x.ndim != 1 or y.ndim != 1:
        raise ShapeError(f"1D tensors expected, but got {x.ndim}D and {y.ndim}D tensors")
    if x.dtype is not y.dtype:
        raise DtypeError(
            f"dot : expected both vectors to have same dtype, but found {x.dtype.scalar_name} and {y.dtype.scalar_name}"
        )
    (m,), (n,) = x.shape, y.shape
    if m != n:
        raise ShapeError(
            f"inconsistent tensor size, expected tensor [{m}] and src [{n}] to have the same number of elements, "
            f"but got {m} and {n} elements respectively"
        )


@public
def dot(input: Any, tensor: Any) -> Any:
    """The sum of the products of two vectors' elements (without conjugation).

    Gradient: ``g * tensor`` and ``g * input``. Source: torch.dot.

    >>> import autograd_gpu as torch
    >>> torch.dot(torch.tensor([2., 3.]), torch.tensor([2., 1.]))
    tensor(7.)
    """
    check_tensors("dot", input=input, tensor=tensor)
    _check_vectors(input, tensor)
    return TABLE.dot(input, tensor)


@public
def vdot(input: Any, other: Any) -> Any:
    """``dot`` with the first vector conjugated. Source: torch.vdot."""
    check_tensors("vdot", input=input, other=other)
    _check_vectors(input, other)
    return TABLE.vdot(input, other)


@public
def mv(input: Any, vec: Any) -> Any:
    """The product of a matrix (n, m) and a vector (m). Source: torch.mv."""
    check_tensors("mv", input=input, vec=vec)
    if input.ndim != 2 or vec.ndim != 1:
        raise ShapeError(f"vector + matrix @ vector expected, got 1, {input.ndim}, {vec.ndim}")
    if input.shape[1] != vec.shape[0]:
        rows = input.shape[0]
        raise ShapeError(f"size mismatch, got input ({rows}), mat ({by(*input.shape)}), vec ({vec.shape[0]})")
    if input.dtype is not vec.dtype:
        one, two = vec.dtype.scalar_name, input.dtype.scalar_name
        raise DtypeError(f"addmv input tensors must have the same dtype, but got {one}, {two}, and {one}")
    return TABLE.mv(input, vec)


@public
def mm(input: Any, mat2: Any) -> Any:
    """The product of two matrices, (n, m) and (m, p). Source: torch.mm.

    Gradient: ``g @ mat2.T`` and ``input.T @ g``.
    """
    check_tensors("mm", input=input, mat2=mat2)
    for argument, matrix in (("self", input), ("mat2", mat2)):
        if matrix.ndim != 2:
            raise ShapeError(f"{argument} must be a matrix")
    return product_of_matrices(input, mat2)


def product_of_matrices(input: Any, mat2: Any) -> Any:
    """``mm`` of what are matrices."""
    check_multiply(input, mat2)
    if input.dtype is not mat2.dtype:
        one, two = C_NAMES[input.dtype.name], C_NAMES[mat2.dtype.name]
        raise DtypeError(f"expected m1 and m2 to have the same dtype, but got: {one} != {two}")
    return input._apply_op(TABLE.mm, (input, mat2), {"columns": by_columns(mat2.array)})


def product_of_batches(input: Any, mat2: Any) -> Any:
    """``bmm`` of what are batches of matrices, which broadcast."""
    return TABLE.bmm(input, mat2, columns=by_columns(mat2.array))


def check_batches(batch1: Any, batch2: Any) -> None:
    """Raise unless ``batch1`` (b, n, m) and ``batch2`` (b, m, p) fit each other."""
    for i, batch in enumerate((batch1, batch2), 1):
        if batch.ndim != 3:
            raise ShapeError(f"batch{i} must be a 3D tensor")
    wanted = [batch1.shape[0], batch1.shape[2]]
    if (got := list(batch2.shape[:2])) != wanted:
        raise ShapeError(f"Expected size for first two dimensions of batch2 tensor to be: {wanted} but got: {got}.")


def check_scalar_type(input: Any, other: Any) -> None:
    """Raise unless both have the same dtype."""
    if input.dtype is not other.dtype:
        raise DtypeError(f"expected scalar type {input.dtype.scalar_name} but found {other.dtype.scalar_name}")


@public
def bmm(input: Any, mat2: Any) -> Any:
    """The products of two batches of matrices, (b, n, m) and (b, m, p). Source: torch.bmm."""
    check_tensors("bmm", input=input, mat2=mat2)
    check_batches(input, mat2)
    check_scalar_type(input, mat2)
    return product_of_batches(input, mat2)


@public
def matmul(input: Any, other: Any) -> Any:
    """The matrix product, ``@``: vectors, matrices, and batches of matrices, whose leading axes broadcast.

    A first vector is taken as a row, a second one as a column. A batch times one matrix is folded into a single
    product. Gradient: ``g @ other.mT`` and ``input.mT @ g``, summed over broadcast axes. Source: torch.matmul.

    >>> import autograd_gpu as torch
    >>> (torch.tensor([[1., 2.], [3., 4.]]) @ torch.tensor([1., 1.])).tolist()
    [3.0, 7.0]
    """
    if not (is_tensor(input) and is_tensor(other)):
        check_tensors("matmul", input=input, other=other)
    a, b = len(input._shape), len(other._shape)
    if a == b == 2:
        return product_of_matrices(input, other)
    if not a or not b:
        raise ShapeError(f"both arguments to matmul need to be at least 1D, but they are {a}D and {b}D")
    if a <= 2 and b == 1:
        return dot(input, other) if a == 1 else mv(input, other)
    if a == 1 and b == 2:
        return TABLE.first_row(product_of_matrices(TABLE.unsqueeze(input, dim=0), other))
    if b <= 2:
        return TABLE.reshape(matmul(folded(input), other), size=(*input.shape[:-1], *other.shape[1:]))
    return _batched(input, other)


def folded(input: Any) -> Any:
    """A batch of matrices (or a vector) as one matrix with all rows."""
    shape = input._shape
    size = prod(shape[:-1]), shape[-1]
    return TABLE.view(input, size=size) if input.is_contiguous() else reshaped(input, size)


def _batched(input: Any, other: Any) -> Any:
    """``matmul`` of batches (or of a matrix or vector and a batch)."""
    row = len(input._shape) == 1
    if row:
        input = TABLE.unsqueeze(input, dim=0)
    (*of_input, n, k), (*of_other, rows, m) = input._shape, other._shape
    batch = broadcast(tuple(of_input), tuple(of_other))
    if k != rows:
        raise ShapeError(
            f"Expected size for first two dimensions of batch2 tensor to be: {[prod(batch), k]} "
            f"but got: {[prod(batch), rows]}."
        )
    check_scalar_type(input, other)
    product = product_of_batches(gathered(input), gathered(other))
    return TABLE.batch_of(product, size=(*batch, m) if row else (*batch, n, m))


@public
def trace(input: Any) -> Any:
    """The sum of a matrix's diagonal, of integers in int64. Source: torch.trace."""
    check_tensors("trace", input=input)
    if input.ndim != 2:
        raise ShapeError(f"trace: expected a matrix, but got tensor with dim {input.ndim}")
    return TABLE.trace(input)


@public
def cross(input: Any, other: Any, dim: int | None = None) -> Any:
    """The cross product along ``dim``, which has 3 elements; the first such axis if it is None.

    Gradient: ``cross(other, g)`` and ``cross(g, input)``. Source: torch.cross.
    """
    check_tensors("cross", input=input, other=other)
    if input.ndim != other.ndim:
        raise ShapeError("linalg.cross: inputs must have the same number of dimensions.")
    if dim is None:
        if 3 not in input.shape:
            raise ShapeError("no dimension of size 3 in input")
        dim = input.shape.index(3)
    d = dim_of(dim, input.ndim)
    if (lengths := (input.shape[d], other.shape[d])) != (3, 3):
        raise ShapeError(f"linalg.cross: inputs dimension {d} must have length 3. Got {lengths[0]} and {lengths[1]}")
    check_scalar_type(input, other)
    broadcast(tuple(input.shape), tuple(other.shape))
    return TABLE.cross(input, other, dim=d)
