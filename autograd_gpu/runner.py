"""Run an unmodified PyTorch script or notebook on this package, which then answers to the name ``torch``."""

import argparse
import ast
import json
import linecache
import os
import re
import sys
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from types import ModuleType
from typing import Any

from .errors import Error, missing_from, not_here
from .modes import Namespace

OURS, TORCH = __name__.partition(".")[0], "torch"
HIDDEN_FRAMES = (f"{Path(__file__).parent}{os.sep}", ast.__file__, "<frozen importlib", "<frozen runpy")
IGNORED_MAGICS = ("%autoreload", "%config", "%load_ext", "%matplotlib", "%reload_ext")
ABOUT = """\
Run a PyTorch script, or the code cells of a notebook, as it is on NumPy or CuPy arrays:
for this run, `import torch` gives autograd_gpu. What is missing raises an error that names it.

  python -m autograd_gpu train.py --epochs 3
  python -m autograd_gpu --device cuda tutorial.ipynb
"""


def _is_in(name: str, package: str) -> bool:
    return name == package or name.startswith(f"{package}.")


class TorchFinder(MetaPathFinder, Loader):
    """The import hook: ``torch.x`` is our module ``x``, the same object; an error where there is none."""

    def __init__(self) -> None:
        self.adopted: list[ModuleType] = []

    def find_spec(self, fullname: str, path: Any = None, target: object = None) -> ModuleSpec | None:
        package, _, name = fullname.partition(".")
        if package not in (OURS, TORCH):
            return None
        # ``from torch import x`` asks for a module autograd_gpu.x where there is no attribute x
        if name and PathFinder.find_spec(f"{OURS}.{name}", path) is None:
            raise ModuleNotFoundError(not_here(name), name=f"{TORCH}.{name}")
        return ModuleSpec(fullname, self) if package == TORCH else None

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        module = import_module(OURS + spec.name.removeprefix(TORCH))
        spec.loader_state = module.__spec__  # the import system now puts ``spec`` in its place
        self.adopt(module)
        return module

    def exec_module(self, module: ModuleType) -> None:
        assert module.__spec__ is not None
        module.__spec__ = module.__spec__.loader_state

    def adopt(self, module: ModuleType) -> None:
        """Let ``module`` name an attribute that it lacks as one of torch's."""
        if "__getattr__" not in vars(module):
            vars(module)["__getattr__"] = missing_from(module.__name__)
            self.adopted.append(module)

    def release(self) -> None:
        """Undo every ``adopt``."""
        for module in self.adopted:
            del vars(module)["__getattr__"]
        self.adopted.clear()


@contextmanager
def as_torch() -> Iterator[ModuleType]:
    """While it lasts, ``import torch`` gives this package and printed texts speak of torch."""
    package, finder, said = import_module(OURS), TorchFinder(), Namespace.name
    theirs = {name: sys.modules.pop(name) for name in list(sys.modules) if _is_in(name, TORCH)}
    public = [c for c in vars(package).values() if isinstance(c, type) and not issubclass(c, Exception)]
    homes = {c: c.__module__ for c in public if _is_in(c.__module__, OURS)}
    try:
        sys.meta_path.insert(0, finder)
        Namespace.name = TORCH
        for cls in homes:
            cls.__module__ = TORCH  # type(x) is shown as <class 'torch.Tensor'>
        for name in [name for name in sys.modules if _is_in(name, OURS)]:
            finder.adopt(sys.modules[name])
        yield import_module(TORCH)
    finally:
        finder.release()
        for cls, home in homes.items():
            cls.__module__ = home
        Namespace.name = said
        sys.meta_path.remove(finder)
        for name in [name for name in sys.modules if _is_in(name, TORCH)]:
            del sys.modules[name]
        sys.modules.update(theirs)


@contextmanager
def as_main(path: Path, args: Sequence[str]) -> Iterator[dict[str, Any]]:
    """The namespace of a new ``__main__`` with its own arguments and its folder first on the path."""
    main = ModuleType("__main__")
    saved = sys.modules["__main__"], sys.argv, sys.path[:]
    sys.modules["__main__"], sys.argv = main, [str(path), *args]
    sys.path.insert(0, str(path.resolve().parent))
    try:
        yield vars(main)
    finally:
        sys.modules["__main__"], sys.argv, sys.path[:] = saved


