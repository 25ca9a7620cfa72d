"""Elementwise operations, one row each: arithmetic, rounding, signs and extremes.

A row's formulas are PyTorch's (tools/autograd/derivatives.yaml and torch/csrc/autograd/FunctionsManual.cpp),
at ties and edges, too. ``where(c, x, 0)`` lets nothing through where c is False, not even nan.
"""

import numpy as np

from ..op import BOOL, COMPLEX, FLOAT, INT, NUMBER, REAL, Op
from . import _cuda, _special
from .logic import eq, isfinite, isnan, logical_and, logical_or

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


def no_complex(sentence: str) -> dict[int, str]:
    """What to say of complex operands."""
    return {COMPLEX: sentence}


# fmt: off
# name, arguments, CUDA, partials, shown in the docs

# --- arithmetic -----------------------------------------------------------------------------------

zero = Op("zero", "input", "decltype({0})(0)", None, "0", numpy=np.zeros_like, public=False)

add = Op("add", "input, other", "{0} + {1}", lambda a, b, y: (1, 1), "input + other", numpy=np.add, public=False)
sub = Op("sub", "input, other", "{0} - {1}", lambda a, b, y: (1, -1), "input - other",
         numpy=np.subtract, takes=NUMBER, refusals=BOOLS_IN_SUB, mixed=BOOL_IN_SUB, public=False)
rsub = Op("rsub", "input, other", "{1} - {0}", lambda a, b, y: (-1, 1), "other - input",
          numpy=_special.rsub, takes=NUMBER, refusals=BOOLS_IN_SUB, mixed=BOOL_IN_SUB, public=False,
          nodes={(1,): "RsubBackward1"})
mul = Op("mul", "input, other", "{0} * {1}", lambda a, b, y: (b, a), "input · other",
         numpy=np.multiply, aliases=("multiply",))
div = Op("div", "input, other", "{0} / {1}", lambda a, b, y: (1 / b, -y / b), "input / other",
         numpy=np.divide, result="float", domain=(0.5, 2), public=False)

add_scaled = Op("add_scaled", "input, other, alpha", "{0} + {2} * {1}", lambda a, b, c, y: (1, c, None),
                "input + alpha · other", numpy=_special.add_scaled, numbers=(2,), node=add.node, public=False)
sub_scaled = Op("sub_scaled", "input, other, alpha", "{0} - {2} * {1}", lambda a, b, c, y: (1, -c, None),
                "input - alpha · other", numpy=_special.sub_scaled, numbers=(2,), node=sub.node, public=False,
                takes=NUMBER, refusals=BOOLS_IN_SUB, mixed=BOOL_IN_SUB)
rsub_scaled = Op("rsub_scaled", "input, other, alpha", "{1} - {2} * {0}", lambda a, b, c, y: (-c, 1, None),
                 "other - alpha · input", numpy=_special.rsub_scaled, numbers=(2,), node=rsub.node, public=False,
                 takes=NUMBER, refusals=BOOLS_IN_SUB, mixed=BOOL_IN_SUB, nodes={(1, 2): "RsubBackward1"})
addcmul = Op("addcmul", "input, tensor1, tensor2, *, value=1", "{0} + {3} * {1} * {2}",
             lambda a, b, c, v, y: (1, c * v, b * v, None), "input + value · tensor1 · tensor2",
             numpy=_special.addcmul, numbers=(3,))
addcdiv = Op("addcdiv", "input, tensor1, tensor2, *, value=1", "{0} + {3} * {1} / {2}",
             lambda a, b, c, v, y: (1, v / c, -(v * b / (c * c)), None), "input + value · tensor1 / tensor2",
             numpy=_special.addcdiv, numbers=(3,), domain=(0.5, 2), public=False)
lerp = Op("lerp", "input, end, weight",
          "abs({2}) < 0.5 ? {0} + {2} * ({1} - {0}) : {1} - ({1} - {0}) * (decltype({2})(1) - {2})",
          lambda a, b, w, y: (1 - w, w, b - a), "input + weight · (end - input)", takes=FLOATING,
          numpy=_special.lerp, node="LerpBackward1", nodes={(2,): "LerpBackward0"}, public=False)

neg = Op("neg", "input", "-{0}", lambda x, y: (-1,), "-input", numpy=np.negative, takes=NUMBER,
         refusals=BOOL_IN_NEG, aliases=("negative",))
reciprocal = Op("reciprocal", "input", "decltype({0})(1) / {0}", lambda x, y: (-(y * y),), "1 / input",
                numpy=np.reciprocal, result="float", domain=(0.5, 2))
square = Op("square", "input", "{0} * {0}", lambda x, y: (2 * x,), "input²", numpy=np.square, takes=NUMBER,
            node="PowBackward0", public=False)
sqrt = Op("sqrt", "input", "sqrt({0})", lambda x, y: (1 / (2 * y),), "square root of input",
          numpy=np.sqrt, result="float", domain=(0.2, 3))
rsqrt = Op("rsqrt", "input", "rsqrt({0})", lambda x, y: (-0.5 * (y * y * y),), "1 / square root of input",
           numpy=_special.rsqrt, result="float", domain=(0.2, 3), helpers=(_cuda.COMPLEX_RSQRT,))

