"""Trains the full-size network by the published recipe on your own copy of Occluded-Duke.

python main.py --config=configs/occluded_duke.py --config.data.root=FOLDER --workdir=runs/duke

FOLDER is Occluded_Duke, or DukeMTMC-reID with the three lists of Occluded-Duke's authors
(data/builders/occluded_duke.py). The authors of DukeMTMC withdrew the images; nothing is
downloaded. Published for this data set, with ImageNet-21k weights: rank-1 69.9 %, mAP 58.9 %
(arXiv 2402.10435). Not run here.
"""

from ml_collections import ConfigDict

from configs import default


def get_config(preset: str = "") -> ConfigDict:
    """Returns the published recipe, which the defaults are, on Occluded-Duke."""
    config = default.get_config(preset)
    config.data.builder = "occluded_duke"
    if preset == "transreid":
        config.model.stride = 11  # its authors' choice for this data set
    return config
