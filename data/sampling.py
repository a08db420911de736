"""Plans the P x K batches of an epoch."""

import numpy as np


def sampling_plan(
    labels: np.ndarray, identities_per_batch: int, images_per_identity: int, seed: int, epoch: int
) -> np.ndarray:
    """Returns an epoch's batches of P identities with K images each: [S, P * K] places in labels.

    The images of each identity are shuffled and cut into groups of K; left-over images wait for
    another epoch. Batches draw P identities that still have a group, until fewer than P have one.
    An identity with fewer than K images gives one group drawn with replacement. The K images of an
    identity stand next to each other. The same arguments give the same batches.

    Args:
        labels: [M] identity of each image, at least P different ones.
    """
    rng = np.random.default_rng([seed, epoch])
    groups = _shuffled_groups(rng, labels, images_per_identity)
    batches = []
    while len(groups) >= identities_per_batch:
        chosen = rng.choice(len(groups), identities_per_batch, replace=False)
        batches.append(np.concatenate([groups[i].pop() for i in chosen]))
        groups = [g for g in groups if g]
    return np.array(batches).reshape(-1, identities_per_batch * images_per_identity)


def _shuffled_groups(rng: np.random.Generator, labels: np.ndarray, size: int) -> list[list]:
    by_identity = np.argsort(labels, kind="stable")
    starts = np.flatnonzero(np.diff(labels[by_identity])) + 1
    groups = []
    for members in np.split(by_identity, starts):
        if len(members) < size:
            members = rng.choice(members, size)
        members = rng.permutation(members)
        groups.append(list(members[: len(members) // size * size].reshape(-1, size)))
    return groups
