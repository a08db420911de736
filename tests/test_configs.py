"""Every field has a reader and a meaning, and every config opens with its command."""

import importlib
from pathlib import Path

import pytest
from ml_collections import ConfigDict

from configs import default, unpack
from configs.checks import check
from configs.default import FAMILIES, FIELDS, OCCLUSIONS, RENAMED, VARIANTS
from configs.fields import Field, flatten
from configs.presets import PRESETS as CONFIG_PRESETS
from data.catalog import builder_of
from data.dataset import specs_of
from dpeformer_jax.base.errors import UserError
from dpeformer_jax.model import attention, families, selection, variants
from dpeformer_jax.model.spec import PRESETS
from dpeformer_jax.training.experiment import ONE_VIEW
from dpeformer_jax.training.occlusion import occlusion_of

ROOT = Path(__file__).parents[1]
MODULES = {p.stem: importlib.import_module(f"configs.{p.stem}") for p in ROOT.glob("configs/*.py")}
CONFIGS = sorted(name for name, module in MODULES.items() if hasattr(module, "get_config"))
CONFIGS.remove("stored")  # whose fields stand in a workdir
OTHERS = [name for name in CONFIGS if name != "default"]
NOT_RUN = [name for name in OTHERS if "Not run here" in " ".join(MODULES[name].__doc__.split())]
# Fields that configs/modes.py reads itself, besides what it hands to configs/unpack.py.
OF_MODES = {"eval.datasets", "eval.every"}


class Watched:
    """A config that remembers which of its fields were read."""

    def __init__(self, config, read, prefix=""):
        self._config, self._read, self._prefix = config, read, prefix

    def __getitem__(self, name):
        self._read.add(self._prefix + name)
        value = self._config[name]
        inner = isinstance(value, ConfigDict)
        return Watched(value, self._read, f"{name}.") if inner else value

    __getattr__ = __getitem__

    def keys(self):
        return self._config.keys()


def test_every_field_is_unpacked():
    read = set()
    config = default.get_config()
    config.eval.rerank = True
    watched = Watched(config, read)
    unpack.experiment_of(watched, 4, (("market", 1),))
    others = ("distributed_of", "data_settings_of", "sampling_of", "scoring_of", "calibrate_of")
    for settings in others:
        getattr(unpack, settings)(watched)
    assert {field.name for field in FIELDS} - read == OF_MODES


def test_every_field_has_a_meaning_and_a_name_of_its_own():
    assert all(field.meaning for field in FIELDS)
    names = [field.name for field in FIELDS]
    assert len(set(names)) == len(names) and set(RENAMED.values()) <= set(names)
    assert not set(RENAMED) & set(names)
    assert flatten(default.get_config().to_dict()).keys() == set(names)


def test_every_default_is_one_of_its_fields_values():
    for field in FIELDS:
        field.check(field.default)


@pytest.mark.parametrize(
    ("value", "told"),
    [
        (Field("a", 1, "", low=1), (0, "config.a = 0 must be at least 1")),
        (Field("a", 1, "", low=1, high=2), (3, "config.a = 3 must be at most 2")),
        (Field("a", 1, "", low=1, high=2), (0, "config.a = 0 must be at least 1 and at most 2")),
        (Field("a", 1.0, "", high=2), (float("nan"), "config.a = nan must be at most 2")),
        (Field("a", "x", "", choices=("x", "y")), ("z", "config.a = 'z' is not one of 'x', 'y'")),
    ],
)
def test_a_value_out_of_bounds_is_named(value, told):
    wrong, sentence = told
    with pytest.raises(UserError) as caught:
        value.check(wrong)
    assert str(caught.value) == sentence


def test_choices_are_those_of_the_code():
    assert set(VARIANTS) == set(variants.VARIANTS)
    assert set(FAMILIES) == set(families.FAMILIES)
    for kind in OCCLUSIONS:
        assert kind == ONE_VIEW or callable(occlusion_of(kind, None, None, None))
    choices = {field.name: set(field.choices or ()) for field in FIELDS}
    assert choices["model.attention"] == {attention.AUTO, *attention.ATTENTIONS}
    assert choices["model.bands"] == set(selection.BANDS)


def test_the_network_of_a_config_decides_the_config():
    config = default.get_config("released")
    config.model.update({"sie": True, "stride": 12, "min_patches": 30})
    spec = unpack.spec_of(config, 7, (("market", 1), ("market", 4)))
    again = default.get_config()
    again.update_from_flattened_dict(unpack.fields_of(spec))
    assert unpack.spec_of(again, 7, spec.cameras) == spec
    assert PRESETS["released"].items() <= spec.to_json().items()


@pytest.mark.parametrize("name", CONFIGS)
def test_every_config_takes_the_released_preset(name):
    paper, preset = (flatten(MODULES[name].get_config(p).to_dict()) for p in ("", "released"))
    assert {n: preset[n] for n in preset if preset[n] != paper[n]} == CONFIG_PRESETS["released"]
    released = {f"model.{n}": value for n, value in PRESETS["released"].items()}
    assert released.items() <= CONFIG_PRESETS["released"].items()
    assert {f"model.{n}": value for n, value in PRESETS["paper"].items()}.items() <= paper.items()


@pytest.mark.parametrize("preset", CONFIG_PRESETS)
@pytest.mark.parametrize("name", CONFIGS)
def test_every_config_takes_every_preset(name, preset):
    config = MODULES[name].get_config(preset)
    check(config, devices=1)
    spec = unpack.spec_of(config, 8, (("a", 1), ("a", 2)))
    assert spec.family == config.model.family
    unpack.experiment_of(config, 8, (("a", 1), ("a", 2)))


@pytest.mark.parametrize("name", OTHERS)
def test_other_configs_open_with_their_command(name):
    assert f"python main.py --config=configs/{name}.py" in opening(name)


@pytest.mark.parametrize("name", CONFIGS)
def test_a_config_says_what_it_reached_or_that_it_was_not_run(name):
    assert ("docs/results.md" in opening(name)) != ("Not run here" in opening(name))


@pytest.mark.parametrize(
    "name", [name for name in OTHERS if "Not run here" in MODULES[name].__doc__]
)
def test_a_config_that_was_not_run_says_what_is_published(name):
    told = opening(name)
    assert "Published for" in told or "No score of this method" in told


@pytest.mark.parametrize("name", CONFIGS)
def test_the_data_sets_of_a_config_are_known_and_valid(name):
    config = MODULES[name].get_config()
    check(config, devices=1)
    training, testing = specs_of(unpack.data_settings_of(config), config.eval.datasets)
    for spec in training + testing:
        assert builder_of(spec).variant_of(spec) in builder_of(spec).VARIANTS
    assert all("train" in counts for counts in map(published, training) if counts)


def published(spec):
    builder = builder_of(spec)
    return builder.PUBLISHED.get(builder.variant_of(spec))


def opening(name):
    """What a config says before its code, in one line."""
    return " ".join(MODULES[name].__doc__.split())
