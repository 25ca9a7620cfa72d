"""``save`` and ``load``: pickles, of which ``load`` runs only what makes tensors and plain containers."""

import pickle
from contextlib import nullcontext
from functools import partial
from os import PathLike
from pathlib import Path
from typing import IO, Any

from .tensor import Tensor
from .topython import rebuild

File = str | PathLike[str] | IO[bytes]

# What a file may name unless ``weights_only=False``: ours, NumPy's own for arrays, and containers.
_SAFE = {
    ("autograd_gpu", "Size"),
    ("autograd_gpu", "device"),
    ("autograd_gpu.dtypes", "by_name"),
    ("autograd_gpu.topython", "rebuild"),
    ("builtins", "complex"),
    ("builtins", "set"),
    ("builtins", "slice"),
    ("collections", "OrderedDict"),
    ("collections", "defaultdict"),
    ("ml_dtypes", "bfloat16"),
    ("numpy", "dtype"),
    ("numpy", "ndarray"),
    ("numpy._core.multiarray", "_reconstruct"),
    ("numpy._core.multiarray", "scalar"),
    ("numpy._core.numeric", "_frombuffer"),
}


class _Loader(pickle.Unpickler):
    """Reads tensors to where ``map_location`` says."""

    def __init__(self, file: IO[bytes], map_location: Any, weights_only: bool) -> None:
        super().__init__(file)
        self.map_location, self.weights_only = map_location, weights_only

    def find_class(self, module: str, name: str) -> Any:
        if module == "torch":  # written by a script that runs as python -m autograd_gpu
            module = "autograd_gpu"
        if self.weights_only and (module, name) not in _SAFE:
            raise pickle.UnpicklingError(
                f"Weights only load failed: the file names {module}.{name}, which could run code. If you "
                "trust the file, load it with weights_only=False."
            )
        found = super().find_class(module, name)
        return partial(_rebuild_at, self.map_location) if found is rebuild else found


def _rebuild_at(map_location: Any, array: Any, device: str, requires_grad: bool) -> Tensor:
    where = map_location.get(device, device) if isinstance(map_location, dict) else map_location or device
    return rebuild(array, where, requires_grad)


def save(obj: Any, f: File) -> None:
    """Write ``obj``, tensors or containers of them, to a file name or an open binary file.

    The format is this package's own, not PyTorch's.
    """
    with Path(f).open("wb") if isinstance(f, str | PathLike) else nullcontext(f) as file:
        pickle.dump(obj, file, protocol=4)


def load(f: File, map_location: Any = None, *, weights_only: bool = True) -> Any:
    """Read what ``save`` wrote.

    ``map_location`` is the device to put tensors on (or a dict from device names to others); they go where
    they came from without it. With ``weights_only`` a file that names anything but tensors, arrays and
    plain containers is refused, since unpickling it could run code.
    """
    with Path(f).open("rb") if isinstance(f, str | PathLike) else nullcontext(f) as file:
        return _Loader(file, map_location, weights_only).load()
