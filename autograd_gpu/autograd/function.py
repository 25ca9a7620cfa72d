"""Functions with a backward of their own, written by users."""

import inspect
import warnings
import weakref
from collections.abc import Callable
from functools import lru_cache, wraps
from typing import Any, ClassVar

from ..backends import Type
from ..dtypes import FLOAT
from ..edges import edge_of, shown
from ..engine import Output, outputs_of
from ..errors import DeviceError, FreedError, GraphError, ShapeError, StaleError
from ..modes import Namespace, modes
from ..nodes import ArrayNode, enter, fit, made_by, stale
from ..op import TABLE
from ..tensor import LEAF, Tensor, wrap
from ..views import rebase, written_by_user
from .grad_mode import no_grad

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
    _node: "Callable[[], FunctionNode | None]" = staticmethod(lambda: None)

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
    function: ClassVar[type["Function"]]
    ctx: FunctionCtx
    inputs: tuple[Info | None, ...]  # None for arguments that are no tensors
    outputs: tuple[Info | None, ...]
    aliases = True

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


def _info(value: Any) -> Info | None:
    return (value._type, value._shape) if isinstance(value, Tensor) else None


class Function:
    """Base of functions with their own ``backward``. Call them by ``apply``.

    ``forward(ctx, *args)`` computes and keeps what ``backward(ctx, *grad_outputs)`` needs; that returns one
    gradient (or None) for each argument. Or ``forward(*args)`` computes and ``setup_context(ctx, inputs, output)``
    keeps. Source: torch.autograd.Function.

    >>> import autograd_gpu as torch
    >>> class Cube(torch.autograd.Function):
    ...     @staticmethod
    ...     def forward(ctx, x):
    ...         ctx.save_for_backward(x)
    ...         return x * x * x
    ...
    ...     @staticmethod
    ...     def backward(ctx, grad):
    ...         (x,) = ctx.saved_tensors
    ...         return grad * 3 * x * x
    >>> x = torch.tensor(2.0, requires_grad=True)
    >>> Cube.apply(x).backward()
    >>> x.grad
    tensor(12.)
    """

    _node_class: ClassVar[type[FunctionNode]]
    _ctx_class: ClassVar[type[FunctionCtx]]

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        name = f"{cls.__name__}Backward"
        cls._node_class = type(name, (FunctionNode,), {"__slots__": (), "function": cls})
        cls._ctx_class = type(name, (FunctionCtx,), {})

    def __init__(self, *_: Any, **__: Any) -> None:
        warnings.warn(
            f"{type(self)} should not be instantiated. Methods on autograd functions are all static, so you should "
            "invoke them on the class itself. Instantiating an autograd function will raise an error in a future "
            "version of PyTorch.",
            DeprecationWarning,
            stacklevel=2,
        )

    def __call__(self, *_: Any, **__: Any) -> Any:
        raise GraphError(
            "Legacy autograd function with non-static forward method is deprecated. Please use new-style autograd "
            "function with static forward method. (Example: "
            "https://pytorch.org/docs/stable/autograd.html#torch.autograd.Function)"
        )

    @staticmethod
    def forward(*args: Any, **kwargs: Any) -> Any:
        """``forward(ctx, *args)``, or ``forward(*args)`` where ``setup_context`` is defined."""
        raise NotImplementedError("You must implement the forward function for custom autograd.Function.")

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Any) -> Any:
        """Keep on ``ctx`` what ``backward`` needs of the arguments and the result of ``forward``."""
        raise NotImplementedError("setup_context is not implemented.")

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Any) -> Any:
        """The gradient of each argument (None where there is none), given that of each result."""
        raise NotImplementedError(
            "You must implement either the backward or vjp method for your custom autograd.Function to use it with "
            "backward mode AD."
        )

    vjp = backward

    @classmethod
    def _rule(cls) -> Callable[..., Any]:
        if cls.vjp is Function.vjp:
            return cls.backward
        if cls.backward is not Function.backward:
            raise GraphError(
                "Implementing both 'backward' and 'vjp' for a custom Function is not allowed. You should only "
                "implement one of them."
            )
        return cls.vjp

    @classmethod
    def apply(cls, *args: Any, **kwargs: Any) -> Any:
        """Run ``forward``; what it returns is differentiated by ``backward``."""
        ctx = cls._ctx_class()
        two_parts = cls.setup_context is not Function.setup_context
        if two_parts:
            args, kwargs = _by_position(cls.forward, args, kwargs, defaults=True)
        elif kwargs:
            (_, *args), kwargs = _by_position(cls.forward, (ctx, *args), kwargs)  # type: ignore[assignment]
        ctx.needs_input_grad = tuple([isinstance(arg, Tensor) and arg._node is not None for arg in args])
        with no_grad():
            if two_parts:
                result = cls.forward(*args, **kwargs)
                cls.setup_context(ctx, tuple(args), result)
            else:
                result = cls.forward(ctx, *args, **kwargs)
        several = isinstance(result, tuple)
        results = result if several else (result,)
        _check_marks(ctx, args, results, two_parts=two_parts)
        node = None
        if modes.grad and any(ctx.needs_input_grad):
            node = _new_node(cls, ctx, args, results)
        outputs = _connect(ctx, node, args, results)
        return outputs if several else outputs[0]


