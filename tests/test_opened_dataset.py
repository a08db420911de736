"""A data set is counted and prepared once, and its fingerprint is that of its content."""

import csv
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import layouts
import pytest

from data.builders.reid_folder import ReidFolder
from data.dataset_spec import DatasetSpec, DataSettings
from data.opened_dataset import OpenedDataset
from dpeformer_jax.base.errors import UserError

ROOT = Path(__file__).parents[1]
PATTERN = DataSettings().pattern
OPEN = """
import json, re, sys, time
from pathlib import Path
from data.dataset_spec import DatasetSpec
from data.opened_dataset import OpenedDataset
from dpeformer_jax.base.command import log_to_stderr
builder, root, pattern, data_dir = sys.argv[1:]
log_to_stderr()
print("ready", flush=True)
sys.stdin.readline()
began = time.monotonic()
opened = OpenedDataset(DatasetSpec(builder, "", root, pattern), data_dir, allow_other_counts=False)
fingerprint = opened.fingerprint
status = Path("/proc/self/status").read_text()
print(json.dumps({
    "fingerprint": fingerprint,
    "seconds": time.monotonic() - began,
    # Not getrusage, which begins with the size of the process that this one was forked from.
    "megabytes": int(re.search(r"VmHWM:\\s+(\\d+)", status)[1]) / 1024,
    "images": sum(map(len, opened.splits.values())),
}))
"""


def spec_of(root, builder="reid_folder", variant=""):
    return DatasetSpec(builder, variant, str(root), PATTERN)


def opened(root, data_dir, builder="reid_folder", variant="", others=True):
    return OpenedDataset(spec_of(root, builder, variant), str(data_dir), others)


def opening(root, data_dir, builder="reid_folder"):
    """A process that opens a data set when a line is written to it."""
    process = subprocess.Popen(
        [sys.executable, "-c", OPEN, builder, str(root), PATTERN, str(data_dir)],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout.readline() == "ready\n"
    return process


def begin(process):
    process.stdin.write("\n")
    process.stdin.flush()


def ended(process):
    """What the process logged, line by line, and its report."""
    report, logged = process.communicate()
    assert process.returncode == 0, logged
    return logged.splitlines(), json.loads(report)


def unfinished(data_dir):
    return [path for path in Path(data_dir).rglob("incomplete.*") if path.is_dir()]


@pytest.fixture
def many(market):
    """`market` with so many queries that preparing it takes a while."""
    encoded = next((market / "query").iterdir()).read_bytes()
    for frame in range(100, 2100):
        (market / "query" / f"20_c1_{frame}.jpg").write_bytes(encoded)
    return market


def test_the_fingerprint_does_not_depend_on_where_the_folder_lies(market, tmp_path):
    here = opened(market, tmp_path / "a").fingerprint
    moved = shutil.move(market, tmp_path / "there" / "under another name")
    assert opened(moved, tmp_path / "b").fingerprint == here
    assert re.fullmatch("[0-9a-f]{64}", here)


def test_the_fingerprint_is_there_again_without_preparing_again(market, tmp_path, caplog):
    caplog.set_level("INFO", "data")
    first = opened(market, tmp_path / "data").fingerprint
    assert "preparing" in caplog.text
    caplog.clear()
    assert opened(market, tmp_path / "data").fingerprint == first
    assert "preparing" not in caplog.text


def change_one_byte(root):
    file = root / "query" / "20_c1_0.jpg"
    encoded = bytearray(file.read_bytes())
    encoded[-3] ^= 1
    file.write_bytes(encoded)


def rename(root, name="20_c1_7.jpg"):
    (root / "query" / "20_c1_0.jpg").rename(root / "query" / name)


def rename_to_another_camera(root):
    rename(root, "20_c2_0.jpg")


def move_to_another_split(root):
    name = "20_c1_0.jpg"
    (root / "query" / name).rename(root / "bounding_box_test" / name)


def remove(root):
    (root / "query" / "20_c1_0.jpg").unlink()


@pytest.mark.parametrize(
    "change",
    [change_one_byte, rename, rename_to_another_camera, move_to_another_split, remove],
)
def test_the_fingerprint_changes_with_a_file(market, tmp_path, change):
    before = opened(market, tmp_path / "data").fingerprint
    change(market)
    assert opened(market, tmp_path / "data").fingerprint != before


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("b/x.png,17,3,train", "b/x.png,18,3,train"),
        ("b/x.png,17,3,train", "b/x.png,17,4,train"),
        ("a/y.JPG,21,0,gallery", "a/y.JPG,21,0,query"),
    ],
)
def test_the_fingerprint_changes_with_an_identity_a_camera_or_a_split(tmp_path, old, new):
    table = layouts.reid_csv(tmp_path)
    before = opened(table, tmp_path / "data", "reid_csv").fingerprint
    layouts.replace_in(table, old, new)
    assert opened(table, tmp_path / "data", "reid_csv").fingerprint != before


