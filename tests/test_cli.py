"""The command `dpeformer`: what a user types, reads and may get wrong."""

import dataclasses
import json
import os
import subprocess
import sys
from pathlib import Path

import jax
import numpy as np
import pytest
from PIL import Image
from thresholds import calibration
from toy import toy_weights

from dpeformer_jax import Extractor, Gallery
from dpeformer_jax.checkpoint.weights import save_weights
from dpeformer_jax.extraction.extract import extract
from dpeformer_jax.extraction.listing import Listing
from dpeformer_jax.retrieval import gallery_erasure
from dpeformer_jax.retrieval.calibration import write_calibration

ROOT = Path(__file__).parents[1]
EARLIER = ROOT / "tests/earlier_versions/2"


@pytest.fixture(scope="module")
def network(tmp_path_factory):
    """A checkpoint without thresholds."""
    folder = tmp_path_factory.mktemp("cli") / "network"
    save_weights(folder, toy_weights())
    return folder


@pytest.fixture(scope="module")
def calibrated(tmp_path_factory):
    """A checkpoint of other weights, with thresholds that few pairs of the pictures are below."""
    folder = tmp_path_factory.mktemp("cli") / "calibrated"
    weights = toy_weights()
    others = jax.tree.map(lambda x: 1.5 * x, weights.variables)
    save_weights(folder, dataclasses.replace(weights, variables=others))
    weights = Extractor.load(folder).fingerprint
    write_calibration(folder, calibration(weights, (1e-3, 1e-6, 0)))
    return folder


@pytest.fixture
def people(tmp_path, write_image):
    """Two people, two pictures each, named by person and camera."""
    names = ("anna/1_c1.png", "anna/2_c2.png", "ben/3_c1.png", "ben/4_c2.png")
    for name in names:
        write_image(tmp_path / "people" / name)
    return tmp_path / "people"


@pytest.fixture
def index(dpeformer, people, network, tmp_path):
    """An index of the people, with cameras."""
    names = (r"--names=\d_c(?P<camera>\d)", "--folders")
    line = "index", "add", tmp_path / "people.index", people, "--checkpoint", network, *names
    assert dpeformer(*line) == f"{tmp_path / 'people.index'}: 4 enrolled\n"
    return tmp_path / "people.index"


def test_help_teaches_every_command(dpeformer):
    assert "dpeformer match a.jpg b.jpg --checkpoint runs/mine" in dpeformer("--help")
    for command in ("extract", "match", "index", "search", "forget", "export", "info"):
        told = dpeformer(command, "--help")
        assert f"dpeformer {command} " in told.split("options:")[0].split("\n\n", 1)[1], command


def test_info_tells_what_a_checkpoint_is(dpeformer, calibrated):
    told = dpeformer("info", calibrated)
    weights = Extractor.load(calibrated).fingerprint
    assert weights in told and "dpeformer, mu, 64 x 32 pixels" in told
    assert "holistic (128), parts (128), concat (256)" in told
    assert "concat: 0.001 for 1 % false accepts" in told
    told = json.loads(dpeformer("info", EARLIER / "workdir", "--json"))
    assert told["step"] == 4 and told["spec"]["variant"] == "mu"
    assert list(told["trained_on"]["datasets"]) == ["market"] and told["calibration"] is None
    assert "converted    from x.pth" in dpeformer("info", EARLIER / "converted")


def test_info_tells_the_scores_of_these_weights(dpeformer, network, tmp_path):
    weights = Extractor.load(network).fingerprint
    scores = {"mAP": 0.5, "rank1": 0.625, "rank5": 0.75, "roc": []}
    report = {"weights": weights, "datasets": {"market": {"concat": scores, "duplicates": 0}}}
    (network / "eval.json").write_text(json.dumps(report))
    told = dpeformer("info", network)
    assert "market, concat: mAP 50.0 %, rank1 62.5 %, rank5 75.0 %" in told
    (network / "eval.json").write_text(json.dumps(report | {"weights": "f" * 64}))
    assert "none of these weights" in dpeformer("info", network)
    (network / "eval.json").unlink()


