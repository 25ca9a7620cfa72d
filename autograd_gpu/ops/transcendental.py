"""Elementwise operations, one row each: powers, exponentials, logarithms, angles and special functions."""

from typing import Any

import numpy as np
from scipy import special

from ..dtypes import BOOL, COMPLEX, FLOAT
from ..op import NUMBER, REAL, Op
from . import _cuda, _special
from .choices import where
from .complex import conj, imag, real
from .elementwise import abs
from .logic import eq, logical_and, logical_or

LN2, LN10 = 0.6931471805599453, 2.302585092994046
PI, HALF_ROOT_PI, TWO_OVER_ROOT_PI = np.pi, 0.886226925452758, 1.1283791670955126
REALS = (FLOAT,)


def _of_square(part: Any, a: Any, b: Any) -> Any:
    """``part / (a² + b²)``, 0 at the origin."""
    square = a * a + b * b
    return where(eq(square, 0), 0, part / square)


# fmt: off
# name, arguments, CUDA, partials, shown in the docs

# --- powers ---------------------------------------------------------------------------------------

sqrt = Op("sqrt", "input", "sqrt({0})", lambda x, y: (1 / (2 * y),), "square root of input", numpy=np.sqrt,
          result="float", domain=(0.2, 3))
rsqrt = Op("rsqrt", "input", "rsqrt({0})", lambda x, y: (-0.5 * (y * y * y),), "1 / square root of input",
           numpy=_special.rsqrt, result="float", domain=(0.2, 3), helpers=(_cuda.COMPLEX_RSQRT,))
pow = Op("pow", "input, exponent", "power({0}, {1})",
         lambda x, e, y: (where(eq(e, 0), 0, e * x ** (e - 1)),
                          where(logical_and(eq(x, 0), e >= 0), 0, y * log(x))),
         "input to the power of exponent", numpy=_special.power, takes=NUMBER, domain=(0.5, 2),
         refusals={BOOL: '"pow" not implemented for {dtype!r}'}, helpers=(_cuda.POWER,), public=False,
         node="PowBackward1", nodes={(1,): "PowBackward0", (0,): "PowBackward2"},
         complex_vjp=lambda g, x, e, y: (
             where(eq(e, 0), 0, g * conj(e * x ** (e - 1))),
             where(logical_and(logical_and(eq(x, 0), eq(imag(e), 0)), eq(abs(real(e)), real(e))),
                   0, g * conj(y * log(x)))))

# --- exponentials and logarithms ------------------------------------------------------------------

exp = Op("exp", "input", "exp({0})", lambda x, y: (y,), "e to the power of input", numpy=np.exp, result="float")
exp2 = Op("exp2", "input", "exp2({0})", lambda x, y: (y * LN2,), "2 to the power of input", numpy=np.exp2,
          result="float", helpers=(_cuda.EXP,))
expm1 = Op("expm1", "input", "exp_minus_1({0})", lambda x, y: (y + 1,), "exp(input) - 1", numpy=np.expm1, result="float",
           helpers=(_cuda.EXP,))
log: Op = Op("log", "input", "log({0})", lambda x, y: (1 / x,), "natural logarithm of input", numpy=np.log,
         result="float", domain=(0.2, 3))
log2 = Op("log2", "input", "log2({0})", lambda x, y: (1 / (x * LN2),), "logarithm of input to base 2",
          numpy=np.log2, result="float", domain=(0.2, 3))
log10 = Op("log10", "input", "log10({0})", lambda x, y: (1 / (x * LN10),), "logarithm of input to base 10",
           numpy=np.log10, result="float", domain=(0.2, 3))
log1p = Op("log1p", "input", "log_of_1_plus({0})", lambda x, y: (1 / (x + 1),), "log(1 + input)", numpy=np.log1p,
           result="float", domain=(-0.8, 2), helpers=(_cuda.LOG,))
