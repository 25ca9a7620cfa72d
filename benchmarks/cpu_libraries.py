"""The libraries that ``cpu.py`` compares: each makes the step of a work."""

import importlib.util
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from cpu_works import Arrays, Function, Like, Step, Work


def operands(work: Work, size: tuple[int, ...]) -> tuple[Arrays, Arrays]:
    """The leaves, and what is given: the same for every library."""
    return work.operands(np.random.default_rng(0), *size)


def itself(function: Function) -> Function:
    """The function as it is."""
    return function


# Libraries of tensors


def on_tensors(
    library: Any, functional: Any, fuse: Function, compiled: Function, work: Work, size: tuple[int, ...]
) -> Step:
    """A pass with ``backward``, and a step of an optimizer if the work has one."""
    arrays, given = operands(work, size)
    leaves = [library.tensor(array, requires_grad=True) for array in arrays]
    rest = [library.tensor(array) for array in given]
    run = compiled(work.tensors(library, functional, fuse))
    return passes(library, work, run, leaves, rest)


def passes(library: Any, work: Work, run: Function, leaves: list[Any], rest: list[Any]) -> Step:
    """``run``, its backward pass and the update of the leaves."""
    with library.no_grad():
        y = run(*leaves, *rest)
    g = library.ones(y.shape) if y.ndim else None
    optimizer = library.optim.SGD(leaves, lr=work.rate) if work.rate else None

    def step() -> list[Any]:
        for leaf in leaves:
            leaf.grad = None
        run(*leaves, *rest).backward(g)
        if optimizer is None:
            return [leaf.grad for leaf in leaves]
        optimizer.step()
        return leaves

    return step


def adam(library: Any, work: Work, size: tuple[int, ...], **options: Any) -> Step:
    """A step of Adam."""
    arrays, gradients = operands(work, size)
    leaves = [library.tensor(array, requires_grad=True) for array in arrays]
    for leaf, gradient in zip(leaves, gradients, strict=True):
        leaf.grad = library.tensor(gradient)
    optimizer = library.optim.Adam(leaves, lr=1e-3, **options)

    def step() -> list[Any]:
        optimizer.step()
        return leaves

    return step


def eager(work: Work, size: tuple[int, ...]) -> Step:
    """PyTorch as it comes, and its fused Adam."""
    import torch

    if work.tensors is None:
        return adam(torch, work, size, fused=True)
    return on_tensors(torch, torch.nn.functional, itself, itself, work, size)


def primitives(work: Work, size: tuple[int, ...]) -> Step:
    """PyTorch's primitive operations."""
    import torch

    arrays, given = operands(work, size)
    leaves = [torch.tensor(array, requires_grad=True) for array in arrays]
    return passes(torch, work, work.primitive(Like(torch, None)), leaves, [torch.tensor(array) for array in given])


def inductor(work: Work, size: tuple[int, ...]) -> Step:
    """torch.compile, which compiles the backward pass, too, but no optimizer here."""
    import torch

    return on_tensors(torch, torch.nn.functional, itself, torch.compile, work, size)


def ours(work: Work, size: tuple[int, ...], *, fuse: bool = True) -> Step:
    """Ours."""
    import autograd_gpu as ag

    if work.tensors is None:
        return adam(ag, work, size)
    return on_tensors(ag, ag.nn.functional, ag.fuse if fuse else itself, itself, work, size)


def tiled(work: Work, size: tuple[int, ...]) -> Step:
    """Ours without a compiler."""
    from autograd_gpu import fusion

    with fusion.compiling("off"):
        run = ours(work, size)

    def step() -> Any:
        with fusion.compiling("off"):
            return run()

    return step


# Libraries like NumPy


def hips(work: Work, size: tuple[int, ...]) -> Step:
    """HIPS/autograd."""
    import autograd
    import autograd.numpy as m
    from autograd.scipy.special import logsumexp

    def cross_entropy(x: Any, labels: Any) -> Any:
        return m.mean(logsumexp(x, axis=1) - x[m.arange(len(labels)), labels])

    leaves, given = operands(work, size)
    function = work.arrays(Like(m, cross_entropy))
    differentiate = autograd.make_vjp(lambda *leaves: function(*leaves, *given), tuple(range(len(leaves))))

    def step() -> Any:
        pull, y = differentiate(*leaves)
        gradients = pull(np.ones(np.shape(y), np.float32))
        return descended(leaves, gradients, work.rate) if work.rate else gradients

    return step


