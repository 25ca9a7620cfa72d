"""Functions with a backward of their own, written by users."""

import inspect
import warnings
import weakref
from collections.abc import Callable
from functools import lru_cache, wraps
from typing import Any, ClassVar

from ..dtypes import FLOAT
from ..engine import outputs_of
from ..errors import GraphError
from ..modes import modes
from ..nodes import ArrayNode, enter, made_by
from ..op import TABLE
from ..tensor import LEAF, Tensor
from ..views import rebase
from ..writes import written_by_user
from .function_node import FunctionCtx, FunctionNode, Saved, info_of
from .grad_mode import no_grad


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
    node.inputs, node.outputs = tuple(map(info_of, args)), tuple(map(info_of, results))
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
