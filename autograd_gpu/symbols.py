"""What a fused function is called with: symbols that grow formulas and know their shapes and dtypes."""

from collections.abc import Callable
from functools import partial
from math import prod
from typing import Any, NamedTuple, NoReturn

from .backends import Type
from .conversion import CASTS
from .devices import device
from .dtypes import BY_NAME, COMPLEX, FLOAT, INT, bool_, dtype, get_default_dtype
from .fused import Fused
from .fusion.expr import ONE, ZERO, Expr, slot, slots
from .fusion.grow import LOGIC
from .fusion.reductions import UNIFORM
from .modes import modes
from .op import OPERATORS, PUBLIC, TABLE, Op
from .record import Kind, types_of
from .shapes import Shape, Size, broadcast
from .tracers import Tracer, Tracing, expr_of

RULES: dict[str, Callable[..., Any]] = {}  # operations that are not elementwise, or only in form, by name


class Retrace(BaseException):
    """Not to be caught by the function: call it again, with more known of its arguments.

    These floats decide what it does, or these operands have a value for each row, and lack the last ``axes`` axes.
    """

    def __init__(
        self, axes: int | None, *, fixed: frozenset[int] = frozenset(), by_row: frozenset[int] = frozenset()
    ) -> None:
        super().__init__()
        self.axes, self.fixed, self.by_row = axes, fixed, by_row


class Drawn(NamedTuple):
    """Random numbers that a function draws at each call: an operand that is no argument.

    An array of ``shape``, 1 with probability ``keep`` and 0 otherwise, laid out as the operand ``like``; or,
    if ``keep`` is None, a seed and the number of a draw, from which the device makes its numbers itself.
    """

    shape: Shape
    keep: float | None
    type: Type
    like: int | None


class Trace(Tracing):
    """One call of a fused function with symbols; ``of`` are the arguments that are its operands, by number."""

    fate = "cannot be fused"
    advice = (
        "A fused function is made of elementwise operations, and of reductions (sum, mean, amax, amin, var, std, "
        "norm, softmax, logsumexp) over all elements or over its last axes."
    )
    rules = RULES

    def __init__(
        self,
        op: Fused,
        domain: Shape,
        of: tuple[int, ...],
        numbers: frozenset[int],
        axes: int | None = None,
        by_row: frozenset[int] = frozenset(),
    ) -> None:
        super().__init__(op.name)
        self.domain, self.of, self.numbers = domain, of, numbers
        self.axes = axes  # how many of the last axes of the domain are a row, once that is known
        self.by_row = by_row  # operands that have a value for each row, without these axes
        self.grad = modes.grad  # what the function computes under no_grad() has no gradient
        self.dtypes: list[dtype] = []  # asked for besides those of the operands
        self.drawn: list[Drawn] = []  # operands after the others; a seed and a draw are two

    def elementwise(self, op: Op, values: list[Any]) -> Any:
        tensors = [value for value in values if isinstance(value, Symbol)]
        if not tensors:
            return Number(self, Expr(op, *map(expr_of, values)))
        for i in op.numbers:
            if isinstance(values[i], Symbol):
                self.refuse(f"{op.title}() needs {op.operands[i]} as a number")
        for check in op.check, op.check_dtypes:
            if check is not None:
                check(*values)
        computed, result = types_of(op, tuple(map(_kind, values)), get_default_dtype())
        category = computed.dtype.category
        if category == COMPLEX:
            self.refuse(f"{op.title}() computes complex numbers")
        if category == INT and op.result != "bool":
            self.refuse(f"{op.title}() computes integers; x.float() makes floats of them")
        if op.partials is NotImplemented and category >= FLOAT:
            self.refuse(f"{op.title}() has no derivative")
        if computed.dtype is bool_ and op.name in LOGIC:
            op = TABLE[LOGIC[op.name]]
        numeric = category >= FLOAT
        exprs = [_number(v) if numeric and i not in op.conditions else expr_of(v) for i, v in enumerate(values)]
        shape, gone = _together(self, tensors)
        return Symbol(self, Expr(op, *exprs), shape, result, gone)

    @property
    def line(self) -> Shape:
        """The shape of a value for each row."""
        axes = self.axes or 1
        return self.domain[: len(self.domain) - axes] + (1,) * axes


