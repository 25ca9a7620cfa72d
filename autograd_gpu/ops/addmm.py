"""A product of matrices, vectors or batches added to something else; the linear layer."""

from typing import Any

from ..backends import of
from ..dtypes import INT
from ..errors import DtypeError, ShapeError
from ..op import NUMBER, TABLE, ArrayOp, functional, public
from .einsum import einsum
from .linalg import (
    C_NAMES,
    adjoint,
    by,
    check_batches,
    check_multiply,
    check_scalar_type,
    check_tensors,
    column,
    folded,
    matmul,
    matmul_of,
    of_left,
    of_right,
    outer_conj,
    product_of_matrices,
    scaled,
    summed_to,
)
from .precision import one_dtype
from .reduce import conj, total
from .shape import Shape, expanded_size


def _plus(input: Any, product: Any, beta: Any, alpha: Any) -> Any:
    """``product`` with ``alpha * product + beta * input`` written into it; 0 leaves ``input`` out, be it nan."""
    backend = of(product)
    if alpha != 1:
        backend.xp.multiply(product, alpha, out=product, casting="unsafe")
    if beta != 0:
        backend.overwrite(TABLE.add, (product, input if beta == 1 else input * beta), product)
    return product


def _input_vjp(g: Any, shape: Shape, beta: Any) -> Any:
    return summed_to(scaled(g, beta.conjugate()), shape)


# fmt: off
ArrayOp("addmm", "input, mat1, mat2",
        lambda x, a, b, beta, alpha, columns: _plus(x, matmul_of(a, b), beta, alpha),
        {"input": _input_vjp,
         "mat1": lambda g, mat2, alpha: of_left(g, mat2, alpha),  # noqa: PLW0108
         "mat2": lambda g, mat1, alpha, columns: of_right(g, mat1, alpha, columns=columns)},
        "beta · input + alpha · matrix · matrix", takes=NUMBER)
ArrayOp("baddbmm", "input, batch1, batch2",
        lambda x, a, b, beta, alpha: _plus(x, matmul_of(a, b), beta, alpha),
        {"input": _input_vjp,
         "batch1": lambda g, batch2, alpha: of_left(g, batch2, alpha),  # noqa: PLW0108
         "batch2": lambda g, batch1, alpha: of_right(g, batch1, alpha)},  # noqa: PLW0108
        "beta · input + alpha · matrix · matrix for each of a batch", takes=NUMBER)
ArrayOp("addbmm", "input, batch1, batch2",
        lambda x, a, b, beta, alpha: _plus(x, total(matmul_of(a, b), (0,)).astype(a.dtype), beta, alpha),
        {"input": _input_vjp,
         "batch1": lambda g, batch2, alpha: of_left(TABLE.unsqueeze(g, dim=0), batch2, alpha),
         "batch2": lambda g, batch1, alpha: of_right(TABLE.unsqueeze(g, dim=0), batch1, alpha)},
        "beta · input + alpha · sum of a batch of products", takes=NUMBER)
ArrayOp("addmv", "input, mat, vec",
        lambda x, a, b, beta, alpha: _plus(x, matmul_of(a, b), beta, alpha),
        {"input": _input_vjp,
         "mat": lambda g, vec, alpha: scaled(outer_conj(g, vec), alpha.conjugate()),
         "vec": lambda g, mat, alpha: scaled(TABLE.mv(adjoint(mat), g), alpha.conjugate())},
        "beta · input + alpha · matrix · vector", takes=NUMBER)
ArrayOp("addr", "input, vec1, vec2",
        lambda x, a, b, beta, alpha: _plus(x, column(a) * b, beta, alpha),
        {"input": _input_vjp,
         "vec1": lambda g, vec2, alpha: scaled(TABLE.mv(g, conj(vec2)), alpha.conjugate()),
         "vec2": lambda g, vec1, alpha: scaled(TABLE.mv(g.mT, conj(vec1)), alpha.conjugate())},
        "beta · input + alpha · outer product", takes=NUMBER)
# fmt: on


