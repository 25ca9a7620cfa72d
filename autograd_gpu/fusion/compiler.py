"""The C++ compiler of this machine: text to functions, kept on disk so that no process compiles what another has.

A file holds a shared library and, behind it, a digest of it: what was cut off or written over is compiled again, not
run. Files are replaced at once, so that processes may share the folder; nobody else may write to it. Of many files,
those go that were not used for longest.
"""

import atexit
import ctypes
import hashlib
import os
import platform
import shlex
import shutil
import stat
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import suppress
from functools import cache
from math import inf
from pathlib import Path
from typing import Any

from .stats import STATS

# Relaxed is what changes neither nan nor inf nor the sign of 0: products may be added without being rounded before
# (fp-contract), nobody asks for errno or for the floating-point flags. Integers wrap around.
FLAGS = (
    "-x", "c++", "-std=c++17", "-O3", "-fPIC", "-shared", "-fvisibility=hidden", "-fopenmp-simd", "-ffp-contract=fast",
    "-fno-math-errno", "-fno-trapping-math", "-fwrapv", "-fno-exceptions", "-fno-rtti", "-w",
)  # fmt: skip
NAMES = "cc", "gcc", "clang", "c++", "g++", "clang++"
MOST = 4096  # files in the folder, of some 16 KiB each; a quarter goes when there are more
PATIENCE = 60  # seconds after which a compiler is given up


class CannotCompile(Exception):
    """There is no compiler, or it fails: the text says which and why."""


@cache
def native_flags() -> tuple[str, ...]:
    """Those for this machine's processor."""
    return ("-mcpu=native",) if platform.machine() in ("aarch64", "arm64") else ("-march=native",)


@cache
def processor() -> str:
    """What machine code for this processor depends on."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").partition("\n\n")[0].splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    return "\n".join(line for line in lines if line.startswith(("model", "flags", "Features", "CPU ")))


class Compiler:
    """Compiles with the first compiler that can, and remembers what failed."""

    def __init__(self) -> None:
        self.folder: Path | None = None
        self.functions: dict[tuple[str, str, tuple[str, ...]], Any] = {}
        self.failed: dict[tuple[str, str, tuple[str, ...]], str] = {}
        self.notes: dict[str, None] = {}  # for show_config()

    def function(self, text: str, name: str, more: Sequence[str] = (), without: str = "no compiled kernels") -> Any:
        """The function ``name`` that ``text`` defines, compiled with the flags ``more``.

        CannotCompile if that fails; show_config() then says what users are ``without``, and why.
        """
        key = text, name, tuple(more)
        if (found := self.functions.get(key)) is not None:
            return found
        if (reason := self.failed.get(key)) is not None:
            raise CannotCompile(reason)
        try:
            found = getattr(self.loaded(text, more), name)
        except (CannotCompile, OSError, subprocess.SubprocessError) as error:
            reason = self.failed[key] = str(error)
            self.notes[f"{without}: {reason}"] = None
            raise CannotCompile(reason) from error
        self.functions[key] = found
        return found

    def loaded(self, text: str, more: Sequence[str]) -> ctypes.CDLL:
        """The library of ``text``."""
        path = self.library(text, more)
        try:
            return ctypes.CDLL(str(path))
        except OSError:
            if path.exists():
                raise
            return ctypes.CDLL(str(self.library(text, more)))  # another process had just removed it

    def library(self, text: str, more: Sequence[str]) -> Path:
        """The file of ``text``'s library, made if it is not there or damaged."""
        errors = []
        for command in commands():
            flags = (*FLAGS, *native_flags(), *more)
            path = self.cache() / f"{key_of(text, command, flags)}.so"
            if is_whole(path):
                with suppress(OSError):
                    os.utime(path)  # it was used now
                return path
            if (error := self.compile(text, command, flags, path)) is None:
                prune(path.parent)
                return path
            errors.append(f"{command[0]} failed: {error}")
        raise CannotCompile("; ".join(errors) or "no C++ compiler is found; install gcc or clang, or set CC to one")

    def compile(self, text: str, command: Sequence[str], flags: Sequence[str], path: Path) -> str | None:
        """Make the library ``path`` of ``text``; what went wrong, if something did."""
        with tempfile.TemporaryDirectory(dir=path.parent) as folder:
            source, made = Path(folder, "kernel.cpp"), Path(folder, "kernel.so")
            source.write_text(text, encoding="utf-8")
            done = subprocess.run(  # noqa: S603  the compiler that the user has, on our own text
                [*command, *flags, str(source), "-o", str(made), "-lm"],
                capture_output=True,
                text=True,
                timeout=PATIENCE,
                check=False,
            )
            if done.returncode or not made.is_file():
                return next((line for line in done.stderr.splitlines() if "error" in line), done.stderr[:200].strip())
            body = made.read_bytes()
            made.write_bytes(body + hashlib.sha256(body).digest())
            made.replace(path)
        STATS.compiled += 1
        return None

    def cache(self) -> Path:
        """The folder of compiled kernels."""
        if self.folder is None or not self.folder.is_dir():
            self.folder = self.own_folder()
        return self.folder

    def own_folder(self) -> Path:
        """The folder that is asked for, if it is the user's alone; else one that lasts as long as the process."""
        folder = wanted_folder()
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            state = folder.stat()
            foreign = hasattr(os, "getuid") and state.st_uid != os.getuid()
            if not foreign and not state.st_mode & (stat.S_IWGRP | stat.S_IWOTH) and os.access(folder, os.W_OK):
                return folder
            reason = "others may write to it" if state.st_uid == os.getuid() else "it is not this user's"
        except OSError as error:
            reason = str(error.strerror)
        self.notes[
            f"compiled kernels are not kept: {folder} cannot be used ({reason}); set AUTOGRAD_GPU_CACHE to a folder "
            "that is yours alone (chmod 700)"
        ] = None
        made = tempfile.mkdtemp(prefix="autograd_gpu_")
        atexit.register(shutil.rmtree, made, ignore_errors=True)
        return Path(made)


