"""The features of labelled pictures, as scores compare them: for what pictures show of rankings."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from dpeformer_jax.base.interfaces import Images, LabelledImages
from dpeformer_jax.base.subset import Subset
from dpeformer_jax.features import FeaturePass, Features
from dpeformer_jax.model.spec import NetworkSpec
from dpeformer_jax.retrieval.scoring import Scoring


def compared_features(
    features: FeaturePass,
    variables: Any,
    spec: NetworkSpec,
    images: LabelledImages,
    names: Sequence[str],
    scoring: Scoring,
    *,
    places: np.ndarray | None = None,
    pictures: Images | None = None,
    title: str = "features",
) -> Features:
    """Returns the named features of all the pictures, or of those at some places, [M, F] by name.

    Args:
        features, variables, spec: the network's feature pass, weights and definition.
        names: of features, and of SELECTED.
        pictures: others of the same people, in place of the images' own.
        title: of the progress bar.
    """
    rows = spec.rows_of(images.camera_names)[images.camera_rows]
    shown: Images = images if pictures is None else pictures
    asked = names, title, scoring.metric == "cosine"
    if places is None:
        return features(variables, shown, rows, *asked)
    if spec.mixes_batch:  # a picture's features need the others of its batch
        return {name: x[places] for name, x in features(variables, shown, rows, *asked).items()}
    return features(variables, Subset(shown, places), rows[places], *asked)
