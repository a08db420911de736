"""Trains and scores DPEFormer: python main.py --config=configs/quickstart.py --workdir=DIR"""

import contextlib
import difflib
import errno
import json
import signal
import sys
from pathlib import Path

import jax
from absl import app, flags, logging
from ml_collections import ConfigDict, config_flags

from configs import default
from data.dataset import load_dataset
from data.errors import DataError
from data.occluders import load_cutouts
from data.pipeline import Sampling
from data.verify import as_text, verify
from dpeformer_jax.compilation import keep_compiled
from dpeformer_jax.errors import ConfigError
from dpeformer_jax.processes import failing_together, join_processes
from dpeformer_jax.training import loop
from dpeformer_jax.training.experiment import build
from dpeformer_jax.training.lock import held, refuse_held
from dpeformer_jax.training.occlusion import OccluderBank
from dpeformer_jax.training.workdir import check_workdir, write_config
from dpeformer_jax.validation import flatten, validate
from dpeformer_jax.weights import find_checkpoint

CONFIG = config_flags.DEFINE_config_file("config", None, "File of the config.", lock_config=True)
WORKDIR = flags.DEFINE_string("workdir", None, "Folder of checkpoints and records.")
CHECKPOINT = flags.DEFINE_string(
    "checkpoint", None, "With --mode=eval: scores this one instead of the workdir's newest."
)
MODE = flags.DEFINE_enum("mode", "train", ["train", "eval", "verify_data"], "What to do.")
JSON = flags.DEFINE_boolean("json", False, "With --mode=verify_data: the report as JSON.")
NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)  # of a disk, a quota, a file
flags.mark_flags_as_required(["config"])


