"""Gradients against difference quotients: the check that a backward is right."""

import warnings
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np

from .. import backends
from ..backward import grad
from ..dtypes import complex128, float64
from ..errors import GraphError, Unsupported
from ..tensor import Tensor, wrap


class GradcheckError(GraphError):
    """A gradient is not what difference quotients say."""


REENTRANT = (
    "Backward is not reentrant, i.e., running backward with same input and grad_output multiple times gives different "
    "values, although analytical gradient matches numerical gradient.The tolerance for nondeterminism was {}."
)


def gradcheck(
    func: Callable[..., Any],
    inputs: Tensor | Sequence[Any],
    *,
    eps: float = 1e-6,
    atol: float = 1e-5,
    rtol: float = 1e-3,
    raise_exception: bool = True,
    nondet_tol: float = 0.0,
    check_undefined_grad: bool = True,
    check_grad_dtypes: bool = False,
    check_batched_grad: bool = False,
    check_batched_forward_grad: bool = False,
    check_forward_ad: bool = False,
    check_backward_ad: bool = True,
    fast_mode: bool = False,
    masked: bool | None = None,
) -> bool:
    """Whether the gradients of ``func`` by its ``inputs`` that require grad agree with difference quotients.

    Inputs should be float64 or complex128. Every element is moved by ``±eps``, in the imaginary direction too, and
    the Jacobians must agree within ``atol + rtol * |numerical|``; the real and the imaginary part of complex results
    are checked in turn. Four options of torch's change nothing: the whole Jacobian is checked in ``fast_mode`` too,
    dtypes always fit (``check_grad_dtypes``), no operation is run without a gradient (``check_undefined_grad``), and
    there are no sparse tensors (``masked``). Raises GradcheckError, or returns False if not ``raise_exception``.
    Source: torch.autograd.gradcheck.

    >>> import autograd_gpu as torch
    >>> x = torch.tensor([1.0, 2.0], dtype=torch.float64, requires_grad=True)
    >>> gradcheck(lambda x: x * x, x)
    True
    """
    for name, wanted in (
        ("check_batched_grad", check_batched_grad),
        ("check_batched_forward_grad", check_batched_forward_grad),
        ("check_forward_ad", check_forward_ad),
    ):
        if wanted:
            raise Unsupported(f"gradcheck({name}=True) needs vmap or forward mode, which this package does not have")
    if not check_backward_ad:
        raise AssertionError("Expected at least one of check_forward_ad or check_backward_ad to be True")
    args = _as_tuple(inputs)
    _check_inputs(args)
    try:
        _check(func, args, eps, atol, rtol, nondet_tol)
        _check_zero(func, args)
    except GradcheckError:
        if raise_exception:
            raise
        return False
    return True


def gradgradcheck(
    func: Callable[..., Any],
    inputs: Tensor | Sequence[Any],
    grad_outputs: Tensor | Sequence[Any] | None = None,
    *,
    eps: float = 1e-6,
    atol: float = 1e-5,
    rtol: float = 1e-3,
    gen_non_contig_grad_outputs: bool = False,
    raise_exception: bool = True,
    nondet_tol: float = 0.0,
    check_undefined_grad: bool = True,
    check_grad_dtypes: bool = False,
    check_batched_grad: bool = False,
    check_fwd_over_rev: bool = False,
    check_rev_over_rev: bool = True,
    fast_mode: bool = False,
    masked: bool = False,
) -> bool:
    """``gradcheck`` of the gradients of ``func``, as functions of its inputs and of the cotangents ``grad_outputs``.

    Cotangents that are not given are drawn from -1 to 1. Source: torch.autograd.gradgradcheck.
    """
    args = _as_tuple(inputs)
    if grad_outputs is None:
        cotangents = _random_like(_differentiable(func(*args)), contiguous=not gen_non_contig_grad_outputs)
    else:
        cotangents = _as_tuple(grad_outputs)
    count = len(args)

    def gradients(*both: Any) -> tuple[Tensor, ...]:
        outputs = _differentiable(func(*both[:count]))
        wanted = tuple(x for x in both[:count] if _requires_grad(x))
        found = grad(outputs, wanted, both[count:], create_graph=True, allow_unused=True)
        return tuple(g for g in found if g is not None)

    return gradcheck(
        gradients,
        args + cotangents,
        eps=eps,
        atol=atol,
        rtol=rtol,
        raise_exception=raise_exception,
        nondet_tol=nondet_tol,
        check_undefined_grad=check_undefined_grad,
        check_grad_dtypes=check_grad_dtypes,
        check_batched_grad=check_batched_grad,
        check_forward_ad=check_fwd_over_rev,
        check_backward_ad=check_rev_over_rev,
        fast_mode=fast_mode,
        masked=masked,
    )


