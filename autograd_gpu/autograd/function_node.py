"""What a custom Function leaves in the graph: a node, the context that users see, and the tensors it saved."""

import weakref
from collections.abc import Callable
from math import prod
from typing import Any, ClassVar

from ..backends import Type
from ..devices import cpu
from ..edges import edge_of, shown
from ..engine import Output
from ..errors import DeviceError, FreedError, GraphError, ShapeError, StaleError
from ..modes import Namespace
from ..nodes import LARGE, ArrayNode, fit, stale
from ..tensor import Tensor, wrap

Info = tuple[Type, tuple[int, ...]]  # what is known of a tensor without keeping it: its type and shape


class Saved:
    """A tensor kept for the backward pass: its array and where it came from, so that nothing refers in a circle."""

    __slots__ = ("array", "counter", "edge", "expected", "itself", "output", "output_nr")

    def __init__(self, tensor: Tensor, node: "FunctionNode") -> None:
        self.array, self.counter = tensor.array, tensor._counter
        self.expected = self.counter.count
        self.itself = weakref.ref(tensor)
        self.output_nr = tensor.output_nr
        self.output = weakref.ref(tensor._node) if tensor.grad_fn is node else None
        self.edge = None if self.output is not None else tensor._edge

    def unpack(self, node: "FunctionNode") -> Tensor:
        """The tensor as it was: itself where it still is that, else one with the same history."""
        if self.counter.count != self.expected:
            maker = (node, self.output_nr) if self.output is not None else edge_of(self.edge)
            raise StaleError(stale(self.array, maker, self.counter, self.expected, node))
        edge = self.edge
        if self.output is not None and (edge := self.output()) is None:
            edge = Output(node, self.output_nr) if node.results > 1 else node
        tensor = self.itself()
        if tensor is not None and tensor.array is self.array and tensor._edge is edge:
            return tensor
        tensor = ArrayNode.with_history(self.array, edge)
        tensor._counter = self.counter
        return tensor  # type: ignore[no-any-return]


class FunctionCtx:
    """What ``forward`` and ``backward`` share: attributes of the user's, saved tensors, and what needs gradients."""

    needs_input_grad: tuple[bool, ...] = ()
    to_save: tuple[Tensor | None, ...] = ()
    dirty_tensors: tuple[Tensor, ...] = ()
    non_differentiable: tuple[Tensor, ...] = ()
    materialize_grads = True
    _node: Callable[[], "FunctionNode | None"] = staticmethod(lambda: None)

    def save_for_backward(self, *tensors: Tensor | None) -> None:
        """Keep tensors (or None) for ``backward``, where they are ``ctx.saved_tensors``."""
        self.to_save = _checked_tensors("save_for_backward can only save variables", tensors, or_none=True)

    def save_for_forward(self, *tensors: Tensor | None) -> None:
        """Keep tensors for ``jvp``: there is no forward mode here, so nothing is to be done."""
        _checked_tensors("save_for_forward can only save variables", tensors, or_none=True)

    def mark_dirty(self, *tensors: Tensor) -> None:
        """Tell that ``forward`` wrote to these inputs, which it must return."""
        self.dirty_tensors = _checked_tensors("mark_dirty can only accept variables", tensors)

    def mark_non_differentiable(self, *tensors: Tensor) -> None:
        """Tell that no gradient flows through these outputs."""
        self.non_differentiable = _checked_tensors("mark_non_differentiable only accepts variable arguments", tensors)

    def set_materialize_grads(self, value: bool) -> None:
        """Whether ``backward`` gets zeros (True, the default) or None for outputs that nobody used."""
        self.materialize_grads = value

    @property
    def saved_tensors(self) -> tuple[Tensor | None, ...]:
        """What ``save_for_backward`` kept, checked to be unchanged."""
        node = self._node()
        return () if node is None else node.saved_tensors

    def __repr__(self) -> str:
        return f"<{Namespace.name}.autograd.function.{type(self).__name__} object at {id(self):#x}>"


def _checked_tensors(complaint: str, values: tuple[Any, ...], *, or_none: bool = False) -> tuple[Any, ...]:
    for i, value in enumerate(values):
        if not (isinstance(value, Tensor) or (or_none and value is None)):
            raise TypeError(f"{complaint}, but argument {i} is of type {type(value).__name__}")
    return values