def test_the_fingerprint_does_not_depend_on_the_order_of_a_table(tmp_path):
    table = layouts.reid_csv(tmp_path)
    before = opened(table, tmp_path / "data", "reid_csv").fingerprint
    head, *rows = csv.reader(table.open(encoding="utf-8-sig"))
    with table.open("w", newline="") as file:
        csv.writer(file).writerows([head, *reversed(rows)])
    assert opened(table, tmp_path / "data", "reid_csv").fingerprint == before


def test_other_than_the_published_counts_are_an_error_with_a_table(tmp_path):
    root = layouts.market1501(tmp_path)
    with pytest.raises(UserError) as error:
        opened(root, tmp_path / "data", "market1501", others=False)
    first, _, _, *rows, last = str(error.value).splitlines()
    assert first == f"market1501 in {root} does not have the published counts:"
    assert [row.split() for row in rows] == [
        ["train", "751", "2", "12936", "4", "6", "3"],
        ["query", "750", "2", "3368", "2", "6", "1"],
        ["gallery", "751", "3", "15913", "3", "6", "3"],
    ]
    assert last.startswith("Files are missing (train, query, gallery)")
    assert "config.data.allow_other_counts = True" in last
    assert not (tmp_path / "data").exists()


def test_other_counts_that_are_allowed_are_told(tmp_path):
    dataset = opened(layouts.partial_reid(tmp_path), tmp_path / "data", "partial_reid")
    assert dataset.provenance == {
        "fingerprint": dataset.fingerprint,
        "other_counts": [
            "query: 2 identities (60 published)",
            "query: 2 images (300 published)",
            "gallery: 2 identities (60 published)",
            "gallery: 2 images (300 published)",
        ],
    }
    assert dataset.summary().splitlines() == [
        "partial_reid/partial query: 2 identities, 2 images, 1 cameras",
        "partial_reid/partial gallery: 2 identities, 2 images, 1 cameras",
        "other than published: " + "; ".join(dataset.provenance["other_counts"]),
    ]


def test_figures_without_a_source_are_only_warned_of(tmp_path):
    dataset = opened(
        layouts.p_dukemtmc_reid(tmp_path), tmp_path / "data", "p_dukemtmc_reid", others=False
    )
    warning = dataset.summary().splitlines()[-1]
    assert "train: 4 images (12927 published, a figure without a known source)" in warning
    assert len(dataset.provenance["other_counts"]) == 6


def test_the_published_counts_are_nothing_to_tell(tmp_path):
    names = [str(number) for number in range(1, 120)]
    root = layouts.partial_ilids(tmp_path, " ".join(names), " ".join(names))
    dataset = opened(root, tmp_path / "data", "partial_ilids", others=False)
    assert list(dataset.provenance) == ["fingerprint"]
    assert dataset.summary().splitlines() == [
        "partial_ilids query: 119 identities, 119 images, 1 cameras",
        "partial_ilids gallery: 119 identities, 119 images, 1 cameras",
    ]


