"""Functions of raw arrays with their adjoints as differentiable operations: CUDA kernels, solvers, transforms."""

from collections.abc import Callable
from functools import update_wrapper
from inspect import Parameter, signature
from typing import Any, ClassVar

import numpy as np

from . import backends
from .backends import Type, _numpy
from .dtypes import FLOAT
from .engine import Parts
from .errors import DeviceError, DtypeError, GraphError, ShapeError
from .nodes import ArrayOpNode
from .op import TABLE, ArrayOp, node_name
from .tensor import Tensor, wrap

Kind = tuple[Type, tuple[int, ...]]
RESULT = "result"


class FunctionNode(ArrayOpNode):
    """A node of an ``ArrayFunction``: one call of the adjoint gives the cotangents of all operands."""

    __slots__ = ("of_operands", "of_results")
    op: ClassVar["ArrayFunction"]
    of_operands: tuple[Kind | None, ...]
    of_results: tuple[Kind, ...]

    def kind(self) -> Any:
        """With the operands' types, which a plan knows of no neighbour that is a leaf."""
        return super().kind() and (type(self), self.hooked, *(own and own[0] for own in self.of_operands))

    def pullback(self, grad: Any) -> tuple[Any, ...]:
        return self._adjoint(grad, self.unpack())

    def recorded_pullback(self, grad: Any) -> tuple[Any, ...]:
        return self._adjoint(grad, self.restore())

    def _adjoint(self, grad: Any, saved: tuple[Any, ...]) -> tuple[Any, ...]:
        op = self.op
        if op.adjoint is None:
            raise GraphError(
                f"{op.title}() has no adjoint, so nothing can be differentiated through it; make it "
                f"array_function({op.title}, its adjoint), also where it is an adjoint itself (for second derivatives)"
            )
        known = dict(zip((*op.operands_of(op.arity), RESULT), saved, strict=False))
        known |= {f"g{i}": self._cotangent(grad, i) for i in range(len(self.of_results))}
        if len(self.of_results) != sum(name.startswith("g") for name in op.reads):
            raise TypeError(f"{op.title}() has {len(self.of_results)} floating results: its adjoint must take a "
                            f"cotangent of each, and takes {', '.join(op.adjoint.operands)}")  # fmt: skip
        params = {name: value for name, value in self.params.items() if name in op.adjoint.params}
        found = op.adjoint(*(known[name] for name in op.reads), **params)
        parts = found if isinstance(found, tuple) else (found,)
        if len(parts) != op.arity:
            raise ValueError(
                f"the adjoint of {op.title}() returned {len(parts)} cotangents, expected one for each of "
                f"{', '.join(op.operands)}; what has none is a keyword-only parameter"
            )
        return tuple(
            None if parent is None else self._checked(part, i)
            for i, (part, parent) in enumerate(zip(parts, self.parents, strict=True))
        )

    def _cotangent(self, grad: Any, number: int) -> Any:
        """The cotangent of one result: zeros where none came."""
        if not isinstance(grad, Parts):
            kept = isinstance(grad, Tensor) or grad.size != 1
            return grad if kept else grad.copy()  # it may be a plan's seed, and an adjoint may write into it
        if number in grad:
            return grad[number]
        type_, shape = self.of_results[number]
        zeros = type_.backend.xp.zeros(shape, type_.numpy)
        return wrap(zeros) if isinstance(next(iter(grad.values())), Tensor) else zeros

    def _checked(self, part: Any, number: int) -> Any:
        """``part``, which must be like the operand whose cotangent it is."""
        own = self.of_operands[number]
        assert own is not None
        type_, shape = own
        where = f"the adjoint of {self.op.title}() returned a cotangent of {self.op.operands[number]!r}"
        if tuple(part.shape) != shape:
            raise ShapeError(f"{where} of shape {list(part.shape)}, expected {list(shape)}, the operand's")
        if self.op.linear and not type_.dtype.is_complex and part.dtype.name.startswith("complex"):
            part = TABLE.real(part)
        got = part._type if isinstance(part, Tensor) else backends.type_of(part)
        if got is not type_:
            raise DtypeError(
                f"{where} of dtype {got.dtype.name} on {got.device}, expected {type_.dtype.name} on {type_.device}, "
                "the operand's; convert it in the adjoint"
            )
        return part


