"""Steps of a program on a device that are no kernels of ours: copies, views, and CuPy's own kernels."""

from dataclasses import dataclass
from typing import Any

from ..backends import cuda
from ..dtypes import bool_, dtype
from .axes import Shape
from .codegen import helpers, statements
from .expr import slot, substitute
from .kernels import Input
from .roots import Root
from .stats import STATS


@dataclass
class Copy:
    """A dense copy of an array, broadcast to a shape."""

    source: int
    shape: Shape

    def __call__(self, held: list[Any]) -> None:
        xp = cuda().xp
        held.append(xp.array(xp.broadcast_to(held[self.source], self.shape), order="C"))


@dataclass
class Turned:
    """A result with its axes in another order, in ``shape``, which may lack axes in front."""

    source: int
    axes: Shape
    shape: Shape

    def __call__(self, held: list[Any]) -> None:
        held.append(held[self.source].transpose(self.axes).reshape(self.shape))


def any_layout(name: str, roots: list[Root], inputs: list[Input], computed: dtype) -> "Elementwise":
    """The launch of a CuPy kernel, which knows arrays of any strides."""
    known = {slot(x.value): slot(i) for i, x in enumerate(inputs)}
    formulas = tuple(substitute(root.formula, known) for root in roots)
    backend = cuda()
    lines, results = statements(formulas, {i: f"x{i}" for i in range(len(inputs))}, backend.ctype(computed))
    kernel = backend.kernel(
        name,
        tuple((x.dtype or computed).numpy for x in inputs),
        tuple(root.dtype.numpy for root in roots),
        tuple(backend.ctype(bool_ if x.dtype is bool_ else computed) for x in inputs),
        "\n".join([*lines, *(f"out{i} = {result};" for i, result in enumerate(results))]),
        helpers(formulas),
    )
    made = tuple((root.shape, root.dtype.numpy) for root in roots)
    return Elementwise(kernel, tuple(x.value for x in inputs), made)


@dataclass
class Elementwise:
    """A launch of a CuPy elementwise kernel."""

    function: Any
    inputs: tuple[int, ...]
    made: tuple[tuple[Shape, Any], ...]

    def __call__(self, held: list[Any], made: list[Any] | None = None) -> None:
        STATS.launches += 1
        if made is None:
            made = [cuda().xp.empty(shape, d) for shape, d in self.made]
        self.function(*[held[i] for i in self.inputs], *made)
        held.extend(made)
