"""The axes in another order: views."""

from collections.abc import Iterable
from typing import Any

from ..errors import ShapeError
from ..op import TABLE, ArrayOp, public
from ..shapes import dim_of
from .arguments import one_or_many
from .shape import Shape


def _swapped(x: Any, dim0: int, dim1: int) -> Any:
    return x.swapaxes(dim0, dim1) if x.ndim else x.reshape(())


def inverse(dims: Shape) -> Shape:
    """The permutation that undoes ``dims``."""
    return tuple(sorted(range(len(dims)), key=dims.__getitem__))


# fmt: off
ArrayOp("transpose", "input", _swapped, lambda g, dim0, dim1: TABLE.transpose(g, dim0=dim0, dim1=dim1),
        "two axes exchanged", view=True)
ArrayOp("t", "input", lambda x: x.T, lambda g: TABLE.t(g), "a matrix transposed", view=True)  # noqa: PLW0108
ArrayOp("permute", "input", lambda x, dims: x.transpose(dims),
        lambda g, dims: TABLE.permute(g, dims=inverse(dims)), "the axes in another order", view=True)
# fmt: on


@public
def transpose(input: Any, dim0: int, dim1: int) -> Any:
    """The axes ``dim0`` and ``dim1`` exchanged: a view. Source: torch.transpose."""
    return TABLE.transpose(input, dim0=dim_of(dim0, input.ndim), dim1=dim_of(dim1, input.ndim))


public(transpose, name="swapdims")


@public
def swapaxes(input: Any, axis0: int, axis1: int) -> Any:
    """``transpose`` under NumPy's name."""
    return transpose(input, axis0, axis1)


@public
def t(input: Any) -> Any:
    """A matrix transposed: a view; tensors with fewer axes stay. Source: torch.t."""
    if input.ndim > 2:
        raise ShapeError(f"t() expects a tensor with <= 2 dimensions, but self is {input.ndim}D")
    return TABLE.t(input)


def _order(dims: Shape, ndim: int) -> Shape:
    if len(dims) != ndim:
        raise ShapeError(
            "permute(sparse_coo): number of dimensions in the tensor input does not match the length of the "
            f"desired ordering of dimensions i.e. input.dim() = {ndim} is not equal to len(dims) = "
            f"{len(dims)}"
        )
    order = tuple(dim_of(d, ndim) for d in dims)
    if len(set(order)) < ndim:
        raise ShapeError("permute(): duplicate dims are not allowed.")
    return order


@public
@one_or_many("dims")
def permute(input: Any, dims: Shape) -> Any:
    """The axes in the order ``dims``: a view. Source: torch.permute.

    >>> import autograd_gpu as torch
    >>> torch.tensor([[1, 2, 3]]).permute(1, 0).shape
    autograd_gpu.Size([3, 1])
    """
    return TABLE.permute(input, dims=_order(dims, input.ndim))


@public
def movedim(input: Any, source: Any, destination: Any) -> Any:
    """The axes ``source`` (an int or several) moved to ``destination``, the others in their order."""
    ends = []
    for name, dims in (("source", source), ("destination", destination)):
        listed = (dims,) if not isinstance(dims, Iterable) else tuple(dims)
        places = tuple(dim_of(d, input.ndim) for d in listed)
        if len(set(places)) < len(places):
            raise ShapeError(f"movedim: repeated dim in `{name}` ({list(listed)})")
        ends.append(places)
    if len(ends[0]) != len(ends[1]):
        raise ShapeError(
            f"movedim: Invalid source or destination dims: source ({list(ends[0])} dims) should contain the "
            f"same number of dims as destination ({list(ends[1])} dims)"
        )
    moved = dict(zip(ends[1], ends[0], strict=True))
    others = iter(d for d in range(input.ndim) if d not in ends[0])
    order = tuple(moved[d] if d in moved else next(others) for d in range(input.ndim))
    return TABLE.permute(input, dims=order)


public(movedim, name="moveaxis")
