"""Pictures and the page of real trainings: real processes, a real browser."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from browsers import VIEWS, chromium, faults, opened, reached_by_keyboard
from PIL import Image
from test_events import events_of
from test_own_folder import picture_of
from test_page_parts import JUDGE, page, pieces
from test_page_parts import view as toy_view
from toy import toy_spec

from dpeformer_jax import Extractor
from dpeformer_jax.features import SELECTED
from dpeformer_jax.pictures.patch_cells import cells
from dpeformer_jax.report.browser import browser
from dpeformer_jax.report.render import write_page
from dpeformer_jax.report.score_table import percent

ROOT = Path(__file__).parents[1]
pytestmark = pytest.mark.slow


def main_py(*arguments, code=0):
    environment = os.environ | {"JAX_PLATFORMS": "cpu"}
    line = [sys.executable, "main.py", *map(str, arguments)]
    done = subprocess.run(line, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == code, done.stderr
    return done.stderr


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """50 people before two cameras, six pictures each, one folder a person."""
    folder = tmp_path_factory.mktemp("pages") / "people"
    for person in range(50):
        own = folder / f"person_{person:04d}"
        own.mkdir(parents=True)
        for frame in range(6):
            camera = 1 + frame % 2
            picture_of(person, camera, frame).save(own / f"cam{camera}_{frame:03d}.png")
    return folder


@pytest.fixture(scope="module")
def runs(folder):
    """Two trained and scored networks; the first has thresholds, and all its pictures are made."""
    ours, other = folder.parent / "ours", folder.parent / "baseline"
    fields = (
        f"--config.data.root={folder}",
        f"--config.data.data_dir={folder.parent / 'tfds'}",
        "--config.data.held_out=0.4",
        "--config.train.epochs=3",
        "--config.eval.every=1",
    )
    main_py("--config=configs/folder.py", f"--workdir={ours}", *fields)
    main_py("--config=configs/folder.py:baseline", f"--workdir={other}", *fields)
    main_py("--mode=calibrate", f"--workdir={ours}", "--config.calibrate.far=(0.1,0.01)")
    main_py("--mode=eval", f"--workdir={ours}")
    main_py("--mode=report", f"--workdir={ours}", f"--compare={other}")
    main_py("--mode=rank", f"--workdir={ours}", f"--compare={other}", "--queries=worst:3")
    main_py("--mode=explain", f"--workdir={ours}", "--queries=worst:2")
    return ours, other


@pytest.fixture(scope="module")
def chrome():
    with chromium() as browser:
        yield browser


def report_of(workdir):
    return json.loads((workdir / "eval.json").read_text())


def data_on(page):
    return json.loads(page.locator("#data").text_content())


@pytest.mark.parametrize("view", VIEWS)
def test_the_page_opens_without_fault(runs, chrome, view, tmp_path):
    with opened(chrome, runs[0] / "report.html", view) as (shown, said):
        shown.wait_for_selector("#list li")
        width = shown.evaluate("[document.documentElement.scrollWidth, innerWidth]")
        assert width[0] <= width[1], "the page is wider than the screen"
        shown.evaluate("document.querySelectorAll('img').forEach(x => (x.loading = 'eager'))")
        shown.wait_for_function("[...document.images].every(x => x.complete)")
        assert shown.evaluate("document.images.length") > 20
        assert shown.evaluate("[...document.images].every(x => x.naturalWidth > 0)")
        shown.locator("summary").first.click()
        shown.wait_for_selector("details[open] table")
        shown.check("[name=patches]")
        assert faults(shown) == []
        shown.screenshot(path=tmp_path / f"{view}.png", full_page=True)
        assert said == []


def test_every_score_on_the_page_is_that_of_eval_json(runs, chrome):
    with opened(chrome, runs[0] / "report.html") as (shown, _):
        rows = shown.locator("section table").first.locator("tbody tr").all_inner_texts()
    found = [" ".join(row.split()) for row in rows]
    for workdir in runs:
        (told,) = report_of(workdir)["datasets"].values()
        for feature, scores in told.items():
            if isinstance(scores, dict):
                (row,) = [r for r in found if r.startswith(f"{workdir.name} {feature} ")]
                for name in ("mAP", "mINP", "rank1", "rank5"):
                    assert percent(scores[name]) in row
                low, high = map(percent, scores["mAP_interval"])
                assert f"{low} to {high}" in row


def test_every_query_on_the_page_is_that_of_the_scores_and_of_the_network(runs, chrome, folder):
    with opened(chrome, runs[0] / "report.html") as (shown, _):
        data = data_on(shown)
    rows = pq.read_table(runs[0] / "eval.per_query.parquet").to_pylist()
    told = {row["query"]: row for row in rows if row["feature"] == "concat"}
    others = pq.read_table(runs[1] / "eval.per_query.parquet").to_pylist()
    of_other = {row["query"]: row for row in others if row["feature"] == "after"}
    taken = [query for query in data["queries"] if query["view"] == 0]
    assert {query["name"] for query in taken} == set(told)
    extractor = Extractor.load(runs[0])
    kept = extractor([folder / query["name"] for query in taken], names=[SELECTED])[SELECTED]
    for query, own in zip(taken, kept, strict=True):
        row = told[query["name"]]
        assert query["first"] == row["first_match"]
        assert query["precision"] == pytest.approx(row["precision"], rel=1e-12)
        assert query["others"][0][0] == of_other[query["name"]]["first_match"]
        assert query["kept"] == np.packbits(own).tobytes().hex()
        assert own.sum() == row["kept_patches"]
        for pair in query["pairs"]:
            assert sum(pair["pieces"].values()) == pytest.approx(pair["distance"], rel=1e-4)
        if query["first"] > 1:
            wrong = query["pairs"][0]["distance"]
            assert wrong == pytest.approx(query["answers"][0]["distance"], abs=2e-4)


def test_the_overlay_on_the_page_is_the_networks_choice(runs, chrome):
    spec = Extractor.load(runs[0]).spec
    with opened(chrome, runs[0] / "report.html") as (shown, _):
        shown.select_option("[name=outcome]", "")
        shown.check("[name=patches]")
        assert shown.locator("#list .frame svg").first.is_visible()
        drawn = shown.evaluate(
            """[...document.querySelectorAll("#list .query svg")].map(svg =>
                [...svg.children].map(x => [x.getAttribute("x"), x.getAttribute("y")]))"""
        )
        queries = [query for query in data_on(shown)["queries"] if query["view"] == 0]
    assert len(drawn) == 24
    for corners, query in zip(drawn, queries, strict=False):
        bits = np.unpackbits(np.frombuffer(bytes.fromhex(query["kept"]), np.uint8))
        kept = bits[: np.prod(spec.grid)].astype(bool)
        np.testing.assert_array_equal(np.array(corners, float), cells(spec)[kept])


def test_filters_change_what_is_shown(runs, chrome):
    with opened(chrome, runs[0] / "report.html") as (shown, said):
        queries = data_on(shown)["queries"]

        def count(**fields):
            for name in ("outcome", "view", "camera"):
                shown.select_option(f"[name={name}]", fields.get(name, ""))
            shown.fill("[name=text]", fields.get("text", ""))
            told = int(shown.locator("#count").text_content().split()[0])
            listed = shown.locator("#list li").count()
            assert listed == min(told, 24)
            return told

        assert count() == len(queries)
        failed = sum(query["first"] > 1 for query in queries)
        assert count(outcome="failed") == failed and 0 < failed < len(queries)
        assert count(outcome="correct") == len(queries) - failed
        assert count(view="0") == count(view="1") == len(queries) / 2
        one = sum(query["camera"] == "1" for query in queries)
        assert count(camera="1") == one and 0 < one < len(queries)
        who = queries[0]["who"]
        assert count(text=who.upper()) == sum(query["who"] == who for query in queries)
        assert count(text="nobody") == 0
        count(view="0")
        before = shown.locator("#list li").count()
        shown.locator("#more").click()
        assert shown.locator("#list li").count() > before and said == []


def test_the_keyboard_reaches_every_control(runs, chrome):
    with opened(chrome, runs[0] / "report.html") as (shown, _):
        controls = shown.evaluate(
            "[...document.querySelectorAll('a, select, input, button, summary, [tabindex=\"0\"]')]"
            ".filter(x => x.checkVisibility()).length"
        )
        assert len(reached_by_keyboard(shown)) == controls > 20
        shown.evaluate("document.activeElement.blur()")
        shown.locator("summary").first.focus()
        shown.keyboard.press("Enter")
        shown.wait_for_selector("#list details[open] table")  # comes with an event of its own


def test_the_page_prints_with_its_pictures(runs, chrome, tmp_path):
    with opened(chrome, runs[0] / "report.html") as (shown, _):
        shown.evaluate("dispatchEvent(new Event('beforeprint'))")
        shown.wait_for_function("[...document.images].every(x => x.complete && x.naturalWidth)")
        shown.pdf(path=tmp_path / "report.pdf")
        shown.emulate_media(media="print")
        assert not shown.locator("#filters").is_visible()
    assert (tmp_path / "report.pdf").stat().st_size > 50_000


def test_three_thousand_queries_stay_below_30_mb_and_open_at_once(chrome, tmp_path):
    views = [toy_view(label, 0, people=750, patches=128) for label in ("as taken", "hidden")]
    data = browser(views, toy_spec((256, 128)), JUDGE, pieces, 20 * 10**6)
    assert len(data["queries"]) == 6000
    write_page(tmp_path / "report.html", page(data))
    assert 20e6 < (tmp_path / "report.html").stat().st_size < 30e6
    began = time.monotonic()
    with opened(chrome, tmp_path / "report.html") as (opened_page, said):
        opened_page.wait_for_selector("#list li")
        assert time.monotonic() - began < 10 and said == []


def test_rankings_and_explanations_are_there(runs):
    (drawn,) = runs[0].glob("rank.*.png")
    sheet = Image.open(drawn)
    assert sheet.width > 1300 and sheet.height > 6 * 300  # three queries by two networks
    figures = list(runs[0].glob("explain/*/*.png"))
    assert len(figures) == 2 and all(Image.open(path).width > 1000 for path in figures)


def test_a_training_is_watched(runs):
    lines = [json.loads(line) for line in (runs[0] / "metrics.jsonl").read_text().splitlines()]
    seen = [line for line in lines if any(name.startswith("scores/") for name in line)]
    assert [line["epoch"] for line in seen] == [1, 2, 3]
    ((name, told),) = report_of(runs[0])["datasets"].items()
    for feature in ("holistic", "parts", "concat"):
        for measure in ("mAP", "rank1"):
            key = f"scores/{name}/{feature}/{measure}"
            assert seen[-1][key] == pytest.approx(told[feature][measure], rel=1e-12)
    pictures = [
        (event.step, value.tag)
        for file in sorted(runs[0].glob("events.*"))
        for event in events_of(file)
        for value in event.summary.value
        if value.HasField("image")
    ]
    assert len(pictures) == 6 and {tag for _, tag in pictures} == {
        f"rankings/{name}",
        f"patches/{name}",
    }
    assert [step for step, _ in pictures[::2]] == [line["step"] for line in seen]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--mode=rank", "--queries=worst:0"], ["--queries=worst:0", "1 to 60"]),
        (["--mode=rank", "--queries=nobody.jpg"], ["'nobody.jpg'", "0"]),
        (["--mode=rank", "--features=global"], ["'global'", "holistic, parts, concat"]),
        (["--mode=rank", "--compare=nowhere"], ["nowhere", "holds no checkpoint"]),
        (["--mode=report", "--queries=worst"], ["--queries", "--mode=rank and --mode=explain"]),
        (["--mode=explain", "--features=parts,concat"], ["takes one feature"]),
        (["--mode=explain", "--config.eval.metric=euclidean"], ["'cosine'", "no other"]),
        (["--mode=report", "--compare=configs"], ["configs", "eval.json"]),
    ],
)
def test_a_mistake_is_one_paragraph(runs, arguments, words):
    told = main_py(*arguments, f"--workdir={runs[0]}", code=2)
    assert "Traceback" not in told
    assert all(word in told.splitlines()[-1] for word in words), told


def test_scores_of_other_weights_are_not_reported(runs, tmp_path):
    report = report_of(runs[0]) | {"weights": "f00"}
    stored = runs[0] / "eval.json"
    kept = stored.read_text()
    try:
        stored.write_text(json.dumps(report))
        told = main_py("--mode=report", f"--workdir={runs[0]}", code=2)
    finally:
        stored.write_text(kept)
    assert "is of other weights; score it: python main.py --mode=eval" in told
