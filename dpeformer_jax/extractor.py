"""A trained checkpoint as a function from pictures to features."""

import dataclasses
import itertools
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import jax
import numpy as np
from PIL import Image

from dpeformer_jax.base.boxes import crop_boxes
from dpeformer_jax.base.errors import UserError, some
from dpeformer_jax.base.pictures import Source
from dpeformer_jax.checkpoint.checksums import fingerprint_of
from dpeformer_jax.checkpoint.weights import load_weights
from dpeformer_jax.extracted import Extracted, join
from dpeformer_jax.features import (
    CONCAT,
    SELECTED,
    FeaturePass,
    Features,
    at_unit_length,
    best_of,
    on_host,
)
from dpeformer_jax.loading import Batch, load, split
from dpeformer_jax.model.attention import attention_for
from dpeformer_jax.model.families import build_network
from dpeformer_jax.model.spec import PRESETS, NetworkSpec
from dpeformer_jax.runtime.devices import data_mesh, replicated
from dpeformer_jax.runtime.forks import refuse_fork


class Extractor:
    """Computes features of any number of pictures, each on its own whatever else is in its batch.

    Example:
        extractor = Extractor.load("runs/quickstart")
        found = extractor(["a.jpg", "b.jpg"])
        found["holistic"]

    DPEFormer gives "holistic" and "parts" [B, P * D] float32; "concat" [B, 2 * P * D], both of them
    at length 1 side by side, itself at length 1; and "selected" [B, N] bool, the patches in raster
    order that DPSM kept. The other families give "before" and "after" [B, F], around their necks.
    An Extractor can be pickled. A forked child cannot use it.

    Attributes:
        spec: defines the network: variant, image_size (height, width), cameras and so on.
        preset: the one that was chosen instead of the checkpoint's own computation, or None.
        folder: of the checkpoint, or None.
    """

    def __init__(
        self,
        variables: dict[str, Any],
        spec: NetworkSpec,
        batch_size: int = 8,
        threads: int | None = None,
        preset: str | None = None,
        folder: Path | None = None,
    ):
        """Takes the weights ("params" and "batch_stats") of the network that the spec defines.

        For batch_size and threads see `load`; for preset and folder the attributes.
        """
        _check_count("batch_size", batch_size)
        if threads is not None:
            _check_count("threads", threads)
        self.spec, self.preset, self.folder = spec, preset, folder
        self._variables, self._batch_size, self._threads = variables, batch_size, threads
        self._pass: FeaturePass | None = None  # made at the first use

    @classmethod
    def load(
        cls,
        checkpoint: str | Path,
        *,
        preset: str | None = None,
        batch_size: int = 8,
        threads: int | None = None,
    ) -> "Extractor":
        """Reads a checkpoint.

        Args:
            checkpoint: workdir of a training (its newest checkpoint), one checkpoint of it, or
                what convert_weights.py wrote.
            preset: "paper" or "released" (see docs/differences.md); None as the checkpoint says.
            batch_size: images computed at once; rounded up to a multiple of the devices.
            threads: that decode pictures; None leaves their number to concurrent.futures.

        Raises:
            UserError: there is no such checkpoint, it is damaged, or it holds no whole network.
        """
        refuse_fork()
        if preset is not None and preset not in PRESETS:
            raise UserError(f"preset = {preset!r} is not one of {', '.join(map(repr, PRESETS))}")
        weights = load_weights(Path(checkpoint))
        weights.refuse_incomplete()
        if preset is not None and weights.spec.family != "dpeformer":
            raise UserError(
                f"preset = {preset!r} is for DPEFormer, and {weights.folder} holds a network of "
                f"the family {weights.spec.family!r}; leave it out"
            )
        spec = dataclasses.replace(weights.spec, **PRESETS.get(preset, {}))
        preset = None if spec == weights.spec else preset
        return cls(weights.variables, spec, batch_size, threads, preset, weights.folder)

    @cached_property
    def fingerprint(self) -> str:
        """What tells features of this network from others': SHA-256 of its weights.

        A preset that computes otherwise than the checkpoint says is part of it.
        """
        found = fingerprint_of(self._variables)
        return found if self.preset is None else f"{found}-{self.preset}"

    @property
    def variables(self) -> dict[str, Any]:
        """The weights, on the devices."""
        self._started()
        return self._variables

    @property
    def widths(self) -> dict[str, int]:
        """The features by name, with the numbers of each."""
        return {name: x.shape[1] for name, x in self._empty.items() if name != SELECTED}

    @property
    def selects(self) -> bool:
        """Whether the network chooses patches."""
        return SELECTED in self._empty

    @property
    def feature(self) -> str:
        """The feature that pictures are best compared by: "concat", or "after" the neck."""
        return best_of(name for name in self.widths if name != CONCAT)

    def __call__(
        self,
        pictures: Sequence[Source],
        camera_rows: Sequence[int] | None = None,
        *,
        names: Sequence[str] | None = None,
        unit_length: bool = False,
        on_error: str = "raise",
        progress: bool = False,
    ) -> Extracted:
        """Returns the features of pictures of any size.

        Args:
            pictures: image files (their paths, or their content as bytes), PIL images, and uint8
                arrays [h, w], [h, w, 1], [h, w, 3] or [h, w, 4]. They are decoded and resized as in
                training: see base/pictures.py.
            camera_rows: [B] row of the side information embedding, a place in `spec.cameras`.
                Needed where the network was trained with one, else ignored.
            names: of the features to return; None for all.
            unit_length: scales each feature to length 1.
            on_error: "raise", or "skip": a picture that cannot be read costs only itself.
            progress: shows a progress bar on a terminal.

        Raises:
            UserError: names the picture that cannot be read, or the argument that is wrong.
        """
        pictures, chosen = list(_several(pictures)), self._chosen(names)
        total, title = len(pictures), "extracting" if progress else ""
        rows = self.checked_rows(camera_rows, total)
        batches = self._load(pictures, on_error)
        return self._joined(self._compute(batches, rows, chosen, unit_length, total, title), chosen)

    def stream(
        self,
        pictures: Iterable[Source],
        camera_rows: Iterable[int] | None = None,
        *,
        names: Sequence[str] | None = None,
        unit_length: bool = False,
        on_error: str = "raise",
    ) -> Iterator[Extracted]:
        """Yields the features of any number of pictures in their order, a batch at a time.

        It takes a few batches of pictures before it yields the first, and holds no more than these.
        A picture must not change meanwhile, and one that cannot be read raises as soon as it is
        met, before the batches that wait. For the arguments see calling the extractor.
        """
        batches = self._load(_several(pictures), on_error)
        return self._compute(batches, camera_rows, self._chosen(names), unit_length)

    def crops(
        self,
        frame: np.ndarray,
        boxes: np.ndarray | Sequence[Sequence[float]],
        *,
        bgr: bool = False,
        camera_row: int | None = None,
    ) -> np.ndarray:
        """Returns the features of people in a frame, as trackers ask for them.

        Args:
            frame: [h, w, 3] uint8.
            boxes: [N, 4] left, top, right, bottom in pixels. What lies outside of the frame is cut
                off.
            bgr: whether the frame's channels are blue, green, red, as OpenCV's are.
            camera_row: of the side information embedding, see calling the extractor.

        Returns:
            [N, F] float32 at length 1, the feature that `feature` names. Products of its rows are
            cosines.

        Raises:
            UserError: names the box that lies outside of the frame, or the argument that is wrong.
        """
        pictures = crop_boxes(frame, boxes)
        if empty := [place for place, picture in enumerate(pictures) if not picture.size]:
            raise UserError(
                f"boxes[{empty[0]}] = {np.asarray(boxes[empty[0]]).tolist()} (left, top, right, "
                f"bottom) holds no pixel of a frame of {frame.shape[1]} x {frame.shape[0]}; leave "
                "it out"
            )
        if bgr:
            pictures = [picture[..., ::-1] for picture in pictures]
        rows = None if camera_row is None else [camera_row] * len(pictures)
        return self(pictures, rows, names=[self.feature], unit_length=True)[self.feature]

    def features(
        self,
        images: np.ndarray,
        camera_rows: Sequence[int] | None = None,
        *,
        names: Sequence[str] | None = None,
        unit_length: bool = False,
    ) -> Extracted:
        """Returns the features of normalised pictures.

        images: [B, H, W, 3] float RGB in -1..1, of the checkpoint's image size. For the other
        arguments see calling the extractor.

        Raises:
            UserError: images of another size or type; camera rows missing or out of range.
        """
        images = np.asarray(images)
        expected = (*self.spec.image_size, 3)
        if images.ndim != 4 or images.shape[1:] != expected:
            raise UserError(f"images have shape {images.shape}, expected (B, *{expected})")
        if not np.issubdtype(images.dtype, np.floating):
            raise UserError(
                f"images are {images.dtype}; features() takes floats in -1..1, and calling the "
                "extractor itself takes uint8"
            )
        if images.size and not np.abs(images).max() <= 1.001:  # refuses NaN too
            raise UserError("images must lie in -1..1: (pixel / 255 - 0.5) / 0.5")
        rows, chosen = self.checked_rows(camera_rows, len(images)), self._chosen(names)
        batches = split(images.astype(np.float32, copy=False), self._started().batch_size)
        return self._joined(self._compute(batches, rows, chosen, unit_length), chosen)

    def checked_rows(self, camera_rows: Sequence[int] | None, count: int) -> np.ndarray:
        """Returns rows of the side information embedding [count] int32, zeros without one.

        Raises:
            UserError: the network embeds the camera, and the rows are missing, too few or unknown.
        """
        known = self.spec.sie_rows
        if not known:
            return np.zeros(count, np.int32)
        if camera_rows is None:
            raise UserError(
                "the network embeds the camera: camera_rows must give, for each image, the place "
                f"0..{known - 1} of its camera among those of the training set (spec.cameras)"
            )
        rows = np.asarray(camera_rows)
        whole = np.issubdtype(rows.dtype, np.integer) or not rows.size
        if rows.shape != (count,) or not whole or not ((rows >= 0) & (rows < known)).all():
            raise UserError(
                f"camera_rows = {some(rows.ravel().tolist())} must be {count} whole numbers in "
                f"0..{known - 1}, places in spec.cameras"
            )
        return rows.astype(np.int32)

    def __reduce__(self) -> tuple:
        refuse_fork()
        variables = jax.device_get(self._variables)
        fields = self._batch_size, self._threads, self.preset, self.folder
        return type(self), (variables, self.spec, *fields)

    def _started(self) -> FeaturePass:
        """Puts the weights on the devices at the first use: to unpickle them needs no JAX."""
        refuse_fork()
        if self._pass is None:
            mesh = data_mesh(jax.local_devices())
            self._variables = jax.device_put(self._variables, replicated(mesh))
            attention = attention_for(self.spec, mesh.devices.flat[0])
            network = build_network(self.spec, attention=attention)
            self._pass = FeaturePass(network, mesh, self._batch_size, alone=True)
        return self._pass

    @cached_property
    def _empty(self) -> Features:
        """All features of no picture: their names and widths."""
        image = np.zeros((1, *self.spec.image_size, 3), np.uint8)
        found = self._started().empty(self._variables, image)
        return at_unit_length(found) | found

    def _load(self, pictures: Iterable[Source], on_error: str) -> Iterator[Batch]:
        if on_error not in ("raise", "skip"):
            raise UserError(f"on_error = {on_error!r} must be 'raise' or 'skip'")
        size, batch_size = self.spec.image_size, self._started().batch_size
        return load(pictures, size, batch_size, self._threads, on_error == "skip")

    def _compute(
        self,
        batches: Iterable[Batch],
        camera_rows: Iterable[int] | None,
        names: tuple[str, ...],
        unit_length: bool,
        total: int = 0,
        title: str = "",
    ) -> Iterator[Extracted]:
        """Yields the features of each batch; total: of pictures, and title: of the progress bar."""
        network = self._started()
        rows = None if camera_rows is None else iter(camera_rows)

        def inputs(batch: Batch) -> dict[str, np.ndarray]:
            own = None if rows is None else list(itertools.islice(rows, batch.count))
            padding = (0, len(batch.pixels) - batch.count)
            return {
                "image": batch.pixels,
                "camera_row": np.pad(self.checked_rows(own, batch.count), padding),
            }

        loaded = ((inputs(batch), (batch.count, batch.errors)) for batch in batches)
        rounds = -(-total // network.batch_size)
        found = network.over(self._variables, loaded, rounds, title)
        return (
            Extracted({name: values[:count] for name, values in features.items()}, errors)
            for features, (count, errors) in on_host(found, names, unit_length)
        )

    def _joined(self, chunks: Iterable[Extracted], names: tuple[str, ...]) -> Extracted:
        return join(list(chunks), {name: self._empty[name] for name in names})

    def _chosen(self, names: Sequence[str] | None) -> tuple[str, ...]:
        chosen = tuple(self._empty if names is None else names)
        if isinstance(names, str) or not chosen or set(chosen) - self._empty.keys():
            known = ", ".join(map(repr, self._empty))
            raise UserError(f"names = {names!r} must be a list of some of {known}")
        return chosen


def _check_count(name: str, value: int) -> None:
    if not isinstance(value, int) or value < 1:
        raise UserError(f"{name} = {value!r} must be a whole number of at least 1")


def _several(pictures: Iterable[Source]) -> Iterable[Source]:
    one = isinstance(pictures, str | bytes | Path | Image.Image)
    if one or getattr(pictures, "ndim", 4) in (2, 3) or not isinstance(pictures, Iterable):
        raise UserError(
            f"pictures is a {type(pictures).__name__}; expected a list of pictures, for one "
            "picture too: [picture]"
        )
    return pictures
