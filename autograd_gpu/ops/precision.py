"""16-bit floats in formulas: computed in float32, and back; and operands brought to one dtype."""

from collections.abc import Callable
from functools import wraps
from typing import Any

from ..dtypes import REDUCED, dtype, float32, promote_types
from ..op import TABLE

# what each 16-bit dtype is computed in, as Tensors name it and as arrays do
_WIDER: dict[Any, Any] = dict.fromkeys(REDUCED, float32) | {d.numpy: float32.numpy for d in REDUCED}


def cast(x: Any, d: Any) -> Any:
    """``x`` in the dtype ``d``: a Tensor in one of ours, an array in one of NumPy's."""
    if x.dtype == d:
        return x
    return TABLE.to(x, type_=x._type.with_dtype(d)) if isinstance(d, dtype) else x.astype(d)


def one_dtype(*tensors: Any) -> tuple[Any, ...]:
    """``tensors``, all of the same shape, in the dtype that they promote to."""
    common = tensors[0].dtype
    for tensor in tensors[1:]:
        common = promote_types(common, tensor.dtype)
    return tuple(cast(tensor, common) for tensor in tensors)


def in_float32(function: Callable[..., Any]) -> Callable[..., Any]:
    """``function`` (of arrays or of Tensors), computed in float32 where operands are 16-bit floats.

    Each 16-bit operand is widened once, and the results are narrowed again to the dtype of the first one, so
    that a formula of many steps rounds to 16 bits only once, as PyTorch's kernels do.
    """

    def widened(value: Any) -> Any:
        wider = _WIDER.get(getattr(value, "dtype", None))
        return value if wider is None else cast(value, wider)

    @wraps(function)
    def wide(*operands: Any, **named: Any) -> Any:
        for value in (*operands, *named.values()):
            if (narrow := getattr(value, "dtype", None)) in _WIDER:
                break
        else:
            return function(*operands, **named)
        result = function(*map(widened, operands), **{name: widened(value) for name, value in named.items()})
        return tuple(cast(y, narrow) for y in result) if isinstance(result, tuple) else cast(result, narrow)

    return wide