def _check_factors(input: Any, beta: Any, alpha: Any) -> None:
    """Raise if a factor of a product of integers is not an integer itself."""
    if input.dtype.category <= INT:
        for name, factor in (("beta", beta), ("alpha", alpha)):
            if not isinstance(factor, int):
                raise DtypeError(f"For integral input tensors, argument {name} must not be a floating point number.")


def _check_mv(input: Any, mat: Any, vec: Any) -> None:
    if (ndims := (input.ndim, mat.ndim, vec.ndim)) != (1, 2, 1):
        raise ShapeError(f"vector + matrix @ vector expected, got {', '.join(map(str, ndims))}")
    if mat.shape[1] != vec.shape[0] or input.shape[0] not in (1, mat.shape[0]):
        raise ShapeError(f"size mismatch, got input ({input.shape[0]}), mat ({by(*mat.shape)}), vec ({vec.shape[0]})")
    if not input.dtype is mat.dtype is vec.dtype:
        one, two, three = (x.dtype.scalar_name for x in (input, mat, vec))
        raise DtypeError(f"addmv input tensors must have the same dtype, but got {one}, {two}, and {three}")


def _check_addmm(input: Any, mat1: Any, mat2: Any) -> None:
    for i, matrix in enumerate((mat1, mat2), 1):
        if matrix.ndim != 2:
            raise ShapeError(f"mat{i} must be a matrix, got {matrix.ndim}-D tensor")
    if not input.dtype is mat1.dtype is mat2.dtype:
        name, other = ("mat1", mat1) if mat1.dtype is not mat2.dtype else ("self", input)
        one, two = other.dtype.scalar_name, mat2.dtype.scalar_name
        raise DtypeError(f"{name} and mat2 must have the same dtype, but got {one} and {two}")
    check_multiply(mat1, mat2)
    size = mat1.shape[0], mat2.shape[1]
    if (shape := tuple(input.shape)) not in (size, size[1:]):
        expanded_size(shape, size, input.dtype.typename)


@public(in_place=True)
def addmm(input: Any, mat1: Any, mat2: Any, *, beta: Any = 1, alpha: Any = 1) -> Any:
    """``beta * input + alpha * mat1 @ mat2``, where ``input`` may be broadcast; 0 leaves it out, be it nan.

    Gradient: ``beta * g``, ``alpha * g @ mat2.T`` and ``alpha * mat1.T @ g``. Source: torch.addmm.
    """
    check_tensors("addmm", input=input, mat1=mat1, mat2=mat2)
    _check_addmm(input, mat1, mat2)
    return TABLE.addmm(input, mat1, mat2, beta=beta, alpha=alpha, columns=False)


@public(in_place=True)
def addmv(input: Any, mat: Any, vec: Any, *, beta: Any = 1, alpha: Any = 1) -> Any:
    """``beta * input + alpha * mat @ vec``. Source: torch.addmv."""
    check_tensors("addmv", input=input, mat=mat, vec=vec)
    _check_mv(input if input.ndim else TABLE.unsqueeze(input, dim=0), mat, vec)
    return TABLE.addmv(input, mat, vec, beta=beta, alpha=alpha)


@public(in_place=True)
def addr(input: Any, vec1: Any, vec2: Any, *, beta: Any = 1, alpha: Any = 1) -> Any:
    """``beta * input + alpha * outer(vec1, vec2)``; dtypes are promoted. Source: torch.addr."""
    check_tensors("addr", input=input, vec1=vec1, vec2=vec2)
    for i, vector in enumerate((vec1, vec2), 1):
        if vector.ndim != 1:
            raise ShapeError(f"addr: Expected 1-D argument vec{i}, but got {vector.ndim}-D")
    _check_factors(input, beta, alpha)
    expanded_size(tuple(input.shape), (vec1.shape[0], vec2.shape[0]), input.dtype.typename)
    return TABLE.addr(*one_dtype(input, vec1, vec2), beta=beta, alpha=alpha)