def _quotient(self: Any, other: Any) -> Any:
    """``other / self``, computed as of Tensors."""
    return TABLE.mul(TABLE.reciprocal(self), other)


class Symbol(Tracer):
    """A tensor in a function that is traced: a formula, with the shape and type that the tensor would have.

    ``gone`` counts the last axes that a reduction took away: the shape lacks them, the formula's has them.
    """

    __slots__ = ("_shape", "_type", "gone")
    __rtruediv__ = _quotient
    trace: Trace

    def __init__(self, trace: Trace, expr: Expr, shape: Shape, type_: Type, gone: int = 0) -> None:
        if trace.grad and not modes.grad and type_.dtype.category >= FLOAT:
            expr = Expr(TABLE.stopped, expr)
        super().__init__(trace, expr)
        self._shape, self._type, self.gone = shape, type_, gone

    # --- what is known of the tensor -------------------------------------------------------------------

    @property
    def shape(self) -> Size:
        return Size(self._shape)

    @property
    def ndim(self) -> int:
        return len(self._shape)

    @property
    def dtype(self) -> dtype:
        return self._type.dtype

    @property
    def device(self) -> device:
        return self._type.device

    @property
    def aligned(self) -> Shape:
        """The shape that broadcasts to the domain."""
        return self._shape + (1,) * self.gone

    def dim(self) -> int:
        return len(self._shape)

    def size(self, dim: int | None = None) -> Any:
        return self.shape if dim is None else self._shape[dim]

    def numel(self) -> int:
        return prod(self._shape)

    def stride(self) -> Shape:
        """Those of a tensor whose elements lie one after the other."""
        return tuple(prod(self._shape[i + 1 :]) for i in range(self.ndim))

    def is_floating_point(self) -> bool:
        return self.dtype.is_floating_point

    # --- what it can do --------------------------------------------------------------------------------

    def __getattr__(self, name: str) -> Any:
        if name in CASTS:
            return partial(self.to, BY_NAME[CASTS[name]])
        return super().__getattr__(name)

    def __getitem__(self, key: Any) -> Any:
        parts = key if isinstance(key, tuple) else (key,)
        if parts[-1] is None and parts[:-1] in ((...,), (slice(None),) * self.ndim):
            return unsqueezed(self, self.ndim)
        return super().__getitem__(key)

    def detach(self) -> "Symbol":
        """The same values, through which no gradient goes."""
        return self._like(Expr(TABLE.stopped, self.expr)) if self.dtype.category >= FLOAT else self

    def to(self, *args: Any, **kwargs: Any) -> "Symbol":
        """In another dtype: that of what is computed with it, and of what comes out."""
        given = [*args, *kwargs.values()]
        wanted = given[0].dtype if given and isinstance(given[0], Symbol) else given[0] if given else None
        if len(given) != 1 or not isinstance(wanted, dtype):
            self.trace.refuse("it calls to() with more than a dtype")
        return cast(self, self._type.with_dtype(wanted))

    type_as = to

    def _kept(self, size: Shape, keep: Any) -> "Symbol":
        """The mask of dropout: 1 with probability ``keep`` and 0 otherwise, of the dtype of this tensor."""
        trace, shape = self.trace, size + (1,) * self.gone
        first = len(trace.of) + len(trace.drawn)
        if self.device.type == "cuda" and shape == trace.domain:
            trace.drawn += [Drawn((), None, self._type, None)] * 2
            number = Expr(UNIFORM, slot(first), slot(first + 1))
            return self._like(Expr(TABLE.where, Expr(TABLE.lt, number, expr_of(keep)), ONE, ZERO))
        like = self.expr.args[0] if self.expr.op is int else None
        trace.drawn.append(Drawn(shape, float(keep), self._type, like))
        return Symbol(trace, slot(first), size, self._type, self.gone)

    def __pow__(self, exponent: Any) -> Any:
        return PUBLIC["pow"](self, exponent)

    def _like(self, expr: Expr, type_: Type | None = None) -> "Symbol":
        return Symbol(self.trace, expr, self._shape, type_ or self._type, self.gone)


