"""Random tensors: of a given size, like another, with a distribution of each element, and in place.

Draws have no gradient: where a tensor with a history is filled with random numbers, the gradient is 0, as in
PyTorch.
"""

from collections.abc import Callable
from operator import index
from typing import Any

import numpy as np

from . import dtypes, shapes
from .creation import Target, like, number, size_of
from .devices import cpu
from .devices import device as Device
from .dtypes import dtype as Dtype
from .extend import extends_tensor
from .factory import factory
from .layouts import arranged
from .op import TABLE, ArrayOp, public
from .random import Generator, stream_of
from .tensor import Tensor, wrap
from .values import check_range
from .writes import check_writable, write, write_out


@public(method=False)
@factory()
def rand(*args: Any, size: Any = None, generator: Generator | None = None, dtype: Dtype, device: Device) -> Any:
    """Random numbers, uniform in [0, 1).

    >>> rand(3, generator=Generator().manual_seed(0))
    tensor([0.4963, 0.7682, 0.0885])
    """
    shape = size_of(args, size, "rand")
    return stream_of(generator, device).random(shape, dtype)


@public(method=False)
@factory()
def randn(*args: Any, size: Any = None, generator: Generator | None = None, dtype: Dtype, device: Device) -> Any:
    """Random numbers, normal with mean 0 and standard deviation 1.

    >>> randn(2, generator=Generator().manual_seed(0))
    tensor([ 1.5410, -0.2934])
    """
    shape = size_of(args, size, "randn")
    return stream_of(generator, device).normal(shape, dtype)


@public(method=False)
@factory(lambda: dtypes.int64)
def randint(
    *args: Any,
    low: Any = 0,
    high: Any = None,
    size: Any = None,
    generator: Generator | None = None,
    dtype: Dtype,
    device: Device,
) -> Any:
    """``randint(high, size)``, ``randint(low, high, size)``: random integers of [low, high), as int64.

    >>> randint(10, (5,), generator=Generator().manual_seed(0))
    tensor([4, 9, 3, 0, 3])
    """
    *bounds, size = (*args,) if size is None else (*args, size)
    if not isinstance(size, tuple | list):
        found = type(size).__name__
        raise TypeError(f"randint(): argument 'size' must be tuple of ints, not {found}")
    low, high = _bounds("randint", bounds, low, high)
    shape = size_of(tuple(size), None, "randint") if size else ()
    return stream_of(generator, device).integers(low, high, shape, dtype)


def _bounds(function: str, args: Any, low: Any, high: Any) -> tuple[int, int]:
    """The bounds ``(high)`` or ``(low, high)``, given by position or name."""
    if len(args) == 2:
        low, high = args
    elif len(args) == 1:
        low, high = (low, args[0]) if high is None else (args[0], high)
    for name, value in (("low", low), ("high", high)):
        if not hasattr(value, "__index__"):
            raise TypeError(f"{function}(): argument '{name}' must be int, not {type(value).__name__}")
    return index(low), index(high)


@public(method=False)
@factory(lambda: dtypes.int64)
def randperm(n: int, *, generator: Generator | None = None, dtype: Dtype, device: Device) -> Any:
    """Return the integers below ``n`` in random order.

    >>> randperm(5, generator=Generator().manual_seed(0))
    tensor([4, 0, 1, 3, 2])
    """
    (n,) = size_of((n,), None, "randperm")
    if dtype.category == dtypes.INT:
        check_range(np.asarray(n), dtype)
    return stream_of(generator, device).permutation(n).astype(dtype.numpy, copy=False)


@public(method=False)
@like
def rand_like(target: Target, generator: Generator | None = None) -> Any:
    """Random numbers, uniform in [0, 1), in the shape, dtype and on the device of ``input``."""
    return stream_of(generator, target.type_.device).random(target.shape, target.type_.dtype)


@public(method=False)
@like
def randn_like(target: Target, generator: Generator | None = None) -> Any:
    """Random numbers, normal with mean 0 and deviation 1, of the kind of ``input``."""
    stream = stream_of(generator, target.type_.device)
    return stream.normal(target.shape, target.type_.dtype, contiguous=target.contiguous)


@public(method=False)
@like
def randint_like(target: Target, *args: Any, low: Any = 0, high: Any = None, generator: Generator | None = None) -> Any:
    """``randint_like(input, high)``, ``randint_like(input, low, high)``: as ``randint``, in input's dtype."""
    low, high = _bounds("randint_like", args, low, high)
    return stream_of(generator, target.type_.device).integers(low, high, target.shape, target.type_.dtype)


