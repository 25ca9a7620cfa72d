"""Anomaly detection: where the failing part of a backward pass was recorded, and where a nan comes from."""

import warnings

from ..modes import Anomaly


def is_anomaly_enabled() -> bool:
    """Whether nodes remember the call that made them."""
    return Anomaly.on


def is_anomaly_check_nan_enabled() -> bool:
    """Whether, in anomaly mode, a nan in a backward pass is an error."""
    return Anomaly.check_nan


class set_detect_anomaly:  # noqa: N801  torch's name
    """Switch anomaly detection on or off, in all threads; as a context manager, while it lasts.

    While it is on, every node remembers the traceback of the call that made it, which is shown when its part
    of a backward pass fails; with ``check_nan``, giving nan counts as failing. It slows everything down.
    Source: torch.autograd.set_detect_anomaly.
    """

    def __init__(self, mode: bool, check_nan: bool = True) -> None:
        self._previous = Anomaly.on, Anomaly.check_nan
        Anomaly.on, Anomaly.check_nan = mode, check_nan

    def __enter__(self) -> None:
        pass  # it is on since it was made

    def __exit__(self, *_: object) -> None:
        Anomaly.on, Anomaly.check_nan = self._previous


class detect_anomaly:  # noqa: N801  torch's name
    """Anomaly detection as a context manager, with a warning that it is slow (see ``set_detect_anomaly``)."""

    def __init__(self, check_nan: bool = True) -> None:
        self.check_nan = check_nan
        warnings.warn(
            "Anomaly Detection has been enabled. This mode will increase the runtime and should only be enabled "
            "for debugging.",
            stacklevel=2,
        )

    def __enter__(self) -> None:
        self._switch = set_detect_anomaly(mode=True, check_nan=self.check_nan)

    def __exit__(self, *_: object) -> None:
        self._switch.__exit__()
