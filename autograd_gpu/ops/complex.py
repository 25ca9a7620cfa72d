"""Complex numbers: made of two real ones, and their parts and conjugates, as operations and as views."""

from typing import Any

import numpy as np

from ..dtypes import COMPLEX, FLOAT
from ..errors import DtypeError
from ..op import TABLE, ArrayOp, Op, public
from . import _cuda, _special

# fmt: off
conj: Op = Op("conj", "input", "conjugate({0})", lambda z, y: (1,), "complex conjugate of input",
          numpy=np.conjugate, helpers=(_cuda.PARTS,), complex_vjp=lambda g, z, y: (conj(g),), public=False)
real = Op("real", "input", "real_part({0})", lambda z, y: (1,), "real part of input", numpy=np.real, result="real",
          complex_vjp=lambda g, z, y: (g,), helpers=(_cuda.PARTS,), public=False)
imag = Op("imag", "input", "imaginary_part({0})", lambda z, y: (0,), "imaginary part of input", numpy=np.imag,
          result="real", complex_vjp=lambda g, z, y: (times_i(g),), helpers=(_cuda.PARTS,), public=False)
times_i: Op = Op("times_i", "input", "times_i({0})", lambda z, y: (1,), "i · input", numpy=_special.times_i,
             result="complex", complex_vjp=lambda g, z, y: (-times_i(g),), helpers=(_cuda.PARTS,), public=False)
of_parts = Op("complex", "real, imag", "of_parts({0}, {1})", lambda a, b, y: (1, 1), "real + i · imag",
              numpy=_special.of_parts, result="complex", takes=(FLOAT,), helpers=(_cuda.PARTS,),
              complex_vjp=lambda g, a, b, y: (real(g), imag(g)), public=False)

# The parts share memory with the whole; a real gradient of a part fits the whole once it is cast.
ArrayOp("real_view", "input", lambda z: z.real, lambda g: g, "real part", view=True, fits=True, like=real,
        node="SelectBackward0")
ArrayOp("imag_view", "input", lambda z: z.imag, lambda g: times_i(g),  # noqa: PLW0108  a rule's arguments have names
        "imaginary part", view=True, fits=True, like=imag, node="SelectBackward0")
# fmt: on


def _is_complex(input: Any) -> bool:
    return bool(input.dtype.category == COMPLEX)


@public(method=False)
def complex(real: Any, imag: Any, *, out: Any = None) -> Any:
    """``real + i * imag`` of two tensors of one floating dtype. Source: torch.complex."""
    for tensor in real, imag:
        if tensor.dtype.category != FLOAT or tensor.dtype.itemsize < 4:
            raise DtypeError(
                "Expected both inputs to be Half, Float or Double tensors but got "
                f"{real.dtype.scalar_name} and {imag.dtype.scalar_name}"
            )
    if real.dtype is not imag.dtype:
        raise DtypeError(
            f"Expected object of scalar type {real.dtype.scalar_name} but got scalar type "
            f"{imag.dtype.scalar_name} for second argument"
        )
    return of_parts(real, imag, out=out)


@public(name="real", method=False)
def real_part(input: Any) -> Any:
    """Real part: a view of a complex tensor, a real tensor itself. Source: torch.real."""
    return TABLE.real_view(input) if _is_complex(input) else input


@public(name="imag", method=False)
def imaginary_part(input: Any) -> Any:
    """Imaginary part of a complex tensor, a view of it. RuntimeError for a real one. Source: torch.imag."""
    if not _is_complex(input):
        raise DtypeError("imag is not implemented for tensors with non-complex dtypes.")
    return TABLE.imag_view(input)


@public(name="conj")
def conjugate(input: Any) -> Any:
    """Complex conjugate; a real tensor itself. It is computed at once (torch does when it is needed).

    Source: torch.conj.
    """
    return conj(input) if _is_complex(input) else input


@public(in_place=True)
def conj_physical(input: Any, *, out: Any = None) -> Any:
    """Complex conjugate, in memory of its own. Source: torch.conj_physical."""
    return conj(input, out=out)


@public
def resolve_conj(input: Any) -> Any:
    """``input``: conjugates are always computed here. Source: torch.resolve_conj."""
    return input


@public
def resolve_neg(input: Any) -> Any:
    """``input``: negatives are always computed here. Source: torch.resolve_neg."""
    return input
