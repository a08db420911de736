"""Reads from the command line what a benchmark measures: a network, an image size, a batch."""

import argparse
import dataclasses
import itertools
from collections.abc import Callable

from ml_collections import ConfigDict

from configs import default
from dpeformer_jax.model.attention import ATTENTIONS
from dpeformer_jax.model.variants import VARIANTS, Variant, patch_grid


@dataclasses.dataclass(frozen=True)
class Setting:
    """One point of a benchmark.

    variant, dtype, attention: of the network; image_size: (height, width) in pixels.
    """

    variant: str
    image_size: tuple[int, int]
    batch_size: int
    dtype: str
    attention: str

    @property
    def backbone(self) -> Variant:
        """The size of the ViT."""
        return VARIANTS[self.variant]

    @property
    def patches(self) -> int:
        """The number of patches on an image, without overlap, as in timm."""
        rows, columns = patch_grid(self.image_size, self.backbone.patch, self.backbone.patch)
        return rows * columns

    @property
    def fields(self) -> dict[str, dict[str, object]]:
        """The config fields that the setting decides, by section."""
        return {
            "data": {"image_size": self.image_size},
            "model": {
                "variant": self.variant,
                "stride": self.backbone.patch,
                "min_patches": min(24, self.patches // 2),  # the default, where an image has enough
                "dtype": self.dtype,
                "attention": self.attention,
            },
            "train": {"batch_size": self.batch_size},
            "eval": {"batch_size": self.batch_size},
        }

    @property
    def config(self) -> ConfigDict:
        """The published recipe at this size."""
        config = default.get_config()
        for section, fields in self.fields.items():
            config[section].update(fields)
        return config


def measure_all(description: str, measure: Callable[[Setting, int], None]) -> None:
    """Calls measure(setting, repeats) for each setting that the command line asks for.

    description: the module's docstring, for --help.
    """
    options = _parser(description).parse_args()
    for dtype, batch_size in itertools.product(options.dtype, options.batch_size):
        size = tuple(options.image_size)
        measure(
            Setting(options.variant, size, batch_size, dtype, options.attention), options.repeats
        )


def _parser(description: str) -> argparse.ArgumentParser:
    """Builds the options of all benchmarks; --batch-size and --dtype take several values."""
    result = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    result.add_argument("--variant", choices=VARIANTS, default="b16")
    result.add_argument(
        "--image-size", type=int, nargs=2, default=(256, 128), metavar=("HEIGHT", "WIDTH")
    )
    result.add_argument("--batch-size", type=int, nargs="+", default=[64])
    result.add_argument("--dtype", nargs="+", choices=("float32", "bfloat16"), default=["float32"])
    result.add_argument("--attention", choices=ATTENTIONS, default="xla")
    result.add_argument(
        "--repeats", type=int, default=7, help="measurements of which the median counts"
    )
    return result