def test_match_answers_by_its_exit_code(dpeformer, network, calibrated, people):
    one, other = people / "anna/1_c1.png", people / "ben/3_c1.png"
    told = dpeformer("match", one, other, "--checkpoint", network)
    assert "no verdict" in told and "mode=calibrate" in told
    assert dpeformer("match", one, one, "--checkpoint", calibrated).startswith("same\n")
    found = json.loads(dpeformer("match", one, other, "--checkpoint", calibrated, "--json", code=1))
    assert found["verdict"] == "unsure" and found["level"] is None
    assert found["cosine"] == pytest.approx(1 - found["distance"] / 2)


@pytest.mark.parametrize("suffix", ["png", "svg"])
def test_explain_draws_and_tells_what_a_distance_is_made_of(
    dpeformer, calibrated, people, tmp_path, suffix
):
    pair, target = (people / "anna/1_c1.png", people / "ben/3_c1.png"), tmp_path / f"why.{suffix}"
    line = "explain", *pair, "--checkpoint", calibrated, "--out", target, "--json"
    told = json.loads(dpeformer(*line))
    assert target.stat().st_size > 10_000 and told["figure"] == str(target)
    pieces = told["pair"]["contributions"]
    assert [*pieces] == [f"{kind} {n}" for kind in ("stripe", "part") for n in range(1, 5)]
    line = "match", *pair, "--checkpoint", calibrated, "--json"
    match = json.loads(dpeformer(*line, code=1))
    assert sum(pieces.values()) == pytest.approx(match["distance"], rel=1e-5)
    assert told["pair"]["verdict"] == match["verdict"]
    kept = Extractor.load(calibrated)([*pair], names=["selected"])["selected"]
    for found, own in zip(told["pictures"], kept, strict=True):
        assert sorted(found["kept"]) == np.flatnonzero(own).tolist()
        assert found["count"] == own.sum() and len(found["similarity"]) == own.size


def test_explain_says_in_words_what_it_shows(dpeformer, network, people, tmp_path):
    line = "explain", people / "anna/1_c1.png", "--checkpoint", network, "--out", tmp_path / "a.png"
    assert dpeformer(*line).startswith("1_c1.png: kept ")


def test_extract_tells_what_it_wrote(dpeformer, network, people, tmp_path):
    target = tmp_path / "f.npz"
    line = "extract", people, "--folders", "--checkpoint", network, "--to", target
    (people / "ben/3_c1.png").write_bytes(b"broken")
    told = json.loads(dpeformer(*line, "--json"))
    assert (told["pictures"], told["unreadable"], told["rate"] > 0) == (4, 1, True)
    assert np.load(target)["identity"].tolist() == ["anna", "anna", "ben", "ben"]
    assert dpeformer(*line, code=2).startswith(f"dpeformer: {target} exists already")
    told = dpeformer(*line, "--overwrite")
    assert "3 of 4 pictures have features" in told and "see the column error" in told
    assert "1 of 4 pictures cannot be read" in dpeformer(*line, "--overwrite", "--strict", code=2)


def test_people_are_enrolled_found_and_forgotten(dpeformer, index, people, network, tmp_path):
    one = people / "anna/1_c1.png"
    query = "search", index, one, "--checkpoint", network
    first, best, *_ = dpeformer(*query).splitlines()
    assert first == f"{one}:" and best.split() == ["1", "0.000", "anna", "camera", "1", str(one)]
    told = json.loads(dpeformer(*query, "--camera=1", "--other-cameras", "--json"))
    hits = told["answers"][0]["hits"]
    assert {hit["camera"] for hit in hits} == {"2"} and len(hits) == 2
    told = json.loads(dpeformer(*query, "--not-identity=anna", "--json"))
    assert {hit["identity"] for hit in told["answers"][0]["hits"]} == {"ben"}
    sheet = tmp_path / "answers.png"
    assert "anna" in dpeformer(*query, "--top", 2, "--sheet", sheet)
    assert Image.open(sheet).width > 300
    assert json.loads(dpeformer("index", "info", index, "--json"))["rows"] == 4
    assert dpeformer("forget", index, "--identity", "anna") == f"{index}: pictures removed: 2\n"
    dpeformer("forget", index, "--identity", "anna", code=1)
    assert "anna" not in dpeformer(*query).splitlines()[1]
    again = "index", "add", index, people, "--checkpoint", network
    assert dpeformer(*again) == f"{index}: 2 enrolled, 2 were there already\n"


