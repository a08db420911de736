"""Compares five steps of training: losses, the first gradient, and the state at the end."""

import zlib
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax.traverse_util import flatten_dict

from dpeformer_jax.conversion import network_names
from dpeformer_jax.conversion.mapping import Arrays, to_theirs
from dpeformer_jax.model.variants import VARIANTS
from dpeformer_jax.training.divergence import Metrics
from dpeformer_jax.training.experiment import TrainState
from dpeformer_jax.training.optim import optimizer
from dpeformer_jax.training.step import learn
from tests.parity import released
from tests.parity.comparison import Measure, Quantity, Rows, relative, unequal
from tests.parity.network import RELEASED, weights
from tests.parity.training import (
    FILE,
    OBJECTIVE,
    SCHEDULE,
    add_memory,
    add_statistics,
    both_views,
    in_their_terms,
)

WEIGHT_DECAY = 1e-4
OPTIMIZER = optimizer("sgd", WEIGHT_DECAY, momentum=0.9)
RATES = SCHEDULE.rates(1)
TABLE = network_names.dpeformer(VARIANTS["b16"], parts=4)
# Later steps may exchange two nearly equal patches (README of the golden files, section 4).
LATER = ((slice(0, 1), "1", 1e-4), (slice(1, 3), "2 and 3", 5e-4), (slice(3, 5), "4 and 5", 3e-3))


def steps() -> list[Quantity]:
    """Compares everything that training changes."""
    rows = Rows(FILE)
    start, first, end, metrics = _train(rows.values["labels"])
    _add_metrics(rows, metrics)
    _add_names(rows, start)
    _add_gradient(rows, start, first)
    _add_update(rows, start, end)
    add_memory(rows, "after step 1", "memory_rows1", first.memory)
    add_memory(rows, "after step 5", "memory_rows_end", end.memory)
    add_statistics(rows, "after_step5", end.batch_stats, 1e-5)
    return rows


def _train(labels: np.ndarray) -> tuple[TrainState, TrainState, TrainState, Metrics]:
    """Returns the state before, after the first and after the fifth step; metrics of all steps."""
    step = jax.jit(partial(learn, network=RELEASED, tx=OPTIMIZER, objective=OBJECTIVE))
    variables = weights()
    state = TrainState(
        step=jnp.zeros((), jnp.int32),
        params=variables["params"],
        batch_stats=variables["batch_stats"],
        memory=jnp.asarray(released.memory_bank()),
        opt_state=OPTIMIZER.init(variables["params"]),
    )
    views = jnp.asarray(released.views())
    batch = {"label": jnp.asarray(labels), "camera_row": None}
    keys = jax.random.split(jax.random.key(0), (2, len(labels)))  # nothing is dropped
    kept, metrics = [state], []
    with jax.default_matmul_precision("highest"):
        for number in range(1, 6):
            # The released program reports the accuracy of the occluded view.
            (_, occluded), *_ = both_views(state.variables)
            accuracy = (occluded.logits["holistic"].argmax(axis=1) == labels).mean()
            state, found = step(state, views, batch, keys, RATES)
            metrics.append({**found, "accuracy_occluded": accuracy})
            if number in (1, 5):
                kept.append(state)
    return *kept, jax.tree.map(lambda *x: np.array(x), *metrics)


def _add_metrics(rows: Rows, metrics: Metrics) -> None:
    for part, name, tolerance in LATER:
        for key, value in in_their_terms(metrics["loss"], metrics).items():
            ours = dict.fromkeys((f"steps/{key}", f"steps_f64/{key}"), value)
            rows.add(f"step {name}: {key}", tolerance, ours, only=part)
    accuracy = dict.fromkeys(("steps/acc", "steps_f64/acc"), metrics["accuracy_occluded"])
    rows.add("5 steps: accuracy of view 2", 0, accuracy)
    selected = np.broadcast_to(metrics["selected"][:, None, None], (5, 2, 8))
    rows.add("5 steps: mean number of patches", 0, {"steps/K_raw": selected}, mean_of_clamped)


def mean_of_clamped(ours: np.ndarray, theirs: np.ndarray) -> np.ndarray:
    """Compares our mean of counts, each at least 24, with the mean of their counts [S, V, B]."""
    return np.abs(ours - np.maximum(theirs, 24).mean(axis=(1, 2), keepdims=True))