class ArrayFunction(ArrayOp):
    """A function of raw arrays as an operation on Tensors; ``adjoint`` is another, or None."""

    node_base = FunctionNode

    def __init__(self, function: Callable[..., Any], name: str | None, numpy: Callable[..., Any] | None) -> None:
        name = str(name or getattr(function, "__name__", ""))
        if not name.isidentifier():
            name = "array_function"
        try:
            arguments = signature(function).parameters.values()
        except (TypeError, ValueError):
            arguments = ()  # type: ignore[assignment]
        plain = Parameter.POSITIONAL_ONLY, Parameter.POSITIONAL_OR_KEYWORD
        operands = [argument.name for argument in arguments if argument.kind in plain]
        self.params = [argument.name for argument in arguments if argument.kind is Parameter.KEYWORD_ONLY]
        if not operands or len(operands) + len(self.params) != len(arguments):
            raise TypeError(
                f"{name}: expected a Python function of named arrays and keyword-only parameters, as in "
                f"def {name}(x, *, step), got {function!r}"
            )
        super().__init__(name, ", ".join(operands), self._run, None, "", entered=False, node=node_name(name))
        update_wrapper(self, function)
        self.__name__ = name
        self.function, self.numpy, self.arity = function, numpy, len(operands)
        self.linear, self.adjoint = False, None
        self.has_rules, self.rules = True, (self._run,) * self.arity
        self.reads: tuple[str, ...] = ()
        self.needs = ((),) * self.arity

    adjoint: "ArrayFunction | None"

    def operands_of(self, count: int) -> tuple[str, ...]:
        return tuple(f"x{i}" for i in range(count))

    def adjoin(self, adjoint: "ArrayFunction") -> None:
        """Let ``adjoint`` be the adjoint: its arguments' names say what it reads."""
        own = dict(zip(self.operands, self.operands_of(self.arity), strict=True)) | {RESULT: RESULT}
        cotangents = [name for name in adjoint.operands if self.linear or name not in own]
        if not cotangents or (self.linear and len(adjoint.operands) + self.arity > 2):
            kind = "one array, the cotangent" if self.linear else "first of all the cotangent of the result"
            raise TypeError(f"the adjoint of {self.title}() takes {kind}, got {', '.join(adjoint.operands)}")
        if strange := set(adjoint.params) - set(self.params):
            raise TypeError(
                f"the adjoint of {self.title}() has parameters that {self.title}() lacks: {sorted(strange)}"
            )
        self.adjoint = adjoint
        self.reads = tuple(
            f"g{cotangents.index(name)}" if name in cotangents else own[name] for name in adjoint.operands
        )
        self.needs = (tuple("y" if name == RESULT else name for name in self.reads),) * self.arity

    def __call__(self, *operands: Any, **params: Any) -> Any:
        if len(operands) != self.arity:
            raise TypeError(
                f"{self.title}() takes {self.arity} arrays ({', '.join(self.operands)}), got {len(operands)}"
            )
        results = super().__call__(*operands, **{name: self._raw(name, value) for name, value in params.items()})
        several = results if isinstance(results, tuple) else (results,)
        if isinstance(several[0], Tensor) and isinstance(node := several[0].grad_fn, FunctionNode):
            node.of_operands = tuple((x._type, x._shape) if isinstance(x, Tensor) else None for x in operands)
            node.of_results = tuple((y._type, y._shape) for y in several if y._type.dtype.category >= FLOAT)
            for y in several[len(node.of_results) :]:
                y._node = None
        return results

    def _raw(self, name: str, value: Any) -> Any:
        """The value of a parameter, of a Tensor its array."""
        if isinstance(value, Tensor) and value.requires_grad:
            raise GraphError(f"{self.title}(): {name} is a parameter, which has no gradient; pass {name}.detach()")
        return value.array if isinstance(value, Tensor) else value

    def _run(self, *arrays: Any, **params: Any) -> Any:
        """The function on C-contiguous arrays; new arrays of the same library."""
        backend = backends.of_any(arrays)
        arrays, params = tuple(map(_contiguous, arrays)), {name: _contiguous(p) for name, p in params.items()}
        on_cpu = backend is _numpy
        try:
            found = (self.numpy if on_cpu and self.numpy is not None else self.function)(*arrays, **params)
        except TypeError as error:
            if on_cpu and self.numpy is None and "numpy.ndarray" in str(error):
                raise DeviceError(self._no_cpu()) from error
            raise
        results = tuple(self._own(y, arrays, backend) for y in (found if isinstance(found, tuple) else (found,)))
        floating = [y.dtype.kind in "fcV" for y in results]
        if floating != sorted(floating, reverse=True):
            raise TypeError(f"{self.title}() must return floating results before others")
        return results if isinstance(found, tuple) else results[0]

    def _own(self, y: Any, arrays: tuple[Any, ...], backend: Any) -> Any:
        """The result ``y``, in memory of its own; an error where it is no array of ``backend``."""
        if backend is _numpy and isinstance(y, np.generic):
            y = np.asarray(y)
        if not backend.is_array(y):
            if backend is _numpy and type(y).__module__.partition(".")[0] == "cupy":
                raise DeviceError(self._no_cpu())
            raise TypeError(f"{self.title}() must return {backend.xp.__name__} arrays, got {type(y).__name__}")
        return y.copy() if any(backend.is_array(a) and backend.shares_memory(y, a) for a in arrays) else y

    def _no_cpu(self) -> str:
        return (
            f"{self.title}() is a function of CUDA arrays and got CPU tensors: move them with .cuda(), or give "
            "functions of NumPy arrays by numpy="
        )


