"""Vector norms, and the distance that they make."""

from math import inf, isinf
from typing import Any

from ..backends import of
from ..dtypes import FLOAT
from ..errors import DtypeError, ShapeError, Unsupported
from ..fused import Fused
from ..op import TABLE, ArrayOp, public
from ..shapes import dims_of
from .arguments import numpy_names
from .precision import cast
from .reduce import FRACTIONS, Dims, keep, root, unreduced


def _norm(input: Any, ord: float, dim: Dims, keepdim: bool) -> Any:
    if ord == 2:
        return root(TABLE.sum(input * input, dim=dim, keepdim=keepdim))
    size = TABLE.abs(input)
    if isinf(ord):
        return (TABLE.amax if ord > 0 else TABLE.amin)(size, dim=dim, keepdim=keepdim)
    if ord == 0:
        return TABLE.sum(TABLE.where(size != 0, 1.0, TABLE.zero(size)), dim=dim, keepdim=keepdim)
    if ord == 1:
        return TABLE.sum(size, dim=dim, keepdim=keepdim)
    return TABLE.sum(size**ord, dim=dim, keepdim=keepdim) ** (1 / ord)


def _quotient(a: Any, b: Any) -> Any:
    """``a / b``, and 0 where ``b`` is 0: the subgradient that PyTorch takes."""
    zero = b == 0
    return TABLE.where(zero, 0.0, a / TABLE.where(zero, 1.0, b))


def _of_norm(g: Any, input: Any, ord: float, dim: Dims, keepdim: bool, y: Any) -> tuple[Any, ...]:
    """``g x |x|**(p - 2) y**(1 - p)``; for infinite p, those of the greatest (least) size share ``g``."""
    g, y = unreduced(g, dim, keepdim), unreduced(y, dim, keepdim)
    return None if ord == 0 else g * _slope(input, ord, dim, y), None, None, None


def _slope(input: Any, ord: float, dim: Dims, y: Any) -> Any:
    """The derivative of the norm ``y`` by ``input``."""
    if ord == 2:
        return _quotient(input, y)
    size = TABLE.abs(input)
    if isinf(ord):
        extreme = size == _norm(input, ord, dim, keepdim=True)
        count = TABLE.sum(TABLE.where(extreme, 1.0, 0.0), dim=dim, keepdim=True)
        return TABLE.where(extreme, TABLE.sgn(input) / count, 0.0)
    direction = _quotient(input, size)
    if ord == 1:
        return direction
    return direction * _quotient(size, y) ** (ord - 1) if ord > 1 else _steep(direction, size, y, ord)


def _steep(direction: Any, size: Any, y: Any, ord: float) -> Any:
    """``direction (size / y)**(ord - 1)`` for ``ord < 1``, where 0 must not be raised to a negative power."""
    zero = size == 0
    ratio = TABLE.where(zero, 1.0, size / TABLE.where(zero, 1.0, y))
    return TABLE.where(zero, 0.0, direction * ratio ** (ord - 1))


def _dist(input: Any, other: Any, p: float) -> Any:
    difference = input - other
    return _norm(difference, p, tuple(range(difference.ndim)), keepdim=False)


def _of_dist(g: Any, input: Any, other: Any, p: float, y: Any) -> tuple[Any, ...]:
    difference = input - other
    (part, *_) = _of_norm(g, difference, p, tuple(range(difference.ndim)), False, y)
    return part, part if part is None else -part, None


TABLE.define(Fused("linalg_vector_norm", _norm, gradient=_of_norm, takes=(FLOAT,), along="dim"))
TABLE.define(Fused("dist", _dist, gradient=_of_dist, takes=(FLOAT,)))


# --- of complex numbers ------------------------------------------------------------------------------------


def _complex_norm(x: Any, ord: float, dim: Dims, keepdim: bool) -> Any:
    xp = of(x).xp
    if ord == 2:
        return xp.sqrt((x.real**2 + x.imag**2).sum(axis=dim, keepdims=keepdim))
    size = xp.abs(x)
    if isinf(ord):
        return (size.max if ord > 0 else size.min)(axis=dim, keepdims=keepdim)
    if ord == 0:
        return (size != 0).sum(axis=dim, keepdims=keepdim, dtype=size.dtype)
    if ord == 1:
        return size.sum(axis=dim, keepdims=keepdim)
    return (size**ord).sum(axis=dim, keepdims=keepdim) ** (1 / ord)


