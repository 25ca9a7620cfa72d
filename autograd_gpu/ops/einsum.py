"""Products of tensors summed over chosen axes: einsum, tensordot and what they are made of.

Two operands are contracted by one batched matrix product: their axes are arranged as (shared and kept, own,
summed), and what is summed in one of them alone is summed first. Gradients follow from the steps.
"""

from collections.abc import Iterable, Sequence
from math import prod
from typing import Any

from ..errors import DtypeError, ShapeError
from ..op import TABLE, public
from ..shapes import dim_of
from .arguments import is_tensor
from .linalg import check_tensors, product_of_batches, product_of_matrices
from .reduce import Dims
from .shape import reshape

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
Labels = tuple[str, ...]


# --- what the equation says ------------------------------------------------------------------------


def _subscripts(text: str, place: str, start: int) -> list[str]:
    """The labels of one term of the equation, which begins there at ``start``; "..." is one of them."""
    labels: list[str] = []
    i = 0
    while i < len(text):
        if text[i] == ".":
            if text[i : i + 3] != "...":
                raise ShapeError(f"einsum(): found '.' for {place} that is not part of any ellipsis")
            if "..." in labels:
                raise ShapeError(f"einsum(): found '.' for {place} for which an ellipsis was already found")
            labels.append("...")
            i += 3
            continue
        if text[i] in LETTERS:
            labels.append(text[i])
        elif text[i] != " ":
            raise ShapeError(
                f"einsum(): invalid subscript given at index {start + i} in the equation string, subscripts must be in "
                "[a-zA-Z]"
            )
        i += 1
    return labels


def _parse(equation: str) -> tuple[list[list[str]], list[str] | None]:
    """The labels of each operand, and those of the result if they are given."""
    left, arrow, right = equation.partition("->")
    terms, start = [], 0
    for i, term in enumerate(left.split(",")):
        terms.append(_subscripts(term, f"operand {i}", start))
        start += len(term) + 1
    return terms, _subscripts(right, "the output", len(left) + 2) if arrow else None


