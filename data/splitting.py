"""Divides pictures into training, query and gallery where a data set does not say.

The same names and the same seed give the same splits, whatever the order and place of the files.
"""

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from operator import attrgetter

from data.labels import Texts, plain, shown
from data.listing import Entry, Listing
from dpeformer_jax.base.errors import UserError, some

FEWEST = 2  # identities of training, and of the test


class TooFewPeople(UserError):
    """Too few identities to divide."""


def split_by_identity(
    entries: Sequence[Entry], texts: Texts, seed: int, test_share: float, cameras: bool
) -> Listing:
    """Divides pictures so that no identity is both in training and in the test.

    Identities are ordered by a hash of the seed and their name, so that another one moves few. The
    first of them are tested: `test_share` of those with two images or more. An identity with one
    image cannot be trained on; it is a distractor in the gallery. See `split_test` for the rest.

    Raises TooFewPeople where too few identities are left for training or for the test.
    """
    images = _grouped(entries, "identity")
    several = [identity for identity, own in images.items() if len(own) > 1]
    trainable = hashed_order(several, texts, seed)
    tested = round(test_share * len(trainable))
    trained = set(trainable[tested:])
    if min(tested, len(trained)) < FEWEST:
        raise TooFewPeople(
            f"{len(images)} identities ({some(shown(images, texts))}), of which {len(trainable)} "
            f"have two images or more, are too few for config.data.test_share = {test_share}: "
            f"{len(trained)} are left to train on, {tested} to test on, and both need {FEWEST}; "
            "add people, or change the share"
        )
    train = [entry for entry in entries if entry.identity in trained]
    others = [entry for entry in entries if entry.identity not in trained]
    return {"train": train} | split_test(others, seed, cameras)


def split_test(entries: Sequence[Entry], seed: int, cameras: bool) -> Listing:
    """Divides pictures of tested identities into query and gallery.

    With cameras, an identity of two cameras or more gives one image to the query from each camera
    that has two of it, or one image if none has. Without, an identity of two images or more gives
    one. The seed chooses the image. So each query has a match left in the gallery.

    Raises UserError where there is no query.
    """
    chosen = set()
    for own in _grouped(entries, "identity").values():
        in_turn = sorted(own, key=lambda entry: _rank(seed, entry.name))
        chosen |= {entry.name for entry in _queries(in_turn, cameras)}
    if not chosen:
        lacking = "is seen by two cameras" if cameras else "has two images"
        number = len({entry.identity for entry in entries})
        raise UserError(
            f"no query is possible: none of the {number} tested identities {lacking}; add such "
            "images, or choose other people by config.data.split_seed or config.data.test_share"
        )
    return {
        "query": [entry for entry in entries if entry.name in chosen],
        "gallery": [entry for entry in entries if entry.name not in chosen],
    }


def held_out_identities(
    identities: Iterable[int], texts: Texts, seed: int, share: float
) -> list[int]:
    """Returns the training identities that are not trained on, sorted: `share` of them, rounded.

    The same hash as in `split_by_identity` orders them, and the first are held out.

    Raises TooFewPeople where fewer than FEWEST are held out or left to train on.
    """
    in_turn = hashed_order(identities, texts, seed)
    held = round(share * len(in_turn))
    if min(held, len(in_turn) - held) < FEWEST:
        raise TooFewPeople(
            f"config.data.held_out = {share} of {len(in_turn)} training identities holds out "
            f"{held} and leaves {len(in_turn) - held} to train on, and both need {FEWEST}; change "
            "the share"
        )
    return sorted(in_turn[:held])


def hashed_order(identities: Iterable[int], texts: Texts, seed: int) -> list[int]:
    """Returns the different identities in the order of a hash of the seed and their names."""
    names = {identity: plain(texts.get(identity, str(identity))) for identity in identities}
    return sorted(names, key=lambda identity: _rank(seed, names[identity]))


def rule_of(splits: Mapping[str, Sequence[Entry]], seed: int, cameras: bool) -> str:
    """Returns one sentence on how files were divided, damaged ones among them."""
    counts = (
        f"{split} {len(entries)} files of {len(_grouped(entries, 'identity'))} identities"
        for split, entries in splits.items()
    )
    compared = "with cameras, a query is compared with images of other cameras"
    if not cameras:
        compared = "without cameras, a query is compared with all other images"
    return f"split by identity with seed {seed} ({compared}): {', '.join(counts)}"


def _queries(in_turn: Sequence[Entry], cameras: bool) -> Sequence[Entry]:
    if not cameras:
        return in_turn[:1] if len(in_turn) > 1 else ()
    by_camera = _grouped(in_turn, "camera").values()
    if len(by_camera) < 2:
        return ()
    return [own[0] for own in by_camera if len(own) > 1] or in_turn[:1]


def _grouped(entries: Iterable[Entry], field: str) -> dict[int, list[Entry]]:
    label, groups = attrgetter(field), defaultdict(list)
    for entry in entries:
        groups[label(entry)].append(entry)
    return groups


def _rank(seed: int, name: str) -> bytes:
    return hashlib.sha256(f"{seed} {name}".encode()).digest()
