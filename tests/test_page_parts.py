"""The parts of a report: its table, thumbnails, plots, and the data that its script shows."""

import base64
import io
import json
import re

import numpy as np
import pytest
from PIL import Image
from toy import SIZE, ToyImages, toy_spec

from dpeformer_jax.base.interfaces import TestSet
from dpeformer_jax.pictures.patch_cells import cells
from dpeformer_jax.report import plots
from dpeformer_jax.report.browser import HIT, SHOWN, Seen, View, browser
from dpeformer_jax.report.content import DataSet, Page, Run
from dpeformer_jax.report.render import render, write_page
from dpeformer_jax.report.score_table import COLUMNS, score_rows
from dpeformer_jax.report.thumbnails import LEFT_OUT, Thumbnails
from dpeformer_jax.retrieval.scoring import Scoring
from dpeformer_jax.retrieval.shown_ranking import shown_ranking
from dpeformer_jax.retrieval.verdict import Judge, Level
from dpeformer_jax.retrieval.verification import Impostors

JUDGE = Judge((Level(0.01, 0.5, None, 0.4),), Level(0.01, 0.5, None, 0.4), 1.0)


class ShownImages(ToyImages):
    """Toy pictures that are there as files too."""

    def encoded(self, index):
        file = io.BytesIO()
        Image.fromarray(self.pixels[index]).save(file, "PNG")
        return file.getvalue()


def noise(seed):
    return np.random.default_rng(seed).integers(0, 256, (64, 32, 3), np.uint8)


def view(label="as taken", seed=0, people=6, patches=8):
    """The queries of a test set, four a person, by random features."""
    query, gallery = ShownImages(people, 1, 4), ShownImages(people, 2)
    rng = np.random.default_rng(seed)
    features = [
        {n: rng.standard_normal((len(of), 8)).astype("f4") for n in ("holistic", "parts")}
        for of in (query, gallery)
    ]
    test = TestSet("toy", query, gallery)
    shown = shown_ranking(test, *features, Scoring(), SHOWN)
    # The gallery is the same, however the queries are seen.
    draws = rng, np.random.default_rng(9)
    sides = zip((query, gallery), draws, strict=True)
    kept = [draw.random((len(of), patches)) < 0.5 for of, draw in sides]
    seen = Seen(*features, *kept, shown)
    return View(test, label, query.encoded, seen, {"other": shown.ranking})


def pieces(one, other):
    return {n: float(np.square(one[n] - other[n]).sum()) / 2 for n in one}


def data_of(views, budget=10**6):
    return browser(views, toy_spec(), JUDGE, pieces, budget)


def test_a_table_shows_what_eval_json_says():
    told = {"mAP": 0.4567, "mAP_interval": [0.4, 0.512], "rank1": 0.5, "tar@1e-3": None}
    (row,) = score_rows("mine", {"concat": told, "fingerprint": "f00", "queries_used": 3})
    cells = dict(zip(COLUMNS, row.cells, strict=True))
    assert cells["mAP"] == ("45.7", "40.0 to 51.2") and cells["rank1"] == ("50.0", "")
    assert cells["tar@1e-3"].value == cells["mINP"].value == "–"


def test_a_picture_is_kept_once_and_within_the_budget():
    thumbnails = Thumbnails(budget=12000)
    places = [thumbnails.add(name, noise(name)) for name in (0, 1, 0, 2, 3, 1)]
    assert places[0] == places[2] == 0 and places[1] == places[5] == 1
    assert LEFT_OUT in places and thumbnails.full
    assert sum(map(len, thumbnails.images)) <= 12000
    picture = Image.open(io.BytesIO(base64.b64decode(thumbnails.images[0])))
    assert picture.format == "WEBP" and picture.size == (64, 128)


def test_a_picture_that_does_not_decode_is_a_grey_one():
    thumbnails = Thumbnails(10**5)
    thumbnails.add("broken", b"no picture")
    assert Image.open(io.BytesIO(base64.b64decode(thumbnails.images[0]))).getpixel((5, 5))[0] > 99


