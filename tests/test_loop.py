"""The training step and loop: resuming, tracing once, any number of devices."""

import json
import shutil

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from toy import ToyImages, toy_bank, toy_config, toy_experiment, toy_tests

from dpeformer_jax.base.errors import UserError
from dpeformer_jax.checkpoint.checksums import fingerprint, fingerprints
from dpeformer_jax.checkpoint.store import Checkpoints
from dpeformer_jax.checkpoint.weights import load_weights
from dpeformer_jax.features import FeaturePass
from dpeformer_jax.model.families import build_network
from dpeformer_jax.retrieval.evaluate import evaluate
from dpeformer_jax.retrieval.report import write_report
from dpeformer_jax.retrieval.scoring import Scoring
from dpeformer_jax.runtime.devices import data_mesh
from dpeformer_jax.training import loop
from dpeformer_jax.training.experiment import TrainState
from dpeformer_jax.training.optim import LearningRates
from dpeformer_jax.training.step import Resident
from dpeformer_jax.training.watching import Watch, Watched

RATES = LearningRates(1e-3, 1e-3)


EVERY_STEP = {"checkpoint_every_minutes": 1e-6}


def final_state(experiment, workdir):
    checkpoints = Checkpoints(workdir / "checkpoints", experiment.spec)
    return TrainState.from_items(checkpoints.restore(experiment.fresh_state().items))


def lines_of(workdir):
    return [json.loads(line) for line in (workdir / "metrics.jsonl").read_text().splitlines()]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """One whole training of two epochs, with the jitted step it used."""
    workdir = tmp_path_factory.mktemp("run")
    experiment = toy_experiment(toy_config(**EVERY_STEP))
    return experiment, workdir, train(experiment, workdir)


def train(experiment, workdir, trained_on=None, watch=None):
    """Trains as main.py does; returns the jitted steps that the training used."""
    steps = []

    def score(variables, step, name):
        arguments = experiment.features, variables, experiment.spec, toy_tests(), Scoring()
        write_report(workdir / name, evaluate(*arguments, {"step": step}))

    with pytest.MonkeyPatch.context() as patch:
        compile_step = loop.compile_step
        patch.setattr(loop, "compile_step", lambda e: steps.append(compile_step(e)) or steps[-1])
        loop.train(experiment, workdir, ToyImages(), toy_bank(), trained_on or {}, score, watch)
    return steps


@pytest.mark.slow
def test_workdir_holds_scores_and_metrics(run):
    experiment, workdir, _ = run
    for name, step in (("eval_initial.json", 0), ("eval.json", 6)):
        report = json.loads((workdir / name).read_text())
        assert report["step"] == step
        toy = report["datasets"]["toy"]
        assert toy["queries_used"] == 24 and toy["queries_skipped"] == 0
        for feature in ("holistic", "parts", "concat"):
            for score in ("mAP", "mINP", "rank1", "rank5", "rank10", "rank20", "tar@1e-2"):
                assert 0 <= toy[feature][score] <= 1
    lines = lines_of(workdir)
    assert [line["step"] for line in lines] == [2, 4, 6]
    assert [line["epoch"] for line in lines] == [1, 2, 2]
    rates = [experiment.schedule.rates(line["epoch"]).weights for line in lines]
    assert [line["lr"] for line in lines] == rates and rates[0] != rates[1]
    terms = {"loss", "id_features", "id_global", "id_parts", "memory_clean", "memory_occluded"}
    assert terms | {"lr", "selected", "accuracy", "triplet"} <= lines[0].keys()
    assert 4 <= lines[0]["selected"] <= 8
    assert list(workdir.glob("events.*"))


def test_one_trace_of_each_function(run):
    experiment, _, (step,) = run
    assert step._cache_size() == 1
    assert experiment.features._forward._cache_size() == 1


@pytest.mark.parametrize("start", [4, pytest.param(5, marks=pytest.mark.slow)])
@pytest.mark.slow
def test_resumed_within_an_epoch_it_ends_bitwise_as_uninterrupted(run, tmp_path, start):
    """At step 5 also between two lines of metrics.jsonl."""
    experiment, workdir, _ = run
    resumed = tmp_path / "resumed"
    shutil.copytree(workdir, resumed)
    for step in range(start + 1, 7):
        shutil.rmtree(resumed / f"checkpoints/{step}")
    (step,) = train(experiment, resumed)
    assert step._cache_size() == 1
    assert experiment.features._forward._cache_size() == 1
    expected, found = (final_state(experiment, w) for w in (workdir, resumed))
    assert jax.tree.all(jax.tree.map(lambda a, b: bool((a == b).all()), expected, found))
    for name in ("metrics.jsonl", "eval_initial.json", "eval.json"):
        assert (resumed / name).read_bytes() == (workdir / name).read_bytes()


