"""``python -m autograd_gpu``: unmodified PyTorch scripts and notebooks, and what they see."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

import autograd_gpu as ag
from autograd_gpu.modes import Namespace
from autograd_gpu.runner import main

TUTORIALS = {
    "one weight, from graph to gradient": (
        """
import torch

data = torch.tensor(2.0)
weight = torch.tensor(3.0, requires_grad=True)
print(f"data: {data.requires_grad}, weight: {weight.requires_grad}")
line = data * weight + 2
print("line:", line)
print("made by:", line.grad_fn)
square = line ** 2
print("square:", square)
square.backward()
print(f"slope: {weight.grad}")
print("slope:", weight.grad, "and of the data:", data.grad)
with torch.no_grad():
    scaled = weight * 5
    print(f"inside: {scaled.requires_grad}, the weight itself: {weight.requires_grad}")
print(f"outside: {(weight * 5).requires_grad}")
""",
        """\
data: False, weight: True
line: tensor(8., grad_fn=<AddBackward0>)
made by: <AddBackward0 object at 0x>
square: tensor(64., grad_fn=<PowBackward0>)
slope: 32.0
slope: tensor(32.) and of the data: None
inside: False, the weight itself: True
outside: True
""",
    ),
    "vectors, detach and a linear model": (
        """
import torch

point = torch.tensor([2.0, 3.0], requires_grad=True)
print(f"point: {point}")
parabola = point**2 + 3 * point
print("parabola:", parabola)
parabola.sum().backward()
print("slopes:", point.grad)
with torch.no_grad():
    print("twice:", point * 2)
print("detached:", point.detach())
inputs = torch.tensor([1.0, 2.0, 3.0])
weights = torch.tensor([0.1, 0.2, 0.3], requires_grad=True)
bias = torch.tensor(1.0, requires_grad=True)
output = torch.dot(weights, inputs) + bias
print("output:", output)
output.backward()
print(weights.grad, bias.grad, inputs.grad, weights, bias, sep="\\n")
""",
        """\
point: tensor([2., 3.], requires_grad=True)
parabola: tensor([10., 18.], grad_fn=<AddBackward0>)
slopes: tensor([7., 9.])
twice: tensor([4., 6.])
detached: tensor([2., 3.])
output: tensor(2.4000, grad_fn=<AddBackward0>)
tensor([1., 2., 3.])
tensor(1.)
None
tensor([0.1000, 0.2000, 0.3000], requires_grad=True)
tensor(1., requires_grad=True)
""",
    ),
    "types and sizes": (
        """
import torch
import torch.nn.functional as F
from torch.autograd import Function

x = torch.zeros(2, 3)
print(x.dtype, x.shape, x.size(), x.double().dtype, x.device, [x.long().dtype])
print(type(x), isinstance(x, torch.Tensor), x.double())
print(F.relu is torch.nn.functional.relu, Function is torch.autograd.Function)
""",
        """\
torch.float32 torch.Size([2, 3]) torch.Size([2, 3]) torch.float64 cpu [torch.int64]
<class 'torch.Tensor'> True tensor([[0., 0., 0.],
        [0., 0., 0.]], dtype=torch.float64)
True True
""",
    ),
}
tutorials = pytest.mark.parametrize(("source", "text"), TUTORIALS.values(), ids=TUTORIALS)


@pytest.fixture
def script(tmp_path):
    """A function that writes a script and returns its path."""

    def write(source, name="script.py"):
        (tmp_path / name).write_text(source, encoding="utf-8")
        return str(tmp_path / name)

    return write


@pytest.fixture
def notebook(script):
    """A function that writes a notebook of the given code cells, after a text cell, and returns its path."""

    def write(*sources):
        code = [{"cell_type": "code", "source": s, "outputs": [], "metadata": {}} for s in sources]
        cells = [{"cell_type": "markdown", "source": ["# About\n", "%no code"]}, *code]
        return script(json.dumps({"cells": cells, "nbformat": 4, "nbformat_minor": 5}), "notebook.ipynb")

    return write


def without_addresses(text):
    return re.sub(r"0x[0-9a-f]+", "0x", text)


@tutorials
def test_script_prints_the_text_of_the_tutorial(source, text, script, capsys):
    assert main([script(source)]) == 0
    assert without_addresses(capsys.readouterr().out) == text


@tutorials
def test_notebook_prints_the_text_of_the_tutorial(source, text, notebook, capsys):
    cells = re.split(r"^(?=line|with|inputs|print)", source, flags=re.MULTILINE)
    assert main([notebook(*cells)]) == 0
    assert without_addresses(capsys.readouterr().out) == text


@tutorials
def test_pytorch_prints_the_same_text(source, text, script):
    pytest.importorskip("torch")
    run = subprocess.run([sys.executable, script(source)], capture_output=True, text=True, check=True)
    assert without_addresses(run.stdout) == text


def test_torch_is_ours_for_that_run_only(script, capsys):
    before = {name: sys.modules.get(name) for name in ("torch", "torch.nn", "__main__")}
    state = sys.argv, sys.path[:], sys.meta_path[:], ag.__spec__, ag.Tensor.__module__
    source = """