logaddexp = Op("logaddexp", "input, other",
               "isinf({0}) && {0} == {1} ? {0} : fmax({0}, {1}) + log1p(exp(-abs({0} - {1})))",
               lambda a, b, y: (1 / (1 + exp(b - a)), 1 / (1 + exp(a - b))), "log(exp(input) + exp(other))",
               numpy=np.logaddexp, takes=REALS, in_place=False)
logaddexp2 = Op("logaddexp2", "input, other",
                "isinf({0}) && {0} == {1} ? {0} : fmax({0}, {1}) + log2(1 + exp2(-abs({0} - {1})))",
                lambda a, b, y: (1 / (1 + exp2(b - a)), 1 / (1 + exp2(a - b))), "log2(2**input + 2**other)",
                numpy=np.logaddexp2, takes=REALS, in_place=False)
xlogy = Op("xlogy", "input, other", "{0} == 0 && {1} == {1} ? {0} : {0} * log({1})",
           lambda x, z, y: (where(logical_and(eq(x, 0), z <= 0), 0, log(z)), x / z),
           "input · log(other), 0 where input is 0", numpy=special.xlogy, result="float", takes=REAL, domain=(0.2, 3),
           nodes={(0,): "XlogyBackward1", (1,): "XlogyBackward2"})
sigmoid = Op("sigmoid", "input", "decltype({0})(1) / (decltype({0})(1) + exp(-{0}))", lambda x, y: (y * (1 - y),),
             "1 / (1 + exp(-input))", numpy=_special.sigmoid, result="float", functional=True)
logit = Op("logit", "input", "log({0} / (1 - {0}))",
           lambda x, y: (where(logical_or(x < 0, x > 1), np.nan, 1 / (x * (1 - x))),), "log(input / (1 - input))",
           numpy=_special.logit, result="float", takes=REAL, domain=(0.1, 0.9), public=False)
clamped_logit = Op("clamped_logit", "input, eps",
                   "log(({0} < {1} ? {1} : {0} > 1 - {1} ? 1 - {1} : {0}) "
                   "/ (1 - ({0} < {1} ? {1} : {0} > 1 - {1} ? 1 - {1} : {0})))",
                   lambda x, e, y: (where(logical_or(x < e, x > 1 - e), 0, 1 / (x * (1 - x))), None),
                   "logit of input, at least eps from 0 and 1", numpy=_special.clamped_logit, result="float",
                   takes=REAL, numbers=(1,), domain=(0.1, 0.9), node="LogitBackward0", title="logit", public=False)

# --- angles ---------------------------------------------------------------------------------------

sin = Op("sin", "input", "sin({0})", lambda x, y: (cos(x),), "sine of input", numpy=np.sin, result="float")
cos: Op = Op("cos", "input", "cos({0})", lambda x, y: (-sin(x),), "cosine of input", numpy=np.cos, result="float")
tan = Op("tan", "input", "tan({0})", lambda x, y: (1 + y * y,), "tangent of input", numpy=np.tan, result="float",
         domain=(-1, 1))
asin = Op("asin", "input", "asin({0})", lambda x, y: (rsqrt(1 - x * x),), "inverse sine of input", numpy=np.arcsin,
          result="float", domain=(-0.9, 0.9), aliases=("arcsin",))
acos = Op("acos", "input", "acos({0})", lambda x, y: (-rsqrt(1 - x * x),), "inverse cosine of input",
          numpy=np.arccos, result="float", domain=(-0.9, 0.9), aliases=("arccos",))
atan = Op("atan", "input", "atan({0})", lambda x, y: (1 / (x * x + 1),), "inverse tangent of input",
          numpy=np.arctan, result="float", aliases=("arctan",))
atan2 = Op("atan2", "input, other", "atan2({0}, {1})",
           lambda a, b, y: (_of_square(b, a, b), _of_square(-a, a, b)), "angle of the point (other, input)",
           numpy=np.arctan2, result="float", takes=REAL, aliases=("arctan2",))
hypot = Op("hypot", "input, other", "hypot({0}, {1})", lambda a, b, y: (a / y, b / y), "√(input² + other²)",
           numpy=np.hypot, takes=REALS)
