"""Batches on their way to the devices."""

import numpy as np

from dpeformer_jax.runtime.devices import data_mesh, prefetch


def test_prefetch_keeps_order_and_loses_nothing():
    batches = [{"x": np.full((2,), i)} for i in range(5)]
    fetched = [int(batch["x"][0]) for batch in prefetch(batches, data_mesh())]
    assert fetched == list(range(5))
    assert list(prefetch([], data_mesh())) == []


def test_prefetch_is_one_batch_ahead():
    taken = []

    def batches():
        for i in range(3):
            taken.append(i)
            yield {"x": np.zeros(2)}

    next(prefetch(batches(), data_mesh()))
    assert taken == [0, 1]