def test_files_of_features_are_enrolled_and_searched_without_a_network(
    dpeformer, people, network, tmp_path
):
    for name in ("f.npz", "f.parquet"):
        line = "extract", people, "--folders", "--checkpoint", network, "--to", tmp_path / name
        dpeformer(*line)
    index = tmp_path / "index"
    assert dpeformer("index", "add", index, tmp_path / "f.npz") == f"{index}: 4 enrolled\n"
    told = dpeformer("index", "add", index, tmp_path / "f.parquet")
    assert told == f"{index}: 0 enrolled, 4 were there already\n"
    told = json.loads(dpeformer("search", index, tmp_path / "f.parquet", "--top=1", "--json"))
    assert [answer["hits"][0]["path"] for answer in told["answers"]] == [
        answer["query"] for answer in told["answers"]
    ]


def test_beyond_the_threshold_is_nobody(dpeformer, people, calibrated, tmp_path):
    index, one, other = tmp_path / "index", people / "anna/1_c1.png", people / "ben/4_c2.png"
    network = "--checkpoint", calibrated
    dpeformer("index", "add", index, one, *network)
    assert "same" in dpeformer("search", index, one, *network).splitlines()[1]
    assert dpeformer("search", index, other, *network, code=1) == f"{other}: nobody\n"
    told = json.loads(dpeformer("search", index, other, *network, "--all", "--json"))
    assert told["answers"][0]["hits"][0]["verdict"] in ("unsure", "different")


def broken(path):
    path.write_bytes(b"broken")
    return path


def features_of(network, people, target):
    extract(Extractor.load(network), Listing([people]), target)
    return target


def unfinished(index):
    gallery = Gallery.open(index)
    gallery_erasure.mark(gallery._database, gallery._table)
    return index


def newer(monkeypatch, index):
    monkeypatch.setattr("dpeformer_jax.retrieval.gallery_table.VERSION", 0)
    return index