def run() -> None:
    """Wires the data to the package."""
    config = CONFIG.value
    check_flags()
    join_processes(config.distributed)
    keep_compiled()
    validate(config, jax.device_count(), jax.default_backend())
    if MODE.value == "verify_data":
        verify_data(config)
        return
    workdir = Path(WORKDIR.value).expanduser()
    check_workdir(workdir, config)
    if MODE.value == "train":
        refuse_held(workdir)
    check_checkpoint(workdir, config.init.checkpoint)
    group = config.train.images_per_identity
    sampling = Sampling(config.train.batch_size // group, group, config.seed)
    scored = CHECKPOINT.value is not None  # a network from elsewhere, which needs no training set
    dataset = load_dataset(config.data, config.eval.datasets, None if scored else sampling)
    experiment = build(config, dataset.num_classes, dataset.num_cameras)
    test_sets = [loop.TestSet(*test) for test in dataset.tests]
    if scored:
        write_config(workdir, config)
        loop.evaluate_checkpoint(
            experiment, Path(CHECKPOINT.value).expanduser(), workdir, test_sets
        )
        return
    if MODE.value == "eval":
        loop.evaluate_newest(experiment, workdir, test_sets)
        return
    bank, trained_on = None, {"datasets": dataset.provenance}
    if config.views.second == "roa":
        cutouts = load_cutouts(config.views.occluders, tuple(config.data.image_size))
        trained_on["occluders"] = f"{len(cutouts.images):,} cut-outs {cutouts.origin}"
        print(f"occluders: {trained_on['occluders']}", flush=True)
        bank = OccluderBank(cutouts.images, cutouts.tall)
    with held(workdir):
        write_config(workdir, config)
        loop.train(experiment, workdir, dataset.train, test_sets, bank, trained_on)


def check_flags() -> None:
    """Raises ConfigError for a flag that the mode does not have, or lacks."""
    mode = MODE.value
    if JSON.value and mode != "verify_data":
        raise ConfigError("--json is for --mode=verify_data; eval.json holds the scores")
    if CHECKPOINT.value is not None and mode != "eval":
        raise ConfigError(
            "--checkpoint is for --mode=eval; to train from weights set --config.init.checkpoint"
        )
    if WORKDIR.value is None and mode != "verify_data":
        raise ConfigError(f"--mode={mode} needs --workdir=DIR, for what it writes")


def verify_data(config: ConfigDict) -> None:
    """Prints what the config's data sets hold; ends with code 1 where scores would be wrong."""
    identities_per_batch = config.train.batch_size // config.train.images_per_identity
    with contextlib.redirect_stdout(sys.stderr):  # what preparing tells is not the report
        report = verify(config.data, config.eval.datasets, identities_per_batch)
    print(json.dumps(report, indent=2) if JSON.value else as_text(report), flush=True)
    if report["problems"]:
        sys.exit(1)


def check_checkpoint(workdir: Path, start: str) -> None:
    """Raises ConfigError where there are no weights to start from, or --checkpoint cannot be."""
    if start:
        find_checkpoint(Path(start).expanduser())
    if CHECKPOINT.value is None:
        return
    if (workdir / "checkpoints").exists():
        raise ConfigError(
            f"--workdir={workdir} is of a training, whose eval.json would be lost; choose another "
            "for the scores of --checkpoint"
        )
    find_checkpoint(Path(CHECKPOINT.value).expanduser())


def main(_: list[str]) -> None:
    # While there is nothing to save; loop.train takes both signals itself.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    with failing_together():
        try:
            run()
        except (ConfigError, DataError) as error:
            stop(error)
        except jax.errors.JaxRuntimeError as error:
            if "RESOURCE_EXHAUSTED" not in str(error):
                raise
            stop(out_of_memory(error))
        except OSError as error:
            if error.errno not in NO_ROOM:
                raise
            stop(ConfigError(f"{error}; make room, then give the same command again"))
        except KeyboardInterrupt:
            sys.exit(128 + signal.SIGINT)


def out_of_memory(error: Exception) -> ConfigError:
    """What to try, in the order of what it costs."""
    return ConfigError(
        f"the devices' memory is too small: {str(error).splitlines()[0]} In training try "
        "--config.data.cache=auto where it is 'device', then --config.model.dtype=bfloat16, then "
        "--config.train.microbatches=2 or more, then --config.model.remat=True, which leave the "
        "step's batch as it is; last a smaller --config.train.batch_size. In scoring lower "
        "--config.eval.batch_size. A bank of cut-outs (config.views.occluders) lies there too"
    )


def parse_flags(arguments: list[str]) -> list[str]:
    """absl's parser, with one sentence for a mistake in a flag or a config field."""
    try:
        check_fields(arguments)
        rest = flags.FLAGS(arguments)
        if flags.FLAGS["verbosity"].using_default_value:
            flags.FLAGS.verbosity = logging.FATAL  # orbax logs what it raises besides
        CONFIG.value.lock()  # raises here if the file could not be read
        return rest
    except AttributeError as error:  # of a locked ConfigDict; its last line names the nearest field
        told = str(error).strip("'\"").replace("\\n", "\n").splitlines()[-1]
        stop(ConfigError(f"the config file sets a field that configs/default.py lacks: {told}"))
    except (flags.Error, ConfigError, OSError) as error:
        stop(error)


def check_fields(arguments: list[str]) -> None:
    """Raises ConfigError for a --config.NAME that is no field; default.py names them all."""
    config = default.get_config()
    known = ["config", *(f"config.{name}" for name in [*config, *flatten(config.to_dict())])]
    for argument in arguments:
        name = argument.lstrip("-").split("=")[0]
        if argument.startswith("-") and name.startswith("config.") and name not in known:
            nearest = "".join(difflib.get_close_matches(name, known[1:], n=1, cutoff=0))
            raise ConfigError(f"--{name}: there is no such field; did you mean {nearest}?")


def stop(error: Exception) -> None:
    """Ends with one paragraph and exit code 2."""
    told = str(error)
    if not isinstance(error, DataError):  # whose messages may hold a table
        # ml_collections puts the traceback of a faulty config file into its message.
        told, _, traceback = told.partition("Traceback")
        told += traceback.splitlines()[-1] if traceback else ""
        told = " ".join(told.split())
    print(f"main.py: {told}", file=sys.stderr)
    sys.exit(2)


if __name__ == "__main__":
    app.run(main, flags_parser=parse_flags)
