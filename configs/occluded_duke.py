"""The full-size network with the published recipe on Occluded-Duke, from the user's own copy.

python main.py --config=configs/occluded_duke.py --config.data.root=FOLDER --workdir=runs/duke

FOLDER is Occluded_Duke, or DukeMTMC-reID with the authors' three lists (data/builders/
occluded_duke.py). The images were withdrawn by their authors: nothing is downloaded. Published for
this data set, with ImageNet-21k weights: rank-1 69.9 %, mAP 58.9 % (arXiv 2402.10435). Not run
here.
"""

from ml_collections import ConfigDict

from configs import default


def get_config(preset: str = "") -> ConfigDict:
    """The defaults are the recipe; only the data differ."""
    config = default.get_config(preset)
    config.data.builder = "occluded_duke"
    return config