def test_the_script_gets_each_query_as_the_ranking_has_it():
    one, hidden = view(), view("hidden", seed=1)
    data = data_of([one, hidden])
    assert json.loads(json.dumps(data)) == data and data["views"] == ["as taken", "hidden"]
    assert len(data["queries"]) == sum(v.seen.shown.ranking.used.sum() for v in (one, hidden))
    order = [(q["first"] == 1, q["precision"]) for q in data["queries"]]
    assert order == sorted(order) and order[0][0] is False
    assert {q["first"] == 1 for q in data["queries"]} == {True, False}
    for query in data["queries"]:
        of = (one, hidden)[query["view"]]
        row = of.test.query.paths.index(query["name"])
        first = of.seen.shown.ranking.first[row]
        assert query["first"] == first and query["others"][0][0] == query["first"]
        assert query["kept"] == np.packbits(of.seen.kept[row]).tobytes().hex()
        count = HIT if query["first"] == 1 else SHOWN
        assert len(query["answers"]) == count + (query["first"] > SHOWN)
        for answer in query["answers"]:
            image = data["gallery"][answer["image"]]
            place = of.test.gallery.paths.index(image["name"])
            assert answer["right"] == (image["who"] == query["who"])
            assert image["kept"] == np.packbits(of.seen.kept_gallery[place]).tobytes().hex()
            assert answer["verdict"] == JUDGE.verdict(answer["distance"])
        assert query["pairs"][-1]["rank"] == query["first"]
        for pair in query["pairs"]:
            assert sum(pair["pieces"].values()) == pytest.approx(pair["distance"], rel=1e-4)
        if query["first"] > 1:
            wrong = query["pairs"][0]
            assert wrong["distance"] == pytest.approx(query["answers"][0]["distance"], abs=1e-3)
        if query["first"] > SHOWN:
            assert query["answers"][-1]["right"] and query["answers"][-1]["rank"] == query["first"]


def test_failures_get_pictures_first():
    data = data_of([view()], budget=60_000)
    shown = [query["picture"] != LEFT_OUT for query in data["queries"]]
    assert data["full"] and shown[0] and not shown[-1]


def test_cells_lie_on_their_patches_without_overlap():
    spec = toy_spec((64, 48), stride=8)  # patches of 16
    found = cells(spec)
    assert found.shape == (7 * 5, 2) and found[0].tolist() == [4, 4]
    assert found[-1].tolist() == [4 + 4 * 8, 4 + 6 * 8]
    assert (found.max(axis=0) + 8 <= (48, 64)).all()


def all_plots():
    rng = np.random.default_rng(0)
    impostors = Impostors(rng.integers(0, 9, 4000), 0.001, 0)
    lines = [
        {"step": 10 * n, "epoch": n, "loss": 1 / n, "scores/toy/concat/mAP": n / 10}
        for n in range(1, 5)
    ]
    roc = {"far": [1e-3, 1e-2, 1], "tar": [None, 0.5, 1]}
    yield plots.cmc_plot("cmc", {"a": np.array([1, 2, 9]), "b": np.array([1, 1, 1])})
    yield plots.roc_plot("roc", {"a": roc, "b": roc})
    yield plots.kept_plot("kept", {"as taken": rng.integers(8, 32, 50)}, 32)
    yield plots.distances_plot("distances", rng.random(30), impostors, JUDGE)
    yield plots.distances_plot("none", rng.random(30), impostors, Judge(reason="none"))
    yield from plots.training_plots({"a": lines, "b": lines[:2]})


def test_plots_are_svg_in_the_colours_of_the_page_and_share_no_name():
    drawn = list(all_plots())
    names = [name for plot in drawn for name in re.findall(r'\bid="([^"]+)"', plot.svg)]
    assert len(drawn) == 7 and len(names) == len(set(names))
    for plot in drawn:
        assert plot.svg.startswith("<svg") and "currentColor" in plot.svg and plot.told
        used = re.findall(r'(?:url\(|href=")#([^")]+)', plot.svg)
        assert set(used) <= set(names)
        assert "#222222" not in plot.svg and "<text" in plot.svg


def test_nothing_to_draw_is_no_plot():
    assert plots.roc_plot("roc", {}) is None and plots.kept_plot("kept", {}, 8) is None
    assert list(plots.training_plots({"a": []})) == []


def page(browser_data=None, name="toy"):
    rows = list(score_rows("mine", {"concat": {"mAP": 0.25}}))
    sets = [DataSet(name, rows, list(all_plots()), [("fingerprint", "f00")])]
    run = Run("mine", [("command", "python main.py")], [("a.b", "1", "2")], "a.b = 1")
    told = "mine on toy", "today", "python main.py", [*COLUMNS.values()]
    return Page(*told, sets, [], [run], browser_data)


def test_a_page_refers_to_no_other_file_and_escapes_what_it_says(tmp_path):
    data = data_of([view()])
    data["queries"][0]["name"] = "</script><script>alert(1)</script>"
    text = render(page(data, name="<b>toy & more</b>"))
    assert "<b>toy" not in text and "&lt;b&gt;toy &amp; more" in text
    assert "<script>alert" not in text and text.count("</script>") == 2
    found = re.findall(r'\b(?:src|href)="([^"#][^"]*)"', text)
    assert set(found) == {"data:,"}
    assert not re.search(r"url\((?!#)|@import|https?://(?!www\.w3\.org/)", text)
    write_page(tmp_path / "report.html", page(data))
    assert (tmp_path / "report.html").read_text() == render(page(data))


def test_a_page_without_queries_has_no_script():
    assert "<script" not in render(page()) and SIZE == (64, 32)