sinc = Op("sinc", "input", "sinc({0})",
          lambda x, y: (where(eq(PI * x * x, 0), 0, (PI * x * cos(PI * x) - sin(PI * x)) / (PI * x * x)),),
          "sin(π · input) / (π · input)", numpy=_special.sinc, result="float", helpers=(_cuda.SINC,))
deg2rad = Op("deg2rad", "input", "{0} * decltype({0})(0.017453292519943295)", lambda x, y: (PI / 180,),
             "input degrees in radians", numpy=_special.degrees_to_radians, result="float", takes=REAL,
             refusals={COMPLEX: "deg2rad is not supported for complex tensors."})
rad2deg = Op("rad2deg", "input", "{0} * decltype({0})(57.29577951308232)", lambda x, y: (180 / PI,),
             "input radians in degrees", numpy=_special.radians_to_degrees, result="float", takes=REAL,
             refusals={COMPLEX: "rad2deg is not supported for complex tensors."})

# --- hyperbolic -----------------------------------------------------------------------------------

sinh = Op("sinh", "input", "sinh({0})", lambda x, y: (cosh(x),), "hyperbolic sine of input", numpy=np.sinh,
          result="float")
cosh: Op = Op("cosh", "input", "cosh({0})", lambda x, y: (sinh(x),), "hyperbolic cosine of input", numpy=np.cosh,
          result="float")
tanh = Op("tanh", "input", "tanh({0})", lambda x, y: (1 - y * y,), "hyperbolic tangent of input", numpy=np.tanh,
          result="float", functional=True)
asinh = Op("asinh", "input", "asinh({0})", lambda x, y: (rsqrt(x * x + 1),), "inverse hyperbolic sine of input",
           numpy=np.arcsinh, result="float", aliases=("arcsinh",))
acosh = Op("acosh", "input", "acosh({0})", lambda x, y: (rsqrt(x * x - 1),), "inverse hyperbolic cosine of input",
           numpy=np.arccosh, result="float", domain=(1.2, 3), aliases=("arccosh",),
           complex_vjp=lambda g, x, y: (g * conj(rsqrt(x + 1) * rsqrt(x - 1)),))
atanh = Op("atanh", "input", "atanh({0})", lambda x, y: (1 / (1 - x * x),), "inverse hyperbolic tangent of input",
           numpy=np.arctanh, result="float", domain=(-0.9, 0.9), aliases=("arctanh",))

# --- special functions ----------------------------------------------------------------------------

erf = Op("erf", "input", "erf({0})", lambda x, y: (TWO_OVER_ROOT_PI * exp(-(x * x)),), "error function of input",
         numpy=special.erf, result="float", takes=REAL)
erfc = Op("erfc", "input", "erfc({0})", lambda x, y: (-TWO_OVER_ROOT_PI * exp(-(x * x)),), "1 - erf(input)",
          numpy=special.erfc, result="float", takes=REAL)
erfinv = Op("erfinv", "input", "erfinv({0})", lambda x, y: (HALF_ROOT_PI * exp(y * y),), "inverse of erf",
            numpy=special.erfinv, result="float", takes=REAL, domain=(-0.9, 0.9))
lgamma = Op("lgamma", "input", "lgamma({0})", lambda x, y: (digamma(x),), "log |Γ(input)|", numpy=_special.lgamma,
            result="float", takes=REAL, domain=(0.2, 3))
digamma: Op = Op("digamma", "input", "digamma({0})", lambda x, y: (polygamma(x, 1),), "derivative of lgamma",
             numpy=special.psi, result="float", takes=REAL, domain=(0.2, 3), helpers=(_cuda.DIGAMMA,))
polygamma: Op = Op("polygamma", "input, n", "polygamma({0}, {1})", lambda x, n, y: (polygamma(x, n + 1), None),
               "n-th derivative of digamma", numpy=_special.polygamma, result="float", takes=REAL, domain=(0.2, 3),
               numbers=(1,), helpers=(_cuda.DIGAMMA, _cuda.POLYGAMMA), public=False)
# fmt: on