class Number(Tracer):
    """A float in a function that is traced: a formula whose value may be another in each call."""

    __slots__ = ()
    __rtruediv__ = _quotient
    trace: Trace

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(f"a number has no {name!r}")

    def _decide(self) -> NoReturn:
        """Its value is asked for: it becomes part of what is traced."""
        if not (read := slots(self.expr)):
            self.trace.refuse("it asks how many elements there are")
        raise Retrace(None, fixed=frozenset(self.trace.of[n] for n in read))

    __bool__ = __float__ = __int__ = __index__ = __complex__ = __round__ = _decide


def _refuse_writing(self: Symbol, _: Any) -> NoReturn:
    self.trace.refuse("it writes to a tensor in place; x = x + y makes another")


for _python in OPERATORS:
    setattr(Symbol, f"__i{_python}__", _refuse_writing)


# --- operands of elementwise operations -------------------------------------------------------------------


def _kind(value: Any) -> Kind:
    if isinstance(value, Symbol):
        return value._type, not value._shape
    return float if isinstance(value, Number) else value.__class__


def _number(value: Any) -> Expr:
    """The formula of an operand, with 1 and 0 in place of True and False."""
    expr = expr_of(value)
    return Expr(TABLE.where, expr, ONE, ZERO) if isinstance(value, Symbol) and value.dtype is bool_ else expr


def _together(trace: Trace, tensors: list[Symbol]) -> tuple[Shape, int]:
    """The shape that symbols broadcast to, and how many axes are gone of it."""
    shape: Shape = ()
    for tensor in tensors:
        shape = broadcast(shape, tensor._shape)
    gone = {tensor.gone for tensor in tensors if tensor._shape}
    if len(gone) > 1:
        rows = [tensor for tensor in tensors if tensor._shape and not tensor.gone]
        operands = slots(*(tensor.expr for tensor in rows)) - trace.numbers
        room = len(trace.domain) - (trace.axes or 1)
        if operands and not operands & trace.by_row and all(tensor.ndim <= room for tensor in rows):
            raise Retrace(trace.axes, by_row=operands)
        trace.refuse(
            "it computes with a value of each row, whose last axis a reduction took away, and with elements; "
            "keepdim=True keeps the axis"
        )
    return shape, gone.pop() if gone else 0


def cast(x: Symbol, type_: Type) -> Symbol:
    """``x`` in the dtype of ``type_``; its arithmetic is in the program's dtype, whatever it is cast to."""
    d, trace = type_.dtype, x.trace
    if type_ is x._type:
        return x
    if type_.device is not x.device:
        trace.refuse(f"it moves a tensor to {type_.device}")
    if d is bool_:
        return x._like(Expr(TABLE.ne, _number(x), ZERO), type_)
    if d.category != FLOAT:
        trace.refuse(f"it makes {d.name} of {x.dtype.name}")
    trace.dtypes.append(d)
    return x._like(_number(x), type_)


# --- operations that are not elementwise, or only in form --------------------------------------------------


def rule(*names: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Let a function of symbols stand for the operations called ``names``."""

    def register(function: Callable[..., Any]) -> Callable[..., Any]:
        RULES.update(dict.fromkeys(names, function))
        return function

    return register


@rule("to")
def _to(x: Symbol, type_: Type) -> Symbol:
    return cast(x, type_)


@rule("clone", "contiguous")
def _same(x: Symbol) -> Symbol:
    return x


@rule("view", "reshape")
def _reshaped(x: Symbol, size: Shape) -> Symbol:
    return x if size == x._shape else x.trace.refuse(f"it reshapes {list(x._shape)} to {list(size)}")


@rule("expand")
def _expanded(x: Symbol, size: Shape) -> Symbol:
    return Symbol(x.trace, x.expr, size, x._type, x.gone)


@rule("unsqueeze")
def unsqueezed(x: Symbol, dim: int) -> Symbol:
    """``x`` with the first of its axes back that are gone."""
    if dim != x.ndim or not x.gone:
        x.trace.refuse(f"it gives a tensor of shape {list(x._shape)} an axis at {dim}")
    return Symbol(x.trace, x.expr, (*x._shape, 1), x._type, x.gone - 1)
