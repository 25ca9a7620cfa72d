"""Functions that decide which fused operation to call: asked once for arguments of a kind, and what follows is kept."""

from typing import Any, NamedTuple

from .composites import compute, known
from .dtypes import get_default_dtype
from .fused import Decided, Decision, Seen
from .modes import modes
from .op import TABLE
from .shapes import Size
from .tensor import Tensor
from .tracing import Traced

MOST = 1024  # of one function
PLAIN: frozenset[Any] = frozenset({int, float, bool, str, type(None)})
SIZES: frozenset[Any] = frozenset({tuple, list, Size})


class Known(NamedTuple):
    """What a function was found to call, and where the operands of that are among its arguments."""

    traced: Traced
    sources: tuple[tuple[int | None, Any], ...]  # the place, and the shape that it is seen in; or None, and a number
    decision: Decision  # without its tensors
    checked: int  # the place of the tensor that is checked each time


def run(function: Decided, args: tuple[Any, ...], named: dict[str, Any]) -> Any:
    """What the operation gives that ``function`` calls."""
    values = (*args, *named.values()) if named else args
    grad = modes.grad
    key: list[Any] = [grad, get_default_dtype(), *named]
    for value in values:
        if isinstance(value, Tensor):
            key += value._type, value._shape, grad and value._node is not None
        elif value.__class__ in PLAIN:
            key += value.__class__, value
        elif value.__class__ in SIZES and all([n.__class__ is int for n in value]):  # noqa: C419  a list is faster
            key += value.__class__, *value
        else:  # a symbol in a function that is traced, an array, or what the function refuses
            return called(function.function(*args, **named))
    if (found := function.known.get(own := tuple(key))) is None:
        decision = function.function(*args, **named)
        if (found := understood(decision, values)) is None:
            return called(decision)
        if len(function.known) >= MOST:
            function.known.clear()
        function.known[own] = found
    if found.decision.check is not None:
        found.decision.check(values[found.checked])
    operands, raw = [], []
    for place, shape in found.sources:
        if place is None:
            operands.append(shape)
            raw.append(shape)
            continue
        value = values[place]
        operands.append(value)
        raw.append(value.array if shape is None else value.array.reshape(shape))
    return compute(found.traced, operands, raw)


def called(decision: Decision) -> Any:
    """What a decision gives, of any arguments."""
    if decision.check is not None:
        decision.check(decision.of)
    return decision.op(*seen(decision.arguments))


def seen(arguments: tuple[Any, ...]) -> tuple[Any, ...]:
    """``arguments`` in the shapes in which the operation sees them."""
    return tuple([TABLE.reshape(a.tensor, size=a.shape) if isinstance(a, Seen) else a for a in arguments])


def understood(decision: Decision, values: tuple[Any, ...]) -> Known | None:
    """What is kept of ``decision``, made for ``values``; None if that cannot be used for others."""
    tensors = {i: value for i, value in enumerate(values) if isinstance(value, Tensor)}
    place = {id(value): i for i, value in tensors.items()}
    if len(place) < len(tensors):  # a tensor that is there twice does not tell which one is meant
        return None
    traced, arguments = known(decision.op, decision.op.bound(seen(decision.arguments), {}))
    given = decision.arguments + arguments[len(decision.arguments) :]
    sources: list[tuple[int | None, Any]] = []
    for i in traced.of:
        tensor, shape = given[i] if isinstance(given[i], Seen) else (given[i], None)
        if isinstance(tensor, Tensor) and id(tensor) not in place:
            return None
        sources.append((place[id(tensor)], shape) if isinstance(tensor, Tensor) else (None, tensor))
    checked = place.get(id(decision.of), -1)
    return Known(traced, tuple(sources), decision._replace(arguments=(), of=None), checked)


Decided.run = run
