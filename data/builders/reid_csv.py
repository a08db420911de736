"""Any pictures, listed in a table with identity, camera and split."""

from collections import defaultdict
from pathlib import Path

from data.builder import SPLITS, FolderBuilder
from data.dataset_spec import DatasetSpec
from data.listing import Entry, Listing
from data.tables import Row, read_table
from dpeformer_jax.base.errors import UserError
from dpeformer_jax.base.protocol import JUNK

COLUMNS = ("path", "identity", "camera", "split")


class ReidCsv(FolderBuilder):
    """A table of your own, one picture a row.

    `config.data.root` is the table, comma-separated, with a first line that names its columns:

        path,identity,camera,split
        images/a.jpg,17,0,train
        images/b.jpg,20,1,query
        images/c.jpg,20,2,gallery

    Paths are relative to the table's folder; identity and camera are whole numbers; split is train,
    query or gallery; identity -1 is junk and is left out. Other columns are ignored. An identity of
    train may not be in query or gallery. A table without train rows is for testing only, one
    without query and gallery for training only.
    """

    @classmethod
    def title(cls, spec: DatasetSpec) -> str:
        return Path(spec.root).stem

    @classmethod
    def scan(cls, spec: DatasetSpec) -> Listing:
        table = spec.folder
        splits: Listing = defaultdict(list)
        first_row: dict[Path, int] = {}
        for line, row in read_table(table, COLUMNS):
            where = f"{table}, line {line}"
            split, entry = _entry(table.parent, where, row)
            if entry.path in first_row:
                raise UserError(f"{where}: {entry.name} is in line {first_row[entry.path]} too")
            first_row[entry.path] = line
            if entry.identity != JUNK:
                splits[split].append(entry)
        if not splits:
            raise UserError(f"{table} has no rows except junk (identity -1)")
        _check_splits(table, splits)
        return {split: splits[split] for split in SPLITS if split in splits}


def _entry(folder: Path, where: str, row: Row) -> tuple[str, Entry]:
    split, name = row["split"], row["path"]
    if split not in SPLITS:
        raise UserError(f"{where}: split {split!r} is not one of {', '.join(SPLITS)}")
    path = folder / name
    if not name or not path.is_file():
        raise UserError(f"{where}: path {name!r} is not a file in {folder}")
    numbers = []
    for column in ("identity", "camera"):
        try:
            numbers.append(int(row[column]))
        except ValueError:
            told = f"{where}: {column} {row[column]!r} is not a whole number"
            raise UserError(told) from None
    return split, Entry(path, name, *numbers)


def _check_splits(table: Path, splits: Listing) -> None:
    identities = {split: {entry.identity for entry in splits.get(split, ())} for split in SPLITS}
    for split in ("query", "gallery"):
        if both := sorted(identities["train"] & identities[split]):
            more = f", and so are {len(both) - 1} others" if len(both) > 1 else ""
            raise UserError(
                f"{table}: identity {both[0]} is in train and in {split}{more}; an identity of "
                "train cannot be tested"
            )
    if ("query" in splits) != ("gallery" in splits):
        raise UserError(f"{table} has only one of query and gallery; a test needs both")
