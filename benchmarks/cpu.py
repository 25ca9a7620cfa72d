"""Forward and backward on the CPU beside PyTorch in eager mode, HIPS/autograd and MyGrad.

All that are installed take turns in one process, each with one thread and, where it knows threads, with two; medians
over the rounds count. A cell is the time relative to PyTorch's with the same number of threads (below 1 is faster).
``fused`` is an ``ag.fuse`` function, compiled on large arrays; ``tiled`` the same without a compiler; ``plain`` the
same operations on tensors. HIPS/autograd and MyGrad compute layer norm and cross-entropy from primitive operations, as
they have no others. ``--memory`` prints how far each one's peak memory grows, in a process of its own.

    python benchmarks/cpu.py
    python benchmarks/cpu.py --memory
"""

import argparse
import importlib.util
import os
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

Function = Callable[..., Any]
Step = Callable[[], Any]


class Work(NamedTuple):
    """A function: of a library of tensors and its ``functional``, and of one like NumPy; the shapes of its operands."""

    torch: Function
    numpy: Function
    shapes: tuple[tuple[int, ...], ...]
    labels: int = 0  # how many classes the labels are of that the function takes last, if it does


def chain(m: Any, _f: Any, x: Any, w: Any) -> Any:
    """Elementwise operations."""
    return m.exp(-(m.tanh(x * w) ** 2)) * x + w


def gelu(_m: Any, f: Any, x: Any, bias: Any) -> Any:
    """An activation of a sum."""
    return f.gelu(x + bias, approximate="tanh")


def composed_gelu(m: Any, x: Any, bias: Any) -> Any:
    """The same from primitive operations."""
    z = x + bias
    return 0.5 * z * (1 + m.tanh(0.7978845608 * (z + 0.044715 * z * z * z)))


def norm(_m: Any, f: Any, x: Any, residual: Any, weight: Any, bias: Any) -> Any:
    """Layer norm of a sum."""
    return f.layer_norm(x + residual, (x.shape[-1],), weight, bias)


def composed_norm(m: Any, x: Any, residual: Any, weight: Any, bias: Any) -> Any:
    """The same from primitive operations."""
    z = x + residual
    centred = z - m.mean(z, axis=-1, keepdims=True)
    return centred / m.sqrt(m.mean(centred * centred, axis=-1, keepdims=True) + 1e-5) * weight + bias


def entropy(_m: Any, f: Any, x: Any, labels: Any) -> Any:
    """Softmax cross-entropy."""
    return f.cross_entropy(x, labels)


def composed_entropy(m: Any, x: Any, labels: Any) -> Any:
    """The same from primitive operations."""
    z = x - m.max(x, axis=-1, keepdims=True)
    picked = z[np.arange(len(labels)), labels]
    return m.mean(m.log(m.sum(m.exp(z), axis=-1)) - picked)


def composed_chain(m: Any, x: Any, w: Any) -> Any:
    """``chain`` for libraries like NumPy."""
    return chain(m, None, x, w)


WORKS = {
    "chain, 10⁶": Work(chain, composed_chain, ((10**6,), (10**6,))),
    "chain, 10⁷": Work(chain, composed_chain, ((10**7,), (10**7,))),
    "bias + GELU, 1000×1000": Work(gelu, composed_gelu, ((1000, 1000), (1000,))),
    "residual + layer norm, 1000×1000": Work(norm, composed_norm, ((1000, 1000), (1000, 1000), (1000,), (1000,))),
    "softmax cross-entropy, 1000×1000": Work(entropy, composed_entropy, ((1000, 1000),), 1000),
}


def arrays_of(work: Work) -> tuple[list[np.ndarray], np.ndarray | None]:
    """Operands, and labels."""
    rng = np.random.default_rng(0)
    arrays = [rng.standard_normal(shape).astype(np.float32) for shape in work.shapes]
    return arrays, rng.integers(0, work.labels, work.shapes[0][0]) if work.labels else None


# --- the libraries, each of which makes the step of a work -------------------------------------------------


def on_tensors(library: Any, functional: Any, work: Work, wrap: Callable[[Function], Function] = lambda f: f) -> Step:
    """A step on tensors of ``library``."""
    arrays, labels = arrays_of(work)
    leaves = [library.tensor(array, requires_grad=True) for array in arrays]
    rest = [] if labels is None else [library.tensor(labels)]
    g = None if work.labels else library.ones(work.shapes[0])
    run = wrap(lambda *operands: work.torch(library, functional, *operands))

    def step() -> None:
        for leaf in leaves:
            leaf.grad = None
        run(*leaves, *rest).backward(g)

    return step


def eager(work: Work) -> Step:
    """PyTorch."""
    import torch

    return on_tensors(torch, torch.nn.functional, work)


def inductor(work: Work) -> Step:
    """torch.compile."""
    import torch

    return on_tensors(torch, torch.nn.functional, work, torch.compile)


def plain(work: Work) -> Step:
    """Our tensors, operation by operation."""
    import autograd_gpu as ag

    return on_tensors(ag, ag.nn.functional, work)


def fused(work: Work) -> Step:
    """Our fused functions; cross-entropy of labels is one by itself."""
    import autograd_gpu as ag

    return plain(work) if work.labels else on_tensors(ag, ag.nn.functional, work, ag.fuse)


def tiled(work: Work) -> Step:
    """Our fused functions without a compiler."""
    from autograd_gpu import fusion

    run = fused(work)

    def step() -> None:
        with fusion.compiling("off"):
            run()

    return step


