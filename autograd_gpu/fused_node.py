"""The node of a fused operation: it keeps operands and reduced values, and computes the rest again."""

from functools import lru_cache
from typing import Any, ClassVar, NamedTuple

from . import backends
from .dtypes import dtype
from .edges import edge_of
from .engine import Node, Parts
from .fused import Fused
from .fusion.expr import Expr, const, fold, slot, slots, substitute
from .fusion.interpret import naturals
from .fusion.program import Over, program
from .fusion.reductions import ELEMENT, Reduction, largest, levels
from .nodes import ArrayNode, fit
from .op import TABLE
from .ops.axes import inverse
from .replay import Replay, full
from .shapes import Shape
from .tensor import Tensor, wrap


def _reshaped(x: Any, shape: Any) -> Any:
    return TABLE.reshape(x, size=shape) if isinstance(x, Tensor) else x.reshape(shape)


def _permuted(x: Any, order: Shape) -> Any:
    return TABLE.permute(x, dims=order) if isinstance(x, Tensor) else x.transpose(order)


class View(NamedTuple):
    """How an array, or a Tensor, becomes one that broadcasts to the domain: its axes in another order, or reshaped."""

    order: Shape | None
    shape: Shape | None

    def on(self, x: Any) -> Any:
        return _reshaped(x, self.shape) if self.order is None else _permuted(x, self.order)

    def off(self, x: Any, shape: Shape) -> Any:
        """From that the original of ``shape``; of an array not laid out as the original, with its axes in order."""
        if self.order is None:
            return _reshaped(x, shape)
        back = _permuted(x, inverse(self.order))
        if isinstance(x, Tensor) or not x.flags.c_contiguous:
            return back
        return backends.of(x).xp.ascontiguousarray(back)

    def seen(self, shape: Shape) -> Shape:
        """The shape that one of ``shape`` gets."""
        return self.shape or tuple(shape[axis] for axis in self.order or ())


class Kind(NamedTuple):
    """What decides about the class of a node.

    Slots of ``cotangents``, one for each operand that needs one: operands, results, and their cotangents.
    """

    op: Fused
    cotangents: tuple[Expr | None, ...]
    results: tuple[tuple[Expr, int, dtype], ...]  # formula, level, dtype
    inputs: tuple[dtype | None, ...]  # of the operands; None: a number
    levels: tuple[int, ...]  # of the operands
    computed: dtype
    axes: int
    large: bool  # on a device, or over many elements
    composed: bool  # whether a plan may compose them: all values broadcast to the domain as they are
    hidden: tuple[int, ...]  # operands that are no tensors of the user's
    edges: tuple[int | None, ...]  # the operands that torch's node counts; None is one that there is not