for _name, _node in {
    "uniform_": "UniformBackward0", "exponential_": "ExponentialBackward0", "random_": "RandomBackward2",
    "bernoulli": "BernoulliBackward0", "bernoulli_of": "BernoulliBackward1",
    "bernoulli_": "BernoulliBackward2",
    "normal_": "NormalBackward0", "normal_of_mean": "NormalBackward1", "normal_of_std": "NormalBackward2",
}.items():  # fmt: skip
    ArrayOp(
        f"draw_{_name}", "input", lambda _, drawn: drawn,
        lambda g: TABLE.zeros_like(g),  # noqa: PLW0108  the argument's name says what it takes
        "random numbers in place of input's, whatever these are", node=_node,
    )  # fmt: skip
ArrayOp(
    "draw_normal_of_both", "mean, std", lambda *_, drawn: drawn,
    {
        "mean": lambda g, shape: TABLE.sum_to_size(TABLE.zeros_like(g), size=shape),
        "std": lambda g, shape: TABLE.sum_to_size(TABLE.zeros_like(g), size=shape),
    },
    "random numbers of given means and standard deviations", node="NormalBackward3",
)  # fmt: skip


def like_memory(x: Tensor, draw: Callable[[tuple[int, ...], bool], Any]) -> Any:
    """``draw(shape, contiguous)`` for the memory of ``x``, which PyTorch fills from its start to its end."""
    whole = bool(x.array.flags.c_contiguous)
    with x._type.backend.Scope(x.device):
        return draw(x._shape, True) if whole else arranged(x.array, lambda shape: draw(shape, False))


@public
def bernoulli(
    input: Tensor, p: float | None = None, *, generator: Generator | None = None, out: Tensor | None = None
) -> Tensor:
    """1 with the probability that each element of ``input`` says (or ``p`` for all), else 0."""
    stream = stream_of(generator, input.device)
    with input._type.backend.Scope(input.device):
        if p is None:
            drawn = stream.bernoulli(input.array)
        else:
            drawn = stream.bernoulli_scalar(input._shape, number(p, "bernoulli", "p"), input.dtype)
    result: Tensor = TABLE.draw_bernoulli(input, drawn=drawn)
    return result if out is None else write_out("bernoulli", out, result)


@public(method=False)
def normal(
    mean: Any,
    std: Any = 1.0,
    size: Any = None,
    *,
    generator: Generator | None = None,
    out: Tensor | None = None,
    **options: Any,
) -> Tensor:
    """Random numbers, normal with ``mean`` and standard deviation ``std``, each a number or a tensor.

    Of two numbers, ``size`` says how many are drawn.

    >>> normal(2.0, 3.0, (2,), generator=Generator().manual_seed(0))
    tensor([6.6230, 1.1197])
    """
    if not isinstance(mean, Tensor) and not isinstance(std, Tensor):
        if size is None:
            raise TypeError("normal() missing 1 required positional argument: 'size'")
        return normal_of_numbers(mean, std, size, generator=generator, out=out, **options)
    if options or size is not None:
        raise TypeError("normal() takes size and options only if mean and std are numbers")
    result = _normal_of_tensors(mean, std, generator)
    return result if out is None else write_out("normal", out, result)


@factory()
def normal_of_numbers(
    mean: Any, std: Any, size: Any, *, generator: Generator | None = None, dtype: Dtype, device: Device
) -> Any:
    """``normal`` of two numbers."""
    stream, shape = stream_of(generator, device), size_of((size,), None, "normal")
    mean, std = number(mean, "normal", "mean"), number(std, "normal", "std")
    return stream.normal(shape, dtype, mean, std)