def wanted_folder() -> Path:
    """The folder that AUTOGRAD_GPU_CACHE names, else the user's cache."""
    if asked := os.environ.get("AUTOGRAD_GPU_CACHE"):
        return Path(asked).expanduser()
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "autograd_gpu"


def is_off() -> bool:
    """Whether AUTOGRAD_GPU_COMPILER=off says that nothing is compiled."""
    return os.environ.get("AUTOGRAD_GPU_COMPILER", "").lower() == "off"


def commands() -> Iterator[list[str]]:
    """How the compilers are called that can be tried, the file's path first: the one asked for alone, else all."""
    asked = os.environ.get("AUTOGRAD_GPU_COMPILER") or os.environ.get("CC")
    seen = set()
    for name, *options in [shlex.split(asked)] if asked else [[name] for name in NAMES]:
        if (path := shutil.which(name)) is not None and (real := os.path.realpath(path)) not in seen:
            seen.add(real)
            yield [path, *options]


def key_of(text: str, command: Sequence[str], flags: Sequence[str]) -> str:
    """The name of a file: by the text, the compiler, which its size and date tell from others, flags and processor."""
    state = Path(command[0]).stat()
    parts = text, *command, *flags, str((state.st_size, state.st_mtime_ns)), processor()
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()


def is_whole(path: Path) -> bool:
    """Whether a library is there as it was written."""
    try:
        body = path.read_bytes()
    except OSError:
        return False
    return len(body) > 32 and hashlib.sha256(body[:-32]).digest() == body[-32:]


def prune(folder: Path) -> None:
    """Remove those libraries that were not used for longest, if there are more than ``MOST``."""
    with os.scandir(folder) as entries:
        files = [entry for entry in entries if entry.name.endswith(".so")]
    if len(files) <= MOST:
        return

    def used(entry: os.DirEntry[str]) -> float:
        try:
            return entry.stat().st_mtime
        except OSError:  # another process has removed it
            return inf

    for entry in sorted(files, key=used)[: len(files) - MOST * 3 // 4]:
        with suppress(OSError):
            Path(entry).unlink()


COMPILER = Compiler()


def notes() -> list[str]:
    """What show_config() says of the compiler."""
    if is_off():
        return ["no compiled kernels: AUTOGRAD_GPU_COMPILER is off"]
    if next(commands(), None) is None:
        return ["no compiled kernels: no C++ compiler is found; install gcc or clang, or set CC to one"]
    return list(COMPILER.notes)
