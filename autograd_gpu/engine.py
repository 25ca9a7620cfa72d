"""The backward pass: it orders nodes, adds cotangents, runs hooks, and knows no arrays."""

import warnings
from collections.abc import Callable, Iterable
from functools import partial
from heapq import heappop, heappush
from itertools import count
from typing import Any, ClassVar

from .errors import FreedError, GraphError, StaleError
from .modes import Anomaly, modes

# Nodes are numbered downwards: the newest is the smallest, so it comes first out of a heap.
next_sequence = count(0, -1).__next__

Hooks = dict[int, Callable[..., Any]]


class Version:
    """How often a memory was written to through tensors, and by which line last; shared by all its views."""

    count = 0
    writer: tuple[Any, int] = (None, 0)  # the code object and instruction of the last write
    operation: str = ""  # the name of the node that the last write made, if it was recorded

    def bump(self) -> None:
        """Count a write."""
        self.count += 1


UNWRITTEN = Version()  # stands for what cannot be written to
NAMESPACED = frozenset({"AccumulateGrad", "CopySlices"})


class Node:
    """A step of the backward pass: what an operation saved, and where its operands came from.

    ``parents`` has one entry per operand: a node, a leaf tensor, or None where no gradient flows.
    """

    __slots__ = ("__dict__", "__weakref__", "counters", "line", "parents", "saved", "sequence")

    parents: tuple[Any, ...]
    saved: tuple[Any, ...] | None
    counters: tuple[Version, ...]  # one for each saved array, or ()
    sequence: int
    line: tuple[Any, int]  # the code object and instruction that made this node

    # rare, hence class attributes until set
    expected: tuple[int, ...] = ()  # the counters when they were saved; () means all were 0
    fit: tuple[Any, ...] | None = None  # types and shapes of operands that differ from the result's
    hooks: "NodeHooks | None" = None
    trace: str | None = None  # the forward call's traceback, in anomaly mode
    aliases = False  # the cotangents that it returns may be somebody else's arrays
    formulas: ClassVar[Any] = None  # of the cotangents, where a plan may compose them
    is_complex: ClassVar[bool] = False  # its formulas compute complex numbers
    large = False  # a plan is worth its while: it works on a device, or on large arrays
    results = 1  # how many tensors the operation returned
    stream: Any = None  # the CUDA stream that it was computed on, if that is not the default one

    def pullback(self, grad: Any) -> tuple[Any, ...]:
        """The operands' cotangents, given the result's."""
        raise GraphError(f"{self.name()} has no gradient")

    def recorded_pullback(self, grad: Any) -> tuple[Any, ...]:
        """The same on tensors, recording the graph of the gradient."""
        raise GraphError(f"{self.name()} has no gradient")

    def kind(self) -> Any:
        """What tells this node from others in a tape's signature; None keeps its tape from being planned."""
        return None

    @property
    def hooked(self) -> bool | None:
        """Whether hooks may withhold cotangents; None if there are no hooks."""
        return None if self.hooks is None else bool(self.hooks.pre or self.hooks.post)

    def check(self, parts: tuple[Any, ...]) -> None:
        """Anomaly mode: raise if a cotangent has a nan."""

    def unpack(self) -> tuple[Any, ...]:
        """What was saved, checked to be there still and unchanged."""
        for counter in self.counters:
            if counter.count:
                self._check_versions()
                break
        if self.saved is None:
            raise FreedError
        return self.saved

    def _check_versions(self) -> None:
        expected = self.expected or (0,) * len(self.counters)
        for number, (counter, before) in enumerate(zip(self.counters, expected, strict=True)):
            if counter.count != before:
                raise StaleError(self.stale(number, before))

    def stale(self, number: int, before: int) -> str:
        """What to say of a saved array that was written to since."""
        return f"{self.name()}: saved array {number} is at version {self.counters[number].count}, not {before}"

    def release(self) -> None:
        """Drop what was saved; a node that saved nothing can be run again."""
        if self.saved:
            self.saved = None

    def name(self) -> str:
        """torch's name of this node."""
        name = type(self).__name__
        return f"torch::autograd::{name}" if name in NAMESPACED else name

    @property
    def metadata(self) -> dict[Any, Any]:
        """A dictionary for whatever the user wants to attach."""
        return self.__dict__.setdefault("_metadata", {})  # type: ignore[no-any-return]

    def _sequence_nr(self) -> int:
        return -self.sequence

    def own_hooks(self) -> "NodeHooks":
        if self.hooks is None:
            self.hooks = NodeHooks()
        return self.hooks

    def __repr__(self) -> str:
        return f"<{type(self).__name__} object at {id(self):#x}>"


class NodeHooks:
    """What runs around a node.

    ``tensor`` and ``pre`` get its cotangent and return it or another, ``post`` what came out. ``retain`` refers
    to the tensor that wants the cotangent for its ``.grad``.
    """

    def __init__(self) -> None:
        self.tensor: Hooks = {}
        self.pre: Hooks = {}
        self.post: Hooks = {}
        self.retain: Callable[[], Any] | None = None

    def on_cotangent(self, grad: Any) -> Any:
        for hook in tuple(self.tensor.values()):
            grad = hook(grad)
        return grad

    def before(self, grad: Any) -> Any:
        for hook in tuple(self.pre.values()):
            grad = grad if grad is None else hook(grad)
        return grad

    def after(self, parts: tuple[Any, ...], grad: Any) -> tuple[Any, ...]:
        for hook in tuple(self.post.values()):
            parts = hook(parts, grad)
        return parts


