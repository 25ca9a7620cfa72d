"""Tensors from data."""

from typing import Any

import numpy as np

from . import dtypes
from .tensor import Tensor, wrap


def tensor(data: Any, *, dtype: Any = None, requires_grad: bool = False) -> Tensor:
    """A tensor that holds a copy of ``data``."""
    array = np.array(data)
    if dtype is not None:
        array = array.astype(dtype.numpy)
    elif array.dtype == np.float64:
        array = array.astype(dtypes.get_default_dtype().numpy)
    result = wrap(array)
    if requires_grad:
        result.requires_grad = True
    return result