@pytest.mark.slow
def test_with_its_images_on_the_device_a_training_is_bitwise_the_same(run, tmp_path):
    _, workdir, _ = run
    config = toy_config(**EVERY_STEP, trace=2)
    config.data.cache = "device"
    experiment = toy_experiment(config)
    (step,) = train(experiment, tmp_path)
    assert step._cache_size() == 1
    expected, found = (final_state(experiment, w) for w in (workdir, tmp_path))
    assert jax.tree.all(jax.tree.map(lambda a, b: bool((a == b).all()), expected, found))
    assert (tmp_path / "metrics.jsonl").read_bytes() == (workdir / "metrics.jsonl").read_bytes()
    assert list((tmp_path / "trace").glob("**/*.xplane.pb"))  # of the two steps in the middle


@pytest.mark.slow
@pytest.mark.parametrize("left", [3, 4])
def test_a_watched_training_is_the_same_and_resumes_to_the_same_lines(run, tmp_path, left):
    """A signal may end a run at step 3, the end of an epoch, before it is looked at."""
    experiment, workdir, _ = run
    looked = []

    def look(variables, step):
        looked.append(step)
        return Watched({"scores/toy/concat/mAP": float(jax.tree.leaves(variables)[0].sum())}, {})

    whole, resumed = tmp_path / "whole", tmp_path / "resumed"
    train(experiment, whole, watch=Watch(1, look))
    assert looked == [3, 6]
    expected, found = (final_state(experiment, w) for w in (workdir, whole))
    assert jax.tree.all(jax.tree.map(lambda a, b: bool((a == b).all()), expected, found))
    shutil.copytree(whole, resumed)
    for step in range(left + 1, 7):
        shutil.rmtree(resumed / f"checkpoints/{step}")
    lines = (resumed / "metrics.jsonl").read_text().splitlines(keepends=True)
    if left == 3:
        lines = [line for line in lines if '"step": 3' not in line]
        (resumed / "metrics.jsonl").write_text("".join(lines))
    looked.clear()
    train(experiment, resumed, watch=Watch(1, look))
    assert looked == ([3, 6] if left == 3 else [6])
    assert (resumed / "metrics.jsonl").read_bytes() == (whole / "metrics.jsonl").read_bytes()


def test_a_finished_run_is_only_scored_again(run, tmp_path, caplog):
    experiment, workdir, _ = run
    again = shutil.copytree(workdir, tmp_path / "again")
    assert train(experiment, again) == []
    assert (again / "eval.json").read_bytes() == (workdir / "eval.json").read_bytes()
    assert "continuing from step 6" in caplog.text


def test_what_a_checkpoint_holds_is_not_drawn_at_random_first(run, tmp_path, monkeypatch):
    experiment, workdir, _ = run
    copy = shutil.copytree(workdir, tmp_path / "copy")
    monkeypatch.setattr(type(experiment), "fresh_state", None)
    train(experiment, copy)


def test_the_weights_of_a_run_score_as_training_said(run):
    _, workdir, _ = run
    weights = load_weights(workdir)
    assert weights.step == 6
    features = FeaturePass(build_network(weights.spec), data_mesh(), 8)
    arguments = features, weights.variables, weights.spec, toy_tests(), Scoring()
    report = evaluate(*arguments, {"step": weights.step}).report
    assert report == json.loads((workdir / "eval.json").read_text())
    assert report["weights"] == fingerprint(fingerprints(weights.variables))


def test_training_does_not_go_on_with_other_data(run, tmp_path):
    experiment, workdir, _ = run
    copy = shutil.copytree(workdir, tmp_path / "copy")
    with pytest.raises(UserError, match="the data have changed .*: data set 1"):
        train(experiment, copy, {"datasets": {"toy": {"fingerprint": "f03"}}})