class Output(Node):
    """One result of an operation that has several: it hands its cotangent on as a numbered part."""

    __slots__ = ("index",)
    index: int

    def __init__(self, source: Node, index: int) -> None:
        self.parents, self.index = (source,), index
        self.saved, self.counters, self.sequence = (), (), next_sequence()
        source.results = max(source.results, index + 1)

    def pullback(self, grad: Any) -> tuple[Any, ...]:
        return (Parts({self.index: grad}),)

    recorded_pullback = pullback

    def kind(self) -> Any:
        return type(self), self.index, self.hooked


def outputs_of(source: Node, count: int) -> list[Output]:
    """The nodes of the results of ``source``; the newest, which runs first in a backward pass, is the first."""
    return [Output(source, i) for i in reversed(range(count))][::-1]


class Parts(dict[int, Any]):
    """The cotangents of several results, by number."""

    def __add__(self, other: "Parts") -> "Parts":
        return Parts(self | {i: self[i] + g if i in self else g for i, g in other.items()})


class Pending:
    """A sum of cotangents that is computed when it is needed; others may be added to it before."""

    __slots__ = ()

    def settled(self) -> Any:
        """The cotangent."""
        raise NotImplementedError


class Handle:
    """What registering a hook returns; ``remove()`` takes the hook away again."""

    _number = count().__next__

    def __init__(self, hooks: Hooks, hook: Callable[..., Any]) -> None:
        self.hooks, self.id = hooks, Handle._number()
        hooks[self.id] = hook

    def remove(self) -> None:
        self.hooks.pop(self.id, None)

    def __enter__(self) -> "Handle":
        return self

    def __exit__(self, *_: object) -> None:
        self.remove()


def leading_to(targets: frozenset[Any], roots: Iterable[Any]) -> set[Any]:
    """The nodes between ``roots`` and ``targets``, the targets not counted unless on the way to others."""
    found: set[Node] = set()
    stack = [root for root in roots if isinstance(root, Node)]
    while stack:
        if (node := stack.pop()) not in found:
            found.add(node)
            stack.extend(parent for parent in node.parents if isinstance(parent, Node))
    needed: set[Any] = set()
    for node in sorted(found, key=lambda node: node.sequence, reverse=True):  # parents first
        if any(parent in targets or parent in needed for parent in node.parents if parent is not None):
            needed.add(node)
    return needed


def watched_pullback(node: Node, grad: Any, pull: Callable[[Any], tuple[Any, ...]]) -> tuple[Any, ...]:
    """``pull(grad)`` in anomaly mode: says where the node was made if it fails or gives nan."""
    try:
        parts = pull(grad)
        if Anomaly.check_nan:
            node.check(parts)
    except Exception:
        warnings.warn(
            f"Error detected in {node.name()}. "
            + (
                f"Traceback of forward call that caused the error:\n{node.trace}"
                if node.trace
                else "No forward pass information available. Enable detect anomaly during forward pass for more "
                "information."
            ),
            stacklevel=4,
        )
        raise
    return parts


def run(
    seeds: Iterable[tuple[Any, Any]],
    *,
    add: Callable[[Any, Any], Any],
    targets: frozenset[Any] | None = None,
    retain_graph: bool = False,
    recorded: bool = False,
) -> tuple[dict[Any, Any], set[Any]]:
    """Push the cotangents ``seeds`` (pairs of node or leaf, and cotangent) back to the leaves.

    A node's consumers are all newer than it, so the newest node that a cotangent has reached is always
    complete: taking nodes newest first is a topological order, found without walking the graph before.
    ``targets`` limits the pass to nodes that lead to them. Returns the cotangents of the leaves, and of
    those nodes reached that are targets or whose tensor retains it, and the set of leaves whose cotangent is
    somebody else's too. Nothing is stored here, so an error on the way leaves every ``.grad`` as it was.
    """
    seeds = list(seeds)
    needed = None if targets is None else leading_to(targets, (target for target, _ in seeds))
    grads: dict[Any, Any] = {}
    shared: set[Any] = set()
    reached: dict[Any, Any] = {}
    heap: list[tuple[int, Node]] = []
    anomaly, watch = Anomaly.on, modes.watch
    arriving: Iterable[tuple[Any, Any]] = seeds
    grad, aliased = None, True
    while True:
        for target, part in arriving:
            if part is None or target is None:
                continue
            if target in grads:
                grads[target] = add(grads[target], part)
                shared.discard(target)
                continue
            grads[target] = part
            if isinstance(target, Node):
                heappush(heap, (target.sequence, target))
            elif aliased or part is grad:
                shared.add(target)
        if not heap:
            for target, part in grads.items():
                if isinstance(part, Pending):
                    grads[target] = part.settled()
            return {**grads, **reached}, shared
        node = heappop(heap)[1]
        grad = grads.pop(node)
        if isinstance(grad, Pending):
            grad = grad.settled()
        if (hooks := node.hooks) is not None:
            grad = hooks.on_cotangent(grad)
            if hooks.retain is not None:
                reached[node] = grad
        if needed is not None:
            if node in targets:  # type: ignore[operator]
                reached[node] = grad
            if node not in needed:
                arriving = ()
                continue
        if hooks is not None and (grad := hooks.before(grad)) is None:
            arriving = ()
            continue
        pull = node.recorded_pullback if recorded else node.pullback
        if watch is not None:
            pull = partial(watch.call, node.name(), pull)
        parts = watched_pullback(node, grad, pull) if anomaly else pull(grad)
        if hooks is not None:
            parts = hooks.after(parts, grad)
        if not retain_graph:
            node.release()
        arriving, aliased = zip(node.parents, parts), node.aliases or hooks is not None  # noqa: B905  strict costs
