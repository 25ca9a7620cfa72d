"""Operations on arrays: their generated functions record what the general road does; fused ones are decided on once."""

import itertools
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from support import host, ours

import autograd_gpu as ag
import autograd_gpu.nn.functional as F
from autograd_gpu.array_record import apply_array
from autograd_gpu.errors import GraphError
from autograd_gpu.fused import Decision, decided
from autograd_gpu.op import TABLE
from autograd_gpu.tensor import wrap

X, Y = np.arange(6.0).reshape(2, 3), np.linspace(-1, 1, 12).reshape(3, 4)
# name, arrays, parameters; which results are views is up to the operation
CALLS: dict[str, tuple[str, list[Any], dict[str, Any]]] = {
    "mm": ("mm", [X, Y], {"columns": False}),
    "view": ("t", [X], {}),
    "scalar": ("sum_all", [X], {}),
    "another dtype": ("places", [X], {}),
    "index": ("index", [X, np.array([1, 0, 1])], {"dims": (0,), "merged": None}),
    "three operands": ("addmm", [np.ones(4), X, Y], {"beta": 1, "alpha": 2, "columns": False}),
    "several results": ("unbind", [X], {"dim": 0}),
    "result is kept": ("cumprod", [X + 1], {"dim": 1}),
}


def tensors(arrays, needed, device):
    return [
        ours(array, device, requires_grad=True) if need else ours(array, device)
        for array, need in zip(arrays, needed, strict=True)
    ]


def recorded(results, operands):
    """What is known of the results of an operation, and the gradients of its operands."""
    several = results if isinstance(results, tuple) else (results,)
    node = several[0].grad_fn
    facts = [node and (type(node), node.shapes, node.fit, [p is None for p in node.parents], len(node.saved))]
    facts += [(y.dtype, y.shape, y.device, y.is_leaf, y.requires_grad, y._base is operands[0]) for y in several]
    arrays = [host(y) for y in several]
    if node is not None:
        arrays += [None if value is None else host(wrap(value)) for value in node.saved]
        sum((y * y).sum() for y in several).backward()
        arrays += [None if x.grad is None else host(x.grad) for x in operands]
    return facts, arrays


@pytest.mark.parametrize("name", CALLS)
def test_both_roads_record_the_same(name, device):
    op, arrays, params = CALLS[name]
    for needed in itertools.product([False, True], repeat=len(arrays)):
        if any(need and array.dtype.kind != "f" for need, array in zip(needed, arrays, strict=True)):
            continue
        direct, general = tensors(arrays, needed, device), tensors(arrays, needed, device)
        facts, values = recorded(TABLE[op](*direct, **params), direct)
        expected, others = recorded(apply_array(TABLE[op], tuple(general), params), general)
        assert facts == expected
        for value, other in zip(values, others, strict=True):
            assert_array_equal(value, other) if value is not None else None
            assert (value is None) is (other is None)


def test_a_number_or_an_array_beside_a_tensor_takes_the_general_road():
    x = ours(X, requires_grad=True)
    y = x @ Y
    assert_array_equal(host(y), X @ Y)
    y.sum().backward()
    assert_array_equal(host(x.grad), np.broadcast_to(Y.sum(1), X.shape))


def test_what_is_written_to_after_it_was_saved_is_noticed():
    x, w = ours(X), ours(Y, requires_grad=True)
    y = x @ w
    x.zero_()
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        y.sum().backward()
    z = x @ w  # saved at version 1
    z.sum().backward()
    assert_array_equal(host(w.grad), np.zeros_like(Y))


def test_inference_tensors_cannot_be_saved():
    with ag.inference_mode():
        x = ours(X) @ ours(Y)
    assert x.is_inference()
    with pytest.raises(GraphError, match="Inference tensors cannot be saved"):
        x @ ours(Y.T.copy(), requires_grad=True)


@pytest.mark.parametrize("call", [lambda x: x @ ours(Y), lambda x: ag.softmax(x, 0), lambda x: x.t()])
def test_anomaly_mode_names_the_users_line_and_no_other(call):
    x = ours(X, requires_grad=True)
    with ag.autograd.set_detect_anomaly(True, check_nan=False):
        y = call(x)
    assert "y = call(x)" in y.grad_fn.trace
    last = y.grad_fn.trace.splitlines()[-2]
    assert __file__ in last
    assert y.grad_fn.line[0] is call.__code__


# --- decisions ------------------------------------------------------------------------------------------


@pytest.fixture
def asked():
    """A function of tensors that calls a fused operation, and the shapes for which it was asked."""
    shapes = []

    @decided
    def squashed(x: Any, scale: float = 1.0, other: Any = None) -> Decision:
        shapes.append(tuple(x.shape))
        return Decision(TABLE.softmax, (x if other is None else other, (x.ndim - 1,)))

    return squashed, shapes


def test_a_function_is_asked_once_for_arguments_of_a_kind(asked):
    function, shapes = asked
    x = ours(X)
    for _ in range(3):
        assert_array_equal(host(function(x)), host(ag.softmax(x, -1)))
    assert len(shapes) == 1
    function(x, 2.0)
    function(x, scale=2.0)
    function(ours(X[:1]))
    function(ours(X.astype(np.float32)))
    function(ours(X, requires_grad=True))
    assert len(shapes) == 6
    with ag.no_grad():
        assert function(ours(X, requires_grad=True)).grad_fn is None
    assert len(shapes) == 7
    assert function(ours(X, requires_grad=True)).grad_fn is not None
    assert len(shapes) == 7


def test_a_tensor_that_is_there_twice_tells_nothing_of_others(asked):
    function, _ = asked
    x, y = ours(X), ours(X[::-1] + 1)
    function(x, 1.0, x)
    assert_array_equal(host(function(x, 1.0, y)), host(ag.softmax(y, -1)))
    assert_array_equal(host(function(y, 1.0, x)), host(ag.softmax(x, -1)))


def test_labels_are_looked_at_each_time():
    x = ours(X, requires_grad=True)
    for _ in range(2):
        F.cross_entropy(x, ag.tensor([0, 2]))
        with pytest.raises(IndexError, match=r"Target 3 is out of bounds"):
            F.cross_entropy(x, ag.tensor([0, 3]))
        with pytest.raises(IndexError, match=r"Target -1 is out of bounds"):
            F.nll_loss(x, ag.tensor([-1, 0]))
        assert F.cross_entropy(x, ag.tensor([-100, 0])).item() == pytest.approx(
            F.cross_entropy(x[1:], ag.tensor([0])).item()
        )


def test_what_was_wrong_is_wrong_again():
    for _ in range(2):
        with pytest.raises(ValueError, match="to match target batch_size"):
            F.cross_entropy(ours(X), ag.tensor([0, 1, 2]))


def test_a_decided_function_inside_a_fused_one():
    fused = ag.fuse(lambda x: F.layer_norm(x * 2, (3,)) + ag.softmax(x, -1))
    x, y = ours(X, requires_grad=True), ours(X, requires_grad=True)
    (fused(x) ** 2).sum().backward()
    ((F.layer_norm(y * 2, (3,)) + ag.softmax(y, -1)) ** 2).sum().backward()
    np.testing.assert_allclose(host(x.grad), host(y.grad), rtol=1e-9, atol=1e-12)
