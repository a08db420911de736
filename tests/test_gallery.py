"""Enrol, find, forget: real folders, real processes, real kills, bytes on disk."""

import contextlib
import json
import random
import shutil
import subprocess
import sys
import time
from pathlib import Path

import enrolling
import lancedb
import numpy as np
import pyarrow as pa
import pytest
from enrolling import BATCH, NETWORK, WIDTH, enrol, paths_of, vectors_of
from object_stores import BUCKET

from dpeformer_jax import Gallery
from dpeformer_jax.base.errors import UserError
from dpeformer_jax.retrieval import gallery_erasure, gallery_index
from dpeformer_jax.retrieval.gallery_filter import Filter

ROOT = Path(__file__).parents[1]


@pytest.fixture
def where(tmp_path):
    return tmp_path / "people.index"


@pytest.fixture
def gallery(where):
    """Three people, 50 pictures each; camera is 0, 1, 2; the person of batch 1 has times."""
    gallery = enrolling.opened(where)
    for batch in range(3):
        enrol(gallery, batch)
    return gallery


def every_file(folder):
    return [path.read_bytes() for path in Path(folder).rglob("*") if path.is_file()]


def traces(files, batch):
    """How many files hold the path, the name, or the features of a picture of the batch."""
    needles = paths_of(batch)[7], f"person {batch}", vectors_of(batch)[7].tobytes()
    encoded = [n.encode() if isinstance(n, str) else n for n in needles]
    return [sum(needle in content for content in files) for needle in encoded]


def test_what_is_enrolled_is_found_exactly(gallery):
    rng = np.random.default_rng(9)
    queries = rng.standard_normal((300, WIDTH)).astype(np.float32)
    queries /= np.linalg.norm(queries, axis=1, keepdims=True)
    enrolled = np.concatenate([vectors_of(batch) for batch in range(3)])
    paths = [path for batch in range(3) for path in paths_of(batch)]
    distances = ((queries[:, None].astype(float) - enrolled) ** 2).sum(axis=2)
    found = gallery.search(queries, 4)
    for own, hits in zip(distances, found, strict=True):
        order = np.argsort(own)[:4]
        assert [hit.path for hit in hits] == [paths[place] for place in order]
        np.testing.assert_allclose([hit.distance for hit in hits], own[order], atol=1e-5)
    (alone,) = gallery.search(queries[:1], 4)
    assert [hit.path for hit in alone] == [hit.path for hit in found[0]]
    assert gallery.search(queries[:0]) == []


def test_filters_hold_before_the_nearest_are_taken(where):
    gallery = enrolling.opened(where)
    vectors = vectors_of(0)[:6]
    people = ["o'hara", "o'hara", "anna", None, "anna", "ben"]
    cameras = ["1", "2", "1", "2", None, "3"]
    paths = [f"{number}.jpg" for number in range(6)]
    labels = {"identities": people, "cameras": cameras, "times": [0.5, 10, 20, 30, None, 50]}
    assert gallery.add(vectors, paths, **labels) == 6

    def found(**fields):
        (hits,) = gallery.search(vectors[:1], 10, Filter(**fields))
        return sorted(int(hit.path[0]) for hit in hits)

    assert found() == [0, 1, 2, 3, 4, 5]
    assert found(not_identities=("o'hara", "ben")) == [2, 3, 4]
    assert found(identities=("o'hara",)) == [0, 1]
    assert found(not_cameras=("1",)) == [1, 3, 5]  # 4 has no camera, so nobody knows
    assert found(cameras=("1", "2")) == [0, 1, 2, 3]
    assert found(after=10, before=50) == [1, 2, 3]
    assert found(identities=("x' OR '1'='1",)) == []
    assert [len(h) for h in gallery.search(vectors[:2], 1, Filter(cameras=("3",)))] == [1, 1]
    ((hit,),) = gallery.search(vectors[1:2], 1)
    assert hit._replace(distance=0) == ("1.jpg", "o'hara", "2", 10, 0)


