"""Reads main.py's command line, with one sentence for a mistake in a flag or a config field."""

import difflib
from typing import Any

from absl import flags, logging
from ml_collections import ConfigDict, config_flags

from configs.default import FIELDS, RELEASED, RENAMED
from dpeformer_jax.base.command import one_paragraph
from dpeformer_jax.base.errors import UserError
from dpeformer_jax.model.spec import NetworkSpec


def parse(arguments: list[str]) -> list[str]:
    """Parses the flags of main.py; an absl flags parser."""
    with one_paragraph("main.py"):
        try:
            _check_fields(arguments)
            rest = flags.FLAGS(arguments)
            if flags.FLAGS["verbosity"].using_default_value:
                flags.FLAGS.verbosity = logging.FATAL  # orbax logs what it raises besides
            flags.FLAGS.config.lock()  # raises here if the file could not be read
            return rest
        except AttributeError as error:  # of a locked ConfigDict, with the nearest field at its end
            told = str(error).strip("'\"").replace("\\n", "\n").splitlines()[-1]
            raise UserError(
                f"the config file sets a field that configs/default.py lacks: {told}"
            ) from error
        except (flags.Error, OSError) as error:
            raise UserError(_without_traceback(str(error))) from error


def set_by_user() -> dict[str, Any]:
    """Returns the config fields that the command line sets, by a flag or by the preset."""
    config = flags.FLAGS["config"]
    _, _, preset = config_flags.get_config_filename(config).rpartition(":")
    fields = dict(RELEASED) if preset == "released" else {}
    return fields | dict(config_flags.get_override_values(config))


def adopt(config: ConfigDict, stored: dict[str, Any], spec: NetworkSpec) -> None:
    """Puts the fields that a checkpoint's network decides into the config.

    Raises:
        UserError: the user set one of them to another value.
    """
    chosen = set_by_user()
    for name, value in stored.items():
        if name in chosen and chosen[name] != value:
            raise UserError(
                f"config.{name} = {chosen[name]!r}, but the checkpoint's network ({spec.family} "
                f"{spec.variant}) has {value!r}; leave the field, or the preset that sets it, out "
                "to score the network as it is"
            )
    config.update_from_flattened_dict(stored)


def _check_fields(arguments: list[str]) -> None:
    """Raises UserError for a --config.NAME that is no field."""
    names = [field.name for field in FIELDS]
    sections = {name.partition(".")[0] for name in names if "." in name}
    known = [f"config.{name}" for name in [*sections, *names]]
    for argument in arguments:
        name = argument.lstrip("-").split("=")[0]
        if not (argument.startswith("-") and name.startswith("config.")) or name in known:
            continue
        nearest = RENAMED.get(name.removeprefix("config."))
        if nearest is None:
            (nearest,) = difflib.get_close_matches(name, known, n=1, cutoff=0)
        nearest = nearest.removeprefix("config.")
        raise UserError(f"--{name}: there is no such field; did you mean config.{nearest}?")


def _without_traceback(told: str) -> str:
    """Shortens ml_collections' message of a faulty config file, which holds its traceback."""
    told, _, traceback = told.partition("Traceback")
    told += traceback.splitlines()[-1] if traceback else ""
    return " ".join(told.split())