def mygrad(work: Work, size: tuple[int, ...]) -> Step:
    """MyGrad."""
    import mygrad as m

    arrays, given = operands(work, size)
    leaves = [m.tensor(array) for array in arrays]
    function = work.arrays(Like(m, m.nnet.losses.softmax_crossentropy))

    def step() -> Any:
        for leaf in leaves:
            leaf.null_grad()
        y = function(*leaves, *given)
        y.backward(np.ones(y.shape, np.float32))
        gradients = [leaf.grad for leaf in leaves]
        return descended([leaf.data for leaf in leaves], gradients, work.rate) if work.rate else gradients

    return step


def descended(parameters: Arrays, gradients: Arrays, rate: float) -> Arrays:
    """Gradient descent, in place."""
    for parameter, gradient in zip(parameters, gradients, strict=True):
        np.subtract(parameter, np.float32(rate) * gradient, out=parameter)
    return parameters


def xla(work: Work, size: tuple[int, ...]) -> Step:
    """jax.jit of the value, the gradients and the update."""
    import jax
    import jax.numpy as m

    def cross_entropy(x: Any, labels: Any) -> Any:
        return -m.mean(m.take_along_axis(jax.nn.log_softmax(x), labels[:, None], 1))

    def loop(cell: Function, inputs: Any, state: Any) -> Any:
        return jax.lax.scan(lambda state, x: (cell(state, x), None), state, inputs)[0]

    arrays, given = operands(work, size)
    leaves, rest = list(map(m.asarray, arrays)), list(map(m.asarray, given))
    function = work.arrays(Like(m, cross_entropy, loop))
    ones = m.ones(jax.eval_shape(function, *leaves, *rest).shape, "float32")

    @jax.jit
    def run(leaves: Any, rest: Any, g: Any) -> Any:
        y, pull = jax.vjp(lambda *leaves: function(*leaves, *rest), *leaves)
        if work.rate:
            return y, [leaf - work.rate * gradient for leaf, gradient in zip(leaves, pull(g), strict=True)]
        return y, pull(g)

    def step() -> Any:
        nonlocal leaves
        results = jax.block_until_ready(run(leaves, rest, ones))[1]
        leaves = results if work.rate else leaves
        return results

    return step


@dataclass(frozen=True)
class Library:
    """A column: the package that it needs, what makes a step, and whether it can do a work."""

    package: str
    step: Callable[[Work, tuple[int, ...]], Step]
    does: Callable[[Work], Any] = lambda work: work.tensors

    def can(self, work: Work, name: str) -> bool:
        return bool(self.does(work)) and name not in work.without


LIBRARIES = {
    "PyTorch": Library("torch", eager, lambda _work: True),  # all others are divided by it
    "fused": Library("autograd_gpu", ours, lambda _work: True),
    "plain": Library("autograd_gpu", partial(ours, fuse=False)),
    "tiled": Library("autograd_gpu", tiled, lambda _work: True),
    "PyTorch, primitives": Library("torch", primitives, lambda work: work.primitive),
    "torch.compile": Library("torch", inductor),
    "jax.jit": Library("jax", xla),
    "HIPS/autograd": Library("autograd", hips),
    "MyGrad": Library("mygrad", mygrad),
}


def installed() -> list[str]:
    """The libraries that are there."""
    return [name for name, library in LIBRARIES.items() if importlib.util.find_spec(library.package)]


def set_threads(package: str, number: int) -> None:
    """For those that do not go by the environment."""
    if package in {"torch", "autograd_gpu"}:
        importlib.import_module(package).set_num_threads(number)


def environment(threads: int) -> dict[str, str]:
    """For a process whose libraries are to have so many threads."""
    names = "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NPROC"  # the last is XLA's
    return dict.fromkeys(names, str(threads)) | {"JAX_PLATFORMS": "cpu"}
