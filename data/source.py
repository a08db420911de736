"""Which data set: its builder, its variant, and the user's own folder of it."""

import dataclasses
from pathlib import Path

from data.errors import DataError


@dataclasses.dataclass(frozen=True)
class Source:
    """One data set as the config names it.

    builder: a name of `data.catalog`; variant: "" is the builder's first; root: the folder, or
    the table of reid_csv; pattern: regular expression of file names, for reid_folder.
    """

    builder: str
    variant: str = ""
    root: str = ""
    pattern: str = ""

    @property
    def folder(self) -> Path:
        """The root as an absolute path.

        Raises:
            DataError: none was given.
        """
        if not self.root:
            raise DataError(
                f"config.data.root is empty: {self.builder} needs your own copy (the folder, or "
                "the table of reid_csv); nothing is downloaded"
            )
        return Path(self.root).expanduser().absolute()


def parse_source(spec: str, field: str, own: Source) -> Source:
    """The data set that `BUILDER[/VARIANT][=FOLDER]` names.

    Args:
        spec: for example "market1501", "msmt17/v2=../MSMT17_V2"; a folder that is not absolute
            is taken from the own root. Without a folder it is the own root, and without a variant
            too, of the same builder, the own variant.
        field: of the config, for the error.
        own: what `config.data` names.

    Raises:
        DataError: the text names no builder.
    """
    label, _, folder = spec.partition("=")
    builder, _, variant = label.strip().partition("/")
    if not builder:
        raise DataError(f"{field}: {spec!r} must read BUILDER, BUILDER/VARIANT or ...=FOLDER")
    if folder:
        root = Path(own.root).expanduser()
        root = root.parent if root.is_file() else root  # the table of reid_csv
        return Source(builder, variant, str(root / Path(folder.strip()).expanduser()), own.pattern)
    variant = variant or (own.variant if builder == own.builder else "")
    return Source(builder, variant, own.root, own.pattern)
