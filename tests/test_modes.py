"""no_grad, enable_grad, set_grad_enabled, inference_mode, anomaly detection: as torch has them."""

import re
import threading
import warnings

import numpy as np
import pytest
from support import ours

import autograd_gpu as ag
from autograd_gpu import autograd
from autograd_gpu.autograd import enable_grad, inference_mode, no_grad, set_grad_enabled

STATE = (autograd.is_grad_enabled, autograd.is_inference_mode_enabled)


def state():
    return tuple(ask() for ask in STATE)


@pytest.fixture(autouse=True)
def _restored():
    yield
    assert state() == (True, False), "a test left another mode behind"


@pytest.mark.parametrize(
    ("switch", "inside"),
    [
        (no_grad, (False, False)),
        (enable_grad, (True, False)),
        (lambda: set_grad_enabled(False), (False, False)),
        (lambda: set_grad_enabled(True), (True, False)),
        (inference_mode, (False, True)),
        (lambda: inference_mode(False), (True, False)),
    ],
    ids=["no_grad", "enable_grad", "set False", "set True", "inference", "inference False"],
)
@pytest.mark.parametrize("outer", [enable_grad, no_grad, inference_mode])
def test_a_switch_holds_inside_and_is_undone_by_exceptions(switch, inside, outer):
    with outer():
        before = state()
        with pytest.raises(ZeroDivisionError), switch():
            expected = inside if outer is not inference_mode or switch in (inference_mode,) else (inside[0], state()[1])
            assert state() == expected
            raise ZeroDivisionError
        assert state() == before


@pytest.mark.parametrize("program", range(8))
def test_nested_switches_agree_with_torch(program):
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(program)
    names = [
        (("no_grad", "enable_grad", "set_grad_enabled", "inference_mode")[i], bool(b))
        for i, b in rng.integers([0, 0], [4, 2], (12, 2))
    ]

    def run(module, states):
        def make(name, value):
            switch = getattr(module, name)
            return switch() if name in ("no_grad", "enable_grad") else switch(value)

        def nest(rest):
            states.append((module.is_grad_enabled(), module.is_inference_mode_enabled()))
            if rest:
                with make(*rest[0]):
                    nest(rest[1:])
            states.append((module.is_grad_enabled(), module.is_inference_mode_enabled()))

        nest(names)
        return states

    assert run(autograd, []) == run(torch, [])


def test_set_grad_enabled_is_a_function_too():
    set_grad_enabled(False)
    assert state() == (False, False)
    set_grad_enabled(True)
    assert state() == (True, False)


def test_set_grad_enabled_as_a_decorator_switches_nothing_until_the_call():
    @set_grad_enabled(False)
    def ask():
        return state()

    assert state() == (True, False)
    assert ask() == (False, False)
    assert state() == (True, False)


@pytest.mark.parametrize("decorate", [no_grad, no_grad(), inference_mode, inference_mode(), inference_mode(True)])
def test_decorators_with_and_without_parentheses(decorate):
    @decorate
    def ask(a, *, b=2):
        """Documented."""
        return a, b, autograd.is_grad_enabled()

    assert ask(1, b=3) == (1, 3, False)
    assert ask.__name__ == "ask"
    assert ask.__doc__ == "Documented."
    assert state() == (True, False)


def test_a_decorated_function_may_call_itself():
    @no_grad()
    def down(n):
        return [autograd.is_grad_enabled(), *(down(n - 1) if n else [])]

    with enable_grad():
        assert down(3) == [False] * 4
    assert state() == (True, False)


def test_a_decorated_generator_switches_only_while_it_runs_itself():
    log = []

    @no_grad
    def count():
        try:
            got = yield autograd.is_grad_enabled()
            log.append((got, autograd.is_grad_enabled()))
            try:
                yield 2
            except ValueError:
                log.append(("caught", autograd.is_grad_enabled()))
            yield 3
        finally:
            log.append(("closed", autograd.is_grad_enabled()))

    generator = count()
    assert next(generator) is False
    assert autograd.is_grad_enabled()
    assert generator.send("sent") == 2
    assert generator.throw(ValueError()) == 3
    assert autograd.is_grad_enabled()
    generator.close()
    assert log == [("sent", False), ("caught", False), ("closed", False)]

    @no_grad()
    def returns():
        yield 1
        return "result"

    def outer():
        return (yield from returns())

    generator = outer()
    next(generator)
    with pytest.raises(StopIteration) as stop:
        next(generator)
    assert stop.value.value == "result"


def test_threads_have_their_own_switches():
    seen = []
    with no_grad():
        thread = threading.Thread(target=lambda: seen.append(state()))
        thread.start()
        thread.join()
        assert state() == (False, False)
    assert seen == [(True, False)]


def test_results_made_without_recording(device):
    x = ours([1.0, 2.0], device, requires_grad=True)
    with no_grad():
        assert not (x * 2).requires_grad
        with enable_grad():
            assert (x * 2).requires_grad
        assert ag.tensor([1.0], requires_grad=True).requires_grad, "factories are not affected"
    with set_grad_enabled(False):
        y = x * 2
    assert y.is_leaf
    assert y.grad_fn is None


