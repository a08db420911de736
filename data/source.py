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
                f"config.data.root is empty: {self.builder} needs the folder of your own copy; "
                "nothing is downloaded"
            )
        return Path(self.root).expanduser().absolute()


def parse_source(spec: str, field: str, root: str, pattern: str) -> Source:
    """The data set that `BUILDER[/VARIANT][=FOLDER]` names.

    Args:
        spec: for example "market1501", "msmt17/v2=../MSMT17_V2"; a folder that is not absolute
            is taken from `root`, and `root` itself is taken where there is none.
        field: of the config, for the error.
        root, pattern: `config.data.root` and `config.data.pattern`.

    Raises:
        DataError: the text names no builder.
    """
    label, _, folder = spec.partition("=")
    builder, _, variant = label.strip().partition("/")
    if not builder:
        raise DataError(f"{field}: {spec!r} must read BUILDER, BUILDER/VARIANT or ...=FOLDER")
    if folder:
        root = str(Path(root).expanduser() / Path(folder.strip()).expanduser())
    return Source(builder, variant, root, pattern)
