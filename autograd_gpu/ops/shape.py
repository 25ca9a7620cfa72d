"""Shapes: views and copies of the same elements in another arrangement."""

from ..backends import of
from ..op import TABLE, ArrayOp

# fmt: off
ArrayOp("reshape", "input", lambda x, size: x.reshape(size),
        lambda g, shape: TABLE.reshape(g, size=shape),
        "the elements in another shape", view=True, node="ViewBackward0")
ArrayOp("expand", "input", lambda x, size: of(x).xp.broadcast_to(x, size),
        lambda g, shape: TABLE.sum_to_size(g, size=shape),
        "axes of size 1 repeated to size, without a copy", view=True)
