"""What a backward pass launches, shown, checked and named for profilers."""

import re

import numpy as np
import pytest
from support import host, ours

import autograd_gpu as ag
from autograd_gpu import backends, fusion
from autograd_gpu.errors import FusionError, GraphError


@pytest.fixture
def leaves(rng, device):
    """Two leaves of the shape (50, 20), one of (20,)."""
    return [ours(rng.random(s).astype(np.float32) + 0.5, device, requires_grad=True) for s in ((50, 20), (50, 20), 20)]


@pytest.mark.gpu
@pytest.mark.parametrize("device", ["cuda"], indirect=True)
def test_explain_shows_formulas_bytes_and_kernels(leaves, capsys):
    x, y, b = leaves
    explanation = fusion.explain((x * y + b).tanh())
    assert all(leaf.grad is None for leaf in leaves)
    (step,) = explanation.steps
    assert sorted(step.writes) == ["float32[20]", "float32[50, 20]", "float32[50, 20]"]
    assert step.formulas[step.writes.index("float32[20]")].endswith(", summed from [50, 20]")
    assert step.bytes_read == 4 * 4 * 1000  # the cotangent, what tanh kept, and both factors
    assert step.bytes_written == 4 * (1000 + 1000 + 20)
    (kernel,) = explanation.kernels
    assert kernel.name.startswith("bwd_mul_sub_")
    assert f"__launch_bounds__({kernel.block[0] * kernel.block[1]}) {kernel.name}(" in kernel.source
    printed = capsys.readouterr().out
    assert printed.startswith("backward of TanhBackward0: 1 launches in 1 programs, 0 other steps; programs read 16 kB")
    assert kernel.name in printed


@pytest.mark.gpu
@pytest.mark.parametrize("device", ["cuda"], indirect=True)
def test_explain_names_nodes_with_a_rule_of_their_own(leaves, capsys):
    x, y, _ = leaves
    explanation = fusion.explain((x.exp() @ y.T).sum())
    assert [step.name for step in explanation.steps if not step.formulas][:2] == ["SumBackward0", "MmBackward0"]
    assert "MmBackward0: its own rule" in capsys.readouterr().out


def test_explain_on_any_device_leaves_the_graph_usable(leaves):
    x, y, b = leaves
    z = (x * y + b).sum()
    fusion.explain(z)
    z.backward()
    np.testing.assert_allclose(host(x.grad), host(y))


def test_explain_needs_a_graph():
    with pytest.raises(GraphError, match=r"explain\(\) takes tensors that were computed, got 3 \(argument 0\)"):
        fusion.explain(3)
    with pytest.raises(GraphError, match=r"takes tensors that were computed, got tensor\(1.\)"):
        fusion.explain(ag.tensor(1.0))


def test_checked_passes_give_the_same_gradients(leaves):
    def gradients(mode):
        for leaf in leaves:
            leaf.grad = None
        with fusion.fuse(mode):
            x, y, b = leaves
            ((x * y + b).tanh() / y).exp().sum().backward()
        return [host(leaf.grad) for leaf in leaves]

    for a, b in zip(gradients("on"), gradients("check"), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.gpu
def test_check_names_the_first_program_that_differs():
    wrong = ag.elementwise(cuda="x * 1.01f", operands="x", partials=["1"], numpy=lambda x: x, name="wrong")
    x = ag.ones(5, device="cuda")
    wrong(x)
    with fusion.fuse("check"), pytest.raises(FusionError) as error:
        wrong(x)
    text = r"fwd_wrong\w* computed 1\.0\d+ at \[0\] of result 0, expected 1\.0 \(in double precision\); 5 of 5 elements"
    assert re.match(text + r" differ\. Its formula: wrong\w*\(x0\)$", str(error.value))


def test_fuse_refuses_other_modes():
    with pytest.raises(ValueError, match=r"^fuse\(\) takes 'on', 'off' or 'check', got 'fast'$"), fusion.fuse("fast"):
        pass


@pytest.fixture
def ranges(monkeypatch):
    """The NVTX ranges so far, each as the names of those that it is in, and its own."""
    open_, seen = [], []

    def push(name, *_):
        open_.append(name)
        seen.append(tuple(open_))

    nvtx = backends.cuda().xp.cuda.nvtx
    monkeypatch.setattr(nvtx, "RangePush", push)
    monkeypatch.setattr(nvtx, "RangePop", open_.pop)
    yield seen
    assert not open_


@pytest.mark.gpu
def test_ranges_have_the_programs_names(ranges):
    x = ag.ones(5, device="cuda", requires_grad=True)
    with fusion.nvtx():
        x.exp().sum().backward()
    x.sin()
    assert ranges[0] == ("fwd_exp",)
    assert any(name.startswith("bwd_mul") for *_, name in ranges)
    assert not any("fwd_sin" in names for names in ranges)


@pytest.mark.gpu
@pytest.mark.parametrize("mode", ["on", "off"])
def test_other_operations_and_pullbacks_have_ranges_named_as_in_torch(mode, ranges):
    x, w = ag.ones(5, 3, device="cuda", requires_grad=True), ag.ones(3, 2, device="cuda", requires_grad=True)
    with fusion.fuse(mode), fusion.nvtx():
        y = (x @ w).exp()
        forward = list(ranges)
        y.sum().backward()
    assert forward == [("mm",), ("fwd_exp",)]
    outer = dict.fromkeys(names[0] for names in ranges[len(forward) :])
    assert [name for name in outer if name.startswith(("Sum", "Exp", "Mm"))] == (
        ["SumBackward0", "MmBackward0"] if mode == "on" else ["SumBackward0", "ExpBackward0", "MmBackward0"]
    )


@pytest.mark.gpu
def test_a_range_ends_where_an_operation_fails(ranges):
    with fusion.nvtx(), pytest.raises(RuntimeError, match="shapes cannot be multiplied"):
        ag.ones(5, 3, device="cuda") @ ag.ones(2, 2, device="cuda")
