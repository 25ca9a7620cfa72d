"""Operations that are formulas: a Python function of tensors and numbers that runs fused, forward and backward."""

import inspect
from collections import OrderedDict
from collections.abc import Callable
from functools import wraps
from typing import Any, ClassVar, NamedTuple

from .op import REAL, Operation, node_name


class Fused(Operation):
    """A function made of elementwise operations and reductions, as one operation with one node.

    ``function`` is called with symbols in place of tensors and of floats, and traced (see tracing.py); what it
    is called with else is part of what is traced. ``gradient(g, *arguments, y)``, if given, returns the cotangent
    of each argument (None for those that have none), written with the same operations; without it the
    gradient is derived from the function. ``node`` and ``title`` are torch's names of its node and in messages.

    The argument ``along``, a tuple, names axes of the first one, which are moved to the end for the function. The
    argument ``seen`` holds shapes in which the function sees the first arguments; results that have the first of these
    come out in the shape of the first argument. None leaves an argument as it is.
    Of several results, all that are floating have gradients, unless ``differentiable=1`` says that only the first has.
    torch's node counts the arguments ``counted``, also those that are None; or else all floating tensors.
    """

    needs = ()  # torch's names of what it saves are not known
    run: ClassVar[Callable[["Fused", tuple[Any, ...]], Any]]  # on Tensors; composites.py fills this in

    def __init__(
        self,
        name: str,
        function: Callable[..., Any],
        *,
        gradient: Callable[..., tuple[Any, ...]] | None = None,
        node: str | None = None,
        title: str | None = None,
        takes: tuple[int, ...] = REAL,
        along: str | None = None,
        seen: str | None = None,
        counted: tuple[str, ...] = (),
        differentiable: int | None = None,
    ) -> None:
        self.name, self.function, self.gradient, self.takes = name, function, gradient, takes
        self.node, self.title, self.differentiable = node or node_name(name), title or name, differentiable
        self.signature = inspect.signature(function)
        parameters = self.signature.parameters.values()
        if any(p.kind is p.VAR_KEYWORD for p in parameters):
            raise TypeError(f"{name}{self.signature}: name the arguments of a fused function instead of **kwargs")
        self.operands = tuple(self.signature.parameters)
        self.along = None if along is None else self.operands.index(along)
        self.seen = None if seen is None else self.operands.index(seen)
        self.counted = tuple(map(self.operands.index, counted))
        self.named = tuple(p.name for p in parameters if p.kind is p.KEYWORD_ONLY)
        self.plain = all(p.kind is p.POSITIONAL_OR_KEYWORD for p in parameters)
        self.defaults = tuple(p.default for p in parameters)
        self.fixed: set[int] = set()  # floats by whose value the function decides what it does
        self.traces: OrderedDict[Any, Any] = OrderedDict()

    def __call__(self, *operands: Any, **params: Any) -> Any:
        """Run on Tensors, or on symbols inside another function that is traced."""
        if params or not self.plain or len(operands) != len(self.operands):
            operands = self.bound(operands, params)
        return self.run(operands)

    def bound(self, operands: tuple[Any, ...], params: dict[str, Any]) -> tuple[Any, ...]:
        """All arguments by position."""
        if self.plain and not params:
            missing = self.defaults[len(operands) :]
            if len(operands) + len(missing) == len(self.operands) and inspect.Parameter.empty not in missing:
                return operands + missing
        bound = self.signature.bind(*operands, **params)
        bound.apply_defaults()
        return bound.args + tuple(bound.kwargs.values())

    def called(self, arguments: tuple[Any, ...]) -> Any:
        """What the function returns."""
        positional = len(arguments) - len(self.named)
        return self.function(*arguments[:positional], **dict(zip(self.named, arguments[positional:], strict=True)))


class Seen(NamedTuple):
    """A tensor without history, in the shape in which a fused operation sees it."""

    tensor: Any
    shape: tuple[int, ...]


class Decision(NamedTuple):
    """That a function calls ``op`` on ``arguments``; ``check(of)`` looks at the values of one of its tensors before."""

    op: Fused
    arguments: tuple[Any, ...]
    check: Callable[[Any], None] | None = None
    of: Any = None


class Decided:
    """A function that returns a ``Decision``: it depends on the types and shapes of tensors, and on all else."""

    run: ClassVar[Callable[["Decided", tuple[Any, ...], dict[str, Any]], Any]]  # decisions.py fills this in

    def __init__(self, function: Callable[..., Decision]) -> None:
        self.function = function
        self.known: dict[tuple[Any, ...], Any] = {}


def decided(function: Callable[..., Decision]) -> Callable[..., Any]:
    """``function`` with what its ``Decision`` gives; it is asked once for arguments of a kind, which it checks."""
    own = Decided(function)

    @wraps(function)
    def called(*args: Any, **named: Any) -> Any:
        return own.run(args, named)

    return called
