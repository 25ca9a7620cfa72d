"""Which function an operation of the table is on Tensors."""

from functools import partial
from typing import Any

from .array_calls import function_of
from .array_record import apply_array
from .op import ArrayOp, Operation
from .record import apply_elementwise
from .tensor import Tensor, user_line


def apply(op: Operation, operands: tuple[Any, ...], params: dict[str, Any]) -> Any:
    """Run ``op`` on operands of which one at least is a Tensor."""
    if isinstance(op, ArrayOp):
        if (function := op.on_tensors.get(len(operands))) is None:
            function = partial(apply_array, op) if op.variadic else function_of(op, len(operands))
        return function(operands, params)
    if params or op.direct is None:  # type: ignore[attr-defined]
        return apply_elementwise(op, operands, **params)  # type: ignore[arg-type]
    result = op.direct(*operands)  # type: ignore[attr-defined]
    if result._node is not None:
        result._node.line = user_line()
    return result


Tensor._apply_op = staticmethod(apply)  # type: ignore[method-assign]
