"""Attention."""

from math import copysign, inf, sqrt
from typing import Any

from ..dtypes import bool_
from ..errors import DtypeError, ShapeError
from ..op import TABLE, functional
from .dropout import dropout


@functional
def scaled_dot_product_attention(
    query: Any,
    key: Any,
    value: Any,
    attn_mask: Any = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> Any:
    """``softmax(query @ key.mT * scale + attn_mask) @ value``.

    Shapes: query (..., L, E), key (..., S, E), value (..., S, V) -> (..., L, V). ``scale`` is ``1 / sqrt(E)``
    unless given. ``attn_mask`` broadcasts to (..., L, S): True where a key takes part, or numbers to add;
    ``is_causal`` lets each query see the keys up to its own place. A query that sees none gets 0.
    ``enable_gqa`` repeats each head of key and value for the heads of the query that share it.
    Source: torch.nn.functional.scaled_dot_product_attention; Vaswani et al. 2017.
    """
    _check(query, key, value, attn_mask, is_causal)
    if enable_gqa:
        key, value = (_repeated(x, query.shape[-3]) for x in (key, value))
    scale = 1 / sqrt(query.shape[-1]) if scale is None else scale
    root = sqrt(abs(scale))  # on both sides: the product overflows later
    scores = (query * copysign(root, scale)) @ (key.transpose(-2, -1) * root)
    if is_causal:
        seen = query._type.backend.xp.tri(query.shape[-2], key.shape[-2], dtype=bool)
        scores = TABLE.where(seen, scores, -inf)
    elif attn_mask is not None:
        scores = TABLE.where(attn_mask, scores, -inf) if attn_mask.dtype is bool_ else scores + attn_mask
    weights = TABLE.safe_softmax(scores, dim=(scores.ndim - 1,))
    return dropout(weights, dropout_p) @ value


def _repeated(x: Any, heads: int) -> Any:
    """``x`` (..., H, S, E) with each head repeated, to have ``heads`` in all."""
    *batch, own, length, features = x.shape
    shared = x.unsqueeze(-3).expand(*batch, own, heads // own, length, features)
    return shared.reshape(*batch, heads, length, features)


# the C++ names by which PyTorch calls dtypes here
_CNAMES = {
    "float32": "float",
    "float64": "double",
    "float16": "c10::Half",
    "bfloat16": "c10::BFloat16",
    "int64": "long int",
}


def _cname(x: Any) -> str:
    name: str = x.dtype.name
    return _CNAMES.get(name, name)


def _check(query: Any, key: Any, value: Any, attn_mask: Any, is_causal: bool) -> None:
    if min(query.ndim, key.ndim, value.ndim) < 2:
        raise ShapeError(
            "Expected query, key, and value to all be  at least 2 dimensional, but got query.dim: "
            f"{query.ndim} key.dim: {key.ndim} and value.dim: {value.ndim} instead."
        )
    if not query.dtype is key.dtype is value.dtype:
        raise DtypeError(
            "Expected query, key, and value to have the same dtype, but got query.dtype: "
            f"{_cname(query)} key.dtype: {_cname(key)} and value.dtype: {_cname(value)} instead."
        )
    if attn_mask is None:
        return
    if is_causal:
        raise RuntimeError("_scaled_dot_product_attention: Explicit attn_mask should not be set when is_causal=True")
    if attn_mask.dtype not in (bool_, query.dtype):
        raise DtypeError(
            "Expected attn_mask dtype to be bool or float or to match query dtype, but got attn_mask.dtype: "
            f"{_cname(attn_mask)} and  query.dtype: {_cname(query)} instead."
        )
