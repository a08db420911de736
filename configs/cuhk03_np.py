"""The full-size network with the published recipe on CUHK03 by the new protocol.

python main.py --config=configs/cuhk03_np.py --config.data.root=FOLDER --workdir=runs/cuhk03

FOLDER is cuhk03-np, which holds detected/ and labeled/; boxes of the detector are taken, or those
drawn by hand with --config.data.variant=labeled. No score of this method for this data set is
known to us. Not run here.
"""

from ml_collections import ConfigDict

from configs import default


def get_config(preset: str = "") -> ConfigDict:
    """The defaults are the recipe; only the data differ."""
    config = default.get_config(preset)
    config.data.builder = "cuhk03_np"
    return config