class FunctionNode(ArrayNode):
    """The node of a custom Function: runs its ``backward`` on Tensors and checks what comes out."""

    __slots__ = ("ctx", "inputs", "outputs")
    function: ClassVar[Any]  # the subclass of Function
    ctx: FunctionCtx
    inputs: tuple[Info | None, ...]  # None for arguments that are no tensors
    outputs: tuple[Info | None, ...]
    aliases = True

    def kind(self) -> Any:
        types = tuple([info and info[0] for info in (*self.inputs, *self.outputs)])
        one = len({type_.device for type_ in types if type_ is not None}) == 1
        return (type(self), self.hooked, self.results, *types) if one else None

    @property
    def large(self) -> bool:  # type: ignore[override]  # of other nodes, the class says
        """Whether a tensor is on a device, or large."""
        known = [info for info in (*self.inputs, *self.outputs) if info is not None]
        return any(type_.device is not cpu or prod(shape) >= LARGE for type_, shape in known)

    @property
    def saved_tensors(self) -> tuple[Tensor | None, ...]:
        if self.saved is None:
            raise FreedError
        return tuple(saved if saved is None else saved.unpack(self) for saved in self.saved)

    def pullback(self, grad: Any) -> tuple[Any, ...]:
        return tuple(part if part is None else part.array for part in self.recorded_pullback(grad))

    def recorded_pullback(self, grad: Any) -> tuple[Any, ...]:
        grads = shown(grad, self.results)
        if self.ctx.materialize_grads:
            grads = tuple(_zeros(info) if g is None else g for g, info in zip(grads, self.outputs, strict=True))
        parts = self.function._rule()(self.ctx, *grads)
        parts = parts if isinstance(parts, tuple) else (parts,)
        count = len(self.inputs)
        if len(parts) > count and all(part is None for part in parts[count:]):
            parts = parts[:count]
        if len(parts) != count:
            raise GraphError(
                f"function {self.name()} returned an incorrect number of gradients (expected {count}, got {len(parts)})"
            )
        return tuple(self._checked(i, part) for i, part in enumerate(parts))

    def _checked(self, i: int, part: Any) -> Tensor | None:
        """What ``backward`` returned for argument ``i``, as a cotangent of it."""
        if part is None:
            return None
        if not isinstance(part, Tensor):
            raise GraphError(f"expected Variable or None (got {type(part).__name__})")
        if (info := self.inputs[i]) is None:
            raise GraphError(
                f"function {self.name()} returned a gradient different than None at position {i + 1}, but the "
                "corresponding forward input was not a Variable"
            )
        if self.parents[i] is None:
            return None
        type_, shape = info
        invalid = f"Function {self.name()} returned an invalid gradient at index {i} - "
        if not _expandable(shape, part._shape):
            raise ShapeError(f"{invalid}got {list(part._shape)} but expected shape compatible with {list(shape)}")
        if part.device is not type_.device:
            raise DeviceError(f"{invalid}expected device {type_.device} but got {part.device}")
        if part.dtype.is_complex and not type_.dtype.is_complex:
            raise GraphError(f"{invalid}got a complex gradient of a real input")
        return fit(part, type_, shape)  # type: ignore[no-any-return]

    def __getattr__(self, name: str) -> Any:
        """``y.grad_fn.saved_tensors`` and so on: the context's attributes."""
        if name == "ctx":
            raise AttributeError(name)
        return getattr(self.ctx, name)

    def __dir__(self) -> list[str]:
        return sorted({*object.__dir__(self), *dir(self.ctx)})

    def __repr__(self) -> str:
        return f"<{Namespace.name}.autograd.function.{self.name()} object at {id(self):#x}>"


def _zeros(info: Info | None) -> Tensor | None:
    if info is None:
        return None
    type_, shape = info
    with type_.backend.Scope(type_.device):
        return wrap(type_.backend.xp.zeros(shape, type_.numpy), type_)


def _expandable(shape: tuple[int, ...], wider: tuple[int, ...]) -> bool:
    """Whether ``shape`` broadcasts to ``wider``."""
    if len(shape) > len(wider):
        return False
    return all(n in (1, m) for n, m in zip(shape[::-1], wider[::-1], strict=False))


def info_of(value: Any) -> Info | None:
    """What the node remembers of a tensor; None for anything else."""
    return (value._type, value._shape) if isinstance(value, Tensor) else None
