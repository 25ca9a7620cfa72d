"""Which backward passes take the planned road, and the signature that their plan is kept under."""

from heapq import heappop, heappush
from typing import Any

from .engine import Node
from .fusion.plan import PLANS


def trace(roots: list[Any]) -> tuple[tuple[Any, ...], list[Any], list[int]] | None:
    """The signature of the graph behind ``roots``; its nodes and leaves by number; the nodes newest first.

    Graphs of one signature have the same operations on the same types, joined in the same way. None if
    there is a node that cannot be planned.
    """
    numbers: dict[Any, int] = {}
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
        order.append(numbers[node])
        arriving = node.parents


def run(seeds: list[tuple[Any, Any]], *, retain_graph: bool) -> tuple[dict[Any, Any], set[Any]] | None:
    """What ``engine.run`` returns, by a plan; None if the graph cannot be planned."""
    if not all(isinstance(target, Node) for target, _ in seeds):
        return None  # a leaf says nothing of its device
    if (traced := trace([target for target, _ in seeds])) is None:
        return None
    signature, nodes, order = traced
    numbers = {target: number for number, target in enumerate(nodes)}
    roots = [numbers[target] for target, _ in seeds]
    leaves = PLANS.run(signature, nodes, order, roots, [seed for _, seed in seeds])
    if not retain_graph:
        for number in order:
            nodes[number].release()
    return {nodes[leaf]: grad for leaf, grad, _ in leaves}, {nodes[leaf] for leaf, _, shared in leaves if shared}
