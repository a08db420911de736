"""What is in the data sets of a config, against what was published: --mode=verify_data."""

import io
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from itertools import combinations
from typing import Any

import numpy as np
from ml_collections import ConfigDict
from PIL import Image
from tqdm import tqdm

from data.builder import Counts, Records
from data.counts import COLUMNS, table
from data.dataset import cameras_of, check_test, check_training, sources_of
from data.errors import DataError, some
from data.prepared import PreparedSet

Report = dict[str, Any]

NO_IMAGE = "no image of the identity in the gallery"
SAME_CAMERA = "camera rule: all of the identity's gallery images are of the query's own camera"


def verify(fields: ConfigDict, tests: Sequence[str], identities_per_batch: int) -> Report:
    """Looks at every image of the training and test sets.

    Args:
        fields: `config.data`; tests: `config.eval.datasets`.
        identities_per_batch: P of the P x K batches of training.

    Returns:
        {"datasets": [a report a set], "problems": [what makes scores wrong, a sentence each]}.

    Raises:
        DataError: a data set that cannot be read at all.
    """
    training, testing = sources_of(fields, tests)
    sets = {
        source: PreparedSet(source, fields.data_dir, allow_other_counts=True)
        for source in dict.fromkeys([*training, *testing])
    }
    trained = [sets[source] for source in training]
    tested = [sets[source] for source in testing]
    reports = [examine(prepared) for prepared in sets.values()]
    problems = [p for prepared in sets.values() for p in _own_problems(prepared, fields)]
    problems += _refused(trained, tested, identities_per_batch)
    for prepared in trained:
        for other in tested:
            problems += _shared_images(prepared, other, ("query", "gallery"))
    for prepared, other in combinations(trained, 2):
        problems += _shared_images(prepared, other, ("train",))
    return {"datasets": reports, "problems": problems}


def examine(prepared: PreparedSet) -> Report:
    """The report of one data set; plain numbers, texts, lists and dicts."""
    splits = prepared.splits
    report: Report = {
        "name": prepared.title,
        "root": prepared.source.root,
        "fingerprint": prepared.fingerprint,
        "published": {split: counts._asdict() for split, counts in prepared.published.items()},
        "found": {split: _plain(counts) for split, counts in prepared.found.items()},
        "other_counts": [str(difference) for difference in prepared.differences],
        "unreadable": prepared.skipped,
        "splits": {split: _describe(split, records) for split, records in splits.items()},
        "same_bytes_within": {split: _repeats(records) for split, records in splits.items()},
        "same_bytes_across": _across(splits, lambda records: records.digests),
        "same_names_across": _across(splits, _base_names),
        "one_camera": _one_camera(splits),
        "training_identities_in_test": prepared.trained_and_tested,
    }
    if "query" in splits and "gallery" in splits:
        report["queries"] = _queries(splits["query"], splits["gallery"])
    return report


def as_text(report: Report) -> str:
    """The report for people."""
    sections = [_section(part) for part in report["datasets"]]
    problems = report["problems"]
    closing = "\n".join(f"problem: {problem}" for problem in problems) or "no problem found"
    return "\n\n".join([*sections, closing])


def _describe(split: str, records: Records) -> Report:
    sizes = []
    for index in tqdm(range(len(records)), desc=f"sizes of {split}", unit="image", disable=None):
        with Image.open(io.BytesIO(records.encoded(index))) as image:
            sizes.append(image.size)
    widths, heights = zip(*sizes, strict=True)
    return {
        "images_per_identity": _spread(np.unique(records.identities, return_counts=True)[1]),
        "height": _spread(heights),
        "width": _spread(widths),
    }


def _plain(counts: Counts) -> Report:
    return {what: getattr(counts, what) for what in COLUMNS}


def _spread(numbers: Sequence[int] | np.ndarray) -> dict[str, float]:
    return {
        "min": int(np.min(numbers)),
        "median": float(np.median(numbers)),
        "max": int(np.max(numbers)),
    }


def _repeats(records: Records) -> list[str]:
    """Files whose bytes are those of an earlier one."""
    first: dict[bytes, str] = {}
    return [
        f"{path} = {first[digest]}"
        for path, digest in zip(records.paths, records.digests, strict=True)
        if first.setdefault(digest, path) != path
    ]


def _across(splits: dict[str, Records], key: Callable[[Records], list]) -> dict[str, list[str]]:
    """The files of the first split of each pair whose `key` is in the second too."""
    found = {}
    for one, other in combinations(splits, 2):
        known = dict(zip(key(splits[other]), splits[other].paths, strict=True))
        found[f"{one}, {other}"] = [
            f"{path} = {known[k]}"
            for path, k in zip(splits[one].paths, key(splits[one]), strict=True)
            if k in known
        ]
    return found


