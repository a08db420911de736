"""Opens the pictures that --mode=calibrate finds its thresholds on."""

import logging
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from data.dataset import (
    JoinedRecords,
    camera_sets,
    hold_out,
    loading_of,
    open_set,
    recognised,
    specs_of,
    spelled_out,
)
from data.dataset_spec import DatasetSpec, DataSettings, parse_spec
from data.labels import NO_NAMES, Texts
from data.opened_dataset import HELD_OUT, OpenedDataset
from data.pipeline import Cameras, Split
from data.records import Chosen
from data.splitting import hashed_order
from dpeformer_jax.base.errors import UserError, some
from dpeformer_jax.base.protocol import JUNK

FIELD = "config.calibrate.dataset"
# Pairs grow with the square: of 20,000 pictures it is 200 million, of which the distances are
# computed within minutes. Precision comes from the number of people.
MOST = 20_000
DISTRACTOR = 0  # identity under which Market-1501's gallery shows many people

log = logging.getLogger(__name__)


class CalibrationSet(NamedTuple):
    """Labelled pictures that were not trained on, each once.

    told: what they are, in words; cameras_known: whether each of their data sets tells cameras;
    provenance: of each data set, by name.
    """

    images: Split
    told: str
    cameras_known: bool
    provenance: dict[str, dict[str, Any]]


class AllSplits:
    """All splits of one data set as one: see `data.records.Records`.

    Where training and test number their people apart, each split's numbers follow the ones before.
    Query and gallery have one numbering.
    """

    def __init__(self, opened: OpenedDataset):
        parts = list(opened.splits.values())
        self._parts, self._starts = parts, np.cumsum([0, *map(len, parts)])
        apart = "train" in opened.splits and not opened.one_numbering
        offset = 1 + opened.splits["train"].identities.max() if apart else 0
        self.identities = np.concatenate(
            [p.identities + (split != "train") * offset for split, p in opened.splits.items()]
        )
        self.cameras = np.concatenate([part.cameras for part in parts])
        self.paths = [f"{s}/{path}" for s, part in opened.splits.items() for path in part.paths]
        self.digests = [digest for part in parts for digest in part.digests]

    def __len__(self) -> int:
        return len(self.identities)

    def encoded(self, index: int) -> bytes:
        """Returns an image file."""
        part = int(np.searchsorted(self._starts, index, side="right")) - 1
        return self._parts[part].encoded(index - self._starts[part])


def held_out_set(settings: DataSettings, known: Mapping[str, str]) -> CalibrationSet:
    """Opens the training identities that `config.data.held_out` keeps from the training.

    known: as of `data.dataset.load_dataset`. Raises UserError where there are none.
    """
    if not settings.held_out:
        raise UserError(
            "--mode=calibrate needs people that were not trained on, and config.data.held_out = 0 "
            "held out none; train anew, in another --workdir, with --config.data.held_out=0.2, or "
            f"give a labelled data set by --{FIELD}=BUILDER=FOLDER"
        )
    training, _ = specs_of(settings, ())
    sets = {spec: open_set(spec, settings) for spec in training}
    for opened in sets.values():
        if "train" not in opened.splits:
            raise UserError(f"{opened.title} has no train split, so nobody of it was held out")
        hold_out(opened, settings.held_out)
    names = camera_sets(training, ())
    names |= recognised(sets, known, names)
    cameras = Cameras.of(
        (names[spec], opened.splits[HELD_OUT].cameras, opened.names.cameras)
        for spec, opened in sets.items()
    )
    opened, *others = sets.values()
    records, people = opened.splits[HELD_OUT], opened.names.identities
    if others:
        records = JoinedRecords(list(sets.values()), cameras.rows, HELD_OUT)
        people = records.people
    told = f"held-out identities of {some([names[spec] for spec in training])}"
    trained = {digest for opened in sets.values() for digest in opened.splits["train"].digests}
    counted = np.array([digest not in trained for digest in records.digests])
    by_name = {names[spec]: opened for spec, opened in sets.items()}
    return _calibration_set(told, records, people, cameras, by_name, settings, counted)


