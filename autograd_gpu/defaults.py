"""Where tensors are made that name no device, and of what type: settings of the running thread."""

from typing import Any

from . import backends
from .conversion import type_named
from .devices import chosen, cpu
from .devices import device as Device
from .dtypes import dtype as Dtype
from .dtypes import set_default_dtype


def set_default_device(device: Any) -> None:
    """Let this thread make tensors on ``device`` unless they name another; None stands for the CPU.

    What shares the memory of an array (``from_numpy``) stays where that is. MissingCuda is raised here
    already if the device is not there.
    """
    wanted = cpu if device is None else Device(device)
    backends.resolve(wanted)
    chosen.default = wanted


def get_default_device() -> Device:
    """Return where this thread makes tensors that name no device.

    >>> get_default_device()
    device(type='cpu')
    """
    return backends.resolve(chosen.device)


def set_default_tensor_type(t: Any) -> None:
    """Set default dtype and device by a type's name, ``"torch.cuda.FloatTensor"``, or by a dtype.

    Deprecated in PyTorch in favour of ``set_default_dtype`` and ``set_default_device``.
    """
    if isinstance(t, Dtype):
        set_default_dtype(t)
        return
    type_ = type_named(t if isinstance(t, str) else getattr(t, "__name__", str(t)))
    set_default_dtype(type_.dtype)
    set_default_device(type_.device)
