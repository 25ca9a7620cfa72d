"""The compiler, its cache on disk and forks: what processes share, and what happens where something is missing."""

import importlib.util
import json
import os
import shutil
import subprocess
import sys
import textwrap
import threading
from pathlib import Path

import pytest
from numpy.testing import assert_allclose
from test_native import COMPILERS

from autograd_gpu.fusion import compiler

TESTS = Path(__file__).parent
needs_compiler = pytest.mark.skipif(not COMPILERS, reason="no C++ compiler")
ZIG = [f"{sys.executable} -m ziglang cc"] * (importlib.util.find_spec("ziglang") is not None)  # clang, in a wheel

SCRIPT = """
import json, sys
import numpy as np
import autograd_gpu as ag
from autograd_gpu import fusion

f = ag.fuse(lambda x, w: ((x * w).tanh() + 2 * w).exp())
x = ag.tensor(np.linspace(-1, 1, 40_000, dtype=np.float32), requires_grad=True)
y = f(x, 0.5 * x.detach())
y.sum().backward()
print(json.dumps({
    "compiled": fusion.stats().compiled,
    "value": y.detach().numpy()[::100].tolist(),
    "gradient": x.grad.numpy()[::100].tolist(),
    "notes": [note for note in ag.show_config("dicts")["notes"] if "compile" in note],
}))
"""


def outcome(cache, script=SCRIPT, **variables):
    """What the script prints in a process of its own."""
    own = {"AUTOGRAD_GPU_CACHE": str(cache), "AUTOGRAD_GPU_COMPILER": None, "PYTHONPATH": str(TESTS.parent)}
    environment = {**os.environ, **own, **variables}
    environment = {name: value for name, value in environment.items() if value is not None}
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def close(one, other):
    assert_allclose(one["value"], other["value"], rtol=1e-6)
    assert_allclose(one["gradient"], other["gradient"], rtol=1e-6)


@needs_compiler
def test_a_second_process_compiles_nothing(tmp_path):
    first, second = outcome(tmp_path / "kernels"), outcome(tmp_path / "kernels")
    assert first["compiled"] >= 2
    assert second["compiled"] == 0
    assert first["value"] == second["value"]
    assert first["notes"] == second["notes"] == []
    assert (tmp_path / "kernels").stat().st_mode & 0o777 == 0o700
    assert {path.suffix for path in (tmp_path / "kernels").iterdir()} == {".so"}


