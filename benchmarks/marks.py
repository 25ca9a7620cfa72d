"""Tables of measurements that a file quotes: between ``<!-- NAME:begin -->`` and ``<!-- NAME:end -->``."""

import re
from pathlib import Path


def write(text: str, path: Path, name: str) -> None:
    """Put ``text`` between the marks of a file that has them, or else into a file of its own."""
    marks = re.compile(rf"(<!-- {name}:begin -->\n).*(<!-- {name}:end -->)", re.DOTALL)
    before = path.read_text(encoding="utf-8") if path.exists() else ""
    marked = marks.sub(lambda match: match[1] + text + match[2], before)
    path.write_text(marked if marks.search(before) else text, encoding="utf-8")
