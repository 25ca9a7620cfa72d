"""Which backward passes take the planned road, and how the plan of one is found again."""

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from heapq import heappop, heappush
from typing import Any, NamedTuple

import numpy as np

from .engine import Node, Parts
from .fusion.launch import kind_of
from .fusion.memory import keeping
from .fusion.plan import Builder, UnlikeBeforeError
from .fusion.stats import STATS
from .walks import Walk

MAX_PLANS = 512
MAX_GUESSES = 4  # of roots of the same classes
MAX_MET = 4096  # signatures that came once
NEAR = 6  # nodes, roots included, among which a large one is looked for


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
        if node.formulas is not None:
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
    def of(cls, walk: Walk, nodes: list[Any], values: list[Any], *, retain: bool) -> "Replay":
        """Run the plan of ``walk``; what nodes saved goes with its last use, unless it is to be retained."""
        STATS.plans_hit += 1
        if not retain:
            for number in walk.before:
                nodes[number].saved = None
        walk.plan.run(values, nodes)
        return cls(walk, nodes, values)


class Plans:
    """Plans, each with its walk, by the signature of their graphs; and by the roots' classes those run last."""

    def __init__(self) -> None:
        self.kept: dict[Any, Walk] = {}
        self.met: set[Any] = set()
        self.guesses: dict[Any, tuple[Walk, ...]] = {}

    def guess(self, roots: list[Any], seeds: list[Any], *, retain: bool) -> Replay | None:
        """The replay by a plan that was run for roots of these classes, if it is one for this graph."""
        for number, walk in enumerate(self.guesses.get(kinds := classes(roots), ())):
            if (walked := walk(roots, seeds)) is not None:
                if number:
                    self.remember(walk, kinds)
                return Replay.of(walk, *walked, retain=retain)
        return None

    def search(self, roots: list[Any], seeds: list[Any], *, at_once: bool, retain: bool) -> Replay | None:
        """The replay by the plan of graphs like this one.

        It is made if there is none, where not ``at_once`` when such a graph comes the second time.
        """
        if (traced := trace(roots)) is None:
            return None
        walk, replay = self.kept.get(traced[0]), None
        if walk is not None and (walked := walk(roots, seeds)) is not None:
            replay = Replay.of(walk, *walked, retain=retain)
        elif at_once or self.came_before(traced[0]):
            replay = self.build(*traced, roots, seeds)
        if replay is not None:
            self.remember(replay.walk, classes(roots))
        return replay

    def came_before(self, signature: Any) -> bool:
        """Whether this is not the first graph of ``signature``."""
        if signature in self.met:
            self.met.remove(signature)
            return True
        if len(self.met) >= MAX_MET:
            self.met.clear()
        self.met.add(signature)
        return False

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

    def remember(self, walk: Walk, kinds: tuple[type, ...]) -> None:
        """Try ``walk`` first the next time that roots have these classes."""
        before = self.guesses.get(kinds, ())
        self.guesses[kinds] = (walk, *(other for other in before if other is not walk))[:MAX_GUESSES]


def classes(roots: list[Any]) -> tuple[type, ...]:
    """What tells which plans to try first."""
    return tuple([root.__class__ for root in roots])


PLANS = Plans()


def worthwhile(roots: list[Any]) -> bool:
    """Whether a plan may pay: one of the roots, or of the nodes just behind them, works on a device or is large."""
    near = list(roots)
    for i in range(NEAR):
        if i == len(near):
            return False
        if near[i].large:
            return True
        for parent in near[i].parents:
            if isinstance(parent, Node):
                near.append(parent)  # noqa: PERF401  a list of one or two is slower
    return False


@contextmanager
def on_large_arrays() -> Iterator[None]:
    """The state in which plans run on NumPy arrays: quiet, and with memory that is kept."""
    with np.errstate(all="ignore"), keeping():
        yield


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
    if not all([isinstance(root, Node) and g.__class__ is not Parts for root, g in seeds]):  # noqa: C419  is faster
        return None  # a leaf says nothing of its device, and a node with several results has no one cotangent
    if not worthwhile(roots):
        return None
    if targets is not None and not ends_in(targets, roots):
        return None
    on_host = isinstance(given[0], np.ndarray | np.generic)
    try:
        with on_large_arrays() if on_host else nullcontext():
            replay = PLANS.guess(roots, given, retain=retain_graph) or PLANS.search(
                roots, given, at_once=not on_host, retain=retain_graph
            )
    except UnlikeBeforeError:
        return None
    if replay is None:
        return None
    walk, nodes, values = replay
    if not retain_graph:
        for number in (*walk.before, *walk.after):
            nodes[number].saved = None
    leaves = walk.plan.leaves
    found = {nodes[leaf]: values[value] for leaf, value, _ in leaves}
    found |= {nodes[node]: values[value] for node, value in walk.plan.retained}
    return found, {nodes[leaf] for leaf, _, shared in leaves if shared}