def test_counts_are_told_without_the_files_left_out(market, tmp_path):
    (market / "query" / "21_c3_0.jpg").write_bytes(b"")
    dataset = opened(market, tmp_path / "data")
    assert dataset.skipped == {"query/21_c3_0.jpg": "zero bytes"}
    assert (dataset.found["query"].images, dataset.counts("query").images) == (2, 1)
    assert dataset.provenance["skipped"] == ["query/21_c3_0.jpg (zero bytes)"]
    with pytest.raises(UserError, match="1 images of market cannot be used: query/21_c3_0.jpg"):
        dataset.refuse_damaged()


def test_what_a_killed_preparation_left_is_removed(market, tmp_path):
    name = ReidFolder.configure(spec_of(market)).name
    leftover = tmp_path / "data" / "reid_folder" / name / "incomplete.ABCDEF_1.0.0"
    leftover.mkdir(parents=True)
    (leftover / "half a shard").touch()
    opened(market, tmp_path / "data")
    assert not unfinished(tmp_path / "data")


def test_of_two_processes_one_waits_for_the_other(many, tmp_path):
    processes = [opening(many, tmp_path / "data") for _ in range(2)]
    for process in processes:
        begin(process)
    (first, one), (second, other) = sorted(map(ended, processes))
    assert first[0].startswith("preparing reid_folder/market-")
    assert len(second) == 1 and second[0].startswith("waiting for another process that prepares")
    assert one["fingerprint"] == other["fingerprint"]
    assert one["images"] == other["images"] == 9 + 2002 + 5
    assert not unfinished(tmp_path / "data")


@pytest.fixture(scope="module")
def full_occluded_duke(tmp_path_factory):
    """As many files, identities and cameras as published; 1,870 queries stand in the gallery."""
    root = tmp_path_factory.mktemp("full") / "Occluded_Duke"
    for number in range(8):
        layouts.write_picture(root / f"{number}.jpg", str(number), (64, 128))
    samples = [file.read_bytes() for file in sorted(root.iterdir())]

    def write(folder, identities, images, first, frame):
        """People in turn; from turn to turn each before another camera."""
        (root / folder).mkdir()
        for index in range(images):
            turn, person = divmod(index, identities)
            name = f"{first + person:04d}_c{(turn + person) % 8 + 1}_f{frame + index:07d}.jpg"
            (root / folder / name).write_bytes(samples[index % 8])

    write("bounding_box_train", 702, 15618, first=1, frame=0)
    write("bounding_box_test", 1110, 17661, first=6031, frame=20_000)
    write("query", 519, 2210 - 1870, first=6031, frame=40_000)
    people = {f"{person:04d}" for person in range(6031, 6031 + 519)}
    known = sorted((root / "bounding_box_test").iterdir(), key=lambda file: file.stem[-7:])
    for file in [file for file in known if file.name[:4] in people][:1870]:
        shutil.copy(file, root / "query")
    return root


def shards(data_dir):
    return len(list(Path(data_dir).rglob("*.array_record*")))


@pytest.mark.slow
def test_occluded_duke_in_full_is_prepared_within_minutes_and_survives_a_kill(
    full_occluded_duke, tmp_path
):
    whole = opening(full_occluded_duke, tmp_path / "whole", "occluded_duke")
    begin(whole)
    _, report = ended(whole)
    print(report)
    assert report["images"] == 35489
    assert report["seconds"] < 180 and report["megabytes"] < 1000

    killed = opening(full_occluded_duke, tmp_path / "killed", "occluded_duke")
    begin(killed)
    while shards(tmp_path / "killed") < shards(tmp_path / "whole") // 2:
        assert killed.poll() is None
        time.sleep(0.02)
    killed.send_signal(signal.SIGKILL)
    killed.communicate()
    assert len(unfinished(tmp_path / "killed")) == 1

    again = opening(full_occluded_duke, tmp_path / "killed", "occluded_duke")
    begin(again)
    _, after = ended(again)
    assert after["fingerprint"] == report["fingerprint"]
    assert not unfinished(tmp_path / "killed")


@pytest.mark.slow
def test_occluded_duke_taken_for_dukemtmc_reid_is_recognised(full_occluded_duke, tmp_path):
    with pytest.raises(UserError, match="These are the counts of occluded_duke;"):
        opened(full_occluded_duke, tmp_path / "data", "dukemtmc_reid", others=False)
