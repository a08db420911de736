"""Opens the training and test sets of a run."""

import dataclasses
import logging
import os
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np

from data.builder import prepared_folder
from data.catalog import builder_of
from data.dataset_spec import PATTERN, DatasetSpec, DataSettings, parse_spec
from data.labels import NO_NAMES, Names, Texts, shown
from data.opened_dataset import HELD_OUT, OpenedDataset
from data.pipeline import Cameras, Loading, Sampling, Split, TrainingSplit, fits_in_memory
from data.records import Records, cameras_of
from data.score_warnings import scoring_warnings, training_warnings
from dpeformer_jax.base.errors import UserError, some
from dpeformer_jax.base.interfaces import TestSet

Specs = list[DatasetSpec]

log = logging.getLogger(__name__)


class Dataset(NamedTuple):
    """The data of a run.

    train: all training sets together, None if nothing is trained; num_classes: its identities, or
    1; cameras_known: whether each of them tells cameras; provenance: of each of them, by name.
    """

    train: TrainingSplit | None
    tests: list[TestSet]
    num_classes: int
    cameras_known: bool
    provenance: dict[str, dict[str, Any]]


class JoinedRecords:
    """A split of several data sets as one: see `data.records.Records`.

    Identities and cameras are numbered anew, set after set, so that no two sets share a number.

    people: what messages say for the identities.
    """

    def __init__(self, sets: Sequence[OpenedDataset], cameras: np.ndarray, split: str = "train"):
        self._parts = [opened.splits[split] for opened in sets]
        self._starts = np.cumsum([0, *map(len, self._parts)])
        self.cameras = cameras
        identities, people = [], []
        for opened, part in zip(sets, self._parts, strict=True):
            unique, places = np.unique(part.identities, return_inverse=True)
            identities.append(len(people) + places)
            people += [f"{opened.title}/{who}" for who in shown(unique, opened.names.identities)]
        self.people = dict(enumerate(people))
        self.identities = np.concatenate(identities)
        self.paths = [f"{s.title}/{path}" for s in sets for path in s.splits[split].paths]
        self.digests = [digest for part in self._parts for digest in part.digests]

    def __len__(self) -> int:
        return len(self.identities)

    def encoded(self, index: int) -> bytes:
        """Returns an image file."""
        part = int(np.searchsorted(self._starts, index, side="right")) - 1
        return self._parts[part].encoded(index - self._starts[part])


def specs_of(settings: DataSettings, tests: Sequence[str]) -> tuple[Specs, Specs]:
    """Returns a config's training and test sets; raises UserError for a wrong or repeated name."""
    own = DatasetSpec.of(settings)
    training = [own, *(parse_spec(text, "config.data.joined", own) for text in settings.joined)]
    testing = [parse_spec(text, "config.eval.datasets", own) for text in tests] or [own]
    training, testing = ([spelled_out(s) for s in specs] for specs in (training, testing))
    for field, specs in (("data.joined", training), ("eval.datasets", testing)):
        for spec in specs:
            if specs.count(spec) > 1:
                raise UserError(f"config.{field} names {spec.builder} of one folder twice")
    return training, testing


def load_dataset(
    settings: DataSettings,
    tests: Sequence[str],
    sampling: Sampling | None,
    known: Mapping[str, str] = MappingProxyType({}),
) -> Dataset:
    """Prepares the data sets if necessary and opens their splits.

    Args:
        tests: `config.eval.datasets`; () tests on the splits of `config.data.builder`.
        sampling: how the training set is sampled; None opens the test sets alone.
        known: the names of earlier training sets by their fingerprints, for folders that were
            renamed since then.

    Raises:
        UserError: a file is missing or damaged, or counts or a split are not as they must be.
    """
    training, testing = specs_of(settings, tests)
    trained = [] if sampling is None else training
    sets = {spec: open_set(spec, settings) for spec in dict.fromkeys([*trained, *testing])}
    for spec in trained:
        hold_out(sets[spec], settings.held_out)
    names = camera_sets(training, testing)
    names |= recognised(sets, known, names)
    loading = loading_of(settings, sum(len(r) for s in sets.values() for r in s.splits.values()))
    train = None
    if sampling is not None:
        # The devices get the training set from memory.
        cache = "memory" if settings.cache == "device" else loading.cache
        named = {names[spec]: sets[spec] for spec in trained}
        train = _training(named, dataclasses.replace(loading, cache=cache), sampling)
    titles = zip(_unique_names(testing), testing, strict=True)
    return Dataset(
        train,
        [_test(title, sets[spec], names[spec], loading) for title, spec in titles],
        num_classes=1 if train is None else int(train.labels.max()) + 1,
        cameras_known=all(sets[spec].cameras_known for spec in trained),
        provenance={names[spec]: sets[spec].training_provenance for spec in trained},
    )


def open_set(spec: DatasetSpec, settings: DataSettings) -> OpenedDataset:
    """Opens a data set and logs what it holds; raises UserError where the settings forbid it."""
    opened = OpenedDataset(spec, settings.data_dir, settings.allow_other_counts)
    if settings.on_bad_image == "error":
        opened.refuse_damaged()
    log.info(opened.summary())
    if both := opened.trained_and_tested:
        log.warning(
            f"{opened.title}: {len(both)} identities are in training and in test: {some(both)}"
        )
    return opened


def hold_out(opened: OpenedDataset, share: float) -> None:
    """Keeps a share of the training identities from the training, and logs how many.

    Raises UserError where too few are held out, or left.
    """
    opened.hold_out(share)
    if HELD_OUT in opened.splits:
        counts = opened.counts(HELD_OUT)
        log.info(
            "%s: %d of these training identities, with %d images, are held out",
            *(opened.title, counts.identities, counts.images),
        )


