"""Softmax and its relatives: exponentials that sum to 1 along an axis."""

import warnings
from typing import Any

from ..backends import of
from ..dtypes import FLOAT
from ..op import TABLE, ArrayOp, functional, public
from ..shapes import dim_of, dims_of
from .precision import cast, in_float32


@in_float32
def _softmax(x: Any, dim: tuple[int, ...]) -> Any:
    if not x.size:
        return x.copy()
    y = of(x).xp.exp(x - x.max(axis=dim, keepdims=True))
    y /= y.sum(axis=dim, keepdims=True)
    return y


@in_float32
def _safe_softmax(x: Any, dim: tuple[int, ...]) -> Any:
    if not x.size:
        return x.copy()
    xp = of(x).xp
    return xp.where((x == -xp.inf).all(axis=dim, keepdims=True), xp.float32(0), _softmax(x, dim))


@in_float32
def _log_softmax(x: Any, dim: tuple[int, ...]) -> Any:
    if not x.size:
        return x.copy()
    xp = of(x).xp
    y = x - x.max(axis=dim, keepdims=True)
    y -= xp.log(xp.exp(y).sum(axis=dim, keepdims=True))
    return y


@in_float32
def _softmax_vjp(g: Any, y: Any, dim: tuple[int, ...]) -> Any:
    gy = g * y
    return gy - y * TABLE.sum(gy, dim=dim, keepdim=True)


@in_float32
def _log_softmax_vjp(g: Any, y: Any, dim: tuple[int, ...]) -> Any:
    return g - TABLE.exp(y) * TABLE.sum(g, dim=dim, keepdim=True)


# fmt: off
ArrayOp("softmax", "input", _softmax, _softmax_vjp,
        "exp(input) / sum(exp(input)) along dim", takes=(FLOAT,), title="softmax_lastdim_kernel_impl")
ArrayOp("log_softmax", "input", _log_softmax, _log_softmax_vjp,
        "input - log(sum(exp(input))) along dim", takes=(FLOAT,), title="log_softmax_lastdim_kernel_impl")
ArrayOp("safe_softmax", "input", _safe_softmax, _softmax_vjp,
        "softmax, but 0 where all of input along dim is -inf", takes=(FLOAT,))
# fmt: on


def _along(op: Any, input: Any, dim: int, dtype: Any) -> Any:
    """``op`` of the records above along one axis, on ``input`` cast to ``dtype``."""
    dims = dims_of(dim_of(dim, input.ndim), input.ndim)
    return op(input if dtype is None else cast(input, dtype), dim=dims)


@public
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