@lru_cache(maxsize=256)
def _signature(function: Callable[..., Any]) -> inspect.Signature:
    return inspect.signature(function)


def _by_position(
    function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any], *, defaults: bool = False
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """All arguments by position, up to the last that is given (or all, ``defaults`` filled in)."""
    signature = _signature(function)
    bound = signature.bind(*args, **kwargs)
    given = max((i + 1 for i, name in enumerate(signature.parameters) if name in kwargs), default=0)
    bound.apply_defaults()
    return bound.args if defaults else bound.args[: max(len(args), given)], bound.kwargs


def _among(tensor: Any, tensors: tuple[Any, ...]) -> bool:
    return any(tensor is other for other in tensors)


def _check_marks(ctx: FunctionCtx, args: tuple[Any, ...], results: tuple[Any, ...], *, two_parts: bool) -> None:
    """Raise if what was marked dirty or saved does not fit what was returned."""
    recording = modes.grad and any(ctx.needs_input_grad)
    for tensor in ctx.dirty_tensors:
        if not _among(tensor, results):
            raise GraphError(
                "Some elements marked as dirty during the forward method were not returned as output. The inputs "
                "that are modified inplace must all be outputs of the Function."
            )
        if recording and tensor._node is LEAF:
            raise GraphError("a leaf Variable that requires grad has been used in an in-place operation.")
        if not _among(tensor, args):
            warnings.warn(
                "ctx.mark_dirty() received a tensor that was not an input. Only input Tensors that have been "
                "mutated should be passed to ctx.mark_dirty().",
                UserWarning,
                stacklevel=4,
            )
        elif recording and tensor._base is not None and len(results) > 1:
            raise GraphError(
                "If your Function modifies inplace an input that is a view of another Tensor, your Function cannot "
                "return more than one Tensor. This is not supported by the current autograd engine. You should either "
                "make sure the input is not a view (using .clone() for example) or make your Function only return one "
                "Tensor (potentially splitting it into two Functions: one doing the inplace that returns a single "
                "Tensor and a second one that does the other operations). You can ask on the forum "
                "https://discuss.pytorch.org/ if you need help to do this change."
            )
    for saved in ctx.to_save if two_parts else ():
        returned = saved is not None and _among(saved, results) and _among(saved, args)
        if returned and not _among(saved, ctx.dirty_tensors):
            raise GraphError(
                "An input that has been returned as-is as output is being saved for backward. This is not "
                "supported if you override setup_context. You should return and save a view of the input instead, "
                "e.g. with x.view_as(x) or setup ctx inside the forward function itself."
            )


