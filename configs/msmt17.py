"""Trains the full-size network by the published recipe on MSMT17.

python main.py --config=configs/msmt17.py --config.data.root=FOLDER --workdir=runs/msmt17

FOLDER is MSMT17_V1. For version 2 add --config.data.variant=v2; its faces are blurred, so its
scores are not comparable. Training takes list_train and list_val; the variant "v1_without_val"
leaves list_val out. No score of this method for this data set is known to us. Not run here.
"""

from ml_collections import ConfigDict

from configs import default


def get_config(preset: str = "") -> ConfigDict:
    """Returns the published recipe, which the defaults are, on MSMT17."""
    config = default.get_config(preset)
    config.data.builder = "msmt17"
    return config
