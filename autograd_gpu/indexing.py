"""``x[key]``, ``x[key] = value``, and writing a whole tensor over: ``copy_``, ``fill_``, ``zero_``.

A recorded assignment goes by ``writes.py``: to a view, it makes its base a ``CopySlices``. Where nothing is
recorded the memory is written to directly.
"""

import warnings
from typing import Any

import numpy as np

from .dtypes import COMPLEX, bool_, int64
from .errors import GraphError, ShapeError
from .extend import extends_tensor
from .keys import Key, parse
from .modes import modes
from .op import TABLE
from .ops.index import ALIAS, SELECT, check_mask, on_device_of, placed_indices, values_for
from .ops.number import as_element, is_number
from .ops.shape import Shape, expanded_size
from .shapes import broadcast
from .tensor import LEAF, Tensor, wrap
from .writes import check_memory, check_writable, is_recorded, write, written_by_user


def getitem(self: Tensor, key: Any) -> Tensor:
    """The part of a tensor that ``key`` names: a view, or a copy if there are index tensors or masks in it."""
    if key.__class__ is int and self._shape and -self._shape[0] <= key < self._shape[0]:
        return SELECT(self, key=(key, ...))  # type: ignore[no-any-return]
    if isinstance(key, Tensor) and key._shape and self._shape and key._type is self._type.with_dtype(int64):
        return TABLE.index(self, key, dims=(0,), merged=None)  # type: ignore[no-any-return]
    op, view, entries = parse(self, key)
    if not entries:
        return (op or ALIAS)(self, key=view)  # type: ignore[no-any-return]
    part = self if op is None else op(self, key=view)
    indices, params = placed_indices(part, entries)
    return TABLE.index(part, *indices, **params)  # type: ignore[no-any-return]


def setitem(self: Tensor, key: Any, value: Any) -> None:
    """Write ``value`` (a number, Tensor or array, which is broadcast and cast) into the part that ``key`` names."""
    parsed = parse(self, key, to_write=True)
    value = assignable(value, self)
    check_part_writable(self, parsed, value)
    if parsed.entries:
        _assign_picked(self, parsed, value)
    elif is_recorded((self, value)):
        part = self if parsed.op is None else parsed.op(self, key=parsed.view)
        _assign(part, value, TABLE.filled_with if part._shape and not getattr(value, "_shape", ()) else TABLE.copied)
    else:
        _store(self, self.array[parsed.view], value)


def assignable(value: Any, target: Tensor) -> Any:
    """``value`` as a Tensor, or as a number that the dtype of ``target`` has."""
    if isinstance(value, Tensor):
        return value
    if isinstance(value, np.ndarray) or type(value).__module__.partition(".")[0] == "cupy":
        return wrap(value)
    if is_number(value):
        return as_element(value, target.dtype)
    raise TypeError(f"can't assign a {type(value).__name__} to a torch.{target.dtype.typename}")


def check_part_writable(tensor: Tensor, key: Key, value: Any) -> None:
    """Raise if autograd forbids to write ``value`` to the part of ``tensor`` that ``key`` names."""
    if tensor._node is LEAF and modes.grad and key.op is not None:
        raise GraphError("a view of a leaf Variable that requires grad is being used in an in-place operation.")
    check_writable(tensor, value)


def _fitted(value: Tensor, target: Tensor) -> Tensor:
    """``value`` in the type and shape of ``target``; ShapeError if it cannot be broadcast to it."""
    shape = target._shape
    extra = len(value._shape) - len(shape)
    if extra > 0 and set(value._shape[:extra]) == {1}:
        value = TABLE.view(value, size=value._shape[extra:])
    if value._shape != shape:
        expanded_size(value._shape, shape, value.dtype.typename)
    if value._type is not target._type:
        value = cast_like(value, target)
    if value._shape != shape:
        value = TABLE.expand(value, size=shape)
    if target._type.backend.shares_memory(value.array, target.array):
        value = _apart(value, target)
    return value


def _apart(value: Tensor, target: Tensor) -> Tensor:
    """``value``, a copy of it if it may overlap ``target``; GraphError if it surely does, unless it is the same."""
    starts = value.data_ptr(), target.data_ptr()
    strides = zip(value._shape, value.array.strides, target.array.strides, strict=True)
    if starts[0] == starts[1] and all(a == b for n, a, b in strides if n > 1):
        return value
    arrays = value.array, target.array
    if all(array.flags.c_contiguous or array.flags.f_contiguous for array in arrays):
        ends = [start + array.nbytes for start, array in zip(starts, arrays, strict=True)]
        if max(starts) >= min(ends):
            return value
        raise GraphError(
            "unsupported operation: some elements of the input tensor and the written-to tensor refer to a single "
            "memory location. Please clone() the tensor before performing the operation."
        )
    return TABLE.clone(value)  # type: ignore[no-any-return]


def cast_like(value: Tensor, target: Tensor) -> Tensor:
    """``value`` in the dtype and on the device of ``target``; a complex one loses its imaginary part."""
    if value.dtype.category == COMPLEX > target.dtype.category:
        warnings.warn("Casting complex values to real discards the imaginary part", UserWarning, stacklevel=4)
        value = TABLE.real(value)
    return TABLE.to(value, type_=target._type)  # type: ignore[no-any-return]