@public(in_place=True)
def baddbmm(input: Any, batch1: Any, batch2: Any, *, beta: Any = 1, alpha: Any = 1) -> Any:
    """``beta * input + alpha * batch1 @ batch2`` for each matrix of two batches. Source: torch.baddbmm."""
    check_tensors("baddbmm", input=input, batch1=batch1, batch2=batch2)
    check_batches(batch1, batch2)
    if not input.dtype is batch1.dtype is batch2.dtype:
        one, two, three = (C_NAMES[x.dtype.name] for x in (input, batch1, batch2))
        raise DtypeError(f"Input dtypes must be the same, got: input {one}, batch1: {two}, batch2: {three}")
    expanded_size(tuple(input.shape), (*batch1.shape[:2], batch2.shape[2]), input.dtype.typename)
    return TABLE.baddbmm(input, batch1, batch2, beta=beta, alpha=alpha)


@public(in_place=True)
def addbmm(input: Any, batch1: Any, batch2: Any, *, beta: Any = 1, alpha: Any = 1) -> Any:
    """``beta * input + alpha * Σ batch1[i] @ batch2[i]``. Source: torch.addbmm."""
    check_tensors("addbmm", input=input, batch1=batch1, batch2=batch2)
    for i, batch in enumerate((batch1, batch2), 1):
        if batch.ndim != 3:
            raise ShapeError(f"batch{i} must be a 3D tensor")
    if batch1.shape[0] != batch2.shape[0]:
        m, n = batch1.shape[0], batch2.shape[0]
        raise ShapeError(f"batch1 and batch2 must have same number of batches, got {m} and {n}")
    check_multiply(batch1, batch2, "Incompatible matrix sizes for bmm")
    check_scalar_type(input, batch1)
    check_scalar_type(batch1, batch2)
    expanded_size(tuple(input.shape), (batch1.shape[1], batch2.shape[2]), input.dtype.typename)
    return TABLE.addbmm(input, batch1, batch2, beta=beta, alpha=alpha)


@functional
def linear(input: Any, weight: Any, bias: Any = None) -> Any:
    """``input @ weight.T + bias``, over the last axis of ``input``.

    Shapes: input (*, n), weight (m, n), bias (m) -> (*, m). Source: torch.nn.functional.linear.

    >>> import autograd_gpu as torch
    >>> x, weight = torch.tensor([[1., 2.]]), torch.tensor([[3., 4.], [5., 6.]])
    >>> torch.nn.functional.linear(x, weight, torch.tensor([0.5, -0.5]))
    tensor([[11.5000, 16.5000]])
    """
    check_tensors("linear", input=input, weight=weight)
    transposed = TABLE.t(weight)
    if bias is None and (input.ndim == 1 or weight.ndim == 1):
        return matmul(input, transposed)
    rows = input if input.ndim == 2 else folded(input)
    if bias is None:
        y = product_of_matrices(rows, transposed)
    else:
        check_tensors("linear", input=input, weight=weight, bias=bias)
        _check_addmm(bias, rows, transposed)
        y = TABLE.addmm(bias, rows, transposed, beta=1, alpha=1, columns=True)
    if input.ndim == 2:
        return y
    return (TABLE.reshape if bias is None else TABLE.view)(y, size=(*input.shape[:-1], weight.shape[0]))


@functional
def bilinear(input1: Any, input2: Any, weight: Any, bias: Any = None) -> Any:
    """``y[..., k] = Σ input1[..., i] * weight[k, i, j] * input2[..., j] + bias[k]``.

    Shapes: input1 (*, n), input2 (*, m), weight (p, n, m), bias (p) -> (*, p).
    Source: torch.nn.functional.bilinear.
    """
    check_tensors("bilinear", input1=input1, input2=input2, weight=weight)
    for i, (m, n) in enumerate(zip(input1.shape[:-1], input2.shape[:-1], strict=False)):
        if m != n:
            raise ShapeError(f"bilinear(): input batch dimensions do not match at dim {i}: got {m} and {n}")
    for i, x in enumerate((input1, input2), 1):
        if x.shape[-1] != weight.shape[i]:
            raise ShapeError(
                f"bilinear(): input{i} size does not match weight size: got {x.shape[-1]} "
                f"but expected {weight.shape[i]}"
            )
    if bias is not None and bias.shape[0] != weight.shape[0]:
        raise ShapeError(
            f"bilinear(): bias size does not match weight size: got {bias.shape[0]} but expected {weight.shape[0]}"
        )
    y = einsum("...i,kij,...j->...k", input1, weight, input2)
    return y if bias is None else y + bias
