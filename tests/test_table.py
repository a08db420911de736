"""python -m data.table writes the table that gives what the folder gives."""

import subprocess
import sys
from pathlib import Path

import layouts
import pytest

from data import table as command
from data.dataset_spec import DEFAULT_PATTERN, DatasetSpec
from data.opened_dataset import OpenedDataset

ROOT = Path(__file__).parents[1]
NAMES = [f"{c}_{n}.bmp" for c in ("cam1", "cam2") for n in (0, 1)]


def in_folders(folder):
    persons = ("anna", "ben", "0003", "O'Hara, Jo", "17")
    for person in persons:
        for name in NAMES:
            layouts.write_picture(folder / "of people" / person / name, person + name)
    return folder / "of people"


def without_cameras(folder):
    return layouts.lay_out(
        folder / "mine", " ".join(f"{p}/{n}.bmp" for p in range(5) for n in "abc")
    )


def by_name(folder):
    names = (f"{p}_c{c}_{n}.bmp" for p in range(-1, 5) for c in (1, 2) for n in (0, 1))
    return layouts.lay_out(folder / "mine", " ".join(names))


def written(*arguments):
    command.run(command.parse([str(argument) for argument in arguments]))


def opened(builder, root, data_dir, **fields):
    spec = DatasetSpec(builder, "", str(root), DEFAULT_PATTERN, **fields)
    return OpenedDataset(spec, str(data_dir), allow_other_counts=False)


def mistake(capsys, monkeypatch, *arguments):
    monkeypatch.setattr(sys, "argv", ["data.table", *map(str, arguments)])
    with pytest.raises(SystemExit) as stopped:
        command.main()
    told = capsys.readouterr()
    assert stopped.value.code == 2 and not told.out
    return told.err


@pytest.mark.parametrize("layout", [in_folders, without_cameras, by_name, layouts.reid_folder])
def test_a_table_gives_the_splits_identities_and_cameras_of_its_folder(tmp_path, layout):
    folder = layout(tmp_path)
    written(folder, "--split_seed=3", "--test_share=0.6")
    own = opened("reid_folder", folder, tmp_path / "data", split_seed=3, test_share=0.6)
    listed = opened("reid_csv", folder / f"{own.title}.csv", tmp_path / "data")
    assert listed.fingerprint == own.fingerprint and listed.title == own.title
    assert listed.names == own.names and listed.cameras_known == own.cameras_known


def test_a_table_may_lie_elsewhere(tmp_path):
    """Behind a link to a folder, too, and of a folder behind one."""
    (tmp_path / "elsewhere" / "deep").mkdir(parents=True)
    (tmp_path / "tables").symlink_to("elsewhere/deep")
    in_folders(tmp_path / "elsewhere")
    (tmp_path / "link").symlink_to("elsewhere/of people")
    folder, table = tmp_path / "link", tmp_path / "tables" / "a.csv"
    written(folder, f"--table={table}")
    own = opened("reid_folder", folder, tmp_path / "data")
    listed = opened("reid_csv", table, tmp_path / "data")
    for split, records in own.splits.items():
        others = listed.splits[split]
        assert others.digests == records.digests
        assert others.identities.tolist() == records.identities.tolist()
        assert others.cameras.tolist() == records.cameras.tolist()


def test_the_command_tells_what_it_wrote_and_what_comes_next(tmp_path, capsys):
    folder = in_folders(tmp_path)
    written(folder)
    *splits, rule, wrote, following = capsys.readouterr().out.splitlines()
    assert splits[0] == "train: 3 identities, 12 images" and "with cameras" in rule
    assert wrote == f"wrote {folder / 'of_people.csv'}; train on it:"
    assert following.startswith("python main.py --config=configs/folder.py")
    assert (
        f"--config.data.builder=reid_csv --config.data.root='{folder}/of_people.csv'" in following
    )


def test_a_table_is_only_overwritten_when_asked(tmp_path, capsys, monkeypatch):
    folder = by_name(tmp_path)
    table = folder / "mine.csv"
    table.write_text("mine")
    assert "exists already" in mistake(capsys, monkeypatch, folder)
    assert table.read_text() == "mine"
    written(folder, "--overwrite")
    assert table.read_text().startswith("path,identity,camera,split\n")


def test_a_name_that_a_table_does_not_keep_is_told(tmp_path, capsys, monkeypatch):
    folder = without_cameras(tmp_path)
    (folder / "4").rename(folder / " anna")
    told = mistake(capsys, monkeypatch, folder)
    assert "the blank at an end of ' anna" in told
    assert not (folder / "mine.csv").exists()


def test_without_what_it_needs_the_command_ends_with_one_line():
    code = "import sys, runpy; sys.modules['tensorflow_datasets'] = None; "
    code += "runpy.run_module('data.table', run_name='__main__')"
    line = [sys.executable, "-c", code, "FOLDER"]
    result = subprocess.run(line, cwd=ROOT, capture_output=True, text=True)
    assert result.returncode == 2 and result.stderr.count("\n") == 1
    assert "tensorflow_datasets" in result.stderr and "pip install" in result.stderr


def test_mistakes_are_told(tmp_path, capsys, monkeypatch):
    folder = by_name(tmp_path)
    gone = tmp_path / "gone" / "a.csv"
    assert f"{gone} cannot be written" in mistake(capsys, monkeypatch, folder, f"--table={gone}")
    told = mistake(capsys, monkeypatch, tmp_path / "none")
    assert "none does not exist; give the folder of your pictures" in told
    assert "between 0 and 1" in mistake(capsys, monkeypatch, folder, "--test_share=1")
    assert "'x'" in mistake(capsys, monkeypatch, folder, "--pattern=x")
    assert "mixture" in mistake(capsys, monkeypatch, layouts.lay_out(folder, "more/1.bmp"))