def _as_tuple(value: Any) -> tuple[Any, ...]:
    return tuple(value) if isinstance(value, tuple | list) else (value,)


def _requires_grad(value: Any) -> bool:
    return isinstance(value, Tensor) and value.requires_grad


def _differentiable(outputs: Any) -> tuple[Tensor, ...]:
    return tuple(output for output in _as_tuple(outputs) if _requires_grad(output))


def _random_like(outputs: tuple[Tensor, ...], *, contiguous: bool) -> tuple[Tensor, ...]:
    """Cotangents for ``outputs`` that require grad themselves."""
    rng, cotangents = np.random.default_rng(0), []
    for output in outputs:
        wide = (*output._shape, 1 if contiguous else 2)
        values = rng.uniform(-1, 1, wide)[..., 0]
        if output.dtype.is_complex:
            values = values + 1j * rng.uniform(-1, 1, wide)[..., 0]
        host = np.empty(wide, output._type.numpy)[..., 0]
        host[...] = values
        cotangents.append(wrap(output._type.backend.from_host(host, output.device)).requires_grad_())
    return tuple(cotangents)


def _check_inputs(inputs: tuple[Any, ...]) -> None:
    for i, x in enumerate(inputs):
        if not _requires_grad(x):
            continue
        if x.dtype not in (float64, complex128):
            warnings.warn(
                f"Input #{i} requires gradient and is not a double precision floating point or complex. This check "
                "will likely fail if all the inputs are not of double precision floating point or complex. ",
                stacklevel=3,
            )
        if x.numel() and any(stride == 0 and n > 1 for stride, n in zip(x.array.strides, x._shape, strict=True)):
            raise GraphError(
                f"The {i}th input has a dimension with stride 0. gradcheck only supports inputs that are "
                "non-overlapping to be able to compute the numerical gradients correctly. You should call "
                ".contiguous on the input before passing it to gradcheck."
            )
    if not any(map(_requires_grad, inputs)):
        raise ValueError(
            "gradcheck expects at least one input tensor to require gradient, but none of them have requires_grad=True."
        )


def _host(tensor: Tensor) -> np.ndarray:
    return np.array(backends.of(tensor.array).to_host(tensor.array))


def _numerical(func: Callable[..., Any], inputs: tuple[Any, ...], x: Tensor, eps: float) -> list[np.ndarray]:
    """For each result of ``func``, its derivative by each element of ``x`` in a row (by both parts if complex)."""

    def slope(index: tuple[int, ...], step: complex) -> list[np.ndarray]:
        here = x.array[index].copy()
        x.array[index] = here - step
        behind = [_host(y).ravel() for y in _as_tuple(func(*inputs))]
        x.array[index] = here + step
        ahead = [_host(y).ravel() for y in _as_tuple(func(*inputs))]
        x.array[index] = here
        with np.errstate(all="ignore"):
            pairs = zip(ahead, behind, strict=True)
            return [np.subtract(a, b, dtype=np.result_type(a, float)) / (2 * eps) for a, b in pairs]

    if not x.numel():
        return [np.zeros((0, y.numel())) for y in _as_tuple(func(*inputs))]
    columns = [slope(index, eps) for index in np.ndindex(*x._shape)]
    if x.dtype.is_complex:
        imaginary = [slope(index, 1j * eps) for index in np.ndindex(*x._shape)]
        columns = [[a + 1j * b for a, b in zip(re, im, strict=True)] for re, im in zip(columns, imaginary, strict=True)]
    return [np.array(rows) for rows in zip(*columns, strict=True)]


