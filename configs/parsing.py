"""Reads main.py's command line, with one sentence for a mistake in a flag or a config field."""

import difflib
import sys
from pathlib import Path
from typing import Any

from absl import flags, logging
from ml_collections import ConfigDict, config_flags

from configs import record
from configs.default import FIELDS, RELEASED, RENAMED
from dpeformer_jax.base.command import one_paragraph
from dpeformer_jax.base.errors import UserError
from dpeformer_jax.checkpoint.weights import workdir_of
from dpeformer_jax.model.spec import NetworkSpec

STORED = Path(__file__).with_name("stored.py")


def parse(arguments: list[str]) -> list[str]:
    """Parses the flags of main.py; an absl flags parser.

    Without --config the config is that of the workdir or the checkpoint, where one has it.
    """
    with one_paragraph("main.py"):
        try:
            _check_fields(arguments)
            sys.argv[:] = with_config_first(arguments)  # config_flags looks there too
            rest = flags.FLAGS(sys.argv)
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


def with_config_first(arguments: list[str]) -> list[str]:
    """Returns the arguments with --config in front, where the fields that override it need it.

    A config.json becomes a config that ml_collections can load.

    Raises:
        UserError: a config.json cannot be used.
    """
    own = flags.FlagValues()
    for name in ("config", "workdir", "checkpoint"):
        flags.DEFINE_string(name, None, "", flag_values=own)
    own.set_gnu_getopt()  # goes on after "--mode eval"
    program, *rest = own(arguments, known_only=True)
    given = {name: own[name].value for name in own if own[name].value is not None}
    config = given.pop("config", None) or _own_config(given)
    fields = [argument for argument in rest if argument.startswith(("--config.", "-config."))]
    if config is None and fields:
        raise UserError(
            f"{fields[0]} changes a config, and there is none: give --config=FILE, or a --workdir "
            "that holds a config.json (--mode=compare takes no fields)"
        )
    first = [] if config is None else [f"--config={_loadable(config)}"]
    return [program, *first, *(f"--{name}={value}" for name, value in given.items()), *rest]


def _own_config(given: dict[str, str]) -> str | None:
    """Returns the config.json of the checkpoint's workdir or else of the workdir, if there is."""
    folders = [
        Path(given[name]).expanduser() for name in ("checkpoint", "workdir") if name in given
    ]
    paths = [workdir_of(folder) / record.NAME for folder in folders]
    return next((str(path) for path in paths if path.is_file()), None)


def _loadable(config: str) -> str:
    """Returns a --config as ml_collections can load it, of a workdir or its config.json too."""
    path = Path(config).expanduser()
    path = path / record.NAME if path.is_dir() else path
    if ".json:" in path.name:
        raise UserError(f"--config={config}: a config.json has all fields, and takes no preset")
    if path.suffix != ".json":
        return config
    record.stored_fields(path)  # a mistake ends here with one sentence
    return f"{STORED}:{path}"


def _check_fields(arguments: list[str]) -> None:
    """Raises UserError for a --config.NAME that is no field."""
    names = [field.name for field in FIELDS]
    sections = {name.partition(".")[0] for name in names if "." in name}
    known = [f"config.{name}" for name in [*sections, *names]]
    for argument in arguments:
        name = argument.lstrip("-").split("=")[0]
        if not (argument.startswith("-") and name.startswith("config.")) or name in known:
            continue
        nearest = RENAMED.get(name.removeprefix("config.")) or _nearest(name, known)
        nearest = nearest.removeprefix("config.")
        raise UserError(f"--{name}: there is no such field; did you mean config.{nearest}?")


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
