"""Says which epoch a step belongs to, and after which steps the state is saved."""

import time
from collections.abc import Sequence

import numpy as np


class Timetable:
    """Counts steps from 1; plans saves after so many epochs, at the end, and by the clock.

    lengths: steps of each epoch; every_minutes: 0 leaves the clock aside; watch_every: epochs after
    which the network is looked at, 0 for never.
    """

    def __init__(
        self,
        lengths: Sequence[int],
        every_epochs: int,
        every_minutes: float,
        watch_every: int = 0,
    ):
        self._ends = np.cumsum(lengths)
        self._watched: set[int] = set()
        if watch_every:
            self._watched |= {*self._ends[watch_every - 1 :: watch_every].tolist()}
        self._fixed = {*self._ends[every_epochs - 1 :: every_epochs].tolist(), self.total}
        self._interval = 60 * every_minutes
        self._since = time.monotonic()

    @property
    def total(self) -> int:
        """Steps of the whole training."""
        return int(self._ends[-1])

    def place(self, step: int) -> tuple[int, int]:
        """Returns the epoch, from 1, that goes on after `step`, and how many of its steps are done.

        After the last step that is the epoch after the last.
        """
        epoch = int(np.searchsorted(self._ends, step, side="right"))
        return epoch + 1, step - (int(self._ends[epoch - 1]) if epoch else 0)

    def due(self, step: int) -> bool:
        """Tells whether the state after `step` is to be saved."""
        waited = time.monotonic() - self._since
        return step in self._fixed or 0 < self._interval <= waited

    def watched(self, step: int) -> bool:
        """Tells whether the network after `step` is looked at."""
        return step in self._watched

    def saved(self) -> None:
        """Starts to count the minutes anew."""
        self._since = time.monotonic()
