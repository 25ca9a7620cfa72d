"""Elementwise operations, one row each: the activation functions of nn.functional."""

from typing import Any

from ..dtypes import BOOL, COMPLEX, FLOAT, INT, uint8
from ..errors import DtypeError
from ..op import Op, functional
from . import _special
from .choices import where
from .elementwise import abs as absolute
from .elementwise import add, div, sub
from .logic import logical_and, logical_or
from .transcendental import erf, exp, log1p, sigmoid, tanh

FLOATS = (FLOAT,)
REALS = (INT, FLOAT)
ROOT_HALF, ROOT_2_OVER_PI, ONE_OVER_ROOT_2PI = _special.ROOT_HALF, _special.ROOT_2_OVER_PI, 0.3989422804014327
CUBIC = _special.CUBIC
SCALE, ALPHA = _special.SELU_SCALE, _special.SELU_ALPHA


def _mish_slope(x: Any, t: Any) -> Any:
    return t + x * sigmoid(x) * (1 - t * t)


def _silu_slope(x: Any, s: Any) -> Any:
    return s * (1 + x * (1 - s))


def _gelu_tanh_slope(x: Any, t: Any) -> Any:
    return 0.5 * (1 + t) + 0.5 * x * (1 - t * t) * (ROOT_2_OVER_PI * (1 + 3 * CUBIC * x * x))


def _gelu_angle(x: Any) -> Any:
    return ROOT_2_OVER_PI * (x + CUBIC * x * x * x)


def _check_bounds(input: Any, min_val: float, max_val: float) -> None:
    if min_val > max_val:
        raise ValueError("min_val cannot be greater than max_val")
    if min_val < 0 and input.dtype is uint8:
        raise DtypeError("cannot do hardtanh on an unsigned type with negative limits")


# fmt: off
# name, arguments, CUDA, partials, shown in the docs
relu = Op("relu", "input", "{0} < 0 ? decltype({0})(0) : {0}", lambda x, y: (where(y <= 0, 0, 1),), "max(input, 0)",
          numpy=_special.relu, takes=REALS, functional=True,
          refusals={BOOL: "Boolean inputs not supported for relu", COMPLEX: "clamp is not supported for complex types"})
relu6 = Op("relu6", "input", "{0} < 0 ? decltype({0})(0) : {0} > 6 ? decltype({0})(6) : {0}",
           lambda x, y: (where(logical_and(x > 0, x < 6), 1, 0),), "min(max(input, 0), 6)",
           numpy=_special.relu6, takes=REALS, node="HardtanhBackward0", public=False, functional=True)
hardtanh = Op("hardtanh", "input, min_val=-1.0, max_val=1.0", "{0} < {1} ? {1} : {0} > {2} ? {2} : {0}",
              lambda x, low, high, y: (where(logical_and(x > low, x < high), 1, 0), None, None),
              "input, but >= min_val and <= max_val", numpy=_special.clamp, takes=REALS, numbers=(1, 2),
              check=_check_bounds, public=False, functional=True)
leaky_relu = Op("leaky_relu", "input, negative_slope=0.01", "{0} > 0 ? {0} : {0} * {1}",
                lambda x, s, y: (where(x > 0, 1, s), None), "input, below 0 times negative_slope",
                numpy=_special.leaky_relu, takes=FLOATS, numbers=(1,), public=False, functional=True)
threshold = Op("threshold", "input, threshold, value", "{0} <= {1} ? {2} : {0}",
               lambda x, t, v, y: (where(x <= t, 0, 1), None, None), "input above threshold, else value",
               numpy=_special.threshold, takes=REALS, numbers=(1, 2), public=False, functional=True)
hardshrink = Op("hardshrink", "input, lambd=0.5", "{0} >= -{1} && {0} <= {1} ? decltype({0})(0) : {0}",
                lambda x, c, y: (where(logical_or(x < -c, x > c), 1, 0), None), "0 from -lambd to lambd, else input",
                numpy=_special.hardshrink, takes=FLOATS, numbers=(1,), in_place=False, functional=True)
softshrink = Op("softshrink", "input, lambd=0.5", "{0} > {1} ? {0} - {1} : {0} < -{1} ? {0} + {1} : {0} != {0} ? {0} : decltype({0})(0)",
                lambda x, c, y: (where(logical_or(x < -c, x > c), 1, 0), None), "input, lambd nearer to 0",
                numpy=_special.softshrink, takes=FLOATS, numbers=(1,), public=False, functional=True)

elu = Op("elu", "input, alpha=1.0", "{0} < 0 ? {1} * expm1({0}) : {0}",
         lambda x, a, y: (where(x <= 0, a * exp(x), 1), None), "input, below 0 alpha · (exp(input) - 1)",
         numpy=_special.elu, takes=FLOATS, numbers=(1,), public=False, functional=True)
