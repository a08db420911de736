"""Extractors in other processes: sent to spawned workers, refused in forked ones."""

import multiprocessing
from concurrent.futures import ProcessPoolExecutor

import numpy as np
import pytest
from toy import SIZE, toy_weights

from dpeformer_jax import Extractor
from dpeformer_jax.checkpoint.weights import save_weights

SECONDS = 120  # after which a process is taken to hang


@pytest.fixture(scope="module")
def extractor():
    weights = toy_weights()
    return Extractor(weights.variables, weights.spec, batch_size=2)


def answer(results, use):
    """Sends what a function returns, or the error that it raises."""
    try:
        results.put(use())
    except ValueError as error:
        results.put(str(error))


def forked(use):
    context = multiprocessing.get_context("fork")
    results = context.SimpleQueue()
    process = context.Process(target=answer, args=(results, use))
    process.start()
    process.join(SECONDS)
    process.kill()  # where it hangs
    assert process.exitcode == 0
    return results.get()


@pytest.mark.filterwarnings("ignore:.*fork.*")
def test_a_forked_child_is_refused_with_what_to_do(extractor, tmp_path):
    picture = np.zeros((8, 8), np.uint8)
    save_weights(tmp_path, toy_weights())
    Extractor.load(tmp_path)  # uses JAX, whose threads a fork leaves behind
    uses = (
        lambda: extractor([picture]),
        lambda: extractor.features(np.zeros((1, *SIZE, 3), np.float32)),
        lambda: next(extractor.stream([picture])),
        lambda: Extractor.load(tmp_path),
    )
    for use in uses:
        assert "is a fork of process" in (told := forked(use)) and "'spawn'" in told


@pytest.mark.slow
def test_a_spawned_worker_takes_it_by_pickle(extractor):
    pictures = list(np.random.default_rng(0).integers(0, 256, (3, 40, 20, 3), np.uint8))
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=context) as pool:
        found = pool.submit(extractor, pictures).result(SECONDS)
    for name, values in extractor(pictures).items():
        np.testing.assert_array_equal(found[name], values)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*fork.*")
def test_a_forked_pool_gets_the_error_and_does_not_hang(extractor):
    picture = np.zeros((8, 8), np.uint8)
    extractor([picture])
    with multiprocessing.get_context("fork").Pool(1) as pool:
        with pytest.raises(ValueError, match="is a fork of process"):
            pool.apply_async(extractor, ([picture],)).get(SECONDS)
