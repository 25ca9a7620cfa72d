"""The graph as users see it: a leaf is an AccumulateGrad node, and hooks get tuples of Tensors."""

from collections.abc import Callable
from typing import Any, NamedTuple

from .engine import Handle, Node, NodeHooks, Output, Parts
from .errors import GraphError
from .tensor import Tensor, as_tensor_grad, checked_by_hook


class GradientEdge(NamedTuple):
    """Where a cotangent enters the graph: a node, and which of its results. Stands for a tensor in ``grad``."""

    node: Node
    output_nr: int


def edge_of(parent: Any) -> tuple[Node | None, int]:
    """A node's parent (a node, a leaf or None) as ``next_functions`` shows it."""
    if isinstance(parent, Tensor):
        return AccumulateGrad(parent), 0
    if isinstance(parent, Output):
        return parent.parents[0], parent.index
    return parent, 0


class AccumulateGrad(Node):
    """The end of the graph in a leaf: adds to ``variable.grad``. Two of them on one leaf are equal."""

    __slots__ = ("variable",)
    next_functions: tuple[Any, ...] = ()

    def __init__(self, variable: Tensor) -> None:
        self.variable = variable

    def own_hooks(self) -> NodeHooks:
        return self.variable._own_hooks()

    def register_hook(self, hook: Callable[..., Any]) -> Handle:
        """``hook((), (grad,))`` runs after ``grad`` was added to the leaf's."""
        return Handle(self.own_hooks().post, PostHook(hook))

    def register_prehook(self, hook: Callable[..., Any]) -> Handle:
        """``hook((grad,))`` runs before ``grad`` is added; a tuple that it returns replaces it."""
        return Handle(self.own_hooks().pre, PreHook(hook))

    @property
    def metadata(self) -> dict[Any, Any]:
        return self.variable.__dict__.setdefault("_metadata", {})  # type: ignore[no-any-return]

    def _sequence_nr(self) -> int:
        return 2**64 - 1

    def __eq__(self, other: object) -> bool:
        return isinstance(other, AccumulateGrad) and other.variable is self.variable

    def __hash__(self) -> int:
        return hash((AccumulateGrad, id(self.variable)))

    def __repr__(self) -> str:
        return f"<AccumulateGrad object at {id(self.variable):#x}>"


def shown(grad: Any, results: int) -> tuple[Tensor | None, ...]:
    """A node's cotangent as hooks and custom Functions get it: a Tensor or None for each of its results."""
    if isinstance(grad, Parts):
        return tuple(None if (g := grad.get(i)) is None else as_tensor_grad(g) for i in range(results))
    return (as_tensor_grad(grad), *(None,) * (results - 1))


def raw(value: Tensor | None, like: Any) -> Any:
    """What a hook returned, as the engine passes it on: an array unless ``like`` is a Tensor."""
    return value if value is None or isinstance(like, Tensor) else value.array


def replaced(hook: Callable[..., Any], before: tuple[Tensor | None, ...], *more: Any) -> tuple[Tensor | None, ...]:
    """What ``hook(before, *more)`` makes of ``before``, checked to have the same sizes and types."""
    after = hook(before, *more)
    if after is None:
        return before
    if not isinstance(after, tuple):
        raise TypeError(f"expected tuple, but hook returned '{type(after).__name__}'")
    if len(after) != len(before):
        raise GraphError(
            f"hook '{getattr(hook, '__name__', '<unknown>')}' has returned an incorrect number of values "
            f"(got {len(after)}, but expected {len(before)})"
        )
    return tuple(checked_by_hook(hook, old, new) for old, new in zip(before, after, strict=True))


class PreHook:
    """A hook on a node's cotangents, which it may replace."""

    def __init__(self, hook: Callable[..., Any], results: int = 1) -> None:
        self.hook, self.results = hook, results

    def __call__(self, grad: Any) -> Any:
        after = replaced(self.hook, shown(grad, self.results))
        if isinstance(grad, Parts):
            like = next(iter(grad.values()))
            return Parts({i: raw(g, like) for i, g in enumerate(after) if g is not None})
        return raw(after[0], grad)


class PostHook:
    """A hook on the cotangents that a node gave its operands, which it may replace; it sees the node's own, too.

    Operands that are ``hidden`` are no tensors for torch: conditions and numbers.
    """

    def __init__(self, hook: Callable[..., Any], results: int = 1, hidden: tuple[int, ...] = ()) -> None:
        self.hook, self.results, self.hidden = hook, results, hidden

    def __call__(self, parts: tuple[Any, ...], grad: Any) -> tuple[Any, ...]:
        places = [i for i in range(len(parts)) if i not in self.hidden]
        before = tuple(None if parts[i] is None else as_tensor_grad(parts[i]) for i in places)
        after = replaced(self.hook, before, shown(grad, self.results))
        changed = list(parts)
        for i, value in zip(places, after, strict=True):
            changed[i] = raw(value, parts[i])
        return tuple(changed)
