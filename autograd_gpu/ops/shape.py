"""Shapes: views and copies of the same elements in another arrangement."""

from math import prod
from typing import Any

from ..backends import of
from ..errors import ShapeError
from ..op import TABLE, ArrayOp, public
from ..shapes import size_args

# fmt: off
ArrayOp("reshape", "input", lambda x, size: x.reshape(size),
        lambda g, shape: TABLE.reshape(g, size=shape),
        "the elements in another shape", view=True, node="ViewBackward0")
ArrayOp("expand", "input", lambda x, size: of(x).xp.broadcast_to(x, size),
        lambda g, shape: TABLE.sum_to_size(g, size=shape),
        "axes of size 1 repeated to size, without a copy", view=True)
# fmt: on


def known_size(size: tuple[int, ...], numel: int) -> tuple[int, ...]:
    """``size`` with its -1 filled in; ShapeError if ``numel`` elements do not have it."""
    known = prod(n for n in size if n != -1)
    if size.count(-1) > 1:
        raise ShapeError("only one dimension can be inferred")
    if (numel % known if known and -1 in size else -1 not in size and numel != known) or (not known and -1 in size):
        raise ShapeError(f"shape '{list(size)}' is invalid for input of size {numel}")
    return tuple(numel // known if n == -1 else n for n in size)


@public
def reshape(input: Any, *shape: Any) -> Any:
    """The elements in another shape: a view where the strides allow one, else a copy. One size may be -1."""
    return TABLE.reshape(input, size=known_size(size_args(shape), prod(input.shape)))
