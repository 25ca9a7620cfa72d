"""Where an array lives: ``device("cpu")``, ``device("cuda:1")``."""

import re
import threading
from typing import ClassVar


class device:  # noqa: N801  torch's name
    """A device, one object each: ``device("cuda") == device("cuda:0")`` only if written the same way.

    In a ``with`` block, tensors that name no device are made there.

    >>> device("cuda", 1)
    device(type='cuda', index=1)
    >>> str(device("cuda:1"))
    'cuda:1'
    """

    __slots__ = ("index", "type")
    type: str
    index: int | None
    _made: ClassVar[dict[tuple[str, int | None], "device"]] = {}

    def __new__(cls, type: "str | int | device", index: int | None = None) -> "device":
        if isinstance(type, device):
            return type
        if isinstance(type, int):
            return cls("cuda", type)
        match = re.fullmatch(r"(\w+?)(?::(\d+))?", type) if isinstance(type, str) else None
        if match is None:
            raise RuntimeError(f"Invalid device string: {type!r}; expected 'cpu', 'cuda' or e.g. 'cuda:1'")
        kind, number = match.groups()
        if kind not in ("cpu", "cuda"):
            raise RuntimeError(f"Expected one of cpu, cuda device type at start of device string: {type}")
        if number is not None:
            if index is not None:
                raise RuntimeError(
                    f"type (string) must not include an index because index was passed explicitly: {type}"
                )
            index = int(number)
        if (found := cls._made.get((kind, index))) is None:
            found = super().__new__(cls)
            found.type, found.index = kind, index
            cls._made[kind, index] = found
        return found

    def __enter__(self) -> "device":
        chosen.within.append(self)
        return self

    def __exit__(self, *_: object) -> None:
        chosen.within.pop()

    def __reduce__(self) -> tuple[object, tuple[str, int | None]]:
        return device, (self.type, self.index)

    def __str__(self) -> str:
        return self.type if self.index is None else f"{self.type}:{self.index}"

    def __repr__(self) -> str:
        return f"device(type={self.type!r}" + (")" if self.index is None else f", index={self.index})")


cpu = device("cpu")


class Chosen(threading.local):
    """Where a thread makes tensors that name no device: in the innermost ``with device``, or ``default``."""

    default = cpu

    def __init__(self) -> None:
        self.within: list[device] = []

    @property
    def device(self) -> device:
        return self.within[-1] if self.within else self.default


chosen = Chosen()
