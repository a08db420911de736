"""The command line, as users run it: real processes."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import jax.numpy as jnp
import pytest
from absl.testing import flagsaver
from converting import random_state, tensors
from toy import toy_spec

from configs import modes
from configs.parsing import parse
from dpeformer_jax.conversion import formats

ROOT = Path(__file__).parents[1]
MU = (
    "--config.model.variant=mu",
    "--config.model.stride=16",
    "--config.model.min_patches=4",
    "--config.train.batch_size=8",
    "--config.train.checkpoint_every=1",
    "--config.train.log_every=1",
)


def command(config, *arguments):
    return [sys.executable, "main.py", f"--config={config}", *arguments]


def main_py(*arguments):
    """main.py without a config."""
    command = [sys.executable, "main.py", *arguments]
    return subprocess.run(command, cwd=ROOT, env=environment(), capture_output=True, text=True)


def environment():
    """What users have: XLA's usual optimisation, which a whole training needs to be fast."""
    return os.environ | {"JAX_PLATFORMS": "cpu", "XLA_FLAGS": ""}


def run(config, *arguments):
    return subprocess.run(
        command(config, *arguments), cwd=ROOT, env=environment(), capture_output=True, text=True
    )


def slow(*values):
    """A case that waits for one more process."""
    return pytest.param(*values, marks=pytest.mark.slow)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--config.data.rot=x"], ["config.data.rot", "did you mean config.data.root?"]),
        (
            [
                "--config.data.builder=reid_folder",
                "--config.data.variant=",
                "--config.data.root=configs",
            ],
            ["configs holds no image", "folder of their own", "reid_csv"],
        ),
        slow(["--config.train.epochs=many"], ["config.train.epochs=many", "'many'"]),
        slow(["--confg=x"], ["confg", "Did you mean: config"]),
        slow(["--config.train.batch_size=30"], ["batch_size = 30", "P x K"]),
        slow(["--config.data.variant=huge"], ["'huge'", "'full', 'small'"]),
        slow(["--json"], ["--mode=verify_data"]),
        slow(["--config.train.lr=1"], ["did you mean config.optim.lr?"]),
        slow(["--config.distributed.enabled=True"], ["config.distributed.coordinator"]),
        slow(["--config.train.microbatches=3"], ["microbatches = 3", "batch_size = 32"]),
        slow(["--config.data.builder=market"], ["'market'", "market1501"]),
        slow(["--checkpoint=x"], ["--mode=eval", "config.init.checkpoint"]),
        slow(["--config.init.checkpoint=/no"], ["/no is not a folder"]),
        slow(["--config.views.second=roa"], ["did you mean config.views.occlusion?"]),
    ],
    ids=lambda value: value[0].lstrip("-") if isinstance(value, list) else None,
)
def test_a_mistake_ends_with_one_paragraph_and_code_2(tmp_path, arguments, words):
    result = run("configs/quickstart.py", f"--workdir={tmp_path}", *arguments)
    assert result.returncode == 2
    assert "Traceback" not in result.stderr
    (told,) = [line for line in result.stderr.splitlines() if line.startswith("main.py: ")]
    assert all(word in told for word in words), told
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_a_config_that_is_not_there_ends_with_code_2(tmp_path):
    result = run("configs/none.py", f"--workdir={tmp_path}")
    assert result.returncode == 2 and "configs/none.py" in result.stderr
    assert "Traceback" not in result.stderr


@pytest.mark.slow
def test_an_unknown_preset_ends_with_code_2(tmp_path):
    result = run("configs/occluded_duke.py:relased", f"--workdir={tmp_path}")
    assert result.returncode == 2 and "'relased'" in result.stderr
    assert "Traceback" not in result.stderr and "'released'" in result.stderr


