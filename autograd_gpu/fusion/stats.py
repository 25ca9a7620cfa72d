"""What was composed, compiled and launched so far."""

from dataclasses import dataclass


@dataclass
class Stats:
    """How often plans were found or made, how many kernels were made, and launches of these."""

    plans_hit: int = 0
    plans_built: int = 0
    kernels: int = 0
    launches: int = 0


STATS = Stats()
