"""PyTorch's text of a tensor: ``tensor([1., 2.], requires_grad=True)``.

Each number is written once, in a style and a column width that the shown numbers choose together; the
cells are then nested in brackets, the middle of a long axis left out (source: torch/_tensor_str.py).
"""

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from itertools import compress
from typing import Any

import numpy as np

from . import dtypes


@dataclass
class PrintOptions:
    """How tensors print; `set_printoptions` says what each option does."""

    precision: int = 4
    threshold: float = 1000
    edgeitems: int = 3
    linewidth: int = 80
    sci_mode: bool | None = None


PRINT_OPTIONS = PrintOptions()
_DEFAULT: dict[str, float] = {"precision": 4, "threshold": 1000, "edgeitems": 3, "linewidth": 80}
_PROFILES: dict[str | None, dict[str, float]] = {
    "default": _DEFAULT,
    "short": _DEFAULT | {"precision": 2, "edgeitems": 2},
    "full": _DEFAULT | {"threshold": math.inf},
}


def set_printoptions(
    precision: int | None = None,
    threshold: float | None = None,
    edgeitems: int | None = None,
    linewidth: int | None = None,
    profile: str | None = None,
    sci_mode: bool | None = None,
) -> None:
    """Choose how tensors print; what is not given stays, but ``sci_mode``, which returns to automatic.

    ``precision``: digits after the point. ``threshold``: a tensor of more elements is summarised, to
    ``edgeitems`` at both ends of each axis. ``linewidth``: characters in a line. ``profile``: first takes
    all four from ``"default"``, ``"short"`` or ``"full"``; another name is ignored, as in PyTorch.
    ``sci_mode``: always (True) or never (False) write exponents (source: torch.set_printoptions).

    >>> set_printoptions(precision=2, threshold=5)
    >>> print(tensor_text(np.arange(8) / 3, dtypes.float64))
    tensor([0.00, 0.33, 0.67,  ..., 1.67, 2.00, 2.33], dtype=autograd_gpu.float64)
    >>> set_printoptions(profile="default")
    """
    given = {"precision": precision, "threshold": threshold, "edgeitems": edgeitems, "linewidth": linewidth}
    chosen = _PROFILES.get(profile, {}) | {name: value for name, value in given.items() if value is not None}
    for name, value in chosen.items():
        setattr(PRINT_OPTIONS, name, value)
    PRINT_OPTIONS.sci_mode = sci_mode


def get_printoptions() -> dict[str, Any]:
    """The options in force, as keywords of `set_printoptions`."""
    return asdict(PRINT_OPTIONS)


@contextmanager
def printoptions(**options: Any) -> Iterator[None]:
    """Print with other options inside a ``with`` block.

    >>> with printoptions(precision=2):
    ...     print(tensor_text(np.array([1.12345]), dtypes.float64))
    tensor([1.12], dtype=autograd_gpu.float64)
    """
    before = get_printoptions()
    set_printoptions(**options)
    try:
        yield
    finally:
        set_printoptions(**before)


def tensor_text(
    array: np.ndarray,
    dtype: dtypes.dtype,
    *,
    device: str | None = None,
    requires_grad: bool = False,
    grad_fn: str | None = None,
    prefix: str = "tensor(",
) -> str:
    """The text of a tensor that holds ``array``; ``device`` only where it is not the default one.

    >>> print(tensor_text(np.ones((), np.float32), dtypes.float32, grad_fn="AddBackward0"))
    tensor(1., grad_fn=<AddBackward0>)
    >>> print(tensor_text(np.arange(3, dtype=np.int32), dtypes.int32, device="cuda:0"))
    tensor([0, 1, 2], device='cuda:0', dtype=autograd_gpu.int32)
    >>> print(tensor_text(np.zeros((0, 3), np.float32), dtypes.float32))
    tensor([], size=(0, 3))
    """
    suffixes = []
    if device is not None:
        suffixes.append(f"device='{device}'")
    if not _size_is_evident(array):
        suffixes.append(f"size={array.shape}")
    if not _dtype_is_evident(dtype, empty=array.size == 0):
        suffixes.append(f"dtype={dtype}")
    if grad_fn is not None:
        suffixes.append(f"grad_fn=<{grad_fn}>")
    elif requires_grad:
        suffixes.append("requires_grad=True")
    return _with_suffixes(prefix + _contents(array, indent=len(prefix)), suffixes, indent=len(prefix))


