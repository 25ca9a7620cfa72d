"""Tensor's operators and methods: the functions of the table under torch's and Python's names."""

from collections.abc import Callable
from typing import Any

from .functions import DIRECT
from .op import COMPARISONS, METHODS, OPERATORS, PUBLIC, TABLE, UNARY, Op
from .tensor import Tensor
from .views import in_place

for _name, _function in DIRECT.items():
    _op = TABLE[_name]
    if isinstance(_op, Op) and _op.public:
        _function.__doc__ = _op.doc
        PUBLIC.setdefault(_name, _function)
        METHODS.setdefault(_name, _function)

# What PyTorch has in place beside the elementwise functions of its table.
IN_PLACE = frozenset({"squeeze"})


def _function_of(name: str) -> Callable[..., Any]:
    """What an operator calls: the function that users call, or the operation's own."""
    return METHODS.get(name) or DIRECT[name]


def _reflected(name: str) -> Callable[..., Any]:
    function = _function_of(name)
    return lambda self, other: function(other, self)


def _refusing(function: Callable[..., Any]) -> Callable[..., Any]:
    """``function`` as an operator: NotImplemented for an operand that is none, so that Python asks it."""
    return function


def install() -> None:
    """Give Tensor its methods."""
    for name, function in METHODS.items():
        setattr(Tensor, name, function)
    for python, name in {**OPERATORS, **COMPARISONS, **UNARY}.items():
        if name not in METHODS and name not in DIRECT:
            continue
        setattr(Tensor, f"__{python}__", _function_of(name))
        if python in OPERATORS:
            setattr(Tensor, f"__r{python}__", _reflected(name))
            setattr(Tensor, f"__i{python}__", in_place(_function_of(name)))
    for name, op in TABLE.items():
        if isinstance(op, Op) and name in METHODS:
            setattr(Tensor, f"{name}_", in_place(METHODS[name]))


install()
