"""Which backward passes take the planned road, and how the plan of one is found again."""

from heapq import heappop, heappush
from typing import Any, NamedTuple

from .engine import Node
from .fusion.launch import kind_of
from .fusion.plan import Builder
from .fusion.stats import STATS
from .walks import Walk

MAX_PLANS = 512
MAX_GUESSES = 4  # of roots of the same classes


def trace(roots: list[Any]) -> tuple[tuple[Any, ...], list[Any], list[int]] | None:
    """The signature of the graph behind ``roots``; its nodes and leaves by number; the nodes newest first.

    Graphs of one signature have the same operations on the same types, joined in the same way; and the arrays that
    several nodes saved are the same ones, too. None if there is a node that cannot be planned.
    """
    numbers: dict[Any, int] = {}
    arrays: dict[int, int] = {}
    heap: list[tuple[int, Node]] = []
    signature: list[Any] = []
    order: list[int] = []
    arriving: Any = roots
    while True:
        for target in arriving:
            if target is None:
                signature.append(None)
                continue
            if (number := numbers.get(target)) is None:
                number = numbers[target] = len(numbers)
                if isinstance(target, Node):
                    heappush(heap, (target.sequence, target))
            signature.append(number)
        if not heap:
            return tuple(signature), list(numbers), order
        node = heappop(heap)[1]
        if (kind := node.kind()) is None:
            return None
        signature.append(kind)
        if node.formulas is not None:  # type: ignore[attr-defined]
            signature.extend(
                None if kind_of(value) is None else arrays.setdefault(id(value), len(arrays))
                for value in node.saved or ()
            )
        order.append(numbers[node])
        arriving = node.parents


class Replay(NamedTuple):
    """A walk, the nodes and leaves that it found, and the values of its plan, which was run."""

    walk: Walk
    nodes: list[Any]
    values: list[Any]

    @classmethod
    def of(cls, walk: Walk, nodes: list[Any], values: list[Any]) -> "Replay":
        """Run the plan of ``walk``."""
        STATS.plans_hit += 1
        walk.plan.run(values, nodes)
        return cls(walk, nodes, values)


class Plans:
    """Plans, each with its walk, by the signature of their graphs; and by the roots' classes those run last."""

    def __init__(self) -> None:
        self.kept: dict[Any, Walk] = {}
        self.guesses: dict[Any, tuple[Walk, ...]] = {}

    def guess(self, roots: list[Any], seeds: list[Any]) -> Replay | None:
        """The replay by a plan that was run for roots of these classes, if it is one for this graph."""
        for walk in self.guesses.get(classes(roots), ()):
            if (walked := walk(roots, seeds)) is not None:
                return Replay.of(walk, *walked)
        return None

    def find(self, signature: Any, roots: list[Any], seeds: list[Any]) -> Replay | None:
        """The replay by the plan of graphs of ``signature``, if there is one."""
        if (walk := self.kept.get(signature)) is None or (walked := walk(roots, seeds)) is None:
            return None
        return Replay.of(walk, *walked)

    def build(self, signature: Any, nodes: list[Any], order: list[int], roots: list[Any], seeds: list[Any]) -> Replay:
        """Make the plan of a graph, which runs it."""
        numbers = {node: number for number, node in enumerate(nodes)}
        own = [numbers[root] for root in roots]
        builder = Builder(nodes, order, own, seeds)
        STATS.plans_built += 1
        if len(self.kept) >= MAX_PLANS:
            self.kept, self.guesses = {}, {}
        walk = self.kept[signature] = Walk(builder.plan(), nodes, order, own)
        return Replay(walk, nodes, builder.values)

    def remember(self, walk: Walk, roots: list[Any]) -> None:
        """Try ``walk`` first the next time."""
        kinds = classes(roots)
        before = self.guesses.get(kinds, ())
        if before[:1] != (walk,):
            self.guesses[kinds] = (walk, *(other for other in before if other is not walk))[:MAX_GUESSES]


def classes(roots: list[Any]) -> tuple[type, ...]:
    """What tells which plans to try first."""
    return tuple([root.__class__ for root in roots])


PLANS = Plans()


def ends_in(targets: frozenset[Any], roots: list[Any]) -> bool:
    """Whether ``targets`` are leaves, and there are no others behind ``roots``."""
    if any(isinstance(target, Node) for target in targets):
        return False
    met: set[Any] = set(roots)
    stack = list(roots)
    while stack:
        for parent in stack.pop().parents:
            if isinstance(parent, Node):
                if parent not in met:
                    met.add(parent)
                    stack.append(parent)
            elif parent is not None and parent not in targets:
                return False
    return True


def run(
    seeds: list[tuple[Any, Any]], *, targets: frozenset[Any] | None, retain_graph: bool
) -> tuple[dict[Any, Any], set[Any]] | None:
    """What ``engine.run`` returns, by a plan; None if the graph cannot be planned.

    A plan computes the gradients of all leaves, so it is no road to some ``targets`` only.
    """
    roots, given = [target for target, _ in seeds], [seed for _, seed in seeds]
    if not all([isinstance(root, Node) for root in roots]):  # noqa: C419  a list is faster
        return None  # a leaf says nothing of its device
    if targets is not None and not ends_in(targets, roots):
        return None
    if (replay := PLANS.guess(roots, given)) is None:
        if (traced := trace(roots)) is None:
            return None
        replay = PLANS.find(traced[0], roots, given) or PLANS.build(*traced, roots, given)
    PLANS.remember(replay.walk, roots)
    walk, nodes, values = replay
    if not retain_graph:
        for number in walk.holders:
            nodes[number].saved = None
    leaves = walk.plan.leaves
    return {nodes[leaf]: values[value] for leaf, value, _ in leaves}, {
        nodes[leaf] for leaf, _, shared in leaves if shared
    }
