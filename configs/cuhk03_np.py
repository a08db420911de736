"""Trains the full-size network by the published recipe on CUHK03, by the new protocol.

python main.py --config=configs/cuhk03_np.py --config.data.root=FOLDER --workdir=runs/cuhk03

FOLDER is cuhk03-np, which holds detected/ and labeled/. The default takes the boxes of the
detector; --config.data.variant=labeled takes those drawn by hand. No score of this method for this
data set is known to us. Not run here.
"""

from ml_collections import ConfigDict

from configs import default


def get_config(preset: str = "") -> ConfigDict:
    """Returns the published recipe, which the defaults are, on CUHK03-NP."""
    config = default.get_config(preset)
    config.data.builder = "cuhk03_np"
    return config