def _normal_of_tensors(mean: Any, std: Any, generator: Generator | None) -> Tensor:
    """Normals with a mean or a deviation for each."""
    main = mean if isinstance(mean, Tensor) else std
    stream = stream_of(generator, main.device)
    if not isinstance(std, Tensor):
        std = number(std, "normal", "std")
        with mean._type.backend.Scope(mean.device):
            drawn = stream.normal(mean._shape, mean.dtype, 0.0, std)
        return TABLE.draw_normal_of_mean(mean, drawn=drawn + mean.array)  # type: ignore[no-any-return]
    if std.device is cpu and bool((std.array < 0).any()):
        raise RuntimeError("normal expects all elements of std >= 0.0")
    shape = shapes.broadcast(main._shape, std._shape)
    with main._type.backend.Scope(main.device):
        drawn = stream.normal(shape, main.dtype) * std.array.astype(main._type.numpy)
    if isinstance(mean, Tensor):
        return TABLE.draw_normal_of_both(mean, std, drawn=drawn + mean.array)  # type: ignore[no-any-return]
    return TABLE.draw_normal_of_std(std, drawn=drawn + number(mean, "normal", "mean"))  # type: ignore[no-any-return]


@public
def multinomial(
    input: Tensor,
    num_samples: int,
    replacement: bool = False,
    *,
    generator: Generator | None = None,
    out: Tensor | None = None,
) -> Tensor:
    """``num_samples`` indices from each row of weights, in proportion to them.

    >>> import autograd_gpu as ag
    >>> multinomial(ag.tensor([0.0, 1.0, 0.0]), 1)
    tensor([1])
    """
    with input._type.backend.Scope(input.device):
        drawn = stream_of(generator, input.device).multinomial(input.array, num_samples, replacement)
    return wrap(drawn) if out is None else write_out("multinomial", out, wrap(drawn))


@extends_tensor
class InPlaceDraws(Tensor):
    """Random numbers written into a tensor, in the order of its memory."""

    __slots__ = ()

    def _draw(self, name: str, generator: Generator | None, draw: Callable[..., Any]) -> Tensor:
        check_writable(self)
        stream = stream_of(generator, self.device)
        drawn = like_memory(self, lambda shape, contiguous: draw(stream, shape, contiguous))
        return write(self, TABLE[f"draw_{name}"](self, drawn=drawn))

    def uniform_(self, *args: float, generator: Generator | None = None, **bounds: float) -> Tensor:
        """``uniform_(from=0, to=1)``: fill with random numbers, uniform in [from, to)."""
        low, high = _from_to(args, bounds)
        return self._draw("uniform_", generator, lambda s, shape, _: s.uniform(shape, low, high, self.dtype))

    def normal_(self, mean: float = 0.0, std: float = 1.0, *, generator: Generator | None = None) -> Tensor:
        """Fill with random numbers, normal with ``mean`` and standard deviation ``std``."""
        return self._draw("normal_", generator, lambda s, shape, c: s.normal(shape, self.dtype, mean, std, c))

    def exponential_(self, lambd: float = 1.0, *, generator: Generator | None = None) -> Tensor:
        """Fill with random numbers, exponential with mean ``1 / lambd``."""
        return self._draw("exponential_", generator, lambda s, shape, _: s.exponential(shape, self.dtype, lambd))

    def random_(self, *args: Any, generator: Generator | None = None) -> Tensor:
        """``random_()``, ``random_(to)``, ``random_(from, to)``: fill with random integers of [from, to)."""
        if not args:
            return self._draw("random_", generator, lambda s, shape, _: s.any_integers(shape, self.dtype))
        low, high = (0, args[0]) if len(args) == 1 else args
        high = 2**63 if high is None else high
        return self._draw("random_", generator, lambda s, shape, _: s.integers(low, high, shape, self.dtype))

    def bernoulli_(self, p: Any = 0.5, *, generator: Generator | None = None) -> Tensor:
        """Fill with 1 with probability ``p`` (a number, or a tensor for each element), else 0."""
        if isinstance(p, Tensor):
            chances = p.detach().expand(self._shape).array
            return self._draw("bernoulli_of", generator, lambda s, *_: s.bernoulli(chances).astype(self._type.numpy))
        return self._draw("bernoulli_", generator, lambda s, shape, _: s.bernoulli_scalar(shape, p, self.dtype))


def _from_to(args: tuple[float, ...], named: dict[str, float]) -> tuple[float, float]:
    """The bounds of ``uniform_``, whose first one is named by a word of Python's."""
    given = dict(zip(("from", "to"), args, strict=False)) | named
    if len(given) < len(args) + len(named) or given.keys() - {"from", "to"}:
        raise TypeError(f"uniform_() takes from=0 and to=1, got {args} and {named}")
    low, high = given.get("from", 0.0), given.get("to", 1.0)
    return number(low, "uniform_", "from"), number(high, "uniform_", "to")
