"""The full-size network with the published recipe on DukeMTMC-reID, from the user's own copy.

python main.py --config=configs/dukemtmc_reid.py --config.data.root=FOLDER --workdir=runs/dukemtmc

FOLDER is DukeMTMC-reID. The images were withdrawn by their authors: nothing is downloaded.
Published for this data set: rank-1 90.0 %, mAP 80.3 % (arXiv 2402.10435). Not run here.
"""

from ml_collections import ConfigDict

from configs import default


def get_config(preset: str = "") -> ConfigDict:
    """The defaults are the recipe; only the data differ."""
    config = default.get_config(preset)
    config.data.builder = "dukemtmc_reid"
    return config
