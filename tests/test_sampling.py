"""Every batch of a plan is P identities with K images each, and the plan is a pure function."""

import numpy as np
import pytest

from data.sampling import sampling_plan
from tests.parity.released import golden

# Not contiguous, not sorted; 9, 4, 6, 8 and 5 images.
LABELS = np.random.default_rng(1).permutation(np.repeat([7, 3, 40, 12, 25], [9, 4, 6, 8, 5]))
EPOCHS = range(1, 21)


def plan(labels=LABELS, identities=3, images=2, seed=0, epoch=1):
    return sampling_plan(np.asarray(labels), identities, images, seed, epoch)


def of_counts(*counts):
    """Labels of identities with that many images."""
    return np.repeat(np.arange(len(counts)), counts)


def test_same_arguments_same_plan_whatever_numpys_global_state():
    np.random.seed(1)
    first = plan()
    np.random.seed(2)
    before = np.random.get_state()[1].copy()
    np.testing.assert_array_equal(plan(), first)
    np.testing.assert_array_equal(np.random.get_state()[1], before)


@pytest.mark.parametrize("other", [{"seed": 1}, {"epoch": 2}, {"seed": 1, "epoch": 0}])
def test_another_seed_or_epoch_gives_another_plan(other):
    assert not np.array_equal(plan(**other), plan())


def test_the_callers_labels_stay_as_they_are():
    labels = LABELS.copy()
    plan(labels)
    np.testing.assert_array_equal(labels, LABELS)


@pytest.mark.parametrize("epoch", EPOCHS)
def test_a_batch_is_p_different_identities_of_k_images_each(epoch):
    shown = LABELS[plan(identities=3, images=2, epoch=epoch)].reshape(-1, 3, 2)
    assert len(shown)
    assert (shown == shown[:, :, :1]).all()
    assert all(len(set(batch)) == 3 for batch in shown[:, :, 0])


@pytest.mark.parametrize("images", [2, 3, 4])
def test_no_image_comes_twice_in_an_epoch(images):
    for epoch in EPOCHS:
        used = plan(images=images, epoch=epoch).ravel()
        assert len(set(used)) == len(used)


def test_left_over_images_come_in_another_epoch():
    used = [plan(identities=2, images=4, epoch=epoch).ravel() for epoch in EPOCHS]
    assert set(np.concatenate(used)) == set(range(len(LABELS)))


def test_an_identity_with_few_images_is_drawn_with_replacement_from_its_own():
    labels = np.array([9, 4, 9, 4, 4, 4])  # identity 9 has the images 0 and 2
    own = set()
    for epoch in EPOCHS:
        batch = plan(labels, identities=2, images=4, epoch=epoch).reshape(2, 4)
        few, many = batch if batch[0, 0] in (0, 2) else batch[::-1]
        assert set(few) <= {0, 2}
        assert set(many) == {1, 3, 4, 5}
        own.add((few == 0).sum())
    assert len(own) > 2  # independent draws, so not always two of each


@pytest.mark.parametrize(
    ("counts", "batches"),
    [
        ((2, 2, 2), 1),  # one identity stays alone
        ((6, 2), 1),  # two more groups, but of the same identity
        ((4, 4), 2),
        ((5, 3), 1),  # groups 2 and 1, single images wait
        ((1, 4), 1),  # replacement gives one group, not more
        ((6, 6, 1), 3),
    ],
)
def test_an_epoch_of_pairs_has_the_batches_counted_by_hand(counts, batches):
    labels = of_counts(*counts)
    assert {len(plan(labels, 2, 2, epoch=epoch)) for epoch in EPOCHS} == {batches}


@pytest.mark.parametrize("epoch", EPOCHS)
def test_an_epoch_ends_when_fewer_than_p_identities_have_a_group_left(epoch):
    numbers, counts = np.unique(LABELS, return_counts=True)
    shown = LABELS[plan(identities=3, images=2, epoch=epoch)[:, ::2]]
    used = [(shown == number).sum() for number in numbers]
    assert (counts // 2 - used > 0).sum() < 3


def test_only_which_images_belong_together_counts_and_not_the_numbers():
    contiguous = np.unique(LABELS, return_inverse=True)[1]
    np.testing.assert_array_equal(plan(contiguous), plan(LABELS))


def test_all_batches_have_the_shape_of_the_plan():
    assert plan(of_counts(4, 4), identities=2, images=2).shape == (2, 4)


@pytest.mark.parametrize("epoch", ["seed0/epoch1", "seed0/epoch2", "seed1/epoch1", "seed1/epoch2"])
def test_the_released_programs_order_obeys_the_plans_rule(epoch):
    """Another random generator gives other images, so only the rule can be the same."""
    values = golden("sampler.npz")
    labels, order = values["pids"], values[epoch].reshape(-1, 2, 4)
    shown = labels[order]
    assert (shown == shown[:, :, :1]).all() and (shown[:, 0, 0] != shown[:, 1, 0]).all()
    numbers, counts = np.unique(labels, return_counts=True)
    groups = np.maximum(counts // 4, 1)
    used = np.array([(shown[:, :, 0] == number).sum() for number in numbers])
    assert (used <= groups).all() and (used < groups).sum() < 2
    repeated = np.unique(labels[[i for i in order.ravel() if (order == i).sum() > 1]])
    assert set(repeated) <= set(numbers[counts < 4])


def test_epochs_are_as_long_as_the_released_programs():
    values = golden("sampler.npz")
    theirs = {values[name].size for name in values if "epoch" in name}
    lengths = {
        plan(values["pids"], 2, 4, seed, epoch).size for seed in range(5) for epoch in EPOCHS
    }
    assert theirs == {32, 40} == lengths
    assert max(lengths) == values["len"]
