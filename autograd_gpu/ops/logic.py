"""Elementwise operations on truth values and bits: comparisons, predicates, logic; and whether tensors are close."""

from typing import Any

import numpy as np

from ..dtypes import COMPLEX, INT
from ..errors import DtypeError
from ..op import ANY, INTEGRAL, REAL, TABLE, Op, public
from . import _cuda, _special

# --- comparisons ----------------------------------------------------------------------------------


def _comparison(name: str, sign: str, ufunc: np.ufunc, *aliases: str, takes: tuple[int, ...] = REAL) -> Op:
    cuda, doc = f"{{0}} {sign} {{1}}", f"input {sign} other"
    return Op(name, "input, other", cuda, None, doc, numpy=ufunc, result="bool", takes=takes, aliases=aliases)


# fmt: off
eq = _comparison("eq", "==", np.equal, takes=ANY)
ne = _comparison("ne", "!=", np.not_equal, "not_equal", takes=ANY)
lt = _comparison("lt", "<", np.less, "less")
le = _comparison("le", "<=", np.less_equal, "less_equal")
gt = _comparison("gt", ">", np.greater, "greater")
ge = _comparison("ge", ">=", np.greater_equal, "greater_equal")
# fmt: on

# --- logic ----------------------------------------------------------------------------------------

# What differs from 0 is true, nan, too. Complex numbers do not compare with ints in CUDA.
TRUE = "({%d} != decltype({%d})(0))"


def _logical(name: str, cuda: str, ufunc: np.ufunc, doc: str) -> Op:
    """``cuda`` is about the truth values ``{0}`` and ``{1}`` of the operands."""
    signature = ", ".join(["input", "other"][: ufunc.nin])
    truths = [TRUE % (i, i) for i in range(ufunc.nin)]
    return Op(name, signature, cuda.format(*truths), None, doc, numpy=ufunc, result="bool")


logical_and = _logical("logical_and", "{0} && {1}", np.logical_and, "whether input and other are true (not 0)")
logical_or = _logical("logical_or", "{0} || {1}", np.logical_or, "whether input or other is true (not 0)")
logical_xor = _logical("logical_xor", "{0} != {1}", np.logical_xor, "whether one of input and other is true")
logical_not = _logical("logical_not", "!{0}", np.logical_not, "whether input is false (0)")


def _bitwise(name: str, cuda: str, ufunc: np.ufunc, doc: str) -> Op:
    signature = ", ".join(["input", "other"][: ufunc.nin])
    return Op(name, signature, cuda, None, doc, numpy=ufunc, takes=INTEGRAL)


def _shift(name: str, cuda: str, ufunc: np.ufunc, kernel: str, doc: str) -> Op:
    refusals = dict.fromkeys(ANY, f'"{kernel}_cpu" not implemented for {{dtype!r}}')
    return Op(
        name, "input, other", cuda, None, doc,
        numpy=ufunc, takes=(INT,), refusals=refusals, helpers=(_cuda.SHIFT,),
    )  # fmt: skip


bitwise_and = _bitwise("bitwise_and", "{0} & {1}", np.bitwise_and, "input & other, bit by bit")
bitwise_or = _bitwise("bitwise_or", "{0} | {1}", np.bitwise_or, "input | other, bit by bit")
bitwise_xor = _bitwise("bitwise_xor", "{0} ^ {1}", np.bitwise_xor, "input ^ other, bit by bit")
bitwise_not = _bitwise("bitwise_not", "{0} ^ decltype({0})(-1)", np.invert, "~input: of bools, not input")
_shift("bitwise_left_shift", "shift_left({0}, {1})", np.left_shift, "lshift", "input << other")
_shift("bitwise_right_shift", "shift_right({0}, {1})", np.right_shift, "rshift", "input >> other")

# --- predicates -----------------------------------------------------------------------------------


def _predicate(name: str, cuda: str, function: Any, doc: str, *helpers: str, refusal: str = "") -> Op:
    """Of real numbers alone where a ``refusal`` of complex ones is given."""
    takes, refusals = (REAL, {COMPLEX: refusal}) if refusal else (ANY, {})
    return Op(
        name, "input", cuda, None, doc,
        numpy=function, result="bool", takes=takes, refusals=refusals, helpers=helpers, in_place=False,
    )  # fmt: skip


isnan = _predicate("isnan", "{0} != {0}", np.isnan, "whether input is nan")
isfinite = _predicate(
    "isfinite", "({0} - {0}) == decltype({0} - {0})(0)", np.isfinite, "whether input is neither infinite nor nan"
)
isinf = _predicate("isinf", "infinite({0})", np.isinf, "whether input is infinite", _cuda.INFINITE)
isposinf = _predicate(
    "isposinf", "{0} > 0 && infinite({0})", _special.isposinf, "whether input is inf",
    _cuda.INFINITE, refusal="isposinf does not support complex inputs.",
)  # fmt: skip
isneginf = _predicate(
    "isneginf", "{0} < 0 && infinite({0})", _special.isneginf, "whether input is -inf",
    _cuda.INFINITE, refusal="isneginf does not support complex inputs.",
)  # fmt: skip
isreal = _predicate("isreal", "is_real({0})", np.isreal, "whether input has no imaginary part", _cuda.IS_REAL)
signbit = _predicate(
    "signbit", "sign_bit({0})", np.signbit, "whether input has a minus sign, as -0 has",
    _cuda.SIGN_BIT, refusal="signbit is not implemented for complex tensors.",
)  # fmt: skip

# --- of whole tensors -----------------------------------------------------------------------------


@public
def isclose(input: Any, other: Any, rtol: float = 1e-05, atol: float = 1e-08, equal_nan: bool = False) -> Any:
    """Whether ``abs(input - other) <= atol + rtol * abs(other)``, elementwise; infinities must be equal.

    RuntimeError if the dtypes differ or a tolerance is negative. Source: torch.isclose.
    """
    if input.dtype is not other.dtype:
        raise DtypeError(f"{input.dtype.scalar_name} did not match {other.dtype.scalar_name}")
    for name, tolerance in ("rtol", rtol), ("atol", atol):
        if not tolerance >= 0:
            raise RuntimeError(f"{name} must be greater than or equal to zero, but got {tolerance:g}")
    input, other = input.detach(), other.detach()
    close = eq(input, other)
    if equal_nan:
        close = logical_or(close, logical_and(isnan(input), isnan(other)))
    if rtol == atol == 0:
        return close
    error = TABLE.abs(TABLE.sub(TABLE.mul(input, 1.0), TABLE.mul(other, 1.0)))  # 1.0: of integers, too
    allowed = TABLE.add(TABLE.abs(TABLE.mul(other, rtol)), atol)
    return logical_or(close, logical_and(isfinite(error), le(error, allowed)))


@public
def allclose(input: Any, other: Any, rtol: float = 1e-05, atol: float = 1e-08, equal_nan: bool = False) -> bool:
    """Whether all elements are close, see ``isclose``. Source: torch.allclose."""
    return bool(isclose(input, other, rtol, atol, equal_nan).array.all())


@public
def equal(input: Any, other: Any) -> bool:
    """Whether both tensors have the same size and elements. Source: torch.equal."""
    return input.shape == other.shape and bool(eq(input.detach(), other.detach()).array.all())
