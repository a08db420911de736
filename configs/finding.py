"""Finds the config of a command: the one that it names, or that of its workdir."""

import difflib
from pathlib import Path

from absl import flags

from configs.record import NAME, stored_fields
from dpeformer_jax.base.errors import UserError
from dpeformer_jax.checkpoint.weights import workdir_of

CONFIGS = Path(__file__).parent
STORED = CONFIGS / "stored.py"


def with_config_first(arguments: list[str]) -> list[str]:
    """Returns the arguments with --config in front, where the fields that override it need it.

    A config.json becomes a config that ml_collections can load.

    Raises:
        UserError: there is no such config, or a field overrides none.
    """
    own = flags.FlagValues()
    for name in ("config", "workdir", "checkpoint"):
        flags.DEFINE_string(name, None, "", flag_values=own)
    own.set_gnu_getopt()  # goes on after "--mode eval"
    program, *rest = own(arguments, known_only=True)
    given = {name: own[name].value for name in own if own[name].value is not None}
    config = given.pop("config", None) or _of_workdir(given)
    fields = [argument for argument in rest if argument.startswith(("--config.", "-config."))]
    if config is None and fields:
        raise UserError(
            f"{fields[0]} changes a config, and there is none: give --config=FILE, or a --workdir "
            "that holds a config.json (--mode=compare takes no fields)"
        )
    first = [] if config is None else [f"--config={_loadable(config)}"]
    return [program, *first, *(f"--{name}={value}" for name, value in given.items()), *rest]


def _of_workdir(given: dict[str, str]) -> str | None:
    """Returns the config.json of the checkpoint's workdir or else of the workdir, if there is."""
    named = [given[name] for name in ("checkpoint", "workdir") if name in given]
    paths = [workdir_of(Path(folder).expanduser()) / NAME for folder in named]
    return next((str(path) for path in paths if path.is_file()), None)


def _loadable(config: str) -> str:
    """Returns a --config as ml_collections can load it, of a workdir or its config.json too."""
    file, _, preset = config.partition(":")
    path = Path(file).expanduser()
    path = path / NAME if path.is_dir() else path
    if path.suffix != ".json":
        if not path.is_file():
            raise UserError(f"--config={config}: {path} is not a file{_near(path)}")
        return config
    if preset:
        raise UserError(f"--config={config}: a config.json has all fields, and takes no preset")
    stored_fields(path)  # a mistake ends here with one sentence
    return f"{STORED}:{path}"


def _near(path: Path) -> str:
    """Suggests a config of this project for a mistyped one."""
    names = [file.name for file in CONFIGS.glob("*.py")]
    near = difflib.get_close_matches(path.name, names, n=1)
    return f"; did you mean {CONFIGS.name}/{near[0]}?" if near else ""
