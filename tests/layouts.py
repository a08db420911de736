"""Small folders laid out as the real data sets are, with what they hold besides pictures.

`scan` and `error_of` are what their builders make of them.
"""

import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from data.catalog import builder_of
from data.dataset_spec import DatasetSpec, DataSettings
from dpeformer_jax.base.errors import UserError

DUKE = """
    bounding_box_train/0001_c2_f0046182.jpg   bounding_box_train/0001_c5_f0051341.jpg
    bounding_box_train/7140_c4_f0175988.jpg   bounding_box_train/7140_c8_f0176228.jpg
    query/0019_c1_f0051470.jpg                query/7139_c1_f0156490.jpg
    bounding_box_test/0019_c1_f0051230.jpg    bounding_box_test/0019_c6_f0039590.jpg
    bounding_box_test/7139_c2_f0156970.jpg    bounding_box_test/0002_c1_f0044158.jpg
"""
# Of the query one file is among Duke's queries and one in its gallery, where it also stays.
OCCLUDED_DUKE = {
    "train": ("0001_c2_f0046182.jpg", "0001_c5_f0051341.jpg", "7140_c4_f0175988.jpg"),
    "query": ("0019_c1_f0051230.jpg", "0019_c1_f0051470.jpg"),
    "gallery": (
        *("0002_c1_f0044158.jpg", "0019_c1_f0051230.jpg"),
        *("0019_c6_f0039590.jpg", "7139_c2_f0156970.jpg"),
    ),
}


def write_picture(path, content, size=(4, 8)):
    """Writes noise that follows from `content`, in the format that the suffix says."""
    rng = np.random.default_rng(zlib.crc32(content.encode()))
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(rng.integers(0, 256, (*size[::-1], 3), np.uint8)).save(path)


def lay_out(root, pictures, others=""):
    """Pictures, all different, and files that are none; paths in `root`, between blanks."""
    for name in pictures.split():
        write_picture(root / name, name)
    for name in others.split():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b"no picture")
    return root


def market1501(folder):
    return lay_out(
        folder / "Market-1501-v15.09.15",
        """
        bounding_box_train/0002_c1s1_000451_03.jpg    bounding_box_train/0002_c6s4_001502_01.jpg
        bounding_box_train/1500_c6s3_086542_02.jpg    bounding_box_train/1500_c2s3_086542_01.jpg
        query/0001_c1s1_001051_00.jpg                 query/1488_c1s6_023021_00.jpg.jpg
        bounding_box_test/-1_c1s1_000401_03.jpg       bounding_box_test/-1_c6s4_034652_02.jpg
        bounding_box_test/0000_c1s1_000151_01.jpg     bounding_box_test/0001_c2s1_000301_01.jpg
        bounding_box_test/1488_c3s3_024653_02.jpg     gt_bbox/0001_c1s1_001051_00.jpg
        """,
        """
        readme.txt  bounding_box_train/Thumbs.db  query/Thumbs.db  bounding_box_test/Thumbs.db
        gt_bbox/Thumbs.db  gt_query/0001_c1s1_001051_00_good.mat
        gt_query/0001_c1s1_001051_00_junk.mat
        """,
    )


def market1501_500k(folder):
    """One distractor has the name of a gallery picture and is another one."""
    root = market1501(folder)
    names = "images/0000_c1s1_000151_01.jpg images/0000_c4s2_110276_07.jpg"
    return lay_out(root, names, "images/Thumbs.db")


def dukemtmc_reid(folder):
    """Unpacked on a Mac, which leaves `._` files and a folder beside."""
    lay_out(folder / "__MACOSX" / "DukeMTMC-reID", "", "._query query/._0019_c1_f0051470.jpg")
    return lay_out(
        folder / "DukeMTMC-reID",
        DUKE,
        """
        README.md  CITATION_DukeMTMC.txt  CITATION_DukeMTMC-reID.txt
        LICENSE_DukeMTMC.txt  LICENSE_DukeMTMC-reID.txt
        bounding_box_train/._0001_c2_f0046182.jpg  query/.DS_Store
        """,
    )


def occluded_duke(folder):
    """The folder that the authors' program makes: copies of DukeMTMC-reID's files."""
    root = folder / "Occluded_Duke"
    sources = {name.rsplit("/")[-1]: name for name in DUKE.split()}
    folders = {"train": "bounding_box_train", "query": "query", "gallery": "bounding_box_test"}
    for split, names in OCCLUDED_DUKE.items():
        for name in names:
            write_picture(root / folders[split] / name, sources[name])
    return root


def occluded_duke_by_lists(folder, lists=""):
    """DukeMTMC-reID with the three lists in it, or in a folder of it."""
    root = dukemtmc_reid(folder)
    for split, names in OCCLUDED_DUKE.items():
        path = root / lists / f"{split}.list"
        path.parent.mkdir(exist_ok=True)
        path.write_text("".join(f"{name}\n" for name in names))
    return root


def occluded_reid(folder):
    """Both folders have the same names, and TIFF files."""
    return lay_out(
        folder / "Occluded_REID",
        """
        occluded_body_images/001/001_01.tif  occluded_body_images/001/001_02.tif
        occluded_body_images/200/200_05.tif
        whole_body_images/001/001_01.tif     whole_body_images/200/200_04.tif
        whole_body_images/200/200_05.tif
        """,
        "Readme.txt",
    )