@needs_compiler
def test_damaged_files_are_compiled_again(tmp_path):
    first = outcome(tmp_path)
    files = sorted(tmp_path.iterdir())
    for i, path in enumerate(files):
        body = path.read_bytes()
        path.write_bytes([b"", body[: len(body) // 2], body[:2000] + bytes([body[2000] ^ 1]) + body[2001:]][i % 3])
    again = outcome(tmp_path)
    assert again["compiled"] == first["compiled"] == len(files)
    assert again["value"] == first["value"]
    assert outcome(tmp_path)["compiled"] == 0


@needs_compiler
def test_processes_share_the_cache(tmp_path):
    found = []
    users = [threading.Thread(target=lambda: found.append(outcome(tmp_path))) for _ in range(3)]
    for user in users:
        user.start()
    for user in users:
        user.join()
    assert len(found) == 3
    assert all(one["value"] == found[0]["value"] and not one["notes"] for one in found)


@needs_compiler
def test_of_many_files_those_go_that_were_not_used_for_longest(tmp_path, monkeypatch):
    monkeypatch.setenv("AUTOGRAD_GPU_CACHE", str(tmp_path))
    monkeypatch.delenv("AUTOGRAD_GPU_COMPILER", raising=False)
    monkeypatch.setattr(compiler, "MOST", 8)

    def function(i):
        text = f'extern "C" __attribute__((visibility("default"))) int number() {{ return {i}; }}'
        return compiler.Compiler().function(text, "number")

    def call(i):
        return function(i)(None, None, None, 0, 0)

    for i in range(8):
        assert call(i) == i
        for path in tmp_path.iterdir():  # as if some time had passed
            os.utime(path, (path.stat().st_atime - 10, path.stat().st_mtime - 10))
    assert call(0) == 0  # from disk: now it was used last
    before = compiler.STATS.compiled
    held = function(1)
    for path in sorted(tmp_path.iterdir(), key=lambda path: path.stat().st_mtime)[-1:]:
        os.utime(path, (0, 0))  # its file will go
    assert call(8) == 8  # the ninth: a quarter of the most goes, and one more
    assert len(list(tmp_path.iterdir())) == 6
    assert held(None, None, None, 0, 0) == 1  # what is loaded stays so
    assert compiler.STATS.compiled == before + 1
    assert call(0) == 0
    assert compiler.STATS.compiled == before + 1
    assert call(2) == 2
    assert compiler.STATS.compiled == before + 2


@needs_compiler
@pytest.mark.skipif(not hasattr(os, "getuid"), reason="no modes of files")
def test_a_folder_that_others_may_write_to_is_not_used(tmp_path):
    tmp_path.chmod(0o777)
    one = outcome(tmp_path)
    assert one["compiled"]
    assert not list(tmp_path.iterdir())
    assert f"compiled kernels are not kept: {tmp_path} cannot be used (others may write to it)" in one["notes"][0]


def test_without_a_compiler_numpy_computes(tmp_path):
    known = outcome(tmp_path, AUTOGRAD_GPU_COMPILER="off")
    assert known["notes"] == ["no compiled kernels: AUTOGRAD_GPU_COMPILER is off"]
    missing = outcome(tmp_path, PATH="", CC=None)
    assert missing["notes"] == ["no compiled kernels: no C++ compiler is found; install gcc or clang, or set CC to one"]
    failing = outcome(tmp_path, CC=shutil.which("false"))
    assert failing["notes"][0].startswith("no compiled kernels: ")
    assert known["compiled"] == missing["compiled"] == failing["compiled"] == 0
    for one in missing, failing:
        close(one, known)
    if COMPILERS:
        close(outcome(tmp_path), known)


@needs_compiler
@pytest.mark.parametrize("name", [*COMPILERS, *ZIG])
def test_each_compiler(name, tmp_path):
    one = outcome(tmp_path, CC=name)
    assert one["compiled"]
    close(one, outcome(tmp_path, AUTOGRAD_GPU_COMPILER="off"))


FORK = """
import json, os
import numpy as np
import autograd_gpu as ag

ag.set_num_threads(4)
f = ag.fuse(lambda x: (x * x).tanh().sum())
x = ag.tensor(np.linspace(-1, 1, 2_000_000, dtype=np.float32))
before = f(x).item()
child = os.fork()
if not child:
    os._exit(0 if f(x).item() == before else 1)
print(json.dumps({"status": os.waitpid(child, 0)[1], "same": f(x).item() == before}))
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")
def test_a_forked_process_computes(tmp_path):
    assert outcome(tmp_path, FORK, PYTHONWARNINGS="ignore") == {"status": 0, "same": True}


SANITIZED = """
import json, sys
sys.path.insert(0, {tests!r})
import numpy as np
from autograd_gpu.fusion import compiler, compiling
from autograd_gpu.fusion.expr import Expr
compiler.FLAGS += ("-fsanitize=address,undefined", "-fno-sanitize-recover=all", "-fno-omit-frame-pointer")
import formulas, test_native as t
rng = np.random.default_rng(0)
with compiling("always"):
    for layout in t.LAYOUTS.values():
        values = layout(lambda *shape: t.between(rng, *shape))
        formulas.check([t.x * t.y + t.x, t.TABLE.tanh(t.x) - t.y], values, device="cpu")
    for shape in (70, 33), (3, 1000), (5, 7, 9), (70, 5), (16, 30):
        for dtype in "float32", "float16", "bfloat16", "float64":
            values = [t.between(rng, *shape, dtype=dtype), t.between(rng, shape[-1], dtype=dtype)]
            roots = [t.softmax(t.x), t.normalised(t.x) * t.y, Expr(t.SUM_ALL, t.x), t.TABLE.exp(t.x) * t.y]
            targets, levels = [None, None, None, (shape[-1],)], [t.ELEMENT, t.ELEMENT, 0, t.ELEMENT]
            formulas.check(roots, values, targets=targets, levels=levels, outputs=[dtype], device="cpu")
    values = [t.between(rng, 33, 70).T, rng.integers(-1, 34, (70, 1))]
    picked = t.TABLE.where(t.TABLE.eq(Expr(t.POSITION), t.y), t.x, 0.0)
    for x in values[0], values[0].copy():
        formulas.check([t.softmax(t.x), Expr(t.SUM, picked), picked], [x, values[1]], levels=[2, 1, 2], device="cpu")
print(json.dumps(list(compiler.COMPILER.notes)))
"""


@needs_compiler
@pytest.mark.slow
def test_kernels_stay_inside_their_arrays(tmp_path):
    """Under gcc's sanitizers of addresses and of undefined behaviour."""
    found = subprocess.run(["cc", "-print-file-name=libasan.so"], capture_output=True, text=True, check=False)
    library = Path(found.stdout.strip())
    if not library.is_absolute():
        pytest.skip("no libasan")
    script = SANITIZED.format(tests=str(TESTS))
    assert outcome(tmp_path, script, LD_PRELOAD=str(library), ASAN_OPTIONS="detect_leaks=0") == []