# What is typed, from what is there, and the words of the one sentence that must come.
MISTAKES = {
    "no checkpoint": ("info {tmp}/none", "is not a folder"),
    "a folder without one": ("match {a} {b} --checkpoint {people}", "holds no checkpoint"),
    "no picture": ("match {a} {tmp}/none.jpg --checkpoint {net}", "no such file"),
    "a broken picture": ("match {a} {broken} --checkpoint {net}", "cannot be read as a picture"),
    "a rate without thresholds": (
        "match {a} {b} --checkpoint {net} --far 0.01",
        "--far=0.01 needs thresholds",
    ),
    "a rate not calibrated": (
        "match {a} {b} --checkpoint {calibrated} --far 0.5",
        "not one of the calibrated rates 0.01, 0.001",
    ),
    "no source": ("extract {tmp}/none --checkpoint {net} --to {tmp}/x.npz", "does not exist"),
    "no picture in it": ("extract {empty} --checkpoint {net} --to {tmp}/x.npz", "no picture"),
    "another kind of file": (
        "extract {notes} --checkpoint {net} --to {tmp}/x.npz",
        "is no source of pictures",
    ),
    "another kind of target": (
        "extract {people} --checkpoint {net} --to {tmp}/x.csv",
        "*.npz or *.parquet",
    ),
    "no such feature": (
        "extract {people} --checkpoint {net} --to {tmp}/x.npz --features tokens",
        "must be some of holistic, parts, concat",
    ),
    "a time that is none": (
        "extract {people} --checkpoint {net} --to {tmp}/x.npz --time noon",
        "time 'noon' is neither",
    ),
    "a pattern that is none": (
        "extract {people} --checkpoint {net} --to {tmp}/x.npz --names (",
        "no regular expression",
    ),
    "boxes of nothing": (
        "extract {people} --boxes {tmp}/none.csv --checkpoint {net} --to {tmp}/x.npz",
        "none.csv does not exist",
    ),
    "no boxes": (
        "extract {people} --boxes {notes} --checkpoint {net} --to {tmp}/x.npz",
        "has no column",
    ),
    "boxes of two videos": (
        "extract {people} {a} --boxes {notes} --checkpoint {net} --to {tmp}/x.npz",
        "is of one video, and 2 sources",
    ),
    "a table without paths": (
        "extract {table} --checkpoint {net} --to {tmp}/x.npz",
        "has no column path",
    ),
    "a video on Ray": (
        "extract {people} --boxes {notes} --ray local --checkpoint {net} --to {tmp}/x.npz",
        "--ray takes pictures",
    ),
    "no place to write": (
        "extract {people} --checkpoint {net} --to {notes}/x.npz",
        "cannot be written",
    ),
    "an unknown camera": (
        "extract {people} --camera 9 --checkpoint {embeds} --to {tmp}/x.npz",
        "the network embeds the camera: '9' must be one of those",
    ),
    "pictures without a network": ("index add {tmp}/i {people}", "pictures need --checkpoint"),
    "a file that says no network": ("index add {tmp}/i {array}", "is no file of features"),
    "a damaged file": ("index add {tmp}/i {damaged}", "damaged or no file of features"),
    "pictures and features": ("index add {tmp}/i {features} {a}", "not both at once"),
    "labels of a file": (
        "index add {tmp}/i {features} --identity anna",
        "tells identity, camera and time itself",
    ),
    "a folder of pictures": ("index add {people} {a} --checkpoint {net}", "is no index"),
    "wrong weights": (
        "index add {index} {a} --checkpoint {calibrated}",
        "their features cannot be compared",
    ),
    "features of wrong weights": (
        "index add {index} {others}",
        "their features cannot be compared",
    ),
    "too few": ("index build {index}", "4 pictures need no approximate index"),
    "no index": ("search {tmp}/none {a} --checkpoint {net}", "does not exist"),
    "searched by wrong weights": (
        "search {index} {a} --checkpoint {calibrated}",
        "their features cannot be compared",
    ),
    "other cameras of what": (
        "search {index} {a} --other-cameras --checkpoint {net}",
        "--other-cameras needs the camera",
    ),
    "no approximate index": (
        "search {index} {a} --approximate --checkpoint {net}",
        "has no approximate index",
    ),
    "a broken query": ("search {index} {broken} --checkpoint {net}", "no query could be read"),
    "a sheet that is there": (
        "search {index} {a} --sheet {b} --checkpoint {net}",
        "exists already",
    ),
    "a sheet that is none": (
        "search {index} {a} --sheet {tmp}/s.txt --checkpoint {net}",
        "must be named *.jpg",
    ),
    "searched by pictures alone": ("search {index} {a}", "pictures need --checkpoint"),
    "a rate of nothing": ("search {index} {features} --far 0.1", "needs --checkpoint=PATH"),
    "an interrupted removal": (
        "search {unfinished} {a} --checkpoint {net}",
        "interrupted|--finish",
    ),
    "enrolled into one": ("index add {unfinished} {a} --checkpoint {net}", "interrupted|--finish"),
    "a newer index": ("index info {newer}", "has version 1, and this program knows 0"),
    "nobody's name": ("forget {index} --identity=", "--identity needs a name"),
    "forgotten from nothing": ("forget {tmp}/none --identity anna", "does not exist"),
}


MISTAKES |= {
    "an explanation of nothing": (
        "explain {tmp}/none.jpg --checkpoint {net} --out {tmp}/x.png",
        "no such file",
    ),
    "a figure that is there": ("explain {a} --checkpoint {net} --out {b}", "exists already"),
    "a figure that is none": (
        "explain {a} --checkpoint {net} --out {tmp}/x.txt",
        "must be named *.png",
    ),
    "a camera too many": (
        "explain {a} --cameras 1 2 --checkpoint {net} --out {tmp}/x.png",
        "names 2 cameras for 1 pictures",
    ),
    "no camera": (
        "explain {a} --checkpoint {embeds} --out {tmp}/x.png",
        "the network embeds the camera",
    ),
}


