"""Tensor's operators and methods: the functions of the table under torch's and Python's names."""

from collections.abc import Callable
from numbers import Number
from typing import Any

import numpy as np

from . import array_calls, functions
from .dtypes import FLOAT, INT
from .functions import DIRECT, INNER, OPERATOR, function_of
from .layouts import by_columns
from .op import COMPARISONS, FUNCTIONAL, IN_PLACE, METHODS, OPERATORS, PUBLIC, TABLE, UNARY, Op
from .record import apply_elementwise, is_operand
from .tensor import Tensor, wrap
from .writes import in_place

# Functions of nn.functional that PyTorch also has as ``name_``, and others that take ``inplace``.
NAMED_IN_PLACE = frozenset({"celu", "elu", "hardtanh", "leaky_relu", "relu", "selu", "threshold"})
WITH_INPLACE = frozenset({"hardsigmoid", "hardswish", "mish", "relu6", "silu"})
COMMUTATIVE = frozenset({"add", "mul", "bitwise_and", "bitwise_or", "bitwise_xor"})
ELEMENTWISE = {name: op for name, op in TABLE.items() if isinstance(op, Op)}


def register_rows() -> None:
    """Enter the functions of the table's rows under their names, where no richer one is."""
    for op in ELEMENTWISE.values():
        function = DIRECT[op.name]
        function.__doc__ = op.doc
        if op.public:
            for name in (op.name, *op.aliases):
                PUBLIC.setdefault(name, function)
                METHODS.setdefault(name, function)
                if op.in_place:
                    IN_PLACE.setdefault(name, function)
        if op.functional:
            flavour = functions.FUNCTIONAL if op.name in NAMED_IN_PLACE | WITH_INPLACE else functions.PLAIN
            FUNCTIONAL.setdefault(op.name, function_of(op, flavour)).__doc__ = op.doc
        if op.name in NAMED_IN_PLACE:
            FUNCTIONAL.setdefault(f"{op.name}_", in_place(function))


# --- operators: NotImplemented for an operand that is none, so that Python asks it or raises TypeError -----------

_square, _pow, _mul, _reciprocal = (
    function_of(ELEMENTWISE[name], INNER) for name in ("square", "pow", "mul", "reciprocal")
)


def _power(self: Tensor, exponent: Any) -> Any:
    if exponent.__class__ in (int, float) and self._type.dtype.category >= FLOAT:
        return _square(self) if exponent == 2 else _pow(self, exponent)
    return METHODS["pow"](self, exponent) if is_operand(exponent) else NotImplemented


def _reflected_quotient(self: Tensor, other: Any) -> Any:
    return _mul(_reciprocal(self), other) if is_operand(other) else NotImplemented


def _inverted(self: Tensor) -> Any:
    if self._type.dtype.category > INT:
        raise TypeError("~ (operator.invert) is only implemented on integer and Boolean-type tensors")
    return DIRECT["bitwise_not"](self)


def _reflected(name: str) -> Callable[[Tensor, Any], Any]:
    op = ELEMENTWISE[name]

    def method(self: Tensor, other: Any) -> Any:
        return apply_elementwise(op, (other, self)) if is_operand(other) else NotImplemented

    return method


def _operator(function: Callable[..., Any], *, swap: bool = False) -> Callable[[Tensor, Any], Any]:
    """A function of two Tensors as an operator."""

    def method(self: Tensor, other: Any) -> Any:
        if not isinstance(other, Tensor):
            if not is_operand(other) or isinstance(other, Number | np.bool_):
                return NotImplemented
            other = wrap(other)  # an array of either library
        return function(other, self) if swap else function(self, other)

    return method


_matmul = _operator(METHODS["matmul"])
_mm = array_calls.function_of(TABLE.mm, 2)
_COLUMNS = {"columns": False}, {"columns": True}  # which operations do not write to


def _times(self: Tensor, other: Any) -> Any:
    """``@``, which has little to ask where both are matrices of one type that fit."""
    if isinstance(other, Tensor) and self._type is other._type:
        size, others = self._shape, other._shape
        if len(size) == len(others) == 2 and size[1] == others[0]:
            return _mm((self, other), _COLUMNS[by_columns(other.array)])
    return _matmul(self, other)


def operators() -> dict[str, Callable[..., Any]]:
    """Tensor's special methods by name."""
    found: dict[str, Callable[..., Any]] = {}
    for python, name in {**OPERATORS, **COMPARISONS, **UNARY}.items():
        if name in ELEMENTWISE:
            found[python] = function_of(ELEMENTWISE[name], OPERATOR)
            if python in OPERATORS:
                found[f"r{python}"] = found[python] if name in COMMUTATIVE else _reflected(name)
                found[f"i{python}"] = in_place(METHODS.get(name) or DIRECT[name])
        elif name in METHODS:
            found[python] = _operator(METHODS[name])
            found[f"r{python}"] = _operator(METHODS[name], swap=True)
    found |= {
        "rsub": function_of(ELEMENTWISE["rsub"], OPERATOR),
        "rtruediv": _reflected_quotient,
        "pow": _power,
        "invert": _inverted,
        "pos": METHODS["positive"],
        "matmul": _times,
    }
    return {f"__{python}__": function for python, function in found.items()}


def part_of_complex(part: Callable[[Tensor], Tensor]) -> property:
    """The attribute ``real`` or ``imag``, which can be written to."""

    def write(self: Tensor, value: Any) -> None:
        part(self).copy_(value)

    return property(part, write)


def install() -> None:
    """Give Tensor its methods, once all that define some are imported (see ``_define.py``)."""
    register_rows()
    for name, function in METHODS.items():
        setattr(Tensor, name, function)
    for name, function in IN_PLACE.items():
        method = in_place(function)
        setattr(Tensor, f"{name}_", method)
        PUBLIC.setdefault(f"{name}_", method)
    for name in ("real", "imag"):
        setattr(Tensor, name, part_of_complex(PUBLIC[name]))
    for name, function in operators().items():
        setattr(Tensor, name, function)
