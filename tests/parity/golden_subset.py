"""Writes tests/golden, the part of the golden files that travels with the code.

`python -m tests.parity.golden_subset` needs the complete files. It keeps some arrays of every
subject, each of them whole.
"""

import io
import re

import numpy as np

from tests.parity.released import FOLDER, SUBSET

LIMIT = 3_500_000  # bytes
# Regular expressions for the names of the arrays to keep.
KEPT = {
    "state_dict.npz": r".*",
    "sampler.npz": r".*",
    "backbone.npz": r".*_(mean|norm|sub|ids|check)",
    "timm_vit224.npz": r"logits|image_check",
    "pretrained_load.npz": r".*_(mean|norm)",
    "pos_embed_resize.npz": r"output_16x8",
    "selection_synthetic.npz": r"(mixed|single_large)/.*",
    "dpeformer_eval.npz": r"b8/((?!x1|parts)\w+|x1_new)|(b3|single)/x1_new|\w+/[iKm]\w+|influence",
    "dpeformer_paper_eval.npz": r"(?!x1_global|parts)\w+",
    "dpeformer_train.npz": r"(?!.*parts_before|.*parts_after|x._new|.*after_step5/running).*",
    "evaluation.npz": r"(?!norm/distmat|raw/distmat).*",
    "occlusion.npz": r"case[012]/.*",
    "transreid.npz": r"(jpm\w*|base_sie)/(after|before)|.*/(names|shapes|\w+_loss|grad_\w+)",
    "clipreid.npz": r".*/(after|names|shapes)",
}


def main() -> None:
    """Writes the files; fails before that if they would exceed LIMIT."""
    parts = {name: _part(name, pattern) for name, pattern in KEPT.items()}
    total = sum(map(len, parts.values()))
    for name, part in parts.items():
        print(f"{name}: {len(part):,} bytes")
    if total > LIMIT:
        raise SystemExit(f"{total:,} bytes are more than {LIMIT:,}; keep fewer arrays in KEPT")
    for name, part in parts.items():
        (SUBSET / name).write_bytes(part)
    print(f"{total:,} bytes in {SUBSET}")


def _part(name: str, pattern: str) -> bytes:
    with np.load(FOLDER / name, allow_pickle=False) as file:
        kept = {key: file[key] for key in file.files if re.fullmatch(pattern, key)}
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **kept)
    return buffer.getvalue()


if __name__ == "__main__":
    main()
