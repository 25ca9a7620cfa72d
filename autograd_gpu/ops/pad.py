"""Padding: a border of a constant, or of the input's own elements."""

from typing import Any

from ..backends import of
from ..errors import ShapeError
from ..op import TABLE, ArrayOp, functional

Shape = tuple[int, ...]


def _constant_pad(x: Any, before: Shape, after: Shape, value: float) -> Any:
    """``x`` with so many elements of ``value`` before and after it along each axis (less than 0: cut off)."""
    y = of(x).xp.full([n + b + a for n, b, a in zip(x.shape, before, after, strict=True)], value, x.dtype)
    inner = tuple(slice(max(b, 0), n + b + min(a, 0)) for n, b, a in zip(x.shape, before, after, strict=True))
    outer = tuple(slice(max(-b, 0), n - max(-a, 0)) for n, b, a in zip(x.shape, before, after, strict=True))
    y[inner] = x[outer]
    return y


ArrayOp(
    "constant_pad_nd", "input", _constant_pad,
    lambda g, before, after: TABLE.constant_pad_nd(
        g, before=tuple(-n for n in before), after=tuple(-n for n in after), value=0
    ),
    "input with a border of value",
)  # fmt: skip


@functional
def pad(input: Any, pad: Any, mode: str = "constant", value: float | None = None) -> Any:
    """``input`` with a border around it.

    ``pad`` has its widths before and after the last axis, then those of the axis before that, and so on.
    ``mode`` says what it shows: ``constant`` (``value``, or 0; a negative width cuts off), ``reflect``
    (mirrored at the last element), ``replicate`` (the last element) or ``circular`` (the other end).
    Gradient: each element's is the sum of those of its copies. Source: torch.nn.functional.pad.

    >>> import autograd_gpu as ag
    >>> pad(ag.tensor([1.0, 2.0]), (1, 2))
    tensor([0., 1., 2., 0., 0.])
    """
    widths = tuple(pad)
    if len(widths) % 2:
        raise ShapeError("Padding length must be divisible by 2")
    if len(widths) > 2 * input.ndim:
        raise ShapeError(
            "Padding length should be less than or equal to two times the input dimension but got padding "
            f"length {len(widths)} and input of dimension {input.ndim}"
        )
    if mode == "constant":
        return _pad_constant(input, widths, 0 if value is None else value)
    if mode not in INDEX:
        raise NotImplementedError(f"Unrecognised padding mode {mode}")
    if value:
        raise RuntimeError(f'Padding mode "{mode}" doesn\'t take in value argument')
    if input.ndim < 2 or input.ndim - len(widths) // 2 not in (1, 2):
        raise NotImplementedError(
            f"Padding size {len(widths)} is not supported for {input.ndim}D input tensor.\n"
            "Supported combinations for non-constant padding:\n"
            "  - 2D or 3D input: padding size = 2 (pads last dimension)\n"
            "  - 3D or 4D input: padding size = 4 (pads last 2 dimensions)\n"
            "  - 4D or 5D input: padding size = 6 (pads last 3 dimensions)"
        )
    for i in range(len(widths) // 2):
        input = _pad_by_index(input, input.ndim - 1 - i, widths[2 * i], widths[2 * i + 1], mode)
    return input


def _pad_constant(input: Any, widths: Shape, value: float) -> Any:
    free = (0,) * (input.ndim - len(widths) // 2)
    before, after = free + widths[-2::-2], free + widths[::-2]
    for axis, (n, b, a) in enumerate(zip(input.shape, before, after, strict=True)):
        if n + min(b, 0) + min(a, 0) < 0:
            raise ShapeError(
                f"The input size {n}, plus negative padding {b} and {a}, resulted in a negative output size, "
                f"which is invalid. Check dimension {axis} of your input."
            )
    return TABLE.constant_pad_nd(input, before=before, after=after, value=value)


# For each mode: the element of an axis of n that position i shows, i counted from the first element.
INDEX = {
    "reflect": lambda xp, i, n: n - 1 - abs(n - 1 - abs(i)),
    "replicate": lambda xp, i, n: xp.clip(i, 0, n - 1),
    "circular": lambda xp, i, n: i % n,
}


def _pad_by_index(input: Any, dim: int, before: int, after: int, mode: str) -> Any:
    """``input`` with copies of its own elements around it along one axis."""
    n = input.shape[dim]
    if mode == "reflect" and max(before, after) >= n:
        raise ShapeError(
            "Argument #4: Padding size should be less than the corresponding input dimension, but got: "
            f"padding ({before}, {after}) at dimension {dim} of input {list(input.shape)}"
        )
    if mode == "circular" and max(before, after) > n:
        raise ShapeError("Padding value causes wrapping around more than once.")
    xp = of(input.array).xp
    index = INDEX[mode](xp, xp.arange(-before, n + after), n)
    return TABLE.index_select(input, index, dim=dim)
