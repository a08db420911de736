"""What every family of networks must do: train, be scored, keep images apart, and be stored."""

import json
import subprocess
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from family_steps import experiment_of
from flax.traverse_util import flatten_dict
from many_devices import environment_with
from toy import SIZE, ToyImages, toy_spec, toy_tests, toy_variables

from configs.presets import PRESETS
from configs.quickstart import OF_FAMILY
from dpeformer_jax.base.errors import UserError
from dpeformer_jax.checkpoint.weights import Weights, load_weights, save_weights
from dpeformer_jax.model.families import FAMILIES, build_network
from dpeformer_jax.model.spec import NetworkSpec
from dpeformer_jax.retrieval.evaluate import evaluate
from dpeformer_jax.retrieval.report import write_report
from dpeformer_jax.retrieval.scoring import Scoring
from dpeformer_jax.training import loop

ROOT = Path(__file__).parents[1]
every_family = pytest.mark.parametrize("family", FAMILIES)


def spec_of(family, **fields):
    style = {"family": family, "variant": OF_FAMILY.get(family, "nano8"), "stride": 8}
    return toy_spec(**{**style, "min_patches": 8, **fields})


def test_there_is_a_preset_of_every_family():
    named = {fields.get("model.family", "dpeformer") for fields in PRESETS.values()}
    assert named == set(FAMILIES)


@every_family
def test_a_spec_survives_its_file(family, tmp_path):
    spec = spec_of(family, sie_rows=0 if family == "pass" else 2)
    weights = Weights(tmp_path, spec, toy_variables(spec), None)
    save_weights(tmp_path, weights)
    stored = load_weights(tmp_path)
    assert stored.spec == spec and stored.complete and not stored.missing
    jax.tree.map(np.testing.assert_array_equal, stored.variables, weights.variables)


@every_family
def test_features_depend_on_the_image_alone(family):
    spec = spec_of(family)
    network, variables = build_network(spec), toy_variables(spec)
    images = np.random.default_rng(0).uniform(-1, 1, (4, *SIZE, 3)).astype(np.float32)
    apply = jax.jit(network.apply)
    first = apply(variables, images).features
    others = images.copy()
    others[1:] *= -0.5
    second = apply(variables, others).features
    for name, x in first.items():
        np.testing.assert_array_equal(x[0], second[name][0])
        assert np.abs(x[1] - second[name][1]).max() > 1e-3


@pytest.mark.slow
@every_family
def test_every_parameter_receives_a_gradient(family):
    experiment = experiment_of(family, **{"model.drop_path": 0.0})
    variables, like = toy_variables(experiment.spec), experiment.state_like()
    memory = None if like.memory is None else jnp.ones(like.memory.shape)
    views = 1 if experiment.views.occlusion == "none" else 2
    pixels = np.random.default_rng(1).uniform(-1, 1, (views, 8, *SIZE, 3)).astype(np.float32)
    keys = jax.random.split(jax.random.key(0), (views, 8))
    labels, rows = np.repeat(np.arange(4), 2), np.arange(8) % 2

    @jax.jit
    def gradient(params):
        def loss(params):
            outputs, _ = experiment.network.apply(
                {**variables, "params": params},
                pixels,
                rows,
                keys,
                method="train_views",
                mutable=["batch_stats"],
            )
            return experiment.objective(outputs, labels, memory)[0]

        return jax.grad(loss)(params)

    found = flatten_dict(gradient(variables["params"]), sep="/")
    assert not [path for path, x in found.items() if not np.abs(x).max() > 0]


@pytest.mark.slow
@pytest.mark.parametrize("family", [family for family in FAMILIES if family != "dpeformer"])
def test_jit_and_pmap_on_one_and_four_devices_make_the_same_step(family):
    """A process with four devices; tests/test_parallel.py does so with DPEFormer."""
    command = [sys.executable, "tests/family_steps.py", family]
    environment = environment_with(devices=4)
    result = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    found = json.loads(result.stdout)
    assert found["devices"] == 4 and found["moved"] > 1e-3
    assert max(found["differences"]) < 1e-5


@pytest.mark.slow
@every_family
def test_it_trains_with_one_trace_and_is_scored(family, tmp_path, monkeypatch):
    experiment, steps = experiment_of(family), []

    def compile_step(experiment):
        steps.append(real(experiment))
        return steps[-1]

    real = loop.compile_step
    monkeypatch.setattr(loop, "compile_step", compile_step)

    def score(variables, step, name):
        scored = experiment.features, variables, experiment.spec, toy_tests(), Scoring()
        write_report(tmp_path / name, evaluate(*scored, {"step": step}))

    loop.train(experiment, tmp_path, ToyImages(), None, {"data": "toy"}, score)
    assert [step._cache_size() for step in steps] == [1]
    (line,) = (json.loads(x) for x in (tmp_path / "metrics.jsonl").read_text().splitlines())
    assert np.isfinite(line["loss"]) and ("selected" in line) == (family == "dpeformer")
    report = json.loads((tmp_path / "eval.json").read_text())
    named = ["holistic", "parts", "concat"] if family == "dpeformer" else ["after", "before"]
    assert report["settings"]["features"] == named
    assert NetworkSpec.from_json(report["network"]) == experiment.spec
    assert load_weights(tmp_path).step == int(line["step"]) == 3


@every_family
def test_a_network_that_embeds_cameras_asks_for_them(family):
    spec = spec_of(family, sie_rows=2)
    with pytest.raises(UserError, match=r"embeds 2 cameras; give camera_row"):
        jax.eval_shape(build_network(spec).apply, toy_variables(spec), jnp.zeros((1, *SIZE, 3)))