@pytest.mark.parametrize("mistake", MISTAKES)
@pytest.mark.slow
def test_a_mistake_is_one_sentence_and_code_2(
    mistake, dpeformer, network, calibrated, people, tmp_path, monkeypatch, request
):
    line, words = MISTAKES[mistake]
    (tmp_path / "empty").mkdir()
    for name, text in (("notes.md", "x,y\n1,2\n"), ("table.csv", "file,who\na,b\n")):
        (tmp_path / name).write_text(text)
    np.savez(tmp_path / "array.npz", values=np.zeros(3))
    makers = {
        "tmp": lambda: tmp_path,
        "net": lambda: network,
        "calibrated": lambda: calibrated,
        "people": lambda: people,
        "a": lambda: people / "anna/1_c1.png",
        "b": lambda: people / "ben/3_c1.png",
        "broken": lambda: broken(tmp_path / "broken.jpg"),
        "empty": lambda: tmp_path / "empty",
        "notes": lambda: tmp_path / "notes.md",
        "table": lambda: tmp_path / "table.csv",
        "array": lambda: tmp_path / "array.npz",
        "damaged": lambda: broken(tmp_path / "damaged.npz"),
        "features": lambda: features_of(network, people, tmp_path / "f.npz"),
        "others": lambda: features_of(calibrated, people, tmp_path / "others.npz"),
        "embeds": lambda: embedding(tmp_path / "embeds"),
        "index": lambda: request.getfixturevalue("index"),
        "unfinished": lambda: unfinished(request.getfixturevalue("index")),
        "newer": lambda: newer(monkeypatch, request.getfixturevalue("index")),
    }
    made = {name: str(make()) for name, make in makers.items() if f"{{{name}}}" in line}
    told = dpeformer(*(word.format(**made) for word in line.split()), code=2)
    assert all(word in told for word in words.split("|")), told
    assert len(told) < 600


def embedding(folder):
    """A network that embeds the cameras 1 and 2."""
    save_weights(folder, toy_weights(sie_rows=2, cameras=(("toy", 1), ("toy", 2))))
    return folder


def test_a_network_that_embeds_cameras_takes_them_by_name(dpeformer, people, tmp_path):
    network = embedding(tmp_path / "embeds")
    line = "extract", people, "--checkpoint", network, r"--names=\d_c(?P<camera>\d)"
    dpeformer(*line, "--to", tmp_path / "f.npz")
    paths = sorted(people.glob("*/*.png"))
    expected = Extractor.load(network)(paths, [0, 1, 0, 1])["concat"]
    np.testing.assert_allclose(np.load(tmp_path / "f.npz")["concat"], expected, atol=1e-6)


def test_what_argparse_refuses_ends_with_code_2_too(capsys):
    from dpeformer_jax.cli.main import main

    for line in (["unknown"], ["match", "a"], ["extract"], ["index"], ["forget", "i"]):
        with pytest.raises(SystemExit) as ended:
            main(line)
        assert ended.value.code == 2


def run(*words, **options):
    line = [sys.executable, "-m", "dpeformer_jax", *map(str, words)]
    return subprocess.run(line, cwd=ROOT, capture_output=True, text=True, **options)


@pytest.mark.slow
def test_a_full_disk_and_a_closed_pipe_end_in_order(network, people, tmp_path):
    line = "extract", people, "--checkpoint", network, "--to", tmp_path / "f.npz"

    def limit():
        import resource

        resource.setrlimit(resource.RLIMIT_FSIZE, (2000, 2000))

    environment = os.environ | {"JAX_COMPILATION_CACHE_DIR": ""}
    result = run(*line, preexec_fn=limit, env=environment)
    assert result.returncode == 2 and not (tmp_path / "f.npz").exists()
    assert "make room" in result.stderr.splitlines()[-1], result.stderr
    assert run(*line).returncode == 0
    words = f"{sys.executable} -m dpeformer_jax info {EARLIER / 'workdir'} --json | head -1"
    result = subprocess.run(words, shell=True, cwd=ROOT, capture_output=True, text=True)
    assert result.stdout == "{\n" and result.stderr == ""
