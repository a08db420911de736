"""What a network looked at in pictures, and what the distance of two is made of."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from dpeformer_jax.base.errors import UserError
from dpeformer_jax.base.pictures import Source
from dpeformer_jax.explanation.contributions import contributions
from dpeformer_jax.explanation.explain import Explanation, explain
from dpeformer_jax.extractor import Extractor
from dpeformer_jax.model.families import build_network, outputs_of
from dpeformer_jax.retrieval.distances import targets_of
from dpeformer_jax.serving.matching import judge_of


@dataclasses.dataclass(frozen=True)
class Pair:
    """What the squared distance of two pictures is made of.

    feature: that was compared; contributions: by piece, they add up to the distance; verdict: by
    the stored thresholds, None without any; reason: why there is none.
    """

    feature: str
    contributions: dict[str, float]
    verdict: str | None
    reason: str

    @property
    def distance(self) -> float:
        """The sum of the contributions."""
        return sum(self.contributions.values())


def compare(
    extractor: Extractor, one: Explanation, other: Explanation, far: float | None = None
) -> Pair:
    """Divides the distance of two explained pictures among the pieces of their features.

    far: see judge_of. Raises UserError where the calibration cannot be used.
    """
    name, spec = extractor.feature, extractor.spec
    members = targets_of(outputs_of(spec).features)[name]
    told = contributions(build_network(spec), members, one.features, other.features)
    judge = judge_of(extractor, far)
    return Pair(name, told, judge.verdict(sum(told.values())), judge.reason)


def explain_to_file(
    extractor: Extractor,
    pictures: Sequence[Source],
    target: Path,
    *,
    cameras: Sequence[str] | None = None,
    far: float | None = None,
) -> dict[str, Any]:
    """Explains pictures, writes the figure, and returns, ready for JSON, what it shows.

    Two pictures are compared as a pair.

    Args:
        target: *.png, *.jpg, *.webp, *.svg or *.pdf that is not there yet.
        cameras: of the pictures; needed where the network embeds the camera.
        far: false-accept rate at which a pair counts as one person; see judge_of.

    Raises:
        UserError: a picture cannot be read, the file exists, or matplotlib is missing.
    """
    drawing = _drawing(target)
    drawing.check_figure(target)
    rows = [extractor.spec.row_named(camera) for camera in cameras or [""] * len(pictures)]
    found = explain(extractor, pictures, rows)
    pair = compare(extractor, *found, far) if len(found) == 2 else None
    titles = [_name(picture, place) for place, picture in enumerate(pictures, 1)]
    pairs = {} if pair is None else {_told(pair): pair.contributions}
    drawing.write_figure(target, drawing.draw_explanations(found, titles, pairs))
    told = [_as_json(title, of) for title, of in zip(titles, found, strict=True)]
    both = None if pair is None else dataclasses.asdict(pair) | {"distance": pair.distance}
    return {"figure": str(target), "pictures": told, "pair": both}


def _drawing(target: Path) -> ModuleType:
    try:
        from dpeformer_jax.pictures import explanation_figure
    except ModuleNotFoundError as error:
        raise UserError(
            f"{target}: figures need matplotlib: pip install 'dpeformer_jax[pictures]'"
        ) from error
    return explanation_figure


def _name(picture: Source, place: int) -> str:
    return Path(picture).name if isinstance(picture, str | Path) else f"picture {place}"


def _told(pair: Pair) -> str:
    return "both pictures" if pair.verdict is None else f"both pictures, {pair.verdict}"


def _as_json(title: str, found: Explanation) -> dict[str, Any]:
    told: dict[str, Any] = {"picture": title, "grid": list(found.spec.grid)}
    told["rollout"] = _rounded(found.rollout)
    told["last_block"] = _rounded(found.last.mean(axis=0))
    if found.choice is None:
        return told
    choice = found.choice
    order = np.argsort(choice.rank)[: choice.count]
    similarity = _rounded(choice.falling)
    return told | {"count": choice.count, "kept": order.tolist(), "similarity": similarity}


def _rounded(values: np.ndarray) -> list[float]:
    return [float(f"{value:.6g}") for value in values]
