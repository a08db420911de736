"""What main.py's modes do with a config: each puts the rooms together and calls them."""

import json
import logging
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax
from ml_collections import ConfigDict

from configs import unpack
from configs.checks import check
from configs.parsing import adopt
from configs.record import check_config, differences, write_config
from data.dataset import Dataset, load_dataset
from data.occluders import load_cutouts
from data.verify import as_text, verify
from dpeformer_jax.base.errors import UserError, some
from dpeformer_jax.base.interfaces import OccluderBank, TestSet
from dpeformer_jax.checkpoint.weights import (
    CHECKPOINTS,
    Weights,
    find_checkpoints,
    load_weights,
    steps_of,
    workdir_of,
)
from dpeformer_jax.model.spec import NetworkSpec
from dpeformer_jax.retrieval.evaluate import evaluate
from dpeformer_jax.retrieval.report import Evaluation, stored_report, write_report
from dpeformer_jax.retrieval.scores_text import table
from dpeformer_jax.runtime.devices import data_mesh, replicated
from dpeformer_jax.training.loop import train
from dpeformer_jax.training.workdir import (
    check_data,
    held,
    recorded_data,
    recorded_names,
    recorded_pictures,
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
    if config.model.sie and not dataset.cameras_known:
        raise UserError("config.model.sie = True needs cameras, and a training set tells none")
    warn_of_trained_pictures(dataset.tests, set(dataset.train.digests))
    experiment = unpack.experiment_of(config, dataset.num_classes, dataset.train.camera_names)
    bank, origin = cutouts_of(config)
    trained_on = {"datasets": dataset.provenance} | origin

    def score(variables: Any, step: int, name: str) -> None:
        from dpeformer_jax.training.events import write_scores  # takes a second to load

        source = {"trained_on": recorded_data(workdir)} if step else {}
        found = evaluate(
            *(experiment.features, variables, experiment.spec, dataset.tests),
            *(unpack.scoring_of(config), source | {"step": step}),
        )
        tell(workdir / name, found)
        write_scores(workdir, found.report)

    with held(workdir):
        if steps_of(workdir):  # what is refused must not change config.json
            check_data(workdir, trained_on)
        write_config(workdir, config)
        train(experiment, workdir, dataset.train, bank, trained_on, score)
    tell_next(f"{workdir} holds {CHECKPOINTS}/, metrics.jsonl, eval.json", "eval", workdir)


def cutouts_of(config: ConfigDict) -> tuple[OccluderBank | None, dict[str, str]]:
    """Loads the cut-outs, if the occluded view needs some, and says where they are from."""
    if config.views.occlusion != "roa":
        return None, {}
    bank, origin = load_cutouts(config.views.occluders, tuple(config.data.image_size))
    told = f"{len(bank.images):,} cut-outs {origin}"
    LOG.info("occluders: %s", told)
    return bank, {"occluders": told}


def run_evaluation(config: ConfigDict, workdir: Path, checkpoint: str | None) -> None:
    """Scores the workdir's newest checkpoint, or another, with the network of its own spec."""
    refuse_unwritable(workdir)
    weights, source = chosen_weights(workdir, checkpoint)
    trained_in = workdir_of(weights.folder)
    adopt(config, unpack.fields_of(weights.spec), weights.spec)
    check(config, jax.device_count(), jax.default_backend(), training=False)
    spec = weights.spec
    # A workdir of version 1 only counts its cameras, and so does a file of another program; the
    # training set names them.
    unnamed = spec.unnamed_cameras and (trained_in == workdir or weights.converted)
    sampling = unpack.sampling_of(config) if unnamed else None
    settings, names = unpack.data_settings_of(config), recorded_names(trained_in)
    dataset = load_dataset(settings, config.eval.datasets, sampling, names)
    warn_of_trained_pictures(dataset.tests, recorded_pictures(trained_in))
    if unnamed and weights.converted:
        spec = with_assumed_cameras(spec, dataset)
    elif unnamed:
        check_data(workdir, recorded_data(workdir) | {"datasets": dataset.provenance})
        spec = spec.with_cameras(dataset.train.camera_names)
    features = unpack.feature_pass_of(config, spec)
    variables = jax.device_put(weights.variables, replicated(data_mesh()))
    heading = source | {"step": weights.step}
    scoring = unpack.scoring_of(config)
    found = evaluate(*(features, variables, spec, dataset.tests, scoring, heading), weights.folder)
    if trained_in != workdir:
        write_config(workdir, config)
    tell(workdir / "eval.json", found)
    tell_next(f"{workdir} holds eval.json", "compare", f"{workdir},OTHER")


def with_assumed_cameras(spec: NetworkSpec, dataset: Dataset) -> NetworkSpec:
    """Names a converted network's cameras by those of the training set in their order; says so."""
    cameras = dataset.train.camera_names
    LOG.warning(
        "the converted network does not name the %d cameras that it embeds; they are taken for "
        "%s, the cameras of this config's training set",
        *(spec.sie_rows, some([f"{name} {number}" for name, number in cameras])),
    )
    return spec.with_cameras(cameras)


def chosen_weights(workdir: Path, checkpoint: str | None) -> tuple[Weights, dict[str, Any]]:
    """Reads the checkpoint to score; returns it and what eval.json says of where it is from."""
    if not (workdir / CHECKPOINTS).exists():
        # A workdir where another's checkpoint was scored names it.
        checkpoint = checkpoint or stored_report(workdir / "eval.json").get("checkpoint")
        if checkpoint is None:
            raise UserError(
                f"--workdir={workdir} holds no checkpoint; train first, or score "
                "one from elsewhere by --checkpoint"
            )
    elif checkpoint is not None:
        raise UserError(
            f"--workdir={workdir} holds a training of its own, which --checkpoint would leave "
            "out; leave out --checkpoint, or choose another --workdir for it"
        )
    weights = load_weights(Path(checkpoint or workdir))
    weights.refuse_incomplete()
    source = {} if checkpoint is None else {"checkpoint": str(weights.folder)}
    trained_on = recorded_data(workdir_of(weights.folder))
    return weights, source | ({"trained_on": trained_on} if trained_on else {})


def warn_of_trained_pictures(tests: Sequence[TestSet], trained: set[bytes]) -> None:
    """Warns where a test set shows pictures that were trained on, known by their SHA-256."""
    for test in tests:
        digests = [*test.query.digests, *test.gallery.digests]
        if shared := sum(digest in trained for digest in digests):
            LOG.warning(
                "%s: %d of its %d pictures were trained on, so its scores are too high",
                *(test.name, shared, len(digests)),
            )


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
    from dpeformer_jax.retrieval.scored_run import ScoredRun

    folders = [Path(name.strip()).expanduser() for name in workdirs.split(",")]
    if len(folders) != 2:
        raise UserError(
            f"--workdir={workdirs} names {len(folders)} workdirs; --mode=compare needs two, as "
            "--workdir=A,B"
        )
    a = ScoredRun(folders[0])
    b = ScoredRun(folders[1], like=a)
    found = compare(a, b, differences(a.trained_in, b.trained_in))
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
