"""What operations with several named results return: named tuples that print as torch's do."""

from collections import namedtuple
from typing import Any

from .modes import Namespace


def results(name: str, fields: str) -> Any:
    """The type ``return_types.name``, a tuple with named ``fields``."""

    def __repr__(self: Any) -> str:  # noqa: N807  becomes the method
        items = ",\n".join(f"{field}={value!r}" for field, value in zip(self._fields, self, strict=True))
        return f"{Namespace.name}.return_types.{name}(\n{items})"

    base = namedtuple(name, fields)  # type: ignore[misc]  # noqa: PYI024  a name known at run time
    return type(name, (base,), {"__slots__": (), "__module__": __name__, "__repr__": __repr__})


max = results("max", "values indices")
min = results("min", "values indices")
median = results("median", "values indices")
nanmedian = results("nanmedian", "values indices")
mode = results("mode", "values indices")
cummax = results("cummax", "values indices")
cummin = results("cummin", "values indices")
aminmax = results("aminmax", "min max")
sort = results("sort", "values indices")
topk = results("topk", "values indices")
kthvalue = results("kthvalue", "values indices")
