"""Elementwise operations made by users, of formulas or of CUDA code: one kernel on CuPy, one function on NumPy."""

import re
import zlib
from collections.abc import Callable
from functools import cache, lru_cache
from inspect import Parameter, Signature
from typing import Any

import numpy as np

from ..dtypes import COMPLEX, dtype
from ..errors import DeviceError, DtypeError
from ..op import ANY, REAL, TABLE, Op, node_name
from .codegen import helpers, statements
from .expr import Expr, fold, slot, slots, substitute
from .grow import evaluate
from .reverse import Cotangents, cotangents, real_parts
from .text import texts

LONGEST = 200  # operations of a formula that is shown


class Elementwise(Op):
    """An elementwise operation of a user's, called with Tensors, numbers or arrays, by position or by name.

    Integers are computed in the default floating dtype. ``formula`` is None where it is CUDA code.
    """

    formula: Expr | None = None
    is_real = False  # the result, even of complex operands

    def __init__(
        self, name: str, operands: tuple[str, ...], text: str, derivatives: Cotangents | None, **row: Any
    ) -> None:
        rule = _rule(name, operands, derivatives)
        super().__init__(name, ", ".join(operands), partials=rule, doc=text, entered=False, **row)
        self.text = text
        self.__name__ = self.__qualname__ = self.title
        self.__signature__ = Signature([Parameter(operand, Parameter.POSITIONAL_OR_KEYWORD) for operand in operands])
        self.describe("Derivatives:", "d/d{} = {}", derivatives or ())

    def describe(self, title: str, form: str, derivatives: Cotangents) -> None:
        """Make the docstring, which shows ``derivatives``, formulas of the operands and of ``g``."""
        rows = [
            form.format(name, _text(d, (*self.operands, "g")))
            for name, d in zip(self.operands, derivatives, strict=False)
            if d is not None
        ]
        more = "\n    ".join([title, *rows]) if rows else "It has no derivatives."
        self.__doc__ = f"{self.text}, elementwise; operands broadcast.\n\n{more}"

    def __call__(self, *operands: Any, out: Any = None, **named: Any) -> Any:
        if named or len(operands) != self.arity:
            try:
                operands = self.__signature__.bind(*operands, **named).args
            except TypeError as error:
                raise TypeError(f"{self.title}({', '.join(self.operands)}): {error}, got {len(operands)}") from None
        return super().__call__(*operands, out=out)

    def gives(self, computed: dtype) -> dtype:
        return computed.to_real() if self.is_real else super().gives(computed)

    @property
    def underivable(self) -> str:
        return f"{self.title}() has no derivative: {self.text} " + (
            "has an operation that has none" if self.formula else "is CUDA code, give elementwise() partials="
        )

    def __repr__(self) -> str:
        return f"<elementwise {self.title}({', '.join(self.operands)}) = {self.text}>"


def _text(formula: Expr, names: tuple[str, ...]) -> str:
    """``formula`` as text, if that has a readable length: what is shared is written out each time."""
    (length,) = fold((formula,), var=lambda _: 0, const=lambda _: 0, call=lambda _, *args: 1 + sum(args))
    return f"… ({length} operations)" if length > LONGEST else str(*texts((formula,), names))


def _rule(name: str, operands: tuple[str, ...], derivatives: Cotangents | None) -> Any:
    """The ``partials`` of an operation whose derivatives are formulas of its operands alone."""
    if derivatives is None:
        return NotImplemented
    if not any(derivatives):
        return None
    return lambda *symbols: tuple(
        None if d is None else _called(f"{name}_d{operand}", operands, d, symbols)
        for operand, d in zip(operands, derivatives, strict=True)
    )


def _called(name: str, operands: tuple[str, ...], formula: Expr, symbols: tuple[Any, ...]) -> Any:
    """``formula`` of ``symbols``: as one operation, so that its derivatives are as good as those of the whole."""
    used = sorted(slots(formula))
    if not used or all(arg.op in (int, float) for arg in formula.args if isinstance(arg, Expr)):
        return evaluate((formula,), symbols)[0]
    known = {slot(i): slot(place) for place, i in enumerate(used)}
    inner = of_formula(substitute(formula, known), tuple(operands[i] for i in used), name)
    return inner(*(symbols[i] for i in used))


