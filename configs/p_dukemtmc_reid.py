"""Trains the full-size network by the published recipe on your own copy of P-DukeMTMC-reID.

python main.py --config=configs/p_dukemtmc_reid.py --config.data.root=FOLDER --workdir=runs/pduke

FOLDER is P-DukeMTMC-reid. The authors withdrew the images; nothing is downloaded. No score of this
method for this data set is known to us. Not run here.
"""

from ml_collections import ConfigDict

from configs import default


def get_config(preset: str = "") -> ConfigDict:
    """Returns the published recipe, which the defaults are, on P-DukeMTMC-reID."""
    config = default.get_config(preset)
    config.data.builder = "p_dukemtmc_reid"
    return config
