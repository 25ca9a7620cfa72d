"""Operations of your own: elementwise ones from a formula or from CUDA code."""

from collections.abc import Callable, Sequence
from copy import copy
from typing import Any

from .functions import function_of
from .fusion.expr import Expr
from .fusion.formula import Elementwise, of_cuda, of_formula
from .fusion.grow import traced
from .fusion.parse import parsed

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
    if isinstance(formula, str):
        return _with_direct_road(of_formula(*_used(*parsed(formula, names)), name))
    assert formula is not None
    if names is not None:
        raise TypeError("elementwise(): a function names its operands itself, operands= goes with text")
    names, results = traced(formula)
    if len(results) != 1 or results[0] is None:
        raise TypeError(f"elementwise(): the function must return one formula, not {len(results)}")
    own = formula.__name__
    return _with_direct_road(of_formula(*_used(names, results[0]), name or (own if own.isidentifier() else None)))


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


def _used(names: tuple[str, ...], formula: Expr) -> tuple[Expr, tuple[str, ...]]:
    if formula.op is float:
        raise ValueError("elementwise(): the formula is a number, it has no operand")
    return formula, names


def _derivatives(partials: Sequence[Formula | None], names: tuple[str, ...]) -> tuple[Expr | None, ...]:
    if isinstance(partials, str) or len(partials) != len(names):
        count = "one text" if isinstance(partials, str) else len(partials)
        raise ValueError(
            f"elementwise(): partials needs a formula (or None) for each of {', '.join(names)}, got {count}"
        )
    return tuple(None if partial is None else _derivative(partial, names) for partial in partials)


def _derivative(partial: Formula, names: tuple[str, ...]) -> Expr:
    if isinstance(partial, str):
        return parsed(partial, names)[1]
    own, results = traced(partial)
    if len(own) != len(names) or len(results) != 1 or results[0] is None:
        raise TypeError(f"elementwise(): a function in partials= takes {', '.join(names)} and returns one formula")
    return results[0]
