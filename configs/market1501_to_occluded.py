"""Trains on Market-1501 and tests on Occluded-REID, Partial-REID and Partial-iLIDS.

python main.py --config=configs/market1501_to_occluded.py --config.data.root=FOLDER \\
    --workdir=runs/market_to_occluded

FOLDER is Market-1501-v15.09.15. The test sets lie beside it, under the names below, or elsewhere:
--config.eval.datasets="('occluded_reid=/data/o', 'partial_reid/occluded=/data/p')". Published for
Occluded-REID: rank-1 87.0 %, mAP 79.5 % (arXiv 2402.10435). No score of this method for the other
two is known to us. Not run here.
"""

from ml_collections import ConfigDict

from configs import default


def get_config(preset: str = "") -> ConfigDict:
    """Returns the published recipe on Market-1501 with test sets that have no training images."""
    config = default.get_config(preset)
    config.data.builder = "market1501"
    config.eval.datasets = (
        "occluded_reid=../Occluded_REID",
        "partial_reid=../Partial-REID_Dataset",
        "partial_ilids=../Partial_iLIDS",
    )
    return config
