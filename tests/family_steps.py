"""One training step of a family in every way to run it, as a process with four devices.

python tests/family_steps.py FAMILY

Prints JSON: how far the parameters and statistics moved, and how far each way ends from the first.
"""

import dataclasses
import json
import sys

import jax
import jax.numpy as jnp
import numpy as np
from toy import CAMERAS, ToyImages, toy_variables

from configs import quickstart, unpack
from dpeformer_jax.runtime.devices import data_mesh, replicated, split_by_example
from dpeformer_jax.training.experiment import Experiment, TrainState
from dpeformer_jax.training.optim import LearningRates
from dpeformer_jax.training.step import Resident, compile_step

WAYS = ((1, "jit"), (4, "jit"), (4, "pmap"))
RATES = LearningRates(1e-2, 1e-2)


def experiment_of(family: str, **fields: object) -> Experiment:
    """Returns what the family's preset trains at the quickstart's size, on two cameras."""
    config = quickstart.get_config("" if family == "dpeformer" else family)
    config.model.update({"drop_path": 0.2, "sie": family != "pass"})
    if family == "dpeformer":
        config.views.occlusion = "erasing"
    config.train.update({"batch_size": 8, "epochs": 1, "log_every": 3})
    config.eval.batch_size = 8
    config.update_from_flattened_dict(fields)
    return unpack.experiment_of(config, num_classes=4, cameras=CAMERAS)


def one_step(experiment: Experiment, devices: int) -> dict:
    """Returns the variables after one step on the first devices."""
    experiment = dataclasses.replace(experiment, mesh=data_mesh(jax.devices()[:devices]))
    images, variables = ToyImages(), toy_variables(experiment.spec)
    places = images.plan(1)[0]
    batch = {
        "image": images.pixels[places],
        "label": images.labels[places],
        "camera_row": images.camera_rows[places],
    }
    opt_state = experiment.tx.init(variables["params"])
    state = TrainState(jnp.zeros((), jnp.int32), memory=None, opt_state=opt_state, **variables)
    everywhere = replicated(experiment.mesh)
    state, metrics = compile_step(experiment)(
        jax.device_put(state, everywhere),
        jax.device_put(batch, split_by_example(experiment.mesh)),
        RATES,
        jax.device_put(Resident(), everywhere),
    )
    assert np.isfinite(float(metrics["loss"]))
    return jax.device_get(state.variables)


def distance(a: dict, b: dict) -> float:
    """Returns the largest difference of two trees."""
    differences = jax.tree.map(lambda x, y: float(np.abs(x - y).max()), a, b)
    return max(jax.tree.leaves(differences))


def main(family: str) -> None:
    """Adam would scale rounding up; two jitted ways differ by the order of their sums alone."""
    results = []
    for devices, parallel in WAYS:
        experiment = experiment_of(family, parallel=parallel, **{"optim.name": "sgd"})
        with jax.default_matmul_precision("highest"):
            results.append(one_step(experiment, devices))
    start = toy_variables(experiment.spec)
    told = {
        "devices": jax.device_count(),
        "moved": distance(start, results[0]),
        "differences": [distance(results[0], result) for result in results[1:]],
    }
    print(json.dumps(told))


if __name__ == "__main__":
    main(sys.argv[1])
