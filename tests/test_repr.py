"""Tensors as text: what surrounds the numbers, on every device and in every namespace."""

import subprocess
import sys

import numpy as np
import pytest
from support import ours

import autograd_gpu as ag
from autograd_gpu.modes import Namespace

SHOWN = """
torch.tensor([1.0, 2.0])
torch.tensor([1.0, 2.0], requires_grad=True)
torch.tensor([1.0, 2.0], requires_grad=True) * 2
torch.tensor(4.0, requires_grad=True).sqrt()
(torch.tensor([1.0, 2.0], requires_grad=True) * 2).sum()
torch.ones(3, requires_grad=True)[0]
torch.ones(3, requires_grad=True)[1:]
torch.ones(3, 3, requires_grad=True).T
torch.ones(3, requires_grad=True).detach()
(torch.ones(3, requires_grad=True) > 0)
torch.tensor([1, 2])
torch.tensor([1, 2], dtype=torch.int32)
torch.tensor([True])
torch.tensor([1.5], dtype=torch.float64, requires_grad=True)
torch.tensor([1 + 2j])
torch.tensor([])
torch.zeros(0, 3)
torch.zeros(2, 3, dtype=torch.float16)
torch.zeros(2, 3, dtype=torch.bfloat16, requires_grad=True)
torch.arange(2000.0)
torch.arange(2000.0).reshape(4, 500).requires_grad_()
torch.rand(3, 3).shape
torch.rand(3, 3).size(), torch.Size([]), torch.Size((2, 3))[1:]
torch.rand(2).dtype, torch.rand(2).device, torch.float
torch.ones(2, requires_grad=True).grad
torch.Tensor, torch.Size, torch.device, torch.dtype, torch.FloatTensor
"""


@pytest.mark.parametrize("expression", [line for line in SHOWN.splitlines() if line])
def test_text_is_torchs(expression, monkeypatch):
    torch = pytest.importorskip("torch")
    monkeypatch.setattr(Namespace, "name", "torch")
    named = {"Tensor", "Size", "device", "dtype"}
    for name in named:
        monkeypatch.setattr(getattr(ag, name), "__module__", "torch")
    mine, theirs = (eval(expression, {"torch": t}) for t in (ag, torch))
    assert repr(mine) == repr(theirs)
    assert str(mine) == str(theirs)
    assert f"{mine}" == f"{theirs}"


def test_a_gradient_prints_as_in_torch():
    x = ag.tensor([2.0, 3.0], requires_grad=True)
    (x**2).sum().backward()
    assert repr(x.grad) == "tensor([4., 6.])"
    y = ag.autograd.grad((x * x).sum(), x, create_graph=True)
    assert repr(y) == "(tensor([4., 6.], grad_fn=<AddBackward0>),)"


def test_text_in_the_packages_own_name():
    assert repr(ag.ones(2, dtype=ag.float64)) == "tensor([1., 1.], dtype=autograd_gpu.float64)"
    assert repr(ag.ones(2).shape) == "autograd_gpu.Size([2])"
    assert repr(ag.strided) == "autograd_gpu.strided"
    assert repr(type(ag.ones(2))) == "<class 'autograd_gpu.Tensor'>"


def test_a_node_prints_its_name_and_address():
    y = ag.ones(2, requires_grad=True) + 1
    assert repr(y.grad_fn) == f"<AddBackward0 object at {id(y.grad_fn):#x}>"


def test_the_device_is_shown_unless_it_is_the_cpu(device):
    x = ours(np.ones(2, np.float32), device)
    suffix = ", device='cuda:0'" if device == "cuda" else ""
    assert repr(x) == f"tensor([1., 1.]{suffix})"
    assert repr(x.double()) == f"tensor([1., 1.]{suffix}, dtype=autograd_gpu.float64)"
    assert repr(x.requires_grad_()) == f"tensor([1., 1.]{suffix}, requires_grad=True)"
    assert repr(x * 2) == f"tensor([2., 2.]{suffix}, grad_fn=<MulBackward0>)"
    assert f"{x.sum():.2f}" == "2.00"


def test_printing_changes_nothing():
    x = ag.ones(2, requires_grad=True) * 1
    version = x._version
    repr(x)
    assert (x._version, x.requires_grad) == (version, True)


def test_print_options():
    ag.set_printoptions(precision=2)
    try:
        assert repr(ag.tensor([1.23456])) == "tensor([1.23])"
        with ag.printoptions(precision=1):
            assert repr(ag.tensor([1.23456])) == "tensor([1.2])"
        assert ag.get_printoptions()["precision"] == 2
    finally:
        ag.set_printoptions(profile="default")


def test_the_first_lines_of_a_session():
    code = "import autograd_gpu as torch; print(torch.tensor([2.0], requires_grad=True) * 3, torch.float32)"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout == "tensor([6.], grad_fn=<MulBackward0>) autograd_gpu.float32\n"
