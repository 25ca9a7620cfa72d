"""Copies into another memory, dtype or device."""

from typing import Any

from .. import backends
from ..layouts import contiguous_format
from ..op import TABLE, ArrayOp, public


def _to(x: Any, type_: backends.Type) -> Any:
    here, there = backends.of(x), type_.backend
    moves = here.device_of(x) is not type_.device
    if moves:
        x = there.from_host(x if here is there else here.to_host(x), type_.device)
    if x.dtype.kind == "c" and type_.numpy.kind not in "bc":
        x = x.real
    with there.Scope(type_.device):
        return x.astype(type_.numpy, copy=not moves)


# fmt: off
ArrayOp("to", "input", _to, lambda g: g,
        "a copy in another dtype or on another device", fits=True, node="ToCopyBackward0")
ArrayOp("clone", "input", lambda x: x.copy(order="K"), lambda g: g, "a copy", fits=True)
ArrayOp("zeros_like", "input", lambda x: backends.of(x).xp.zeros(x.shape, x.dtype), None,
        "zeros in input's shape and type")
# fmt: on


@public
def clone(input: Any, *, memory_format: Any = None) -> Any:
    """A copy with history: gradients pass through it. The axes lie as those of ``input`` unless asked otherwise.

    >>> import autograd_gpu as ag
    >>> ag.tensor([1.0], requires_grad=True).clone()
    tensor([1.], grad_fn=<CloneBackward0>)
    """
    return TABLE.contiguous(input) if memory_format is contiguous_format else TABLE.clone(input)
