"""Trains and scores DPEFormer: python main.py --config=configs/quickstart.py --workdir=DIR"""

import json
import logging
import signal
import sys
from pathlib import Path
from typing import Any

import jax
from absl import app, flags
from ml_collections import ConfigDict, config_flags

from configs import unpack
from configs.checks import check
from configs.parsing import adopt, parse
from configs.record import check_config, write_config
from data.dataset import load_dataset
from data.occluders import load_cutouts
from data.verify import as_text, verify
from dpeformer_jax.base.command import log_to_stderr, one_paragraph
from dpeformer_jax.base.errors import UserError
from dpeformer_jax.checkpoint.weights import CHECKPOINTS, Weights, find_checkpoints, load_weights
from dpeformer_jax.retrieval.evaluate import evaluate
from dpeformer_jax.retrieval.report import table, write_report
from dpeformer_jax.runtime.compilation import keep_compiled
from dpeformer_jax.runtime.devices import data_mesh, memory_explained, replicated
from dpeformer_jax.runtime.processes import failing_together, join_processes
from dpeformer_jax.training.loop import train
from dpeformer_jax.training.workdir import (
    check_data,
    held,
    recorded_data,
    refuse_held,
    refuse_unwritable,
)

LOG = logging.getLogger("dpeformer_jax.main")
CONFIG = config_flags.DEFINE_config_file("config", None, "File of the config.", lock_config=True)
WORKDIR = flags.DEFINE_string("workdir", None, "Folder of checkpoints and records.")
CHECKPOINT = flags.DEFINE_string(
    "checkpoint", None, "With --mode=eval: scores this one instead of the workdir's newest."
)
MODE = flags.DEFINE_enum("mode", "train", ["train", "eval", "verify_data"], "What to do.")
JSON = flags.DEFINE_boolean("json", False, "With --mode=verify_data: the report as JSON.")
flags.mark_flags_as_required(["config"])


def run() -> None:
    """Runs the mode that the command line asks for."""
    config = CONFIG.value
    check_flags()
    join_processes(unpack.distributed_of(config))
    keep_compiled()
    if MODE.value == "verify_data":
        verify_data(config)
        return
    workdir = Path(WORKDIR.value).expanduser()
    refuse_unwritable(workdir)
    if MODE.value == "train":
        run_training(config, workdir)
    else:
        run_evaluation(config, workdir)


def check_flags() -> None:
    """Raises UserError for a flag that the mode does not have, or lacks."""
    mode = MODE.value
    if JSON.value and mode != "verify_data":
        raise UserError("--json is for --mode=verify_data; eval.json holds the scores")
    if CHECKPOINT.value is not None and mode != "eval":
        raise UserError(
            "--checkpoint is for --mode=eval; to train from weights set --config.init.checkpoint"
        )
    if WORKDIR.value is None and mode != "verify_data":
        raise UserError(f"--mode={mode} needs --workdir=DIR, for what it writes")


def run_training(config: ConfigDict, workdir: Path) -> None:
    """Trains, and scores the network before its first step and at its end."""
    check(config, jax.device_count(), jax.default_backend())
    check_config(workdir, config)
    refuse_held(workdir)
    if config.init.checkpoint:
        find_checkpoints(Path(config.init.checkpoint).expanduser())
    settings, sampling = unpack.data_settings_of(config), unpack.sampling_of(config)
    dataset = load_dataset(settings, config.eval.datasets, sampling)
    experiment = unpack.experiment_of(config, dataset.num_classes, dataset.train.camera_names)
    bank, trained_on = None, {"datasets": dataset.provenance}
    if config.views.occlusion == "roa":
        bank, origin = load_cutouts(config.views.occluders, tuple(config.data.image_size))
        trained_on["occluders"] = f"{len(bank.images):,} cut-outs {origin}"
        LOG.info("occluders: %s", trained_on["occluders"])

    def score(variables: Any, step: int, name: str) -> None:
        source = {"trained_on": recorded_data(workdir)} if step else {}
        found = evaluate(
            *(experiment.features, variables, experiment.spec, dataset.tests),
            *(unpack.rerank_of(config), source | {"step": step}),
        )
        tell(workdir / name, found)

    with held(workdir):
        write_config(workdir, config)
        train(experiment, workdir, dataset.train, bank, trained_on, score)


def run_evaluation(config: ConfigDict, workdir: Path) -> None:
    """Scores a checkpoint with the network that its own spec defines."""
    weights, source = chosen_weights(workdir)
    adopt(config, unpack.fields_of(weights.spec), weights.spec)
    check(config, jax.device_count(), jax.default_backend(), training=False)
    spec = weights.spec
    # A workdir of version 1 only counts its cameras; its training set names them.
    unnamed = spec.sie_rows and not spec.cameras and CHECKPOINT.value is None
    sampling = unpack.sampling_of(config) if unnamed else None
    dataset = load_dataset(unpack.data_settings_of(config), config.eval.datasets, sampling)
    if unnamed:
        check_data(workdir, recorded_data(workdir) | {"datasets": dataset.provenance})
        spec = spec.with_cameras(dataset.train.camera_names)
    features = unpack.feature_pass_of(config, spec)
    variables = jax.device_put(weights.variables, replicated(data_mesh()))
    heading = source | {"step": weights.step}
    found = evaluate(features, variables, spec, dataset.tests, unpack.rerank_of(config), heading)
    if CHECKPOINT.value is not None:
        write_config(workdir, config)
    tell(workdir / "eval.json", found)


def chosen_weights(workdir: Path) -> tuple[Weights, dict[str, Any]]:
    """Reads the checkpoint to score; returns it and what eval.json says of where it is from."""
    trained_here = (workdir / CHECKPOINTS).exists()
    if CHECKPOINT.value is None:
        if not trained_here:
            raise UserError(f"--workdir={workdir} holds no checkpoint; train first")
        weights, source = load_weights(workdir), {"trained_on": recorded_data(workdir)}
    elif trained_here:
        raise UserError(
            f"--workdir={workdir} is of a training, whose eval.json would be lost; choose another "
            "for the scores of --checkpoint"
        )
    else:
        weights = load_weights(Path(CHECKPOINT.value))
        source = {"checkpoint": str(weights.folder)}
    weights.refuse_incomplete()
    return weights, source


def tell(path: Path, report: dict[str, Any]) -> None:
    """Writes a report and prints its table."""
    write_report(path, report)
    print(f"scores at step {report['step']} (percent; also in {path})\n{table(report)}", flush=True)


def verify_data(config: ConfigDict) -> None:
    """Prints what the config's data sets hold; ends with code 1 where scores would be wrong."""
    check(config, jax.device_count(), jax.default_backend())
    identities_per_batch = unpack.sampling_of(config).identities_per_batch
    report = verify(unpack.data_settings_of(config), config.eval.datasets, identities_per_batch)
    print(json.dumps(report, indent=2) if JSON.value else as_text(report), flush=True)
    if report["problems"]:
        sys.exit(1)


def main(_: list[str]) -> None:
    # While there is nothing to save; the training takes both signals itself.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    log_to_stderr()
    with failing_together(), one_paragraph("main.py"), memory_explained():
        run()


if __name__ == "__main__":
    app.run(main, flags_parser=parse)