def _add_names(rows: Rows, start: TrainState) -> None:
    """Adds rows of which parameters are trained, and how: updates of ones show it."""
    ones, zeros = (jax.tree.map(lambda x, v=v: jnp.full_like(x, v), start.params) for v in (1, 0))
    update = partial(OPTIMIZER.update, state=start.opt_state, learning_rates=RATES)
    learned, _ = update(ones, params=zeros)
    decayed, _ = update(zeros, params=ones)
    rate, decay = ({k: -x.flat[0] for k, x in _theirs(t).items()} for t in (learned, decayed))
    ours = {"param_names_with_grad": sorted(rate)}
    rows.add("parameters that are trained", 0, ours, other_names)
    for key in ("param_names_no_grad", "param_names_frozen"):
        listed = rows.values[key]
        untouched = np.where(np.isin(listed, list(rate)), "", listed)
        rows.add(f"parameters that are not ({key[12:]})", 0, {key: untouched}, unequal)
    listed = rows.values["sgd/group_names"]
    ours = {
        "sgd/lr_epoch1": [rate.get(name, 0) for name in listed],
        "sgd/weight_decay": [decay.get(name, 0) / rate.get(name, 1) for name in listed],
    }
    mask = np.isin(listed, list(rate))
    rows.add("learning rate and decay of each", 1e-6, ours, relative, only=mask)


def other_names(ours: np.ndarray, theirs: np.ndarray) -> np.ndarray:
    """Counts the names that only one of them has."""
    return np.array(np.setxor1d(ours, theirs).size)


def _add_gradient(rows: Rows, start: TrainState, first: TrainState) -> None:
    """Adds rows of the first gradient: SGD's first direction is the gradient plus the decay."""
    (_, trace), _ = first.opt_state
    gradient = jax.tree.map(lambda d, p: d - WEIGHT_DECAY * p, trace.trace, start.params)
    listed = rows.values["param_names_with_grad"]
    ours, sizes = _summaries(_theirs(gradient), listed)
    known = np.array([not name.endswith("mlp.fc2.bias") or "base" in name for name in listed])
    keys = ("grad/l2", "grad_f64/l2")
    rows.add("gradients: l2", 1e-4, dict.fromkeys(keys, ours["l2"]), relative, only=known)
    allowed = 1e-3 * rows.values["grad/l2"] / np.sqrt(sizes) + 1e-7
    means = dict.fromkeys(("grad/mean", "grad_f64/mean"), ours["mean"])
    rows.add("gradients: means, as shares of the tolerance", 1, means, _share(allowed))
    samples = dict.fromkeys(("grad/samples", "grad_f64/samples"), ours["samples"])
    share = _share(allowed[:, None])
    rows.add("gradients: samples, as shares of the tolerance", 1, samples, share)


def _add_update(rows: Rows, start: TrainState, end: TrainState) -> None:
    listed = rows.values["param_names_with_grad"]
    update = jax.tree.map(lambda after, before: after - before, end.params, start.params)
    ours, _ = _summaries(_theirs(update), listed)
    large = rows.values["update/l2"] > 1e-4
    keys = ("update/l2", "update_f64/l2")
    rows.add("update by 5 steps: l2", 2e-3, dict.fromkeys(keys, ours["l2"]), relative, only=large)
    rows.add("update by 5 steps: samples", 2e-6, {"update_f64/samples": ours["samples"]})
    ours, sizes = _summaries(_theirs(end.params), listed)
    for key in ("samples", "mean"):
        both = dict.fromkeys((f"end/{key}", f"end_f64/{key}"), ours[key])
        rows.add(f"parameters after 5 steps: {key}", 2e-6, both)
    lengths = dict.fromkeys(("end/l2", "end_f64/l2"), ours["l2"])
    share = _share(2e-6 * np.sqrt(sizes))
    rows.add("parameters after 5 steps: l2, as shares of the tolerance", 1, lengths, share)


def _share(allowed: np.ndarray) -> Measure:
    def share(ours: np.ndarray, theirs: np.ndarray) -> np.ndarray:
        return np.abs(ours - theirs) / allowed

    return share


def _theirs(params: Any) -> Arrays:
    """Returns a tree like our parameters under the released program's names, in its layout."""
    return to_theirs(flatten_dict({"params": jax.device_get(params)}, sep="/"), TABLE)


def _summaries(arrays: Arrays, listed: np.ndarray) -> tuple[Arrays, np.ndarray]:
    """Returns l2, mean and eight samples of each listed array, and the arrays' sizes."""
    found = [arrays[name].astype(np.float64).ravel() for name in listed]
    samples = [x[_sampled(name, x.size)] for name, x in zip(listed, found, strict=True)]
    summaries = {
        "l2": np.array([np.linalg.norm(x) for x in found]),
        "mean": np.array([x.mean() for x in found]),
        "samples": np.stack(samples),
    }
    return summaries, np.array([x.size for x in found])


def _sampled(name: str, size: int) -> np.ndarray:
    """Returns the eight places of a parameter that the golden files hold."""
    return np.random.default_rng(zlib.crc32(f"{name}#idx".encode())).integers(0, size, 8)
