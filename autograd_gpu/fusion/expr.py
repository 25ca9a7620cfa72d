"""Formulas over arrays that have not run: interned nodes, one traversal, and ops' derivatives as formulas."""

from collections.abc import Callable
from functools import cache
from typing import Any, ClassVar, TypeVar
from weakref import WeakValueDictionary

from ..op import COMPARISONS, OPERATORS, PUBLIC, TABLE, UNARY, Op

T = TypeVar("T")


class Operators:
    """Python's operators, each as the operation that it is: the operands say what becomes of that."""

    __slots__ = ()


def _operator(name: str, *, swap: bool = False) -> Callable[..., Any]:
    def method(*operands: Any) -> Any:
        function = TABLE.get(name) or PUBLIC[name]
        return function(*reversed(operands) if swap else operands)

    return method


for _python, _name in {**OPERATORS, **COMPARISONS, **UNARY}.items():
    setattr(Operators, f"__{_python}__", _operator(_name))
    if _python in OPERATORS:
        setattr(Operators, f"__r{_python}__", _operator(_name, swap=True))


class Expr(Operators):
    """``op(*args)``, a slot (``op`` is int) or a constant (``op`` is float). Interned: equal is identical.

    Slots of an op's formulas: its operands from 0 on, then its result, then the cotangent.
    """

    __slots__ = ("__weakref__", "args", "op")
    op: Any
    args: tuple[Any, ...]
    _live: ClassVar["WeakValueDictionary[tuple[Any, ...], Expr]"] = WeakValueDictionary()
    __eq__, __ne__, __hash__ = object.__eq__, object.__ne__, object.__hash__  # identity, as interning needs

    def __new__(cls, op: Any, *args: Any) -> "Expr":
        if (found := cls._live.get(key := (op, *args))) is None:
            found = super().__new__(cls)
            found.op, found.args = op, args
            cls._live[key] = found
        return found

    @classmethod
    def _apply_op(cls, op: Op, operands: tuple[Any, ...], params: dict[str, Any]) -> "Expr":
        if params:
            raise TypeError(f"{op.name} takes no parameters inside a formula, got {', '.join(params)}")
        return cls(op, *map(as_expr, operands))


def slot(number: int) -> Expr:
    """An input of a formula."""
    return Expr(int, number)


def const(value: float) -> Expr:
    """A number in a formula."""
    return Expr(float, float(value).hex())  # text: 0.0 and -0.0 differ, nan equals itself


def as_expr(value: Any) -> Expr:
    """``value``, a formula or a number, as a formula."""
    return value if isinstance(value, Expr) else const(value)


def fold(
    roots: tuple[Expr, ...],
    *,
    var: Callable[[int], T],
    const: Callable[[float], T],
    call: Callable[..., T],
    done: dict[Expr, T] | None = None,
) -> tuple[T, ...]:
    """Interpret ``roots`` bottom-up, each distinct node once; iterative, so depth is unbounded.

    ``done`` holds what is known already, and in the end all of it.
    """
    done = {} if done is None else done
    stack = list(reversed(roots))
    while stack:
        node = stack[-1]
        if node in done:
            stack.pop()
        elif node.op is int:
            done[node] = var(*node.args)
        elif node.op is float:
            done[node] = const(float.fromhex(*node.args))
        elif todo := [arg for arg in node.args if arg not in done]:
            stack.extend(reversed(todo))
        else:
            done[node] = call(node.op, *(done[arg] for arg in node.args))
    return tuple(done[root] for root in roots)


def slots(*roots: Expr) -> frozenset[int]:
    """The slots that ``roots`` read."""
    found: set[int] = set()
    fold(roots, var=found.add, const=lambda _: None, call=lambda *_: None)
    return frozenset(found)


def substitute(formula: Expr, known: dict[Expr, Expr]) -> Expr:
    """``formula`` with other formulas in place of those that are ``known``."""
    return fold((formula,), var=slot, const=const, call=Expr, done=dict(known))[0]


ONE, MINUS_ONE, ZERO = const(1.0), const(-1.0), const(0.0)


def times(g: Expr, partial: Expr) -> Expr:
    """``g * partial``: by 1 and -1 it needs no product, by 1 / x it is a division, and it goes into choices.

    A literal 0, also as a branch of ``where``, is no path: nothing reaches the operand, not even nan.
    """
    if partial is ZERO:
        return Expr(TABLE.zero, g)
    if partial is ONE:
        return g
    if g is ONE:
        return partial
    if partial is MINUS_ONE:
        return Expr(TABLE.neg, g)
    if partial.op is TABLE.div and partial.args[0] is ONE:
        return Expr(TABLE.div, g, partial.args[1])
    if partial.op is TABLE.where and any(branch.op is float for branch in partial.args[1:]):
        condition, *branches = partial.args
        return Expr(TABLE.where, condition, *(b if b is ZERO else times(g, b) for b in branches))
    return Expr(TABLE.mul, g, partial)


def conjugate(partial: Expr) -> Expr:
    """The complex conjugate of ``partial``: of a number itself, of the branches of ``where``."""
    if partial.op is float:
        return partial
    if partial.op is TABLE.where:
        condition, *branches = partial.args
        return Expr(TABLE.where, condition, *map(conjugate, branches))
    return Expr(TABLE.conj, partial)


@cache
def vjp(op: Op, *, complex: bool = False) -> tuple[Expr | None, ...]:
    """The cotangent of each operand of ``op`` as a formula (None where there is none).

    For complex numbers this is PyTorch's convention: the cotangent is the conjugate Wirtinger
    derivative, ``g * conj(partial)`` for a holomorphic op.
    """
    if op.partials is None or op.partials is NotImplemented:
        return (None,) * op.arity
    *operands, y, g = map(slot, range(op.arity + 2))
    if complex and op.complex_vjp is not None:
        return tuple(None if part is None else as_expr(part) for part in op.complex_vjp(g, *operands, y))
    partials = [None if p is None else as_expr(p) for p in op.partials(*operands, y)]
    if complex:
        partials = [None if p is None else conjugate(p) for p in partials]
    return tuple(None if partial is None else times(g, partial) for partial in partials)