def given_set(
    settings: DataSettings, text: str, tests: Sequence[str], known: Mapping[str, str]
) -> CalibrationSet:
    """Opens all splits of the data set that `config.calibrate.dataset` names.

    Args:
        text: as in `config.eval.datasets`; tests: those, which must not show the same pictures.
        known: as of `data.dataset.load_dataset`.

    Raises UserError where a picture of the data set is in a test set.
    """
    training, testing = specs_of(settings, tests)
    spec = spelled_out(parse_spec(text, FIELD, DatasetSpec.of(settings)))
    opened = open_set(spec, settings)
    _refuse_tested(text, opened, testing, settings)
    names = camera_sets(training, [spec])
    names |= recognised({spec: opened}, known, names)
    records = AllSplits(opened)
    cameras = Cameras.of([(names[spec], records.cameras, opened.names.cameras)])
    people = opened.names.identities if opened.one_numbering else NO_NAMES.identities
    nobody = [JUNK, DISTRACTOR] if _has_distractors(opened) else [JUNK]
    counted = ~np.isin(records.identities, nobody)
    told, by_name = f"all of {names[spec]}", {names[spec]: opened}
    return _calibration_set(told, records, people, cameras, by_name, settings, counted)


def _calibration_set(
    told: str,
    records: Any,
    people: Texts,
    cameras: Cameras,
    sets: Mapping[str, OpenedDataset],
    settings: DataSettings,
    counted: np.ndarray,
) -> CalibrationSet:
    """Puts together what was opened; counted: [M] bool, which pictures may count."""
    places = _usable(records, people, settings.split_seed, counted)
    if not len(places):
        raise UserError(
            f"none of the {len(records)} pictures ({told}) can be calibrated on: they are junk, "
            f"distractors or copies of training pictures, or one identity has more than {MOST:,}; "
            f"give another data set by --{FIELD}=BUILDER=FOLDER"
        )
    if left := len(records) - len(places):
        log.info("calibration: %d of %d pictures are left out", left, len(records))
    cameras = cameras._replace(rows=cameras.rows[places])
    loading = loading_of(settings, len(places))
    return CalibrationSet(
        Split("calibration", Chosen(records, places), people, cameras, loading),
        told,
        all(opened.cameras_known for opened in sets.values()),
        {name: opened.training_provenance for name, opened in sets.items()},
    )


def _refuse_tested(
    text: str, opened: OpenedDataset, testing: Sequence[DatasetSpec], settings: DataSettings
) -> None:
    """Raises UserError where the data set is, or shares pictures with, a test set."""
    own = {digest for records in opened.splits.values() for digest in records.digests}
    for spec in testing:
        test = opened if spec == opened.spec else open_set(spec, settings)
        splits = [of for split, of in test.splits.items() if split in ("query", "gallery")]
        shared = sum(digest in own for of in splits for digest in of.digests)
        if shared:
            raise UserError(
                f"{FIELD} = {text!r} holds {shared} pictures of the test set {test.title}: "
                "thresholds that saw the test set promise nothing; give another data set, or train "
                "with --config.data.held_out=0.2 and leave the field empty"
            )


def _usable(records: Any, people: Texts, seed: int, counted: np.ndarray) -> np.ndarray:
    """Returns the places of the pictures to calibrate on, sorted.

    Of those that are counted, [M] bool, copies of a picture say nothing new. Of more than MOST
    pictures whole identities are taken, by the hash of their names.
    """
    first = {records.digests[place]: place for place in np.flatnonzero(counted)[::-1]}
    places = np.array(sorted(first.values()), int)
    identities = records.identities[places]
    numbers, counts = np.unique(identities, return_counts=True)
    count_of = dict(zip(numbers.tolist(), counts.tolist(), strict=True))
    in_turn = hashed_order(count_of, people, seed)
    together = np.cumsum([count_of[identity] for identity in in_turn])
    chosen = in_turn[: int(np.searchsorted(together, MOST, side="right"))]
    return places[np.isin(identities, chosen)]


def _has_distractors(opened: OpenedDataset) -> bool:
    """Tells whether the gallery alone shows identity 0: many people, as in Market-1501."""
    shown = [split for split, of in opened.splits.items() if DISTRACTOR in of.identities]
    return shown == ["gallery"] and DISTRACTOR not in opened.names.identities