def test_a_path_is_enrolled_once(gallery):
    assert enrol(gallery, 1) == 0 and len(gallery) == 3 * BATCH
    twice = gallery.add(vectors_of(7)[:3], ["a", "b", "a"])
    assert twice == 2 and len(gallery) == 3 * BATCH + 2
    assert gallery.add(vectors_of(7)[:0], []) == 0
    labels = {"identities": np.array(["anna"]), "times": np.array([5.0])}
    assert gallery.add(vectors_of(8)[:1], np.array(["c"]), **labels) == 1
    assert gallery.search(vectors_of(8)[:1], 1)[0][0][:4] == ("c", "anna", None, 5.0)


def test_it_tells_what_it_holds(gallery, where):
    told = gallery.info()
    assert (told["rows"], told["identities"], told["cameras"]) == (150, 3, 3)
    assert (told["network"], told["feature"], told["width"]) == (NETWORK, "concat", WIDTH)
    assert told["bytes"] > 150 * WIDTH * 4 and told["approximate"] is None
    json.dumps(told)


def test_another_handle_sees_what_is_added(gallery, where):
    other = Gallery.open(where)
    enrol(gallery, 5)
    assert len(other) == 4 * BATCH and other.search(vectors_of(5)[:1], 1)[0][0].distance < 1e-6


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        (vectors_of(0)[:2, :40], r"shape \(2, 40\), expected \(2, 48\)"),
        (2 * vectors_of(0)[:2], "must have length 1"),
        (np.full((2, WIDTH), np.nan, np.float32), "must have length 1"),
        (vectors_of(0)[:3], r"expected \(2, 48\)"),
    ],
)
def test_features_of_another_form_are_refused(gallery, rows, words):
    with pytest.raises(UserError, match=words):
        gallery.add(rows, ["x", "y"])
    assert len(gallery) == 3 * BATCH


def test_a_gallery_is_bound_to_its_network(gallery, where):
    with pytest.raises(UserError, match="made by the network abababab, and this one is cccccccc"):
        Gallery.open(where, network="c" * 64)
    with pytest.raises(UserError, match="exists already"):
        Gallery.create(where, network="c" * 64, feature="concat", width=3)


def test_what_is_no_gallery_is_refused(tmp_path, where):
    with pytest.raises(UserError, match="does not exist"):
        Gallery.open(where)
    assert not where.exists()
    (tmp_path / "pictures").mkdir()
    (tmp_path / "pictures/a.jpg").write_bytes(b"")
    with pytest.raises(UserError, match="is no index"):
        Gallery.create(tmp_path / "pictures", network=NETWORK, feature="concat", width=3)
    lancedb.connect(where).create_table("people", pa.table({"vector": [1.0]}))
    with pytest.raises(UserError, match="no gallery of this program"):
        Gallery.open(where)


def test_a_newer_version_and_a_damaged_one_are_refused(gallery, where, monkeypatch, tmp_path):
    monkeypatch.setattr("dpeformer_jax.retrieval.gallery_table.VERSION", 0)
    with pytest.raises(UserError, match="has version 1, and this program knows 0"):
        Gallery.open(where)
    monkeypatch.undo()
    for manifest in (where / "people.lance/_versions").iterdir():
        manifest.write_bytes(b"damaged")
    with pytest.raises(UserError, match="cannot be used"):
        Gallery.open(where)


HOLDING = """
import sys, time
from dpeformer_jax import Gallery
with Gallery.open(sys.argv[1]).writing():
    print("ready", flush=True)
    time.sleep(60)
"""