def hips(work: Work) -> Step:
    """HIPS/autograd."""
    import autograd
    import autograd.numpy as m

    arrays, labels = arrays_of(work)
    rest = [] if labels is None else [labels]
    differentiate = autograd.make_vjp(lambda *operands: work.numpy(m, *operands, *rest), tuple(range(len(arrays))))

    def step() -> None:
        pull, value = differentiate(*arrays)
        pull(np.ones(np.shape(value), np.float32))

    return step


def mygrad(work: Work) -> Step:
    """MyGrad."""
    import mygrad as m

    arrays, labels = arrays_of(work)
    leaves = [m.tensor(array) for array in arrays]
    rest = [] if labels is None else [labels]

    def step() -> None:
        for leaf in leaves:
            leaf.null_grad()
        value = work.numpy(m, *leaves, *rest)
        value.backward(np.ones(value.shape, np.float32))

    return step


LIBRARIES = {
    "torch": eager, "fused": fused, "tiled": tiled, "plain": plain, "HIPS/autograd": hips, "MyGrad": mygrad,
    "torch.compile": inductor,
}  # fmt: skip
NEEDS = {"torch": "torch", "torch.compile": "torch", "HIPS/autograd": "autograd", "MyGrad": "mygrad"}
THREADED = ("torch", "fused", "torch.compile")


def present(names: Sequence[str]) -> dict[str, Callable[[Work], Step]]:
    """Those of the libraries ``names`` that are installed."""
    return {name: LIBRARIES[name] for name in names if importlib.util.find_spec(NEEDS.get(name, "numpy"))}


def set_threads(number: int) -> None:
    """For PyTorch and for us; NumPy's elementwise operations have one."""
    import torch

    import autograd_gpu as ag

    torch.set_num_threads(number)
    ag.set_num_threads(number)


# --- optimizers --------------------------------------------------------------------------------------------


def adam_of(library: Any, **options: Any) -> Step:
    """A step of Adam over 16 million parameters."""
    rng = np.random.default_rng(0)
    parameters = []
    for _ in range(4):
        leaf = library.tensor(rng.standard_normal(1 << 22).astype(np.float32), requires_grad=True)
        leaf.grad = library.tensor(rng.standard_normal(1 << 22).astype(np.float32))
        parameters.append(leaf)
    return library.optim.Adam(parameters, lr=1e-3, **options).step  # type: ignore[no-any-return]


def adams() -> dict[str, Step]:
    """PyTorch's fused step, and ours."""
    import torch

    import autograd_gpu as ag

    return {"torch": adam_of(torch, fused=True), "fused": adam_of(ag)}


# --- measuring ---------------------------------------------------------------------------------------------


def timed(steps: dict[str, Step], rounds: int) -> Iterator[tuple[int, dict[str, float]]]:
    """For one thread and for two, the median time of each step in milliseconds; they take turns in every round."""
    for number in 1, 2:
        set_threads(number)
        taking = {name: step for name, step in steps.items() if number == 1 or name in THREADED}
        times: dict[str, list[float]] = {name: [] for name in taking}
        for i in range(rounds + 1):  # the first does not count
            for name, step in taking.items():
                start = time.perf_counter()
                step()
                if i:
                    times[name].append(1e3 * (time.perf_counter() - start))
        yield number, {name: statistics.median(own) for name, own in times.items()}


def report(title: str, steps: dict[str, Step], rounds: int, columns: list[str]) -> None:
    """Print the rows of one work."""
    for number, times in timed(steps, rounds):
        cells = [f"{times[name] / times['torch']:.2f}" if name in times else "–" for name in columns]
        print(
            f"| {title}, {number} thread{'s' * (number > 1)} | {times['torch']:.1f} | {' | '.join(cells)} |", flush=True
        )


def peak(name: str, title: str) -> None:
    """Print how many MiB the memory of this process grows by at most while two steps run."""
    make = LIBRARIES[name]
    make(WORKS["chain, 10⁶"])()  # what is imported and compiled does not count
    step = make(WORKS[title])
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    step()
    step()
    print(round((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024))


def memory(names: Sequence[str], title: str = "chain, 10⁷") -> None:
    """Print a table of peak memory."""
    print(f"\n| peak memory of {title} | MiB |\n|---|---:|")
    for name in present(names):
        done = subprocess.run(  # noqa: S603  this script
            [sys.executable, __file__, "--peak", name, title],
            capture_output=True,
            text=True,
            check=True,
            env=os.environ,
        )
        print(f"| {name} | {done.stdout.strip()} |", flush=True)


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=15, help="of which the median counts; a third for 10⁷ elements")
    parser.add_argument("--only", default="", help="works whose title has this in it")
    parser.add_argument("--libraries", nargs="+", default=list(LIBRARIES), choices=LIBRARIES, help="besides PyTorch")
    parser.add_argument("--memory", action="store_true", help="peak memory instead of times")
    parser.add_argument("--peak", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.peak:
        peak(*options.peak)
        return
    found = present(list(dict.fromkeys(["torch", *options.libraries])))
    if options.memory:
        memory(list(found))
        return
    columns = [name for name in found if name != "torch"]
    print(f"| | torch, ms | {' | '.join(columns)} |\n|---|---:|{'---:|' * len(columns)}")
    for title, work in WORKS.items():
        if options.only in title:
            rounds = max(options.rounds // 3, 3) if "10⁷" in title else options.rounds
            report(title, {name: make(work) for name, make in found.items()}, rounds, columns)
    if options.only in "Adam":
        report("Adam, 16·10⁶ parameters", adams(), max(options.rounds // 3, 3), columns)


if __name__ == "__main__":
    main()
