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
from configs.opened_network import open_network, warn_of_trained_pictures
from configs.record import check_config, differences, write_config
from configs.watching import watch_of
from data.dataset import load_dataset
from data.occluders import load_cutouts
from data.verify import as_text, verify
from dpeformer_jax.base.errors import UserError
from dpeformer_jax.base.interfaces import OccluderBank
from dpeformer_jax.checkpoint.weights import (
    CHECKPOINTS,
    find_checkpoints,
    steps_of,
    workdir_of,
)
from dpeformer_jax.retrieval.evaluate import evaluate
from dpeformer_jax.retrieval.report import Evaluation, write_report
from dpeformer_jax.retrieval.scores_text import table
from dpeformer_jax.runtime.malloc import advise_malloc
from dpeformer_jax.training.history import recorded
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
    if config.model.sie and not dataset.cameras_known:
        raise UserError("config.model.sie = True needs cameras, and a training set tells none")
    warn_of_trained_pictures(dataset.tests, set(dataset.train.digests))
    experiment = unpack.experiment_of(config, dataset.num_classes, dataset.train.camera_names)
    advise_malloc(experiment.network.width)
    bank, origin = cutouts_of(config)
    trained_on = {"datasets": dataset.provenance} | origin

    def scored(variables: Any, step: int) -> Evaluation:
        source = {"trained_on": recorded_data(workdir)} if step else {}
        return evaluate(
            *(experiment.features, variables, experiment.spec, dataset.tests),
            *(unpack.scoring_of(config), source | {"step": step}),
        )

    def score(variables: Any, step: int, name: str) -> None:
        from dpeformer_jax.training.events import write_scores  # takes a second to load

        found = scored(variables, step)
        tell(workdir / name, found)
        write_scores(workdir, found.report)

    watch = watch_of(config, experiment, dataset.tests, scored) if config.eval.every else None

    with held(workdir), recorded(workdir):
        if steps_of(workdir):  # what is refused must not change config.json
            check_data(workdir, trained_on)
        write_config(workdir, config)
        train(experiment, workdir, dataset.train, bank, trained_on, score, watch)
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
    opened = open_network(config, workdir, checkpoint)
    weights, heading = opened.weights, opened.source | {"step": opened.weights.step}
    scored = opened.features, opened.variables, opened.spec, opened.tests
    found = evaluate(*scored, unpack.scoring_of(config), heading, weights.folder)
    if workdir_of(weights.folder) != workdir:
        write_config(workdir, config)
    tell(workdir / "eval.json", found)
    tell_next(f"{workdir} holds eval.json", "compare", f"{workdir},OTHER")


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