def _new_node(
    function: type[Function], ctx: FunctionCtx, args: tuple[Any, ...], results: tuple[Any, ...]
) -> FunctionNode:
    node = function._node_class()
    node.ctx, ctx._node = ctx, weakref.ref(node)
    node.saved = node.counters = ()
    node.inputs, node.outputs = tuple(map(_info, args)), tuple(map(_info, results))
    node.results = len(results)
    enter(node, tuple([arg._edge if isinstance(arg, Tensor) else None for arg in args]))
    return node


def _connect(
    ctx: FunctionCtx, node: FunctionNode | None, args: tuple[Any, ...], results: tuple[Any, ...]
) -> tuple[Any, ...]:
    """``results`` as the function's outputs: with ``node`` as their history, except where they have none."""
    for tensor in ctx.dirty_tensors:
        written_by_user(tensor._counter, "" if node is None else made_by(node))
    outputs: list[Any] = []
    differentiable = 0
    edges: list[Any] = outputs_of(node, len(results)) if node is not None and len(results) > 1 else [node]
    for i, result in enumerate(results):
        if not isinstance(result, Tensor):
            outputs.append(result)
            continue
        is_input, is_dirty = _among(result, args), _among(result, ctx.dirty_tensors)
        if node is None or _among(result, ctx.non_differentiable) or result.dtype.category < FLOAT:
            output = _without_history(result, is_input=is_input, is_dirty=is_dirty)
        else:
            differentiable += 1
            if is_dirty and is_input:
                output = result
                rebase(output, edges[i])
            else:
                output = _view_of(result) if is_input else result
                output._node = edges[i]
        if output._base is not None and not (is_input and is_dirty):
            output._made = "custom"
        outputs.append(output)
    if differentiable > 1:
        for output in outputs:
            if isinstance(output, Tensor) and output._base is not None:
                output._made = "several"
    if node is not None:
        node.saved = tuple([t if t is None else Saved(t, node) for t in ctx.to_save])
    ctx.to_save = ctx.dirty_tensors = ctx.non_differentiable = ()
    return tuple(outputs)


def _without_history(result: Tensor, *, is_input: bool, is_dirty: bool) -> Tensor:
    """A result that is not differentiable: an input is returned as a new tensor."""
    if result._node is not None:
        if is_input:
            return result.detach()
        if result._base is None:
            result._node = None
        return result
    return _view_of(result) if is_input and not is_dirty else result


def _view_of(tensor: Tensor) -> Tensor:
    """A view of the whole tensor, without history."""
    with no_grad():
        return TABLE.view(tensor, size=tensor._shape)  # type: ignore[no-any-return]


class Error(ArrayNode):
    """What ``once_differentiable`` puts behind the gradients: it can be built, but not run."""

    __slots__ = ()

    def pullback(self, grad: Any) -> tuple[Any, ...]:
        raise GraphError("trying to differentiate twice a function that was marked with @once_differentiable")

    recorded_pullback = pullback


def once_differentiable(backward: Callable[..., Any]) -> Callable[..., Any]:
    """Decorate a ``backward`` that is not made of differentiable operations: differentiating it is an error."""

    @wraps(backward)
    def wrapper(ctx: Any, *grads: Any) -> Any:
        with no_grad():
            result = backward(ctx, *grads)
        origins = tuple(g._edge for g in grads if isinstance(g, Tensor) and g._node is not None)
        if not (modes.grad and origins):
            return result
        node = Error()
        node.saved = node.counters = ()
        enter(node, origins)
        results = result if isinstance(result, tuple) else (result,)
        outputs = [out.detach() if isinstance(out, Tensor) else out for out in results]
        for out, edge in zip(outputs, outputs_of(node, len(outputs)) if len(outputs) > 1 else [node], strict=True):
            if isinstance(out, Tensor):
                out._node = edge
        return tuple(outputs) if isinstance(result, tuple) else outputs[0]

    return wrapper