def check_training(
    identities: np.ndarray, identities_per_batch: int, names: Texts = NO_NAMES.identities
) -> None:
    """Raises UserError where identities [M] do not suffice for P x K batches."""
    numbers, counts = np.unique(identities, return_counts=True)
    lonely = numbers[counts < 2]
    if len(lonely):
        raise UserError(
            f"{len(lonely)} training identities have fewer than two images: "
            f"{some(shown(lonely, names))}. "
            "Add images of them or remove them"
        )
    if len(numbers) < identities_per_batch:
        raise UserError(
            f"the training split has {len(numbers)} identities, fewer than the "
            f"{identities_per_batch} of a batch; lower config.train.batch_size or raise "
            "config.train.images_per_identity"
        )


def check_test(query: Records, gallery: Records, names: Names = NO_NAMES) -> None:
    """Raises UserError where no query has an image of its identity from another camera."""
    if not np.intersect1d(query.identities, gallery.identities).size:
        queried, there = (
            some(shown(np.unique(split.identities), names.identities)) for split in (query, gallery)
        )
        raise UserError(
            f"the query split (identities {queried}) shares no identity with the gallery "
            f"({there}); are they of one data set, and does the pattern read the identity?"
        )
    cameras = cameras_of(gallery)
    queries = zip(query.identities, query.cameras, strict=True)
    if not any(cameras[identity] - {camera} for identity, camera in queries):
        there = some(shown(np.unique(gallery.cameras), names.cameras))
        raise UserError(
            f"none of the {len(query)} queries has an image of its identity from another camera "
            f"in the gallery (cameras {there}), and images of its own camera do not "
            "count; does the pattern read the camera?"
        )


def spelled_out(spec: DatasetSpec) -> DatasetSpec:
    """Returns the same spec for all spellings of a data set."""
    root = os.path.normpath(spec.folder) if spec.root else ""
    return dataclasses.replace(spec, variant=builder_of(spec).variant_of(spec), root=root)


def _unique_names(specs: Specs) -> list[str]:
    """Returns the title of each data set, with what tells it from others of the same title."""
    names = [builder_of(spec).title(spec) for spec in specs]
    for more in ([f"={spec.root}" for spec in specs], [PATTERN + spec.pattern for spec in specs]):
        rows = zip(names, more, strict=True)
        names = [name + part if names.count(name) > 1 else name for name, part in rows]
    return names


def camera_sets(training: Specs, testing: Specs) -> dict[DatasetSpec, str]:
    """Returns the name that `camera_names` gives to each data set.

    A test set that is a training set too has one name, so that a network recognises its cameras.
    All others have names of their own.
    """
    names = dict(zip(training, _unique_names(training), strict=True))
    return {spec: _unique_names([*training, spec])[-1] for spec in testing} | names


def recognised(
    sets: Mapping[DatasetSpec, OpenedDataset],
    known: Mapping[str, str],
    names: Mapping[DatasetSpec, str],
) -> dict[DatasetSpec, str]:
    """Returns the data sets that have a name in `known`, unless another has that name now."""
    found = {spec: known.get(opened.fingerprint) for spec, opened in sets.items()}
    return {spec: name for spec, name in found.items() if name and name not in names.values()}


def _needs(opened: OpenedDataset, *splits: str) -> None:
    """Raises UserError where a split is missing."""
    for split in splits:
        if split not in opened.splits:
            told, advice = f"{opened.title} has no {split} split", "name others"
            if split == "train":
                advice = "train on another data set and name this one"
                if folder := builder_of(opened.spec).training_folder(opened.spec):
                    told = f"{told}, for {folder} is missing"
            raise UserError(f"{told}; {advice} in config.eval.datasets")


def _training(
    sets: dict[str, OpenedDataset], loading: Loading, sampling: Sampling
) -> TrainingSplit:
    for opened in sets.values():
        _needs(opened, "train")
    cameras = Cameras.of(
        (name, opened.splits["train"].cameras, opened.names.cameras)
        for name, opened in sets.items()
    )
    first, *others = sets.values()
    records, people = first.splits["train"], first.names.identities
    if others:
        records = JoinedRecords([first, *others], cameras.rows)
        people = records.people
    check_training(records.identities, sampling.identities_per_batch, people)
    for opened in sets.values():
        for warning in training_warnings(opened, sampling.images_per_identity):
            log.warning(warning)
    return TrainingSplit("train", records, people, cameras, loading, sampling=sampling)


def _test(name: str, opened: OpenedDataset, camera_set: str, loading: Loading) -> TestSet:
    _needs(opened, "query", "gallery")
    query, gallery = opened.splits["query"], opened.splits["gallery"]
    check_test(query, gallery, opened.names)
    for warning in scoring_warnings(opened):
        log.warning(warning)
    splits = []
    for split, records in (("query", query), ("gallery", gallery)):
        cameras = Cameras.of([(camera_set, records.cameras, opened.names.cameras)])
        splits.append(Split(split, records, opened.names.identities, cameras, loading))
    return TestSet(name, *splits, opened.provenance)


def loading_of(settings: DataSettings, images: int) -> Loading:
    """Returns how that many images are read."""
    size, cache = tuple(settings.image_size), settings.cache
    if cache in ("auto", "device"):
        cache = "memory" if fits_in_memory(images, size) else "none"
    folder = prepared_folder(settings.data_dir) / "decoded"
    return Loading(size, cache, folder, settings.loader_threads, settings.loader_processes)
