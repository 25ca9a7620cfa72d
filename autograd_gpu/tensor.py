"""The Tensor: one array, its place in the graph, and its gradient."""

import operator
import sys
import warnings
import weakref
from collections.abc import Callable, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

from . import backends, engine
from .backends import Type
from .devices import cpu, device
from .dtypes import FLOAT, dtype
from .engine import Handle, Node, Output, Version
from .errors import GraphError, ShapeError
from .modes import modes
from .op import TABLE, Operation
from .shapes import Size


class _Leaf:
    """Stands in a tensor's ``_node`` where gradients end in the tensor itself."""

    def __repr__(self) -> str:
        return "LEAF"


LEAF = _Leaf()


class Frozen(Version):
    """The version of inference tensors: reading it to save the tensor is an error."""

    @property
    def count(self) -> int:  # type: ignore[override]
        raise GraphError(
            "Inference tensors cannot be saved for backward. Please do not use Tensors created in inference mode "
            "in computation tracked by autograd. To work around this, you can make a clone to get a normal tensor "
            "and use it in autograd, or use `torch.no_grad()` instead of `torch.inference_mode()`."
        )

    def bump(self) -> None:
        """Writes are not counted."""


NON_LEAF_GRAD = (
    "The .grad attribute of a Tensor that is not a leaf Tensor is being accessed. Its .grad attribute won't be "
    "populated during autograd.backward(). If you indeed want the .grad field to be populated for a non-leaf "
    "Tensor, use .retain_grad() on the non-leaf Tensor. If you access the non-leaf Tensor by mistake, make sure "
    "you access the leaf Tensor instead. See github.com/pytorch/pytorch/pull/30531 for more information."
)
NOT_A_LEAF = (
    "you can only change requires_grad flags of leaf variables. If you want to use a computed variable in a "
    "subgraph that doesn't require differentiation use var_no_grad = var.detach()."
)


_CPP_NAMES = {
    "bool": "bool", "uint8": "unsigned char", "int8": "signed char", "int16": "short int", "int32": "int",
    "int64": "long int", "float16": "c10::Half", "bfloat16": "c10::BFloat16", "float32": "float",
    "float64": "double", "complex64": "c10::complex<float>", "complex128": "c10::complex<double>",
}  # fmt: skip


