"""Trains the full-size network by the published recipe on Market-1501.

python main.py --config=configs/market1501.py --config.data.root=FOLDER --workdir=runs/market

FOLDER is Market-1501-v15.09.15. Published for this data set: rank-1 95.4 %, mAP 88.1 % (arXiv
2402.10435). Not run here.

With the 500,000 distractors in FOLDER/images, add
--mode=eval --config.eval.datasets="('market1501/500k',)" to score the trained network among them.
"""

from ml_collections import ConfigDict

from configs import default


def get_config(preset: str = "") -> ConfigDict:
    """Returns the published recipe, which the defaults are, on Market-1501."""
    config = default.get_config(preset)
    config.data.builder = "market1501"
    return config
