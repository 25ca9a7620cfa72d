"""What a tensor holds after it was written over, as operations: their gradient by its old values is 0."""

from typing import Any

import numpy as np

from ..backends import of
from ..op import TABLE, ArrayOp, public
from .arguments import is_tensor
from .linalg import check_tensors, summed_to
from .mask import value_for
from .shape import writable


def _filled(x: Any, value: Any) -> Any:
    """``value`` in the shape and dtype of ``x``, in no more memory than it needs: it is about to be copied."""
    xp = of(x).xp
    value = xp.full((), value, x.dtype) if np.isscalar(value) else value.astype(x.dtype, copy=False)
    return writable(xp.broadcast_to(value, x.shape))


def _zeros(g: Any) -> Any:
    return TABLE.zeros_like(g)


# fmt: off
for _name, _node in (("filled", "FillBackward2"), ("filled_with", "FillBackward3")):
    ArrayOp(_name, "input, value", _filled, {"input": _zeros, "value": lambda g, shape: summed_to(g, shape)},  # noqa: PLW0108
            "value in the shape of input", node=_node)
ArrayOp("zeroed", "input", lambda x: _filled(x, 0), _zeros, "zeros in the shape of input", node="ZeroBackward0")
ArrayOp("copied", "input, src", _filled, {"input": _zeros, "src": lambda g: g},
        "src in the shape and dtype of input", fits=True, node="CopyBackwards")
# fmt: on


@public(method=False)
def fill(input: Any, value: Any) -> Any:
    """``value`` (a number or 0-d tensor) in the shape of ``input``. Source: torch.fill."""
    check_tensors("fill", input=input)
    op = TABLE.filled_with if is_tensor(value) else TABLE.filled
    return TABLE.clone(op(input, value_for(value, input, "fill")))