def _size_is_evident(array: np.ndarray) -> bool:
    return bool(PRINT_OPTIONS.edgeitems) if array.size else array.ndim == 1


def _dtype_is_evident(dtype: dtypes.dtype, *, empty: bool) -> bool:
    default = dtypes.get_default_dtype()
    return dtype is default or (not empty and dtype in (default.to_complex(), dtypes.int64, dtypes.bool_))


def _with_suffixes(text: str, suffixes: list[str], indent: int) -> str:
    used = len(text) - text.rfind("\n") + 1
    for suffix in suffixes:
        if used + len(suffix) + 2 > PRINT_OPTIONS.linewidth:
            text += ",\n" + " " * indent + suffix
            used = indent + len(suffix)
        else:
            text += ", " + suffix
            used += len(suffix) + 2
    return text + ")"


def _contents(array: np.ndarray, indent: int) -> str:
    """The numbers in their brackets."""
    if array.size == 0:
        return "[]"
    keep = PRINT_OPTIONS.edgeitems
    cut = [array.size > PRINT_OPTIONS.threshold and length > 2 * keep for length in array.shape]
    for axis in range(array.ndim):
        if cut[axis]:
            array = np.delete(array, slice(keep, array.shape[axis] - keep), axis)
    cells, width = _cells(array)
    return _bracketed(np.array(cells, dtype=object).reshape(array.shape).tolist(), cut, indent, width)


def _bracketed(cells: Any, cut: list[bool], indent: int, width: int) -> str:
    """Nested ``cells`` as text, ``...`` in the middle of each axis that was ``cut``."""
    if not cut:
        return str(cells)
    edge = PRINT_OPTIONS.edgeitems
    outer, *inner = cut
    if inner:
        items = [_bracketed(row, inner, indent + 1, width) for row in cells]
        dots, per_line, line_break = "...", 1, "\n" * len(inner)
    else:
        items = list(cells)
        dots, per_line, line_break = " ...", max(1, (PRINT_OPTIONS.linewidth - indent) // (width + 2)), "\n"
    if outer:
        items.insert(edge, dots if edge else "...")
    lines = [", ".join(items[i : i + per_line]) for i in range(0, len(items), per_line)]
    return "[" + ("," + line_break + " " * (indent + 1)).join(lines) + "]"


def _cells(array: np.ndarray) -> tuple[list[str], int]:
    """Each element's text, aligned, and the width that line breaking counts for one."""
    if array.dtype.kind != "c":
        texts, width = _numbers(array)
        return [text.rjust(width) for text in texts], width
    reals, width = _numbers(array.real)
    imags, imag_width = _numbers(array.imag)
    signed = [imag if imag.startswith("-") else "+" + imag for imag in imags]
    cells = [f"{real.rjust(width)}{imag}j" for real, imag in zip(reals, signed, strict=True)]
    return cells, width + imag_width + len("j")


def _numbers(array: np.ndarray) -> tuple[list[str], int]:
    """Each real element's text and the width of the column, in which zeros, infs and nans don't count."""
    if array.dtype.kind in "biu":
        texts = [str(value) for value in array.ravel().tolist()]
        return texts, max(map(len, texts), default=1)
    with np.errstate(invalid="ignore"):  # a signalling nan is no cause for a warning here
        values = array.ravel().astype(np.float64)
    counted = np.isfinite(values) & (values != 0)
    texts = list(map(_style(abs(values[counted])), values.tolist()))
    return texts, max(map(len, compress(texts, counted)), default=1)


def _style(sizes: np.ndarray) -> Callable[[float], str]:
    """How to write numbers whose nonzero finite absolute values are ``sizes``."""
    if sizes.size and _exponents_help(float(sizes.min()), float(sizes.max())):
        return f"{{:.{PRINT_OPTIONS.precision}e}}".format
    if (sizes == np.ceil(sizes)).all():
        return lambda value: f"{value:.0f}." if math.isfinite(value) else str(value)
    return f"{{:.{PRINT_OPTIONS.precision}f}}".format


def _exponents_help(smallest: float, largest: float) -> bool:
    if PRINT_OPTIONS.sci_mode is not None:
        return PRINT_OPTIONS.sci_mode
    return largest / smallest > 1e3 or largest > 1e8 or smallest < 1e-4
