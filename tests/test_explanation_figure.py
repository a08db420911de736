"""Overlays and figures show the network's own choice."""

import numpy as np
import pytest
from PIL import Image
from test_explanation import extractor_of, pictures
from test_families import every_family, spec_of
from toy import toy_spec

from dpeformer_jax.explanation.explain import explain
from dpeformer_jax.features import SELECTED
from dpeformer_jax.pictures.explanation_figure import draw_explanations, write_figure
from dpeformer_jax.pictures.kept_patches import SCALE, with_kept
from dpeformer_jax.pictures.patch_cells import cells


def marked(axes):
    """The corners of the cells that lie over a picture."""
    (overlay,) = axes.collections
    return sorted(tuple(path.vertices.min(axis=0).tolist()) for path in overlay.get_paths())


@pytest.mark.parametrize("stride", [16, 12])
def test_the_overlay_marks_the_patches_that_the_network_chose(stride):
    extractor = extractor_of(toy_spec((64, 52), stride=stride))
    shown = pictures(2)
    kept = extractor(shown, names=[SELECTED])[SELECTED]
    figure = draw_explanations(explain(extractor, shown), ["a", "b"])
    for part, own in zip(figure.subfigs, kept, strict=True):
        axes = part.get_axes()
        expected = sorted(map(tuple, cells(extractor.spec)[own].tolist()))
        assert marked(axes[1]) == marked(axes[2]) == expected
        assert f"kept: {own.sum()} of {own.size}" in axes[1].get_title()
        places = {text.get_text() for text in axes[1].texts}
        assert places == {str(n) for n in range(1, min(own.sum(), 9) + 1)}
        assert len(marked(axes[3])) == len(marked(axes[4])) == own.size


@every_family
def test_every_family_is_drawn_with_what_it_has(family, tmp_path):
    extractor = extractor_of(spec_of(family))
    found = explain(extractor, pictures(2))
    pairs = {"one": {"a": 0.1, "b": 0.2}, "two": {"a": 0.3, "b": 0.0}}
    figure = draw_explanations(found, ["first", "second"], pairs)
    *rows, bars = figure.subfigs
    assert [len(row.get_axes()) for row in rows] == [6 if family == "dpeformer" else 3] * 2
    widths = [bar.get_width() for bar in bars.get_axes()[0].patches]
    assert widths == [0.1, 0.2, 0.3, 0.0]
    labels = [text.get_text() for text in bars.get_axes()[0].get_legend().get_texts()]
    assert labels == ["one: distance 0.300", "two: distance 0.300"]
    for suffix in ("png", "webp", "svg", "pdf"):
        write_figure(tmp_path / f"x.{suffix}", figure)
        assert (tmp_path / f"x.{suffix}").stat().st_size > 5000


def test_a_kept_patch_is_tinted_and_any_other_is_as_it_was():
    spec = toy_spec()  # 64 x 32 in patches of 16
    pixels = np.random.default_rng(0).integers(0, 256, (64, 32, 3), np.uint8)
    kept = np.array([1, 0, 0, 1, 0, 0, 0, 0], bool)
    size = 32 * SCALE, 64 * SCALE
    plain = np.asarray(Image.fromarray(pixels).resize(size, Image.Resampling.NEAREST))
    changed = (np.asarray(with_kept(pixels, kept, spec)) != plain).any(axis=2)
    side = 16 * SCALE
    blocks = changed.reshape(4, side, 2, side).mean(axis=(1, 3)).ravel()
    assert (blocks[kept] > 0.9).all() and not blocks[~kept].any()
