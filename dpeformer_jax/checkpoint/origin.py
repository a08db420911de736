"""What a training began with, as trained_on.json and eval.json tell it."""

from collections.abc import Mapping
from typing import Any, NamedTuple

Named = list[tuple[str, str]]  # names with fingerprints


class Origin(NamedTuple):
    """The pictures that a training began with.

    datasets: of each data set, in order; cutouts: of the occluders, empty where there were none.
    """

    datasets: Named
    cutouts: Named

    @classmethod
    def of(cls, trained_on: Mapping[str, Any]) -> "Origin":
        """Reads the content of trained_on.json."""
        datasets = trained_on.get("datasets", {}).items()
        bank, _, fingerprint = str(trained_on.get("occluders", "")).rpartition(", fingerprint ")
        named = [(name, told["fingerprint"]) for name, told in datasets]
        return cls(named, [(bank, fingerprint)] if bank else [])

    @property
    def fingerprints(self) -> list[str]:
        """Returns the fingerprints, in order."""
        return [fingerprint for _, fingerprint in (*self.datasets, *self.cutouts)]

    def __str__(self) -> str:
        """Names all with the heads of their fingerprints; "" where nothing is known."""
        named = (*self.datasets, *self.cutouts)
        return ", ".join(f"{name} ({fingerprint[:8]})" for name, fingerprint in named)
