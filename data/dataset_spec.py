"""The fields of `config.data`, and the data sets that they name."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path

from dpeformer_jax.base.errors import UserError

DEFAULT_PATTERN = r"([-\d]+)_c(\d+)"  # names of Market-1501 and of many others
PATTERN = ";pattern="  # what opens a data set's own pattern
OF_PATTERN = "reid_folder"  # the builder that reads names by a pattern
WHERE_PATTERN = f"config.data.pattern, or {PATTERN}REGEX after its folder"  # for messages
WHERE_ROOT = (  # for messages
    "give its place by --config.data.root, or as FOLDER in BUILDER=FOLDER (it may come from a "
    "workdir's config.json)"
)


@dataclasses.dataclass(frozen=True)
class DataSettings:
    """Which data sets to read, and how: `config.data`, whose fields configs/default.py explains."""

    builder: str = "rendered_reid"
    variant: str = ""
    root: str = ""
    joined: Sequence[str] = ()
    pattern: str = DEFAULT_PATTERN
    split_seed: int = 0
    test_share: float = 0.5
    held_out: float = 0.0
    allow_other_counts: bool = False
    data_dir: str = ""
    on_bad_image: str = "error"
    image_size: tuple[int, int] = (256, 128)
    cache: str = "auto"
    loader_threads: int = 4
    loader_processes: int = 0


@dataclasses.dataclass(frozen=True)
class DatasetSpec:
    """One data set as the config names it.

    builder: a name of `data.catalog`; variant: "" is the builder's first; root: the folder, or
    the table of reid_csv; pattern: regular expression of file names, for reid_folder; split_seed,
    test_share: how people are divided where the data set itself does not say.
    """

    builder: str
    variant: str = ""
    root: str = ""
    pattern: str = ""
    split_seed: int = 0
    test_share: float = 0.5

    @classmethod
    def of(cls, settings: DataSettings) -> "DatasetSpec":
        """Returns the data set that `config.data.builder` names."""
        return cls(**{f.name: getattr(settings, f.name) for f in dataclasses.fields(cls)})

    @property
    def folder(self) -> Path:
        """Returns the root as an absolute path; raises UserError where the root is empty."""
        if not self.root:
            raise UserError(
                f"config.data.root is empty: {self.builder} needs your own copy (the folder, or "
                "the table of reid_csv); nothing is downloaded"
            )
        return Path(self.root).expanduser().absolute()


def parse_spec(text: str, field: str, own: DatasetSpec) -> DatasetSpec:
    """Parses "BUILDER[/VARIANT][=FOLDER][;pattern=REGEX]".

    Args:
        text: for example "market1501" or "msmt17/v2=../MSMT17_V2". FOLDER is relative to the root
            of `own`. Without FOLDER the root is that of `own`; then, if the builder is the same
            too and no variant is given, so is the variant. REGEX is all that follows `;pattern=`;
            without it the pattern is that of `own`.
        field: the config field that the text stands in, for the error.
        own: the data set that `config.data.builder` names.

    Raises:
        UserError: the text names no builder, or gives a pattern to one that has none.
    """
    named, chosen, pattern = text.partition(PATTERN)
    label, _, folder = named.partition("=")
    builder, _, variant = label.strip().partition("/")
    if not builder:
        raise UserError(
            f"{field}: {text!r} must read BUILDER, BUILDER/VARIANT or ...=FOLDER; {OF_PATTERN} may "
            f"end in {PATTERN}REGEX"
        )
    if chosen and builder != OF_PATTERN:
        raise UserError(f"{field}: {text!r}: only {OF_PATTERN} reads names by a pattern")
    if chosen:
        own = dataclasses.replace(own, pattern=pattern)
    if folder:
        root = Path(own.root).expanduser()
        root = root.parent if root.is_file() else root  # the table of reid_csv
        root /= Path(folder.strip()).expanduser()
        return dataclasses.replace(own, builder=builder, variant=variant, root=str(root))
    variant = variant or (own.variant if builder == own.builder else "")
    return dataclasses.replace(own, builder=builder, variant=variant)
