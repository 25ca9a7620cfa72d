"""The work that ``cpu.py`` times: each written once for libraries of tensors, and once for those that look like NumPy.

A work is built from a library and used as a function of its operands: ``tensors(library, functional, fuse)`` of leaves
and of what is given, ``arrays(like)`` of the same. ``fuse`` is where a user of this package would write ``ag.fuse``.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Any, NamedTuple

import numpy as np

Function = Callable[..., Any]
Arrays = list[np.ndarray]
Step = Callable[[], Sequence[Any]]  # one pass; returns the gradients, or what an optimizer updated


class Like(NamedTuple):
    """A library like NumPy: its functions, and how it has what NumPy does not have."""

    numpy: Any
    cross_entropy: Function
    loop: Function = reduce  # of a cell, its inputs and its first state: the last state


def normal(rng: np.random.Generator, *shape: int) -> np.ndarray:
    """Normal numbers."""
    return rng.standard_normal(shape, np.float32)


def weights(rng: np.random.Generator, inputs: int, outputs: int) -> np.ndarray:
    """A matrix that keeps the scale of what it is multiplied with."""
    return normal(rng, inputs, outputs) * np.float32(inputs**-0.5)


# Elementwise


def chain(m: Any, _f: Any, fuse: Function) -> Function:
    """Seven operations, both gradients."""
    return fuse(lambda x, w: m.exp(-(m.tanh(x * w) ** 2)) * x + w)


def chain_of_arrays(like: Like) -> Function:
    """The same."""
    return chain(like.numpy, None, lambda function: function)


def chain_operands(rng: np.random.Generator, n: int) -> tuple[Arrays, Arrays]:
    """Both are leaves."""
    return [normal(rng, n), normal(rng, n)], []


# Composites, of functions that PyTorch has, and of primitive operations


def gelu(_m: Any, f: Any, fuse: Function) -> Function:
    """An activation of a sum."""
    return fuse(lambda x, bias: f.gelu(x + bias, approximate="tanh"))


def primitive_gelu(like: Like) -> Function:
    """The same."""

    def function(x: Any, bias: Any) -> Any:
        z = x + bias
        return 0.5 * z * (1 + like.numpy.tanh(0.7978845608 * (z + 0.044715 * z * z * z)))

    return function


def gelu_operands(rng: np.random.Generator, rows: int, columns: int) -> tuple[Arrays, Arrays]:
    """All gradients."""
    return [normal(rng, rows, columns), normal(rng, columns)], []


def norm(_m: Any, f: Any, fuse: Function) -> Function:
    """Layer norm of a sum."""
    return fuse(lambda x, residual, weight, bias: f.layer_norm(x + residual, weight.shape, weight, bias))


def primitive_norm(like: Like) -> Function:
    """The same."""
    m = like.numpy

    def function(x: Any, residual: Any, weight: Any, bias: Any) -> Any:
        z = x + residual
        centred = z - m.mean(z, axis=-1, keepdims=True)
        return centred / m.sqrt(m.mean(centred * centred, axis=-1, keepdims=True) + 1e-5) * weight + bias

    return function


def norm_operands(rng: np.random.Generator, rows: int, columns: int) -> tuple[Arrays, Arrays]:
    """All gradients."""
    return [normal(rng, rows, columns), normal(rng, rows, columns), normal(rng, columns), normal(rng, columns)], []


def entropy(_m: Any, f: Any, _fuse: Function) -> Function:
    """Softmax and cross-entropy of labels are one function in all libraries."""
    return f.cross_entropy


def entropy_of_arrays(like: Like) -> Function:
    """The same."""
    return like.cross_entropy


def primitive_entropy(like: Like) -> Function:
    """The same."""
    m = like.numpy

    def function(x: Any, labels: Any) -> Any:
        z = x - m.amax(x, axis=-1, keepdims=True)
        picked = z[m.arange(len(labels)), labels]
        return m.mean(m.log(m.sum(m.exp(z), axis=-1)) - picked)

    return function


def entropy_operands(rng: np.random.Generator, rows: int, classes: int) -> tuple[Arrays, Arrays]:
    """Labels are given."""
    return [normal(rng, rows, classes)], [rng.integers(classes, size=rows)]


# Models


def mlp(_m: Any, f: Any, _fuse: Function) -> Function:
    """Two linear layers with relu between them, mean squared error."""

    def loss(w1: Any, b1: Any, w2: Any, b2: Any, x: Any, target: Any) -> Any:
        return f.mse_loss(f.linear(f.relu(f.linear(x, w1, b1)), w2, b2), target)

    return loss


def mlp_of_arrays(like: Like) -> Function:
    """The same."""
    m = like.numpy

    def loss(w1: Any, b1: Any, w2: Any, b2: Any, x: Any, target: Any) -> Any:
        return m.mean((m.maximum(x @ w1.T + b1, 0) @ w2.T + b2 - target) ** 2)

    return loss


def mlp_operands(rng: np.random.Generator, batch: int, width: int, hidden: int) -> tuple[Arrays, Arrays]:
    """Weights as ``linear`` takes them; inputs and target are given."""
    w1, w2 = weights(rng, width, hidden).T.copy(), weights(rng, hidden, width).T.copy()
    return [w1, normal(rng, hidden), w2, normal(rng, width)], [normal(rng, batch, width), normal(rng, batch, width)]


def logistic(_m: Any, f: Any, _fuse: Function) -> Function:
    """Logistic regression."""
    return lambda w, b, x, y: f.binary_cross_entropy_with_logits(x @ w + b, y)


def logistic_of_arrays(like: Like) -> Function:
    """The same."""
    m = like.numpy

    def loss(w: Any, b: Any, x: Any, y: Any) -> Any:
        z = x @ w + b
        return m.mean(m.logaddexp(np.float32(0), z) - y * z)

    return loss


def logistic_operands(rng: np.random.Generator, samples: int, features: int) -> tuple[Arrays, Arrays]:
    """Samples and their classes are given."""
    labels = rng.integers(2, size=samples).astype(np.float32)
    return [weights(rng, features, 1)[:, 0].copy(), normal(rng, 1)], [normal(rng, samples, features), labels]


def digits(m: Any, f: Any, fuse: Function) -> Function:
    """The loss of examples/digits.py for one batch."""
    hidden = fuse(lambda z, b: m.relu(z + b))

    def loss(w1: Any, b1: Any, w2: Any, b2: Any, images: Any, labels: Any, batch: Any) -> Any:
        return f.cross_entropy(hidden(images[batch] @ w1, b1) @ w2 + b2, labels[batch])

    return loss


def digits_of_arrays(like: Like) -> Function:
    """The same."""

    def loss(w1: Any, b1: Any, w2: Any, b2: Any, images: Any, labels: Any, batch: Any) -> Any:
        hidden = like.numpy.maximum(images[batch] @ w1 + b1, 0)
        return like.cross_entropy(hidden @ w2 + b2, labels[batch])

    return loss


def digits_operands(rng: np.random.Generator, batch: int, hidden: int) -> tuple[Arrays, Arrays]:
    """Images of 8 × 8, their labels, and which of them are the batch."""
    images, labels = normal(rng, 40 * batch, 64), rng.integers(10, size=40 * batch)
    leaves = [weights(rng, 64, hidden), normal(rng, hidden), weights(rng, hidden, 10), normal(rng, 10)]
    return leaves, [images, labels, rng.integers(40 * batch, size=batch)]


def recurrent(m: Any, _f: Any, fuse: Function) -> Function:
    """A recurrent network: the mean square of its last state."""
    activation = fuse(lambda a, b, bias: m.tanh(a + b + bias))

    def loss(u: Any, w: Any, bias: Any, inputs: Any, state: Any) -> Any:
        for x in inputs:
            state = activation(x @ u, state @ w, bias)
        return (state * state).mean()

    return loss


def recurrent_of_arrays(like: Like) -> Function:
    """The same."""
    m = like.numpy

    def loss(u: Any, w: Any, bias: Any, inputs: Any, state: Any) -> Any:
        state = like.loop(lambda state, x: m.tanh(x @ u + state @ w + bias), inputs, state)
        return m.mean(state * state)

    return loss


def recurrent_operands(rng: np.random.Generator, steps: int, batch: int, hidden: int) -> tuple[Arrays, Arrays]:
    """Inputs of half the width for each step, and a first state."""
    leaves = [weights(rng, hidden // 2, hidden), weights(rng, hidden, hidden), normal(rng, hidden)]
    return leaves, [normal(rng, steps, batch, hidden // 2), normal(rng, batch, hidden)]


def adam_operands(rng: np.random.Generator, n: int) -> tuple[Arrays, Arrays]:
    """Four parameters of ``n`` elements, and their gradients."""
    return [normal(rng, n) for _ in range(4)], [normal(rng, n) for _ in range(4)]


# The rows


@dataclass(frozen=True)
class Work:
    """A row: its operands at the size that is timed and at one for tests, and how it is computed.

    ``most`` bounds the time of ours relative to other libraries. ``tensors`` is None for a step of Adam; ``rate`` is
    that of gradient descent after a pass; ``primitive`` is for libraries like NumPy, of primitive operations only;
    ``without`` names libraries that are left out; ``heavy`` rows are measured less often.
    """

    title: str
    group: str
    operands: Callable[..., tuple[Arrays, Arrays]]
    size: tuple[int, ...]
    tiny: tuple[int, ...]
    most: dict[str, float]
    tensors: Function | None = None
    arrays: Function | None = None
    primitive: Function | None = None
    rate: float = 0
    without: tuple[str, ...] = ()
    heavy: bool = False


ELEMENTWISE = {"PyTorch": 0.5, "jax.jit": 1.2}
COMPOSITE = {"PyTorch": 1.0, "PyTorch, primitives": 0.5}
BOUND = ("plain", "tiled")  # nothing to fuse: what is fused is plain code, whose time goes to matrix products
SMALL = ("tiled",)  # tiles are for larger arrays
UNROLLED = ("tiled", "torch.compile")  # which would unroll the loop, and compile for minutes

ROWS = [
    Work("chain, 10⁶", "elementwise", chain_operands, (10**6,), (300,), ELEMENTWISE, chain, chain_of_arrays),
    Work(
        "chain, 10⁷", "elementwise", chain_operands, (10**7,), (300,), ELEMENTWISE,
        chain, chain_of_arrays, heavy=True,
    ),
    Work(
        "bias + GELU, 1000×1000", "composites", gelu_operands, (1000, 1000), (5, 6), COMPOSITE,
        gelu, primitive_gelu, primitive_gelu,
    ),
    Work(
        "residual + layer norm, 1000×1000", "composites", norm_operands, (1000, 1000), (5, 6), COMPOSITE,
        norm, primitive_norm, primitive_norm,
    ),
    Work(
        "softmax cross-entropy, 1000×1000", "composites", entropy_operands, (1000, 1000), (5, 6), COMPOSITE,
        entropy, entropy_of_arrays, primitive_entropy, without=("plain",),
    ),
    Work("Adam, 16·10⁶ parameters", "optimizer", adam_operands, (1 << 22,), (300,), {"PyTorch": 1.0}),
    Work(
        "MLP 1024×(1024-4096-1024)", "matrix products", mlp_operands, (1024, 1024, 4096), (3, 4, 5), {"PyTorch": 1.1},
        mlp, mlp_of_arrays, without=BOUND, heavy=True,
    ),
    Work(
        "logistic regression, 100k×100", "matrix products", logistic_operands, (100_000, 100), (7, 5), {"PyTorch": 1.1},
        logistic, logistic_of_arrays, without=BOUND,
    ),
    Work(
        "digits network, a step on 32 images", "small arrays", digits_operands, (32, 128), (3, 5), {"PyTorch": 0.9},
        digits, digits_of_arrays, rate=0.5, without=SMALL,
    ),
    Work(
        "recurrent loop, 500 steps", "small arrays", recurrent_operands, (500, 16, 64), (4, 3, 6), {"PyTorch": 0.9},
        recurrent, recurrent_of_arrays, without=UNROLLED,
    ),
]  # fmt: skip
WORKS = {work.title: work for work in ROWS}
LARGE = WORKS["chain, 10⁷"]  # whose memory is measured, too