def _analytical(output: Tensor, inputs: tuple[Tensor, ...], one: complex) -> list[np.ndarray]:
    """The same for one result and every input, by backward passes that start with ``one`` in each element."""
    jacobians = [np.zeros((x.numel(), output.numel()), x._type.numpy) for x in inputs]
    for column, index in enumerate(np.ndindex(*output._shape)):
        seed = np.zeros(output._shape, output._type.numpy)
        seed[index] = one
        cotangent = wrap(output._type.backend.from_host(seed, output.device))
        found = grad(output, inputs, cotangent, retain_graph=True, allow_unused=True)
        for jacobian, g in zip(jacobians, found, strict=True):
            if g is not None:
                jacobian[:, column] = _host(g).ravel()
    return jacobians


def _check(
    func: Callable[..., Any], args: tuple[Any, ...], eps: float, atol: float, rtol: float, nondet_tol: float
) -> None:
    """Compare the Jacobians of all results by all inputs."""
    inputs = tuple(filter(_requires_grad, args))
    results = _as_tuple(func(*args))
    outputs = _differentiable(results)
    parts: list[tuple[str, Callable[[Any], Any], complex]] = [("real", np.real, 1)]
    if any(result.dtype.is_complex for result in results):
        parts.insert(0, ("imaginary", np.imag, 1j))
    for part, take, one in parts:
        part_of_results = partial(_part_of_results, take, func)
        numerical = [_numerical(part_of_results, args, x, eps) for x in inputs]
        if not outputs and any(jacobian.any() for by_input in numerical for jacobian in by_input):
            raise GradcheckError("Numerical gradient for function expected to be zero")
        places = [i for i, result in enumerate(results) if _requires_grad(result)]
        for i, (place, output) in enumerate(zip(places, outputs, strict=True)):
            start = one if output.dtype.is_complex else 1
            analytical, again = (_analytical(output, inputs, start) for _ in range(2))
            if any(a.size and np.abs(a - b).max() > nondet_tol for a, b in zip(analytical, again, strict=True)):
                raise GradcheckError(REENTRANT.format(nondet_tol))
            for j, a in enumerate(analytical):
                n = numerical[j][place]
                if not np.allclose(a, n, rtol=rtol, atol=atol):
                    about = f"While considering the {part} part of complex outputs only, " * output.dtype.is_complex
                    raise GradcheckError(
                        f"{about}Jacobian mismatch for output {i} with respect to input {j},\n"
                        f"numerical:{wrap(n)}\nanalytical:{wrap(a)}\n"
                    )


def _part_of_results(take: Callable[[Any], Any], func: Callable[..., Any], *args: Any) -> tuple[Tensor, ...]:
    """Of ``func(*args)``, one part of complex results, other results as they are."""
    results = _as_tuple(func(*args))
    return tuple(wrap(take(_host(result))) if result.dtype.is_complex else result for result in results)


def _check_zero(func: Callable[..., Any], args: tuple[Any, ...]) -> None:
    """Check that nothing comes out of a backward pass that starts with zeros."""
    inputs, outputs = tuple(filter(_requires_grad, args)), _differentiable(func(*args))
    zeros = [wrap(y._type.backend.xp.zeros(y._shape, y._type.numpy)) for y in outputs]
    if any(g is not None and _host(g).any() for g in grad(outputs, inputs, zeros, allow_unused=True)):
        raise GradcheckError("backward not multiplied by grad_output")
