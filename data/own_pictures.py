"""Base of the builders of a user's own pictures, whose labels may be texts and may be missing."""

import abc
from collections.abc import Sequence
from typing import NamedTuple

from data.builder import SPLITS, FolderBuilder, FolderConfig
from data.dataset_spec import DatasetSpec
from data.labels import Names, is_junk, plain
from data.listing import Listing, Picture, numbered_pictures
from data.splitting import rule_of, split_by_identity, split_test
from dpeformer_jax.base.errors import UserError

TEST = "test"  # split of pictures that are to be divided into query and gallery


class Arranged(NamedTuple):
    """The splits of a data set and what stands behind them.

    rule: one sentence on how the pictures were divided, "" where the data set said it itself;
    cameras: whether the data set tells cameras; only_camera: the one that all divided pictures are
    of, which counts as unknown, else "".
    """

    splits: Listing
    names: Names
    rule: str
    cameras: bool
    only_camera: str


class OwnBuilder(FolderBuilder, skip_registration=True):
    """Base of these builders. Junk (identity -1) is left out.

    Without cameras the query is camera 0 and the gallery camera 1, as in the field's data sets that
    record none; training images are camera 0. Where all pictures to divide are of one camera, it
    counts as unknown, for no query would have a match.
    """

    @classmethod
    @abc.abstractmethod
    def pictures(cls, spec: DatasetSpec) -> list[Picture]:
        """Lists the pictures; raises UserError where something does not fit."""

    @classmethod
    def scan(cls, spec: DatasetSpec) -> Listing:
        return cls.arranged(spec).splits

    @classmethod
    def configure(cls, spec: DatasetSpec) -> FolderConfig:
        splits, names, rule, cameras, only = cls.arranged(spec)
        more = {"rule": rule, "cameras_known": cameras, "only_camera": only}
        return cls.config_of(spec, splits, names, **more)

    @classmethod
    def arranged(cls, spec: DatasetSpec) -> Arranged:
        """Numbers the labels and divides what is not divided; raises UserError as `pictures`."""
        pictures = [picture for picture in cls.pictures(spec) if not is_junk(picture.identity)]
        if not pictures:
            raise UserError(f"{spec.folder} holds no picture except junk (identity -1)")
        if only_camera := _only_camera(pictures):
            pictures = [picture._replace(camera="") for picture in pictures]
        cameras = all(picture.camera for picture in pictures)
        entries, names = numbered_pictures(pictures)
        splits: Listing = {split: [] for split in (*SPLITS, TEST, "")}
        for picture, entry in zip(pictures, entries, strict=True):
            splits[picture.split].append(entry)
        divided: Listing = {}
        if everyone := splits.pop(""):
            divided = split_by_identity(
                everyone, names.identities, spec.split_seed, spec.test_share, cameras
            )
        if tested := splits.pop(TEST):
            divided |= split_test(tested, spec.split_seed, cameras)
        rule = rule_of(divided, spec.split_seed, cameras) if divided else ""
        for split, more in divided.items():
            splits[split] += more
        if not cameras:
            splits["gallery"] = [entry._replace(camera=1) for entry in splits["gallery"]]
        splits = {split: own for split, own in splits.items() if own}
        return Arranged(splits, names, rule, cameras, only_camera)


def _only_camera(pictures: Sequence[Picture]) -> str:
    """Returns the one camera of all pictures to divide; "" where there are others or none."""
    cameras = {plain(picture.camera) for picture in pictures if picture.split in ("", TEST)}
    return cameras.pop() if len(cameras) == 1 else ""