def _assign(target: Tensor, value: Any, op: Any) -> Tensor:
    """Write ``value`` (a number or Tensor) into all of ``target``, recorded by ``op`` unless it is a view."""
    if isinstance(value, Tensor):
        value = _fitted(value, target)
    if target._base is None:
        value = op(target, value)
    elif not isinstance(value, Tensor):
        value = TABLE.filled(target.detach(), value)
    return write(target, value)


def _store(tensor: Tensor, array: Any, value: Any) -> None:
    """Write ``value`` into ``array``, a part of the memory of ``tensor``; nothing is recorded."""
    if isinstance(value, Tensor):
        value = _fitted(value.detach(), wrap(array, tensor._type)).array
        check_memory(array)
    with tensor._type.backend.Scope(tensor.device):
        array[...] = value
    written_by_user(tensor._counter, "")


def _assign_picked(self: Tensor, key: Key, value: Any) -> None:
    """Write ``value`` where index tensors name elements of a view of ``self``."""
    part = self if key.op is None else key.op(self, key=key.view)
    if _is_one_mask(key) and not getattr(value, "_shape", ()):
        _assign_masked(part, *key.entries[0], value)
        return
    indices, params = placed_indices(part, key.entries)
    if isinstance(value, Tensor):
        if value._type.device is not part._type.device:
            value = TABLE.to(value, type_=part._type.with_dtype(value.dtype))
        value = values_for(part, value, indices, params)
    if is_recorded((part, value)) or (params["merged"] is not None and not part.array.flags.c_contiguous):
        write(part, TABLE.index_put(part, value, *indices, **params, accumulate=False))
    else:
        _put(part, value, [index.array for index in indices], **params)


def _put(part: Tensor, value: Any, indices: list[Any], dims: Shape, merged: Shape | None) -> None:
    """Write ``value`` to where ``indices`` say, in the memory of ``part``; nothing is recorded."""
    array = part.array if merged is None else part.array.reshape(merged)
    if isinstance(value, Tensor):
        check_memory(array)
        value = value.array
    with part._type.backend.Scope(part.device):
        part._type.backend.indexing.put(array, indices, dims, value)
    written_by_user(part._counter, "")


def _is_one_mask(key: Key) -> bool:
    return len(key.entries) == 1 and key.entries[0][1].dtype is bool_


def _assign_masked(part: Tensor, dim: int, mask: Tensor, value: Any) -> None:
    """``part[mask] = value``, a number or 0-d tensor: how many elements that are needs not be known."""
    mask = on_device_of(part, mask)
    check_mask(mask, part._shape, dim)
    mask = TABLE.reshape(mask, size=mask._shape + (1,) * (part.ndim - dim - mask.ndim))
    if isinstance(value, Tensor) and value._type is not part._type:
        value = cast_like(value, part)
    if is_recorded((part, value)):
        write(part, TABLE.masked_put(part, mask, value))
        return
    with part._type.backend.Scope(part.device):
        raw = value.array if isinstance(value, Tensor) else value
        part._type.backend.xp.copyto(part.array, raw, casting="unsafe", where=mask.array)
    written_by_user(part._counter, "")


@extends_tensor
class Indexing(Tensor):
    """Elements and parts; writing all elements over."""

    __slots__ = ()
    __getitem__ = getitem
    __setitem__ = setitem

    def copy_(self, src: Any, non_blocking: bool = False) -> Tensor:
        """Write the elements of ``src`` here, broadcast and cast; also from another device.

        Gradient: ``g`` for ``src``, 0 for what was here. Source: torch.Tensor.copy_.

        >>> import autograd_gpu as torch
        >>> torch.zeros(3).copy_(torch.tensor([1, 2, 3]))
        tensor([1., 2., 3.])
        """
        check_writable(self, src)
        if is_number(src):
            src = as_element(src, self.dtype)
        elif not isinstance(src, Tensor):
            raise TypeError(f"copy_(): argument 'other' (position 1) must be Tensor, not {type(src).__name__}")
        elif (shape := broadcast(self._shape, src._shape)) != self._shape:
            raise ShapeError(f"output with shape {list(self._shape)} doesn't match the broadcast shape {list(shape)}")
        return _write_over(self, src, TABLE.copied)

    def fill_(self, value: Any) -> Tensor:
        """Write ``value`` (a number or 0-d tensor) everywhere. Source: torch.Tensor.fill_."""
        if not isinstance(value, Tensor):
            if not is_number(value):
                raise TypeError(f"fill_(): argument 'value' must be Number or Tensor, not {type(value).__name__}")
            return _write_over(self, as_element(value, self.dtype), TABLE.filled)
        if value._shape:
            raise ShapeError(
                f"fill_ only supports 0-dimension value tensor but got tensor with {len(value._shape)} dimensions."
            )
        return _write_over(self, value, TABLE.filled_with)

    def zero_(self) -> Tensor:
        """Write zeros everywhere. Source: torch.Tensor.zero_."""
        return _write_over(self, 0, lambda x, _: TABLE.zeroed(x))


def _write_over(tensor: Tensor, value: Any, op: Any) -> Tensor:
    """Write ``value`` into all of ``tensor``, recorded by ``op`` if need be."""
    check_writable(tensor, value)
    if is_recorded((tensor, value)):
        return _assign(tensor, value, op)
    _store(tensor, tensor.array, value)
    return tensor
