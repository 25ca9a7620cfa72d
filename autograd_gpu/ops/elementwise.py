"""Elementwise operations, one row each: arithmetic, rounding and signs.

A row's formulas are PyTorch's (tools/autograd/derivatives.yaml and torch/csrc/autograd/FunctionsManual.cpp),
at ties and edges, too. ``where(c, x, 0)`` lets nothing through where c is False, not even nan.
"""

import builtins
from typing import Any

import numpy as np

from ..dtypes import BOOL, COMPLEX, FLOAT, INT, of_scalar
from ..errors import DtypeError
from ..op import NUMBER, REAL, Op
from . import _cuda, _special
from .choices import no_complex, where
from .complex import conj, real, times_i
from .logic import eq

BOOL_IN_SUB = (
    "Subtraction, the `-` operator, with a bool tensor is not supported. If you are trying to invert a mask, use the "
    "`~` or `logical_not()` operator instead."
)
BOOLS_IN_SUB = {
    BOOL: "Subtraction, the `-` operator, with two bool tensors is not supported. Use the `^` or `logical_xor()` "
    "operator instead."
}
BOOL_IN_NEG = {BOOL: BOOL_IN_SUB.replace("Subtraction", "Negation").replace("with", "on")}
REALS = (INT, FLOAT)
FLOATING = (FLOAT, COMPLEX)


def _check_alpha(input: Any, other: Any, alpha: float) -> None:
    """Raise unless ``alpha`` is a number of the result's kind."""
    kind = max(t.dtype.category if hasattr(t, "dtype") else of_scalar(t).category for t in (input, other))
    if isinstance(alpha, bool) and kind != BOOL:
        raise DtypeError("Boolean alpha only supported for Boolean results.")
    if isinstance(alpha, float) and kind < FLOAT:
        raise DtypeError("For integral input tensors, argument alpha must not be a floating point number.")
    if isinstance(alpha, builtins.complex) and kind != COMPLEX:
        raise DtypeError("For non-complex input tensors, argument alpha must not be a complex number.")


_TYPE_NAMES = {"int64": "long", "float32": "float", "float64": "double", "complex64": "c10::complex<float>",
               "complex128": "c10::complex<double>", "float16": "c10::Half", "bfloat16": "c10::BFloat16"}  # fmt: skip


def _check_dtypes(input: Any, end: Any, weight: Any) -> None:
    """Raise unless the tensors have one dtype, a floating one."""
    lerp.refuse(input.dtype)
    for name, other in ("end", end), ("weight", weight):
        if hasattr(other, "dtype") and other.dtype is not input.dtype:
            expected, got = (_TYPE_NAMES.get(t.dtype.name, t.dtype.name) for t in (input, other))
            raise DtypeError(f"expected dtype {expected} for `{name}` but got dtype {got}")


# fmt: off
# name, arguments, CUDA, partials, shown in the docs

# --- arithmetic -----------------------------------------------------------------------------------

add = Op("add", "input, other", "{0} + {1}", lambda a, b, y: (1, 1), "input + other", numpy=np.add, public=False)
sub = Op("sub", "input, other", "{0} - {1}", lambda a, b, y: (1, -1), "input - other", numpy=np.subtract,
         takes=NUMBER, refusals=BOOLS_IN_SUB, mixed=BOOL_IN_SUB, public=False)
rsub = Op("rsub", "input, other", "{1} - {0}", lambda a, b, y: (-1, 1), "other - input", numpy=_special.rsub,
          takes=NUMBER, refusals=BOOLS_IN_SUB, mixed=BOOL_IN_SUB, nodes={(1,): "RsubBackward1"}, public=False)
mul = Op("mul", "input, other", "{0} * {1}", lambda a, b, y: (b, a), "input · other", numpy=np.multiply,
         aliases=("multiply",))
div = Op("div", "input, other", "{0} / {1}", lambda a, b, y: (1 / b, -(a / b) / b), "input / other", numpy=np.divide,
         result="float", domain=(0.5, 2), public=False)

