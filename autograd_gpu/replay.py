"""Formulas computed on Tensors, operation by operation: what a graph of a gradient is made of."""

from math import inf, prod
from typing import Any

import numpy as np

from .backends import Type
from .dtypes import FLOAT, int64
from .fusion.expr import Expr, fold, slot
from .fusion.interpret import naturals
from .fusion.program import program
from .fusion.reductions import COUNT, COUNT_ALL, COUNT_ROWS, ELEMENT, POSITION, ROW, UNIFORM, Place, Reduction
from .op import TABLE
from .shapes import Shape
from .tensor import Tensor, wrap


def full(x: Tensor, shape: Shape) -> Tensor:
    """``x`` expanded by the axes of ``shape`` that it lacks or has with size 1."""
    size = np.broadcast_shapes(x._shape, shape)
    return x if size == x._shape else TABLE.expand(x, size=size)


class Replay:
    """Computes formulas on Tensors, operation by operation, so that all of it is recorded."""

    def __init__(self, domain: Shape, axes: int, type_: Type) -> None:
        self.domain, self.axes, self.type = domain, axes, type_

    def number(self, value: float) -> Tensor:
        return wrap(np.asarray(value, self.type.numpy))

    def ready(self, value: Any) -> Any:
        """The value of a slot as a Tensor, in the dtype that is computed in; integers stay what they are."""
        if value is None or isinstance(value, int):
            return value
        if not isinstance(value, Tensor):
            return self.number(value) if isinstance(value, float) else wrap(value)
        floating = value.dtype.category >= FLOAT and value._type is not self.type
        return TABLE.to(value, type_=self.type) if floating else value

    def values(self, formulas: tuple[Expr, ...], slots: list[Any]) -> tuple[Tensor, ...]:
        """``formulas`` of the values of slots."""
        return fold(formulas, var=slots.__getitem__, const=self.number, call=self.call)

    def call(self, op: Any, *args: Tensor) -> Tensor:
        if isinstance(op, Reduction):
            return self.reduced(op, *args)
        return self.placed(op, *args) if isinstance(op, Place) else op(*args)

    def reduced(self, op: Reduction, x: Tensor) -> Tensor:
        row = self.domain[len(self.domain) - self.axes :]
        x = full(x, row if op.level == ROW else naturals(self.domain, self.axes)[op.over])
        dim = tuple(range(len(x._shape)))
        dim = dim[-self.axes :] if op.level == ROW else dim
        if op.numpy is np.add:
            return TABLE.sum(x, dim=dim, keepdim=op.level == ROW)  # type: ignore[no-any-return]
        if not prod(x._shape):  # the largest of none
            shape = tuple(1 if i in dim else n for i, n in enumerate(x._shape)) if op.level == ROW else ()
            worst = -inf if op.numpy is np.maximum else inf
            return wrap(self.type.backend.xp.full(shape, worst, self.type.numpy))
        extreme = TABLE.amax if op.numpy is np.maximum else TABLE.amin
        return extreme(x, dim=dim, keepdim=op.level == ROW)  # type: ignore[no-any-return]

    def placed(self, op: Place, *args: Any) -> Tensor:
        domain, axes = self.domain, self.axes
        row, lines = domain[len(domain) - axes :], domain[: len(domain) - axes]
        if op is POSITION:
            return wrap(self.type.backend.xp.arange(prod(row)).reshape(row))
        if op is UNIFORM:
            of = self.type.backend.xp.empty((), self.type.numpy)  # tells where it is to be computed
            d = self.type.dtype
            made = program((Expr(op, slot(0), slot(1)),), (ELEMENT,), (int64, int64, d), (d,), d, axes, "uniform")
            return wrap(made.run([*args, of], domain)[0])
        return self.number({COUNT: prod(row), COUNT_ALL: prod(domain), COUNT_ROWS: prod(lines)}[op])
