"""The picture of what a search found."""

from itertools import pairwise

import pytest
from PIL import Image, ImageColor

from dpeformer_jax.base.errors import UserError
from dpeformer_jax.pictures.contact_sheet import TILE, Row, Tile, draw_sheet, write_sheet
from dpeformer_jax.pictures.style import RIGHT, WRONG


@pytest.fixture
def rows(tmp_path, write_image):
    paths = [str(write_image(tmp_path / f"a picture with a long name {i}.jpg")) for i in range(4)]
    tiles = [Tile(path, ("0.123", "anna camera 3", path)) for path in paths]
    gone = Tile(str(tmp_path / "gone.jpg"), ("0.5",))
    return [Row(tiles[0], [*tiles[1:], gone], ""), Row(gone, [], "nobody")]


def test_a_sheet_shows_each_query_beside_its_answers(rows, tmp_path):
    write_sheet(tmp_path / "sheet.png", rows)
    sheet = Image.open(tmp_path / "sheet.png")
    assert sheet.width > 5 * TILE[0] and sheet.height > 2 * TILE[1]
    (one,) = (draw_sheet(rows[:1]),)
    assert one.height * 2 == sheet.height
    query = Image.open(rows[0].query.picture).convert("RGB")
    shown = one.crop((12, 12, 12 + TILE[0], 12 + TILE[1])).resize(query.size, Image.Resampling.BOX)
    difference = [abs(a - b) for a, b in zip(shown.tobytes(), query.tobytes(), strict=True)]
    assert sum(difference) / len(difference) < 20  # it is the query, enlarged and shrunk again


def test_sheets_that_cannot_be_are_refused(rows, tmp_path):
    with pytest.raises(UserError, match=r"must be named \*.jpg"):
        write_sheet(tmp_path / "sheet.txt", rows)
    assert not list(tmp_path.glob("sheet*"))
    with pytest.raises(UserError, match="exists already"):
        write_sheet(tmp_path / "a picture with a long name 0.jpg", rows)


def test_right_and_wrong_differ_by_more_than_their_colour(write_image, tmp_path):
    path = str(write_image(tmp_path / "a.png", TILE))
    right, wrong = Tile(path, (), True), Tile(path, (), False)
    sheet = draw_sheet([Row(Tile(path, ()), [right, wrong], "")])
    left = TILE[0] + 4 * 12  # of the first answer, behind query and divider
    edges = [
        [sheet.getpixel((left + n * (TILE[0] + 12) + x, 12)) for x in range(TILE[0])]
        for n in (0, 1)
    ]
    green, red = ImageColor.getrgb(RIGHT), ImageColor.getrgb(WRONG)
    assert set(edges[0]) == {green}  # a whole line
    assert set(edges[1]) == {red, (255, 255, 255)}  # dashes
    changes = sum(a != b for a, b in pairwise(edges[1]))
    assert changes >= 10
    corners = [sheet.crop((x - 22, TILE[1] - 10, x, TILE[1] + 12)) for x in (left + TILE[0],)]
    assert (255, 255, 255) in corners[0].get_flattened_data()  # the tick


def test_a_row_has_a_title(rows):
    plain, titled = draw_sheet(rows[:1]), draw_sheet([rows[0]._replace(title="by concat")])
    assert titled.height > plain.height