def run_script(path: Path, namespace: dict[str, Any]) -> None:
    """Run a Python file in ``namespace``."""
    namespace["__file__"] = file = str(path.absolute())
    exec(compile(path.read_bytes(), file, "exec", dont_inherit=True), namespace)  # noqa: S102  its very job


def run_notebook(path: Path, namespace: dict[str, Any]) -> None:
    """Run the code cells of a notebook in ``namespace``, and show the value that a cell ends with."""
    try:
        cells = [c for c in json.loads(path.read_bytes())["cells"] if c["cell_type"] == "code"]
    except (ValueError, LookupError, TypeError):
        raise SystemExit(f"{path} is not a Jupyter notebook (of format 4)") from None
    namespace["display"] = display
    for number, cell in enumerate(cells, 1):
        source, name = "".join(cell["source"]), f"{path.name}, cell {number}"
        linecache.cache[name] = (len(source), None, source.splitlines(keepends=True), name)
        tree = parse_cell(source, name)
        parts: list[tuple[ast.Module | ast.Interactive, str]] = [(tree, "exec")]
        quiet = re.search(r";\s*(#.*)?$", source.rstrip())
        if tree.body and isinstance(tree.body[-1], ast.Expr) and not quiet:
            parts.append((ast.Interactive([tree.body.pop()]), "single"))  # shows its value
        for part, mode in parts:
            exec(compile(part, name, mode, dont_inherit=True), namespace)  # noqa: S102


def display(*values: object) -> None:
    """IPython's function, in plain text."""
    for value in values:
        print(repr(value))  # noqa: T201


def parse_cell(source: str, name: str) -> ast.Module:
    """The syntax tree of a cell; where Python stumbles over a line of IPython's, that line is translated."""
    lines = source.splitlines(keepends=True)
    while True:
        try:
            return ast.parse("".join(lines), name)
        except SyntaxError as error:
            number = error.lineno or 1
            line = "".join(lines[number - 1 : number])
            if not line.lstrip().startswith(("%", "!", "?")):
                raise
            lines[number - 1] = translate_magic(line, (name, number, 1, line))


def translate_magic(line: str, place: tuple[str, int, int, str]) -> str:
    """``line`` in Python: what only concerns the display does nothing, what would be missed is refused."""
    text = line.lstrip()
    indent = line[: len(line) - len(text)]
    command, _, rest = text.strip().partition(" ")
    if command in ("%time", "%%time"):
        return f"{indent}{rest or 'pass'}\n"
    if command in IGNORED_MAGICS:
        return f"{indent}pass\n"
    raise SyntaxError(f"{command} is a command of IPython, which python -m {OURS} does not run", place)


def report(error: BaseException) -> None:
    """Print a traceback with the user's own lines: this package's and the import system's are left out."""
    shown = traceback.TracebackException.from_exception(error)
    parts = [shown]
    for part in parts:  # grows while it is read
        part.stack[:] = [f for f in part.stack if not f.filename.startswith(HIDDEN_FRAMES)]
        parts += filter(None, (part.__cause__, part.__context__, *(getattr(part, "exceptions", None) or ())))
    sys.stderr.writelines(shown.format() if shown.stack else shown.format_exception_only())


def main(argv: Sequence[str] | None = None) -> int:
    """The command line; returns the exit code."""
    parser = argparse.ArgumentParser(
        f"python -m {OURS}", description=ABOUT, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--device", help="where tensors are made by default: cpu, cuda or cuda:1")
    parser.add_argument("path", type=Path, metavar="FILE", help="SCRIPT.py or NOTEBOOK.ipynb")
    parser.add_argument("args", nargs=argparse.REMAINDER, metavar="...", help="its own arguments")
    args = parser.parse_args(argv)
    if not args.path.is_file():
        parser.error(f"there is no file {args.path}")
    run = run_notebook if args.path.suffix == ".ipynb" else run_script
    with as_torch() as torch, as_main(args.path, args.args) as namespace:
        try:
            torch.set_default_device(args.device)
            torch.empty(0)
        except (Error, RuntimeError) as error:
            parser.error(str(error))
        try:
            run(args.path, namespace)
        except (Exception, KeyboardInterrupt) as error:  # noqa: BLE001  whatever the script raises
            report(error)
            return 130 if isinstance(error, KeyboardInterrupt) else 1
        finally:
            torch.set_default_device(None)
    return 0
