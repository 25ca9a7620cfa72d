"""``fusion.explain``: what a backward pass launches, shown without storing a gradient."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from math import prod
from types import ModuleType
from typing import Any

from . import engine, fusion, planned
from .backward import passing, seeds_of
from .dtypes import of as dtype_of
from .errors import GraphError
from .fusion import device
from .fusion.plan import Builder, Call
from .fusion.text import texts
from .fusion.watch import Watch, watching
from .tensor import Tensor, wrap

Shape = tuple[int, ...]


def shown(array: Any) -> str:
    """``float32[64, 10]``."""
    return f"{dtype_of(array.dtype).name}{list(array.shape)}"


def memory(array: Any) -> int:
    """The bytes that all elements of ``array`` take, those that broadcasting repeats once."""
    return int(prod(n for n, stride in zip(array.shape, array.strides, strict=True) if stride) * array.itemsize)


def summed(target: Shape | None, domain: Shape) -> str:
    """What to say of a sum to the shape ``target``."""
    return "" if target is None or target == domain else f", summed from {list(domain)}"


def size(count: int) -> str:
    """A number of bytes for people."""
    for unit in ("B", "kB", "MB"):
        if count < 1000:
            return f"{count:.3g} {unit}"
        count /= 1000  # type: ignore[assignment]
    return f"{count:.3g} GB"


@dataclass(frozen=True)
class Kernel:
    """One launch: its name, how many blocks of how many threads, and its CUDA C."""

    name: str
    grid: Shape
    block: Shape
    source: str = field(repr=False)


@dataclass(frozen=True)
class Step:
    """A program of a backward pass, or a node that has a rule of its own (then without formulas)."""

    name: str
    formulas: tuple[str, ...] = ()
    reads: tuple[str, ...] = ()
    writes: tuple[str, ...] = ()
    bytes_read: int = 0
    bytes_written: int = 0
    kernels: tuple[Kernel, ...] = ()

    def __str__(self) -> str:
        if not self.formulas:
            return f"{self.name}: its own rule"
        launches = ", ".join(f"{k.name} {list(k.grid)} x {list(k.block)}" for k in self.kernels) or "NumPy"
        lines = [f"{self.name}: {launches}"]
        lines += [
            f"    y{i} {kind} = {text}" for i, (kind, text) in enumerate(zip(self.writes, self.formulas, strict=True))
        ]
        lines.append(f"    of {', '.join(f'x{i} {kind}' for i, kind in enumerate(self.reads))}")
        lines.append(f"    reads {size(self.bytes_read)}, writes {size(self.bytes_written)}")
        return "\n".join(lines)


@dataclass(frozen=True)
class Explanation:
    """The steps of a backward pass; ``print`` shows them, ``source`` of a kernel is its CUDA C."""

    title: str
    steps: tuple[Step, ...]

    @property
    def kernels(self) -> tuple[Kernel, ...]:
        """All launches, in order."""
        return tuple(kernel for step in self.steps for kernel in step.kernels)

    def __str__(self) -> str:
        read, written = sum(s.bytes_read for s in self.steps), sum(s.bytes_written for s in self.steps)
        programs = sum(bool(step.formulas) for step in self.steps)
        head = (
            f"{self.title}: {len(self.kernels)} launches in {programs} programs, {len(self.steps) - programs} other "
            f"steps; programs read {size(read)} and write {size(written)}"
        )
        return "\n".join([head, *(f"{i}  {step}" for i, step in enumerate(self.steps, 1))])


class Notes(Watch):
    """Writes down the programs that run."""

    def __init__(self) -> None:
        self.steps: list[Step] = []

    def run(self, program: Any, road: ModuleType, values: Sequence[Any], *where: Any) -> list[Any]:
        """The roots of ``program``."""
        made, (domain, targets) = super().run(program, road, values, *where), where
        formulas = texts(program.roots, tuple(f"x{i}" for i in range(len(values))))
        calls = device.prepared(program, values, domain, targets)[1] if road is device else []
        self.steps.append(
            Step(
                program.name,
                tuple(f"{text}{summed(target, domain)}" for text, target in zip(formulas, targets, strict=True)),
                tuple(shown(v) if hasattr(v, "strides") else f"= {v}" for v in values),
                tuple(map(shown, made)),
                sum(memory(value) for value in values if hasattr(value, "strides")),
                sum(map(memory, made)),
                tuple(Kernel(c.name, c.grid, c.block, c.text) for c in calls if hasattr(c, "text")),
            )
        )
        return made


class NotedBuilder(Builder):
    """Composes a plan and writes down its steps."""

    def __init__(self, notes: Notes, *parts: Any) -> None:
        self.notes = notes
        super().__init__(*parts)

    def do(self, step: Any) -> range:
        """Run and keep ``step``."""
        if isinstance(step, Call):
            self.notes.steps.append(Step(self.nodes[step.node].name()))
        return super().do(step)


def explain(*outputs: Tensor) -> Explanation:
    """Print, and return, what ``backward()`` of ``outputs`` launches on a CUDA device; no ``.grad`` changes.

    The pass runs once, from cotangents of 1. Each program is shown with its kernels, its formulas, what it reads
    and writes; ``explanation.kernels[0].source`` is the CUDA C of the first kernel. On the CPU, and where hooks or
    custom functions are in the way, nodes run one by one; then only the programs among them are shown.

    >>> import autograd_gpu as torch
    >>> x = torch.ones(3, requires_grad=True)
    >>> _ = torch.fusion.explain(x * 2)
    backward of MulBackward0, node by node: 0 launches in 0 programs, 0 other steps; programs read 0 B and write 0 B
    """
    for i, output in enumerate(outputs):
        if not isinstance(output, Tensor) or output.grad_fn is None:
            raise GraphError(f"explain() takes tensors that were computed, got {output!r} (argument {i})")
    ones = tuple(wrap(y._type.backend.xp.ones(y._shape, y._type.numpy), y._type) for y in outputs)
    seeds = seeds_of(outputs, ones, recorded=False)
    title = f"backward of {', '.join(output.grad_fn.name() for output in outputs if output.grad_fn)}"
    notes = Notes()
    with passing(recorded=False), watching(notes):
        roots = [node for node, _ in seeds]
        traced = planned.trace(roots) if planned.worthwhile(roots) else None
        if traced is None:
            title += ", node by node"
            engine.run(seeds, add=lambda a, b: a + b, retain_graph=True)
        else:
            _, nodes, order = traced
            numbers = {target: number for number, target in enumerate(nodes)}
            NotedBuilder(notes, nodes, order, [numbers[node] for node, _ in seeds], [seed for _, seed in seeds])
    explanation = Explanation(title, tuple(notes.steps))
    print(explanation)  # noqa: T201  its purpose
    return explanation


fusion.explain = explain
