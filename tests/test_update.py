"""Formulas that update arrays in place, on both backends, against the same formulas on copies in float64."""

import numpy as np
import pytest
from support import host, ours

from autograd_gpu.backends import type_of
from autograd_gpu.fusion.expr import fold
from autograd_gpu.fusion.update import Fixed, Update
from autograd_gpu.op import TABLE

OPS = [TABLE[name] for name in ("add", "sub", "mul", "maximum", "minimum", "neg", "sqrt", "abs")]


def random_formula(rng, steps, results):
    """A function of symbols: ``steps`` random operations, ``results`` of whose values are returned."""

    def formula(*arrays, scale, shift):
        values = [*arrays, scale, shift, 0.5]
        for _ in range(steps):
            op = OPS[rng.integers(len(OPS))]
            operands = [values[i] for i in rng.integers(len(values), size=op.arity)]
            if all(isinstance(operand, float) for operand in operands):
                operands[0] = arrays[0]
            values.append(op(*operands))
        picked = rng.choice(range(len(arrays) + 3, len(values)), size=results)
        return tuple(values[i] for i in picked)

    return formula


def evaluate(update, arrays, numbers):
    """The new values of ``arrays``, computed from copies."""
    inputs = [array.astype(np.float64) for array in arrays] + [numbers[name] for name in update.numbers]
    with np.errstate(all="ignore"):
        return fold(update.roots, var=inputs.__getitem__, const=float, call=lambda op, *operands: op.numpy(*operands))


@pytest.mark.parametrize("case", range(25))
def test_random_formulas(case, device):
    rng = np.random.default_rng(case)
    count = int(rng.integers(1, 5))
    reads = int(rng.integers(0, count))
    update = Update(f"case{case}", random_formula(rng, int(rng.integers(1, 15)), count - reads), count, reads)
    numbers = {"scale": 1.5, "shift": -0.25}
    arrays = [[rng.normal(size=size) for _ in range(count)] for size in (5, 1, 33_000)]
    expected = [evaluate(update, some, numbers) for some in arrays]
    tensors = [[ours(array, device) for array in some] for some in arrays]
    type_ = tensors[0][0]._type
    others = [Fixed(type_, [t.array for t in some[1:]]) if count > 1 else None for some in tensors]
    update.prepare(type_, [(some[0].array, fixed) for some, fixed in zip(tensors, others, strict=True)], numbers)()
    for some, old, new in zip(tensors, arrays, expected, strict=True):
        for tensor, array in zip(some[:reads], old[:reads], strict=True):
            np.testing.assert_array_equal(host(tensor), array)
        for tensor, array in zip(some[reads:], new, strict=True):
            np.testing.assert_allclose(host(tensor), np.broadcast_to(array, tensor.shape), rtol=1e-12, atol=1e-12)


def test_numbers_and_constants_as_new_values(device):
    update = Update("fill", lambda x, y, *, value: (0.25, value), arrays=2, reads=0)
    x, y = ours(np.ones(3), device), ours(np.ones(3), device)
    update.prepare(x._type, [(x.array, Fixed(y._type, [y.array]))], {"value": 2.0})()
    assert x.tolist() == [0.25] * 3
    assert y.tolist() == [2.0] * 3


def test_formulas_that_are_refused():
    with pytest.raises(TypeError, match="swap: the new value of array 0 is array 1 as it is; compute it from that"):
        Update("swap", lambda x, y: (y, x), arrays=2, reads=0)
    with pytest.raises(TypeError, match="choice: where is not one ufunc of NumPy; write it with operations that are"):
        Update("choice", lambda x: (TABLE.where(x, x, 0.0),), arrays=1, reads=0)


def test_arrays_without_elements(device):
    x = ours(np.ones((0, 3)), device)
    Update("twice", lambda x: (x + x,), arrays=1, reads=0).prepare(type_of(x.array), [(x.array, None)], {})()
