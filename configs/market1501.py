"""The full-size network with the published recipe on Market-1501.

python main.py --config=configs/market1501.py --config.data.root=FOLDER --workdir=runs/market

FOLDER is Market-1501-v15.09.15. Published for this data set: rank-1 95.4 %, mAP 88.1 % (arXiv
2402.10435). Not run here. With the 500,000 distractors in FOLDER/images a trained network is
scored by --mode=eval --config.eval.datasets="('market1501/500k',)".
"""

from ml_collections import ConfigDict

from configs import default


def get_config(preset: str = "") -> ConfigDict:
    """The defaults are the recipe; only the data differ."""
    config = default.get_config(preset)
    config.data.builder = "market1501"
    return config