selu = Op("selu", "input", f"decltype({{0}})({SCALE}) * ({{0}} < 0 ? decltype({{0}})({ALPHA}) * expm1({{0}}) : {{0}})",
          lambda x, y: (where(x <= 0, SCALE * ALPHA * exp(x), SCALE),), "elu scaled to keep mean 0 and variance 1",
          numpy=_special.selu, takes=FLOATS, node="EluBackward0", public=False, functional=True)
celu = Op("celu", "input, alpha=1.0", "{0} < 0 ? {1} * expm1({0} / {1}) : {0}",
          lambda x, a, y: (where(x <= 0, exp(x / a), 1), None), "input, below 0 alpha · (exp(input / alpha) - 1)",
          numpy=_special.celu, takes=FLOATS, numbers=(1,), public=False, functional=True)
softplus = Op("softplus", "input, beta=1.0, threshold=20.0", "{0} * {1} > {2} ? {0} : log1p(exp({0} * {1})) / {1}",
              lambda x, b, t, y: (where(x * b > t, 1, sigmoid(x * b)), None, None),
              "log(1 + exp(beta · input)) / beta", numpy=_special.softplus, takes=FLOATS, numbers=(1, 2),
              public=False, functional=True)
logsigmoid = Op("logsigmoid", "input", "({0} < 0 ? {0} : decltype({0})(0)) - log1p(exp(-abs({0})))",
                lambda x, y: (1 / (1 + exp(x)),), "log(sigmoid(input))", numpy=_special.logsigmoid, takes=FLOATS,
                node="LogSigmoidBackward0", public=False, functional=True)
silu = Op("silu", "input", "{0} / (decltype({0})(1) + exp(-{0}))", lambda x, y: (_silu_slope(x, sigmoid(x)),),
          "input · sigmoid(input)", numpy=_special.silu, takes=(FLOAT, COMPLEX), public=False, functional=True)
mish = Op("mish", "input", "{0} * tanh(log1p(exp({0})))", lambda x, y: (_mish_slope(x, tanh(log1p(exp(x)))),),
          "input · tanh(softplus(input))", numpy=_special.mish, takes=FLOATS, public=False, functional=True)
hardsigmoid = Op("hardsigmoid", "input", "({0} < -3 ? 0 : {0} > 3 ? 6 : {0} + 3) / 6",
                 lambda x, y: (where(logical_and(x > -3, x < 3), 1 / 6, 0),), "min(max(input + 3, 0), 6) / 6",
                 numpy=_special.hardsigmoid, takes=FLOATS, public=False, functional=True)
hardswish = Op("hardswish", "input", "{0} * ({0} < -3 ? 0 : {0} > 3 ? 6 : {0} + 3) / 6",
               lambda x, y: (where(x <= -3, 0, where(x < 3, x / 3 + 0.5, 1)),), "input · hardsigmoid(input)",
               numpy=_special.hardswish, takes=FLOATS, public=False, functional=True)
gelu_none = Op("gelu", "input", f"{{0}} * decltype({{0}})(0.5) * (1 + erf({{0}} * decltype({{0}})({ROOT_HALF})))",
               lambda x, y: (0.5 * (1 + erf(x * ROOT_HALF)) + x * exp(-0.5 * x * x) * ONE_OVER_ROOT_2PI,),
               "input · Φ(input), Φ the normal distribution", numpy=_special.gelu, takes=FLOATS, public=False)
gelu_tanh = Op("gelu_tanh", "input",
               f"decltype({{0}})(0.5) * {{0}} * (1 + tanh(decltype({{0}})({ROOT_2_OVER_PI}) * "
               f"({{0}} + decltype({{0}})({CUBIC}) * {{0}} * {{0}} * {{0}})))",
               lambda x, y: (_gelu_tanh_slope(x, tanh(_gelu_angle(x))),), "gelu, approximately",
               numpy=_special.gelu_tanh, takes=FLOATS, node="GeluBackward0", title="gelu", public=False)
# fmt: on


@functional
def gelu(input: Any, approximate: str = "none") -> Any:
    """``input`` times the normal distribution's function of it, exactly or by ``approximate="tanh"``.

    Source: Hendrycks and Gimpel 2016, torch.nn.functional.gelu.
    """
    if approximate not in ("none", "tanh"):
        raise RuntimeError("approximate argument must be either none or tanh.")
    return gelu_none(input) if approximate == "none" else gelu_tanh(input)


@functional
def tanhshrink(input: Any) -> Any:
    """``input - tanh(input)``. Source: torch.nn.functional.tanhshrink."""
    return sub(input, tanh(input))


@functional
def softsign(input: Any) -> Any:
    """``input / (1 + |input|)``. Source: torch.nn.functional.softsign."""
    return div(input, add(absolute(input), 1))
