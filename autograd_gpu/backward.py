"""``backward`` and ``grad``: seeds are checked, the engine runs, gradients are stored."""

import operator
import warnings
from collections.abc import Sequence
from contextlib import nullcontext
from functools import lru_cache
from math import prod
from typing import Any, NamedTuple

import numpy as np

from . import backends, engine, placing, planned  # noqa: F401  placing: nodes of views
from .backends import Type
from .devices import cpu
from .dtypes import COMPLEX
from .edges import AccumulateGrad, GradientEdge
from .engine import Node, Parts
from .errors import GraphError
from .fusion.memory import keeping
from .modes import Anomaly, modes
from .op import TABLE
from .tensor import Tensor, wrap

Outputs = Tensor | GradientEdge | Sequence[Tensor | GradientEdge]

CREATE_GRAPH = (
    "Using backward() with create_graph=True will create a reference cycle between the parameter and its gradient "
    "which can cause a memory leak. We recommend using autograd.grad when creating the graph to avoid this. If you "
    "have to use this function, make sure to reset the .grad fields of your parameters to None after use to break "
    "the cycle and avoid the leak."
)
BATCHED = (
    "If `is_grads_batched=True`, we interpret the first dimension of each grad_output as the batch dimension. The "
    "sizes of the remaining dimensions are expected to match the shape of corresponding output, but a mismatch was "
    "detected: grad_output[{i}] has a shape of {got} and output[{i}] has a shape of {expected}. If you only want some "
    "tensors in `grad_output` to be considered batched, consider using vmap."
)


def _several(value: Any) -> tuple[Any, ...]:
    """One tensor, edge or None, or several, as a tuple."""
    return (value,) if value is None or isinstance(value, Tensor | GradientEdge) else tuple(value)


def _edges(values: tuple[Any, ...]) -> list[Any]:
    """Where the cotangents of tensors and gradient edges go: nodes and leaves, None where there is no graph."""
    edges = []
    for value in values:
        if isinstance(value, Tensor):
            edges.append(value._edge)
        elif isinstance(value, GradientEdge):
            edges.append(value.node.variable if isinstance(value.node, AccumulateGrad) else value.node)
        else:
            raise TypeError(f"expected Tensors or GradientEdges, but got {type(value).__name__}")
    return edges


@lru_cache(maxsize=64)
def _one(type_: Type, shape: tuple[int, ...], _: int = 0) -> Any:
    """An array that holds 1; one for each stream ``_``, as another might read it before it is written."""
    with type_.backend.Scope(type_.device):
        return type_.backend.xp.ones(shape, type_.numpy)


class One(NamedTuple):
    """The cotangent of a scalar on a device where none is given: no kernel has to write it again for each pass."""

    type: Type
    shape: tuple[int, ...]

    def own(self) -> Any:
        """An array of the pass's own, which hooks may see."""
        return _one.__wrapped__(self.type, self.shape)

    def kept(self) -> Any:
        """The array for plans, which neither write to their seeds nor give them away."""
        return _one(self.type, self.shape, self.type.backend.xp.cuda.get_current_stream().ptr)


def _seed(i: int, output: Any, grad: Any) -> Any:
    """The cotangent to start ``output`` with, checked: ``grad``, or 1 for a scalar."""
    if grad is not None and not isinstance(grad, Tensor):
        raise TypeError(f"gradients can be either Tensors or None, but got {type(grad).__name__}")
    if grad is None:
        if isinstance(output, GradientEdge) or output.shape.numel() != 1:
            raise GraphError("grad can be implicitly created only for scalar outputs")
        if output.dtype.category == COMPLEX:
            raise GraphError(f"grad can be implicitly created only for real scalar outputs but got {output.dtype!r}")
        with output._type.backend.Scope(output.device):
            return wrap(output._type.backend.xp.ones(output._shape, output._type.numpy))
    if isinstance(output, GradientEdge):
        return grad
    if grad._shape != output._shape:
        raise GraphError(
            f"Mismatch in shape: grad_output[{i}] has a shape of {grad.shape} and output[{i}] has a shape of "
            f"{output.shape}."
        )
    if (grad.dtype.category == COMPLEX) != (output.dtype.category == COMPLEX):
        raise GraphError(
            "For complex Tensors, both grad_output and output are required to have the same dtype. Mismatch in "
            f"dtype: grad_output[{i}] has a dtype of {grad.dtype!r} and output[{i}] has a dtype of {output.dtype!r}."
        )
    return grad if grad._type is output._type else TABLE.to(grad, type_=output._type)