class FusedNode(ArrayNode):
    """A node of a fused operation.

    Slots of its formulas: operands, results, ``extras`` (other values that are kept, in the dtype ``computed``),
    and from ``cotangent`` on the cotangents of the results that are differentiable.
    """

    __slots__ = ("domain", "setting")
    op: ClassVar[Fused]
    made_of: ClassVar[Kind]
    extras: ClassVar[tuple[Expr, ...]]
    cotangents: ClassVar[tuple[Expr | None, ...]]  # ``formulas`` is the same, where a plan may compose them
    cotangent: ClassVar[int]
    slot_levels: ClassVar[tuple[int, ...]]
    level: ClassVar[int]  # of the first result
    axes: ClassVar[int]
    computed: ClassVar[dtype]
    kept: ClassVar[tuple[bool, ...]]  # by slot, what is saved
    domain: Shape
    setting: "Setting"

    @property
    def next_functions(self) -> tuple[tuple[Node | None, int], ...]:
        return tuple(edge_of(None if i is None else self.parents[i]) for i in self.made_of.edges)

    def pullback(self, grad: Any) -> tuple[Any, ...]:
        setting = self.setting
        saved = self.unpack()
        values = setting.on([*saved, grad] if grad.__class__ is not Parts else [*saved, *self._grads(grad)])
        parts: list[Any] = [None] * len(setting.shapes)
        for i in setting.returned:
            parts[i] = values[-1]
        if setting.backward is not None:
            for i, part in zip(setting.wanted, setting.backward.run(values)):  # noqa: B905  strict costs
                parts[i] = part
        return setting.off(parts)

    def recorded_pullback(self, grad: Any) -> tuple[Any, ...]:
        kind, setting = self.made_of, self.setting
        saved = self.restore()[: len(kind.inputs) + len(kind.results)]
        values = setting.on([*saved, *(None for _ in self.extras), *self._grads(grad)])
        type_ = next(value._type for value in values if isinstance(value, Tensor))
        replay = Replay(self.domain, kind.axes, type_.with_dtype(kind.computed))
        ready = [replay.ready(value) for value in (*values[: len(saved)], *values[self.cotangent :])]
        needed = [i for i, formula in enumerate(kind.cotangents) if formula is not None]
        made = replay.values(tuple(kind.cotangents[i] for i in needed), ready)  # type: ignore[misc]
        parts: list[Any] = [None] * len(setting.shapes)
        for i, part in zip(needed, made, strict=True):
            natural = naturals(self.domain, kind.axes)[kind.levels[i]]
            parts[i] = fit(full(part, natural), type_.with_dtype(kind.inputs[i]), setting.seen[i])  # type: ignore[arg-type]
        return setting.off(parts)

    def _grads(self, grad: Any) -> list[Any]:
        """The cotangents of all results; zeros where there is none."""
        if not isinstance(grad, Parts):
            return [grad]
        one = next(iter(grad.values()))
        xp = backends.of(one.array if isinstance(one, Tensor) else one).xp
        shapes = naturals(self.domain, self.axes)

        def zeros(level: int, d: dtype) -> Any:
            array = xp.zeros(shapes[level], d.numpy)
            return wrap(array) if isinstance(one, Tensor) else array

        return [grad[i] if i in grad else zeros(level, d) for i, (_, level, d) in enumerate(self.made_of.results)]


class Setting:
    """Nodes of one class whose operands have the same ``shapes``.

    ``views`` says by slot where a value does not broadcast to the domain as it is.
    """

    def __init__(
        self,
        node: type[FusedNode],
        domain: Shape,
        shapes: tuple[Shape, ...],
        views: tuple[View | None, ...],
        *,
        on_host: bool,
    ) -> None:
        self.shapes, self.views, kind = shapes, views, node.made_of
        self.viewed = any(views)
        # of the operands, once they broadcast to the domain
        self.seen = [own if view is None else view.seen(own) for own, view in zip(shapes, views, strict=False)]
        result = naturals(domain, kind.axes)[kind.results[0][1]]
        needed = [i for i, formula in enumerate(node.cotangents) if formula is not None]
        self.returned = [  # operands whose cotangent is the result's own
            i
            for i in needed
            if node.cotangents[i] is slot(node.cotangent)
            and self.seen[i] == result
            and kind.inputs[i] is kind.results[0][2]
        ]
        self.wanted = tuple(i for i in needed if i not in self.returned)
        self.targets = tuple(self.seen[i] for i in self.wanted)
        self.backward = backward(node, domain, self.wanted, self.targets, on_host=on_host) if self.wanted else None

    def on(self, values: list[Any]) -> list[Any]:
        """The values of all slots as they broadcast to the domain."""
        if not self.viewed:
            return values
        return [v if v is None or view is None else view.on(v) for v, view in zip(values, self.views, strict=True)]

    def off(self, parts: list[Any]) -> tuple[Any, ...]:
        """Cotangents of operands in the operands' own shapes."""
        if not self.viewed:
            return tuple(parts)
        own = [*parts]
        for i, (part, view) in enumerate(zip(parts, self.views, strict=False)):
            if part is not None and view is not None:
                own[i] = view.off(part, self.shapes[i])
                if i in self.wanted and not isinstance(part, Tensor):
                    own[i] = backends.of(part).as_own(own[i])
        return tuple(own)


