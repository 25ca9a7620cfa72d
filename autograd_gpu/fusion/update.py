"""Updates in place of many tensors at once, from one formula: the steps of optimizers.

On CuPy all tensors of a dtype are one launch, on NumPy they are cache-sized tiles, or compiled where they are large;
nothing depends on the numbers in a formula, which may change from call to call.
"""

import inspect
from collections.abc import Callable, Sequence
from functools import lru_cache, partial
from typing import Any

from ..backends import Type
from ..layouts import inner_to_outer, outer_to_inner
from ..modes import modes
from .expr import as_expr, slot
from .in_place import in_place, pays
from .multi import SIZES, computed_in, update_source
from .stats import STATS
from .tiles import Tiles


class Update:
    """``formula(*arrays, **numbers)`` gives the new values of all arrays but the first ``reads``.

    It is called once, with symbols; its keyword-only arguments are the numbers.

    >>> import numpy as np
    >>> from autograd_gpu.backends import type_of
    >>> sgd = Update("sgd", lambda grad, param, *, lr: (param - lr * grad,), arrays=2)
    >>> grad, param = np.ones(3), np.zeros(3)
    >>> kind = type_of(param)
    >>> sgd.prepare(kind, [(grad, Fixed(kind, [param]))], {"lr": 0.5})()
    >>> param
    array([-0.5, -0.5, -0.5])
    """

    def __init__(self, name: str, formula: Callable[..., tuple[Any, ...]], arrays: int, reads: int = 1) -> None:
        self.name, self.arrays, self.reads = name, arrays, reads
        self.numbers = tuple(inspect.getfullargspec(formula).kwonlyargs)
        symbols = [slot(i) for i in range(arrays + len(self.numbers))]
        roots = formula(*symbols[:arrays], **dict(zip(self.numbers, symbols[arrays:], strict=True)))
        self.roots = tuple(map(as_expr, roots))
        self.tiles = Tiles(name, self.roots, arrays, reads, len(self.numbers))

    def prepare(
        self, type_: Type, tensors: Sequence[tuple[Any, "Fixed | None"]], numbers: dict[str, float]
    ) -> Callable[[], None]:
        """What updates ``tensors`` of ``type_``, given by their first arrays and the others.

        All that can fail, has been done then.
        """
        values = [numbers[name] for name in self.numbers]
        places, staged = in_line(type_, tensors)
        if not places:
            return lambda: None
        on = self._on_device if type_.device.type == "cuda" else self._on_host
        run = on(type_, places, values)

        def update() -> None:
            run()
            bring_back(staged, self.reads)

        return update

    def _on_host(self, type_: Type, places: "Places", values: list[float]) -> Callable[[], None]:
        tensors = [(first, *row[1:]) for first, row in places]
        if not all([array.flags.writeable for arrays in tensors for array in arrays[self.reads :]]):  # noqa: C419
            raise ValueError(f"{self.name}: an array that is to be updated is read-only; update a copy of it")
        if pays(tensors):
            real = type_.dtype.to_real()
            parts = self.name, self.roots, self.arrays, self.reads, len(values), real, computed_in(real)
            if (compiled := in_place(*parts)) is not None:
                return partial(compiled, tensors, values)
        return partial(modes.quiet, self.tiles, tensors, values)

    def _on_device(self, type_: Type, places: "Places", values: list[float]) -> Callable[[], None]:
        real = type_.dtype.to_real()
        backend, computed, name = type_.backend, computed_in(real), f"update_{self.name}"
        source = update_source(name, self.roots, self.arrays, self.reads, len(values), real, backend.ctype(computed))
        scalars = [computed.numpy.type(value) for value in values]
        launch = backend.multi.Launch(source, name, type_.device.index, places, scalars, SIZES)

        def run() -> None:
            launch()
            STATS.launches += len(launch.calls)

        return run


# For each tensor where its first array lies, and a row: its number of elements and where the others lie. That is an
# address on a device, and on the host an array with one axis.
Places = list[tuple[Any, tuple[Any, ...]]]


class Fixed:
    """Those arrays of a tensor that stay from step to step: where they lie, found out once.

    ``strides`` is None where they do not lie densely in one order.
    """

    __slots__ = ("arrays", "row", "strides")

    def __init__(self, type_: Type, arrays: Sequence[Any]) -> None:
        self.arrays = arrays
        self.strides: tuple[int, ...] | None = arrays[0].strides
        if not is_dense(arrays[0].shape, arrays[0].strides, type_.dtype.itemsize):
            self.strides = None
        if any(array.strides != self.strides for array in arrays):
            self.strides = None
        self.row = () if self.strides is None else row_of(type_, arrays)


def row_of(type_: Type, arrays: Sequence[Any]) -> tuple[Any, ...]:
    """The number of elements, or of parts of complex ones, of each of ``arrays``, and where they lie."""
    return arrays[0].size * (1 + type_.dtype.is_complex), *(place(type_, array) for array in arrays)


def place(type_: Type, array: Any) -> Any:
    """Where the elements of a dense array lie, in the order of its memory: see ``Places``."""
    if type_.device.type == "cuda":
        return array.data.ptr
    if array.ndim != 1:
        if not array.flags.c_contiguous:
            array = array.transpose(outer_to_inner(array))
        array = array.reshape(-1)
    return array.view(type_.dtype.to_real().numpy) if type_.dtype.is_complex else array


def in_line(type_: Type, tensors: Sequence[tuple[Any, Fixed | None]]) -> tuple[Places, list[tuple[Any, Any]]]:
    """Where the arrays of ``tensors`` lie, without those that have no elements.

    Where they do not lie densely in one order, copies do so in their place: (arrays, copies) are returned as well.
    """
    places: Places = []
    staged = []
    for first, fixed in tensors:
        if not first.size:
            continue
        if fixed is None:
            if is_dense(first.shape, first.strides, type_.dtype.itemsize):
                places.append((place(type_, first), (first.size * (1 + type_.dtype.is_complex),)))
                continue
            arrays = [first]
        elif first.strides == fixed.strides:
            places.append((place(type_, first), fixed.row))
            continue
        else:
            arrays = [first, *fixed.arrays]
        with type_.backend.Scope(type_.device):
            copies = [type_.backend.xp.ascontiguousarray(array) for array in arrays]
        size, where, *others = row_of(type_, copies)
        places.append((where, (size, *others)))
        staged.append((arrays, copies))
    return places, staged


def bring_back(staged: Sequence[tuple[Any, Any]], reads: int) -> None:
    """Copy back what was written to copies: all but the first ``reads`` of each tensor."""
    for arrays, copies in staged:
        for array, copy in zip(arrays[reads:], copies[reads:], strict=True):
            if copy is not array:
                array[...] = copy


@lru_cache(maxsize=4096)
def is_dense(shape: tuple[int, ...], strides: tuple[int, ...], itemsize: int) -> bool:
    """Whether the elements of an array lie one after the other, in whatever order of its axes."""
    for axis in inner_to_outer(shape, strides):
        if shape[axis] != 1 and strides[axis] != itemsize:
            return False
        itemsize *= shape[axis]
    return True
