"""Objects of SA-1B: masks against pycocotools, and files that cannot be meant."""

import json

import numpy as np
import pytest
from PIL import Image
from pycocotools import mask as coco

from data.occluders.sa1b import decode_mask, sa1b
from data.occluders.sources import Unusable
from dpeformer_jax.base.errors import UserError

HEIGHT, WIDTH = 40, 60


def random_mask(seed):
    """A blob with a ragged edge and specks around."""
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[:HEIGHT, :WIDTH]
    reach = np.hypot(rows - rng.integers(10, 30), columns - rng.integers(10, 50))
    return np.asfortranarray(reach + rng.normal(0, 2, reach.shape) < 9, np.uint8)


def compressed(mask):
    return coco.encode(mask)["counts"].decode()


def plain(mask):
    pixels = np.concatenate([[0], mask.ravel(order="F"), [2]])
    ends = np.flatnonzero(np.diff(pixels.astype(int)) != 0)
    return np.diff(ends, prepend=0).tolist()


def save(folder, masks, counts=compressed, number=1):
    """A picture and its JSON file in SA-1B's format; returns the record and where it is."""
    folder.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(number).integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8)
    Image.fromarray(pixels).save(folder / f"sa_{number}.png")
    name = f"sa_{number}.png"  # SA-1B's are .jpg; these keep their pixels
    record = {
        "image": {"image_id": number, "file_name": name, "width": WIDTH, "height": HEIGHT},
        "annotations": [
            {
                "id": i,
                "segmentation": {"size": [HEIGHT, WIDTH], "counts": counts(mask)},
                "area": int(mask.sum()),
            }
            for i, mask in enumerate(masks)
        ],
    }
    file = folder / f"sa_{number}.json"
    file.write_text(json.dumps(record))
    return file, record, pixels


@pytest.mark.parametrize("counts", [compressed, plain])
def test_every_object_is_cut_out_by_its_mask(tmp_path, counts):
    masks = [random_mask(seed) for seed in range(3)]
    _, _, pixels = save(tmp_path / "sa_000000", masks, counts)
    save(tmp_path / "sa_000001", masks[:2], counts, number=2)
    candidates = list(sa1b(tmp_path))
    assert len(candidates) == 5
    for mask, candidate in zip(masks, candidates, strict=False):
        rows, columns = np.nonzero(mask)
        box = np.s_[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]
        cutout = np.asarray(candidate())
        np.testing.assert_array_equal(cutout[..., 3], 255 * mask[box])
        np.testing.assert_array_equal(cutout[..., :3], pixels[box])


@pytest.mark.parametrize(
    "mask",
    [
        np.zeros((7, 5), np.uint8),
        np.ones((7, 5), np.uint8),
        np.indices((9, 4)).sum(axis=0).astype(np.uint8) % 2,
        (np.random.default_rng(0).random((300, 200)) < 0.5).astype(np.uint8),
        np.pad(np.ones((1, 1), np.uint8), ((1500, 700), (900, 600))),
    ],
    ids=["empty", "full", "chessboard", "noise", "speck"],
)
def test_masks_are_decoded_as_by_pycocotools(mask):
    encoded = coco.encode(np.asfortranarray(mask))
    decoded = decode_mask(encoded["counts"].decode(), *mask.shape)
    np.testing.assert_array_equal(decoded, coco.decode(encoded))
    np.testing.assert_array_equal(decode_mask(plain(mask), *mask.shape), mask)


@pytest.mark.parametrize(
    "counts",
    [
        *("", "0", "~", "P", "\x00\u00ff", "1" * 50, "\u00e9", "o" * 30 + "0"),
        *([], [3, -3, 64], [64.0], [2**70], [[64]], ["64"], [2**63 - 1, 2**63 - 1, 66]),
    ],
)
def test_runs_that_do_not_fill_the_picture_are_refused(counts):
    with pytest.raises(ValueError):
        decode_mask(counts, 8, 8)


def test_an_empty_mask_is_no_cutout(tmp_path):
    save(tmp_path, [np.zeros((HEIGHT, WIDTH), np.uint8, "F")])
    with pytest.raises(Unusable, match="mask is empty"):
        next(sa1b(tmp_path))()


def without(*names):
    def change(record):
        for name in names[:-1]:
            record = record[name]
        del record[names[-1]]

    return change


def resize_mask(record):
    record["annotations"][0]["segmentation"]["size"] = [WIDTH, HEIGHT]


def shorten_mask(record):
    record["annotations"][0]["segmentation"]["counts"] = [10, 20]


def enlarge(record):
    record["image"]["width"] = WIDTH + 1
    record["annotations"][0]["segmentation"]["size"] = [HEIGHT, WIDTH + 1]


def rename(record):
    record["image"]["file_name"] = "gone.jpg"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (without("image"), ["sa_1.json", "'image'"]),
        (without("image", "file_name"), ["sa_1.json: image", "'file_name'"]),
        (without("image", "height"), ["sa_1.json: image", "'height'"]),
        (without("annotations"), ["sa_1.json", "'annotations'"]),
        (without("annotations", 0, "segmentation"), ["annotations[0]", "'segmentation'"]),
        (without("annotations", 0, "segmentation", "counts"), ["annotations[0]", "'counts'"]),
        (without("annotations", 0, "segmentation", "size"), ["annotations[0]", "'size'"]),
        (resize_mask, ["annotations[0]", "[60, 40]", "does not fit", "[40, 60]"]),
        (shorten_mask, ["annotations[0]", "30 of 2400 pixels"]),
        (enlarge, ["sa_1.png", "40 x 60", "40 x 61"]),
        (rename, ["gone.jpg is missing", "sa_1.json"]),
    ],
)
def test_a_file_that_cannot_be_meant_is_named_with_what_is_wrong(tmp_path, change, words):
    file, record, _ = save(tmp_path, [random_mask(0)])
    change(record)
    file.write_text(json.dumps(record))
    with pytest.raises(UserError) as caught:
        [candidate() for candidate in sa1b(tmp_path)]
    assert not isinstance(caught.value, Unusable)
    assert all(word in str(caught.value) for word in words), caught.value


@pytest.mark.parametrize("content", [b"", b'{"image": ', b"\xff\xfe", b"[" * 100_000, b"[1, 2]"])
def test_a_file_that_is_no_record_is_named(tmp_path, content):
    (tmp_path / "sa_1.json").write_bytes(content)
    with pytest.raises(UserError, match="sa_1.json"):
        list(sa1b(tmp_path))
