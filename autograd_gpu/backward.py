"""``backward`` and ``grad``: seeds are checked, the engine runs, gradients are stored."""

import operator
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np

from . import engine
from .dtypes import COMPLEX
from .errors import GraphError
from .modes import modes
from .op import TABLE
from .tensor import Tensor, wrap

Tensors = Tensor | Sequence[Tensor]

CREATE_GRAPH = (
    "Using backward() with create_graph=True will create a reference cycle between the parameter and its gradient "
    "which can cause a memory leak. We recommend using autograd.grad when creating the graph to avoid this. If you "
    "have to use this function, make sure to reset the .grad fields of your parameters to None after use to break "
    "the cycle and avoid the leak."
)


def _several(value: Any) -> tuple[Any, ...]:
    return (value,) if isinstance(value, Tensor) or value is None else tuple(value)


def seeds_of(outputs: tuple[Tensor, ...], grads: tuple[Any, ...], recorded: bool) -> list[tuple[Any, Any]]:
    """Pairs of where a cotangent starts and what it is there, checked."""
    if len(grads) != len(outputs):
        raise GraphError(f"got {len(outputs)} tensors and {len(grads)} gradients")
    seeds = []
    for i, (output, grad) in enumerate(zip(outputs, grads, strict=True)):
        if output._node is None:
            raise GraphError(f"element {i} of tensors does not require grad and does not have a grad_fn")
        if grad is None:
            if output.shape.numel() != 1:
                raise GraphError("grad can be implicitly created only for scalar outputs")
            if output.dtype.category == COMPLEX:
                raise GraphError(
                    f"grad can be implicitly created only for real scalar outputs but got {output.dtype!r}"
                )
            grad = wrap(output._type.backend.xp.ones(output._shape, output._type.numpy))
        elif not isinstance(grad, Tensor):
            raise TypeError(f"gradients can be either Tensors or None, but got {type(grad).__name__}")
        elif grad._shape != output._shape:
            raise GraphError(
                f"Mismatch in shape: grad_output[{i}] has a shape of {grad.shape} and output[{i}] has a shape of "
                f"{output.shape}."
            )
        elif (grad.dtype.category == COMPLEX) != (output.dtype.category == COMPLEX):
            raise GraphError(
                f"For complex Tensors, both grad_output and output are required to have the same dtype. Mismatch in "
                f"dtype: grad_output[{i}] has a dtype of {grad.dtype!r} and output[{i}] has a dtype of {output.dtype!r}."
            )
        elif grad._type is not output._type:
            grad = TABLE.to(grad, type_=output._type)
        if recorded:
            seeds.append((output._edge, grad))
        else:
            scalar = not grad._shape and isinstance(grad.array, np.ndarray)
            seeds.append((output._edge, grad.array[()] if scalar else grad.array))
    return seeds


def run(
    outputs: tuple[Tensor, ...],
    grads: tuple[Any, ...],
    retain_graph: bool | None,
    create_graph: bool,
    targets: frozenset[Any] | None,
) -> tuple[dict[Any, Any], set[Any]]:
    """The engine on checked seeds; leaf hooks have run on what it returns."""
    seeds = seeds_of(outputs, grads, create_graph)
    recording, modes.grad = modes.grad, create_graph
    try:
        with np.errstate(all="ignore"):
            found, shared = engine.run(
                seeds,
                add=operator.add,
                targets=targets,
                retain_graph=create_graph if retain_graph is None else retain_graph,
                recorded=create_graph,
            )
            for leaf in found:
                if isinstance(leaf, Tensor) and leaf._hooks is not None:
                    found[leaf] = leaf._hooks.on_cotangent(found[leaf])
    finally:
        modes.grad = recording
    return found, shared


def store(leaf: Tensor, grad: Any, shared: bool) -> None:
    """Add ``grad`` to the leaf's ``.grad`` and run its post-accumulate hooks."""
    leaf._accumulate(grad, shared=shared)
    for hook in tuple((leaf._post_accumulate or {}).values()):
        hook(leaf)


