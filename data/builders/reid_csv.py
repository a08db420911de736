"""Any pictures, listed in a table with identity, camera and split."""

from pathlib import Path

from data.builder import SPLITS
from data.dataset_spec import WHERE_ROOT, DatasetSpec
from data.labels import shown
from data.listing import Picture
from data.own_pictures import TEST, Arranged, OwnBuilder
from dpeformer_jax.base.errors import UserError, some
from dpeformer_jax.base.tables import Row, read_table

NEEDED, OPTIONAL = ("path", "identity"), ("camera", "split")
SYNONYMS = {
    "train": ("train", "training"),
    "query": ("query", "queries", "probe"),
    "gallery": ("gallery",),
    TEST: (TEST,),
}
SPLIT_OF = {name: split for split, names in SYNONYMS.items() for name in names}


class ReidCsv(OwnBuilder):
    """A table of your own, one picture a row.

    `config.data.root` is the table, comma-separated, with a first line that names its columns:

        path,identity,camera,split
        images/a.jpg,anna,north,train
        images/b.jpg,17,south,query
        images/c.jpg,17,north,gallery

    Paths are relative to the table's folder. Identity and camera are whole numbers or texts;
    identity -1 is junk and is left out. The split is train (training), query (queries, probe),
    gallery or test, in any case. Rows of test are the gallery where there are queries; otherwise
    they are divided into query and gallery. Without the column split all is divided by identity;
    without the column camera no camera is known (data/splitting.py). Other columns are ignored. No
    picture may be in two rows.

    An identity of train may not be in query or gallery. A table without train rows is for testing
    only, one without query and gallery for training only.
    """

    @classmethod
    def title(cls, spec: DatasetSpec) -> str:
        return Path(spec.root).stem

    @classmethod
    def pictures(cls, spec: DatasetSpec) -> list[Picture]:
        table = spec.folder
        if table.is_dir():
            raise UserError(_folder_told(table))
        if not table.exists():
            raise UserError(f"{table} does not exist; {WHERE_ROOT}")
        rows = list(read_table(table, NEEDED, OPTIONAL))
        known = {column for column in OPTIONAL if any(row[column] for _, row in rows)}
        pictures: list[Picture] = []
        lines: dict[Path, int] = {}
        for line, row in rows:
            where = f"{table}, line {line}"
            picture = _picture(table.parent, where, row, known)
            # However the path is spelt. A link to a file is a picture of its own, as in a folder.
            file = picture.path.parent.resolve() / picture.path.name
            first = lines.setdefault(file, line)
            if first != line:
                raise UserError(f"{where}: {picture.name} is in line {first} too")
            pictures.append(picture)
        if any(picture.split == "query" for picture in pictures):
            return [p._replace(split="gallery") if p.split == TEST else p for p in pictures]
        return pictures

    @classmethod
    def arranged(cls, spec: DatasetSpec) -> Arranged:
        arranged = super().arranged(spec)
        _check_splits(spec.folder, arranged)
        return arranged


def _folder_told(folder: Path) -> str:
    tables = [path.name for path in sorted(folder.glob("*.csv"))]
    there = f"it holds {some(tables, 3)}" if tables else "`python -m data.table FOLDER` writes one"
    return (
        f"{folder} is a folder, and reid_csv reads a table: give config.data.root a *.csv file "
        f"({there}). config.data.builder=reid_folder reads a folder"
    )


def _picture(folder: Path, where: str, row: Row, known: set[str]) -> Picture:
    """Checks a row; known: the optional columns that the table fills."""
    for column in ("identity", *sorted(known)):
        if not row[column]:
            raise UserError(f"{where}: {column} is empty")
    split = SPLIT_OF.get(row["split"].lower()) if "split" in known else ""
    if split is None:
        raise UserError(f"{where}: split {row['split']!r} is not one of {', '.join(SPLIT_OF)}")
    path = folder / row["path"]
    if not row["path"] or not path.is_file():
        raise UserError(f"{where}: path {row['path']!r} is not a file in {folder}")
    return Picture(path, row["path"], row["identity"], row["camera"], split)


def _check_splits(table: Path, arranged: Arranged) -> None:
    splits, texts = arranged.splits, arranged.names.identities
    people = {split: {entry.identity for entry in splits.get(split, ())} for split in SPLITS}
    for split in ("query", "gallery"):
        if both := shown(sorted(people["train"] & people[split]), texts):
            more = f", and so are {len(both) - 1} others" if len(both) > 1 else ""
            raise UserError(
                f"{table}: identity {both[0]} is in train and in {split}{more}; an identity of "
                "train cannot be tested"
            )
    if ("query" in splits) != ("gallery" in splits):
        raise UserError(f"{table} has only one of query and gallery; a test needs both")