def test_a_second_writer_is_refused_and_a_killed_one_leaves_no_lock(gallery, where):
    line = [sys.executable, "-c", HOLDING, str(where)]
    process = subprocess.Popen(line, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "ready\n"
    for refused in (lambda: enrol(gallery, 8), lambda: gallery.forget(identity="person 1")):
        with pytest.raises(UserError, match="another process writes to"):
            refused()
    assert len(gallery.search(vectors_of(0)[:1], 1)[0]) == 1  # reading goes on
    process.kill()
    process.wait()
    process.stdout.close()
    assert enrol(gallery, 8) == BATCH


def test_a_forgotten_person_leaves_no_byte(gallery, where):
    assert gallery.add(vectors_of(4)[:5], paths_of(4)[:5], identities=["person 1"] * 5) == 5
    assert min(traces(every_file(where), 1)) > 0  # they can be found before
    assert gallery.forget(identity="person 1") == BATCH + 5
    assert traces(every_file(where), 1) == [0, 0, 0]
    assert sum(vectors_of(4)[2].tobytes() in content for content in every_file(where)) == 0
    assert min(traces(every_file(where), 2)) > 0
    assert len(gallery) == 2 * BATCH and not gallery.unfinished
    found = gallery.search(vectors_of(1), 1)
    assert {hit.identity for (hit,) in found} <= {"person 0", "person 2"}
    assert gallery.forget(identity="person 1") == 0
    assert enrol(gallery, 1) == BATCH  # whoever was forgotten can come back


def test_one_of_many_in_a_large_file_leaves_no_byte(where):
    """The engine leaves a file as it is where few of its rows are removed."""
    gallery, batches = enrolling.opened(where), range(30)
    people = [f"person {batch}" for batch in batches for _ in range(BATCH)]
    paths = [path for batch in batches for path in paths_of(batch)]
    gallery.add(np.concatenate([*map(vectors_of, batches)]), paths, identities=people)
    assert min(traces(every_file(where), 12)) == 1
    assert gallery.forget(identity="person 12") == BATCH
    assert traces(every_file(where), 12) == [0, 0, 0] and min(traces(every_file(where), 13)) == 1
    found = gallery.search(vectors_of(13), 1)
    assert [hit.path for (hit,) in found] == paths_of(13)


def test_single_pictures_are_forgotten_by_their_paths(gallery, where):
    assert gallery.forget(paths=[paths_of(2)[7], "not enrolled"]) == 1
    path, _, features = traces(every_file(where), 2)
    assert path == features == 0 and len(gallery) == 3 * BATCH - 1
    assert gallery.forget(paths=[]) == 0
    for wrong in ({}, {"identity": "person 1", "paths": ["x"]}):
        with pytest.raises(UserError, match="an identity, or paths"):
            gallery.forget(**wrong)


def test_nobody_to_forget_still_removes_what_a_killed_enrolment_left(gallery, where):
    left = where / "people.lance/data/.tmpAbCdEf"  # as a kill leaves it; see the kills below
    left.write_bytes(vectors_of(5).tobytes())
    assert traces(every_file(where), 5)[2] == 1
    assert gallery.forget(identity="person 5") == 0
    assert traces(every_file(where), 5) == [0, 0, 0] and len(gallery) == 3 * BATCH


class Killed(BaseException):
    """Stands for a kill at a certain place; the real ones are below."""


def killed(*_, **__):
    raise Killed


def interrupted_at(monkeypatch, owner, name, run):
    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(owner, name, killed)
        run()


def test_a_removal_that_removed_nothing_is_told_after_any_number_of_interruptions(
    gallery, monkeypatch, log
):
    def forget():
        gallery.forget(identity="person 1")

    interrupted_at(monkeypatch, gallery._table, "delete", forget)
    for step in ("purge", "unmark"):
        interrupted_at(monkeypatch, gallery_erasure, step, gallery.finish_forgetting)
        assert gallery.unfinished
    with pytest.raises(UserError, match="before it removed anything"):
        gallery.finish_forgetting()
    assert len(gallery) == 3 * BATCH and not gallery.unfinished
    interrupted_at(monkeypatch, gallery._table, "delete", forget)
    assert gallery.forget(identity="person 2") == BATCH
    assert "may have removed nothing; unless it is this one" in log.text


@pytest.mark.parametrize("step", ["create_table", "mark", "purge", "unmark"])
def test_a_second_removal_never_hides_that_the_first_is_unfinished(
    gallery, where, monkeypatch, step
):
    interrupted_at(
        monkeypatch, gallery_erasure, "purge", lambda: gallery.forget(identity="person 1")
    )
    owner = gallery._database if step == "create_table" else gallery_erasure
    interrupted_at(monkeypatch, owner, step, lambda: gallery.forget(identity="person 2"))
    with pytest.raises(UserError, match="interrupted.*--finish"):
        gallery.search(vectors_of(0)[:1])
    gallery.finish_forgetting()
    gallery.forget(identity="person 2")
    assert traces(every_file(where), 1) == traces(every_file(where), 2) == [0, 0, 0]
    assert len(gallery) == BATCH


def parts_of(folder):
    """Lists of files that a kill may leave missing: each of the folder's alone, and all."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    return [[path] for path in files] + [files]


@pytest.mark.parametrize("name", [gallery_erasure.MARK, gallery_index.TABLE])
def test_a_table_that_a_kill_left_in_parts_stops_nothing(gallery, where, tmp_path, name):
    folder, whole = where / f"{name}.lance", tmp_path / "whole"
    if name == gallery_erasure.MARK:
        gallery_erasure.mark(gallery._database, gallery._table)
    else:
        index = gallery_index.Approximate("ivf", 1, 1, 1.0)
        gallery._database.create_table(name, pa.Table.from_pylist([index._asdict()]))
    shutil.copytree(folder, whole)
    for missing in parts_of(whole):
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(whole, folder)
        for path in missing:
            (folder / path.relative_to(whole)).unlink()
        gallery.info()
        with contextlib.suppress(UserError):  # that nothing was removed
            gallery.finish_forgetting()
        assert not gallery.unfinished
        assert gallery.forget(identity="person 1") == BATCH and not folder.exists()
        assert enrol(gallery, 1) == BATCH


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["ivf", "hnsw"])
def test_an_approximate_index_tells_its_recall_and_forgets_too(where, monkeypatch, kind):
    gallery = enrolling.opened(where)
    with pytest.raises(UserError, match="has no approximate index"):
        gallery.search(vectors_of(0), approximate=True)
    for batch in range(30):
        enrol(gallery, batch)
    with pytest.raises(UserError, match="'tree' is not one of ivf, hnsw"):
        gallery.build_index("tree")
    index = gallery.build_index(kind)
    assert 0.9 <= index.recall <= 1 and gallery.approximate == index
    exact, found = (gallery.search(vectors_of(3), 10, approximate=a) for a in (False, True))
    shared = [
        len({hit.path for hit in one} & {hit.path for hit in other})
        for one, other in zip(exact, found, strict=True)
    ]
    assert np.mean(shared) >= 8.5
    assert min(traces(every_file(where), 3)) > 0
    one = Filter(identities=("person 9",))  # whose pictures no query's part of the index holds
    assert gallery.search(vectors_of(3), 10, one, approximate=True) == gallery.search(
        vectors_of(3), 10, one
    )
    interrupted_at(monkeypatch, gallery_index, "build", lambda: gallery.forget(identity="person 3"))
    assert gallery.approximate is None
    gallery.finish_forgetting()
    assert traces(every_file(where), 3) == [0, 0, 0]
    assert gallery.approximate.kind == kind
    found = gallery.search(vectors_of(3), approximate=True)
    assert {len(hits) for hits in found} == {10}
    assert "person 3" not in {hit.identity for hits in found for hit in hits}


def test_few_pictures_need_no_approximate_index(gallery):
    with pytest.raises(UserError, match="150 pictures need no approximate index"):
        gallery.build_index("ivf")


def start(*line, **variables):
    words, env = [sys.executable, *map(str, line)], CHILD | variables
    return subprocess.Popen(words, cwd=ROOT, stdout=subprocess.PIPE, text=True, env=env)


CHILD = {"PYTHONPATH": f"{ROOT}:{ROOT / 'tests'}", "PATH": "/usr/bin:/bin", "HOME": "/tmp"}


@pytest.mark.slow
def test_kills_while_enrolling_lose_nothing_and_leave_no_half(where):
    rng, acknowledged = random.Random(0), []
    for life in range(4):
        begin = 1000 * life
        process = start("tests/enrolling.py", where, begin, 1000)
        first = process.stdout.readline()
        time.sleep(rng.uniform(0, 0.4))
        process.kill()
        acknowledged += [int(line) for line in [first, *process.communicate()[0].splitlines()]]
    gallery = Gallery.open(where, network=NETWORK)
    assert len(acknowledged) > 10
    assert len(gallery) % BATCH == 0 and 0 <= len(gallery) // BATCH - len(acknowledged) <= 4
    for batch in acknowledged:
        nearest = gallery.search(vectors_of(batch), 1)
        assert [hit.path for (hit,) in nearest] == paths_of(batch)
        assert max(hit.distance for (hit,) in nearest) < 1e-6
    assert gallery.forget(identity="nobody") == 0 and not list(where.rglob(".tmp*"))


FORGETTING = """
import sys
from dpeformer_jax import Gallery
gallery = Gallery.open(sys.argv[1])
print("ready", flush=True)
gallery.forget(identity="person 7")
print("done", flush=True)
"""


def forgetting(where):
    process = start("-c", FORGETTING, where)
    assert process.stdout.readline() == "ready\n"
    return process


@pytest.mark.slow
def test_kills_while_forgetting_are_noticed_and_finished(where):
    gallery, rng, unfinished = enrolling.opened(where), random.Random(1), 0
    for batch in range(20):
        enrol(gallery, batch)
    process, began = forgetting(where), time.monotonic()
    assert process.stdout.readline() == "done\n"
    whole = time.monotonic() - began
    process.communicate()
    for _ in range(20):
        enrol(gallery, 7)
        process = forgetting(where)
        time.sleep(rng.uniform(0, whole))
        process.kill()
        done = "done" in process.communicate()[0]
        if gallery.unfinished:
            unfinished += 1
            with pytest.raises(UserError, match="interrupted.*--finish"):
                gallery.search(vectors_of(0)[:1])
            with pytest.raises(UserError, match="interrupted.*--finish"):
                enrol(gallery, 0)
        try:
            gallery.finish_forgetting()
        except UserError as error:
            assert "before it removed anything" in str(error) and not done
        removed = gallery.forget(identity="person 7")
        assert removed in (0, BATCH) and not (done and removed)
        assert traces(every_file(where), 7) == [0, 0, 0]
        assert len(gallery) == 19 * BATCH
        if unfinished == 4:
            return
    pytest.fail(f"{unfinished} of 20 kills met a removal; 4 should have")


@pytest.mark.slow
def test_a_full_disk_is_told_and_costs_nothing(gallery, where):
    code = (
        "import resource, sys; sys.path.insert(0, 'tests'); import enrolling\n"
        "from dpeformer_jax.base.command import one_paragraph\n"
        "gallery = enrolling.opened(sys.argv[1])\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (3000, 3000))\n"
        "with one_paragraph('dpeformer'):\n"
        "    enrolling.enrol(gallery, 9)\n"
    )
    line = [sys.executable, "-c", code, str(where)]
    result = subprocess.run(line, cwd=ROOT, capture_output=True, text=True, env=CHILD)
    assert result.returncode == 2 and "make room" in result.stderr.splitlines()[-1], result.stderr
    assert len(gallery) == 3 * BATCH and enrol(gallery, 9) == BATCH


@pytest.mark.slow
def test_a_gallery_in_an_object_store(store):
    def contents():
        objects = store.list_objects_v2(Bucket=BUCKET)["Contents"]
        return [
            store.get_object(Bucket=BUCKET, Key=entry["Key"])["Body"].read() for entry in objects
        ]

    where = f"s3://{BUCKET}/people.index"
    gallery = enrolling.opened(where)
    for batch in range(3):
        assert enrol(gallery, batch) == BATCH
    assert enrol(Gallery.open(where, network=NETWORK), 0) == 0
    found = gallery.search(vectors_of(1), 1, Filter(not_cameras=("0",)))
    assert [hit.path for (hit,) in found] == paths_of(1)
    assert min(traces(contents(), 1)) > 0
    assert gallery.forget(identity="person 1") == BATCH
    assert traces(contents(), 1) == [0, 0, 0] and min(traces(contents(), 2)) > 0
    assert gallery.info()["bytes"] is None
    with pytest.raises(UserError, match="made by the network"):
        Gallery.open(where, network="c" * 64)


@pytest.mark.slow
def test_two_processes_enrol_into_an_object_store_at_once(store_variables):
    where = f"s3://{BUCKET}/people.index"
    gallery = enrolling.opened(where)
    both = [start("tests/enrolling.py", where, begin, 5, **store_variables) for begin in (0, 3)]
    assert [len(one.communicate()[0].split()) for one in both] == [5, 5]
    assert len(gallery) == 8 * BATCH  # the batches of both are there once
    for batch in range(8):
        assert [hit.path for (hit,) in gallery.search(vectors_of(batch), 1)] == paths_of(batch)
