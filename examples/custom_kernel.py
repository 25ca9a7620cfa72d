"""Your own CUDA kernels, differentiable: a tomographic projection and its adjoint as ``cupy.RawKernel``s.

An image is found from sums along its rays, by gradient descent. On the CPU NumPy does the same.

    python examples/custom_kernel.py
"""

from typing import Any

import numpy as np

import autograd_gpu as ag

try:
    import cupy
except ImportError:
    cupy = None

SIZE, ANGLES, STEPS = 32, 24, 60
PIXELS = SIZE * SIZE
device = "cuda" if ag.cuda.is_available() else "cpu"

CODE = r"""
extern "C" __global__ void project(const float* image, const int* bins, float* rays, int n, int pixels) {
    int i = blockDim.x * blockIdx.x + threadIdx.x;  // an angle and a pixel
    if (i < n) atomicAdd(&rays[bins[i]], image[i % pixels]);
}
extern "C" __global__ void backproject(const float* rays, const int* bins, float* image, int n, int pixels) {
    int p = blockDim.x * blockIdx.x + threadIdx.x;
    if (p >= pixels) return;
    image[p] = 0;
    for (int i = p; i < n; i += pixels) image[p] += rays[bins[i]];
}"""


def launch(kernel: str, size: int, source: Any, bins: Any, target: Any) -> Any:
    """Run ``kernel`` in ``size`` threads; ``target``, which it has written."""
    cupy.RawKernel(CODE, kernel)((-(-size // 128),), (128,), (source, bins, target, bins.size, PIXELS))
    return target


project = ag.linear_operator(
    lambda image, *, bins: launch("project", bins.size, image, bins, cupy.zeros(ANGLES * SIZE, "f")),
    lambda rays, *, bins: launch("backproject", PIXELS, rays, bins, cupy.empty((SIZE, SIZE), "f")),
    numpy=(
        lambda image, *, bins: np.bincount(bins.ravel(), np.tile(image.ravel(), ANGLES), ANGLES * SIZE).astype("f"),
        lambda rays, *, bins: rays[bins].sum(0).reshape(SIZE, SIZE),
    ),
    name="project",
)


def bins_of_rays() -> np.ndarray:
    """For every angle and pixel, the number of the ray that passes there."""
    y, x = np.mgrid[:SIZE, :SIZE].reshape(2, PIXELS) - (SIZE - 1) / 2
    angles = np.pi * np.arange(ANGLES)[:, None] / ANGLES
    place = np.rint(x * np.cos(angles) + y * np.sin(angles) + SIZE / 2).clip(0, SIZE - 1)
    return (place + SIZE * np.arange(ANGLES)[:, None]).astype(np.int32)


def main() -> None:
    """Measure an image, and find it again."""
    y, x = np.mgrid[-1 : 1 : SIZE * 1j, -1 : 1 : SIZE * 1j].astype(np.float32)
    disc, hole = x**2 + 2 * y**2 < 0.6, (x - 0.3) ** 2 + y**2 < 0.05
    truth = ag.from_numpy((disc - 0.5 * hole).astype(np.float32)).to(device)
    bins = ag.from_numpy(bins_of_rays()).to(device)
    measured = project(truth, bins=bins)
    image = ag.zeros(SIZE, SIZE, device=device, requires_grad=True)
    for step in range(STEPS + 1):
        loss = ((project(image, bins=bins) - measured) ** 2).mean()
        if step % 20 == 0:
            error = (image - truth).detach().abs().mean().item()
            print(f"step {step:2}  loss {loss.item():8.3f}  mean error of a pixel {error:.3f}")
        (grad,) = ag.autograd.grad(loss, image)
        with ag.no_grad():
            image -= 0.5 * grad


if __name__ == "__main__":
    main()
