"""The full-size network with the published recipe on P-DukeMTMC-reID, from the user's own copy.

python main.py --config=configs/p_dukemtmc_reid.py --config.data.root=FOLDER --workdir=runs/pduke

FOLDER is P-DukeMTMC-reid. The images were withdrawn by their authors: nothing is downloaded. No
score of this method for this data set is known to us. Not run here.
"""

from ml_collections import ConfigDict

from configs import default


def get_config(preset: str = "") -> ConfigDict:
    """The defaults are the recipe; only the data differ."""
    config = default.get_config(preset)
    config.data.builder = "p_dukemtmc_reid"
    return config