class Tensor:
    """An array that remembers how it was computed.

    ``array`` is the raw ``numpy.ndarray`` or ``cupy.ndarray``, shared and never copied.
    A tensor that requires grad is a leaf, in which gradients end (``.grad``), or it has a ``grad_fn``.
    """

    # _node: None (needs no gradient), LEAF, or the Node that made it.
    __slots__ = ("__dict__", "__weakref__", "_counter", "_node", "_shape", "_type", "array")
    __array_ufunc__ = None  # ndarray * Tensor asks the Tensor
    array: Any
    _type: Type
    _shape: tuple[int, ...]
    _counter: Version
    _node: Any

    # rare, hence class attributes until set
    _grad: "Tensor | None" = None
    _base: "Tensor | None" = None  # the tensor whose memory this one views (see views.py)
    _steps: tuple[Any, ...] = ()
    _made: str = ""
    _views: Any = None  # weak references to the tensors that view this one
    _hooks: engine.NodeHooks | None = None  # of a leaf
    _post_accumulate: engine.Hooks | None = None
    _retains: bool = False

    if TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any: ...  # the functions of the table, installed by methods.py

    # --- the graph ---------------------------------------------------------------------------------

    @staticmethod
    def _apply_op(op: Operation, operands: tuple[Any, ...], params: dict[str, Any]) -> Any:
        raise NotImplementedError  # record.py fills this in

    @property
    def requires_grad(self) -> bool:
        """Whether gradients flow to this tensor; of a view made without recording, whether they do to its base."""
        return self._node is not None or (self._base is not None and self._base._node is not None)

    @requires_grad.setter
    def requires_grad(self, value: bool) -> None:
        if self.grad_fn is not None:
            if not value:
                raise GraphError(NOT_A_LEAF)
            return
        if value and self.dtype.category < FLOAT:
            raise GraphError("only Tensors of floating point and complex dtype can require gradients")
        if value and isinstance(self._counter, Frozen) and not modes.inference:
            raise GraphError("Setting requires_grad=True on inference tensor outside InferenceMode is not allowed.")
        self._node = LEAF if value else None

    def requires_grad_(self, requires_grad: bool = True) -> "Tensor":
        """Start (or stop) recording operations on this leaf."""
        if requires_grad and self.dtype.category < FLOAT:
            raise GraphError("only Tensors of floating point dtype can require gradients")
        self.requires_grad = requires_grad
        return self

    @property
    def is_leaf(self) -> bool:
        return self._node is None or self._node is LEAF

    @property
    def grad_fn(self) -> Node | None:
        """The node that made this tensor, or None for a leaf."""
        node = self._node
        if isinstance(node, Output):
            node = node.parents[0]
        return node if isinstance(node, Node) else None

    @property
    def output_nr(self) -> int:
        """Which of its node's results this tensor is."""
        return self._node.index if isinstance(self._node, Output) else 0

    @property
    def _version(self) -> int:
        """How often this memory was written to through tensors."""
        if isinstance(self._counter, Frozen):
            raise GraphError("Inference tensors do not track version counter.")
        return self._counter.count

    def is_inference(self) -> bool:
        """Whether this tensor was made in inference mode, so that no gradient can ever flow through it."""
        return isinstance(self._counter, Frozen)

    @property
    def _edge(self) -> Any:
        """Where cotangents of this tensor go: a node, the tensor itself if it is a leaf, or None."""
        return self if self._node is LEAF else self._node

    @property
    def grad(self) -> "Tensor | None":
        """The gradient that backward passes have summed here, or None."""
        if self._grad is None and isinstance(self._node, Node) and not self._retains:
            warnings.warn(NON_LEAF_GRAD, UserWarning, stacklevel=2)
        return self._grad

    @grad.setter
    def grad(self, value: "Tensor | None") -> None:
        if value is not None:
            if not isinstance(value, Tensor):
                raise TypeError(
                    f"assigned grad expected to be a Tensor or None but got grad of type {type(value).__name__}"
                )
            if value is self:
                raise GraphError("can't assign Variable as its own grad")
            if value._shape != self._shape:
                raise ShapeError(
                    f"attempting to assign a gradient of size '{list(value._shape)}' to a tensor of size "
                    f"'{list(self._shape)}'. Please ensure that the gradient and the tensor are the same size"
                )
            if value.dtype is not self.dtype:
                raise GraphError(
                    f"attempting to assign a gradient with dtype '{_CPP_NAMES[value.dtype.name]}' to a tensor with "
                    f"grad_dtype '{self.dtype.scalar_name}'. The gradient must match the tensor's grad_dtype (defaults "
                    "to the tensor's dtype). You can set the tensor's grad_dtype attribute with a specific dtype, or "
                    "None to allow any dtype. Set grad_dtype with caution. Diverging the dtypes of a tensor and its "
                    "gradient may break downstream systems that assume they match."
                )
            if value.device is not self.device:
                raise GraphError(
                    f"attempting to assign a gradient with device type '{value.device.type}' to a tensor with device "
                    f"type '{self.device.type}'. Please ensure that the gradient and the tensor are on the same device"
                )
        self._grad = value

    @property
    def retains_grad(self) -> bool:
        return self._retains

    def retain_grad(self) -> None:
        """Let backward passes fill ``.grad`` of this tensor although it is not a leaf."""
        if self._node is None:
            raise GraphError("can't retain_grad on Tensor that has requires_grad=False")
        if self._node is LEAF or self._retains:
            return
        self._retains = True
        self._node.own_hooks().retain = weakref.ref(self)

    def register_hook(self, hook: Callable[["Tensor"], "Tensor | None"]) -> Handle:
        """Call ``hook(grad)`` when the gradient of this tensor is known; a returned tensor replaces it."""
        if self._node is None:
            raise GraphError("cannot register a hook on a tensor that doesn't require gradient")
        return Handle(self._own_hooks().tensor, _TensorHook(hook))

    def _own_hooks(self) -> engine.NodeHooks:
        """The hooks on this tensor's cotangent: its node's, or a leaf's own."""
        if self._node is not LEAF:
            return self._node.own_hooks()  # type: ignore[no-any-return]
        if self._hooks is None:
            self._hooks = engine.NodeHooks()
        return self._hooks

    def register_post_accumulate_grad_hook(self, hook: Callable[["Tensor"], None]) -> Handle:
        """Call ``hook(tensor)`` after a backward pass has added to this leaf's ``.grad``."""
        if self._node is None:
            raise GraphError("cannot register a hook on a tensor that doesn't require gradient")
        if self._node is not LEAF:
            raise GraphError("post accumulate grad hooks cannot be registered on non-leaf tensors")
        self._post_accumulate = {} if self._post_accumulate is None else self._post_accumulate
        return Handle(self._post_accumulate, hook)

    def _accumulate(self, grad: Any, *, shared: bool) -> None:
        """Add ``grad`` (an array, or a recorded Tensor) to ``.grad``, which owns its memory."""
        if self._grad is None:
            if isinstance(grad, Tensor):
                self._grad = grad.clone() if shared or grad.array.base is not None else grad
            else:
                self._grad = wrap(self._own(grad, shared=shared), self._type, self._shape)
        elif isinstance(grad, Tensor):
            self._grad = TABLE.add(self._grad, grad)
        elif self._grad._node is not None:
            self._grad = wrap(modes.quiet(operator.add, self._grad.array, grad), self._type, self._shape)
        else:
            own = self._grad.array
            if self._type.device is cpu:
                modes.quiet(operator.iadd, own, grad)
            else:
                with self._type.backend.Scope(self._type.device):
                    self._type.backend.overwrite(TABLE.add, (own, grad), own)
            self._grad._counter.bump()

    def _own(self, grad: Any, *, shared: bool) -> Any:
        """The array ``grad`` in memory that nobody else has, laid out as this tensor's."""
        if grad.strides != self.array.strides:
            own = self._type.backend.xp.empty_like(self.array)
            own[...] = grad
            return own
        if shared or not alone(grad):
            grad = grad.copy()
        return np.asarray(grad) if isinstance(grad, np.generic) else grad

    def backward(
        self,
        gradient: "Tensor | None" = None,
        retain_graph: bool | None = None,
        create_graph: bool = False,
        inputs: "Sequence[Tensor] | Tensor | None" = None,
    ) -> None:
        """Add this tensor's gradients by the leaves to their ``.grad`` (source: torch.Tensor.backward)."""
        raise NotImplementedError  # backward.py fills this in

    # --- what it holds -----------------------------------------------------------------------------

    @property
    def shape(self) -> Size:
        return Size(self._shape)

    @property
    def dtype(self) -> dtype:
        return self._type.dtype

    @property
    def device(self) -> device:
        return self._type.device

    @property
    def ndim(self) -> int:
        return len(self._shape)

    def detach(self) -> "Tensor":
        """The same memory, without history; writes to it count as writes to this tensor."""
        result = wrap(self.array, self._type, self._shape)
        result._counter = self._counter
        return result

    @property
    def data(self) -> "Tensor":
        """The same memory, without history; writes to it are not counted (so not noticed by backward)."""
        return wrap(self.array, self._type, self._shape)

    @data.setter
    def data(self, value: "Tensor") -> None:
        if not isinstance(value, Tensor):
            raise TypeError(f"data must be set to a Tensor, got {type(value).__name__}")
        self._set_array(value.array)

    def _set_array(self, array: Any) -> None:
        """Hold another array from now on."""
        self.array, self._shape, self._type = array, array.shape, backends.type_of(array)

    __hash__ = object.__hash__  # == compares elements


