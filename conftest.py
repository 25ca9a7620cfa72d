"""Which modules' doctests can be collected here."""

import re
from pathlib import Path

from autograd_gpu import backends

_IMPORTS_CUPY = re.compile(r"^(import|from) cupy", re.MULTILINE)

collect_ignore = (
    []
    if backends.why_no_cuda() is None
    else [str(path) for path in Path(backends.__file__).parent.glob("*.py") if _IMPORTS_CUPY.search(path.read_text())]
)