def backward(
    tensors: Tensors,
    grad_tensors: Any = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    inputs: Tensors | None = None,
) -> None:
    """Add the gradients of ``tensors`` by the leaves of their graph to the leaves' ``.grad``.

    ``grad_tensors`` are the cotangents to start from (1 for a scalar). ``retain_graph`` keeps what the graph
    saved, for another pass; ``create_graph`` records the gradients' own graph; ``inputs`` names the only tensors
    whose ``.grad`` is to change. If an error is raised, no ``.grad`` has changed. Source: torch.autograd.backward.
    """
    outputs = _several(tensors)
    grads = (None,) * len(outputs) if grad_tensors is None else _several(grad_tensors)
    targets = None
    if inputs is not None:
        wanted = _several(inputs)
        if not wanted:
            raise GraphError("'inputs' argument to 'backward()' cannot be empty.")
        if any(t._node is None for t in wanted):
            raise GraphError("One of the differentiated Tensors does not require grad")
        targets = frozenset(t._edge for t in wanted)
    if create_graph:
        warnings.warn(CREATE_GRAPH, UserWarning, stacklevel=3)
    found, shared = run(outputs, grads, retain_graph, create_graph, targets)
    with np.errstate(all="ignore"):
        if targets is None:
            for leaf, grad in found.items():
                store(leaf, grad, leaf in shared)
        else:
            for tensor in {id(t): t for t in wanted}.values():
                if tensor._edge in found:
                    store(tensor, found[tensor._edge], tensor._edge in shared or tensor._node is not tensor._edge)


def grad(
    outputs: Tensors,
    inputs: Tensors,
    grad_outputs: Any = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    only_inputs: bool = True,
    allow_unused: bool | None = None,
    is_grads_batched: bool = False,
    materialize_grads: bool = False,
) -> tuple[Tensor | None, ...]:
    """The gradients of ``outputs`` by ``inputs``, as a tuple; no ``.grad`` changes.

    An input that the outputs do not depend on raises unless ``allow_unused`` (then None) or
    ``materialize_grads`` (then zeros). Source: torch.autograd.grad.
    """
    if not only_inputs:
        warnings.warn("only_inputs argument is deprecated and is ignored now (defaults to True)", stacklevel=2)
    if materialize_grads and allow_unused is False:
        raise ValueError("Expected allow_unused to be True or not passed when materialize_grads=True, but got: allow_unused=False.")
    wanted, several = _several(inputs), _several(outputs)
    if any(t._node is None for t in wanted):
        raise GraphError("One of the differentiated Tensors does not require grad")
    grads = (None,) * len(several) if grad_outputs is None else _several(grad_outputs)
    if is_grads_batched:
        return _batched(several, wanted, grads, retain_graph, create_graph, allow_unused, materialize_grads)
    found, shared = run(several, grads, retain_graph, create_graph, frozenset(t._edge for t in wanted))
    results: list[Tensor | None] = []
    for i, tensor in enumerate(wanted):
        if (value := found.get(tensor._edge)) is None:
            if not (allow_unused or materialize_grads):
                raise GraphError(
                    f"The differentiated Tensor at index {i} appears to not have been used in the graph. Set "
                    "allow_unused=True if this is the desired behavior."
                )
            zeros = tensor._type.backend.xp.zeros(tensor._shape, tensor._type.numpy)
            results.append(wrap(zeros) if materialize_grads else None)
        elif isinstance(value, Tensor):
            results.append(value)
        else:
            value = tensor._type.backend.xp.asarray(value)
            results.append(wrap(value.copy() if tensor._edge in shared else value, tensor._type, tensor._shape))
    return tuple(results)


def _batched(
    outputs: tuple[Tensor, ...], inputs: tuple[Tensor, ...], grads: tuple[Any, ...], retain_graph: bool | None, *options: Any
) -> tuple[Tensor | None, ...]:
    """``grad`` for each of a batch of cotangents (their first axis), the results stacked."""
    create_graph, allow_unused, materialize_grads = options
    count = next(g._shape[0] for g in grads if g is not None)
    rows = [
        grad(
            outputs, inputs, tuple(g if g is None else g[i] for g in grads),
            retain_graph if i == count - 1 else True, create_graph,
            allow_unused=allow_unused, materialize_grads=materialize_grads,
        )
        for i in range(count)
    ]  # fmt: skip
    return tuple(None if column[0] is None else TABLE.stack(*column, dim=0) for column in zip(*rows, strict=True))


Tensor.backward = lambda self, gradient=None, retain_graph=None, create_graph=False, inputs=None: backward(  # type: ignore[method-assign]
    self, gradient, retain_graph, create_graph, inputs
)