import torch, torch.nn.functional as F, autograd_gpu, sys
assert torch is autograd_gpu and F is autograd_gpu.nn.functional is sys.modules["torch.nn.functional"]
assert torch.__spec__.name == "autograd_gpu"
print(torch.float32)
"""
    assert main([script(source)]) == 0
    assert capsys.readouterr().out == "torch.float32\n"
    assert {name: sys.modules.get(name) for name in before} == before
    assert (sys.argv, sys.path, sys.meta_path, ag.__spec__, ag.Tensor.__module__) == state
    assert Namespace.name == "autograd_gpu"
    assert repr(ag.float32) == "autograd_gpu.float32"
    with pytest.raises(AttributeError, match="module 'autograd_gpu' has no attribute 'no_such_name'"):
        _ = ag.no_such_name


@pytest.mark.parametrize(
    ("statement", "error", "name"),
    [
        ("torch.no_such_name", "autograd_gpu.errors.Unsupported", "no_such_name"),
        ("torch.nn.functional.no_such_name", "autograd_gpu.errors.Unsupported", "nn.functional.no_such_name"),
        ("from torch import no_such_name", "ModuleNotFoundError", "no_such_name"),
        ("from torch.nn import NoSuchLayer", "ModuleNotFoundError", "nn.NoSuchLayer"),
        ("import torch.no_such_module", "ModuleNotFoundError", "no_such_module"),
        ("import torch.no_such_module.part as part", "ModuleNotFoundError", "no_such_module"),
    ],
)
def test_what_is_missing_is_named(statement, error, name, script, capsys):
    assert main([script(f"import torch\n{statement}\n")]) == 1
    said = f"{error}: torch.{name} is not in autograd_gpu, which has PyTorch's autograd and what belongs to it"
    assert said in capsys.readouterr().err


def test_a_script_may_ask_what_is_there(script, capsys):
    source = """
import torch
print(hasattr(torch, "no_such_name"), hasattr(torch, "tensor"))
try:
    from torch import no_such_name
except ImportError:
    print("then without")
"""
    assert main([script(source)]) == 0
    assert capsys.readouterr().out == "False True\nthen without\n"


def test_a_script_sees_itself_as_main(script, capsys):
    script("VALUE = 42", "beside.py")
    source = '''
"""About it."""
import beside, pickle, sys
class Mine: pass
print(__name__, __doc__, beside.VALUE, sys.argv[1:], type(pickle.loads(pickle.dumps(Mine()))))
'''
    path = script(source)
    assert main([path, "--epochs", "3", "--help"]) == 0
    shown = "__main__ About it. 42 ['--epochs', '3', '--help'] <class '__main__.Mine'>\n"
    assert capsys.readouterr().out == shown
    script("import sys; print(sys.argv[0], __file__, sys.path[0], sep='\\n')")
    assert main([path]) == 0
    assert capsys.readouterr().out.split() == [path, path, str(Path(path).parent)]


def test_exit_codes_are_the_scripts(script):
    with pytest.raises(SystemExit) as exit_:
        main([script("import sys; sys.exit(7)")])
    assert exit_.value.code == 7
    run = [sys.executable, "-m", "autograd_gpu", script("import torch; raise SystemExit('enough')")]
    done = subprocess.run(run, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (1, "", "enough\n")
    assert main([script("raise KeyboardInterrupt")]) == 130


def test_a_traceback_has_the_scripts_lines_only(script, capsys):
    source = """import torch
def middle(x):
    x.backward()
try:
    import torch.no_such_module
except ImportError:
    middle(torch.ones(2, requires_grad=True) * 1)
