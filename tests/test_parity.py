"""Asserts every golden number at the tolerance that the golden README recommends (section 4).

May change only with the method.
"""

import re
from functools import cache

import numpy as np
import pytest

from tests.parity import SECTIONS
from tests.parity.comparison import Quantity
from tests.parity.golden_subset import KEPT, LIMIT
from tests.parity.released import FOLDER, ROOT, SUBSET

COMPLETE = all((FOLDER / name).exists() for name in KEPT)
FAST = ("Position embedding", "Selection", "Recipe", "Occlusion", "Ranking", "Re-ranking")
# Rows that must be there even where only the part of the files in tests/golden is.
ALWAYS = {
    "Weights and images": {"weights, sums", "images, samples", "images for timm, sums"},
    "Position embedding": {"resized to 16x8"},
    "Backbone": {"tokens, means", "tokens, SIE, lengths", "outputs of the 12 blocks"},
    "timm's backbone and its checkpoint": {
        "logits of timm's network",
        "tokens, timm's checkpoint, lengths",
    },
    "Selection": {"mixed: order of the kept", "mixed: gradient", "single_large: four parts"},
    "Evaluation, released program": {
        "8 images: x1_new",
        "3 images: x1_new",
        "each image alone: x1_new",
        "8 images: sorted similarities",
        "which image's noise reaches which",
    },
    "Evaluation, paper": {"paper: x1_bn", "paper: x1_new (all but image 6)"},
    "Recipe": {"learning rates of 120 epochs", "golden logits: losses", "golden x1_bn: memory"},
    "Training, first forward pass": {"view 1: x1_bn", "14 classifiers' logits"},
    "Training, five steps": {
        "step 1: total",
        "step 4 and 5: total",
        "gradients: samples, as shares of the tolerance",
        "update by 5 steps: l2",
        "after step 5: memory",
    },
    "Occlusion": {"case 0: pasted", "case 1: pasted", "case 2: pasted"},
    "TransReID": {"jpm: before", "jpm_sie_stride12: after", "jpm: gradients, lengths"},
    "CLIP-ReID": {"plain: after", "sie_stride12: after"},
    "Ranking": {"norm: mAP", "raw: mAP", "ties of 0.25, worst order: mAP"},
    "Re-ranking": {"norm, re-ranked 20/6: distances", "raw, re-ranked 50/15: mAP"},
}
# Inputs, descriptions of the golden run itself, and what docs/parity.md lists as not compared.
NOT_COMPARED = (
    r"state_dict/(names|shapes|used_recon)|backbone/sie_camera_ids|dpeformer_eval/\w+/indices|"
    r"selection_synthetic/\w+/(x_global|x_local|cotangent)|dpeformer_train/(\w*labels|sgd/group_names)|"
    r"evaluation/([qg]f|[qg]_\w+|ties_.*/distmat|.*_default_argsort|.*/rerank_\w+/cmc)|sampler/.*|"
    r"occlusion/case\d/(mask_image|person_image|seed)|"
    r"dpeformer_train/(.*/num_batches_tracked|.*/rel_l2_error_f32_vs_f64)|"
    r"(transreid|clipreid)/\w+/(\w*names|shapes)"
)
complete_only = pytest.mark.skipif(not COMPLETE, reason="the complete golden files are not here")


@cache
def measured(section: str) -> list[Quantity]:
    return SECTIONS[section]()


def documented(section: str) -> list[str]:
    """Returns the names of a section's rows in docs/parity.md."""
    page = (ROOT / "docs/parity.md").read_text()
    (table,) = (part for part in page.split("\n## ") if part.startswith(f"{section}\n"))
    return re.findall(r"^\| (.+?) \| [\d.e+-]+ \|", table, re.MULTILINE)


every_section = pytest.mark.parametrize(
    "section", [x if x in FAST else pytest.param(x, marks=pytest.mark.slow) for x in SECTIONS]
)


@every_section
def test_every_quantity_is_within_its_tolerance(section):
    rows = measured(section)
    assert ALWAYS[section] <= {row.name for row in rows}
    assert not [row for row in rows if not row.within]


@complete_only
@every_section
def test_the_page_lists_every_quantity(section):
    assert [row.name for row in measured(section)] == documented(section)


@complete_only
@pytest.mark.slow
def test_every_golden_array_is_compared():
    compared = {key for section in SECTIONS for row in measured(section) for key in row.keys}
    left = []
    for name in KEPT:
        with np.load(FOLDER / name, allow_pickle=False) as file:
            keys = {f"{name.removesuffix('.npz')}/{key}" for key in file.files}
        left += [key for key in keys - compared if not re.fullmatch(NOT_COMPARED, key)]
    assert not left


def test_a_small_part_of_every_file_travels_with_the_code():
    assert {path.name for path in SUBSET.glob("*")} == set(KEPT)
    assert sum(path.stat().st_size for path in SUBSET.glob("*")) <= LIMIT


@complete_only
@pytest.mark.parametrize("name", KEPT)
def test_the_part_is_what_the_complete_file_holds(name):
    with np.load(FOLDER / name) as complete, np.load(SUBSET / name) as part:
        assert set(part.files) == {key for key in complete if re.fullmatch(KEPT[name], key)}
        for key in part.files:
            np.testing.assert_array_equal(part[key], complete[key])