def test_numpy_of_a_tensor_that_requires_grad_is_given_while_nothing_is_recorded():
    x = ours([1.0, 2.0], requires_grad=True)
    with no_grad():
        assert x.numpy() is x.array
        view = x[:1]
        assert view.numpy().tolist() == [1.0]
        assert np.asarray(x * 2).tolist() == [2.0, 4.0]
    for tensor in (x, view):
        with pytest.raises(RuntimeError, match="^Can't call numpy"):
            tensor.numpy()


def test_inference_tensors(device):
    x = ours([1.0, 2.0], device, requires_grad=True)
    with inference_mode():
        y = x * 2
        assert y.is_inference()
        y.add_(1)
    assert not x.is_inference()
    with pytest.raises(RuntimeError, match=r"^Inference tensors do not track version counter\.$"):
        y._version  # noqa: B018
    with pytest.raises(
        RuntimeError, match="^Inference tensors cannot be saved for backward. Please do not use Tensors"
    ):
        x * y
    assert (x + y).requires_grad, "nothing is saved for a sum"
    with pytest.raises(RuntimeError, match="^Setting requires_grad=True on inference tensor outside InferenceMode"):
        y.requires_grad = True
    with pytest.raises(RuntimeError, match="^Inplace update to inference tensor outside InferenceMode is not allowed"):
        y.add_(1)


def test_anomaly_mode_is_restored():
    assert not autograd.is_anomaly_enabled()
    with autograd.set_detect_anomaly(True, check_nan=False):
        assert autograd.is_anomaly_enabled()
        with autograd.set_detect_anomaly(False):
            assert not autograd.is_anomaly_enabled()
        assert autograd.is_anomaly_enabled()
    assert not autograd.is_anomaly_enabled()
    autograd.set_detect_anomaly(True)
    assert autograd.is_anomaly_enabled()
    autograd.set_detect_anomaly(False)
    with pytest.warns(UserWarning, match="^Anomaly Detection has been enabled. This mode will increase the runtime"):
        detect = autograd.detect_anomaly()
    assert not autograd.is_anomaly_enabled()
    with pytest.raises(ZeroDivisionError), detect:
        assert autograd.is_anomaly_enabled()
        raise ZeroDivisionError
    assert not autograd.is_anomaly_enabled()


def nan_in_backward(x):
    return (x / x).sum()


@pytest.mark.parametrize("wrap", [lambda y: y, lambda y: -y], ids=["plain", "unary after"])
def test_anomaly_mode_names_the_node_that_gives_nan_and_its_line(wrap, device):
    x = ours([0.0, 1.0], device, requires_grad=True)
    with autograd.set_detect_anomaly(True):
        y = wrap(nan_in_backward(x))
        with (
            pytest.warns(UserWarning, match="Error detected in DivBackward0") as caught,
            pytest.raises(RuntimeError, match=r"^Function 'DivBackward0' returned nan values in its 1th output\.$"),
        ):
            y.backward()
    text = str(caught[0].message)
    assert text.startswith("Error detected in DivBackward0. Traceback of forward call that caused the error:\n")
    assert "in nan_in_backward\n    return (x / x).sum()\n" in text
    assert "autograd_gpu" not in re.sub(r"autograd_gpu/tests|/tests/", "", text), "only the user's lines are shown"
    assert x.grad is None


def test_anomaly_mode_traces_unary_and_scalar_operations():
    x = ours([-1.0], requires_grad=True)
    with autograd.set_detect_anomaly(True):
        for function in (ag.exp, ag.neg, lambda x: x * 2.0, lambda x: x * x, lambda x: x.sum(), lambda x: x + 1):
            assert "in test_anomaly_mode_traces_unary" in function(x).grad_fn.trace


def test_anomaly_mode_without_the_nan_check_and_without_a_traceback():
    x = ours([0.0], requires_grad=True)
    with autograd.set_detect_anomaly(True, check_nan=False):
        nan_in_backward(x).backward()
    assert np.isnan(x.grad.array).all()
    y = nan_in_backward(x)
    with autograd.set_detect_anomaly(True):
        with pytest.warns(UserWarning, match="No forward pass information available. Enable detect anomaly during"):
            with pytest.raises(RuntimeError, match="DivBackward0"):
                y.backward()


def test_anomaly_warning_also_accompanies_other_errors():
    class Broken(autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x * 1

        @staticmethod
        def backward(ctx, g):
            raise ValueError("mine")

    x = ours([1.0], requires_grad=True)
    with autograd.set_detect_anomaly(True):
        y = Broken.apply(x)
        with (
            pytest.warns(UserWarning, match="Error detected in BrokenBackward"),
            pytest.raises(ValueError, match="mine"),
        ):
            y.backward()
    with warnings.catch_warnings(), pytest.raises(ValueError, match="mine"):
        Broken.apply(x).backward()
