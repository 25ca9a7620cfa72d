"""Programs run on a device, and the same formulas in double precision on whole NumPy arrays, which share nothing."""

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from math import prod
from typing import Any

import numpy as np
from numpy.testing import assert_allclose
from support import TOLERANCE

from autograd_gpu import backends
from autograd_gpu.dtypes import BY_NAME, REDUCED, dtype, float32
from autograd_gpu.dtypes import of as dtype_of
from autograd_gpu.fusion.expr import Expr, fold
from autograd_gpu.fusion.program import Program, program
from autograd_gpu.fusion.reductions import (
    ALL,
    COUNT,
    COUNT_ALL,
    COUNT_ROWS,
    COUNTS,
    ELEMENT,
    POSITION,
    ROW,
    Place,
    Reduction,
)
from autograd_gpu.op import TABLE

Shape = tuple[int, ...]
ENTIRE = {"sum": np.sum, "max": np.max, "min": np.min}


def mean(x: Expr, total: Reduction) -> Expr:
    """The mean of ``x`` over what the sum ``total`` runs over."""
    return Expr(TABLE.div, Expr(total, x), Expr(COUNTS[total]))


def to_device(value: Any, device: str) -> Any:
    """A NumPy array, strides and offset kept, on ``device``; a number as it is."""
    if device == "cpu" or not isinstance(value, np.ndarray):
        return value
    xp = backends.cuda().xp
    base = value
    while isinstance(base.base, np.ndarray):
        base = base.base
    start = value.__array_interface__["data"][0] - base.__array_interface__["data"][0]
    whole = xp.asarray(np.ascontiguousarray(base).reshape(-1))
    return xp.ndarray(value.shape, value.dtype, whole.data + start, value.strides)


def to_host(value: Any) -> Any:
    """An array of either library as a NumPy array; a number as it is."""
    return backends.of(value).to_host(value) if hasattr(value, "dtype") else value


def wide(value: Any) -> np.ndarray:
    """``value`` in double precision; integers and bools as they are."""
    array = np.asarray(value)
    if array.dtype.kind == "c":
        return array.astype(np.complex128)
    return array if array.dtype.kind in "biu" else array.astype(np.float64)


def reference(program: Program, values: Sequence[Any], domain: Shape, targets: Sequence[Shape | None]) -> list[Any]:
    """The roots of ``program`` in double precision."""
    k = program.axes
    at = {ALL: (1,) * len(domain), ROW: domain[: len(domain) - k] + (1,) * k, ELEMENT: domain}
    own = {ALL: range(len(domain)), ROW: range(len(domain) - k, len(domain))}  # the axes that a reduction takes away
    row = domain[len(domain) - k :]
    places = {COUNT: prod(row), COUNT_ALL: prod(domain), COUNT_ROWS: prod(at[ROW])}
    operands = [wide(value) for value in values]

    def call(op: Any, *args: Any) -> Any:
        if op is POSITION:
            return np.broadcast_to(np.arange(prod(row)).reshape(row), domain)
        if isinstance(op, Place):
            return np.float64(places[op])
        if isinstance(op, Reduction):
            entire = ENTIRE[op.name.partition("_")[0]]
            start = {} if entire is np.sum else {"initial": -np.inf if entire is np.max else np.inf}
            return entire(np.broadcast_to(args[0], at[op.over]), axis=tuple(own[op.level]), keepdims=True, **start)
        return op.numpy(*args)

    with np.errstate(all="ignore"):
        roots = fold(program.roots, var=operands.__getitem__, const=np.float64, call=call)
        return [
            total(np.broadcast_to(root, at[level]), () if level == ALL else at[level], target)
            for root, level, target in zip(roots, program.levels, targets, strict=True)
        ]


def total(root: np.ndarray, natural: Shape, target: Shape | None) -> np.ndarray:
    """``root`` in its shape, or summed to ``target``."""
    root = root.reshape(natural)
    if target is None:
        return root
    full = (1,) * (root.ndim - len(target)) + target
    axes = tuple(i for i, (size, n) in enumerate(zip(natural, full, strict=True)) if n == 1 != size)
    return root.sum(axis=axes, keepdims=True).reshape(target)


def program_of(
    roots: Sequence[Expr],
    values: Sequence[Any],
    *,
    levels: Sequence[int] | None = None,
    outputs: Sequence[str] = ("float32",),
    computed: str | None = None,
    axes: int = 1,
) -> Program:
    """The program of ``roots`` of ``values``; one output dtype stands for all, and is computed in unless told."""
    outputs = tuple(outputs) * (len(roots) if len(outputs) == 1 else 1)
    inner: dtype = BY_NAME[computed or outputs[0]]
    return program(
        tuple(roots),
        tuple(levels or (ELEMENT,) * len(roots)),
        tuple(dtype_of(value.dtype) if hasattr(value, "dtype") else None for value in values),
        tuple(BY_NAME[name] for name in outputs),
        float32 if inner in REDUCED else inner,
        axes,
        "test",
    )


def exact_memory() -> AbstractContextManager[Any]:
    """On the simulated device, arrays have no memory to spare, so that no access beyond them goes unseen."""
    try:
        import cudasim
    except ImportError:
        return nullcontext()
    return cudasim.exact_memory()  # type: ignore[no-any-return]


def check(
    roots: Sequence[Expr],
    values: Sequence[Any],
    domain: Shape | None = None,
    *,
    targets: Sequence[Shape | None] | None = None,
    device: str = "cuda",
    scale: float = 1.0,
    **parts: Any,
) -> list[np.ndarray]:
    """Compare a program on ``device`` with the reference; errors count by the largest number of a result.

    Returns what the device gave.
    """
    made = program_of(roots, values, **parts)
    domain = np.broadcast_shapes(*map(np.shape, values)) if domain is None else domain
    targets = [None] * len(roots) if targets is None else targets
    with exact_memory():
        got = made.run([to_device(value, device) for value in values], domain, targets)
    expected = reference(made, values, domain, targets)
    results = [to_host(one) for one in got]
    for i, (mine, known, d) in enumerate(zip(results, expected, made.outputs, strict=True)):
        assert mine.shape == known.shape
        assert mine.dtype == d.numpy
        names = d.name, made.computed.name
        rtol, atol = (scale * max(pair) for pair in zip(*(TOLERANCE.get(name, (0, 0)) for name in names), strict=True))
        assert_close(mine, rounded(known, d), rtol, atol, f"root {i}")
    return results


def rounded(known: np.ndarray, d: dtype) -> np.ndarray:
    """What is known in double precision, as ``d`` holds it."""
    with np.errstate(all="ignore"):
        return wide(known if d.is_complex else known.real).astype(d.numpy)


def assert_close(mine: np.ndarray, known: np.ndarray, rtol: float, atol: float, what: str) -> None:
    """Two arrays are equal but for ``atol``, or for ``rtol`` of the largest number."""
    mine, known = wide(mine), wide(known)
    finite = np.abs(known[np.isfinite(known)])
    assert_allclose(mine, known, rtol=rtol, atol=max(atol, rtol * finite.max(initial=0)), err_msg=what)
