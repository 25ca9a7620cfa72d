"""Between NumPy, this package and PyTorch: the same values on all three, and comparisons that name what differs."""

from typing import Any

import numpy as np
from numpy.testing import assert_allclose

import autograd_gpu as ag
from autograd_gpu import backends
from autograd_gpu.tensor import Tensor, wrap

# How far two correct implementations may be apart, relative and absolute, by dtype.
TOLERANCE = {
    "float16": (2e-3, 2e-3),
    "bfloat16": (2e-2, 2e-2),
    "float32": (2e-5, 1e-6),
    "complex64": (2e-5, 2e-6),
    "float64": (1e-9, 1e-11),
    "complex128": (1e-9, 1e-11),
}


def ours(array: Any, device: str = "cpu", *, requires_grad: bool = False) -> Tensor:
    """A Tensor with a copy of the NumPy ``array``, strides kept, on ``device``."""
    array = np.array(array, copy=True, order="K")
    if device == "cuda":
        array = backends.cuda().xp.asarray(array)
    tensor = wrap(array)
    if requires_grad:
        tensor.requires_grad_()
    return tensor


def host(tensor: Any) -> np.ndarray:
    """The values of a Tensor of ours, or of torch's, or an array, as a NumPy array (bfloat16 as float32)."""
    if isinstance(tensor, Tensor):
        array = backends.of(tensor.array).to_host(tensor.array)
        return array.astype(np.float32) if tensor.dtype.name == "bfloat16" else array
    if hasattr(tensor, "detach"):
        tensor = tensor.detach().resolve_conj().resolve_neg()
        return tensor.float().numpy() if "bfloat16" in str(tensor.dtype) else tensor.numpy(force=True)
    return np.asarray(tensor)


def theirs(array: np.ndarray, *, requires_grad: bool = False) -> Any:
    """The same values as a torch tensor."""
    import torch

    if array.dtype.name == "bfloat16":
        tensor = torch.from_numpy(array.astype(np.float32)).to(torch.bfloat16)
    else:
        tensor = torch.from_numpy(np.array(array, copy=True, order="K"))
    return tensor.requires_grad_(requires_grad)


def assert_same(mine: Any, torchs: Any, *, scale: float = 1.0, what: str = "") -> None:
    """Values within tolerance, and the same shape and dtype, as torch's tensor (or tuple of tensors)."""
    if isinstance(torchs, tuple | list):
        assert len(mine) == len(torchs), f"{what}: {len(mine)} results, torch has {len(torchs)}"
        for i, (a, b) in enumerate(zip(mine, torchs, strict=True)):
            assert_same(a, b, scale=scale, what=f"{what} result {i}")
        return
    if torchs is None:
        assert mine is None, f"{what}: torch has None"
        return
    assert tuple(mine.shape) == tuple(torchs.shape), f"{what}: shape {tuple(mine.shape)}, torch {tuple(torchs.shape)}"
    assert f"torch.{mine.dtype.name}" == str(torchs.dtype), f"{what}: dtype {mine.dtype}, torch {torchs.dtype}"
    rtol, atol = TOLERANCE.get(mine.dtype.name, (0, 0))
    assert_allclose(host(mine), host(torchs), rtol=rtol * scale, atol=atol * scale, err_msg=what)


def difference_quotient(
    function: Any, arrays: list[np.ndarray], directions: list[np.ndarray], eps: float = 1e-6
) -> Any:
    """The derivative of ``function`` (of Tensors) along ``directions``, by a central difference in float64."""
    with ag.no_grad():
        ahead = function(*(ours(x + eps * v) for x, v in zip(arrays, directions, strict=True)))
        behind = function(*(ours(x - eps * v) for x, v in zip(arrays, directions, strict=True)))
    return (host(ahead) - host(behind)) / (2 * eps)