def unit(output: Tensor) -> Any:
    """The cotangent of a real scalar where none is given; None of anything else, which is to be checked."""
    type_, shape = output._type, output._shape
    if type_.dtype.category == COMPLEX:
        return None
    if type_.device is cpu:
        return None if shape else type_.numpy.type(1)  # a NumPy scalar, which nobody can write to
    return One(type_, shape) if prod(shape) == 1 else None


def seeds_of(outputs: tuple[Any, ...], grads: tuple[Any, ...], *, recorded: bool) -> list[tuple[Any, Any]]:
    """Pairs of where a cotangent starts and what it is there, checked."""
    if len(grads) != len(outputs):
        raise GraphError(f"got {len(outputs)} tensors and {len(grads)} gradients")
    seeds = []
    for i, (output, edge, grad) in enumerate(zip(outputs, _edges(outputs), grads, strict=True)):
        if edge is None:
            raise GraphError(f"element {i} of tensors does not require grad and does not have a grad_fn")
        if grad is None and not recorded and isinstance(output, Tensor) and (one := unit(output)) is not None:
            seeds.append((edge, one))
            continue
        alike = isinstance(grad, Tensor) and isinstance(output, Tensor) and grad._type is output._type
        seed = grad if alike and grad._shape == output._shape else _seed(i, output, grad)
        if not recorded:
            scalar = not seed._shape and isinstance(seed.array, np.ndarray)
            seed = seed.array[()] if scalar else seed.array
        if isinstance(output, GradientEdge) and edge.results > 1:
            seed = Parts({output.output_nr: seed})
        seeds.append((edge, seed))
    return seeds


class passing:  # noqa: N801  a context manager
    """The state in which backward passes and their hooks run: recording only for ``create_graph``."""

    __slots__ = ("before", "recorded")

    def __init__(self, *, recorded: bool) -> None:
        self.recorded = recorded

    def __enter__(self) -> None:
        self.before, modes.grad = modes.grad, self.recorded

    def __exit__(self, *_: object) -> None:
        modes.grad = self.before


def _home(seeds: list[tuple[Any, Any]]) -> Any:
    """The context in which the device of the first of ``seeds`` is current: new arrays come to lie there."""
    seed = seeds[0][1] if seeds else None
    if isinstance(seed, Parts):
        seed = next(iter(seed.values()))
    if seed is None or isinstance(seed, np.ndarray | np.generic):
        return _ANYWHERE
    type_ = seed.type if isinstance(seed, One) else seed._type if isinstance(seed, Tensor) else backends.type_of(seed)
    return type_.backend.Scope(type_.device)


_ANYWHERE = nullcontext()


def _run(
    seeds: list[tuple[Any, Any]], targets: frozenset[Any] | None, *, retain_graph: bool, recorded: bool
) -> tuple[dict[Any, Any], set[Any]]:
    """The pass on the CUDA stream that the graph was made on, then the tensor hooks of the leaves that it reached."""
    stream = None
    for node, _ in seeds:
        stream = stream or getattr(node, "stream", None)
    with nullcontext() if stream is None else backends.cuda().following(stream):
        found, shared = _planned(seeds, targets, retain_graph=retain_graph, recorded=recorded) or _stepwise(
            seeds, targets, retain_graph=retain_graph, recorded=recorded
        )
        for leaf in found:
            if isinstance(leaf, Tensor) and leaf._hooks is not None and (targets is None or leaf in targets):
                found[leaf] = leaf._hooks.on_cotangent(found[leaf])
                shared.add(leaf)  # a hook may have kept it, or returned somebody's tensor
    return found, shared


def _planned(
    seeds: list[tuple[Any, Any]], targets: frozenset[Any] | None, *, retain_graph: bool, recorded: bool
) -> tuple[dict[Any, Any], set[Any]] | None:
    """The pass by a plan, if there can be one."""
    if recorded or not modes.fuse or Anomaly.on:
        return None
    kept = [(node, seed.kept() if isinstance(seed, One) else seed) for node, seed in seeds]
    return planned.run(kept, targets=targets, retain_graph=retain_graph)