@pytest.mark.slow
def test_a_training_without_memory_terms_keeps_no_memory_bank(tmp_path):
    config = toy_config(epochs=1, log_every=3)
    config.loss.update({"memory_clean": 0.0, "memory_occluded": 0.0})
    experiment = toy_experiment(config)
    train(experiment, tmp_path)
    assert final_state(experiment, tmp_path).memory is None
    assert load_weights(tmp_path).memory is None
    (line,) = lines_of(tmp_path)
    assert not {"memory_clean", "memory_occluded"} & line.keys()
    assert np.isfinite(line["loss"])
    with pytest.raises(UserError, match="memory/features"):
        train(toy_experiment(toy_config(epochs=1, log_every=3)), tmp_path)


def test_training_starts_from_a_checkpoint(run, caplog):
    experiment, workdir, _ = run
    config = toy_config()
    config.init.checkpoint = str(workdir)
    other = toy_experiment(config)
    fresh, trained = other.fresh_state(), final_state(experiment, workdir)
    state = loop.with_pretrained(other, fresh)
    for name, module in state.params.items():
        source = fresh if "classifier" in name else trained
        assert jax.tree.all(jax.tree.map(np.array_equal, module, source.params[name])), name
    assert jax.tree.all(jax.tree.map(np.array_equal, state.batch_stats, trained.batch_stats))
    assert str(workdir) in caplog.text and "fresh: blended_classifier" in caplog.text


def test_memory_starts_as_the_class_means_of_holistic_features(run):
    experiment, *_ = run
    images, state = ToyImages(), experiment.fresh_state()
    bank = np.asarray(loop.with_memory(experiment, state, images).memory)
    features = [
        np.asarray(f["holistic"])[: len(places)]
        for f, places in experiment.features.batches(state.variables, images, images.camera_rows)
    ]
    features = np.concatenate(features)
    expected = [features[images.labels == label].mean(axis=0) for label in range(4)]
    np.testing.assert_allclose(bank, expected, atol=1e-5)


@pytest.fixture(scope="module")
def one_step(run):
    """fn(step, bank) -> (state, metrics) after one step on the same batch and parameters."""
    experiment, *_ = run
    images, step_fn = ToyImages(), loop.compile_step(experiment)
    batch = next(loop._loaded(images, images.plan(1), on_device=False))

    def take(step=0, bank=None):
        state = loop.with_memory(experiment, experiment.fresh_state(), images)
        resident = Resident(bank or toy_bank())
        return step_fn(state.replace(step=jnp.int32(step)), batch, RATES, resident)

    return take


@pytest.mark.slow
def test_each_step_draws_its_own_augmentation(one_step):
    losses = [float(one_step(step)[1]["memory_clean"]) for step in (0, 0, 1)]
    assert losses[0] == losses[1] != losses[2]


@pytest.mark.slow
def test_the_occluded_view_never_updates_the_memory(one_step):
    bank = toy_bank()
    state, metrics = one_step(bank=bank)
    other_state, other = one_step(bank=bank._replace(images=255 - bank.images // 2))
    assert metrics["memory_occluded"] != other["memory_occluded"]
    np.testing.assert_allclose(state.memory, other_state.memory, atol=1e-6)


@pytest.mark.slow
def test_a_training_may_leave_out_steps_that_are_not_finite(tmp_path):
    config = toy_config(on_nonfinite="skip", epochs=1, log_every=3)
    config.optim.lr = 1e38  # after the first step every loss overflows
    experiment = toy_experiment(config)
    with pytest.raises(UserError, match="features are not finite"):
        train(experiment, tmp_path)  # the scores at its end
    (line,) = lines_of(tmp_path)
    assert line["step"] == 3 and line["skipped"] == 2.0 and np.isfinite(line["loss"])
    assert int(final_state(experiment, tmp_path).step) == 3


@pytest.mark.slow
def test_full_size_network_compiles_and_takes_one_step():
    config = toy_config(batch_size=8)
    config.model.update({"variant": "b16", "min_patches": 24})
    config.data.image_size = (256, 128)
    config.views.occlusion = "erasing"
    experiment = toy_experiment(config)
    rng = np.random.default_rng(0)
    batch = {
        "image": rng.integers(0, 256, (8, 256, 128, 3), np.uint8),
        "label": np.repeat(np.arange(4, dtype=np.int32), 2),
        "camera_row": np.zeros(8, np.int32),
    }
    state, metrics = loop.compile_step(experiment)(
        experiment.fresh_state(), batch, RATES, Resident()
    )
    assert int(state.step) == 1 and np.isfinite(float(metrics["loss"]))
