"""A gallery of which each process holds a share."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import plain_scores
import pytest
import toy_scoring

from dpeformer_jax.retrieval.shares import Share, gathered, summed

ROOT = Path(__file__).parents[1]


def share():
    """Of a gallery of nine images."""
    return Share({"f": np.arange(8.0).reshape(4, 2)}, np.array([1, 3, 4, 8]))


def test_places_are_found_where_they_are_held():
    rows, here = share().find(np.array([4, 0, 8, 9, 1]))
    assert here.tolist() == [True, False, True, False, True]
    assert rows[here].tolist() == [2, 3, 0]


@pytest.mark.parametrize("method", ["only", "without"])
def test_a_part_keeps_its_places(method):
    part = getattr(share(), method)(np.array([0, 3, 8]))
    expected = {"only": [3, 8], "without": [1, 4]}[method]
    assert part.places.tolist() == expected
    np.testing.assert_array_equal(
        part.features["f"], share().features["f"][share().find(part.places)[0]]
    )


def test_an_empty_share():
    empty = Share({"f": np.zeros((0, 2))}, np.zeros(0, int))
    assert not empty.find(np.array([0, 1]))[1].any()
    assert empty.joined() is empty


def test_one_process_has_everything():
    assert Share.of_all({"f": np.zeros((3, 2))}).places.tolist() == [0, 1, 2]
    numbers = np.array([1 / 3, 2**53 + 1])
    np.testing.assert_array_equal(gathered(numbers), [numbers])
    np.testing.assert_array_equal(summed(numbers), numbers)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("scene", "processes"), [("crowd", 2), ("crowd", 3), ("grid", 2), ("one_image", 2)]
)
def test_processes_score_together_as_one(tmp_path, scene, processes):
    with socket.socket() as free:
        free.bind(("localhost", 0))
        address = f"localhost:{free.getsockname()[1]}"
    environment = os.environ | {"PYTHONPATH": f"{ROOT}:{ROOT / 'tests'}"}
    files = [tmp_path / f"{process}.npz" for process in range(processes)]
    command = [sys.executable, "tests/toy_scoring.py"]
    started = [
        subprocess.Popen(
            [*command, str(file), scene, str(process), str(processes), address],
            cwd=ROOT,
            env=environment,
        )
        for process, file in enumerate(files)
    ]
    assert [process.wait(timeout=300) for process in started] == [0] * processes
    alone = toy_scoring.scored(scene, 0, 1)
    assert len(alone) == 1 + 3 * 3
    for file in files:
        together = np.load(file)
        for name, expected in alone.items():
            np.testing.assert_array_equal(together[name], expected, err_msg=name)


def test_a_processes_part_of_a_scene_is_not_the_whole():
    """Else the test above would compare a process with itself."""
    images = len(plain_scores.crowd()[3].identities)
    for processes in (2, 3):
        parts = [np.arange(images) % (2 * processes - 1) % processes == p for p in range(processes)]
        assert np.sum(parts, axis=0).tolist() == [1] * images
        assert all(0 < part.sum() < images for part in parts)
