"""The examples of custom operations print the same numbers on NumPy and on a CUDA device."""

import runpy
from pathlib import Path

import pytest

import autograd_gpu as ag

EXAMPLES = Path(__file__).parents[1] / "examples"
PRINTED = {
    "custom_elementwise.py": """\
energy     tensor([0.9617, 0.0000, 1.6924, 4.3009])
force      tensor([11.5595, -0.0000, -4.0556, -0.3740])
stiffness  tensor([91.4355, 32.4900, -2.8462, -0.6943])

J0' = -J1  tensor([-0.0000, -0.4401, -0.5767])
""",
    "custom_kernel.py": """\
step  0  loss  160.969  mean error of a pixel 0.291
step 20  loss    0.150  mean error of a pixel 0.063
step 40  loss    0.029  mean error of a pixel 0.058
step 60  loss    0.012  mean error of a pixel 0.057
""",
}


@pytest.mark.parametrize("name", PRINTED)
def test_an_example_prints_what_it_should(name, device, monkeypatch, capsys):
    monkeypatch.setattr(ag.cuda, "is_available", lambda: device == "cuda")
    runpy.run_path(str(EXAMPLES / name), run_name="__main__")
    assert capsys.readouterr().out.endswith(PRINTED[name])