def _contiguous(value: Any) -> Any:
    """An array as one in C order, which a kernel may index flat; anything else as it is."""
    flags = getattr(value, "flags", None)
    return value if flags is None or flags.c_contiguous else backends.of(value).xp.ascontiguousarray(value)


def _pair(numpy: tuple[Any, Any] | None) -> tuple[Any, Any]:
    if numpy is None:
        return None, None
    if not isinstance(numpy, tuple) or len(numpy) != 2:
        raise TypeError(f"numpy= takes a pair of functions of NumPy arrays (forward, adjoint), got {numpy!r}")
    return numpy


def array_function(
    forward: Callable[..., Any],
    adjoint: "Callable[..., Any] | ArrayFunction",
    *,
    name: str | None = None,
    numpy: tuple[Any, Any] | None = None,
) -> ArrayFunction:
    """A differentiable operation from a function of raw arrays and its adjoint: a RawKernel, a solver, anything.

    ``forward(x, y, *, step)`` gets NumPy or CuPy arrays, as the Tensors hold them (C-contiguous: others are
    copied before), and returns an array or a tuple of them. ``adjoint(g, …)`` gets the cotangent of the result (of
    each result, zeros where none came) and what else it names: operands (which are then saved), ``result`` (the
    first), keyword-only parameters. It returns the cotangent of each operand, in its shape and dtype: one array, or a
    tuple for several; for complex numbers PyTorch's (conjugate) convention. What has no gradient is keyword-only.

    ``numpy`` is a pair (forward, adjoint) for tensors on the CPU, where the others are for CUDA arrays alone.
    Second derivatives need an adjoint that is an ``array_function`` itself, with its own adjoint.
    Errors: ShapeError and DtypeError where a cotangent is not like its operand; DeviceError where CPU tensors meet
    a function of CUDA arrays; GraphError where a second derivative is wanted and none is known.

    >>> import autograd_gpu as ag
    >>> cumulated = ag.array_function(lambda x: x.cumsum(), lambda g: g[::-1].cumsum()[::-1], name="cumulated")
    >>> x = ag.tensor([1.0, 2.0, 3.0], requires_grad=True)
    >>> cumulated(x)
    tensor([1., 3., 6.], grad_fn=<CumulatedBackward0>)
    >>> cumulated(x).sum().backward()
    >>> x.grad
    tensor([3., 2., 1.])
    """
    on_cpu = _pair(numpy)
    made = ArrayFunction(forward, name, on_cpu[0])
    if not isinstance(adjoint, ArrayFunction):
        adjoint = ArrayFunction(adjoint, f"{made.title}_adjoint", on_cpu[1])
    elif on_cpu[1] is not None:
        raise TypeError("array_function(): the adjoint is an array_function, give it its own numpy=")
    made.adjoin(adjoint)
    return made


def linear_operator(
    forward: Callable[..., Any],
    adjoint: Callable[..., Any],
    *,
    name: str | None = None,
    numpy: tuple[Any, Any] | None = None,
) -> ArrayFunction:
    """A linear map of one array, ``forward(x) = A x``, with ``adjoint(g) = Aᴴ g``, differentiable to every order.

    Each is the other's adjoint: ``operator.adjoint`` is an operation as well. The rest is as in ``array_function``,
    but the cotangent of a real operand is the real part of what ``adjoint`` returns.

    >>> import autograd_gpu as ag
    >>> shifted = ag.linear_operator(lambda x: x[1:], lambda g: ag.backends.of(g).xp.pad(g, (1, 0)), name="shifted")
    >>> x = ag.tensor([1.0, 4.0, 9.0], requires_grad=True)
    >>> (shifted(x) ** 2).sum().backward()
    >>> x.grad
    tensor([ 0.,  8., 18.])
    """
    on_cpu = _pair(numpy)
    made = ArrayFunction(forward, name, on_cpu[0])
    back = ArrayFunction(adjoint, f"{made.title}_adjoint", on_cpu[1])
    made.linear = back.linear = True
    made.adjoin(back)
    back.adjoin(made)
    return made