"""
    path = script(source)
    assert main([path]) == 1
    lines = [line for line in capsys.readouterr().err.splitlines() if set(line) - set(" ^~")]
    said = "torch.no_such_module is not in autograd_gpu, which has PyTorch's autograd and what belongs to it"
    assert lines[:-1] == [
        "Traceback (most recent call last):",
        f'  File "{path}", line 5, in <module>',
        "    import torch.no_such_module",
        f"ModuleNotFoundError: {said}",
        "During handling of the above exception, another exception occurred:",
        "Traceback (most recent call last):",
        f'  File "{path}", line 7, in <module>',
        "    middle(torch.ones(2, requires_grad=True) * 1)",
        f'  File "{path}", line 3, in middle',
        "    x.backward()",
    ]
    assert lines[-1].endswith("Error: grad can be implicitly created only for scalar outputs")


def test_a_syntax_error_points_at_the_script(script, capsys):
    path = script("x = 1\nif x\n")
    assert main([path]) == 1
    assert capsys.readouterr().err.startswith(f'  File "{path}", line 2\n    if x\n')


def test_a_notebook_shows_the_value_of_a_cell(notebook, capsys):
    cells = [
        "import torch\n%matplotlib inline\nx = torch.ones(2)\nx",
        "x + 1;",
        "x + 2;  # quiet",
        ["%%time\n", "y = [1,\n", "     2]\n", "y"],
        "if y:\n    %time z = 5\nz",
        "(7\n  % z)",
        "None",
        "display(x, y)",
        "",
    ]
    assert main([notebook(*cells)]) == 0
    assert capsys.readouterr().out == "tensor([1., 1.])\n[1, 2]\n5\n2\ntensor([1., 1.])\n[1, 2]\n"


def test_a_traceback_names_the_cell(notebook, capsys):
    assert main([notebook("def f():\n    return 1 / 0\n", "x = 1\nf()")]) == 1
    lines = [line for line in capsys.readouterr().err.splitlines() if set(line) - set(" ^~")]
    assert lines == [
        "Traceback (most recent call last):",
        '  File "notebook.ipynb, cell 2", line 2, in <module>',
        "    f()",
        '  File "notebook.ipynb, cell 1", line 2, in f',
        "    return 1 / 0",
        "ZeroDivisionError: division by zero",
    ]


@pytest.mark.parametrize("command", ["!pip install torch", "%pip install torch", "%%bash", "?print"])
def test_a_command_of_ipython_is_refused(command, notebook, capsys):
    assert main([notebook("print('before')", f"x = 1\n{command}\nprint('after')")]) == 1
    name = command.split()[0]
    shown = capsys.readouterr()
    assert shown.out == "before\n"
    assert shown.err.startswith(f'  File "notebook.ipynb, cell 2", line 2\n    {command}\n')
    assert shown.err.endswith(
        f"SyntaxError: {name} is a command of IPython, which python -m autograd_gpu does not run\n"
    )


def test_python_errors_in_a_cell_stay_what_they_are(notebook, capsys):
    assert main([notebook("x = (3")]) == 1
    shown = capsys.readouterr().err
    assert shown.startswith('  File "notebook.ipynb, cell 1", line 1\n    x = (3\n')
    assert shown.endswith("SyntaxError: '(' was never closed\n")


@pytest.mark.parametrize("text", ["", "{}", "[1]", '{"cells": [{}]}'])
def test_what_is_no_notebook_is_refused(text, script):
    path = script(text, "notebook.ipynb")
    with pytest.raises(SystemExit, match=re.escape(f"{path} is not a Jupyter notebook (of format 4)")):
        main([path])


def test_a_missing_file_is_named(tmp_path, capsys):
    with pytest.raises(SystemExit, match="2"):
        main([str(tmp_path / "none.py")])
    assert capsys.readouterr().err.endswith(f"error: there is no file {tmp_path / 'none.py'}\n")


def test_help_tells_what_it_is_for(capsys):
    with pytest.raises(SystemExit, match="0"):
        main(["--help"])
    assert "python -m autograd_gpu --device cuda tutorial.ipynb" in capsys.readouterr().out


@pytest.mark.skipif(ag.cuda.is_available(), reason="there is a CUDA device")
def test_without_cuda_the_remedy_is_told(script, capsys):
    with pytest.raises(SystemExit, match="2"):
        main(["--device", "cuda", script("")])
    assert "pip install" in capsys.readouterr().err


def test_a_device_that_is_none_is_refused(script, capsys):
    with pytest.raises(SystemExit, match="2"):
        main(["--device", "cloud", script("")])
    assert "cloud" in capsys.readouterr().err


@pytest.mark.gpu
@pytest.mark.skipif(not ag.cuda.is_available(), reason="there is no CUDA device")
def test_device_is_the_default_of_that_run(script, capsys):
    path = script("import torch; print(torch.ones(2), torch.tensor(1.0).device)")
    assert main(["--device", "cuda", path]) == 0
    assert capsys.readouterr().out == "tensor([1., 1.], device='cuda:0') cuda:0\n"
    assert main([path]) == 0
    assert capsys.readouterr().out == "tensor([1., 1.]) cpu\n"