def _stepwise(
    seeds: list[tuple[Any, Any]], targets: frozenset[Any] | None, *, retain_graph: bool, recorded: bool
) -> tuple[dict[Any, Any], set[Any]]:
    """The pass node by node, without NumPy's warnings of overflow and the like."""
    own = [(node, seed.own() if isinstance(seed, One) else seed) for node, seed in seeds]
    with np.errstate(all="ignore"), keeping():
        return engine.run(own, add=operator.add, targets=targets, retain_graph=retain_graph, recorded=recorded)


def _store_retained(found: dict[Any, Any]) -> None:
    """Add the cotangents of nodes whose tensor retains its gradient to that tensor's ``.grad``."""
    for node, grad in found.items():
        hooks = node.hooks if isinstance(node, Node) else None
        tensor = None if hooks is None or hooks.retain is None else hooks.retain()
        if tensor is not None and grad is not None:
            tensor._accumulate(grad, shared=True)


def _store(leaf: Tensor, grad: Any, *, shared: bool) -> None:
    """Add ``grad`` to the leaf's ``.grad`` and run the hooks that follow."""
    leaf._accumulate(grad, shared=shared)
    if leaf._post_accumulate:
        for hook in tuple(leaf._post_accumulate.values()):
            hook(leaf)
    if leaf._hooks is not None:
        leaf._hooks.after((), grad)


def backward(
    tensors: Outputs,
    grad_tensors: Any = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    grad_variables: Any = None,
    inputs: Outputs | None = None,
) -> None:
    """Add the gradients of ``tensors`` by the leaves of their graph to the leaves' ``.grad``.

    ``grad_tensors`` are the cotangents to start from (1 for a scalar). ``retain_graph`` keeps what the graph
    saved, for another pass; ``create_graph`` records the gradients' own graph; ``inputs`` names the only tensors
    whose ``.grad`` is to change. If an error is raised, no ``.grad`` has changed. Source: torch.autograd.backward.
    """
    if grad_variables is not None:
        warnings.warn("`grad_variables` is deprecated. Use `grad_tensors` instead.", FutureWarning, stacklevel=2)
        if grad_tensors is not None:
            raise GraphError(
                "`grad_tensors` and `grad_variables` (deprecated) arguments both passed to `backward()`. Please only "
                "use `grad_tensors`."
            )
        grad_tensors = grad_variables
    outputs = _several(tensors)
    grads = (None,) * len(outputs) if grad_tensors is None else _several(grad_tensors)
    seeds = seeds_of(outputs, grads, recorded=create_graph)
    targets = None if inputs is None else _targets(_several(inputs))
    if create_graph:
        warnings.warn(CREATE_GRAPH, UserWarning, stacklevel=3)
    with passing(recorded=create_graph), _home(seeds):
        retain_graph = create_graph if retain_graph is None else retain_graph
        found, shared = _run(seeds, targets, retain_graph=retain_graph, recorded=create_graph)
        leaves = [
            leaf
            for leaf in found
            if isinstance(leaf, Tensor) and leaf._node is not None and (targets is None or leaf in targets)
        ]
        for leaf in leaves:
            if leaf._hooks is not None:
                found[leaf] = leaf._hooks.before(found[leaf])
        _store_retained(found)
        for leaf in leaves:
            if found[leaf] is not None:
                _store(leaf, found[leaf], shared=leaf in shared)


def _targets(inputs: tuple[Any, ...]) -> frozenset[Any]:
    """Where ``backward(inputs=...)`` ends: leaves, and tensors that retain their gradient from now on."""
    if not inputs:
        raise GraphError("`inputs` argument to `backward()` cannot be empty.")
    edges = _edges(inputs)
    for value in inputs:
        if isinstance(value, Tensor):
            value.retain_grad()
    return frozenset(edges)