add_scaled = Op("add_scaled", "input, other, alpha", "{0} + {2} * {1}", lambda a, b, c, y: (1, c, None),
                "input + alpha · other", numpy=_special.add_scaled, check_dtypes=_check_alpha,
                 numbers=(2,), node=add.node, title="add", public=False)
sub_scaled = Op("sub_scaled", "input, other, alpha", "{0} - {2} * {1}", lambda a, b, c, y: (1, -c, None),
                "input - alpha · other", numpy=_special.sub_scaled, check_dtypes=_check_alpha,
                 takes=NUMBER, refusals=BOOLS_IN_SUB,
                mixed=BOOL_IN_SUB, numbers=(2,), node=sub.node, title="sub", public=False)
rsub_scaled = Op("rsub_scaled", "input, other, alpha", "{1} - {2} * {0}", lambda a, b, c, y: (-c, 1, None),
                 "other - alpha · input", numpy=_special.rsub_scaled, check_dtypes=_check_alpha,
                  takes=NUMBER, refusals=BOOLS_IN_SUB,
                 mixed=BOOL_IN_SUB, numbers=(2,), node=rsub.node, nodes={(1,): "RsubBackward1"}, title="rsub", public=False)
addcmul = Op("addcmul", "input, tensor1, tensor2, value=1", "{0} + {3} * {1} * {2}",
             lambda a, b, c, v, y: (1, c * v, b * v, None), "input + value · tensor1 · tensor2",
             numpy=_special.addcmul, takes=NUMBER, numbers=(3,))
addcdiv = Op("addcdiv", "input, tensor1, tensor2, value=1", "{0} + {3} * {1} / {2}",
             lambda a, b, c, v, y: (1, v / c, -(v * b / (c * c)), None), "input + value · tensor1 / tensor2",
             numpy=_special.addcdiv, takes=FLOATING, numbers=(3,), domain=(0.5, 2), refusals={INT: (
                 "Integer division with addcdiv is no longer supported, and in a future  release addcdiv will perform "
                 "a true division of tensor1 and tensor2. The historic addcdiv behavior can be implemented as (input + "
                 "value * torch.trunc(tensor1 / tensor2)).to(input.dtype) for integer inputs and as (input + value * "
                 "tensor1 / tensor2) for float inputs. The future addcdiv behavior is just the latter implementation: "
                 "(input + value * tensor1 / tensor2), for all dtypes.")})
lerp = Op("lerp", "input, end, weight",
          "abs({2}) < 0.5 ? {0} + {2} * ({1} - {0}) : {1} - ({1} - {0}) * (decltype({2})(1) - {2})",
          lambda a, b, w, y: (1 - w, w, b - a), "input + weight · (end - input)", numpy=_special.lerp,
          takes=FLOATING, node="LerpBackward1", nodes={(2,): "LerpBackward0"}, check_dtypes=_check_dtypes)

neg = Op("neg", "input", "-{0}", lambda x, y: (-1,), "-input", numpy=np.negative, takes=NUMBER, refusals=BOOL_IN_NEG,
         aliases=("negative",))
reciprocal = Op("reciprocal", "input", "decltype({0})(1) / {0}", lambda x, y: (-(y * y),), "1 / input",
                numpy=np.reciprocal, result="float", domain=(0.5, 2))
square = Op("square", "input", "{0} * {0}", lambda x, y: (2 * x,), "input²", numpy=np.square, takes=NUMBER,
            node="PowBackward0", public=False)

# floor_divide has no gradient in PyTorch; that of div(rounding_mode=) is 0.
floor_divide = Op("floor_divide", "input, other", "floor_quotient({0}, {1})", NotImplemented,
                  "input / other, rounded down", numpy=_special.floor_divide, takes=REALS, domain=(0.5, 2),
                  helpers=(_cuda.DIVIDE,), nodes={(1,): "NotImplemented"})
div_floor = Op("div_floor", "input, other", "floor_quotient({0}, {1})", lambda a, b, y: (0, 0),
               "input / other, rounded down", numpy=_special.floor_divide, takes=REALS, domain=(0.5, 2),
               helpers=(_cuda.DIVIDE,), node="DivBackward2", title="div", public=False)
