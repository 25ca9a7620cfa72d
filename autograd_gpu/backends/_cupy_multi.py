"""Launches over many arrays: a block works on chunks of them, found through a table of addresses.

The addresses that stay the same lie in a table on the device, which is kept and found again by what it holds;
those that change with each step are an argument of the kernel, so that nothing is copied to the device.
"""

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import cupy
import numpy as np

Row = tuple[int, ...]  # of a tensor: its number of elements, and the addresses of its arrays but the first
Places = Sequence[tuple[int, Row]]  # for each tensor the address of its first array, and its row
Call = tuple[int, tuple[Any, ...]]  # how many chunks there are, and the arguments that say where they lie


@lru_cache(maxsize=1024)
def function(source: str, name: str, device: int) -> Any:  # noqa: ARG001  one for each device
    """The kernel ``name``, compiled for ``device``, which is the current one."""
    return cupy.RawKernel(source, name).kernel


@lru_cache(maxsize=256)
def table(rows: tuple[Row, ...], chunk: int, device: int, stream: int) -> tuple[int, Any, int]:  # noqa: ARG001
    """How many chunks all tensors have, an array on the device with ``rows`` and then them, and where they begin.

    The stream that copies the table is part of the key: what runs on another one need not wait for it.
    """
    counts = -(-np.array([row[0] for row in rows]) // chunk)
    tensor = np.repeat(np.arange(len(rows)), counts)
    place = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
    array = cupy.asarray(np.concatenate([np.array(rows).ravel(), place << 16 | tensor]))
    return len(place), array, array.data.ptr + 8 * len(rows) * len(rows[0])


def moving(addresses: Sequence[int], capacity: int) -> np.ndarray:
    """Addresses as the argument ``Moving``."""
    array = np.zeros(capacity, np.uint64)
    array[: len(addresses)] = addresses
    return array.view(np.dtype((np.void, array.nbytes)))[:1].reshape(())


def calls(device: int, places: Places, sizes: Any) -> list[Call]:
    """The launches over all ``places``, as few as ``sizes`` (of ``fusion.multi``) allows."""
    stream = cupy.cuda.get_current_stream().ptr
    made = []
    for start in range(0, len(places), sizes.tensors):
        first, rows = zip(*places[start : start + sizes.tensors], strict=True)
        count, array, chunks = table(rows, sizes.chunk, device, stream)
        made.append((count, (array, chunks, moving(first, sizes.tensors))))
    return made


class Launch:
    """An update of tensors by the kernel ``name`` with the arguments ``numbers``, ready to run."""

    def __init__(self, source: str, name: str, device: int, places: Places, numbers: Sequence[Any], sizes: Any) -> None:
        self.device, self.block, self.numbers = cupy.cuda.Device(device), (sizes.threads,), numbers
        with self.device:
            self.function = function(source, name, device)
            self.calls = calls(device, places, sizes)

    def __call__(self) -> None:
        with self.device:
            for count, where in self.calls:
                self.function((count,), self.block, (*where, *self.numbers))


def clip(
    parts: Sequence[tuple[str, str, Places]],
    device: int,
    accumulated: np.dtype,
    result: np.dtype,
    order: float,
    limit: float | None,
    norm: Any,
    sizes: Any,
) -> Any:
    """The launches of ``fusion.norms``: for each dtype, ``parts`` has both sources and where its arrays lie."""
    with cupy.cuda.Device(device):
        launches = []
        for first, second, places in parts:
            kernels = function(first, "norm_parts", device), function(second, "clip_norm", device)
            launches += [(*kernels, count, where) for count, where in calls(device, places, sizes)]
        block, exponent = (sizes.threads,), accumulated.type(order)
        if norm is None:
            sums = cupy.empty(max(1, sum(min(sizes.blocks, count) for *_, count, _ in launches)), accumulated)
            number = 0
            for norm_parts, _, count, where in launches:
                grid = min(sizes.blocks, count)
                norm_parts((grid,), block, (*where, np.int32(count), exponent, sums[number:]))
                number += grid
        else:
            sums, number = norm.astype(accumulated, copy=False), 1
        total = cupy.empty((), result)
        if limit is None or not launches:  # nothing is scaled
            launches = [(*kernels, 0, (0, 0, moving([], sizes.tensors)))]
        for _, clip_norm, count, where in launches:
            numbers = np.int32(count), exponent, sums, np.int32(number), accumulated.type(limit or 0), total
            clip_norm((max(1, count),), block, (*where, *numbers))
    return total
