"""The README says what is so."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()


def test_the_table_of_operations_is_the_present_one(monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "tools")
    import readme_ops

    assert readme_ops.updated(README) == README, "run: python tools/readme_ops.py"


def test_the_python_example_prints_what_the_readme_shows(tmp_path):
    code, shown = re.search(r"```python\n(.*?)```\s+```text\n(.*?)```", README, re.DOTALL).groups()
    script = tmp_path / "example.py"
    script.write_text(code)
    ran = subprocess.run([sys.executable, script], capture_output=True, text=True, check=True, cwd=ROOT)
    assert ran.stdout == shown


@pytest.mark.parametrize(
    "path", sorted(set(re.findall(r"(?:python|`)\s*((?:examples|benchmarks|tools)/\w+\.py)", README)))
)
def test_every_script_that_the_readme_names_is_there(path):
    assert (ROOT / path).is_file()
