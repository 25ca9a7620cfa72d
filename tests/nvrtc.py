"""CUDA C compiled by NVRTC alone: no device is needed."""

import re
from functools import lru_cache
from typing import NamedTuple

import pytest

ARCHITECTURES = ("75", "80", "90", "100", "120")


class Compiled(NamedTuple):
    """PTX or machine code, and what the compiler said."""

    code: bytes
    log: str


def require() -> None:
    """Skip the tests of the module that calls this where there is no NVRTC."""
    cupy = pytest.importorskip("cupy", reason="NVRTC is called through CuPy")
    try:
        cupy.cuda.nvrtc.getVersion()
    except Exception as error:  # noqa: BLE001  of several kinds
        pytest.skip(f"NVRTC cannot be loaded: {error}", allow_module_level=True)


@lru_cache(maxsize=1024)
def compiled(text: str, architecture: str = "90", *, ptx: bool = False) -> Compiled:
    """``text`` as CuPy compiles it, for ``architecture``; the compiler's complaint is raised."""
    from cupy._core.core import assemble_cupy_compiler_options
    from cupy.cuda import nvrtc

    kind = "compute" if ptx else "sm"
    options = [f"-arch={kind}_{architecture}", "-ftz=true", "-std=c++17", *([] if ptx else ["--ptxas-options=-v"])]
    made = nvrtc.createProgram(text, "kernel.cu", (), ())
    try:
        nvrtc.compileProgram(made, assemble_cupy_compiler_options(tuple(options)))
        return Compiled(nvrtc.getPTX(made) if ptx else nvrtc.getCUBIN(made), nvrtc.getProgramLog(made))
    except nvrtc.NVRTCError as error:
        raise AssertionError(f"sm_{architecture}: {error}\n{nvrtc.getProgramLog(made)}\n{text}") from None
    finally:
        nvrtc.destroyProgram(made)


def instructions(text: str) -> list[str]:
    """The PTX instructions of ``text``."""
    lines = compiled(text, ptx=True).code
    source = lines.decode() if isinstance(lines, bytes) else lines
    return [line.strip() for line in source.splitlines() if line.startswith("\t")]


def lacks_registers(text: str, architecture: str = "90") -> bool:
    """Whether a kernel keeps values in memory for want of registers: ptxas also parks a few around a division's call."""
    log = compiled(text, architecture).log
    threads, spilled, used = (
        int(re.search(pattern, where)[1])  # type: ignore[index]
        for pattern, where in (
            (r"__launch_bounds__\((\d+)\)", text),
            (r"(\d+) bytes spill stores", log),
            (r"Used (\d+) registers", log),
        )
    )
    return spilled > 0 and used > 0.9 * min(255, 65536 // threads)
