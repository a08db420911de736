"""Draws people as JPEG files, for the benchmarks that read pictures."""

import numpy as np

from data.rendering import make_camera, make_person, take_photo

CAMERAS = 8


class DrawnRecords:
    """Drawn pictures in memory, in the form of `data.builder.Records` without its digests.

    Identities count from 1; the pictures of an identity come from its cameras in turn.
    """

    def __init__(self, identities: int, images_each: int):
        self.identities = np.repeat(np.arange(1, identities + 1), images_each)
        self.cameras = 1 + np.arange(len(self.identities)) % min(CAMERAS, images_each)
        self.paths = [
            f"{identity:04d}_c{camera}_{number}.jpg"
            for number, (identity, camera) in enumerate(
                zip(self.identities, self.cameras, strict=True)
            )
        ]
        self._files = [self._draw(index) for index in range(len(self))]

    def __len__(self) -> int:
        return len(self.identities)

    def encoded(self, index: int) -> bytes:
        """Returns an image file."""
        return self._files[index]

    def _draw(self, index: int) -> bytes:
        person = make_person(np.random.default_rng((0, int(self.identities[index]))))
        camera = make_camera(0, int(self.cameras[index]))
        return take_photo(person, camera, np.random.default_rng((1, index))).jpeg
