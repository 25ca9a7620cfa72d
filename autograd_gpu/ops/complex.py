"""Complex numbers: their parts and conjugates, as operations and as views."""

from typing import Any

import numpy as np

from ..backends import of
from ..errors import DtypeError
from ..op import ANY, COMPLEX, FLOAT, TABLE, ArrayOp, Op, public
from . import _special

# fmt: off
conj = Op("conj", "input", "conj({0})", lambda z, y: (1,), "complex conjugate of input",
          numpy=np.conjugate, complex_vjp=lambda g, z, y: (conj(g),), public=False)
times_i = Op("times_i", "input", "decltype({0})(-{0}.imag(), {0}.real())", lambda z, y: (1,), "i · input",
             numpy=_special.times_i, complex_vjp=lambda g, z, y: (-times_i(g),), result="complex", public=False)
real = Op("real", "input", "real({0})", lambda z, y: (1,), "real part of input",
          numpy=np.real, complex_vjp=lambda g, z, y: (g,), result="real", public=False)
imag = Op("imag", "input", "imag({0})", lambda z, y: (0,), "imaginary part of input",
          numpy=np.imag, complex_vjp=lambda g, z, y: (times_i(g),), result="real", takes=(COMPLEX,), public=False)
make_complex = Op("complex", "real, imag", "make_complex({0}, {1})", lambda a, b, y: (1, 1), "real + i · imag",
                  numpy=_special.make_complex, result="complex", public=False)
# fmt: on
