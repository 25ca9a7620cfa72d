"""The package's door: its names, what it says of what is missing, and life without CuPy or ml_dtypes."""

import doctest
import inspect
import pickle
import re
import subprocess
import sys

import pytest

import autograd_gpu as ag
from autograd_gpu import op
from autograd_gpu.errors import Error, Unsupported

TUTORIAL_NAMES = """
Generator Size Tensor FloatTensor DoubleTensor LongTensor abs add all allclose any arange argmax as_tensor asin
autograd bernoulli bfloat16 bmm bool cat chunk clamp complex64 cos cuda device dot double dtype einsum empty
empty_like enable_grad eq exp eye finfo flatten float float16 float32 float64 floor from_numpy full full_like
gather get_default_dtype half iinfo index_select inf inference_mode initial_seed int int64 is_grad_enabled
is_tensor linspace load log logspace long manual_seed masked_select matmul max maximum mean min mm mul
multinomial nan nn no_grad normal ones ones_like outer pi pow prod promote_types rand rand_like randint randn
randn_like randperm relu reshape result_type round save set_default_device set_default_dtype set_grad_enabled
set_printoptions sigmoid sin softmax sort sqrt squeeze stack std sum t take tanh tensor topk transpose tril
uint8 unsqueeze var where zeros zeros_like
""".split()  # noqa: SIM905  easier to read


@pytest.mark.parametrize("name", TUTORIAL_NAMES)
def test_names_that_tutorials_use(name):
    assert getattr(ag, name, None) is not None
    assert name in ag.__all__


def test_the_door_is_clean():
    assert len(set(ag.__all__)) == len(ag.__all__), "a name is listed twice"
    assert dir(ag) == sorted(ag.__all__)
    assert all(hasattr(ag, name) for name in ag.__all__)
    assert not [name for name in dir(ag) if name.startswith("_") and name != "__version__"]
    assert set(op.PUBLIC) <= set(ag.__all__)
    for name in ("np", "Any", "warnings", "missing_from", "PUBLIC"):
        assert name not in dir(ag)


def test_star_import_gives_the_door():
    names = {}
    exec("from autograd_gpu import *", names)
    assert set(ag.__all__) <= names.keys()


def test_names_are_torchs():
    torch = pytest.importorskip("torch")
    ours = {"errors", "fusion", "show_config", "printoptions", "get_printoptions"}
    ours |= {"array_function", "elementwise", "fuse", "linear_operator"}
    methods = {name for name in op.PUBLIC if name.endswith("_")}  # torch has some of them as functions, here all are
    assert [name for name in ag.__all__ if not hasattr(torch, name) and name not in ours | methods] == []


def test_methods_are_torchs():
    torch = pytest.importorskip("torch")
    ours = {"array"}
    public = [name for name in dir(ag.Tensor) if not name.startswith("_")]
    assert [name for name in public if not hasattr(torch.Tensor, name) and name not in ours] == []


@pytest.mark.parametrize(
    "module", ["autograd_gpu"] + [f"autograd_gpu.{m}" for m in ("autograd", "cuda", "nn", "nn.functional", "random")]
)
def test_what_is_missing_is_named(module):
    found = sys.modules[module]
    path = f"{module}.svdd".replace("autograd_gpu", "torch")
    message = f"{path} is not in autograd_gpu, which has PyTorch's autograd and what belongs to it"
    with pytest.raises(Unsupported, match=re.escape(message)) as caught:
        found.svdd  # noqa: B018
    assert f"module '{module}' has no attribute 'svdd'" in str(caught.value)
    assert (caught.value.name, caught.value.obj) == ("svdd", found)
    assert not hasattr(found, "svdd")
    with pytest.raises(ImportError, match="cannot import name 'svdd'"):
        exec(f"from {module} import svdd")


def test_public_functions_say_what_they_do():
    undocumented = [name for name, function in op.PUBLIC.items() if not (function.__doc__ or "").strip()]
    assert undocumented == []


def test_doctests_of_public_functions():
    finder, runner = doctest.DocTestFinder(recurse=False), doctest.DocTestRunner(
        optionflags=doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
    )  # fmt: skip
    for name, function in op.PUBLIC.items():
        names = {**vars(ag), **getattr(inspect.unwrap(function), "__globals__", {})}
        for test in finder.find(function, name, globs=names):
            with ag.random.fork_rng():
                runner.run(test)
    assert runner.summarize(verbose=False).failed == 0


