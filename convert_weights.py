"""Brings weights in from other programs, and writes ours for torch.

python convert_weights.py --source jx_vit_base_p16_224-80ecf9dd.pth --target weights/vit_b16
python convert_weights.py --source runs/mine --target mine.pth --to torch

In: whole networks of DPEFormer, TransReID, CLIP-ReID and PASS, DPEFormer's memory file, and
backbones of timm, CLIP, DINO, MAE, DINOv2, PASS and Google (docs/weights.md). Out: a folder for
--checkpoint, --config.init.checkpoint and Extractor.load, with conversion.json in it. No code in a
file is ever run.
"""

import argparse
import re
from pathlib import Path

from dpeformer_jax.base.command import log_to_stderr, one_paragraph
from dpeformer_jax.base.errors import UserError
from dpeformer_jax.conversion.exchange import bring_in, export
from dpeformer_jax.conversion.formats import AUTO, FORMATS
from dpeformer_jax.model.spec import PRESETS
from dpeformer_jax.model.variants import VARIANTS

# Options that a torch file does not record.
INWARDS = "preset", "variant", "image_size", "sie_coefficient"


def main() -> None:
    given = parse()
    log_to_stderr()
    with one_paragraph("convert_weights.py"):
        try:
            convert(given)
        except OSError as error:
            raise UserError(f"--source={given.source} --target={given.target}: {error}") from error


def convert(given: argparse.Namespace) -> None:
    shared = {"kind": given.format, "overwrite": given.overwrite, "verified": given.verify}
    if given.to == "flax":
        choices = {name: getattr(given, name) for name in INWARDS}
        bring_in(
            given.source, given.target, print, **shared, **choices, allowed=given.allow_missing
        )
        return
    for name in INWARDS:
        if (value := getattr(given, name)) is not None:
            told = "x".join(map(str, value)) if name == "image_size" else value
            option = f"--{name.replace('_', '-')}={told}"
            raise UserError(f"a torch file does not record this; leave {option} out")
    export(given.source, given.target, print, **shared)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--source", type=path, required=True, help="file; with --to torch our checkpoint folder")
    add("--target", type=path, required=True, help="folder; with --to torch a .pth file")
    add("--to", choices=("flax", "torch"), default="flax")
    names = "names in the source; with --to torch in the target"
    add("--format", choices=(AUTO, *FORMATS), default=AUTO, help=names)
    variant = "of the backbone, where several fit (docs/weights.md)"
    add("--variant", choices=VARIANTS, metavar="NAME", help=variant)
    size = "in pixels, 384x192 for instance, where its patches fit several; the stride follows"
    add("--image-size", type=image_size, metavar="HEIGHTxWIDTH", help=size)
    coefficient = "of the camera embedding; else the 3.0 of TransReID, the 1.0 of CLIP-ReID"
    add("--sie-coefficient", type=float, metavar="FACTOR", help=coefficient)
    preset = "how a DPEFormer checkpoint computes its features (docs/differences.md); else paper"
    add("--preset", choices=PRESETS, help=preset)
    allowed = "accepts missing and left-over names in which this regular expression is found"
    add("--allow-missing", metavar="PATTERN", help=allowed)
    add("--overwrite", action="store_true", help="replaces an earlier conversion")
    add("--verify", action="store_true", help="compares the tokens with timm's in torch")
    return parser.parse_args()


def path(text: str) -> Path:
    return Path(text).expanduser()


def image_size(text: str) -> tuple[int, int]:
    size = re.fullmatch(r"([1-9]\d*)x([1-9]\d*)", text)
    if size is None:
        raise argparse.ArgumentTypeError(f"{text!r} is no size in pixels such as 384x192")
    return int(size[1]), int(size[2])


if __name__ == "__main__":
    main()
