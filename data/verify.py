"""Examines the data sets of a config and compares them with the published counts."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import combinations, product
from os.path import basename
from typing import Any

import numpy as np

from data.builder import Counts
from data.counts import COLUMNS, table
from data.dataset import check_test, check_training, specs_of
from data.dataset_spec import DataSettings
from data.labels import shown
from data.opened_dataset import HELD_OUT, OpenedDataset
from data.pipeline import Sampling
from data.records import Records, cameras_of
from data.score_warnings import scoring_warnings, training_warnings
from dpeformer_jax.base.errors import UserError, some
from dpeformer_jax.base.pictures import size_of
from dpeformer_jax.base.progress import progress

Report = dict[str, Any]
Sets = Sequence[OpenedDataset]

NO_IMAGE = "no image of the identity in the gallery"
SAME_CAMERA = "camera rule: all gallery images of the identity are from the query's own camera"


def verify(settings: DataSettings, tests: Sequence[str], sampling: Sampling) -> Report:
    """Examines every image of the training and test sets of `config.data` and `config.eval`.

    Returns {"datasets": one report a data set, "problems": one sentence for each thing that makes
    scores wrong, "warnings": one for each that is no mistake but bears on them}. Raises UserError
    where a data set cannot be read at all.
    """
    training, testing = specs_of(settings, tests)
    sets = {
        spec: OpenedDataset(spec, settings.data_dir, allow_other_counts=True)
        for spec in dict.fromkeys([*training, *testing])
    }
    for spec in training:
        sets[spec].hold_out(settings.held_out)
    trained, tested = ([sets[spec] for spec in specs] for specs in (training, testing))
    problems = [problem for opened in sets.values() for problem in _own(opened, settings)]
    problems += _refused(trained, tested, sampling.identities_per_batch)
    problems += _shared_images(trained, tested)
    warnings = list(_warnings(trained, tested, sampling.images_per_identity))
    examined = [examine(opened) for opened in sets.values()]
    return {"datasets": examined, "problems": problems, "warnings": warnings}


def examine(opened: OpenedDataset) -> Report:
    """Returns the report of one data set: plain numbers, texts, lists and dicts."""
    splits = opened.splits
    report: Report = {
        "name": opened.title,
        "root": opened.spec.root,
        "fingerprint": opened.fingerprint,
        "split": opened.rule,
        "cameras": opened.provenance.get("cameras", []),
        "published": {split: counts._asdict() for split, counts in opened.published.items()},
        "found": {s: dict(zip(COLUMNS, c, strict=False)) for s, c in opened.found.items()},
        "other_counts": [str(difference) for difference in opened.differences],
        "unreadable": opened.skipped,
        "splits": {split: _describe(split, records) for split, records in splits.items()},
        "same_bytes_within": {split: _repeats(records) for split, records in splits.items()},
        "same_bytes_across": _across(splits, lambda records: records.digests),
        "same_names_across": _across(splits, _names_of(splits)),
        "one_camera": _one_camera(opened),
        "training_identities_in_test": opened.trained_and_tested,
    }
    if "query" in splits and "gallery" in splits:
        report["queries"] = _queries(splits["query"], splits["gallery"])
    return report


def as_text(report: Report) -> str:
    """Formats the report for people."""
    sections = [_section(part) for part in report["datasets"]]
    warnings = [f"warning: {warning}" for warning in report["warnings"]]
    problems = [f"problem: {problem}" for problem in report["problems"]]
    none = "no problem found" + (", but see the warnings above" if warnings else "")
    return "\n\n".join([*sections, "\n".join([*warnings, *(problems or [none])])])


def _describe(split: str, records: Records) -> Report:
    bar = progress(range(len(records)), title=f"sizes of {split}", unit="image")
    widths, heights = np.array([size_of(records.encoded(index)) for index in bar]).T
    images = np.unique(records.identities, return_counts=True)[1]
    return {
        name: {"min": int(of.min()), "median": float(np.median(of)), "max": int(of.max())}
        for name, of in (("images_per_identity", images), ("height", heights), ("width", widths))
    }


def _repeats(records: Records) -> list[str]:
    """Lists the files whose bytes equal those of an earlier file."""
    first: dict[bytes, str] = {}
    return [
        f"{path} = {first[digest]}"
        for path, digest in zip(records.paths, records.digests, strict=True)
        if first.setdefault(digest, path) != path
    ]


def _across(splits: dict[str, Records], key: Callable[[Records], Iterable]) -> dict[str, list[str]]:
    """Lists, for each pair of splits, the files of the first whose `key` is in the second too."""
    found = {}
    for one, other in combinations(splits, 2):
        known = dict(zip(key(splits[other]), splits[other].paths, strict=True))
        found[f"{one}, {other}"] = [
            f"{path} = {known[k]}"
            for path, k in zip(splits[one].paths, key(splits[one]), strict=True)
            if k in known
        ]
    return found


def _names_of(splits: dict[str, Records]) -> Callable[[Records], Iterable[str]]:
    """Returns what names a picture: its base name, or its path where base names repeat."""
    names = [list(map(basename, records.paths)) for records in splits.values()]
    repeat = any(len(set(of_split)) < len(of_split) for of_split in names)
    return lambda records: records.paths if repeat else map(basename, records.paths)


def _one_camera(opened: OpenedDataset) -> dict[str, list[int | str]]:
    """Lists the identities of one camera, in training and in query and gallery together.

    There are none where no camera is known.
    """
    halves: dict[str, dict[int, set[int]]] = defaultdict(lambda: defaultdict(set))
    for split, records in opened.splits.items():
        for identity, cameras in cameras_of(records).items():
            halves["train" if split in ("train", HELD_OUT) else "test"][identity] |= cameras
    return {
        half: shown(
            sorted(i for i, of in seen.items() if opened.cameras_known and len(of) == 1),
            opened.names.identities,
        )
        for half, seen in halves.items()
    }


def _queries(query: Records, gallery: Records) -> Report:
    """Lists the queries that have no match left in the gallery, each with the reason."""
    cameras = cameras_of(gallery)
    unmatched = {}
    for path, identity, camera in zip(query.paths, query.identities, query.cameras, strict=True):
        if not cameras[identity]:
            unmatched[path] = NO_IMAGE
        elif cameras[identity] == {camera}:
            unmatched[path] = SAME_CAMERA
    return {"images": len(query), "used": len(query) - len(unmatched), "without_match": unmatched}


def _own(opened: OpenedDataset, settings: DataSettings) -> Iterator[str]:
    """Yields the problems of one data set by itself."""
    name = opened.title
    certain = [difference for difference in opened.differences if difference.certain]
    if certain and not settings.allow_other_counts:
        yield f"{name}: {len(certain)} counts differ from the published ones. {opened.likely_cause}"
    if settings.on_bad_image == "error":
        try:
            opened.refuse_damaged()
        except UserError as error:
            yield str(error)
    if both := opened.trained_and_tested:
        yield f"{name}: {len(both)} identities are in training and in test: {some(both)}"


def _refused(trained: Sets, tested: Sets, identities_per_batch: int) -> Iterator[str]:
    """Yields the errors that training and scoring would stop with."""
    for opened in trained:
        if "train" in opened.splits:
            try:
                identities = opened.splits["train"].identities
                check_training(identities, identities_per_batch, opened.names.identities)
            except UserError as error:
                yield f"{opened.title}: {error}"
    for opened in tested:
        if "query" in opened.splits and "gallery" in opened.splits:
            try:
                check_test(opened.splits["query"], opened.splits["gallery"], opened.names)
            except UserError as error:
                yield f"{opened.title}: {error}"


def _warnings(trained: Sets, tested: Sets, images_per_identity: int) -> Iterator[str]:
    for opened in trained:
        if "train" in opened.splits:
            yield from training_warnings(opened, images_per_identity)
    for opened in tested:
        yield from scoring_warnings(opened)


def _shared_images(trained: Sets, tested: Sets) -> Iterator[str]:
    """Yields how many images of a test set or another training set a training split holds too."""
    pairs = list(product(trained, tested, ("query", "gallery")))
    pairs += [(*pair, "train") for pair in combinations(trained, 2)]
    for opened, other, split in pairs:
        if "train" in opened.splits and split in other.splits:
            known = set(opened.splits["train"].digests)
            if shared := sum(digest in known for digest in other.splits[split].digests):
                yield (
                    f"{shared} images of {other.title}'s {split} are byte for byte in the training "
                    f"split of {opened.title}"
                )


def _section(report: Report) -> str:
    lines = [f"{report['name']} in {report['root']}" if report["root"] else report["name"]]
    published, found = (
        {split: Counts(**counts) for split, counts in report[which].items()}
        for which in ("published", "found")
    )
    lines += [f"fingerprint {report['fingerprint']}", table(published, found)]
    lines += [report["split"]] if report["split"] else []
    lines += [f"cameras: {some(report['cameras'])}"] if report["cameras"] else []
    lines += [f"other than published: {difference}" for difference in report["other_counts"]]
    lines.append(f"{'':10}{'images an identity':>22}{'height':>22}{'width':>22}")
    for split, spreads in report["splits"].items():
        cells = (f"{s['min']} / {s['median']:g} / {s['max']}" for s in spreads.values())
        lines.append(f"{split:10}" + "".join(f"{cell:>22}" for cell in cells))
    lines.append("(min / median / max)")
    lines.append(f"unreadable files: {len(report['unreadable'])}")
    lines += [f"  {name}: {problem}" for name, problem in sorted(report["unreadable"].items())]
    for title, key in (
        ("byte-identical to an earlier file", "same_bytes_within"),
        ("byte-identical to a file of the other split", "same_bytes_across"),
        ("file name also in the other split", "same_names_across"),
        ("identities seen by one camera only", "one_camera"),
    ):
        listed = report[key].items()
        lines.append(f"{title}: " + "; ".join(f"{where} {len(of)}" for where, of in listed))
        lines += [f"  {where}: {some(of)}" for where, of in listed if of]
    both = report["training_identities_in_test"]
    lines.append(f"identities in training and in test: {len(both)}")
    if "queries" in report:
        lines += _query_lines(report["queries"])
    return "\n".join(lines)


def _query_lines(queries: Report) -> Iterator[str]:
    without = queries["without_match"]
    yield f"queries: {queries['used']} of {queries['images']} have a match left"
    for rule, number in Counter(without.values()).items():
        paths = [path for path, reason in without.items() if reason == rule]
        yield f"  {number} without: {rule}: {some(paths)}"