class _TensorHook:
    """A tensor hook on cotangents that may be arrays: it gets a Tensor, and must keep its shape and type."""

    def __init__(self, hook: Callable[[Tensor], Tensor | None]) -> None:
        self.hook = hook

    def __call__(self, grad: Any) -> Any:
        before = as_tensor_grad(grad)
        after = self.hook(before)
        if after is None:
            return grad
        checked_by_hook(self.hook, before, after)
        return after if isinstance(grad, Tensor) else after.array


def checked_by_hook(hook: Callable[..., Any], before: Tensor | None, after: Any) -> Tensor | None:
    """``after``, which ``hook`` returned in place of ``before``, if it may."""
    name = getattr(hook, "__name__", "<unknown>")
    if after is None:
        return None
    if not isinstance(after, Tensor):
        raise TypeError(f"expected Variable, but hook returned '{type(after).__name__}'")
    if before is None:
        raise GraphError("can't replace a None gradient with a non-None value")
    if after._type is not before._type:
        names = (f"torch.{'cuda.' * (t.device.type == 'cuda')}{t.dtype.typename}" for t in (before, after))
        raise GraphError(f"hook '{name}' has changed the type of value (was {' got '.join(names)})")
    if after._shape != before._shape:
        raise GraphError(f"hook '{name}' has changed the size of value")
    return after


def alone(array: Any) -> bool:
    """Whether no other array is known to be in the memory of ``array``; of a view, if it is all of its base."""
    return array.base is None or (_is_whole(array, array.base) and _holders_of_base(array) == _ONE_VIEW)


def _is_whole(view: Any, base: Any) -> bool:
    return base.__class__ is view.__class__ and base.base is None and base.nbytes == view.nbytes


def _holders_of_base(view: Any) -> int:
    return sys.getrefcount(view.base)


_ONE_VIEW = _holders_of_base(np.empty(1)[:])  # and what the call holds itself, which not all Pythons count


def as_tensor_grad(grad: Any) -> Tensor:
    """A cotangent as users see it: a Tensor."""
    return grad if isinstance(grad, Tensor) else wrap(backends.of(grad).xp.asarray(grad))


_new = Tensor.__new__


def wrap(array: Any, type_: Type | None = None, shape: tuple[int, ...] | None = None) -> Tensor:
    """A Tensor on ``array``, without history and without a copy."""
    tensor = _new(Tensor)
    tensor.array = array
    tensor._type = backends.type_of(array) if type_ is None else type_
    tensor._shape = array.shape if shape is None else shape
    tensor._counter = Frozen() if modes.inference else Version()
    tensor._node = None
    return tensor


def user_line() -> tuple[Any, int]:
    """The code object and instruction, in the first frame outside this package, that is running."""
    frame = sys._getframe(2)
    while is_ours(frame.f_code.co_filename) and frame.f_back is not None:
        frame = frame.f_back
    return frame.f_code, frame.f_lasti


@cache
def is_ours(filename: str) -> bool:
    """Whether a source file is part of this package."""
    return filename.startswith(_FOLDER)


_FOLDER = __file__.removesuffix("tensor.py")