def _complex_norm_vjp(g: Any, input: Any, y: Any, ord: float, dim: Dims, keepdim: bool) -> Any:
    """``g x |x|**(p - 2) y**(1 - p)``; for infinite p, those of the greatest (least) size share ``g``."""
    if ord == 0:
        return None
    g, y = keep(g, dim, keepdim), keep(y, dim, keepdim)
    if ord == 2:
        return input * _quotient(g, y)
    size = TABLE.abs(input)
    direction = _quotient(input, size)
    if isinf(ord):
        extreme = cast(size == y, g.dtype)
        return direction * (extreme * (g / TABLE.sum(extreme, dim=dim, keepdim=True)))
    if ord == 1:
        return direction * g
    return direction * _quotient(size, y) ** (ord - 1) * g if ord > 1 else _steep(direction, size, y, ord) * g


def _complex_dist(input: Any, other: Any, p: float) -> Any:
    difference = input - other
    return _complex_norm(difference, p, tuple(range(difference.ndim)), keepdim=False)


def _complex_dist_vjp(g: Any, input: Any, other: Any, y: Any, p: float) -> Any:
    difference = input - other
    return _complex_norm_vjp(g, difference, y, p, tuple(range(difference.ndim)), keepdim=False)


def _complex_dist_other_vjp(g: Any, input: Any, other: Any, y: Any, p: float) -> Any:
    part = _complex_dist_vjp(g, input, other, y, p)
    return part if part is None else -part


# fmt: off
ArrayOp("complex_vector_norm", "input", _complex_norm, _complex_norm_vjp, "(sum of |input|**ord)**(1/ord) over dim",
        takes=FRACTIONS, node="LinalgVectorNormBackward0")
ArrayOp("complex_dist", "input, other", _complex_dist, {"input": _complex_dist_vjp, "other": _complex_dist_other_vjp},
        "the p-norm of input - other", takes=FRACTIONS, fits=True, node="DistBackward0")
# fmt: on


def vector_norm(x: Any, ord: float = 2, dim: Any = None, keepdim: bool = False, *, dtype: Any = None) -> Any:
    """``(sum of |x|**ord)**(1 / ord)`` over ``dim``; inf gives the maximum, 0 the number of others than 0.

    Gradient: ``g x |x|**(ord - 2) y**(1 - ord)``, and 0 at 0. Source: torch.linalg.vector_norm.

    >>> import autograd_gpu as torch
    >>> torch.tensor([3., 4.]).norm()
    tensor(5.)
    """
    if x.dtype.category < FLOAT:
        raise DtypeError(
            f"linalg.vector_norm: Expected a floating point or complex tensor as input. Got {x.dtype.scalar_name}"
        )
    dims = dims_of(dim, x.ndim)
    if ord in (inf, -inf) or ord < 0:
        _check_nonempty(ord, x, None if dim is None else dims)
    x = x if dtype is None else cast(x, dtype)
    if x.dtype.is_complex:
        return TABLE.complex_vector_norm(x, ord=float(ord), dim=dims, keepdim=keepdim)
    return TABLE.linalg_vector_norm(x, float(ord), dims, keepdim)


def _check_nonempty(ord: float, x: Any, dims: Dims | None) -> None:
    """Raise if a norm that is an extreme has no element to choose from."""
    for d in range(x.ndim) if dims is None else dims:
        if x.ndim and x.shape[d] == 0:
            empty = f"the dimension {d}because this dimension is empty and"
            raise ShapeError(
                f"linalg.vector_norm cannot compute the {ord} norm on "
                f"{'an empty tensor because' if dims is None else empty} "
                "the operation does not have an identity"
            )


@public
@numpy_names
def norm(input: Any, p: Any = "fro", dim: Any = None, keepdim: bool = False, *, dtype: Any = None) -> Any:
    """The vector norm of order ``p`` over ``dim``; "fro" is 2. Source: torch.norm."""
    if p == "nuc":
        raise Unsupported("norm(p='nuc') is not part of autograd_gpu; it is linalg.svd's singular values, summed")
    if isinstance(p, str) and p != "fro":
        raise ShapeError(f"linalg.matrix_norm: Order {p} not supported.")
    return vector_norm(input, 2 if p in ("fro", None) else p, dim, keepdim, dtype=dtype)


@public
def dist(input: Any, other: Any, p: float = 2) -> Any:
    """The norm of order ``p`` of ``input - other``, which broadcast. Source: torch.dist."""
    if input.dtype.is_complex or other.dtype.is_complex:
        return TABLE.complex_dist(input, other, p=float(p))
    return TABLE.dist(input, other, float(p))