def _from_lists(arguments: Sequence[Any]) -> tuple[list[Any], list[list[str]], list[str] | None]:
    """Operands and labels of ``einsum(x, [0, 1], y, [1, 2], [0, 2])``."""
    operands, terms = list(arguments[: len(arguments) // 2 * 2 : 2]), []
    lists = [*arguments[1::2], *(arguments[-1:] if len(arguments) % 2 else ())]
    for numbers in lists:
        for number in numbers:
            if number is not Ellipsis and not 0 <= number < len(LETTERS):
                raise ValueError(
                    f"einsum(): not possible to convert subscript {number}, subscripts must be in range [0, 52)"
                )
        terms.append(["..." if number is Ellipsis else LETTERS[number] for number in numbers])
    return operands, terms[: len(operands)], terms[-1] if len(arguments) % 2 else None


def _with_ellipses(terms: list[list[str]], operands: list[Any]) -> tuple[list[Labels], Labels]:
    """The labels of each operand with a label for each axis of an ellipsis, and these, counted from the last."""
    result, longest = [], 0
    for i, (labels, operand) in enumerate(zip(terms, operands, strict=True)):
        named = len(labels) - ("..." in labels)
        if named > operand.ndim if "..." in labels else named != operand.ndim:
            raise ShapeError(
                f"einsum(): the number of subscripts in the equation ({named}) "
                + ("is more than" if "..." in labels else "does not match")
                + f" the number of dimensions ({operand.ndim}) for operand {i}"
                + ("" if "..." in labels else " and no ellipsis was given")
            )
        hidden = operand.ndim - named
        longest = max(longest, hidden)
        result.append(_spelled(labels, hidden))
    return result, _spelled(["..."], longest)


def _spelled(labels: Iterable[str], hidden: int) -> Labels:
    """``labels`` with ``hidden`` labels for the ellipsis."""
    return tuple(
        spelled
        for label in labels
        for spelled in ([f".{n}" for n in range(hidden, 0, -1)] if label == "..." else [label])
    )


def _output(terms: list[Labels], given: list[str] | None, ellipsis: Labels) -> Labels:
    """The labels of the result: those given, or the ellipsis and all that come once, in order."""
    every = [label for term in terms for label in term]
    if given is None:
        return ellipsis + tuple(c for c in LETTERS if every.count(c) == 1)
    for label in given:
        if label != "..." and given.count(label) > 1:
            raise ShapeError(f"einsum(): output subscript {label} appears more than once in the output")
        if label != "..." and label not in every:
            raise ShapeError(
                f"einsum(): output subscript {label} does not appear in the equation for any input operand"
            )
    return _spelled(given, len(ellipsis))


def _sizes(terms: list[Labels], operands: list[Any]) -> dict[str, int]:
    """The size of each label; an axis of size 1 is broadcast."""
    sizes: dict[str, int] = {}
    for i, (term, operand) in enumerate(zip(terms, operands, strict=True)):
        for label, n in zip(term, operand.shape, strict=True):
            known = sizes.setdefault(label, n)
            if known == 1:
                sizes[label] = n
            elif n not in (1, known):
                raise ShapeError(f"einsum(): {_mismatch(label, n, known, i, terms)}")
    return sizes


def _mismatch(label: str, n: int, known: int, operand: int, terms: list[Labels]) -> str:
    """That ``label`` has size ``n`` for ``operand``, and had the size ``known`` before."""
    if label[0] != ".":
        return (
            f"subscript {label} has size {n} for operand {operand} which does not broadcast with previously seen "
            f"size {known}"
        )
    longest = max(int(c[1:]) for term in terms for c in term if c[0] == ".")
    return (
        f"dimension {longest - int(label[1:])} covered by ellipsis in operand {operand}has size {n} which does not "
        f"broadcast with previously seen ellipsis with size {known} for the respective dimension"
    )


# --- what it does ----------------------------------------------------------------------------------


def _diagonals(x: Any, labels: Labels, operand: int) -> tuple[Any, Labels]:
    """``x`` with the diagonal of axes that have the same label."""
    while len(set(labels)) < len(labels):
        label = next(c for c in labels if labels.count(c) > 1)
        first = labels.index(label)
        second = labels.index(label, first + 1)
        if (n := x.shape[second]) != (m := x.shape[first]):
            raise ShapeError(
                f"einsum(): subscript {label} is repeated for operand {operand} but the sizes don't match, {n} != {m}"
            )
        x = TABLE.diagonal(x, offset=0, dim1=first, dim2=second)
        labels = (*(c for i, c in enumerate(labels) if i not in (first, second)), label)
    return x, labels


def _without_broadcast(x: Any, labels: Labels, sizes: dict[str, int]) -> tuple[Any, Labels]:
    """``x`` without the axes of size 1 that another operand has larger: they are the same all along."""
    extra = tuple(i for i, c in enumerate(labels) if x.shape[i] == 1 != sizes[c])
    if not extra:
        return x, labels
    return TABLE.squeeze_dims(x, dim=extra), tuple(c for i, c in enumerate(labels) if i not in extra)


def _summed(x: Any, labels: Labels, kept: set[str]) -> tuple[Any, Labels]:
    """``x`` summed over the axes whose labels are not ``kept``."""
    dims = tuple(i for i, c in enumerate(labels) if c not in kept)
    if not dims:
        return x, labels
    return TABLE.sum(x, dim=dims, keepdim=False), tuple(c for c in labels if c in kept)


def _arranged(x: Any, labels: Labels, wanted: Labels) -> Any:
    """``x`` with its axes in the order ``wanted``."""
    order = tuple(labels.index(c) for c in wanted)
    return x if order == tuple(range(x.ndim)) else TABLE.permute(x, dims=order)


def _aligned(x: Any, labels: Labels, wanted: Labels) -> Any:
    """``x`` with its axes in the order ``wanted``, and axes of size 1 for labels that it has not."""
    x = _arranged(x, labels, tuple(c for c in wanted if c in labels))
    return reshape(x, tuple(x.shape[[c for c in wanted if c in labels].index(c)] if c in labels else 1 for c in wanted))


def _contracted(
    x: Any, xs: Labels, y: Any, ys: Labels, output: Labels, later: Labels, sizes: dict[str, int]
) -> tuple[Any, Labels]:
    """The product of ``x`` and ``y`` summed over labels that the ``output`` and ``later`` operands lack; its labels."""
    kept = {*output, *later}
    x, xs = _summed(x, xs, kept | set(ys))
    y, ys = _summed(y, ys, kept | set(xs))
    batch = tuple(c for c in xs if c in ys and c in kept)
    summed = tuple(c for c in xs if c in ys and c not in kept)
    rows = tuple(c for c in xs if c not in ys)
    columns = tuple(c for c in ys if c not in xs)
    labels = batch + rows + columns
    if not summed:
        labels = tuple(c for c in output if c in labels) + tuple(c for c in labels if c not in output)
        return _aligned(x, xs, labels) * _aligned(y, ys, labels), labels
    b, m, n, k = (prod(sizes[c] for c in group) for group in (batch, rows, columns, summed))
    left = _arranged(x, xs, batch + rows + summed)
    right = _arranged(y, ys, batch + summed + columns)
    if batch:
        product = product_of_batches(reshape(left, (b, m, k)), reshape(right, (b, k, n)))
    else:
        product = product_of_matrices(reshape(left, (m, k)), reshape(right, (k, n)))
    return TABLE.view(product, size=tuple(sizes[c] for c in labels)), labels


@public(method=False)
def einsum(*args: Any) -> Any:
    """The sum of products that an equation in Einstein's notation names: ``einsum("ij,jk->ik", a, b)``.

    Each term before the arrow labels the axes of one operand; a label that comes twice in one is its diagonal;
    labels that are missing after the arrow are summed over. Without an arrow the result has the labels that come
    once, in alphabetical order. ``...`` stands for axes that broadcast. Operands are contracted from left to
    right. Also ``einsum(a, [0, 1], b, [1, 2], [0, 2])``. Source: torch.einsum.

    >>> import autograd_gpu as torch
    >>> a = torch.tensor([[1., 2.], [3., 4.]])
    >>> torch.einsum("ii", a), torch.einsum("ij->j", a)
    (tensor(5.), tensor([4., 6.]))
    """
    if len(args) < 2:
        raise ValueError(
            "einsum(): must specify the equation string and at least one operand, or at least one operand and its "
            "subscripts list"
        )
    if isinstance(args[0], str):
        operands = list(args[1]) if len(args) == 2 and isinstance(args[1], list | tuple) else list(args[1:])
        terms, given = _parse(args[0])
    else:
        operands, terms, given = _from_lists(args)
    for operand in operands:
        check_tensors("einsum", operands=operand)
    if len(operands) != len(terms):
        how = "fewer" if len(operands) < len(terms) else "more"
        raise ShapeError(f"einsum(): {how} operands were provided than specified in the equation")
    spelled, ellipsis = _with_ellipses(terms, operands)
    output = _output(spelled, given, ellipsis)
    return _evaluated(operands, spelled, output)


def _evaluated(operands: list[Any], terms: list[Labels], output: Labels) -> Any:
    first = operands[0].dtype
    for operand in operands[1:]:
        if operand.dtype is not first:
            one, two = first.scalar_name, operand.dtype.scalar_name
            raise DtypeError(f"expected scalar type {one} but found {two}")
    single = [_diagonals(x, labels, i) for i, (x, labels) in enumerate(zip(operands, terms, strict=True))]
    operands, terms = [x for x, _ in single], [labels for _, labels in single]
    sizes = _sizes(terms, operands)
    single = [_without_broadcast(x, labels, sizes) for x, labels in zip(operands, terms, strict=True)]
    (x, labels), *rest = single
    if not rest:
        x = TABLE.permute(x, dims=_output_first(labels, output))
        labels = tuple(sorted(labels, key=lambda c: output.index(c) if c in output else len(output)))
    for i, (y, more) in enumerate(rest):
        later = tuple(c for _, labels_of_one in rest[i + 1 :] for c in labels_of_one)
        x, labels = _contracted(x, labels, y, more, output, later, sizes)
    x, labels = _summed(x, labels, set(output))
    if labels == output:
        return x
    return TABLE.view(_arranged(x, labels, output), size=tuple(sizes[c] for c in output))


def _output_first(labels: Labels, output: Labels) -> Dims:
    """The order of axes in which those of the result come first."""
    return tuple(
        sorted(range(len(labels)), key=lambda i: output.index(labels[i]) if labels[i] in output else len(output))
    )


def _contracted_dims(dims: Any, a: Any, b: Any) -> tuple[list[int], list[int]]:
    """The axes of ``a`` and ``b`` that ``dims``, as tensordot takes it, pairs."""
    if is_tensor(dims):
        dims = dims.tolist()
    if isinstance(dims, int):
        if dims < 0:
            raise ShapeError(f"tensordot expects dims >= 0, but got dims={dims}")
        if dims > min(a.ndim, b.ndim):
            raise ShapeError(f"tensordot expects dims < ndim_a or ndim_b, but got dims={dims}")
        return list(range(a.ndim - dims, a.ndim)), list(range(dims))
    ones, twos = ([d] if isinstance(d, int) else list(d) for d in dims)
    if len(ones) != len(twos):
        raise ShapeError("both dimension lists should have same length")
    return [dim_of(d, a.ndim) for d in ones], [dim_of(d, b.ndim) for d in twos]


@public(method=False)
def tensordot(a: Any, b: Any, dims: Any = 2) -> Any:
    """The product of ``a`` and ``b`` summed over pairs of axes.

    These are the last ``dims`` of ``a`` and the first of ``b``, or two lists. Source: torch.tensordot.

    >>> import autograd_gpu as torch
    >>> torch.tensordot(torch.ones(2, 3, 4), torch.ones(3, 4, 5), 2).shape == (2, 5)
    True
    """
    check_tensors("tensordot", a=a, b=b)
    if a.dtype is not b.dtype:
        raise DtypeError("both inputs should have same dtype")
    ones, twos = _contracted_dims(dims, a, b)
    for i, j in zip(ones, twos, strict=True):
        if (m := a.shape[i]) != (n := b.shape[j]) and 1 not in (m, n):
            raise ShapeError(
                f"contracted dimensions need to match, but first has size {m} in dim {i} and second has size {n} in "
                f"dim {j}"
            )
    return _paired(a, b, ones, twos)


def _paired(a: Any, b: Any, ones: list[int], twos: list[int]) -> Any:
    """The product summed over the axes ``ones`` of ``a`` and ``twos`` of ``b``; of size 1, one stands for all."""
    narrow_a = tuple(i for i, j in zip(ones, twos, strict=True) if b.shape[j] == 1 != a.shape[i])
    narrow_b = tuple(j for i, j in zip(ones, twos, strict=True) if a.shape[i] == 1 != b.shape[j])
    a = TABLE.sum(a, dim=narrow_a, keepdim=True) if narrow_a else a
    b = TABLE.sum(b, dim=narrow_b, keepdim=True) if narrow_b else b
    rows = [i for i in range(a.ndim) if i not in ones]
    columns = [j for j in range(b.ndim) if j not in twos]
    k = prod(a.shape[i] for i in ones)
    left = reshape(TABLE.permute(a, dims=(*rows, *ones)), (prod(a.shape[i] for i in rows), k))
    right = reshape(TABLE.permute(b, dims=(*twos, *columns)), (k, prod(b.shape[j] for j in columns)))
    product = product_of_matrices(left, right)
    return TABLE.view(product, size=tuple([a.shape[i] for i in rows] + [b.shape[j] for j in columns]))


@public
def inner(input: Any, other: Any) -> Any:
    """The product summed over the last axis of both; of a 0-d tensor, the plain product. Source: torch.inner."""
    check_tensors("inner", input=input, other=other)
    if not input.ndim or not other.ndim:
        return input * other
    if input.shape[-1] != other.shape[-1]:
        raise ShapeError(
            "inner() the last dimension must match on both input tensors but got shapes "
            f"{list(input.shape)} and {list(other.shape)}"
        )
    return tensordot(input, other, ([-1], [-1]))


@public
def outer(input: Any, vec2: Any) -> Any:
    """The matrix of all products of two vectors' elements. Source: torch.outer.

    >>> import autograd_gpu as torch
    >>> torch.outer(torch.tensor([1, 2]), torch.tensor([3, 4]))
    tensor([[3, 4],
            [6, 8]])
    """
    check_tensors("outer", input=input, vec2=vec2)
    for name, vector in (("self", input), ("vec2", vec2)):
        if vector.ndim != 1:
            raise ShapeError(f"outer: Expected 1-D argument {name}, but got {vector.ndim}-D")
    return reshape(input, (input.shape[0], 1)) * vec2


public(outer, name="ger")


@public
def kron(input: Any, other: Any) -> Any:
    """The Kronecker product: ``other`` times each element of ``input``, put together. Source: torch.kron."""
    check_tensors("kron", input=input, other=other)
    ndim = max(input.ndim, other.ndim)
    a, b = ((1,) * (ndim - x.ndim) + tuple(x.shape) for x in (input, other))
    outer_axes = reshape(input, tuple(n for m in a for n in (m, 1)))
    inner_axes = reshape(other, tuple(n for m in b for n in (1, m)))
    return TABLE.reshape(outer_axes * inner_axes, size=tuple(m * n for m, n in zip(a, b, strict=True)))
