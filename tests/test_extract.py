"""Any number of pictures to a file: real pictures, real processes, real kills."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image
from toy import toy_weights

from dpeformer_jax import Extractor
from dpeformer_jax.base.errors import UserError
from dpeformer_jax.checkpoint.weights import save_weights
from dpeformer_jax.extraction import computing, npz_file, parquet_file
from dpeformer_jax.extraction.extract import extract
from dpeformer_jax.extraction.listing import Labels, Listing
from dpeformer_jax.extraction.video import VideoListing

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    folder = tmp_path_factory.mktemp("network") / "toy"
    save_weights(folder, toy_weights())
    return folder


@pytest.fixture(scope="module")
def extractor(checkpoint):
    return Extractor.load(checkpoint, batch_size=6)


@pytest.fixture
def small_pieces(monkeypatch):
    """Pieces that are no multiple of a batch."""
    monkeypatch.setattr(computing, "PIECE", 10)


@pytest.fixture
def folder(tmp_path, write_image):
    """37 pictures of two people, of which two are broken."""
    for number in range(37):
        write_image(tmp_path / "pictures" / f"{number % 2}" / f"{number:02}.png")
    for name in ("0/04.png", "1/33.png"):
        (tmp_path / "pictures" / name).write_bytes(b"no picture")
    return tmp_path / "pictures"


@pytest.mark.parametrize("suffix", ["npz", "parquet"])
def test_a_row_a_picture_with_the_extractors_own_features(
    extractor, folder, small_pieces, tmp_path, suffix
):
    target = tmp_path / f"features.{suffix}"
    listing = Listing([folder], Labels(folders=True, camera="north"))
    names = ["concat", "holistic"]
    summary = extract(extractor, listing, target, features=names)
    assert (summary.pictures, summary.unreadable, summary.resumed) == (37, 2, 0)
    assert len(summary.errors) == 2 and "04.png cannot be read" in summary.errors[0]
    form = {"npz": npz_file, "parquet": parquet_file}[suffix]
    about = form.read_about(target)
    assert about.network == extractor.fingerprint and about.features == {
        "concat": 256,
        "holistic": 128,
    }
    (rows,) = form.pieces(target)
    paths = sorted(folder.glob("0/*")) + sorted(folder.glob("1/*"))
    assert rows["path"].tolist() == [str(path) for path in paths]
    assert rows["identity"].tolist() == [path.parent.name for path in paths]
    expected = extractor(paths, on_error="skip")
    for name in names:
        np.testing.assert_allclose(rows[name], expected[name], atol=1e-6)
    np.testing.assert_array_equal(rows["kept"], expected["selected"].sum(axis=1))
    np.testing.assert_array_equal(rows["error"] == "", expected.read)
    assert set(rows["camera"]) == {"north"} and np.isnan(rows["time"]).all()
    assert [path.name for path in tmp_path.iterdir()].count(f"{target.name}.parts") == 0


def test_the_files_are_what_numpy_and_parquet_readers_expect(
    extractor, folder, small_pieces, tmp_path
):
    for name in ("f.npz", "f.parquet"):
        extract(extractor, Listing([folder]), tmp_path / name)
    arrays, table = np.load(tmp_path / "f.npz"), pq.read_table(tmp_path / "f.parquet")
    assert arrays["concat"].shape == (37, 256) and table.num_rows == 37
    assert table["concat"].null_count == 2 and np.isnan(arrays["concat"]).any(axis=1).sum() == 2
    assert table["time"].null_count == table["identity"].null_count == 37
    assert table["error"].null_count == 35 and (arrays["error"] == "").sum() == 35
    values = np.stack([row for row in table["concat"].to_pylist() if row is not None])
    np.testing.assert_array_equal(values, arrays["concat"][arrays["error"] == ""])


def test_strict_names_all_that_is_broken_and_goes_on_once_it_is_mended(
    extractor, folder, small_pieces, tmp_path, write_image
):
    target, listing = tmp_path / "f.npz", Listing([folder])
    with pytest.raises(UserError, match="2 of 37 pictures .*04.png.*33.png.*leave out --strict"):
        extract(extractor, listing, target, strict=True)
    assert not target.exists()
    for name in ("0/04.png", "1/33.png"):
        write_image(folder / name)
    summary = extract(extractor, listing, target, strict=True)
    assert (summary.pictures, summary.unreadable, summary.resumed) == (37, 0, 20)


def test_pieces_that_are_there_are_used_where_they_are_of_these_pictures(
    extractor, folder, small_pieces, tmp_path, write_image
):
    whole, target = tmp_path / "whole.npz", tmp_path / "f.npz"
    extract(extractor, Listing([folder]), whole)
    parts = tmp_path / "f.npz.parts"
    with pytest.raises(UserError):  # leaves the pieces behind
        extract(extractor, Listing([folder]), target, strict=True)
    (parts / "0000001.npz").write_bytes(b"damaged")
    summary = extract(extractor, Listing([folder]), target)
    assert summary.resumed == 27
    assert target.read_bytes() == whole.read_bytes()
    with pytest.raises(UserError):
        extract(extractor, Listing([folder]), target, strict=True, overwrite=True)
    write_image(folder / "0/00a.png")  # all later pictures move
    assert extract(extractor, Listing([folder]), target, overwrite=True).resumed == 0


def test_what_cannot_be_is_refused_before_the_work(extractor, folder, tmp_path):
    listing = Listing([folder / "0/00.png"])
    target = tmp_path / "f.npz"
    extract(extractor, listing, target)
    with pytest.raises(UserError, match="exists already"):
        extract(extractor, listing, target)
    (tmp_path / "folder.npz").mkdir()
    with pytest.raises(UserError, match="is a folder"):
        extract(extractor, listing, tmp_path / "folder.npz", overwrite=True)
    with pytest.raises(UserError, match=r"\*.npz or \*.parquet"):
        extract(extractor, listing, tmp_path / "f.csv")
    with pytest.raises(UserError, match="must be some of holistic, parts, concat"):
        extract(extractor, listing, tmp_path / "g.npz", features=["tokens"])
    (tmp_path / "h.npz.parts").mkdir()
    (tmp_path / "h.npz.parts/settings.json").write_text("{}")
    with pytest.raises(UserError, match="holds an unfinished extraction by another network"):
        extract(extractor, listing, tmp_path / "h.npz")


def frames(folder):
    rng = np.random.default_rng(3)
    smooth = rng.integers(0, 256, (6, 5, 8, 3), np.uint8)
    return [
        np.asarray(Image.fromarray(frame).resize((64, 48), Image.Resampling.BICUBIC))
        for frame in smooth
    ]


@pytest.mark.parametrize("kind", ["folder", "video"])
def test_people_in_a_video_are_cut_out_frame_by_frame(extractor, tmp_path, kind):
    pixels = frames(tmp_path)
    boxes = "frame,x,y,w,h,track\n1,4,5,20,30,7\n1,30,2,20,40,8\n4,6,5,20,30,7\n5,90,0,9,9,8\n"
    (tmp_path / "boxes.csv").write_text(boxes)
    video = tmp_path / "frames"
    if kind == "folder":
        video.mkdir()
        for number, frame in enumerate(pixels):
            Image.fromarray(frame).save(video / f"{number:06}.png")
    else:
        import av

        video = tmp_path / "video.mkv"
        with av.open(str(video), "w") as container:
            stream = container.add_stream("ffv1", rate=5)  # without loss
            stream.width, stream.height, stream.pix_fmt = 64, 48, "bgr0"
            for frame in pixels:
                packets = stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24"))
                container.mux(packets)
            container.mux(stream.encode())
    listing = VideoListing(video, tmp_path / "boxes.csv", Labels(camera="door"))
    summary = extract(extractor, listing, tmp_path / "people.npz")
    assert (summary.pictures, summary.unreadable) == (4, 1)
    (rows,) = npz_file.pieces(tmp_path / "people.npz")
    assert rows["path"][0] == f"{video}#frame=1&xywh=4,5,20,30"
    assert rows["identity"].tolist() == rows["track"].tolist() == ["7", "8", "7", "8"]
    assert rows["frame"].tolist() == [1, 1, 4, 5] and rows["w"].tolist() == [20, 20, 20, 9]
    crops = [pixels[1][5:35, 4:24], pixels[1][2:42, 30:50], pixels[4][5:35, 6:26]]
    expected = extractor([np.ascontiguousarray(crop) for crop in crops])["concat"]
    np.testing.assert_allclose(rows["concat"][:3], expected, atol=1e-6)
    assert "holds no pixel" in rows["error"][3]
    in_frame = extractor.crops(pixels[1], [[4, 5, 24, 35], [30, 2, 50, 42]])
    np.testing.assert_allclose(in_frame, expected[:2], atol=1e-6)
    bgr = extractor.crops(pixels[1][..., ::-1], [[4, 5, 24, 35]], bgr=True)
    np.testing.assert_allclose(bgr, expected[:1], atol=1e-6)


def test_boxes_of_another_video_are_refused(extractor, tmp_path, write_image):
    write_image(tmp_path / "frames/0.png")
    (tmp_path / "boxes.csv").write_text("frame,x,y,w,h\n0,1,1,9,9\n3,1,1,9,9\n")
    listing = VideoListing(tmp_path / "frames", tmp_path / "boxes.csv")
    with pytest.raises(UserError, match="has 1 frames, and a box is in frame 3"):
        extract(extractor, listing, tmp_path / "f.npz")
    with pytest.raises(UserError, match=r"boxes\[0\] = \[50, 0, 60, 9\] .* holds no pixel"):
        extractor.crops(np.zeros((20, 30, 3), np.uint8), [[50, 0, 60, 9]])


def command(checkpoint, folder, target, *options):
    line = [sys.executable, "-m", "dpeformer_jax", "extract", folder, "--checkpoint", checkpoint]
    return [*line, "--to", target, "--batch-size", "64", *options]


def run(*line, **options):
    return subprocess.run(line, cwd=ROOT, capture_output=True, text=True, **options)


@pytest.fixture(scope="module")
def ten_thousand(tmp_path_factory):
    """10,000 pictures in 100 folders, of which 20 are broken."""
    folder = tmp_path_factory.mktemp("many") / "pictures"
    rng = np.random.default_rng(0)
    for number in range(10_000):
        path = folder / f"{number // 100:02}" / f"{number:05}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        if number % 500 == 7:
            path.write_bytes(b"\xff\xd8 broken")
            continue
        pixels = rng.integers(0, 256, (8, 4, 3), np.uint8)
        Image.fromarray(pixels).resize((32, 64)).save(path)
    return folder


@pytest.fixture(scope="module")
def in_one_go(checkpoint, ten_thousand, tmp_path_factory):
    target = tmp_path_factory.mktemp("whole") / "features.npz"
    return target, run(*command(checkpoint, ten_thousand, target))


@pytest.mark.slow
def test_ten_thousand_pictures_of_which_twenty_are_broken(in_one_go):
    target, result = in_one_go
    assert result.returncode == 0, result.stderr
    assert "9980 of 10000 pictures have features" in result.stdout
    named = [line for line in result.stderr.splitlines() if "cannot be read as a picture" in line]
    assert len(set(named)) == 20
    with np.load(target) as arrays:
        read = arrays["error"] == ""
        assert read.sum() == 9980 and np.isfinite(arrays["concat"]).all(axis=1).sum() == 9980


@pytest.mark.slow
def test_strict_refuses_them(checkpoint, ten_thousand, tmp_path):
    result = run(*command(checkpoint, ten_thousand, tmp_path / "f.npz", "--strict"))
    assert result.returncode == 2 and not (tmp_path / "f.npz").exists()
    last = result.stderr.splitlines()[-1]
    assert last.startswith("dpeformer: 20 of 10000") and last.count("cannot be read as") == 20


@pytest.mark.slow
def test_killed_at_half_it_ends_with_the_same_file(checkpoint, ten_thousand, in_one_go, tmp_path):
    target = tmp_path / "features.npz"
    parts = tmp_path / "features.npz.parts"
    line = command(checkpoint, ten_thousand, target)
    process = subprocess.Popen(line, cwd=ROOT, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    while len(list(parts.glob("*.npz"))) < 5:
        assert process.poll() is None
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert not target.exists()
    result = run(*line)
    assert result.returncode == 0 and "9980 of 10000" in result.stdout, result.stderr
    computed = int(result.stdout.split("features; ")[1].split()[0])
    assert computed <= 10_000 - 5 * 1024
    assert target.read_bytes() == in_one_go[0].read_bytes()


PEAK = """
import resource, sys
from dpeformer_jax.cli.main import main
try:
    main(sys.argv[1:])
except SystemExit as ended:
    assert ended.code == 0
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


@pytest.mark.slow
def test_memory_does_not_grow_with_the_number_of_pictures(checkpoint, ten_thousand, tmp_path):
    def peak(folder, name):
        words = command(checkpoint, folder, tmp_path / name)[3:]
        result = run(sys.executable, "-c", PEAK, *map(str, words))
        return int(result.stdout.splitlines()[-1]) / 1024

    two_pieces = tmp_path / "list.txt"
    paths = sorted(ten_thousand.glob("*/*.jpg"))[:2048]
    two_pieces.write_text("".join(f"{path}\n" for path in paths))
    grown = peak(ten_thousand, "all.npz") - peak(two_pieces, "few.npz")
    assert grown < 24, f"{grown} MiB"  # all features are 10 MB, all pixels 61 MB
