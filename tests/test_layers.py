"""The package's structure (DESIGN.md 2): imports point up, none is late but CuPy's, files are short."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import autograd_gpu

PACKAGE = Path(autograd_gpu.__file__).parent
LONGEST = 500

# What a file may import stands in a row above its own, or before it in its own row; a folder's files may
# import each other, as long as none imports itself by a detour.
ROWS = """\
_version errors modes
devices dtypes shapes layouts return_types printing _libm generator
backends/
op fused streams
ops/
engine
fusion/
tensor edges rules nodes placing views writes record array_record array_calls functions dispatch walks planned backward explaining methods extend values factory
conversion creation interchange keys indexing metadata random sampling topython typeinfo
replay tracers symbols reducing picking fused_node fused_record tracing composites decisions
legacy defaults serialization config _define custom array_functions
autograd/ cuda/ nn/ special
optim/
__init__ runner __main__
""".splitlines()
PLACE = {name: (number, i) for number, row in enumerate(ROWS) for i, name in enumerate(row.split())}
FILES = sorted(PACKAGE.rglob("*.py"))


def place_of(path: Path) -> str:
    """A file's name in the rows: its own, or its folder's."""
    first, *rest = path.relative_to(PACKAGE).parts
    return f"{first}/" if rest else first.removesuffix(".py")


def statements(path: Path) -> Iterator[tuple[ast.Import | ast.ImportFrom, bool]]:
    """The imports of a file, and whether each is inside a function; those for types only are left out."""

    def visit(nodes: list[ast.AST], late: bool) -> Iterator[tuple[ast.Import | ast.ImportFrom, bool]]:
        for node in nodes:
            if isinstance(node, ast.Import | ast.ImportFrom):
                yield node, late
            elif not (isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"):
                inside = late or isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
                yield from visit(list(ast.iter_child_nodes(node)), inside)

    yield from visit([ast.parse(path.read_text(encoding="utf-8"))], False)


def imported(path: Path, node: ast.Import | ast.ImportFrom) -> list[Path]:
    """The files of this package that an import statement names."""
    if isinstance(node, ast.Import):
        assert not any(alias.name.startswith("autograd_gpu") for alias in node.names), f"{path}: import relatively"
        return []
    if not node.level:
        assert not (node.module or "").startswith("autograd_gpu"), f"{path}: import relatively"
        return []
    folder = path.parents[node.level - 1]
    base = folder.joinpath(*(node.module or "").split("."))
    if base.with_suffix(".py").is_file():
        return [base.with_suffix(".py")]
    found = []
    for alias in node.names:
        inside = base / alias.name
        candidates = [inside.with_suffix(".py"), inside / "__init__.py", base / "__init__.py"]
        found.append(next(candidate for candidate in candidates if candidate.is_file()))
    return found


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_point_up(path):
    mine = place_of(path)
    assert mine in PLACE, f"{mine} is in no row of {__file__}"
    for node, _ in statements(path):
        for target in imported(path, node):
            theirs = place_of(target)
            assert theirs == mine or PLACE[theirs] < PLACE[mine], f"line {node.lineno}: {mine} may not import {theirs}"
            folders = theirs != mine and PLACE[theirs][0] == PLACE[mine][0] and theirs.endswith("/")
            assert not folders, f"line {node.lineno}: the folders of one row do not import each other"


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_nothing_but_cupy_is_imported_late(path):
    late = [node for node, late in statements(path) if late]
    names = {a.name if isinstance(n, ast.Import) else n.module for n in late for a in n.names}
    assert names <= {"cupy"}, [f"line {node.lineno}: {ast.unparse(node)}" for node in late]


def test_no_file_imports_itself_by_a_detour():
    graph = {path: {t for node, _ in statements(path) for t in imported(path, node) if t != path} for path in FILES}
    for path in FILES:  # a folder's __init__ is run before its files, and imports them
        if path.name != "__init__.py":
            graph[path] = {
                target for target in graph[path] if target.name != "__init__.py" or target.parent != path.parent
            }
    done, ready = set(), list(FILES)
    while ready:
        later = [path for path in ready if not graph[path] <= done]
        assert len(later) < len(ready), f"these import each other: {sorted(map(str, later))}"
        done |= set(ready) - set(later)
        ready = later


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_a_file_is_read_at_one_go(path):
    lines = len(path.read_text(encoding="utf-8").splitlines())
    assert lines <= LONGEST, f"{lines} lines are two ideas"


def test_cupy_is_imported_at_the_top_of_its_own_modules_only():
    top = {
        path.relative_to(PACKAGE)
        for path in FILES
        for node, late in statements(path)
        if not late and isinstance(node, ast.Import) and any(a.name.partition(".")[0] == "cupy" for a in node.names)
    }
    assert all(path.parts[0] == "backends" for path in top)
    assert top
