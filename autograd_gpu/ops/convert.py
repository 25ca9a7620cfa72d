"""Copies into another memory, dtype or device."""

from typing import Any

from .. import backends
from ..op import ArrayOp


def _to(x: Any, type_: backends.Type) -> Any:
    here = backends.of(x)
    if here is not type_.backend:
        x = type_.backend.from_host(here.to_host(x), type_.device)
    return x.astype(type_.numpy)


ArrayOp("to", "input", _to, lambda g: g, "a copy in another dtype or on another device", fits=True, node="ToCopyBackward0")
ArrayOp("clone", "input", lambda x: x.copy(), lambda g: g, "a copy", fits=True)
ArrayOp("zeros_like", "input", lambda x: backends.of(x).xp.zeros(x.shape, x.dtype), None, "zeros in input's shape and type")
