"""From a config to the parts of a run."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from toy import CAMERAS, toy_config, toy_experiment

from configs import default, unpack
from dpeformer_jax.base.errors import UserError


def test_defaults_are_the_published_recipe():
    experiment = unpack.experiment_of(default.get_config(), 702, CAMERAS)
    spec = experiment.spec
    assert (spec.family, spec.variant, spec.stride) == ("dpeformer", "b16", 16)
    assert (spec.parts, spec.min_patches, spec.sie_rows, spec.cameras) == (4, 24, 0, ())
    assert experiment.network.drop_path == 0.1
    weights = {"id_features": 1, "id_global": 2, "id_parts": 1, "memory_clean": 1}
    objective = experiment.objective
    assert {name: getattr(objective, name) for name in weights} == weights
    assert (objective.memory_occluded, objective.temperature, objective.triplet) == (0.3, 0.05, 0)


def test_side_information_has_a_row_for_each_camera_by_name():
    config = toy_config()
    config.model.sie = True
    spec = toy_experiment(config).spec
    assert (spec.sie_rows, spec.cameras) == (2, CAMERAS)


def test_reranking_is_off_unless_the_config_asks_for_it():
    config = toy_config()
    assert unpack.scoring_of(config).rerank is None
    config.eval.update({"rerank": True, "rerank_k1": 9, "rerank_k2": 4, "rerank_weight": 0.5})
    assert unpack.scoring_of(config).rerank == {"k1": 9, "k2": 4, "weight": 0.5}
    config.eval.rerank_preset = "50-15"
    assert unpack.scoring_of(config).rerank == {"k1": 50, "k2": 15, "weight": 0.3}


@pytest.mark.slow
def test_the_seed_decides_the_parameters():
    def first_kernel(seed):
        config = toy_config()
        config.seed = seed
        state = toy_experiment(config).fresh_state()
        assert {x.dtype for x in jax.tree.leaves(state.params)} == {jnp.dtype("float32")}
        return np.asarray(state.params["backbone"]["patch_embed"]["kernel"])

    once, again, other = first_kernel(0), first_kernel(0), first_kernel(1)
    np.testing.assert_array_equal(once, again)
    assert np.abs(once - other).max() > 0


def test_without_memory_terms_the_state_has_no_memory_bank():
    config = toy_config()
    config.loss.update({"memory_clean": 0.0, "memory_occluded": 0.0})
    state = toy_experiment(config).state_like()
    assert state.memory is None and "memory" not in state.items
    assert toy_experiment(toy_config()).state_like().memory.shape == (4, 4 * 32)


def test_a_term_that_the_network_has_no_input_for_is_refused_before_anything_runs(monkeypatch):
    outputs = unpack.outputs_of(toy_experiment(toy_config()).spec)
    lacking = outputs.replace(logits={"parts": outputs.logits["parts"]})
    monkeypatch.setattr(unpack, "outputs_of", lambda spec: lacking)
    with pytest.raises(UserError, match="config.loss.id_features = 1.0 .* logits.holistic"):
        toy_experiment(toy_config())
