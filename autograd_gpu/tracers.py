"""What a function that is traced gets in place of its arguments: what it does to them grows formulas, or is refused."""

from collections.abc import Callable
from functools import partial
from typing import Any, ClassVar, NoReturn

import numpy as np

from .errors import FusionError
from .fusion.expr import Expr, Operators, as_expr
from .nodes import describe
from .op import METHODS, Op, Operation
from .tensor import user_line

HINTS = dict.fromkeys(("argmax", "argmin"), "; amax and amin make values without indices")


class NoSuchAttribute(FusionError, AttributeError):
    """What tracers lack: ``hasattr`` says so."""


class Tracing:
    """A call of the function ``name`` with tracers: what becomes of operations on them."""

    fate: ClassVar[str]  # "cannot be ...", where one is refused
    advice: ClassVar[str]
    rules: ClassVar[dict[str, Callable[..., Any]]] = {}  # operations that are not elementwise, by name

    def __init__(self, name: str) -> None:
        self.name = name

    def elementwise(self, op: Op, values: list[Any]) -> Any:
        """The tracer of what ``op`` makes of tracers and real numbers."""
        raise NotImplementedError

    def apply(self, op: Operation, operands: tuple[Any, ...], params: dict[str, Any]) -> Any:
        """What any operation makes of tracers and other values."""
        if isinstance(op, Op):
            if params:
                self.refuse(f"{op.title}() writes to a tensor, with out=")
            return self.elementwise(op, [self.operand(op, i, value) for i, value in enumerate(operands)])
        if (rule := self.rules.get(op.name)) is None:
            self.refuse(f"it calls {op.title}(){HINTS.get(op.name, '')}")
        return rule(*operands, **params)

    def operand(self, op: Op, position: int, value: Any) -> Any:
        """``value`` if it is a tracer or a real number, which is Python's then."""
        if isinstance(value, bool | int | float) or (isinstance(value, Tracer) and value.trace is self):
            return value
        if isinstance(value, np.generic) and value.dtype.kind in "biuf":
            return value.item()
        if isinstance(value, complex | np.complexfloating):
            self.refuse(f"{op.title}() takes a complex number")
        if hasattr(value, "shape"):
            self.refuse(f"{op.title}() takes a tensor from outside of the function: make it an argument")
        raise TypeError(op.strange(position, value))

    def refuse(self, what: str, error: type[FusionError] = FusionError) -> NoReturn:
        raise error(f"{self.name}() {self.fate}: {what}.\nAt {describe(user_line())}\n{self.advice}")


class Tracer(Operators):
    """What stands for an argument: operators, operations and methods grow the formula ``expr``."""

    __slots__ = ("expr", "trace")
    __hash__ = None  # type: ignore[assignment]  # == compares elements
    __array_ufunc__ = None  # NumPy's numbers leave operators to this; numpy.sin is an error
    trace: Tracing

    def __init__(self, trace: Tracing, expr: Expr) -> None:
        self.trace, self.expr = trace, expr

    @staticmethod
    def _apply_op(op: Operation, operands: tuple[Any, ...], params: dict[str, Any]) -> Any:
        trace = next(operand.trace for operand in operands if isinstance(operand, Tracer))
        return trace.apply(op, operands, params)

    @staticmethod
    def _inline(op: Any, arguments: tuple[Any, ...]) -> Any:
        """A fused function: what it calls is traced, too."""
        return op.called(arguments)

    def __getattr__(self, name: str) -> Any:
        if (function := METHODS.get(name)) is not None:
            return partial(function, self)
        if name.startswith("__"):
            raise AttributeError(name)
        if name.endswith("_") and name[:-1] in METHODS:
            self.trace.refuse(f"{name}() writes to a tensor; {name[:-1]}() makes another")
        return self.trace.refuse(f"it asks for .{name} of a tensor", NoSuchAttribute)

    def _unknown(self, *_: Any, **__: Any) -> NoReturn:
        self.trace.refuse("it asks for the value of a tensor; where(condition, a, b) takes the place of if")

    __bool__ = __float__ = __int__ = __index__ = __len__ = __iter__ = __complex__ = item = tolist = numpy = _unknown

    def __getitem__(self, key: Any) -> Any:
        return self.trace.refuse("it takes a part of a tensor")

    def __setitem__(self, key: Any, value: Any) -> None:
        self.trace.refuse("it writes to a tensor; where(condition, a, b) makes another")

    def __pos__(self) -> Any:
        return self


def expr_of(value: Any) -> Expr:
    """The formula of a tracer or a number."""
    return value.expr if isinstance(value, Tracer) else as_expr(value)