def _base_names(records: Records) -> list[str]:
    return [path.rsplit("/", 1)[-1] for path in records.paths]


def _one_camera(splits: dict[str, Records]) -> dict[str, list[int]]:
    """Identities that one camera alone has seen, in training and in query and gallery together."""
    halves: dict[str, dict[int, set[int]]] = defaultdict(lambda: defaultdict(set))
    for split, records in splits.items():
        for identity, cameras in cameras_of(records).items():
            halves["train" if split == "train" else "test"][identity] |= cameras
    return {
        half: sorted(identity for identity, cameras in seen.items() if len(cameras) == 1)
        for half, seen in halves.items()
    }


def _queries(query: Records, gallery: Records) -> Report:
    """Which queries have no match left in the gallery, and by which rule."""
    cameras = cameras_of(gallery)
    unmatched = {}
    for path, identity, camera in zip(query.paths, query.identities, query.cameras, strict=True):
        if not cameras[identity]:
            unmatched[path] = NO_IMAGE
        elif cameras[identity] == {camera}:
            unmatched[path] = SAME_CAMERA
    return {"images": len(query), "used": len(query) - len(unmatched), "without_match": unmatched}


def _own_problems(prepared: PreparedSet, fields: ConfigDict) -> Iterator[str]:
    name = prepared.title
    certain = [difference for difference in prepared.differences if difference.certain]
    if certain and not fields.allow_other_counts:
        yield f"{name}: {len(certain)} counts are not the published ones. {prepared.likely_cause}"
    if prepared.skipped and fields.on_bad_image == "error":
        yield f"{name}: {len(prepared.skipped)} unreadable files"
    if both := prepared.trained_and_tested:
        yield f"{name}: {len(both)} identities are in training and in test: {some(both)}"


def _refused(
    trained: Sequence[PreparedSet], tested: Sequence[PreparedSet], identities_per_batch: int
) -> Iterator[str]:
    """What training and scoring would stop at."""
    for prepared in trained:
        if "train" in prepared.splits:
            try:
                check_training(prepared.splits["train"].identities, identities_per_batch)
            except DataError as error:
                yield f"{prepared.title}: {error}"
    for prepared in tested:
        if "query" in prepared.splits and "gallery" in prepared.splits:
            try:
                check_test(prepared.splits["query"], prepared.splits["gallery"])
            except DataError as error:
                yield f"{prepared.title}: {error}"


def _shared_images(
    trained: PreparedSet, other: PreparedSet, splits: Sequence[str]
) -> Iterator[str]:
    """Images of `other` that `trained` has in its training split, byte for byte."""
    known = set(trained.splits["train"].digests) if "train" in trained.splits else set()
    for split in splits:
        digests = other.splits[split].digests if split in other.splits else []
        if shared := sum(digest in known for digest in digests):
            yield (
                f"{shared} images of {other.title}'s {split} are byte for byte in the training "
                f"split of {trained.title}"
            )


def _section(report: Report) -> str:
    lines = [f"{report['name']} in {report['root']}" if report["root"] else report["name"]]
    published, found = (
        {split: Counts(**counts) for split, counts in report[which].items()}
        for which in ("published", "found")
    )
    lines += [f"fingerprint {report['fingerprint']}", table(published, found)]
    lines += [f"other than published: {difference}" for difference in report["other_counts"]]
    lines.append(f"{'':10}{'images an identity':>22}{'height':>22}{'width':>22}")
    for split, told in report["splits"].items():
        cells = (f"{s['min']} / {s['median']:g} / {s['max']}" for s in told.values())
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
        told = "; ".join(f"{where} {len(found)}" for where, found in report[key].items())
        lines.append(f"{title}: {told}")
        lines += [f"  {where}: {some(found)}" for where, found in report[key].items() if found]
    both = report["training_identities_in_test"]
    lines.append(f"identities in training and in test: {len(both)}")
    if "queries" in report:
        lines += _query_lines(report["queries"])
    return "\n".join(lines)


def _query_lines(queries: Report) -> Iterator[str]:
    without = queries["without_match"]
    yield f"queries: {queries['used']} of {queries['images']} have a match left"
    for rule, number in Counter(without.values()).items():
        paths = [path for path, of in without.items() if of == rule]
        yield f"  {number} without: {rule}: {some(paths)}"
