"""Trains the full-size network by the published recipe on a folder of your own.

python main.py --config=configs/folder_b16.py --config.data.root=FOLDER \\
    --config.init.checkpoint=weights/vit_b16 --workdir=runs/mine_b16

FOLDER is as for configs/folder.py. convert_weights.py makes weights/vit_b16 from weights of timm,
TransReID or Google (docs/weights.md); without config.init.checkpoint the network starts from random
weights, which a recipe made for pretrained ones trains badly. Made for a GPU. No score of this
method on your pictures is published. Not run here.
"""

from ml_collections import ConfigDict

from configs import default


def get_config(preset: str = "") -> ConfigDict:
    """Returns the published recipe, which the defaults are, on a folder."""
    config = default.get_config(preset)
    config.data.builder = "reid_folder"
    return config
