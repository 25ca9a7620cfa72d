"""Write the table of operations into README.md, from the table itself: ``python tools/readme_ops.py``."""

import re
from collections.abc import Iterable
from pathlib import Path

from autograd_gpu import Tensor
from autograd_gpu.fusion.text import gradient_text
from autograd_gpu.op import FUNCTIONAL, METHODS, PUBLIC, TABLE, Op

README = Path(__file__).parent.parent / "README.md"
MARKS = re.compile(r"(<!-- ops:begin -->\n).*(<!-- ops:end -->)", re.DOTALL)


def ops_table() -> str:
    """The elementwise operations with their gradients, then all other functions by where they are found."""
    rows = ["| operation | what | cotangent of each operand (`y` result, `g` its cotangent) |", "|---|---|---|"]
    elementwise = {
        name: op for name, op in TABLE.items() if isinstance(op, Op) and (name in PUBLIC or name in FUNCTIONAL)
    }
    for name, op in elementwise.items():
        gradients = ", ".join(f"`{text}`" if text else "–" for text in gradient_text(op))
        cells = (f"`{name}({', '.join(op.operands)})`", op.doc, gradients)
        rows.append(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |")

    def listed(title: str, names: Iterable[str]) -> str:
        plain = sorted(name for name in names if name not in elementwise and not name.endswith("_"))
        return f"\n**{title}** ({len(plain)}): {' '.join(f'`{name}`' for name in plain)}"

    rows.append(listed("Further functions", PUBLIC))
    rows.append(listed("Methods only", METHODS.keys() - PUBLIC.keys()))
    rows.append(listed("Only in `nn.functional`", FUNCTIONAL.keys() - PUBLIC.keys()))
    in_place = sum(hasattr(Tensor, f"{name}_") for name in {*PUBLIC, *METHODS})
    rows.append(f"\n{in_place} of them have an in-place form, too (`add_`, `clamp_` …).")
    return "\n".join(rows) + "\n"


def updated(readme: str) -> str:
    """``readme`` with the table between its marks replaced by the present one."""
    return MARKS.sub(lambda match: match[1] + ops_table() + match[2], readme)


if __name__ == "__main__":
    README.write_text(updated(README.read_text()))
