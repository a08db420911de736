"""The full-size network with the published recipe on MSMT17.

python main.py --config=configs/msmt17.py --config.data.root=FOLDER --workdir=runs/msmt17

FOLDER is MSMT17_V1; for version 2, whose faces are blurred and whose scores are others, add
--config.data.variant=v2. Training takes list_train and list_val; "v1_without_val" leaves the
latter out. No score of this method for this data set is known to us. Not run here.
"""

from ml_collections import ConfigDict

from configs import default


def get_config(preset: str = "") -> ConfigDict:
    """The defaults are the recipe; only the data differ."""
    config = default.get_config(preset)
    config.data.builder = "msmt17"
    return config
