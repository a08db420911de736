"""Compares distances, rankings and re-rankings of the golden features."""

import numpy as np

from dpeformer_jax.features import unit_length
from dpeformer_jax.retrieval.distances import centre_of, centred, mean_squared
from dpeformer_jax.retrieval.given_distances import rank_given
from dpeformer_jax.retrieval.metrics import Ranking
from dpeformer_jax.retrieval.protocol import Labels, matches
from dpeformer_jax.retrieval.rerank import rerank
from tests.parity.comparison import Quantity, Rows, unequal

FILE = "evaluation.npz"
SETTINGS = ((20, 6), (50, 15))
TIES = ("0.125", "0.25")
# Far below 0.125, of which the golden distances with ties are multiples: it only breaks ties.
TIE_BREAKER = 1e-3


def ranking() -> list[Quantity]:
    """Compares distances, CMC and mAP, and three ways to order ties.

    The ways are the gallery's own order, the best and the worst order.
    """
    rows = Rows(FILE)
    match = rows.values["q_pids"][:, None] == rows.values["g_pids"]
    for kind, tolerance in (("norm", 5e-6), ("raw", 1e-3)):
        distances = _distances(*_features(rows, kind))
        rows.add(f"{kind}: distances", tolerance, {f"{kind}/distmat": distances})
        _add_scores(rows, f"{kind}/", distances, kind)
    orders = {"stable": 0, "best": ~match * TIE_BREAKER, "worst": match * TIE_BREAKER}
    for step in TIES:
        key = f"ties_{step}/distmat"
        for order, shift in orders.items():
            if key in rows.values:
                name = f"ties of {step}, {order} order"
                _add_scores(rows, f"ties_{step}/", rows.values[key] + shift, name, f"_{order}")
    used = {"query_valid": _ranked(rows, distances).used}
    rows.add("queries with a match", 0, used, unequal)
    return rows


def reranking() -> list[Quantity]:
    """Compares re-ranking in float32 and in the released program's half precision."""
    rows = Rows(FILE)
    for kind in ("norm", "raw"):
        for k1, k2 in SETTINGS:
            distances = rerank(*_features(rows, kind), k1, k2)
            prefix, name = f"{kind}/rerank_{k1}_{k2}/", f"{kind}, re-ranked {k1}/{k2}"
            rows.add(f"{name}: distances", 1e-5, {f"{prefix}dist_f32variant": distances})
            _add_scores(rows, prefix, distances, name, "_f32variant")
            name += ", half precision"
            rows.add(f"{name}: distances", 1e-2, {f"{prefix}dist": distances})
            precision = np.nanmean(_ranked(rows, distances).precision)
            rows.add(f"{name}: mAP", 3e-3, {f"{prefix}mAP": precision})
    distances = rerank(*_features(rows, "norm"))
    prefix, name = "norm/rerank2_20_6/", "norm, re-ranked by the other module"
    rows.add(f"{name}: distances", 1e-5, {f"{prefix}dist": distances})
    _add_scores(rows, prefix, distances, name)
    return rows


def _features(rows: Rows, kind: str) -> list[np.ndarray]:
    features = [rows.values["qf"], rows.values["gf"]]
    return [unit_length(x) for x in features] if kind == "norm" else features


def _distances(query: np.ndarray, gallery: np.ndarray) -> np.ndarray:
    """Returns the squared distances [Q, G] as the devices compute them."""
    sides = {"": query}, {"": gallery}
    distances, _ = mean_squared(*(centred(side, centre_of(sides[0])) for side in sides))
    return np.asarray(distances)


def _ranked(rows: Rows, distances: np.ndarray) -> Ranking:
    labels = [Labels(rows.values[f"{x}_pids"], rows.values[f"{x}_camids"]) for x in "qg"]
    blocks = [(slice(0, len(distances)), distances)]
    return Ranking.of(rank_given(blocks, *labels, matches(*labels)))


def _add_scores(
    rows: Rows, prefix: str, distances: np.ndarray, name: str, suffix: str = ""
) -> None:
    ranked = _ranked(rows, distances)
    first = ranked.first[ranked.used]
    cmc = [np.mean(first <= rank) for rank in range(1, 51)]
    rows.add(f"{name}: mAP", 1e-6, {f"{prefix}mAP{suffix}": np.nanmean(ranked.precision)})
    rows.add(f"{name}: CMC 1 to 50", 1e-6, {f"{prefix}cmc{suffix}": cmc})
