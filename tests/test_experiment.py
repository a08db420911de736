"""From a config to the parts of a run."""

import jax
import jax.numpy as jnp
import numpy as np
from toy import toy_config

from configs import default
from dpeformer_jax.training.experiment import build


def test_defaults_are_the_published_recipe():
    experiment = build(default.get_config(), num_classes=702, num_cameras=8)
    model = experiment.model
    assert (model.variant.width, model.variant.depth, model.stride) == (768, 12, 16)
    assert (model.parts, model.min_patches, model.drop_path, model.sides) == (4, 24, 0.1, 0)
    assert experiment.loss_weights.temperature == 0.05


def test_side_information_has_a_row_for_each_camera():
    config = toy_config()
    config.model.sie = True
    assert build(config, num_classes=4, num_cameras=6).model.sides == 6


def test_reranking_is_off_unless_the_config_asks_for_it():
    config = toy_config()
    assert build(config, num_classes=4, num_cameras=2).rerank is None
    config.eval.update({"rerank": True, "rerank_k1": 9, "rerank_k2": 4, "rerank_weight": 0.5})
    rerank = build(config, num_classes=4, num_cameras=2).rerank
    assert rerank.keywords == {"k1": 9, "k2": 4, "weight": 0.5}


def test_the_seed_decides_the_parameters():
    def first_kernel(seed):
        config = toy_config()
        config.seed = seed
        state = build(config, num_classes=4, num_cameras=2).fresh_state()
        assert {x.dtype for x in jax.tree.leaves(state.params)} == {jnp.dtype("float32")}
        return np.asarray(state.params["backbone"]["patch_embed"]["kernel"])

    once, again, other = first_kernel(0), first_kernel(0), first_kernel(1)
    np.testing.assert_array_equal(once, again)
    assert np.abs(once - other).max() > 0