def grad(
    outputs: Outputs,
    inputs: Outputs,
    grad_outputs: Any = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    only_inputs: bool = True,
    allow_unused: bool | None = None,
    is_grads_batched: bool = False,
    materialize_grads: bool = False,
) -> tuple[Any, ...]:
    """The gradients of ``outputs`` by ``inputs``, as a tuple; no ``.grad`` changes.

    An input that the outputs do not depend on raises unless ``allow_unused`` (then None) or
    ``materialize_grads`` (then zeros). Source: torch.autograd.grad.

    >>> import autograd_gpu as torch
    >>> x = torch.tensor(3.0, requires_grad=True)
    >>> (slope,) = torch.autograd.grad(x * x, x, create_graph=True)
    >>> torch.autograd.grad(slope, x)
    (tensor(2.),)
    """
    if not only_inputs:
        warnings.warn(
            "only_inputs argument is deprecated and is ignored now (defaults to True). To accumulate gradient for "
            "other parts of the graph, please use torch.autograd.backward.",
            FutureWarning,
            stacklevel=2,
        )
    if materialize_grads and allow_unused is False:
        raise ValueError(
            "Expected allow_unused to be True or not passed when materialize_grads=True, but got: allow_unused=False."
        )
    wanted, several = _several(inputs), _several(outputs)
    edges = _edges(wanted)
    if not edges:
        raise GraphError("`inputs` argument to `grad()` cannot be empty.")
    if any(edge is None for edge in edges):
        raise GraphError("One of the differentiated Tensors does not require grad")
    grads = (None,) * len(several) if grad_outputs is None else _several(grad_outputs)
    if is_grads_batched:
        return _batched(several, wanted, grads, retain_graph, create_graph, allow_unused, materialize_grads)
    seeds = seeds_of(several, grads, recorded=create_graph)
    with passing(recorded=create_graph), _home(seeds):
        retain_graph = create_graph if retain_graph is None else retain_graph
        found, shared = _run(seeds, frozenset(edges), retain_graph=retain_graph, recorded=create_graph)
        _store_retained(found)
        values = [_value(found.get(edge), value) for edge, value in zip(edges, wanted, strict=True)]
        results: list[Tensor | None] = []
        for i, (value, tensor, edge) in enumerate(zip(values, wanted, edges, strict=True)):
            if value is not None:
                results.append(_as_result(value, tensor, shared=edge in shared))
                continue
            if not (allow_unused or materialize_grads):
                raise GraphError(
                    f"The differentiated Tensor at index {i} appears to not have been used in the graph. Set "
                    "allow_unused=True if this is the desired behavior."
                )
            results.append(TABLE.zeros_like(wrap(tensor.array, tensor._type)) if materialize_grads else None)
    return tuple(results)


def _value(grad: Any, wanted: Any) -> Any:
    """The cotangent of a tensor, or of the one of a node's results that a gradient edge names."""
    return grad.get(wanted.output_nr) if isinstance(grad, Parts) else grad


def _as_result(value: Any, wanted: Any, *, shared: bool) -> Tensor:
    """A cotangent as the caller of ``grad`` gets it: a Tensor whose memory is no other leaf's."""
    if isinstance(value, Tensor):
        return value
    if isinstance(wanted, GradientEdge):
        return wrap(backends.of(value).xp.asarray(value))
    value = wanted._type.backend.xp.asarray(value)
    return wrap(value.copy() if shared else value, wanted._type, wanted._shape)


def _batched(
    outputs: tuple[Any, ...],
    inputs: tuple[Any, ...],
    grads: tuple[Any, ...],
    retain_graph: bool | None,
    create_graph: bool,
    allow_unused: bool | None,
    materialize_grads: bool,
) -> tuple[Any, ...]:
    """``grad`` for each of a batch of cotangents (their first axis), the results stacked."""
    for i, (output, g) in enumerate(zip(outputs, grads, strict=True)):
        if g is None:
            raise GraphError("grad can be implicitly created only for scalar outputs")
        if g._shape[1:] != output._shape or not g._shape:
            raise GraphError(BATCHED.format(i=i, got=type(g.shape)(g._shape[1:]), expected=output.shape))
    count = len(grads[0])
    rows = [
        grad(
            outputs,
            inputs,
            tuple(g[row] for g in grads),
            retain_graph if row == count - 1 else True,
            create_graph,
            allow_unused=allow_unused,
            materialize_grads=materialize_grads,
        )
        for row in range(count)
    ]
    return tuple(None if column[0] is None else TABLE.stack(*column, dim=0) for column in zip(*rows, strict=True))


def _backward(
    self: Tensor,
    gradient: Tensor | None = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    inputs: Outputs | None = None,
) -> None:
    """Add this tensor's gradients by the leaves to their ``.grad`` (see ``autograd.backward``)."""
    backward(self, gradient, retain_graph, create_graph, inputs=inputs)


Tensor.backward = _backward  # type: ignore[method-assign]