# floor_divide has no gradient in PyTorch; that of div(rounding_mode=) is 0
floor_divide = Op("floor_divide", "input, other", "floor_quotient({0}, {1})", NotImplemented,
                  "input / other, rounded down", numpy=_special.floor_divide, takes=REALS, domain=(0.5, 2),
                  helpers=(_cuda.DIVIDE,), nodes={(1,): "NotImplemented"})
div_floor = Op("div_floor", "input, other", "floor_quotient({0}, {1})", lambda a, b, y: (0, 0),
               "input / other, rounded down", numpy=_special.floor_divide, takes=REALS, domain=(0.5, 2),
               helpers=(_cuda.DIVIDE,), node="DivBackward2", public=False)
div_trunc = Op("div_trunc", "input, other", "trunc_quotient({0}, {1})", lambda a, b, y: (0, 0),
               "input / other, rounded towards 0", numpy=_special.trunc_divide, takes=REALS, domain=(0.5, 2),
               helpers=(_cuda.DIVIDE,), node="DivBackward2", public=False)
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
              node="RoundBackward1", public=False)
frac = Op("frac", "input", "{0} - trunc({0})", lambda x, y: (1,), "the fraction of input, with its sign",
          numpy=_special.frac, takes=(FLOAT,))

# --- signs ----------------------------------------------------------------------------------------

sign = Op("sign", "input", "unit({0})", lambda x, y: (0,), "-1, 0 or 1", numpy=_special.sign, takes=REAL,
          helpers=(_cuda.SIGN,), refusals=no_complex("Unlike NumPy, torch.sign is not intended to support complex "
                                                     "numbers. Please use torch.sgn instead."))
abs = Op("abs", "input", "abs({0})", lambda x, y: (TABLE.sgn(x),), "absolute value of input",
         numpy=np.absolute, result="real", takes=NUMBER, aliases=("absolute",),
         complex_vjp=lambda g, x, y: (g * TABLE.sgn(x),))
copysign = Op("copysign", "input, other", "copysign({0}, {1})", lambda x, s, y: (where(eq(x, 0), 0, y / x), 0),
              "input with the sign of other", numpy=np.copysign, result="float", takes=REAL,
              nodes={(1,): "CopysignBackward1"})
heaviside = Op("heaviside", "input, values", "{0} == 0 ? {1} : decltype({1})({0} > 0)", NotImplemented,
               "0 below 0, 1 above, values at 0", numpy=_special.heaviside, takes=REAL,
               refusals=no_complex("heaviside is not yet implemented for complex tensors."))

# --- choices and extremes -------------------------------------------------------------------------

where = Op("where", "condition, input, other", "{0} ? {1} : {2}",
           lambda c, a, b, y: (None, where(c, 1, 0), where(c, 0, 1)), "input where condition, else other",
           numpy=np.where, conditions=(0,), public=False)


def _share(lost, a, b):
    """The partial by a of an extreme of a and b: nothing where it is lost, half of a tie."""
    return where(lost, 0, where(eq(a, b), 0.5, 1))


maximum = Op("maximum", "input, other", "{0} != {0} || {0} >= {1} ? {0} : {1}",
             lambda a, b, y: (_share(a < b, a, b), _share(b < a, b, a)), "the larger one; nan if one is nan",
             numpy=np.maximum, takes=REAL, in_place=False,
             refusals=no_complex("maximum not implemented for complex tensors."))
minimum = Op("minimum", "input, other", "{0} != {0} || {0} <= {1} ? {0} : {1}",
             lambda a, b, y: (_share(a > b, a, b), _share(b > a, b, a)), "the smaller one; nan if one is nan",
             numpy=np.minimum, takes=REAL, in_place=False,
             refusals=no_complex("minimum not implemented for complex tensors."))


def _one_of_two(first):
    """The partials of a choice between two, of which a tie goes to the first."""
    return where(first, 1, 0), where(first, 0, 1)


fmax = Op("fmax", "input, other", "{1} != {1} || {0} >= {1} ? {0} : {1}",
          lambda a, b, y: _one_of_two(logical_or(a >= b, isnan(b))), "the larger one; the other if one is nan",
          numpy=np.fmax, takes=REAL, in_place=False,
          refusals=no_complex("fmax not implemented for complex tensors."))
fmin = Op("fmin", "input, other", "{1} != {1} || {0} <= {1} ? {0} : {1}",
          lambda a, b, y: _one_of_two(logical_or(a <= b, isnan(b))), "the smaller one; the other if one is nan",
          numpy=np.fmin, takes=REAL, in_place=False,
          refusals=no_complex("fmin not implemented for complex tensors."))


# At its bounds clamp lets gradients through. clamp(min=) and clamp_min are one, but for their nodes' names.
NO_COMPLEX_CLAMP = no_complex("clamp is not supported for complex types")


def _clamp_min(name, node, **more):
    return Op(name, "input, min", "{0} != {0} || {0} >= {1} ? {0} : {1}",
              lambda x, low, y: (where(x >= low, 1, 0), where(x < low, 1, 0)), "input, but at least min",
              numpy=np.maximum, takes=REAL, refusals=NO_COMPLEX_CLAMP, node=f"{node}1" if more == {} else f"{node}0",
              nodes={(1,): f"{node}0"}, **more)
