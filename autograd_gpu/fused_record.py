"""How results of a fused operation become Tensors with a node: one generated function for each kind of arguments."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from .devices import cpu
from .dtypes import FLOAT
from .engine import UNWRITTEN, Version, next_sequence, outputs_of
from .modes import Anomaly, modes
from .nodes import remember_call
from .tensor import LEAF, Frozen, Tensor, user_line

if TYPE_CHECKING:
    from .tracing import Traced

Finish = Callable[[Sequence[Any], Sequence[Any], Sequence[Any]], Any]


def finisher(found: "Traced") -> Finish:
    """The function of the operands ``x``, of these and what was drawn as ``arrays``, and of what was ``made``."""
    names: dict[str, Any] = {
        "Anomaly": Anomaly, "Frozen": Frozen, "LEAF": LEAF, "Tensor": Tensor, "UNWRITTEN": UNWRITTEN,
        "Version": Version, "modes": modes, "new": object.__new__, "next_sequence": next_sequence,
        "outputs_of": outputs_of, "remember_call": remember_call, "user_line": user_line,
    }  # fmt: skip
    lines = []
    version = "Version()" if found.node is not None else "Frozen() if modes.inference else Version()"
    for j, (type_, shape, view) in enumerate(found.results):
        names |= {f"type{j}": type_, f"shape{j}": shape, f"view{j}": view}
        array = f"made[{j}]" if view is None else f"view{j}.off(made[{j}], shape{j})"
        lines += [
            f"y{j} = new(Tensor)",
            f"y{j}.array, y{j}._type, y{j}._shape = {array}, type{j}, shape{j}",
            f"y{j}._counter, y{j}._node = {version}, None",
        ]
    if found.node is not None:
        names |= {"node_class": found.node, "domain": found.domain, "setting": found.setting, "fit": found.fit}
        names["backend"] = found.results[0][0].backend
        lines += of_node(found)
    lines.append("return " + ", ".join(f"y{j}" for j in range(len(found.results))) + "," * found.several)
    text = "def finish(x, arrays, made):\n    " + "\n    ".join(lines)
    exec(compile(text, f"{__file__}: {found.forward.program.name}", "exec"), names)  # noqa: S102  our own text
    finish: Finish = names["finish"]
    return finish


def of_node(found: "Traced") -> list[str]:
    """Lines that make the node, which keeps what the cotangents of the operands read."""
    assert found.node is not None
    count, results = len(found.tensors), len(found.results)
    saved, versions = ["None"] * len(found.node.kept), ["UNWRITTEN"] * len(found.node.kept)
    for i in (i for i, keep in enumerate(found.node.kept) if keep):
        j = i - count
        saved[i] = f"arrays[{i}]" if j < 0 else f"y{j}.array" if j < results else f"made[{j}]"
        if (j < 0 and found.tensors[i]) or 0 <= j < results:
            versions[i] = f"x[{i}]._counter" if j < 0 else f"y{j}._counter"
    operands = [i for i in range(count) if found.tensors[i] and versions[i] != "UNWRITTEN"]
    parents = [
        f"x[{i}] if x[{i}]._node is LEAF else x[{i}]._node" if own else "None" for i, own in enumerate(found.tensors)
    ]
    lines = [
        "node = node_class()",
        f"node.saved = {''.join(f'{part}, ' for part in saved)}",
        f"node.counters = {''.join(f'{part}, ' for part in versions)}",
        f"node.parents = {''.join(f'{part}, ' for part in parents)}",
        "node.domain, node.setting, node.fit = domain, setting, fit",
        "node.sequence, node.line = next_sequence(), user_line()",
    ]
    if operands:  # results are new
        lines.append(f"if {' or '.join(f'x[{i}]._counter.count' for i in operands)}:")
        lines.append("    node.expected = tuple([counter.count for counter in node.counters])")
    lines += ["if Anomaly.on:", "    remember_call(node)"]
    if found.results[0][0].device is not cpu:
        lines += ["if (stream := backend.side_stream()) is not None:", "    node.stream = stream"]
    if not found.several or found.node.op.differentiable is not None:
        return [*lines, "y0._node = node"]
    floating = [j for j, (type_, _, _) in enumerate(found.results) if type_.dtype.category >= FLOAT]
    return [*lines, f"edges = outputs_of(node, {results})", *(f"y{j}._node = edges[{j}]" for j in floating)]
