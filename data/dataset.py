"""What a run trains and tests on, from the `data` and `eval` fields of a config."""

import dataclasses
import os
from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from ml_collections import ConfigDict

from data.builder import Records, prepared_folder
from data.catalog import builder_of
from data.errors import DataError, some
from data.pipeline import Loading, Sampling, Split, TrainingSplit, fits_in_memory
from data.prepared import PreparedSet
from data.source import Source, parse_source


class TestSplits(NamedTuple):
    """Query and gallery under the name that eval.json gives them; provenance: of the data."""

    name: str
    query: Split
    gallery: Split
    provenance: dict[str, Any]


class Dataset(NamedTuple):
    """train: of all training sets together, None where nothing is trained; num_classes,
    num_cameras: of it; provenance: of the training sets by name.
    """

    train: TrainingSplit | None
    tests: list[TestSplits]
    num_classes: int
    num_cameras: int
    provenance: dict[str, dict[str, Any]]


class CameraRows:
    """Rows of the side information embedding: the cameras of the training sets, set after set."""

    def __init__(self, sets: Sequence[PreparedSet]):
        self.count = 0
        self._known: dict[Source, tuple[np.ndarray, int]] = {}
        for prepared in sets:
            cameras = np.unique(prepared.splits["train"].cameras)
            self._known[prepared.source] = cameras, self.count
            self.count += len(cameras)

    def of(self, prepared: PreparedSet, split: str) -> np.ndarray:
        """The row of each image's camera [M] int32; -1 for a camera that was not in training."""
        cameras = prepared.splits[split].cameras
        known, first = self._known.get(prepared.source, (np.zeros(0, int), 0))
        place = np.searchsorted(known, cameras)
        found = np.isin(cameras, known)
        return np.where(found, first + place, -1).astype(np.int32)


class JoinedRecords:
    """The training splits of several data sets as one: see `data.builder.Records`.

    Identities and cameras are numbered anew, set after set, so that none of them meet.
    """

    def __init__(self, sets: Sequence[PreparedSet], cameras: np.ndarray):
        self._parts = [s.splits["train"] for s in sets]
        self._starts = np.cumsum([0, *map(len, self._parts)])
        self.cameras = cameras
        self.identities = np.concatenate(
            list(_renumbered([part.identities for part in self._parts]))
        )
        self.paths = [f"{s.title}/{path}" for s in sets for path in s.splits["train"].paths]
        self.digests = [digest for part in self._parts for digest in part.digests]

    def __len__(self) -> int:
        return len(self.identities)

    def encoded(self, index: int) -> bytes:
        """The image file."""
        part = int(np.searchsorted(self._starts, index, side="right")) - 1
        return self._parts[part].encoded(index - self._starts[part])


def sources_of(fields: ConfigDict, tests: Sequence[str]) -> tuple[list[Source], list[Source]]:
    """The training sets and the test sets of `config.data` and `config.eval.datasets`.

    Raises:
        DataError: a name that is no data set, or the same one twice.
    """
    own = Source(fields.builder, fields.variant, fields.root, fields.pattern)
    training = [own, *(parse_source(spec, "config.data.joined", own) for spec in fields.joined)]
    testing = [parse_source(spec, "config.eval.datasets", own) for spec in tests] or [own]
    training, testing = ([_spelled_out(s) for s in sources] for sources in (training, testing))
    for field, sources in (("data.joined", training), ("eval.datasets", testing)):
        for source in sources:
            if sources.count(source) > 1:
                raise DataError(f"config.{field} names {source.builder} of one folder twice")
    return training, testing


def load_dataset(fields: ConfigDict, tests: Sequence[str], sampling: Sampling | None) -> Dataset:
    """Prepares the data sets if needed and opens their splits.

    Args:
        fields: `config.data`.
        tests: `config.eval.datasets`; () tests on the splits of `config.data.builder`.
        sampling: of the training split; None where nothing is to be trained, so that the data set
            may have none.

    Raises:
        DataError: files that are missing or do not decode, counts other than the published ones,
            or splits that cannot be used.
    """
    training, testing = sources_of(fields, tests)
    sets = {source: open_set(source, fields) for source in dict.fromkeys([*training, *testing])}
    joined = [sets[source] for source in training]
    rows = CameraRows([prepared for prepared in joined if "train" in prepared.splits])
    loading = _loading(fields, sum(len(r) for s in sets.values() for r in s.splits.values()))
    train = None
    if sampling is not None:
        # From memory the training set goes to the devices.
        kept = {"cache": "memory"} if fields.cache == "device" else {}
        train = _training(joined, rows, dataclasses.replace(loading, **kept), sampling)
    return Dataset(
        train=train,
        tests=_tests([sets[source] for source in testing], rows, loading),
        num_classes=1 if train is None else int(train.labels.max()) + 1,
        num_cameras=rows.count,
        provenance={
            name: prepared.provenance for name, prepared in zip(_names(joined), joined, strict=True)
        },
    )


