"""The road of the device: an op's pullback as one kernel, generated from its formulas."""

from collections.abc import Callable
from functools import lru_cache, reduce
from typing import Any

from ..backends import cuda
from ..dtypes import REDUCED, bool_, dtype, float32, promote_types
from ..dtypes import of as dtype_of
from ..op import Op
from .codegen import helpers, statements
from .expr import slot, slots, vjp


@lru_cache(maxsize=4096)
def body(op: Op, needed: tuple[int, ...], ctype: str, *, complex: bool) -> tuple[tuple[int, ...], str, tuple[str, ...]]:
    """What the cotangents of the operands ``needed`` read, the statements that compute them, and their helpers."""
    formulas = tuple(formula for i in needed if (formula := vjp(op, complex=complex)[i]) is not None)
    read = tuple(sorted(slots(*formulas)))
    lines, results = statements(formulas, {number: f"x{i}" for i, number in enumerate(read)}, ctype)
    text = "\n".join([*lines, *(f"out{i} = {result};" for i, result in enumerate(results))])
    return read, text, helpers(formulas)


def kernel_pullback(op: Op, *, complex: bool = False) -> Callable[[Any, Any], tuple[Any, ...]]:
    """The method ``pullback(self, g)`` of ``op``'s nodes on the device: one launch for all operands."""
    formulas = vjp(op, complex=complex)
    backend, cotangent = cuda(), slot(op.arity + 1)

    def pullback(self: Any, g: Any) -> tuple[Any, ...]:
        values = (*(self.unpack() or (None,) * (op.arity + 1)), g)
        dtypes = [dtype_of(v.dtype) if hasattr(v, "dtype") else None for v in values]
        result: dtype = reduce(promote_types, filter(None, dtypes))
        if complex:
            result = result.to_complex()
        computed = float32 if result in REDUCED else result
        parts = [
            g if p is not None and formula is cotangent else None
            for p, formula in zip(self.parents, formulas, strict=False)
        ]
        needed = tuple(i for i, p in enumerate(self.parents) if p is not None and formulas[i] not in (None, cotangent))
        if needed:
            read, text, called = body(op, needed, backend.ctype(computed), complex=complex)
            made = backend.launch(
                f"bwd_{op.name}",
                [values[i] for i in read],
                [dtypes[i] or computed for i in read],
                [bool_ if i in op.conditions else computed for i in read],
                [result] * len(needed),
                text,
                helpers=called,
            )
            for i, part in zip(needed, made if isinstance(made, tuple) else (made,), strict=True):
                parts[i] = part
        return tuple(parts) if self.fit is None else self.fitted(tuple(parts))

    return pullback
