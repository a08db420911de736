"""From a network and a test set to scores. Every image counts once."""

import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Protocol

import jax
import numpy as np
from jax.sharding import Mesh
from tqdm import tqdm

from dpeformer_jax.devices import own_places, prefetch, replicated
from dpeformer_jax.errors import ConfigError
from dpeformer_jax.files import write_whole
from dpeformer_jax.model.dpeformer import DPEFormer
from dpeformer_jax.model.pixels import from_uint8, normalize
from dpeformer_jax.retrieval import metrics

Rerank = Callable[[np.ndarray, np.ndarray], np.ndarray]  # features [Q, F], [G, F] -> distances
COLUMNS = ("mAP", "mINP", *(f"rank{k}" for k in metrics.RANKS))


class Images(Protocol):
    """Labelled images, as evaluation needs them.

    identities, cameras: [M] int; sides: [M] row of the SIE, -1 for a camera without one.
    `batches(plan)` yields the images at the indices [S, B] as {"image": uint8 [B, H, W, 3],
    "label": [B], "camera": [B] row of the SIE}.
    """

    identities: np.ndarray
    cameras: np.ndarray
    sides: np.ndarray

    def batches(self, plan: np.ndarray) -> Iterator[dict[str, np.ndarray]]: ...


class FeatureExtractor:
    """The network in evaluation mode over whole sets of images, compiled once."""

    def __init__(self, model: DPEFormer, mesh: Mesh, batch_size: int):
        self._model = model

        def features(variables: Any, image: jax.Array, side: jax.Array) -> dict[str, jax.Array]:
            outputs = model.apply(variables, normalize(from_uint8(image)), side)
            return {"holistic": outputs.holistic, "parts": outputs.parts}

        self._features = jax.jit(features, out_shardings=replicated(mesh))
        self._mesh = mesh
        self.batch_size = batch_size

    def batches(
        self, variables: Any, images: Images, title: str
    ) -> Iterator[tuple[dict[str, jax.Array], np.ndarray]]:
        """Yields (features on the devices [B, F], indices [n] of the images), all once in order.

        Of the last batch only the first n features count; the rest are padding. A progress bar
        is shown on a terminal.

        Raises:
            ConfigError: the network embeds the camera, and one of the images' was not in training.
        """
        if self._model.sides and (images.sides < 0).any():
            unknown = np.unique(images.cameras[images.sides < 0])
            raise ConfigError(
                f"{title}: cameras {unknown.tolist()} are not among those of the training set, "
                "which config.model.sie = True needs; set it to False"
            )
        total = len(images.identities)
        plan = np.arange(-(-total // self.batch_size) * self.batch_size)
        plan = plan.reshape(-1, self.batch_size)
        own = np.minimum(plan, total - 1)[:, own_places(self._mesh, self.batch_size)]
        batches = prefetch(images.batches(own), self._mesh)
        bar = tqdm(batches, desc=title, total=len(plan), unit="batch", disable=None)
        for batch, places in zip(bar, plan, strict=True):
            features = self._features(variables, batch["image"], batch["camera"])
            yield features, places[places < total]

    def __call__(self, variables: Any, images: Images, title: str) -> dict[str, np.ndarray]:
        """L2-normalised features of all images: holistic, parts [M, P * D], concat [M, 2 P * D].

        The concatenation gives both features the same weight.
        """
        found: list[dict[str, np.ndarray]] = []
        waiting = None
        for features, places in self.batches(variables, images, title):
            found += [] if waiting is None else [_fetch(*waiting)]
            waiting = features, len(places)
        found.append(_fetch(*waiting))
        holistic, parts = (
            metrics.normalize(np.concatenate([f[name] for f in found]))
            for name in ("holistic", "parts")
        )
        concat = metrics.normalize(np.concatenate([holistic, parts], axis=1))
        return {"holistic": holistic, "parts": parts, "concat": concat}


def evaluate(
    extractor: FeatureExtractor,
    variables: Any,
    query: Images,
    gallery: Images,
    rerank: Rerank | None = None,
) -> dict[str, Any]:
    """Scores of one test set: {"holistic" | "parts" | "concat": {mAP, ...}, "queries_used", ...}.

    With `rerank` also "holistic_reranked" and so on, of the distances it gives.

    Raises:
        ValueError: no query has a match in the gallery.
    """
    query_features = extractor(variables, query, "query")
    gallery_features = extractor(variables, gallery, "gallery")
    result: dict[str, Any] = {}
    labels = query.identities, gallery.identities, query.cameras, gallery.cameras
    for name, features in query_features.items():
        scores = metrics.score(features, gallery_features[name], *labels)
        result[name] = scores.as_dict()
        if rerank is not None:
            distances = rerank(features, gallery_features[name])
            reranked = metrics.score_distances(distances.__getitem__, *labels)
            result[f"{name}_reranked"] = reranked.as_dict()
    result["queries_used"] = scores.queries_used
    result["queries_skipped"] = scores.queries_skipped
    return result


def table(report: Mapping[str, Any]) -> str:
    """The content of eval.json as text, scores in percent."""
    lines = [f"{'data set':20} {'feature':18}" + "".join(f"{c:>8}" for c in COLUMNS)]
    for name, result in report["datasets"].items():
        for feature, scores in result.items():
            if isinstance(scores, dict):
                cells = "".join(f"{100 * scores[c]:8.1f}" for c in COLUMNS)
                lines.append(f"{name:20} {feature:18}{cells}")
        used, skipped = result["queries_used"], result["queries_skipped"]
        lines.append(f"{name:20} {used} queries used, {skipped} skipped (no match left)")
    return "\n".join(lines)


def write_report(path: Path, report: Mapping[str, Any]) -> None:
    """Writes eval.json whole or not at all.

    Scores of the same network on other data sets, which an earlier report there has, stay.
    """
    old = json.loads(path.read_text()) if path.exists() else {}
    if {**old, "datasets": None} == {**report, "datasets": None}:
        report = {**report, "datasets": old["datasets"] | report["datasets"]}
    write_whole(path, json.dumps(report, indent=2) + "\n")


def _fetch(features: dict[str, jax.Array], count: int) -> dict[str, np.ndarray]:
    return {name: np.asarray(value)[:count] for name, value in features.items()}