def open_set(source: Source, fields: ConfigDict) -> PreparedSet:
    """A data set whose counts and files are as `config.data` wants them; prints what it holds.

    Raises:
        DataError: they are not.
    """
    prepared = PreparedSet(source, fields.data_dir, fields.allow_other_counts)
    if fields.on_bad_image == "error":
        prepared.refuse_damaged()
    print(prepared.summary(), flush=True)
    return prepared


def check_training(identities: np.ndarray, identities_per_batch: int) -> None:
    """Raises DataError where P x K batches cannot be made of identities [M]."""
    numbers, counts = np.unique(identities, return_counts=True)
    lonely = numbers[counts < 2]
    if len(lonely):
        raise DataError(
            f"{len(lonely)} training identities have fewer than two images: {some(lonely)}. "
            "Add images of them or remove them"
        )
    if len(numbers) < identities_per_batch:
        raise DataError(
            f"the training split has {len(numbers)} identities, fewer than the "
            f"{identities_per_batch} of a batch; lower config.train.batch_size or raise "
            "config.train.images_per_identity"
        )


def cameras_of(records: Records) -> dict[int, set[int]]:
    """The cameras that have seen each identity; none of one that is not there."""
    cameras: dict[int, set[int]] = defaultdict(set)
    for identity, camera in zip(records.identities, records.cameras, strict=True):
        cameras[int(identity)].add(int(camera))
    return cameras


def check_test(query: Records, gallery: Records) -> None:
    """Raises DataError where no query has an image of its identity from another camera."""
    if not np.intersect1d(query.identities, gallery.identities).size:
        raise DataError(
            f"the query split (identities {some(np.unique(query.identities))}) shares no identity "
            f"with the gallery ({some(np.unique(gallery.identities))}); are they of one data set, "
            "and does config.data.pattern read the identity?"
        )
    cameras = cameras_of(gallery)
    queries = zip(query.identities, query.cameras, strict=True)
    if not any(cameras[identity] - {camera} for identity, camera in queries):
        raise DataError(
            f"none of the {len(query)} queries has an image of its identity from another camera "
            f"in the gallery (cameras {some(np.unique(gallery.cameras))}), and pictures from its "
            "own do not count; does config.data.pattern read the camera?"
        )


def _spelled_out(source: Source) -> Source:
    """The same for every way to write it: else one data set would pass for two, and the cameras of
    its own test splits for unknown ones.
    """
    root = os.path.normpath(source.folder) if source.root else ""
    return dataclasses.replace(source, variant=builder_of(source).variant_of(source), root=root)


def _needs(prepared: PreparedSet, *splits: str) -> None:
    for split in splits:
        if split not in prepared.splits:
            advice = (
                "train on another one and name this one in config.eval.datasets"
                if split == "train"
                else "name others in config.eval.datasets"
            )
            raise DataError(f"{prepared.title} has no {split} split; {advice}")


def _training(
    sets: Sequence[PreparedSet], rows: CameraRows, loading: Loading, sampling: Sampling
) -> TrainingSplit:
    for prepared in sets:
        _needs(prepared, "train")
    sides = np.concatenate([rows.of(prepared, "train") for prepared in sets])
    records = sets[0].splits["train"] if len(sets) == 1 else JoinedRecords(sets, sides)
    check_training(records.identities, sampling.identities_per_batch)
    return TrainingSplit("train", records, sides, loading, sampling=sampling)


def _tests(sets: Sequence[PreparedSet], rows: CameraRows, loading: Loading) -> list[TestSplits]:
    tests: list[TestSplits] = []
    for name, prepared in zip(_names(sets), sets, strict=True):
        _needs(prepared, "query", "gallery")
        check_test(prepared.splits["query"], prepared.splits["gallery"])
        query, gallery = (
            Split(split, prepared.splits[split], rows.of(prepared, split), loading)
            for split in ("query", "gallery")
        )
        tests.append(TestSplits(name, query, gallery, prepared.provenance))
    return tests


def _names(sets: Sequence[PreparedSet]) -> list[str]:
    """A name for each, with its folder where two would have the same."""
    titles = [prepared.title for prepared in sets]
    return [
        f"{prepared.title}={prepared.source.root}"
        if titles.count(prepared.title) > 1
        else prepared.title
        for prepared in sets
    ]


def _renumbered(numbers: Sequence[np.ndarray]) -> Iterator[np.ndarray]:
    """Each array's different numbers as first, first + 1, ..., going on after the one before."""
    first = 0
    for array in numbers:
        unique, places = np.unique(array, return_inverse=True)
        yield first + places
        first += len(unique)


def _loading(fields: ConfigDict, images: int) -> Loading:
    size, cache = tuple(fields.image_size), fields.cache
    if cache in ("auto", "device"):
        cache = "memory" if fits_in_memory(images, size) else "none"
    folder = prepared_folder(fields.data_dir) / "decoded"
    return Loading(size, cache, folder, fields.loader_threads, fields.loader_processes)
