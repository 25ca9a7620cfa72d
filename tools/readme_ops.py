"""Write the table of operations into README.md, from the table itself: ``python tools/readme_ops.py``."""

import re
from pathlib import Path

import autograd_gpu  # noqa: F401  fills the table
from autograd_gpu.fusion.text import gradient_text
from autograd_gpu.op import FUNCTIONAL, METHODS, PUBLIC, TABLE, Op

README = Path(__file__).parent.parent / "README.md"
MARKS = re.compile(r"(<!-- ops:begin -->\n).*(<!-- ops:end -->)", re.DOTALL)


def ops_table() -> str:
    """The elementwise operations with their gradients, then all other functions by where they are found."""
    rows = [
        "| operation | what | cotangent of each operand (`y` result, `g` its cotangent) |",
        "|---|---|---|",
    ]
    for name, op in TABLE.items():
        if isinstance(op, Op) and name in PUBLIC:
            gradients = ", ".join(f"`{text}`" if text else "–" for text in gradient_text(op))
            rows.append(
                f"| `{name}({', '.join(op.operands)})` | {op.doc} | {gradients} |".replace("||", "\\|\\|")
            )
    elementwise = {name for name, op in TABLE.items() if isinstance(op, Op)}
    others = sorted(name for name in PUBLIC if name not in elementwise)
    methods = sorted(name for name in METHODS if name not in PUBLIC and not name.startswith("_"))
    functional = sorted(name for name in FUNCTIONAL if name not in PUBLIC)
    for title, names in (
        ("Further functions", others),
        ("Methods only", methods),
        ("Only in `nn.functional`", functional),
    ):
        rows += ["", f"**{title}** ({len(names)}): {' '.join(f'`{name}`' for name in names)}"]
    return "\n".join(rows) + "\n"


def updated(readme: str) -> str:
    """``readme`` with the table between its marks replaced by the present one."""
    return MARKS.sub(lambda match: match[1] + ops_table() + match[2], readme)


if __name__ == "__main__":
    README.write_text(updated(README.read_text()))
