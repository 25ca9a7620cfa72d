"""Formulas: interning, the one traversal, derivatives as formulas, and the texts made of them."""

import math

import numpy as np
import pytest

from autograd_gpu.fusion.codegen import literal, statements
from autograd_gpu.fusion.direct import saved_by
from autograd_gpu.fusion.expr import Expr, const, fold, slot, slots, times, vjp
from autograd_gpu.fusion.text import docstring, gradient_text
from autograd_gpu.op import TABLE, Op

x, y = slot(0), slot(1)
OPS = [pytest.param(op, id=name) for name, op in TABLE.items() if isinstance(op, Op)]


def evaluate(root, *values):
    """A formula's value on Python floats, by the NumPy functions of its ops."""
    return fold((root,), var=values.__getitem__, const=float, call=lambda op, *args: op.numpy(*args))[0]


def test_equal_formulas_are_one_object():
    assert x * y + 1 is x * y + 1
    assert x * y is not y * x


def test_constants_that_compare_equal_but_differ_stay_apart():
    assert const(0.0) is not const(-0.0)
    assert const(1) is const(True) is const(1.0)
    assert const(math.nan) is const(math.nan)


def test_fold_visits_a_shared_node_once_and_needs_no_stack():
    root = x
    for _ in range(20_000):
        root = root + root  # 2**20000 paths
    calls = []
    (value,) = fold((root,), var=lambda _: 0, const=float, call=lambda _op, a, _b: calls.append(a) or a + 1)
    assert value == len(calls) == 20_000


def test_fold_evaluates_several_roots():
    product = x * y
    values = fold(
        (product, product + 1, x),
        var=[2.0, 3.0].__getitem__,
        const=float,
        call=lambda op, *args: op.numpy(*args),
    )
    assert values == (6.0, 7.0, 2.0)


def test_slots_are_the_inputs_that_are_read():
    assert slots(x * 2 + slot(5), y) == {0, 1, 5}


def test_products_with_one_and_minus_one_and_reciprocals_are_simplified_exactly():
    g = slot(2)
    assert times(g, const(1)) is g
    assert times(g, const(-1)) is -g
    assert times(g, 1 / x) is g / x
    assert times(g, x).op is TABLE.mul


def test_a_literal_zero_branch_lets_nothing_through_not_even_nan():
    g = slot(1)
    masked = times(g, TABLE.where(x > 0, 1, 0))
    with np.errstate(all="ignore"):
        assert evaluate(masked, -1.0, math.nan) == 0.0
        assert evaluate(masked, 1.0, 5.0) == 5.0


def test_what_a_formula_reads_is_what_is_saved():
    assert saved_by(TABLE.mul) == ({1}, {0})
    assert saved_by(TABLE.tanh) == ({1},)  # the result
    assert saved_by(TABLE.add) == (set(), set())


def test_formulas_take_no_parameters():
    with pytest.raises(TypeError, match="exp takes no parameters inside a formula, got out"):
        TABLE.exp(x, out=1)


@pytest.mark.parametrize("op", OPS)
def test_every_gradient_is_a_formula_of_operands_result_and_cotangent(op):
    for complex_ in (False, True):
        formulas = vjp(op, complex=complex_)
        assert len(formulas) == op.arity
        for formula in filter(None, formulas):
            assert isinstance(formula, Expr)
            assert slots(formula) <= set(range(op.arity + 2))


@pytest.mark.parametrize("op", OPS)
def test_docstrings_state_the_gradient_of_each_operand(op):
    text = docstring(op)
    for name, gradient in zip(op.operands, gradient_text(op), strict=True):
        assert (f"d {name} = {gradient}" in text) == (gradient is not None)


def test_statements_share_common_parts_and_name_their_values():
    product = x * y
    lines, results = statements((product, product + 1), {0: "a", 1: "b"}, "float")
    assert lines == ["const auto t0 = a * b;", "const auto t1 = t0 + float(1.0);"]
    assert results == ("t0", "t1")


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.5, "float(0.5)"), (-0.0, "float(-0.0)"), (math.inf, "float(1.0/0.0)"), (-math.inf, "float(-1.0/0.0)")],
)
def test_literals(value, text):
    assert literal(value, "float") == text


def test_nan_has_no_literal_of_its_own():
    assert literal(math.nan, "double") == 'double(nan(""))'
