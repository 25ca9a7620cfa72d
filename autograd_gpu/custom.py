"""Operations of your own: elementwise ones from a formula or from CUDA code."""

import inspect
from collections.abc import Callable, Sequence
from copy import copy
from typing import Any

from .functions import function_of
from .fusion.expr import Expr, slot
from .fusion.formula import Elementwise, of_cuda, of_formula
from .fusion.grow import grow, numeric
from .fusion.parse import parsed
from .op import Op
from .tracers import Tracer, Tracing, expr_of

Formula = str | Callable[..., Any]


def elementwise(
    formula: Formula | None = None,
    *,
    operands: str | None = None,
    name: str | None = None,
    cuda: str | None = None,
    partials: Sequence[Formula | None] | None = None,
    numpy: Callable[..., Any] | None = None,
    preamble: str = "",
) -> Elementwise:
    """A differentiable elementwise operation from a formula: one kernel on CuPy, forward and backward.

    ``formula`` is text: Python's arithmetic, comparisons, ``a if c else b``, pi, numbers (``1j * x``, too) and the
    elementwise operations of the package by their names; or a Python function of such operations, which is called
    once, with symbols (so this is a decorator, too). ``operands`` ("x, y") orders the operands, which otherwise
    come as they appear in the text. Derivatives of every order are derived from the formula; a branch that is not
    chosen has no part in them, not even nan.

    What is no formula of these is written in CUDA C: ``cuda`` is an expression of the ``operands``, real numbers,
    which may call functions of ``preamble``; ``numpy`` does the same on NumPy arrays; ``partials`` are formulas of
    the derivatives (text or functions), one for each operand, None where there is none.

    Shapes: operands broadcast. Dtypes: the promoted one; integers are computed in the default floating dtype,
    16-bit floats in float32. Errors: ValueError for text that is no formula, showing where; TypeError for what a
    formula cannot have; DeviceError on the CPU where ``numpy`` is missing; GraphError in a backward pass where
    ``partials`` are missing.

    >>> import autograd_gpu as ag
    >>> damped = ag.elementwise("exp(-b * t) * sin(t)", operands="t, b", name="damped")
    >>> damped
    <elementwise damped(t, b) = exp(-b * t) * sin(t)>
    >>> t = ag.tensor([0.0, 1.0], requires_grad=True)
    >>> damped(t, 0.5)
    tensor([0.0000, 0.5104], grad_fn=<DampedBackward0>)
    >>> softened = ag.elementwise(lambda x, y: x / ag.sqrt(x * x + y * y))
    >>> softened.operands
    ('x', 'y')
    """
    names = None if operands is None else _names(operands)
    if name is not None and not name.isidentifier():
        raise ValueError(f"elementwise(): name must be an identifier, got {name!r}")
    if (formula is None) == (cuda is None):
        raise TypeError("elementwise() takes a formula or cuda=, one of the two")
    if cuda is not None:
        if names is None:
            raise TypeError('elementwise(cuda=...) needs operands=, as in operands="x, y"')
        derivatives = None if partials is None else _derivatives(partials, names)
        return _with_direct_road(of_cuda(cuda, names, name or "custom", derivatives, numpy, preamble))
    if partials is not None or numpy is not None or preamble:
        raise TypeError("elementwise(): partials=, numpy= and preamble= go with cuda=; a formula needs none of them")
    if names is not None and not isinstance(formula, str):
        raise TypeError("elementwise(): a function names its operands itself, operands= goes with text")
    assert formula is not None
    names, written = _written(formula, names)
    if written.op is float:
        raise ValueError("elementwise(): the formula is a number, it has no operand")
    if name is None and not isinstance(formula, str) and formula.__name__.isidentifier():
        name = formula.__name__
    return _with_direct_road(of_formula(written, names, name))


def _with_direct_road(op: Elementwise) -> Elementwise:
    """``op``, as fast on small NumPy tensors as one of the table; the names in that function's text are ours."""
    spelled = copy(op)
    spelled.name, spelled.operands = "function", tuple(f"operand{i}" for i in range(op.arity))
    spelled.signature = ", ".join(spelled.operands)
    op.direct = function_of(op, spelled=spelled)
    return op


def _names(operands: str) -> tuple[str, ...]:
    names = tuple(name.strip() for name in operands.split(","))
    if not all(name.isidentifier() for name in names) or len(set(names)) < len(names):
        raise ValueError(f'elementwise(): operands must be different names, as in "x, y", got {operands!r}')
    return names


def _derivatives(partials: Sequence[Formula | None], names: tuple[str, ...]) -> tuple[Expr | None, ...]:
    if isinstance(partials, str) or len(partials) != len(names):
        count = "one text" if isinstance(partials, str) else len(partials)
        raise ValueError(
            f"elementwise(): partials needs a formula (or None) for each of {', '.join(names)}, got {count}"
        )
    return tuple(_derivative(partial, names) for partial in partials)


def _derivative(partial: Formula | None, names: tuple[str, ...]) -> Expr | None:
    if partial is None:
        return None
    own, formula = _written(partial, names)
    if len(own) != len(names):
        raise TypeError(f"elementwise(): a function in partials= takes {', '.join(names)}, got {', '.join(own)}")
    return formula


class Writing(Tracing):
    """A function that is called once, to write its formula down."""

    fate = "is no formula"
    advice = "A formula is made of elementwise operations of its operands and of real numbers."

    def elementwise(self, op: Op, values: list[Any]) -> Tracer:
        return Tracer(self, grow(op, tuple(map(expr_of, values))))


def _written(formula: Formula, names: tuple[str, ...] | None) -> tuple[tuple[str, ...], Expr]:
    """The operands of a formula, which are the arguments of a function or, of a text, the ``names``, and itself."""
    if isinstance(formula, str):
        return parsed(formula, names)
    arguments = inspect.signature(formula).parameters.values()
    if any(argument.kind not in (argument.POSITIONAL_ONLY, argument.POSITIONAL_OR_KEYWORD) for argument in arguments):
        raise TypeError(f"{formula.__name__}{inspect.signature(formula)}: operands are plain positional arguments")
    trace = Writing(formula.__name__.strip("<>"))
    result = formula(*(Tracer(trace, slot(i)) for i in range(len(arguments))))
    if not isinstance(result, Tracer | int | float):
        raise TypeError(f"elementwise(): {trace.name}() must return one formula, got a {type(result).__name__}")
    return tuple(argument.name for argument in arguments), numeric(expr_of(result))
