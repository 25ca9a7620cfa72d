"""Vector norms, and the distance that they make."""

from math import inf, isinf
from typing import Any

from ..backends import of
from ..dtypes import FLOAT
from ..errors import DtypeError, ShapeError, Unsupported
from ..op import TABLE, ArrayOp, public
from ..shapes import dims_of
from .arguments import numpy_names
from .precision import cast, in_float32
from .reduce import FRACTIONS, Dims, keep


@in_float32
def _norm(x: Any, ord: float, dim: Dims, keepdim: bool) -> Any:
    xp = of(x).xp
    if ord == 2:
        squares = x.real**2 + x.imag**2 if x.dtype.kind == "c" else x * x
        return xp.sqrt(squares.sum(axis=dim, keepdims=keepdim))
    size = xp.abs(x)
    if isinf(ord):
        return (size.max if ord > 0 else size.min)(axis=dim, keepdims=keepdim)
    if ord == 0:
        return (size != 0).sum(axis=dim, keepdims=keepdim, dtype=size.dtype)
    if ord == 1:
        return size.sum(axis=dim, keepdims=keepdim)
    return (size**ord).sum(axis=dim, keepdims=keepdim) ** (1 / ord)


def _quotient(a: Any, b: Any) -> Any:
    """``a / b``, and 0 where ``b`` is 0: the subgradient that PyTorch takes."""
    zero = b == 0
    return TABLE.where(zero, 0.0, a / TABLE.where(zero, 1.0, b))


@in_float32
def _norm_vjp(g: Any, input: Any, y: Any, ord: float, dim: Dims, keepdim: bool) -> Any:
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


def _steep(direction: Any, size: Any, y: Any, ord: float) -> Any:
    """``direction (size / y)**(ord - 1)`` for ``ord < 1``, where 0 must not be raised to a negative power."""
    zero = size == 0
    ratio = TABLE.where(zero, 1.0, size / TABLE.where(zero, 1.0, y))
    return TABLE.where(zero, 0.0, direction * ratio ** (ord - 1))


def _dist(input: Any, other: Any, p: float) -> Any:
    difference = input - other
    return _norm(difference, p, tuple(range(difference.ndim)), keepdim=False)


def _dist_vjp(g: Any, input: Any, other: Any, y: Any, p: float) -> Any:
    difference = input - other
    return _norm_vjp(g, difference, y, p, tuple(range(difference.ndim)), keepdim=False)


def _dist_other_vjp(g: Any, input: Any, other: Any, y: Any, p: float) -> Any:
    part = _dist_vjp(g, input, other, y, p)
    return part if part is None else -part


# fmt: off
ArrayOp("linalg_vector_norm", "input", _norm, _norm_vjp, "(sum of |input|**ord)**(1/ord) over dim",
        takes=FRACTIONS)
ArrayOp("dist", "input, other", _dist, {"input": _dist_vjp, "other": _dist_other_vjp},
        "the p-norm of input - other", takes=FRACTIONS, fits=True)
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
    return TABLE.linalg_vector_norm(x, ord=float(ord), dim=dims, keepdim=keepdim)


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
    return TABLE.dist(input, other, p=float(p))
