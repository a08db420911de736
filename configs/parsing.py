"""Reads main.py's command line, with one sentence for a mistake in a flag or a config field."""

import difflib
import sys
from typing import Any

from absl import flags, logging
from ml_collections import ConfigDict, config_flags

from configs.default import FIELDS, RENAMED
from configs.fields import flatten
from configs.finding import with_config_first
from configs.presets import PRESETS
from dpeformer_jax.base.command import one_paragraph
from dpeformer_jax.base.errors import UserError
from dpeformer_jax.model.spec import NetworkSpec


def parse(arguments: list[str]) -> list[str]:
    """Parses the flags of main.py; an absl flags parser.

    Without --config the config is that of the workdir or the checkpoint, where one has it.
    """
    with one_paragraph("main.py"):
        try:
            _check_fields(arguments)
            sys.argv[:] = with_config_first(arguments)  # config_flags looks there too
            rest = flags.FLAGS(sys.argv)
            if rest[1:]:
                raise UserError(
                    f"{rest[1]!r} belongs to no flag; write --FLAG=VALUE without blanks around ="
                )
            if flags.FLAGS["verbosity"].using_default_value:
                flags.FLAGS.verbosity = logging.FATAL  # orbax logs what it raises besides
            if flags.FLAGS.config is not None:
                flags.FLAGS.config.lock()  # raises here if the file could not be read
            return rest
        except AttributeError as error:  # of a locked ConfigDict, with the nearest field at its end
            told = str(error).strip("'\"").replace("\\n", "\n").splitlines()[-1]
            raise UserError(
                f"the config file sets a field that configs/default.py lacks: {told}"
            ) from error
        except (flags.Error, OSError) as error:
            raise UserError(_without_traceback(str(error))) from error


def set_by_user(config: ConfigDict) -> dict[str, Any]:
    """Returns the config fields that the command line sets, by a flag or by the preset.

    What the config's file sets over the preset is nobody's wish on the command line.
    """
    flag = flags.FLAGS["config"]
    _, _, preset = config_flags.get_config_filename(flag).rpartition(":")
    values = flatten(config.to_dict())
    kept = {name: x for name, x in PRESETS.get(preset, {}).items() if values[name] == x}
    return kept | dict(config_flags.get_override_values(flag))


def adopt(config: ConfigDict, stored: dict[str, Any], spec: NetworkSpec) -> None:
    """Puts the fields that a checkpoint's network decides into the config.

    Raises:
        UserError: the user set one of them to another value.
    """
    chosen = set_by_user(config)
    for name, value in stored.items():
        if name in chosen and chosen[name] != value:
            raise UserError(
                f"config.{name} = {chosen[name]!r}, but the checkpoint's network ({spec.family} "
                f"{spec.variant}) has {value!r}; leave the field, or the preset that sets it, out "
                "to score the network as it is"
            )
    config.update_from_flattened_dict(stored)


def _check_fields(arguments: list[str]) -> None:
    """Raises UserError for a --config.NAME that is no field, and for a field without "config."."""
    names = [field.name for field in FIELDS]
    sections = {name.partition(".")[0] for name in names if "." in name}
    known = [f"config.{name}" for name in [*sections, *names]]
    for argument in arguments:
        name = argument.lstrip("-").split("=")[0]
        if not argument.startswith("-") or name in known:
            continue
        is_field = name.startswith("config.")
        if is_field or (name not in flags.FLAGS and name in {n.rpartition(".")[2] for n in names}):
            nearest = RENAMED.get(name.removeprefix("config.")) or _nearest(name, known)
            nearest = nearest.removeprefix("config.")
            kind = "field" if is_field else "flag"
            raise UserError(f"--{name}: there is no such {kind}; did you mean config.{nearest}?")


def _nearest(name: str, known: list[str]) -> str:
    """Returns the field that a mistyped one may mean: rather of another section than another."""
    last = name.rpartition(".")[2]
    same = [field for field in known if field.rpartition(".")[2] == last]
    (nearest,) = difflib.get_close_matches(name, same or known, n=1, cutoff=0)
    return nearest


def _without_traceback(told: str) -> str:
    """Shortens ml_collections' message of a faulty config file, which holds its traceback."""
    told, _, traceback = told.partition("Traceback")
    told += traceback.splitlines()[-1] if traceback else ""
    return " ".join(told.split())
