"""What a config field is: its default, its meaning, the values it may take."""

import dataclasses
from collections.abc import Iterable
from typing import Any

from ml_collections import ConfigDict

from dpeformer_jax.base.errors import UserError


@dataclasses.dataclass(frozen=True)
class Field:
    """One field of a config.

    name: with its section, "optim.lr"; default: value, which reproduces the runs from before the
    field existed; meaning: in few words, with the unit.
    choices: the values there are, () for any; low, high: smallest and largest value, None for no
    bound; free: whether the field may change when a run goes on; grows: whether it may be raised.
    """

    name: str
    default: Any
    meaning: str
    choices: tuple[Any, ...] = ()
    low: float | None = None
    high: float | None = None
    free: bool = False
    grows: bool = False

    def check(self, value: Any) -> None:
        """Raises UserError where the field may not have the value."""
        if self.choices and value not in self.choices:
            known = ", ".join(map(repr, self.choices))
            raise UserError(f"config.{self.name} = {value!r} is not one of {known}")
        if self.low is not None and not value >= self.low:  # refuses NaN too
            bounds = f"at least {self.low}" + ("" if self.high is None else f" and {self._most}")
            raise UserError(f"config.{self.name} = {value} must be {bounds}")
        if self.high is not None and not value <= self.high:
            raise UserError(f"config.{self.name} = {value} must be {self._most}")

    @property
    def _most(self) -> str:
        return f"at most {self.high}"


def config_of(fields: Iterable[Field]) -> ConfigDict:
    """Returns a config of the fields' defaults, in sections."""
    config = ConfigDict()
    for field in fields:
        section, _, name = field.name.rpartition(".")
        if section and section not in config:
            config[section] = ConfigDict()
        (config[section] if section else config)[name] = field.default
    return config


def flatten(fields: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Turns {"data": {"root": x}} into {"data.root": x}."""
    flat: dict[str, Any] = {}
    for name, value in fields.items():
        if isinstance(value, dict):
            flat |= flatten(value, f"{prefix}{name}.")
        else:
            flat[prefix + name] = value
    return flat
