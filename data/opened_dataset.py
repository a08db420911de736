"""Opens a data set: counts it, prepares it and takes its fingerprint."""

import hashlib
from collections import Counter
from collections.abc import Sequence
from functools import cached_property
from typing import Any

import numpy as np

from data.builder import Counts, Item, ReidBuilder, prepare
from data.catalog import builder_of, published_counts
from data.counts import count, differences, likely_cause, table
from data.dataset_spec import DatasetSpec
from data.labels import Names, shown
from data.records import Chosen, Records
from data.splitting import held_out_identities
from dpeformer_jax.base.errors import UserError, some

HELD_OUT = "held_out"  # the split of the training identities that are not trained on


class OpenedDataset:
    """The splits of one data set on disk.

    spec: the data set; title: its name in tables; published, found: counts by split, with damaged
    files; differences: between these; splits: records by split; skipped: the problem of each
    damaged file; names: the texts that numbers of identities and cameras stand for; rule: how the
    builder divided the pictures, "" where the data set says it; cameras_known: whether it tells
    cameras; only_camera: see `data.builder.ReidConfig`; left_out: the training identities that
    `splits` lacks, for damage has left one image of them.
    """

    def __init__(self, spec: DatasetSpec, data_dir: str, allow_other_counts: bool):
        """Opens the data set and prepares it if necessary.

        Raises UserError where a file is missing or does not fit the layout, counts differ from the
        published ones and may not, or a split has no file that decodes.
        """
        builder_class = builder_of(spec)
        self.spec = spec
        self.title = builder_class.title(spec)
        self.one_numbering = builder_class.ONE_NUMBERING
        self.published = builder_class.PUBLISHED.get(builder_class.variant_of(spec), {})
        config = builder_class.configure(spec)
        self.rule, self.cameras_known = config.rule, config.cameras_known
        self.only_camera = config.only_camera
        listing = builder_class.listing(config)
        self.found = {split: self._known(count(items)) for split, items in listing.items()}
        self.differences = list(differences(self.published, self.found))
        if not allow_other_counts:
            self._refuse_other_counts()
        builder = prepare(builder_class, data_dir, config)
        self.skipped: dict[str, str] = dict(builder.info.metadata["skipped"])
        self.names = Names.of_metadata(builder.info.metadata)
        self._problems = [f"{name} ({problem})" for name, problem in sorted(self.skipped.items())]
        for split in self.found:
            if not builder.info.splits[split].num_examples:
                raise UserError(
                    f"none of the {self.found[split].images} images of the split {split} of "
                    f"{self.title} can be used: {some(self._problems)}"
                )
        self.splits = {split: Records(builder, split) for split in self.found}
        self.left_out: list[int | str] = []
        if self.skipped and "train" in self.splits:
            self._leave_out(builder, listing["train"])

    @cached_property
    def fingerprint(self) -> str:
        """Returns SHA-256 of the sorted list of splits, names, identities, cameras and contents."""
        lines = sorted(
            f"{split}\t{path}\t{identity}\t{camera}\t{digest.hex()}\n"
            for split, records in (
                ("train" if name == HELD_OUT else name, own) for name, own in self.splits.items()
            )
            for path, identity, camera, digest in zip(
                records.paths, records.identities, records.cameras, records.digests, strict=True
            )
        )
        return hashlib.sha256("".join(lines).encode()).hexdigest()

    @property
    def provenance(self) -> dict[str, Any]:
        """Returns what eval.json says of the data."""
        told: dict[str, Any] = {"fingerprint": self.fingerprint}
        if self.rule:
            told["split"] = self.rule
        if self.names.cameras:
            told["cameras"] = list(self.names.cameras.values())
        if self.differences:
            told["other_counts"] = list(map(str, self.differences))
        if self.skipped:
            told["skipped"] = self._problems
        if self.left_out:
            told["left_out_identities"] = self.left_out
        return told

    @property
    def training_provenance(self) -> dict[str, Any]:
        """Returns what trained_on.json says of the data."""
        if HELD_OUT not in self.splits:
            return self.provenance
        held = shown(np.unique(self.splits[HELD_OUT].identities), self.names.identities)
        return self.provenance | {"held_out_identities": held}

    def summary(self) -> str:
        """Lists the counts of each split, differences from the published ones and skipped files."""
        lines = [
            f"{self.title} {split}: {counts.identities} identities, {counts.images} images, "
            f"{'no' if counts.cameras is None else counts.cameras} cameras"
            for split, counts in ((split, self.counts(split)) for split in self.splits)
        ]
        if self.rule:
            lines.append(f"{self.title}: {self.rule}")
        if self.differences:
            lines.append("other than published: " + "; ".join(map(str, self.differences)))
        if self.skipped:
            lines.append(f"left out {len(self.skipped)} files:")
            lines += [f"  {problem}" for problem in self._problems]
        return "\n".join(lines)

    @property
    def trained_and_tested(self) -> list[int | str]:
        """Returns the identities of the training split that query or gallery show too."""
        apart = ("train", HELD_OUT)
        tested = [of.identities for split, of in self.splits.items() if split not in apart]
        if not self.one_numbering or not tested or "train" not in self.splits:
            return []
        both = np.intersect1d(self.splits["train"].identities, np.concatenate(tested))
        return shown(both, self.names.identities)

    @property
    def likely_cause(self) -> str:
        """Returns one sentence on why the counts may differ."""
        return likely_cause(self.published, self.found, published_counts())

    def refuse_damaged(self) -> None:
        """Raises UserError where files are damaged."""
        if self.skipped:
            raise UserError(
                f"{len(self.skipped)} images of {self.title} cannot be used: "
                f"{some(self._problems)}. Mend or remove them, or leave them out by "
                "config.data.on_bad_image = 'skip'"
            )

    def hold_out(self, share: float) -> None:
        """Moves that share of the training identities into a split of its own, HELD_OUT.

        The data set stays the same, and so does its fingerprint. Nothing happens where the share is
        0 or there is no training split. Raises UserError where too few identities are left.
        """
        if not share or "train" not in self.splits:
            return
        train, texts = self.splits["train"], self.names.identities
        held = held_out_identities(train.identities.tolist(), texts, self.spec.split_seed, share)
        is_held = np.isin(train.identities, held)
        self.splits["train"] = Chosen(train, np.flatnonzero(~is_held))
        self.splits[HELD_OUT] = Chosen(train, np.flatnonzero(is_held))

    def counts(self, split: str) -> Counts:
        """Counts what a split holds without damaged files."""
        records = self.splits[split]
        cameras = len(set(records.cameras))
        return self._known(Counts(len(set(records.identities)), len(records), cameras))

    def _known(self, counts: Counts) -> Counts:
        return counts if self.cameras_known else counts._replace(cameras=None)

    def _leave_out(self, builder: ReidBuilder, listed: Sequence[Item]) -> None:
        """Leaves out the training identities that have one image left, unless all have."""
        images = Counter(item.identity for item in listed)
        left = Counter(self.splits["train"].identities.tolist())
        alone = sorted(who for who, number in left.items() if number == 1 < images[who])
        if 0 < len(alone) < len(left):
            self.splits["train"] = Records(builder, "train", without=alone)
            self.left_out = shown(alone, self.names.identities)

    def _refuse_other_counts(self) -> None:
        if any(difference.certain for difference in self.differences):
            raise UserError(
                f"{self.title} in {self.spec.root} does not have the published counts:\n"
                f"{table(self.published, self.found)}\n"
                f"{self.likely_cause} To use these files all the same, set "
                "config.data.allow_other_counts = True; eval.json will say so"
            )
