"""What main.py's modes do with a config: each puts the rooms together and calls them."""

import json
import logging
import shlex
import sys
from pathlib import Path
from typing import Any

import jax
from ml_collections import ConfigDict

from configs import unpack
from configs.checks import check
from configs.parsing import adopt
from configs.record import check_config, differences, write_config
from data.dataset import load_dataset
from data.occluders import load_cutouts
from data.verify import as_text, verify
from dpeformer_jax.base.errors import UserError
from dpeformer_jax.checkpoint.weights import CHECKPOINTS, Weights, find_checkpoints, load_weights
from dpeformer_jax.retrieval.evaluate import evaluate
from dpeformer_jax.retrieval.report import Evaluation, table, write_report
from dpeformer_jax.runtime.devices import data_mesh, replicated
from dpeformer_jax.training.loop import train
from dpeformer_jax.training.workdir import (
    check_data,
    held,
    recorded_data,
    recorded_names,
    refuse_held,
    refuse_unwritable,
)

LOG = logging.getLogger("configs.modes")


def run_training(config: ConfigDict, workdir: Path) -> None:
    """Trains, and scores the network before its first step and at its end."""
    refuse_unwritable(workdir)
    check(config, jax.device_count(), jax.default_backend())
    check_config(workdir, config)
    refuse_held(workdir)
    if config.init.checkpoint:
        find_checkpoints(Path(config.init.checkpoint).expanduser())
    settings, sampling = unpack.data_settings_of(config), unpack.sampling_of(config)
    dataset = load_dataset(settings, config.eval.datasets, sampling, recorded_names(workdir))
    experiment = unpack.experiment_of(config, dataset.num_classes, dataset.train.camera_names)
    bank, trained_on = None, {"datasets": dataset.provenance}
    if config.views.occlusion == "roa":
        bank, origin = load_cutouts(config.views.occluders, tuple(config.data.image_size))
        trained_on["occluders"] = f"{len(bank.images):,} cut-outs {origin}"
        LOG.info("occluders: %s", trained_on["occluders"])

    def score(variables: Any, step: int, name: str) -> None:
        from dpeformer_jax.training.events import write_scores  # takes a second to load

        source = {"trained_on": recorded_data(workdir)} if step else {}
        found = evaluate(
            *(experiment.features, variables, experiment.spec, dataset.tests),
            *(unpack.rerank_of(config), source | {"step": step}),
        )
        tell(workdir / name, found)
        write_scores(workdir, found.report)

    with held(workdir):
        write_config(workdir, config)
        train(experiment, workdir, dataset.train, bank, trained_on, score)
    tell_next(f"{workdir} holds {CHECKPOINTS}/, metrics.jsonl, eval.json", "eval", workdir)


def run_evaluation(config: ConfigDict, workdir: Path, checkpoint: str | None) -> None:
    """Scores the workdir's newest checkpoint, or another, with the network of its own spec."""
    refuse_unwritable(workdir)
    weights, source = chosen_weights(workdir, checkpoint)
    adopt(config, unpack.fields_of(weights.spec), weights.spec)
    check(config, jax.device_count(), jax.default_backend(), training=False)
    spec = weights.spec
    # A workdir of version 1 only counts its cameras; its training set names them.
    unnamed = spec.sie_rows and not spec.cameras and checkpoint is None
    sampling = unpack.sampling_of(config) if unnamed else None
    names = recorded_names(Path(checkpoint or workdir))
    settings = unpack.data_settings_of(config)
    dataset = load_dataset(settings, config.eval.datasets, sampling, names)
    if unnamed:
        check_data(workdir, recorded_data(workdir) | {"datasets": dataset.provenance})
        spec = spec.with_cameras(dataset.train.camera_names)
    features = unpack.feature_pass_of(config, spec)
    variables = jax.device_put(weights.variables, replicated(data_mesh()))
    heading = source | {"step": weights.step}
    found = evaluate(features, variables, spec, dataset.tests, unpack.rerank_of(config), heading)
    if checkpoint is not None:
        write_config(workdir, config)
    tell(workdir / "eval.json", found)
    tell_next(f"{workdir} holds eval.json", "compare", f"{workdir},OTHER")


def chosen_weights(workdir: Path, checkpoint: str | None) -> tuple[Weights, dict[str, Any]]:
    """Reads the checkpoint to score; returns it and what eval.json says of where it is from."""
    trained_here = (workdir / CHECKPOINTS).exists()
    if checkpoint is None:
        if not trained_here:
            raise UserError(f"--workdir={workdir} holds no checkpoint; train first")
        weights, source = load_weights(workdir), {"trained_on": recorded_data(workdir)}
    elif trained_here:
        raise UserError(
            f"--workdir={workdir} is of a training, whose eval.json would be lost; choose another "
            "for the scores of --checkpoint"
        )
    else:
        weights = load_weights(Path(checkpoint))
        source = {"checkpoint": str(weights.folder)}
    weights.refuse_incomplete()
    return weights, source


def verify_data(config: ConfigDict, as_json: bool) -> None:
    """Prints what the config's data sets hold; ends with code 1 where scores would be wrong."""
    check(config, jax.device_count(), jax.default_backend())
    report = verify(
        unpack.data_settings_of(config), config.eval.datasets, unpack.sampling_of(config)
    )
    print(json.dumps(report, indent=2) if as_json else as_text(report), flush=True)
    if report["problems"]:
        sys.exit(1)


def compare_runs(workdirs: str, as_json: bool) -> None:
    """Prints how two workdirs, "A,B", differ: in their settings and in their scores."""
    from dpeformer_jax.retrieval.compare import compare
    from dpeformer_jax.retrieval.comparison_text import as_text

    folders = [Path(name).expanduser() for name in workdirs.split(",")]
    if len(folders) != 2:
        raise UserError(
            f"--workdir={workdirs} names {len(folders)} workdirs; --mode=compare needs two, as "
            "--workdir=A,B"
        )
    found = compare(*folders, differences(*folders))
    print(json.dumps(found, indent=2) if as_json else as_text(found), flush=True)


def tell(path: Path, found: Evaluation) -> None:
    """Writes a report with its rows, and prints its table."""
    write_report(path, found)
    report = found.report
    print(f"scores at step {report['step']} (percent; also in {path})\n{table(report)}", flush=True)


def tell_next(found: str, mode: str, workdir: Path | str) -> None:
    """Says in one line what lies where, and the next command."""
    command = f"python main.py --mode={mode} --workdir={shlex.quote(str(workdir))}"
    LOG.info("%s; next: %s", found, command)
