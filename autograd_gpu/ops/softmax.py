"""Softmax and its relatives: exponentials that sum to 1 along an axis."""

import warnings
from math import inf
from typing import Any

from ..dtypes import FLOAT
from ..fused import Decision, Fused, decided
from ..op import TABLE, functional, public
from ..shapes import dim_of
from .precision import cast

Dims = tuple[int, ...]


def _less_top(x: Any, dim: Dims) -> Any:
    """``x`` less its largest element along ``dim``, so that no exponential overflows; that has no gradient."""
    return x - TABLE.amax(x, dim=dim, keepdim=True).detach()


def _softmax(input: Any, dim: Dims) -> Any:
    y = TABLE.exp(_less_top(input, dim))
    return y / TABLE.sum(y, dim=dim, keepdim=True)


def _safe_softmax(input: Any, dim: Dims) -> Any:
    return TABLE.where(TABLE.amax(input, dim=dim, keepdim=True) == -inf, 0.0, _softmax(input, dim))


def _log_softmax(input: Any, dim: Dims) -> Any:
    x = _less_top(input, dim)
    return x - TABLE.log(TABLE.sum(TABLE.exp(x), dim=dim, keepdim=True))


def _of_softmax(g: Any, _: Any, dim: Dims, y: Any) -> tuple[Any, None]:
    return y * (g - TABLE.sum(g * y, dim=dim, keepdim=True)), None


def _of_log_softmax(g: Any, _: Any, dim: Dims, y: Any) -> tuple[Any, None]:
    return g - TABLE.exp(y) * TABLE.sum(g, dim=dim, keepdim=True), None


for _name, _function, _gradient in (
    ("softmax", _softmax, _of_softmax),
    ("safe_softmax", _safe_softmax, _of_softmax),
    ("log_softmax", _log_softmax, _of_log_softmax),
):
    TABLE.define(
        Fused(
            _name,
            _function,
            gradient=_gradient,
            title=f"{_name}_lastdim_kernel_impl",
            takes=(FLOAT,),
            along="dim",
        )
    )


def _along(op: Any, input: Any, dim: int, dtype: Any) -> Decision:
    """A call of ``op`` of the records above along one axis, on ``input`` cast to ``dtype``."""
    axis = dim_of(dim, input.ndim)
    dims = (axis,) if input.ndim else ()
    return Decision(op, (input if dtype is None else cast(input, dtype), dims))


@public
@decided
def softmax(input: Any, dim: int, dtype: Any = None) -> Any:
    """``exp(input) / sum(exp(input))`` along ``dim``: positive numbers that sum to 1.

    ``dtype`` is what the input is cast to before. Gradient: ``y * (g - sum(g * y))``.
    Source: torch.softmax.

    >>> import autograd_gpu as ag
    >>> ag.softmax(ag.tensor([1000.0, 1000.0]), dim=0)
    tensor([0.5000, 0.5000])
    """
    return _along(TABLE.softmax, input, dim, dtype)


@public
@decided
def log_softmax(input: Any, dim: int, dtype: Any = None) -> Any:
    """The logarithm of ``softmax``, without its rounding and underflow.

    Gradient: ``g - exp(y) * sum(g)``. Source: torch.log_softmax.
    """
    return _along(TABLE.log_softmax, input, dim, dtype)


def _implicit_dim(name: str, ndim: int) -> int:
    """The axis of ``softmax(x)`` without ``dim``, which PyTorch once chose, with its warning."""
    warnings.warn(
        f"Implicit dimension choice for {name} has been deprecated. Change the call to include dim=X as an argument.",
        stacklevel=3,
    )
    return 0 if ndim in (0, 1, 3) else 1


@functional(name="softmax")
def functional_softmax(input: Any, dim: int | None = None, _stacklevel: int = 3, dtype: Any = None) -> Any:
    """``softmax`` with the signature of torch.nn.functional.softmax, where ``dim`` may be missing."""
    return softmax(input, _implicit_dim("softmax", input.ndim) if dim is None else dim, dtype)


@functional(name="log_softmax")
def functional_log_softmax(input: Any, dim: int | None = None, _stacklevel: int = 3, dtype: Any = None) -> Any:
    """``log_softmax`` with the signature of torch.nn.functional.log_softmax, where ``dim`` may be missing."""
    return log_softmax(input, _implicit_dim("log_softmax", input.ndim) if dim is None else dim, dtype)


@functional
def softmin(input: Any, dim: int | None = None, _stacklevel: int = 3, dtype: Any = None) -> Any:
    """``softmax(-input)``. Source: torch.nn.functional.softmin."""
    return softmax(-input, _implicit_dim("softmin", input.ndim) if dim is None else dim, dtype)