def partial_reid(folder):
    return lay_out(
        folder / "Partial-REID_Dataset",
        """
        partial_body_images/001_001.jpg   partial_body_images/060_005.jpg
        occluded_body_images/001_001.jpg  occluded_body_images/060_002.jpg
        whole_body_images/001_001.jpg     whole_body_images/060_005.jpg
        """,
    )


def partial_ilids(folder, probe="1 2 119", gallery="1 2 119"):
    names = [f"Probe/{n}.jpg" for n in probe.split()] + [
        f"Gallery/{n}.jpg" for n in gallery.split()
    ]
    return lay_out(folder / "Partial_iLIDS", " ".join(names))


def p_dukemtmc_reid(folder):
    """Person 1 of training is another one than person 1 of the test."""
    return lay_out(
        folder / "P-DukeMTMC-reid",
        """
        train/occluded_body_images/1/1_1.jpg     train/whole_body_images/1/1_1.jpg
        train/whole_body_images/1/1_2.jpg        train/whole_body_images/665/665_1.jpg
        test/occluded_body_images/1/1_1.jpg      test/occluded_body_images/634/634_3.jpg
        test/whole_body_images/1/1_1.jpg         test/whole_body_images/634/634_1.jpg
        """,
    )


def msmt17(folder, train="train", test="test", name="MSMT17_V1"):
    """People 0 and 1 of training are others than people 0 and 1 of the test."""
    lists = {
        "list_train.txt": (
            "0000/0000_000_01_0303morning_0008_0.jpg 0",
            "0000/0000_002_14_0303noon_0120_1.jpg 0",
            "0001/0001_001_15_0302afternoon_1213_1_ex.jpg 1",
        ),
        "list_val.txt": (
            "0000/0000_001_05_0113morning_0015_0.jpg 0",
            "0001/0001_000_02_0114noon_0284_2_ex.jpg 1",
        ),
        "list_query.txt": (
            "0000/0000_003_01_0303morning_0006_0.jpg 0",
            "0001/0001_019_10_0303noon_0284_2_ex.jpg 1",
        ),
        "list_gallery.txt": (
            "0001/0001_004_03_0114afternoon_0012_1.jpg 1",
            "0000/0000_000_11_0302morning_0003_0.jpg 0",
        ),
    }
    root = folder / name
    for path, lines in lists.items():
        half = train if path in ("list_train.txt", "list_val.txt") else test
        lay_out(root, " ".join(f"{half}/{line.split()[0]}" for line in lines))
        (root / path).write_text("".join(f"{line}\n" for line in lines))
    return root


def msmt17_v2(folder):
    return msmt17(folder, "mask_train_v2", "mask_test_v2", "MSMT17_V2")


def cuhk03_np(folder):
    """The drawn boxes have one picture more than the detector's."""
    names = """
        bounding_box_train/0001_c1_1.png  bounding_box_train/0001_c2_6.png
        query/0003_c1_22.png              query/0003_c2_27.png
        bounding_box_test/0003_c1_21.png  bounding_box_test/1467_c2_14668.png
    """
    lay_out(folder / "cuhk03-np" / "detected", names)
    lay_out(folder / "cuhk03-np" / "labeled", names + " bounding_box_train/0001_c2_7.png")
    return folder / "cuhk03-np"


def reid_folder(folder):
    return lay_out(
        folder / "mine",
        """
        bounding_box_train/2_c1_0.jpg  bounding_box_train/2_c12_0.PNG
        query/20_c1_0.jpg  bounding_box_test/20_c3_0.Tif  bounding_box_test/-1_c3_0.jpg
        """,
    )


def reid_csv(folder):
    """As a spreadsheet writes it: a mark at the start, CRLF, a column of its own."""
    root = lay_out(folder / "table", "a/x.jpg a/y.JPG b/x.png b/z.tif c.bmp")
    rows = (
        "path,identity,camera,split,remark",
        "a/x.jpg,17,0,train,",
        "b/x.png,17,3,train,from behind",
        "b/z.tif,20,1,query,",
        "c.bmp,20,2,gallery,",
        "a/y.JPG,21,0,gallery,",
    )
    table = root / "mine.csv"
    table.write_bytes("\r\n".join(rows).encode("utf-8-sig"))
    return table


def replace_in(path: Path, old: str, new: str):
    """Puts other words into a text file that has the old ones."""
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


OF_FOLDERS = {
    "market1501": market1501,
    "market1501/500k": market1501_500k,
    "dukemtmc_reid": dukemtmc_reid,
    "occluded_duke": occluded_duke_by_lists,
    "occluded_reid": occluded_reid,
    "partial_reid": partial_reid,
    "partial_ilids": partial_ilids,
    "p_dukemtmc_reid": p_dukemtmc_reid,
    "msmt17": msmt17,
    "msmt17/v2": msmt17_v2,
    "cuhk03_np": cuhk03_np,
    "cuhk03_np/labeled": cuhk03_np,
    "reid_folder": reid_folder,
}


def spec_of(title, root):
    builder, _, variant = title.partition("/")
    return DatasetSpec(builder, variant, str(root), DataSettings().pattern)


def scan(title, root):
    spec = spec_of(title, root)
    return builder_of(spec).scan(spec)


def error_of(title, root):
    with pytest.raises(UserError) as error:
        spec = spec_of(title, root)
        builder_of(spec).configure(spec)
    return str(error.value)
