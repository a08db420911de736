"""Presets: fields that belong together, by the name after a config file's colon.

python main.py --config=configs/occluded_duke.py:baseline --workdir=runs/baseline

Each family's is its authors' published recipe. docs/families.md tells where they come from.
"""

from typing import Any

NO_DPEFORMER_LOSS = {
    "loss.id_features": 0.0,
    "loss.id_global": 0.0,
    "loss.id_parts": 0.0,
    "loss.memory_clean": 0.0,
    "loss.memory_occluded": 0.0,
}
BASELINE = NO_DPEFORMER_LOSS | {
    "model.family": "baseline",
    "views.occlusion": "none",
    "views.erasing": 0.5,
    "views.jitter": 0.0,
    "loss.identity": 1.0,
    "loss.triplet": 1.0,
}
PRESETS: dict[str, dict[str, Any]] = {
    "": {},
    # What the authors' released program computes, where it differs from the paper: for comparison
    # alone. With it a feature depends on the other images of its batch (docs/differences.md).
    "released": {
        "model.global_token": "first_patch",  # top left, and not the class token
        "model.pooling": "batch",  # lists of kept patches shortened to the batch's shortest
        "model.head_merge": "batch",  # attention of other images enters a part
        "views.occlusion": "erasing",  # a rectangle of noise instead of cut-outs
        "loss.memory_epsilon": 1e-6,  # inside softmax and logarithm
    },
    "baseline": BASELINE,
    "transreid": BASELINE
    | {
        "model.family": "transreid",
        "model.stride": 12,
        "model.sie": True,
    },
    "clipreid": BASELINE
    | {
        "model.family": "clipreid",
        "model.variant": "clip_b16",
        "model.sie_coefficient": 1.0,
        "model.drop_path": 0.0,
        "loss.identity": 0.5,  # 0.25 for each of two, of which the term is the mean
        "loss.triplet": 3.0,  # 1 for each of three
        "loss.triplet_margin": 0.3,
        "loss.label_smoothing": 0.1,
        "optim.name": "adam",
        "optim.lr": 5e-6,
        "optim.schedule": "steps",
        "optim.warmup_epochs": 10,
        "train.epochs": 60,
    },
    "pass": BASELINE
    | {
        "model.family": "pass",
        "model.variant": "pass_b16",
        "model.token_necks": True,
        "optim.lr": 4e-4,
        "optim.warmup_epochs": 20,
    },
}


def preset_named(name: str) -> dict[str, Any]:
    """Returns the fields of a preset; raises ValueError where there is none of that name."""
    if name not in PRESETS:
        known = ", ".join(repr(known) for known in PRESETS if known)
        raise ValueError(f"there is no preset {name!r}; there are {known}")
    return PRESETS[name]
