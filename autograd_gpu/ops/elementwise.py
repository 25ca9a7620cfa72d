"""Elementwise operations: one row each."""

import numpy as np

from ..op import NUMBER, Op

# fmt: off
#        name     arguments        CUDA                partials                            shown in the docs
add  = Op("add",  "input, other",  "{0} + {1}",        lambda a, b, y: (1, 1),             "a + b", numpy=np.add)
sub  = Op("sub",  "input, other",  "{0} - {1}",        lambda a, b, y: (1, -1),            "a - b", numpy=np.subtract, takes=NUMBER)
mul  = Op("mul",  "input, other",  "{0} * {1}",        lambda a, b, y: (b, a),             "a · b", numpy=np.multiply)
div  = Op("div",  "input, other",  "{0} / {1}",        lambda a, b, y: (1 / b, -y / b),    "a / b", numpy=np.divide, result="float", domain=(0.5, 2))
neg  = Op("neg",  "input",         "-{0}",             lambda x, y: (-1,),                 "-x",    numpy=np.negative, takes=NUMBER)
exp  = Op("exp",  "input",         "exp({0})",         lambda x, y: (y,),                  "e**x",  numpy=np.exp, result="float")
tanh = Op("tanh", "input",         "tanh({0})",        lambda x, y: (1 - y * y,),          "hyperbolic tangent of x", numpy=np.tanh, result="float")
conj = Op("conj", "input",         "conj({0})",        lambda x, y: (1,),                  "complex conjugate of x", numpy=np.conjugate, complex_vjp=lambda g, x, y: (conj(g),))
where = Op("where", "condition, input, other", "{0} ? {1} : {2}", lambda c, a, b, y: (None, where(c, 1, 0), where(c, 0, 1)), "a where c, else b", numpy=np.where, conditions=(0,))
