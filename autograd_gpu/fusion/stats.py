"""What was composed, compiled and launched so far."""

from dataclasses import dataclass


@dataclass
class Stats:
    """How often plans were found or made, how many kernels were made, and launches of these.

    ``compiled`` are the kernels for the CPU that were compiled, not found on disk.
    """

    plans_hit: int = 0
    plans_built: int = 0
    kernels: int = 0
    launches: int = 0
    compiled: int = 0


STATS = Stats()
