"""Steps, epochs, and when the state is saved."""

from dpeformer_jax.training import timetable
from dpeformer_jax.training.timetable import Timetable


def test_a_step_has_a_place_in_its_epoch():
    table = Timetable([3, 2, 4], every_epochs=1, every_minutes=0)
    places = [table.place(step) for step in range(table.total + 1)]
    expected = [(1, 0), (1, 1), (1, 2), (2, 0), (2, 1), (3, 0), (3, 1), (3, 2), (3, 3), (4, 0)]
    assert places == expected


def test_saved_is_at_the_ends_of_epochs_and_of_the_training():
    table = Timetable([3, 2, 4], every_epochs=2, every_minutes=0)
    assert [step for step in range(1, 10) if table.due(step)] == [5, 9]


def test_saved_is_also_by_the_clock(monkeypatch):
    now = 0.0
    monkeypatch.setattr(timetable.time, "monotonic", lambda: now)
    table = Timetable([100], every_epochs=1, every_minutes=1)
    due = []
    for step in range(1, 15):
        now = 10.0 * step
        if table.due(step):
            due.append(step)
            table.saved()
    assert due == [6, 12]


def test_looked_at_is_at_the_ends_of_epochs():
    table = Timetable([3, 2, 4], every_epochs=1, every_minutes=0, watch_every=2)
    assert [step for step in range(10) if table.watched(step)] == [5]
    never = Timetable([3, 2, 4], every_epochs=1, every_minutes=0)
    assert not any(map(never.watched, range(10)))