div_trunc = Op("div_trunc", "input, other", "trunc_quotient({0}, {1})", lambda a, b, y: (0, 0),
               "input / other, rounded towards 0", numpy=_special.trunc_divide, takes=REALS, domain=(0.5, 2),
               helpers=(_cuda.DIVIDE,), node="DivBackward2", title="div", public=False)
remainder = Op("remainder", "input, other", "floor_remainder({0}, {1})", lambda a, b, y: (1, -div_floor(a, b)),
               "input - other · floor(input / other)", numpy=_special.remainder, takes=REALS, domain=(0.5, 2),
               helpers=(_cuda.DIVIDE,), node="RemainderBackward1", nodes={(1,): "RemainderBackward0"})
fmod = Op("fmod", "input, other", "left_over({0}, {1})", lambda a, b, y: (1, -div_trunc(a, b)),
          "input - other · trunc(input / other)", numpy=_special.fmod, takes=REALS, domain=(0.5, 2),
          helpers=(_cuda.DIVIDE,), node="FmodBackward1", nodes={(1,): "FmodBackward0"})

# --- rounding -------------------------------------------------------------------------------------

floor = Op("floor", "input", "floored({0})", lambda x, y: (0,), "the integer at or below input", numpy=np.floor,
           takes=REALS, refusals=no_complex("floor is not supported for complex inputs"), helpers=(_cuda.FLOOR,))
ceil = Op("ceil", "input", "ceiled({0})", lambda x, y: (0,), "the integer at or above input", numpy=np.ceil,
          takes=REALS, refusals=no_complex("ceil is not supported for complex inputs"), helpers=(_cuda.CEIL,))
trunc = Op("trunc", "input", "truncated({0})", lambda x, y: (0,), "input without its fraction", numpy=np.trunc,
           takes=REALS, refusals=no_complex("trunc is not supported for complex inputs"), helpers=(_cuda.FLOOR,),
           aliases=("fix",))
round = Op("round", "input", "rounded({0})", lambda x, y: (0,), "the nearest integer; of two the even one",
           numpy=_special.rounded, takes=REALS, helpers=(_cuda.ROUND,), public=False)
round_to = Op("round_to", "input, decimals", "rounded_to({0}, {1})", lambda x, n, y: (0, None),
              "input rounded to decimals after the point", numpy=_special.rounded_to, takes=(FLOAT,), numbers=(1,),
              refusals={INT: '"round_cpu" not implemented for {dtype!r}'}, helpers=(_cuda.ROUND,),
              node="RoundBackward1", title="round", public=False)
frac = Op("frac", "input", "{0} - trunc({0})", lambda x, y: (1,), "the fraction of input, with its sign",
          numpy=_special.frac, takes=(FLOAT,))

# --- signs ----------------------------------------------------------------------------------------

sign = Op("sign", "input", "unit({0})", lambda x, y: (0,), "-1, 0 or 1", numpy=_special.sign, takes=REAL,
          helpers=(_cuda.SIGN,), refusals=no_complex(
              "Unlike NumPy, torch.sign is not intended to support complex numbers. Please use torch.sgn instead."))
sgn = Op("sgn", "input", "unit({0})", lambda x, y: (0,), "input / |input|, 0 at 0", numpy=_special.sgn,
         helpers=(_cuda.SIGN,),
         complex_vjp=lambda g, z, y: (where(eq(z, 0), 0, (g - real(g * conj(y)) * y) / abs(z)),))
abs: Op = Op("abs", "input", "abs({0})", lambda x, y: (sgn(x),), "absolute value of input", numpy=np.absolute,
         result="real", takes=NUMBER, complex_vjp=lambda g, z, y: (g * sgn(z),), aliases=("absolute",))
angle = Op("angle", "input", "angle({0})", lambda x, y: (0,), "the angle of input in the complex plane, in radians",
           numpy=_special.angle, result="real float", helpers=(_cuda.ANGLE,), in_place=False,
           complex_vjp=lambda g, z, y: (where(eq(z, 0), 0, times_i(g * z / (z * conj(z)))),))
# fmt: on
