"""How long tasks take, learned from the last ones. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import median
from typing import Final

REMEMBERED: Final = 32
_ENOUGH: Final = 4


@dataclass(frozen=True, slots=True)
class Learned:
    """What the last tasks took, for :func:`~airflow_provider_clarity.runware.pace.next_look` and for the window.

    :param took: seconds from the submit to the look that found it done, the newest last
    """

    took: tuple[float, ...] = ()

    def after(self, seconds: float) -> Learned:
        """Return what is known after one more task."""
        return Learned((*self.took, round(max(0.0, seconds), 3))[-REMEMBERED:])

    @property
    def median(self) -> float | None:
        """Seconds that tasks took, in the middle; None until a few are done."""
        return median(self.took) if len(self.took) >= _ENOUGH else None
