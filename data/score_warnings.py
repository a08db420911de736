"""Says what is no mistake but bears on the scores."""

from collections import Counter
from collections.abc import Iterator

from data.labels import shown
from data.opened_dataset import OpenedDataset
from data.records import cameras_of
from dpeformer_jax.base.errors import some


def training_warnings(opened: OpenedDataset, images_per_identity: int) -> Iterator[str]:
    """Yields a sentence for each thing that is odd about a data set to train on.

    Args:
        images_per_identity: K of the P x K batches.
    """
    train = opened.splits["train"]
    if opened.cameras_known and all(len(cameras) == 1 for cameras in cameras_of(train).values()):
        cameras = shown(sorted(set(train.cameras)), opened.names.cameras)
        only = f"all {len(train)} training images are of one camera ({cameras[0]})"
        several = "no training identity is seen by two cameras"
        yield (
            f"{opened.title}: {several if cameras[1:] else only}; the network never sees a person "
            "from two cameras and may take what is the camera's for the person's, so scores across "
            "cameras may be low"
        )
    if opened.left_out:
        yield (
            f"{opened.title}: damage leaves one image of each of {len(opened.left_out)} training "
            f"identities, which are left out: {some(opened.left_out)}; mend the files or add images"
        )
    images = Counter(train.identities.tolist())
    if few := sorted(i for i, number in images.items() if number < images_per_identity):
        yield (
            f"{opened.title}: {len(few)} of {len(images)} training identities have fewer images "
            f"than config.train.images_per_identity = {images_per_identity}: "
            f"{some(shown(few, opened.names.identities))}. Their groups of a batch repeat images, "
            "which teaches less of how a person changes, so scores may be lower; add images of them"
        )


def scoring_warnings(opened: OpenedDataset) -> Iterator[str]:
    """Yields a sentence for each thing that is odd about a data set to test on."""
    if not opened.cameras_known:
        why = "no camera is known"
        if opened.only_camera:
            why = f"all divided pictures are of one camera ({opened.only_camera})"
        yield (
            f"{opened.title}: {why}, so a picture that the query's own camera took a moment later "
            "counts as a match; scores are higher than for a search across cameras"
        )
