"""Walks: generated functions that follow a graph like one before, and take what its nodes saved.

To plan a graph, ``planned.trace`` takes its nodes from a heap and writes down what it sees. A walk only checks that
the next graph looks the same: node by node, without a loop, in a fifth of the time. That of ``(x * w).tanh()`` is::

    def part(roots, nodes, values):
        n0, = roots
        if n0.__class__ is not C0 or n0.hooks is not None or n0.fit is not None: return False
        n1, = n0.parents
        s, c = n0.saved, n0.counters
        if s is None or c[1].count: s = n0.unpack()
        v1 = s[1]
        if n1.__class__ is not C1 or n1.hooks is not None or n1.fit is not None: return False
        n2, n3, = n1.parents
        if not isinstance(n2, Tensor) or not isinstance(n3, Tensor): return False
        s, c = n1.saved, n1.counters
        if s is None or c[0].count or c[1].count: s = n1.unpack()
        v2 = s[0]
        v3 = s[1]
        if not n0.sequence < n1.sequence: return False
        nodes += n0,n1,n2,n3,
        values += v1,v2,v3,None,None,
        return True
"""

from collections.abc import Callable, Sequence
from typing import Any

from .engine import Node
from .fusion.launch import kind_of
from .fusion.plan import Plan
from .tensor import Tensor

TOGETHER = 64  # nodes of one function, which then has few enough variables to be fast

Part = Callable[[list[Any], list[Any], list[Any]], bool]


class Walk:
    """Follows graphs that are like the one that a plan was made of.

    They have the same operations on the same types, joined in the same way and made in the same order, and hooks on the
    same; what several nodes saved is one array where it was, and a number where it was one.
    """

    def __init__(self, plan: Plan, nodes: list[Any], order: list[int], roots: list[int]) -> None:
        self.plan = plan
        self.leaves = sorted(set(range(len(nodes))).difference(order))
        holders = [number for number in order if nodes[number].saved != ()]
        # those to release: before the plan runs, which has what they saved, and after
        self.before = [] if plan.may_end else [number for number in holders if number in plan.saved]
        self.after = [number for number in holders if plan.may_end or number not in plan.saved]
        writer = Writer(plan, nodes, order, roots)
        self.parts = [writer.part(first) for first in range(0, len(order), TOGETHER)]

    def __call__(self, roots: list[Any], seeds: list[Any]) -> tuple[list[Any], list[Any]] | None:
        """The nodes and leaves behind ``roots``, and the plan's values, None for those to come; None if it is unlike.

        Raises what ``Node.unpack`` raises of what was written to or freed.
        """
        nodes: list[Any] = []
        values = list(seeds)
        for part in self.parts:
            if not part(roots, nodes, values):
                return None
        return (nodes, values) if len({id(nodes[i]) for i in self.leaves}) == len(self.leaves) else None


class Writer:
    """Writes the functions of a walk, one after the other."""

    def __init__(self, plan: Plan, nodes: list[Any], order: list[int], roots: list[int]) -> None:
        self.plan, self.nodes, self.order, self.roots = plan, nodes, order, roots
        self.numbers = {id(node): number for number, node in enumerate(nodes)}
        self.met, self.filled = 0, len(roots)  # how many nodes, and values, are known by now

    def part(self, first: int) -> Part:
        """The function that walks the nodes in ``order`` from ``first`` on."""
        self.lines: list[str] = []
        self.names: dict[str, Any] = {"Tensor": Tensor}
        self.nodes_before, self.values_before = self.met, self.filled
        if first == 0:
            self.arrive("roots", self.roots)
        own = self.order[first : first + TOGETHER]
        for number in own:
            self.node(number)
        chain = [f"{self.of_node(i)}.sequence" for i in (*self.order[:first][-1:], *own)]
        if len(chain) > 1:
            self.check(f"not {' < '.join(chain)}")
        self.lines.append(f"nodes += {''.join(f'n{i},' for i in range(self.nodes_before, self.met)) or '()'}")
        if first + TOGETHER >= len(self.order):
            self.filled = self.plan.count
        read = {at for number in own for _, at in self.plan.saved.get(number, ())}
        new = (f"v{i}" if i in read else "None" for i in range(self.values_before, self.filled))
        self.lines.append(f"values += {''.join(f'{name},' for name in new) or '()'}")
        text = "\n    ".join(["def part(roots, nodes, values):", *self.lines, "return True\n"])
        exec(compile(text, "<walk>", "exec"), self.names)  # noqa: S102  text of numbers and names made here
        return self.names["part"]  # type: ignore[no-any-return]

    def check(self, unlike: str) -> None:
        """End the walk where ``unlike`` is true."""
        self.lines.append(f"if {unlike}: return False")

    def of_node(self, number: int) -> str:
        """The text of a node or leaf that is known."""
        return f"n{number}" if number >= self.nodes_before else f"nodes[{number}]"

    def arrive(self, source: str, targets: Sequence[int | None]) -> None:
        """Take nodes and leaves out of the sequence ``source``: they are new, known, or None."""
        taken, checks = [], []
        for i, target in enumerate(targets):
            if target == self.met:
                self.met += 1
                taken.append(f"n{target}")
                if not isinstance(self.nodes[target], Node):
                    checks.append(f"not isinstance(n{target}, Tensor)")
            else:
                taken.append(f"p{i}")
                checks.append(f"p{i} is not {None if target is None else self.of_node(target)}")
        self.lines.append(f"{', '.join(taken)}, = {source}")
        if checks:
            self.check(" or ".join(checks))

    def node(self, number: int) -> None:
        """Check a node and where it leads to, and take what it saved."""
        node, name = self.nodes[number], self.of_node(number)
        if number < self.nodes_before:
            self.lines.append(f"n{number} = {name}")
            name = f"n{number}"
        kind = node.kind()
        self.names[f"C{number}"] = type(node)
        if kind is type(node):
            fitted = "" if node.dense else f" or {name}.fit is not None"
            self.check(f"{name}.__class__ is not C{number} or {name}.hooks is not None{fitted}")
        else:
            self.names[f"K{number}"] = kind
            self.check(f"{name}.__class__ is not C{number} or {name}.kind() != K{number}")
        if node.formulas is None:  # of others, the class tells how many
            self.check(f"len({name}.parents) != {len(node.parents)}")
        if node.parents:
            self.arrive(f"{name}.parents", [None if p is None else self.numbers[id(p)] for p in node.parents])
        if number in self.plan.saved:
            self.saved(node, name, self.plan.saved[number])

    def saved(self, node: Any, name: str, read: list[tuple[int, int]]) -> None:
        """Take what a node saved: new values, and those that others saved, too."""
        counted = [f"c[{i}].count" for i in range(len(node.counters)) if node.saved[i] is not None]
        self.lines.append(f"s, c = {name}.saved, {name}.counters")
        self.lines.append(f"if {' or '.join(['s is None', *counted])}: s = {name}.unpack()")
        for i, at in read:
            if at >= self.filled:
                self.filled = at + 1
                self.lines.append(f"v{at} = s[{i}]")
                if i < len(node.parents) and node.parents[i] is None:
                    unlike = "hasattr" if kind_of(node.saved[i]) is None else "not hasattr"
                    self.check(f"{unlike}(v{at}, 'dtype')")
            else:
                self.check(f"s[{i}] is not {f'v{at}' if at >= self.values_before else f'values[{at}]'}")
