"""Every elementwise row of the table: values, gradients and second gradients, against PyTorch and against quotients."""

from typing import Any

import numpy as np
import pytest
from elementwise import DIFFERENTIABLE, OPS, differentiable, ids, sample, taken, torch_function
from numpy.testing import assert_allclose
from support import assert_same, difference_quotient, host, ours, theirs

import autograd_gpu as ag
from autograd_gpu.op import Op

FLOATS = ("float32", "float64", "complex64", "complex128", "float16", "bfloat16")
CASES = [
    pytest.param(op, dtype, id=f"{op.name}-{dtype}")
    for op in OPS
    for dtype in taken(op, *FLOATS, "int64", "uint8", "bool")
]


def tensors(make: Any, operands: list[Any], recorded: list[int], *more: Any) -> list[Any]:
    return [
        make(x, *more, requires_grad=i in recorded) if isinstance(x, np.ndarray) else x for i, x in enumerate(operands)
    ]


def both(op: Op, operands: list[Any], recorded: list[int]) -> tuple[Any, Any]:
    """The operands and result, ours and torch's."""
    mine, torchs = tensors(ours, operands, recorded), tensors(theirs, operands, recorded)
    return (mine, op(*mine)), (torchs, torch_function(op)(*torchs))


@pytest.mark.parametrize(("op", "dtype"), CASES)
def test_values_and_gradients_are_those_of_torch(op: Op, dtype: str, rng: np.random.Generator) -> None:
    torch = pytest.importorskip("torch")
    operands = sample(op, rng, dtype, (3, 4))
    recorded = differentiable(op, operands)
    (mine, y), (torchs, expected) = both(op, operands, recorded)
    assert_same(y, expected, what=op.name)
    assert y.requires_grad == expected.requires_grad
    if not y.requires_grad or op.partials is NotImplemented:
        return
    g = rng.standard_normal(y.shape) + (1j * rng.standard_normal(y.shape) if y.dtype.is_complex else 0)
    g = g.astype(y.dtype.numpy)
    inputs, theirs_inputs = [mine[i] for i in recorded], [torchs[i] for i in recorded]
    first = ag.autograd.grad(y, inputs, ours(g), create_graph=True)
    wanted = torch.autograd.grad(expected, theirs_inputs, theirs(g), create_graph=True)
    for i, a, b in zip(recorded, first, wanted, strict=True):
        assert_same(a, b, scale=4, what=f"{op.name}, gradient {i}")
    again = ag.autograd.grad(op(*mine), inputs, ours(g))
    for a, b in zip(again, first, strict=True):
        assert_allclose(host(a), host(b), rtol=1e-2 if y.dtype.itemsize == 2 else 1e-5, atol=1e-5)
    pairs = [(a, b) for a, b in zip(first, wanted, strict=True) if a.requires_grad and b.requires_grad]
    if not pairs:
        return
    scalar = sum((abs(a) if a.dtype.is_complex else a).sum() for a, _ in pairs)
    theirs_scalar = sum((abs(b) if b.is_complex() else b).sum() for _, b in pairs)
    second = ag.autograd.grad(scalar, inputs, allow_unused=True, materialize_grads=True)
    wanted = torch.autograd.grad(theirs_scalar, theirs_inputs, allow_unused=True, materialize_grads=True)
    for i, a, b in zip(recorded, second, wanted, strict=True):
        assert_same(a, b, scale=20, what=f"{op.name}, second gradient {i}")