def test_exceptions_are_the_builtin_ones_too():
    for error in (e for e in vars(ag.errors).values() if isinstance(e, type) and issubclass(e, Error)):
        assert error is Error or any(base.__module__ == "builtins" for base in error.__mro__[2:-3]), error
    for name in ("ShapeError", "DtypeError", "DeviceError", "GraphError", "FreedError", "StaleError"):
        assert issubclass(getattr(ag.errors, name), RuntimeError)
    assert issubclass(ag.errors.MissingCuda, AssertionError)
    assert issubclass(Unsupported, AttributeError)


def test_classes_bear_the_packages_name_and_pickle():
    for cls in (ag.Tensor, ag.Size, ag.device, ag.dtype, ag.Generator, ag.finfo):
        assert cls.__module__ == "autograd_gpu"
        assert pickle.loads(pickle.dumps(cls)) is cls


def test_show_config(capsys):
    assert ag.show_config() is None
    shown = capsys.readouterr().out
    config = ag.show_config(mode="dicts")
    assert capsys.readouterr().out == ""
    for name, version in config["versions"].items():
        assert f"{name} {version}\n" in shown
    assert config["versions"]["autograd_gpu"] == ag.__version__
    assert config["versions"].keys() == {"autograd_gpu", "python", "numpy", "scipy", "cupy", "ml_dtypes"}
    assert config["devices"][0].startswith("cpu: ")
    assert len(config["devices"]) == 1 + ag.cuda.device_count()
    assert any("pip install" in note for note in config["notes"]) != ag.cuda.is_available()
    with pytest.raises(ValueError, match="mode must be 'stdout' or 'dicts', got 'xml'"):
        ag.show_config(mode="xml")


BLOCKED = """
import sys
class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {blocked!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
sys.meta_path.insert(0, Blocker())
import autograd_gpu as ag
"""


def run_without(blocked, code):
    """What ``code`` prints where some modules cannot be imported."""
    command = [sys.executable, "-W", "error", "-c", BLOCKED.format(blocked=blocked) + code]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_without_cupy():
    done = run_without({"cupy"}, """
assert not ag.cuda.is_available() and ag.cuda.device_count() == 0 and not ag.cuda.is_initialized()
assert ag.cuda.memory_allocated() == ag.cuda.max_memory_allocated() == ag.cuda.memory_reserved() == 0
ag.cuda.empty_cache(); ag.cuda.manual_seed(0); ag.cuda.manual_seed_all(0); ag.manual_seed(0)
assert not ag.cuda.is_bf16_supported()
x = ag.randn(3, requires_grad=True)
(x.exp() * ag.ones(3)).sum().backward()
assert ag.allclose(x.grad, x.exp())
print(ag.tensor([1.0, 2.0]))
try:
    ag.zeros(2, device="cuda")
except AssertionError as error:
    print(error)
ag.show_config()
""")  # fmt: skip
    assert done.stderr == ""
    first, second, *config = done.stdout.splitlines()
    assert first == "tensor([1., 2.])"
    assert second == (
        "CUDA was asked for, but CuPy cannot be imported (No module named 'cupy'); install it with: "
        'pip install "autograd_gpu[cuda12]" (or [cuda13] for a CUDA 13 driver)'
    )
    assert "cupy not installed" in config
    assert any(line.startswith("note: no CUDA: CuPy cannot be imported") for line in config)


def test_without_ml_dtypes():
    done = run_without({"ml_dtypes"}, """
print(hasattr(ag, "bfloat16"), "bfloat16" in dir(ag))
print(ag.ones(2).half().sum().item(), hasattr(ag.ones(2), "bfloat16"))
try:
    ag.bfloat16
except AttributeError as error:
    print(error)
print("no bfloat16: it needs ml_dtypes; pip install ml_dtypes" in ag.show_config(mode="dicts")["notes"])
""")  # fmt: skip
    assert done.stderr == ""
    here, tensors, error, note = done.stdout.splitlines()
    assert here == "False False"
    assert tensors == "2.0 False"
    assert error.startswith("torch.bfloat16 is not in autograd_gpu, ")
    assert error.endswith("(it needs ml_dtypes: pip install ml_dtypes)")
    assert note == "True"


def test_importing_is_light():
    code = "import sys, autograd_gpu; print(sorted({'cupy', 'torch', 'pytest'} & sys.modules.keys()))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
