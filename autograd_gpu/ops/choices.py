"""Elementwise operations that choose: where, extremes, clamp, nan_to_num, heaviside, copysign."""

from typing import Any

import numpy as np

from ..dtypes import COMPLEX, FLOAT, INT, bool_, uint8
from ..errors import DtypeError
from ..op import REAL, Op
from . import _cuda, _special
from .logic import eq, ge, gt, isfinite, isnan, le, logical_and, logical_or, lt


def no_complex(sentence: str) -> dict[int, str]:
    """What to say of complex operands."""
    return {COMPLEX: sentence}


def _check_condition(condition: Any, *_: Any) -> None:
    if condition.dtype not in (bool_, uint8):
        raise DtypeError(
            "where expected condition to be a boolean tensor, but got a tensor with dtype "
            f"{condition.dtype.scalar_name}"
        )


def _check_same_dtype(input: Any, values: Any) -> None:
    if input.dtype is not values.dtype:
        raise DtypeError("heaviside is not yet implemented for tensors with different dtypes.")


# fmt: off
zero = Op("zero", "input", "decltype({0})(0)", None, "0", numpy=np.zeros_like, public=False)
stopped = Op("stopped", "input", "{0}", None, "input, through which no gradient goes", numpy=np.copy, public=False)
where: Op = Op("where", "condition, input, other", "{0} ? {1} : {2}",
           lambda c, a, b, y: (None, where(c, 1, 0), where(c, 0, 1)), "input where condition, else other",
           numpy=np.where, conditions=(0,), check_dtypes=_check_condition, public=False)
# fmt: on

# --- extremes -------------------------------------------------------------------------------------


def _extreme(name: str, sign: str, ufunc: np.ufunc, lost: Op, doc: str) -> Op:
    """The larger or smaller of two: a tie gives half of the gradient to each, as PyTorch does; nan wins."""

    def share(a: Any, b: Any) -> Any:
        return where(lost(a, b), 0, where(eq(a, b), 0.5, 1))

    return Op(
        name, "input, other", f"{{0}} != {{0}} || {{0}} {sign} {{1}} ? {{0}} : {{1}}",
        lambda a, b, y: (share(a, b), share(b, a)), doc,
        numpy=ufunc, takes=REAL, refusals=no_complex(f"{name} not implemented for complex tensors."), in_place=False,
    )  # fmt: skip


def _number_extreme(name: str, sign: str, ufunc: np.ufunc, wins: Op, doc: str) -> Op:
    """The larger or smaller of two, of which nan loses; a tie is the first one's."""

    def partials(a: Any, b: Any, _: Any) -> tuple[Any, Any]:
        first = logical_or(wins(a, b), isnan(b))
        return where(first, 1, 0), where(first, 0, 1)

    return Op(
        name, "input, other", f"{{1}} != {{1}} || {{0}} {sign} {{1}} ? {{0}} : {{1}}", partials, doc,
        numpy=ufunc, takes=REAL, refusals=no_complex(f"{name} not implemented for complex tensors."), in_place=False,
    )  # fmt: skip


def _bounded(name: str, bound: str, sign: str, nodes: tuple[str, str], **more: Any) -> Op:
    """``input`` bounded on one side; at the bound the gradient is input's. ``nodes``: for a tensor, for a number."""
    ufunc, inside, outside = (np.maximum, ge, lt) if bound == "min" else (np.minimum, le, gt)
    return Op(
        name, f"input, {bound}", f"{{0}} != {{0}} || {{0}} {sign} {{1}} ? {{0}} : {{1}}",
        lambda x, m, y: (where(inside(x, m), 1, 0), where(outside(x, m), 1, 0)), f"input, but {sign} {bound}",
        numpy=ufunc, takes=REAL, refusals=no_complex("clamp is not supported for complex types"),
        node=nodes[0], nodes={(1,): nodes[1]}, **more,
    )  # fmt: skip


maximum = _extreme("maximum", ">=", np.maximum, lt, "the larger one; nan if one is nan")
minimum = _extreme("minimum", "<=", np.minimum, gt, "the smaller one; nan if one is nan")
fmax = _number_extreme("fmax", ">=", np.fmax, ge, "the larger one; the other if one is nan")
fmin = _number_extreme("fmin", "<=", np.fmin, le, "the smaller one; the other if one is nan")

CLAMP = "ClampBackward0", "ClampBackward1"
clamp_min = _bounded("clamp_min", "min", ">=", ("ClampMinBackward1", "ClampMinBackward0"))
clamp_max = _bounded("clamp_max", "max", "<=", ("ClampMaxBackward1", "ClampMaxBackward0"))
clamp_from_below = _bounded("clamp_from_below", "min", ">=", CLAMP, title="clamp", public=False)
clamp_from_above = _bounded("clamp_from_above", "max", "<=", CLAMP, title="clamp", public=False)

# fmt: off
clamp = Op("clamp", "input, min, max",
           "{0} != {0} ? {0} : {1} != {1} ? {1} : {2} != {2} ? {2} "
           ": ({0} > {1} ? {0} : {1}) < {2} ? ({0} > {1} ? {0} : {1}) : {2}",
           lambda x, low, high, y: (
               where(logical_and(x >= low, x <= high), 1, 0),
               where(logical_and(x < low, low < high), 1, 0),
               where(logical_or(x > high, high < low), 1, 0),
           ),
           "input, but >= min and then <= max", numpy=_special.clamp, takes=(INT, FLOAT),
           refusals=no_complex("clamp is not supported for complex types"),
           node=CLAMP[0], nodes={(1, 2): CLAMP[1]}, public=False)

# --- special values -------------------------------------------------------------------------------

copysign = Op("copysign", "input, other", "copysign({0}, {1})", lambda x, s, y: (where(eq(x, 0), 0, y / x), 0),
              "input with the sign of other", numpy=np.copysign, result="float", takes=REAL,
              nodes={(1,): "CopysignBackward1"})
heaviside = Op("heaviside", "input, values", "{0} == 0 ? {1} : decltype({1})({0} > 0)", NotImplemented,
               "0 below 0, 1 above, values at 0", numpy=_special.heaviside, takes=REAL, check_dtypes=_check_same_dtype,
               refusals=no_complex("heaviside is not yet implemented for complex tensors."))
nan_to_num = Op("nan_to_num", "input, nan, posinf, neginf", "without_nan({0}, {1}, {2}, {3})",
                lambda x, n, p, q, y: (where(isfinite(x), 1, 0), None, None, None),
                "input with numbers for nan, inf and -inf", numpy=_special.nan_to_num, numbers=(1, 2, 3),
                helpers=(_cuda.NAN_TO_NUM,), public=False)
# fmt: on