def test_counts_that_are_not_published_end_with_a_table(tmp_path, write_image):
    for folder in ("partial_body_images", "whole_body_images"):
        write_image(tmp_path / "partial" / folder / "001_001.jpg")
    data = ("--config.data.builder=partial_reid", f"--config.data.root={tmp_path / 'partial'}")
    result = run("configs/folder.py", f"--workdir={tmp_path / 'run'}", *data)
    assert result.returncode == 2 and "Traceback" not in result.stderr
    told = [line.split() for line in result.stderr.splitlines()]
    assert ["query", "60", "1", "300", "1", "-", "1"] in told
    assert not (tmp_path / "run").exists()


def test_memory_that_does_not_suffice_ends_with_the_fields_that_help(monkeypatch, capsys):
    import main

    monkeypatch.setattr(main, "run", lambda: jnp.ones((10**6, 10**6)).block_until_ready())
    with pytest.raises(SystemExit) as ended:
        main.main([])
    assert ended.value.code == 2
    told = capsys.readouterr().err
    assert all(word in told for word in ("microbatches", "remat", "bfloat16", "eval.batch_size"))


@pytest.mark.slow
def test_scores_of_a_checkpoint_never_replace_those_of_a_training(tmp_path):
    (tmp_path / "checkpoints").mkdir()
    result = run("configs/quickstart.py", f"--workdir={tmp_path}", "--mode=eval", "--checkpoint=x")
    assert result.returncode == 2 and "leave out --checkpoint" in result.stderr


@pytest.mark.slow
def test_a_typo_in_a_config_file_ends_with_code_2(tmp_path):
    file = tmp_path / "mine.py"
    file.write_text(
        "from configs import default\n"
        "def get_config():\n"
        "    config = default.get_config()\n"
        "    config.train.epoch = 3\n"
        "    return config\n"
    )
    result = run(file, f"--workdir={tmp_path / 'run'}")
    assert result.returncode == 2 and "Traceback" not in result.stderr
    assert "epoch" in result.stderr and "epochs" in result.stderr


