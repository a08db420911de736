"""What main.py's --mode=calibrate does: same-person thresholds, stored beside the weights."""

import dataclasses
import logging
import shlex
from pathlib import Path
from typing import Any

import jax
from ml_collections import ConfigDict

from configs import unpack
from configs.checks import check
from configs.modes import cutouts_of
from configs.occluded import Occluded
from configs.opened_network import chosen_weights, with_assumed_cameras
from configs.parsing import adopt
from data.calibration_set import CalibrationSet, given_set, held_out_set
from data.dataset import load_dataset
from dpeformer_jax.base.errors import UserError
from dpeformer_jax.base.interfaces import LabelledImages
from dpeformer_jax.checkpoint.checksums import fingerprint, fingerprint_of
from dpeformer_jax.checkpoint.weights import Weights, workdir_of
from dpeformer_jax.features import SELECTED, FeaturePass, Features, unit_length
from dpeformer_jax.retrieval.calibrate import calibrate
from dpeformer_jax.retrieval.calibration import NAME, write_calibration
from dpeformer_jax.retrieval.calibration_pairs import People
from dpeformer_jax.retrieval.calibration_text import as_text
from dpeformer_jax.runtime.devices import data_mesh, replicated
from dpeformer_jax.training.experiment import ONE_VIEW
from dpeformer_jax.training.workdir import (
    check_data,
    recorded_data,
    recorded_names,
    recorded_pictures,
)

LOG = logging.getLogger("configs.calibration")


def run_calibration(config: ConfigDict, workdir: Path, checkpoint: str | None) -> None:
    """Finds the thresholds of the workdir's newest checkpoint, or of another, and stores them."""
    settings = unpack.calibrate_of(config)
    weights, _ = chosen_weights(workdir, checkpoint)
    adopt(config, unpack.fields_of(weights.spec), weights.spec)
    check(config, jax.device_count(), jax.default_backend(), training=False)
    if config.views.occlusion == ONE_VIEW:  # thresholds are for occluded pictures all the same
        config.views.occlusion = "roa"
    if weights.spec.unnamed_cameras and weights.converted:
        trained = unpack.data_settings_of(config), (), unpack.sampling_of(config)
        spec = with_assumed_cameras(weights.spec, load_dataset(*trained))
        weights = dataclasses.replace(weights, spec=spec)
    found = _opened(config, settings.dataset, workdir_of(weights.folder))
    features = unpack.feature_pass_of(config, weights.spec)
    bank, origin = cutouts_of(config)
    behind = Occluded(found.images, config.views.occlusion, bank, config.seed)
    people = People.of(
        found.images.identities, found.images.cameras if found.cameras_known else None
    )
    told = {
        "told": f"{len(people.places)} pictures of {len(people.images)} people ({found.told})",
        **_heading(weights, found, features),
        "occlusion": {"kind": config.views.occlusion, "seed": config.seed, **origin},
        "features": calibrate(
            *_both(weights, found.images, behind, features), people, settings.far
        ),
    }
    write_calibration(weights.folder, told)
    print(as_text(told), flush=True)
    other = [] if checkpoint is None else [f"--checkpoint={checkpoint}"]
    command = shlex.join(["python", "main.py", "--mode=eval", f"--workdir={workdir}", *other])
    LOG.info("%s holds the thresholds; next: %s", weights.folder / NAME, command)


def _both(
    weights: Weights, images: LabelledImages, behind: Occluded, features: FeaturePass
) -> tuple[Features, Features]:
    """Returns the features of the pictures, clean and occluded, at length 1."""
    variables = jax.device_put(weights.variables, replicated(data_mesh()))
    rows = weights.spec.rows_of(images.camera_names)[images.camera_rows]
    clean = features(variables, images, rows, title="clean")
    clean.pop(SELECTED, None)
    occluded = features(variables, behind, rows, list(clean), "occluded")
    scaled = ({n: unit_length(x) for n, x in of.items()} for of in (clean, occluded))
    return next(scaled), next(scaled)


def _heading(weights: Weights, found: CalibrationSet, features: FeaturePass) -> dict[str, Any]:
    """Returns what thresholds depend on: the weights, the pictures, and how they are compared."""
    digests = sorted(digest.hex() for digest in found.images.digests)
    mixed = {"batch_size": features.batch_size} if weights.spec.mixes_batch else {}
    return {
        "weights": fingerprint_of(weights.variables),
        "network": weights.spec.to_json(),
        "step": weights.step,
        "data": found.provenance,
        "pictures": fingerprint({"sha256": digests}),
        "settings": {
            "flip": features.flip,
            "distance": "squared Euclidean of features at length 1; cosine = 1 - distance / 2",
            "genuine": "pictures of two cameras" if found.cameras_known else "any two pictures",
            **mixed,
        },
    }


def _opened(config: ConfigDict, dataset: str, trained_in: Path) -> CalibrationSet:
    """Opens the pictures; raises UserError where the network was trained on one of them."""
    settings, names = unpack.data_settings_of(config), recorded_names(trained_in)
    trained = recorded_pictures(trained_in)
    if dataset:
        found = given_set(settings, dataset, config.eval.datasets, names)
    else:
        found = held_out_set(settings, names)
        if names:
            check_data(trained_in, recorded_data(trained_in) | {"datasets": found.provenance})
    if not trained:
        LOG.warning(
            "%s does not record which pictures the network was trained on; if these were among "
            "them, the thresholds promise nothing",
            trained_in,
        )
    if shared := sum(digest in trained for digest in found.images.digests):
        raise UserError(
            f"{shared} of the {len(found.images)} pictures ({found.told}) were trained on, as "
            f"{trained_in} records, so they say nothing of people that are new: set "
            "config.data.held_out, config.data.split_seed and the data sets as in the training, or "
            "give another data set by --config.calibrate.dataset"
        )
    return found