def backward(
    node: type[FusedNode], domain: Shape, wanted: tuple[int, ...], targets: tuple[Shape, ...], *, on_host: bool
) -> Over:
    """The program of the cotangents of the operands ``wanted``, which have the shapes ``targets``."""
    kind = node.made_of
    dtypes = [d for _, _, d in kind.results]
    of_cotangents = dtypes[: kind.op.differentiable]
    made = program(
        tuple(node.cotangents[i] for i in wanted),
        tuple(kind.levels[i] for i in wanted),
        (*kind.inputs, *dtypes, *(kind.computed for _ in node.extras), *of_cotangents),
        tuple(kind.inputs[i] for i in wanted),
        kind.computed,
        kind.axes,
        f"bwd_{kind.op.name}",
    )
    return Over.of(made, domain, targets, on_host=on_host)


def live(formula: Expr) -> Expr:
    """``formula`` as it is computed: that no gradient goes through an operand makes no difference to its value."""
    return fold(
        (formula,), var=slot, const=const, call=lambda op, *args: args[0] if op is TABLE.stopped else Expr(op, *args)
    )[0]


def reduced_values(formulas: tuple[Expr, ...], of_slots: dict[int, int], first: int) -> list[Expr]:
    """The largest formulas in ``formulas`` that reduce, have no elements, and read no slot from ``first`` on."""
    level: dict[Expr, int] = {}
    reduces: dict[Expr, bool] = {}
    forward: dict[Expr, bool] = {}
    for formula in formulas:
        level |= levels(formula, of_slots)
    fold(
        formulas,
        var=lambda _: False,
        const=lambda _: False,
        call=lambda op, *args: isinstance(op, Reduction) or any(args),
        done=reduces,
    )
    fold(formulas, var=lambda i: i < first, const=lambda _: True, call=lambda _, *args: all(args), done=forward)
    return largest(formulas, lambda node: reduces[node] and forward[node] and level[node] < ELEMENT)


@lru_cache(maxsize=1024)
def node_class(kind: Kind) -> type[FusedNode]:
    """The class of the nodes of a fused operation."""
    operands, results = len(kind.inputs), len(kind.results)
    before = operands + results
    of_results = tuple(level for _, level, _ in kind.results)
    of_slots = dict(enumerate((*kind.levels, *of_results, *of_results)))
    formulas = tuple(None if c is None else live(c) for c in kind.cotangents)
    wanted = tuple(filter(None, formulas))
    kept = {
        formula: slot(operands + i)
        for i, (formula, level, d) in enumerate(kind.results)
        if level < ELEMENT and d is kind.computed
    }
    found = reduced_values(wanted, of_slots, before)
    extras = tuple(formula for formula in found if formula not in kept)
    cotangent = before + len(extras)
    known = {formula: kept[formula] for formula in found if formula in kept}
    known |= {formula: slot(before + i) for i, formula in enumerate(extras)}
    known |= {slot(before + i): slot(cotangent + i) for i in range(results)}
    cotangents = tuple(None if c is None else substitute(c, known) for c in formulas)
    recorded = slots(*filter(None, kind.cotangents)) & set(range(before))
    read = slots(*filter(None, cotangents)) | recorded
    of_extras = tuple(levels(extra, of_slots)[extra] for extra in extras)
    names = {
        "__slots__": (),
        "op": kind.op,
        "made_of": kind,
        "hidden": kind.hidden,
        "planned": True,
        "large": kind.large,
        "formulas": cotangents if kind.composed and kind.large else None,
        "cotangents": cotangents,
        "extras": extras,
        "cotangent": cotangent,
        "slot_levels": (*kind.levels, *of_results, *of_extras, *of_results),
        "level": of_results[0],
        "axes": kind.axes,
        "computed": kind.computed,
        "kept": tuple(i in read for i in range(cotangent)),
    }
    return type(kind.op.node, (FusedNode,), names)
