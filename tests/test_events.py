"""TensorBoard's files, read back as TensorBoard reads them."""

import struct

import pytest
from tensorboardX.proto.event_pb2 import Event, SessionLog

from dpeformer_jax.training.events import Events, write_scores


def events_of(file):
    """The events of a file: each after its length and a checksum, before another checksum."""
    data, start = file.read_bytes(), 0
    while start < len(data):
        (length,) = struct.unpack_from("<Q", data, start)
        yield Event.FromString(data[start + 12 : start + 12 + length])
        start += length + 16


def shown(workdir):
    """{name: [(step, value)]} as TensorBoard shows it: a START voids its step and later ones."""
    found = {}
    for file in sorted(workdir.glob("events.*")):
        for event in events_of(file):
            if event.session_log.status == SessionLog.START:
                found = {n: [p for p in points if p[0] < event.step] for n, points in found.items()}
            for value in event.summary.value:
                point = event.step, pytest.approx(value.simple_value)
                found.setdefault(value.tag, []).append(point)
    return found


def train(workdir, after, to):
    events = Events(workdir, after)
    for step in range(after + 1, to + 1):
        events.add(step, {"loss": step + after / 100})
    events.close()


def report(step):
    scores = {"mAP": step / 10, "rank1": 0.5}
    told = {"fingerprint": "f00", "concat": scores, "queries_used": 3, "skipped": ["x"]}
    return {"step": step, "weights": "f00", "datasets": {"toy": told, "other/small": told}}


def test_scores_stand_under_data_set_and_feature_at_their_step(tmp_path):
    write_scores(tmp_path, report(3))
    names = ("toy/concat/mAP", "toy/concat/rank1")
    names += ("other/small/concat/mAP", "other/small/concat/rank1")
    values = (0.3, 0.5, 0.3, 0.5)
    expected = {f"scores/{n}": [(3, value)] for n, value in zip(names, values, strict=True)}
    assert shown(tmp_path) == expected


def test_a_resumed_training_keeps_its_scores_and_shows_no_step_twice(tmp_path):
    write_scores(tmp_path, report(0))
    train(tmp_path, 0, 5)
    train(tmp_path, 3, 8)
    write_scores(tmp_path, report(8))
    train(tmp_path, 8, 9)
    write_scores(tmp_path, report(9))
    found = shown(tmp_path)
    assert found["scores/toy/concat/mAP"] == [(0, 0.0), (8, 0.8), (9, 0.9)]
    losses = [1, 2, 3, 4.03, 5.03, 6.03, 7.03, 8.03, 9.08]
    assert found["loss"] == list(enumerate(losses, start=1))