@lru_cache(maxsize=1024)
def of_formula(formula: Expr, operands: tuple[str, ...], name: str | None) -> Elementwise:
    """The operation that computes ``formula`` of ``operands``; its derivatives follow."""
    arity = len(operands)
    real = real_parts(formula)
    used: list[Op] = [node.op for node in real if isinstance(node.op, Op)]
    complex_only = TABLE.times_i in used
    of_reals = [
        node.op
        for node in real
        if isinstance(node.op, Op) and COMPLEX not in node.op.takes and not all(map(real.get, node.args))
    ]
    name = name or "_".join(list(dict.fromkeys(op.title for op in used))[:4]) or "copy"
    if of_reals and complex_only:
        raise DtypeError(
            f"{name}: {of_reals[0].name} does not take complex numbers: take real(…), imag(…) or abs(…) of them"
        )
    lines, (value,) = statements((formula,), {i: f"x{i}" for i in range(arity)}, "R")
    row = _cuda_row(name, [f"x{i}" for i in range(arity)], lines, value, helpers((formula,)))

    def complex_vjp(g: Any, *symbols: Any) -> tuple[Any, ...]:
        names = (*operands, "g_" if "g" in operands else "g")
        return tuple(
            None if part is None else _called(f"{name}_d{operand}", names, part, (*symbols[:-1], g))
            for operand, part in zip(operands, conjugates(), strict=True)
        )

    @cache
    def conjugates() -> Cotangents:
        return cotangents(formula, arity, slot(arity), complex=True)

    derivable = all(op.partials is not NotImplemented for op in used)
    made = Elementwise(
        name, operands, _text(formula, operands), cotangents(formula, arity) if derivable else None, **row,
        numpy=_numpy_function(formula, arity), complex_vjp=complex_vjp, takes=REAL if of_reals else ANY,
        result="complex" if complex_only else "float",
        refusals={COMPLEX: f"{name}: {of_reals[0].name} does not take complex numbers"} if of_reals else {},
    )  # fmt: skip
    made.formula, made.is_real = formula, real[formula]
    if complex_only:
        made.describe("Cotangents, where g is that of the result:", "d {} = {}", conjugates())
    return made


def of_cuda(
    code: str,
    operands: tuple[str, ...],
    name: str,
    derivatives: Cotangents | None,
    numpy: Callable[..., Any] | None,
    preamble: str,
) -> Elementwise:
    """The operation of the CUDA C expression ``code`` of ``operands``."""

    def missing(*_: Any) -> Any:
        raise DeviceError(f"{name}() has CUDA code alone: move its operands with .cuda(), or give elementwise() numpy=")

    row = _cuda_row(name, list(operands), [], code, (preamble,) if preamble else ())
    return Elementwise(
        row["cuda"].partition("(")[0], operands, code, derivatives, **row, numpy=numpy or missing, result="float",
        title=name, node=node_name(name), takes=REAL,
        refusals={COMPLEX: f"{name}: CUDA code is of real numbers; for complex ones write a formula"},
    )  # fmt: skip


def _cuda_row(name: str, names: list[str], lines: list[str], value: str, called: tuple[str, ...]) -> dict[str, Any]:
    """The CUDA columns of a record: a call, and the function that is called."""
    total = " + ".join(names)
    body = "\n    ".join([*lines, f"return {value};"])
    if "R(" in body:
        body = f"using R = decltype(abs({total}));\n    {body}"
    types = ", ".join(f"typename T{i}" for i in range(len(names)))
    arguments = ", ".join(f"T{i} {argument}" for i, argument in enumerate(names))
    text = f"({arguments}) {{\n    {body}\n}}\n"
    function = f"{re.sub('[^A-Za-z0-9_]', '_', name)}_{zlib.crc32(text.encode()):08x}"
    called = (*called, f"template <{types}> __device__ auto {function}{text}")
    return {"cuda": f"{function}({', '.join(f'{{{i}}}' for i in range(len(names)))})", "helpers": called}


def _numpy_function(formula: Expr, arity: int) -> Callable[..., Any]:
    """``formula`` as a function of NumPy arrays: one call an operation."""

    @cache
    def compiled(real: np.dtype) -> Any:
        lines: list[str] = []
        namespace: dict[str, Any] = {}

        def let_constant(value: float) -> str:
            namespace[name := f"k{len(namespace)}"] = real.type(value)
            return name

        def let(op: Op, *args: str) -> str:
            namespace[name := f"f{len(namespace)}"] = op.numpy
            lines.append(f"    t{len(lines)} = {name}({', '.join(args)})")
            return f"t{len(lines) - 1}"

        names = [f"x{i}" for i in range(arity)]
        (value,) = fold((formula,), var=names.__getitem__, const=let_constant, call=let)
        source = "\n".join([f"def function({', '.join(names)}):", *lines, f"    return {value}"])
        exec(compile(source, "<formula>", "exec"), namespace)  # noqa: S102  our own text
        return namespace["function"]

    made: dict[tuple[Any, ...], Any] = {}

    def function(*arrays: Any) -> Any:
        key = tuple([getattr(array, "dtype", None) for array in arrays])
        if (run := made.get(key)) is None:
            found = np.result_type(*filter(None, key))
            run = made[key] = compiled(np.dtype(found.char.lower()) if found.kind in "fc" else np.dtype(float))
        return run(*arrays)

    return function