@pytest.mark.slow
def test_a_killed_training_goes_on_from_its_checkpoint_and_ends(market, tmp_path):
    workdir = tmp_path / "run"
    arguments = (
        f"--workdir={workdir}",
        f"--config.data.root={market}",
        f"--config.data.data_dir={tmp_path / 'prepared'}",
        "--config.train.epochs=30",
        *MU,
    )
    training = subprocess.Popen(
        command("configs/folder.py", *arguments), cwd=ROOT, env=environment()
    )
    wait_for(lambda: len(checkpoints(workdir)) > 1, training)
    os.kill(training.pid, signal.SIGKILL)
    training.wait()
    newest = max(checkpoints(workdir))
    assert not (workdir / "eval.json").exists()

    resumed = run("configs/folder.py", *arguments)
    assert resumed.returncode == 0, resumed.stderr
    assert f"continuing from step {newest}" in resumed.stderr
    report = json.loads((workdir / "eval.json").read_text())
    assert report["step"] == max(checkpoints(workdir)) > newest
    lines = [json.loads(line) for line in (workdir / "metrics.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == list(range(1, report["step"] + 1))

    scored = run("configs/folder.py", "--mode=eval", *arguments)
    assert scored.returncode == 0 and json.loads((workdir / "eval.json").read_text()) == report


@pytest.mark.slow
def test_a_joined_training_is_scored_on_every_test_set(market, tmp_path, write_image):
    shutil.copytree(market, tmp_path / "second")
    write_image(tmp_path / "second" / "query" / "21_c2_7.jpg")
    for person in ("001", "002"):
        for folder in ("occluded_body_images", "whole_body_images"):
            write_image(tmp_path / "occluded" / folder / person / f"{person}_01.tif")
    data = (f"--config.data.root={market}", f"--config.data.data_dir={tmp_path / 'prepared'}")
    tests = (
        "--config.eval.datasets=('reid_folder','reid_folder=../second','occluded_reid=../occluded')"
    )
    training = (
        "configs/folder.py",
        *(f"--workdir={tmp_path / 'run'}", "--config.data.joined=('reid_folder=../second',)"),
        *("--config.train.epochs=1", "--config.data.allow_other_counts=True", tests, *data, *MU),
    )
    result = run(*training)
    assert result.returncode == 0, result.stderr
    report = json.loads((tmp_path / "run/eval.json").read_text())
    assert list(report["datasets"]) == ["market", "second", "occluded_reid"]
    assert "query: 2 images (1000 published)" in report["datasets"]["occluded_reid"]["other_counts"]
    fingerprints = {n: told["fingerprint"] for n, told in report["datasets"].items()}
    assert len(set(fingerprints.values())) == 3
    trained_on = report["trained_on"]
    assert {n: told["fingerprint"] for n, told in trained_on["datasets"].items()} == {
        n: fingerprints[n] for n in ("market", "second")
    }
    assert "96 cut-outs drawn, fingerprint " in trained_on["occluders"]
    for name in fingerprints:
        assert f"{name:20} concat" in result.stdout

    scored = run(  # a set without training images needs none to be scored on
        *("configs/folder.py", "--mode=eval", f"--checkpoint={tmp_path / 'run'}"),
        *(f"--workdir={tmp_path / 'scores'}", "--config.data.builder=occluded_reid"),
        *(f"--config.data.root={tmp_path / 'occluded'}", "--config.data.allow_other_counts=True"),
        *(data[1], *MU),
    )
    assert scored.returncode == 0, scored.stderr
    alone = json.loads((tmp_path / "scores/eval.json").read_text())["datasets"]
    assert alone == {"occluded_reid": report["datasets"]["occluded_reid"]}


@pytest.mark.slow
def test_the_quickstart_learns(tmp_path):
    """At least 2.5 x the untrained network's mAP and 3 x its rank-1, of one query at the least."""
    result = run("configs/quickstart.py", f"--workdir={tmp_path}")
    assert result.returncode == 0, result.stderr
    before, after = (
        json.loads((tmp_path / name).read_text())["datasets"]["rendered_reid/small"]["concat"]
        for name in ("eval_initial.json", "eval.json")
    )
    assert after["mAP"] > 2.5 * before["mAP"]
    assert after["rank1"] > 3 * max(before["rank1"], 1 / 144)


def parsed(tmp_path, monkeypatch, *arguments):
    """The bank that main.run() hands to training for these flags."""
    import main

    handed = {}
    monkeypatch.setattr(modes, "train", lambda *given: handed.update(bank=given[3]))
    line = ["main.py", f"--workdir={tmp_path / 'run'}", *arguments]
    monkeypatch.setattr(sys, "argv", line)  # where ml_collections looks for config.* flags
    with flagsaver.flagsaver():
        parse(line)
        main.run()
    return handed["bank"]


@pytest.mark.parametrize(("kind", "expected"), [("roa", (96, 64, 32, 4)), ("erasing", None)])
def test_only_roa_takes_a_bank(market, tmp_path, monkeypatch, kind, expected):
    bank = parsed(
        tmp_path,
        monkeypatch,
        "--config=configs/folder.py",
        f"--config.data.root={market}",
        f"--config.data.data_dir={tmp_path / 'prepared'}",
        f"--config.views.occlusion={kind}",
        *MU,
    )
    assert (None if bank is None else bank.images.shape) == expected


def test_a_mistyped_workdir_is_not_made_by_scoring_it(market, tmp_path):
    data = (f"--config.data.root={market}", f"--config.data.data_dir={tmp_path / 'prepared'}")
    workdir = tmp_path / "nowhere"
    result = run("configs/folder.py", f"--workdir={workdir}", "--mode=eval", *data, *MU)
    assert result.returncode == 2 and "holds no checkpoint" in result.stderr
    assert not workdir.exists()


OTHER_NETWORK = (
    *("--config.model.variant=mu", "--config.model.stride=12", "--config.model.min_patches=16"),
    *(
        "--config.model.sie=True",
        "--config.data.image_size=(96,48)",
        "--config.model.dtype=bfloat16",
    ),
)


@pytest.fixture(scope="module")
def sie_run(tmp_path_factory, write_image):
    """A folder, and the workdir of a network of another kind than configs/folder.py has."""
    folder = tmp_path_factory.mktemp("sie")
    names = {
        "bounding_box_train": ("1_c1_0", "1_c3_1", "2_c1_0", "2_c3_1"),
        "query": ("7_c1_0", "8_c3_0"),
        "bounding_box_test": ("7_c3_1", "8_c1_1", "7_c3_2", "0_c1_0"),
    }
    for split, files in names.items():
        for name in files:
            write_image(folder / "market" / split / f"{name}.png")
    result = run(
        *("configs/folder.py", f"--workdir={folder / 'run'}"),
        *(f"--config.data.root={folder / 'market'}", f"--config.data.data_dir={folder / 'tfds'}"),
        *("--config.train.batch_size=4", "--config.train.images_per_identity=2"),
        *("--config.train.epochs=1", *OTHER_NETWORK),
    )
    assert result.returncode == 0, result.stderr
    return folder


def scored_elsewhere(sie_run, tmp_path, *arguments, root="market"):
    return run(
        *("configs/folder.py", "--mode=eval", f"--checkpoint={sie_run / 'run'}"),
        *(f"--workdir={tmp_path / 'scores'}", f"--config.data.root={tmp_path / root}"),
        *(f"--config.data.data_dir={tmp_path / 'tfds'}", *arguments),
    )


@pytest.mark.slow
def test_a_checkpoint_is_scored_with_its_own_network_and_without_its_training_set(
    sie_run, tmp_path
):
    """The config knows nothing of stride, K_min, image size, type and side information."""
    shutil.copytree(sie_run / "market", tmp_path / "market")
    shutil.rmtree(tmp_path / "market/bounding_box_train")
    result = scored_elsewhere(sie_run, tmp_path)
    assert result.returncode == 0, result.stderr
    trained, found = (
        json.loads((folder / "eval.json").read_text())
        for folder in (sie_run / "run", tmp_path / "scores")
    )
    for report in (trained, found):
        report["datasets"]["market"].pop("fingerprint")  # of the training images too
    for name in ("datasets", "network", "weights", "settings", "step"):
        assert found[name] == trained[name], name
    assert found["step"] > 0 and found["network"]["cameras"] == [["market", 1], ["market", 3]]

    stored = json.loads((sie_run / "run/eval.json").read_text())
    shutil.copytree(sie_run / "run", tmp_path / "run")
    again = run(
        *("configs/folder.py", "--mode=eval", f"--workdir={tmp_path / 'run'}"),
        *(
            f"--config.data.root={tmp_path / 'market'}",
            f"--config.data.data_dir={tmp_path / 'tfds'}",
        ),
    )
    assert again.returncode == 0, again.stderr
    reports = json.loads((tmp_path / "run/eval.json").read_text())
    reports["datasets"]["market"]["fingerprint"] = stored["datasets"]["market"]["fingerprint"]
    assert reports == stored


@pytest.mark.slow
def test_a_field_that_contradicts_the_checkpoint_stops_with_both_values(sie_run, tmp_path):
    shutil.copytree(sie_run / "market", tmp_path / "market")
    agreeing = scored_elsewhere(sie_run, tmp_path, *OTHER_NETWORK)
    assert agreeing.returncode == 0, agreeing.stderr
    for argument, told in (
        ("--config.model.stride=16", "config.model.stride = 16, but .* has 12"),
        ("--config.model.sie=False", "config.model.sie = False, but .* has True"),
        ("--config.data.image_size=(64,32)", r"image_size = \(64, 32\), .* has \(96, 48\)"),
    ):
        result = scored_elsewhere(sie_run, tmp_path, argument)
        assert result.returncode == 2 and "Traceback" not in result.stderr
        assert re.search(told, result.stderr), result.stderr


@pytest.mark.slow
def test_equally_many_cameras_of_another_data_set_are_refused(sie_run, tmp_path):
    shutil.copytree(sie_run / "market", tmp_path / "elsewhere")
    (tmp_path / "elsewhere/query/8_c3_0.png").unlink()
    result = scored_elsewhere(sie_run, tmp_path, root="elsewhere")
    assert result.returncode == 2 and "Traceback" not in result.stderr
    assert "market 1, market 3" in result.stderr and "elsewhere 1" in result.stderr


@pytest.mark.slow
def test_a_workdir_is_enough_and_its_data_may_move_and_be_renamed(sie_run, tmp_path):
    """Every mode after the first training; the cameras of the renamed folder are recognised."""
    shutil.copytree(sie_run / "run", tmp_path / "run")
    shutil.copytree(sie_run / "market", tmp_path / "moved")
    moved = (f"--config.data.root={tmp_path / 'moved'}", f"--workdir={tmp_path / 'run'}")

    first = json.loads((tmp_path / "run/eval.json").read_text())
    scored = main_py("--mode=eval", *moved)
    assert scored.returncode == 0, scored.stderr
    assert "next: python main.py --mode=compare --workdir=" in scored.stderr.splitlines()[-1]
    again = json.loads((tmp_path / "run/eval.json").read_text())
    assert again["datasets"]["moved"] == first["datasets"]["market"]

    verified = main_py("--mode=verify_data", "--json", *moved)
    assert verified.returncode == 0, verified.stderr
    (dataset,) = json.loads(verified.stdout)["datasets"]
    assert dataset["fingerprint"] == first["datasets"]["market"]["fingerprint"]

    longer = main_py("--config.train.epochs=3", *moved)
    assert longer.returncode == 0, longer.stderr
    assert "config.train.epochs: 1 -> 3" in longer.stderr
    assert f"continuing from step {first['step']}" in longer.stderr
    assert f"next: python main.py --mode=eval --workdir={tmp_path / 'run'}" in longer.stderr
    last = json.loads((tmp_path / "run/eval.json").read_text())
    assert last["step"] == 3 * first["step"]
    assert last["network"]["cameras"] == first["network"]["cameras"]

    other = main_py(
        *(f"--config={tmp_path / 'run/config.json'}", f"--workdir={tmp_path / 'other'}"),
        *("--config.train.epochs=1", "--config.seed=1"),
    )
    assert other.returncode == 0, other.stderr
    stored = [json.loads((tmp_path / f / "config.json").read_text()) for f in ("run", "other")]
    assert stored[1] == stored[0] | {"seed": 1, "train": stored[0]["train"] | {"epochs": 1}}


@pytest.mark.slow
def test_a_refused_training_changes_nothing_in_its_workdir(sie_run, tmp_path):
    workdir = shutil.copytree(sie_run / "run", tmp_path / "run")
    shutil.copytree(sie_run / "market", tmp_path / "market")
    (tmp_path / "market/bounding_box_train/1_c1_0.png").unlink()
    before = {path: path.read_bytes() for path in workdir.rglob("*") if path.is_file()}
    result = main_py(
        *(f"--workdir={workdir}", f"--config.data.root={tmp_path / 'market'}"),
        *("--config.train.epochs=9", "--config.data.on_bad_image=error"),
    )
    assert result.returncode == 2 and "Traceback" not in result.stderr
    assert before == {path: path.read_bytes() for path in workdir.rglob("*") if path.is_file()}


@pytest.mark.slow
def test_pictures_that_were_trained_on_are_found_in_any_test_set(sie_run, tmp_path, write_image):
    """By a step of the workdir, which brings config and records, and from another folder."""
    step = sie_run / "run/checkpoints" / str(max(checkpoints(sie_run / "run")))
    shutil.copytree(sie_run / "market", tmp_path / "market")
    own = (f"--workdir={tmp_path / 'scores'}", f"--config.data.root={tmp_path / 'market'}")
    clean = main_py("--mode=eval", f"--checkpoint={step}", *own)
    assert clean.returncode == 0 and "were trained on" not in clean.stderr, clean.stderr
    shutil.copy(
        tmp_path / "market/bounding_box_train/1_c1_0.png",
        tmp_path / "market/bounding_box_test/1_c1_0.png",
    )
    mixed = main_py("--mode=eval", *own)  # the workdir of the scores names the checkpoint
    assert mixed.returncode == 0, mixed.stderr
    assert "market: 1 of its 7 pictures were trained on, so its scores are too high" in mixed.stderr

    told = main_py("--mode=compare", "--json", f"--workdir={sie_run / 'run'},{own[0][10:]}")
    assert told.returncode == 0, told.stderr
    found = json.loads(told.stdout)
    assert found["settings"] == []  # one training, in whose workdir the settings stand
    assert any("different pictures of market" in note for note in found["notes"])


@pytest.mark.slow
def test_cameras_are_embedded_only_where_there_are_some(tmp_path, write_image):
    for person in range(8):
        for number in range(4):
            write_image(tmp_path / "people" / f"p{person}" / f"{number}-{person}.png")
    result = run(
        *("configs/folder.py", f"--workdir={tmp_path / 'run'}", "--config.model.sie=True"),
        *(f"--config.data.root={tmp_path / 'people'}", "--config.train.batch_size=8"),
        f"--config.data.data_dir={tmp_path / 'tfds'}",
    )
    assert result.returncode == 2 and "sie = True needs cameras" in result.stderr, result.stderr


@pytest.mark.slow
def test_a_mode_without_any_config_says_what_it_needs(tmp_path):
    for mode in ("train", "eval", "verify_data"):
        result = main_py(f"--mode={mode}", f"--workdir={tmp_path / 'new'}")
        assert result.returncode == 2 and "Traceback" not in result.stderr
        assert f"--mode={mode} needs --config=FILE" in result.stderr


@pytest.mark.slow
def test_a_preset_that_contradicts_the_checkpoint_stops(sie_run, tmp_path):
    result = run(
        *("configs/folder.py:released", "--mode=eval", f"--checkpoint={sie_run / 'run'}"),
        f"--workdir={tmp_path / 'scores'}",
    )
    assert result.returncode == 2 and "Traceback" not in result.stderr
    assert "'first_patch', but the checkpoint's network" in result.stderr


@pytest.mark.slow
def test_results_go_to_standard_output_and_everything_else_to_standard_error(sie_run, tmp_path):
    shutil.copytree(sie_run / "market", tmp_path / "market")
    result = scored_elsewhere(sie_run, tmp_path)
    assert result.stdout.startswith("scores at step ") and "market" in result.stderr
    assert all(
        line.startswith(("scores", "data set", "market")) for line in result.stdout.splitlines()
    )


def checkpoints(workdir):
    return [int(p.name) for p in (workdir / "checkpoints").glob("*") if p.name.isdigit()]


def wait_for(condition, process, seconds=300):
    end = time.monotonic() + seconds
    while not condition():
        assert process.poll() is None, "the training ended before it could be killed"
        assert time.monotonic() < end, "the training wrote no checkpoint in time"
        time.sleep(0.05)


@pytest.fixture(scope="module")
def held_out_run(tmp_path_factory, write_image):
    """A folder of pictures of 24 people, and the workdir of a training that held out 4 of 12."""
    folder = tmp_path_factory.mktemp("held_out")
    for person in range(24):
        for number in range(6):
            name = f"{person}_cam{number % 2 + 1}_{number}.png"
            write_image(folder / "people" / f"p{person}" / name)
    result = run(
        *("configs/folder.py", f"--workdir={folder / 'run'}", "--config.train.epochs=1", *MU),
        *(f"--config.data.root={folder / 'people'}", f"--config.data.data_dir={folder / 'tfds'}"),
        "--config.data.held_out=0.34",
    )
    assert result.returncode == 0, result.stderr
    return folder


@pytest.mark.slow
def test_thresholds_are_found_on_held_out_people_and_lie_beside_the_weights(held_out_run):
    workdir = held_out_run / "run"
    result = main_py(
        "--mode=calibrate", f"--workdir={workdir}", "--config.calibrate.far=(0.1,1e-3)"
    )
    assert result.returncode == 0, result.stderr
    assert result.stdout.startswith("thresholds from 24 pictures of 4 people (held-out identities")
    assert (
        "4 identities with two pictures of two cameras are too few for intervals" in result.stderr
    )
    assert result.stderr.splitlines()[-1].endswith(f"--mode=eval --workdir={workdir}")
    step = workdir / "checkpoints" / str(max(checkpoints(workdir)))
    told = json.loads((step / "calibration.json").read_text())
    report = json.loads((workdir / "eval.json").read_text())
    assert (told["weights"], told["network"]) == (report["weights"], report["network"])
    recorded = json.loads((workdir / "trained_on.json").read_text())["datasets"]
    assert told["data"] == recorded and len(recorded["people"]["held_out_identities"]) == 4
    assert told["network"]["num_classes"] == 8
    first, second = told["features"]["concat"]["thresholds"]
    assert 0 < first["distance"] < 4 and second["distance"] is None


@pytest.mark.slow
@pytest.mark.parametrize(
    ("field", "words"),
    [
        ("--config.data.held_out=0.0", ["held_out=0.2", "config.calibrate.dataset=BUILDER"]),
        ("--config.data.held_out=0.5", ["12 of the 36 pictures", "were trained on"]),
        ("--config.calibrate.dataset=reid_folder", ["of the test set people"]),
        ("--config.calibrate.far=(2.0,)", ["config.calibrate.far = (2.0,)"]),
    ],
)
def test_what_cannot_be_calibrated_ends_with_one_paragraph(held_out_run, field, words):
    result = main_py("--mode=calibrate", f"--workdir={held_out_run / 'run'}", field)
    assert result.returncode == 2 and "Traceback" not in result.stderr
    (told,) = [line for line in result.stderr.splitlines() if line.startswith("main.py: ")]
    assert all(word in told for word in words), told


@pytest.mark.slow
def test_another_programs_network_is_scored_with_the_training_sets_cameras(
    sie_run, tmp_path, torch
):
    """TransReID's file counts the cameras; main.py names them, and says so."""
    spec = toy_spec(family="baseline", sie_rows=2)
    state = random_state(formats.table_of("transreid", spec), spec)
    state |= {name: abs(x) + 0.1 for name, x in state.items() if name.endswith("running_var")}
    torch.save(tensors(torch, state), tmp_path / "transreid.pth")
    bring_in = [sys.executable, "convert_weights.py", f"--source={tmp_path / 'transreid.pth'}"]
    subprocess.run([*bring_in, f"--target={tmp_path / 'ours'}"], cwd=ROOT, check=True)
    shutil.copytree(sie_run / "market", tmp_path / "market")
    result = run(
        *("configs/folder.py:baseline", "--mode=eval", f"--checkpoint={tmp_path / 'ours'}"),
        *(f"--workdir={tmp_path / 'scores'}", f"--config.data.root={tmp_path / 'market'}"),
        *("--config.data.image_size=(64,32)", f"--config.data.data_dir={tmp_path / 'tfds'}"),
        *("--config.train.batch_size=4", "--config.train.images_per_identity=2"),
    )
    assert result.returncode == 0, result.stderr
    assert (
        "does not name the 2 cameras that it embeds; they are taken for market 1" in result.stderr
    )
    report = json.loads((tmp_path / "scores/eval.json").read_text())
    assert report["settings"]["features"] == ["after", "before"]
