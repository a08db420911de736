"""The settings of the data room: the fields of `config.data`."""

import dataclasses
from collections.abc import Sequence


@dataclasses.dataclass(frozen=True)
class DataSettings:
    """Which data sets to read, and how.

    builder: name of the training set in `data.catalog`.
    variant: variant of the builder; "" is its first.
    root: folder of the user's own copy, or the table of reid_csv; rendered_reid needs none.
    joined: further training sets, "BUILDER[/VARIANT][=FOLDER]", FOLDER relative to the root.
    pattern: regular expression that the file names of reid_folder open with; its two groups are
        the identity and the camera.
    allow_other_counts: whether counts may differ from the published ones.
    data_dir: folder of the prepared data sets; "" is TFDS's own choice.
    on_bad_image: what a file that does not decode leads to, "error" or "skip".
    image_size: (height, width) in pixels.
    cache: where decoded images are kept. "memory"; "file", in data_dir, for all processes;
        "device", the training set on every GPU; "none"; "auto", in memory if they fit.
    loader_threads: threads that decode.
    loader_processes: processes that decode where nothing is cached; 0 uses the threads.
    """

    builder: str = "rendered_reid"
    variant: str = ""
    root: str = ""
    joined: Sequence[str] = ()
    pattern: str = r"([-\d]+)_c(\d+)"
    allow_other_counts: bool = False
    data_dir: str = ""
    on_bad_image: str = "error"
    image_size: tuple[int, int] = (256, 128)
    cache: str = "auto"
    loader_threads: int = 4
    loader_processes: int = 0
