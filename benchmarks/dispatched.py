"""What PyTorch in eager mode would launch and move on a GPU, counted on the CPU from the operators it dispatches."""

from types import SimpleNamespace
from typing import Any

import torch
import torch.nn.functional
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

FREE = {  # beside what its schema calls a view; Adam reads the step counts, which lie on the host
    "_local_scalar_dense", "_unsafe_view", "empty", "empty_like", "empty_strided", "new_empty", "new_empty_strided",
}  # fmt: skip
OVERWRITE = {"bernoulli_", "copy_", "fill_", "normal_", "uniform_", "zero_"}  # in place, but not read before
PICKED = {
    "gather": "self",
    "index": "self",
    "index_select": "self",
    "nll_loss_backward": "self",
    "nll_loss_forward": "self",
}
MATMULS = {"addmm", "baddbmm", "bmm", "dot", "mm", "mv"}


def dropout(x: torch.Tensor, p: float) -> torch.Tensor:
    """One operator, as on CUDA; the CPU's ``dropout`` makes a mask and two more passes."""
    return torch.native_dropout(x, p, train=True)[0]


FUNCTIONAL = SimpleNamespace(**vars(torch.nn.functional) | {"dropout": dropout})


class Dispatched(TorchDispatchMode):
    """Counts launches, matrix products and bytes inside ``with Dispatched() as counts:``.

    Each operator that is no view and no allocation is one launch (CUDA often needs more), which reads each of its
    input tensors once and writes each of its outputs once; what works in place reads and writes. A tensor of which
    single elements are picked counts nothing.
    """

    def __init__(self) -> None:
        super().__init__()
        self.counts = {"launches": 0, "matmuls": 0, "bytes": 0}

    def __enter__(self) -> dict[str, int]:
        """Start to count; the counts."""
        super().__enter__()
        return self.counts

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run an operator and count it."""
        result = func(*args, **(kwargs or {}))
        namespace, _, name = func._schema.name.partition("::")
        if name in MATMULS:
            self.counts["matmuls"] += 1
        elif namespace == "aten" and not (func.is_view or name in FREE or on_host(name, args)):
            self.counts["launches"] += 1
            self.counts["bytes"] += sum(map(size, operands(func, name, args, kwargs or {}, result)))
        return result


def operands(func: Any, name: str, args: Any, kwargs: Any, result: Any) -> list[torch.Tensor]:
    """The tensors that an operator reads, and then those that it writes."""
    schema = func._schema.arguments
    given = {argument.name: value for argument, value in zip(schema, args, strict=False)} | kwargs
    written = [given[a.name] for a in schema if a.alias_info is not None and a.alias_info.is_write and a.name in given]
    changed, made = tensors(written), tensors(result)
    read = {id(x): x for x in tensors([value for key, value in given.items() if key != PICKED.get(name)])}
    if name in OVERWRITE:
        for x in changed:
            del read[id(x)]
    return [*read.values(), *{id(x): x for x in (*changed, *made)}.values()]


def tensors(tree: Any) -> list[torch.Tensor]:
    """The tensors in nested lists and dictionaries."""
    return [leaf for leaf in tree_leaves(tree) if isinstance(leaf, torch.Tensor)]


def size(x: torch.Tensor) -> int:
    """How many bytes ``x`` names: an axis along which it is broadcast does not count."""
    elements = 1
    for length, stride in zip(x.shape, x.stride(), strict=True):
        elements *= length if stride or not length else 1
    return elements * x.element_size()


def on_host(name: str, args: Any) -> bool:
    """Whether a foreach operator works on 0-d tensors: an optimizer keeps its step counts on the host."""
    return name.startswith("_foreach_") and all(x.ndim == 0 for x in tensors(args))
