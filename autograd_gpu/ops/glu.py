"""Gated linear unit."""

from typing import Any

from ..dtypes import FLOAT
from ..errors import ShapeError
from ..op import TABLE, ArrayOp, functional
from ..shapes import dim_of
from .precision import in_float32


def _halves(x: Any, dim: int) -> tuple[Any, Any]:
    """The first and the second half of ``x`` along ``dim``."""
    axes, half = (slice(None),) * dim, x.shape[dim] // 2
    return x[(*axes, slice(0, half))], x[(*axes, slice(half, None))]


@in_float32
def _glu(x: Any, dim: int) -> Any:
    a, b = _halves(x, dim)
    return a * TABLE.sigmoid(b)


@in_float32
def _glu_vjp(g: Any, input: Any, dim: int) -> Any:
    a, b = _halves(input, dim)
    gate = TABLE.sigmoid(b)
    passed = g * gate
    return TABLE.cat(passed, passed * a * (1 - gate), dim=dim)


ArrayOp(
    "glu",
    "input",
    _glu,
    _glu_vjp,
    "a * sigmoid(b) of the halves a and b of input",
    takes=(FLOAT,),
    title="glu_cpu",
)


@functional
def glu(input: Any, dim: int = -1) -> Any:
    """``a * sigmoid(b)`` of the halves a and b of the input along ``dim``.

    Gradient: ``g sigmoid(b)`` and ``g a sigmoid(b) (1 - sigmoid(b))``. Source: torch.nn.functional.glu;
    Dauphin et al. 2017.
    """
    if not input.ndim:
        raise ShapeError("glu does not support scalars because halving size must be even")
    dim = dim_of(dim, input.ndim)
    if input.shape[dim] % 2:
        raise ShapeError(f"Halving dimension must be even, but dimension {dim} is size {input.shape[dim]}")
    return TABLE.glu(input, dim=dim)
