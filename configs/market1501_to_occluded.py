"""Training on Market-1501, testing on Occluded-REID, Partial-REID and Partial-iLIDS.

python main.py --config=configs/market1501_to_occluded.py --config.data.root=FOLDER \\
    --workdir=runs/market_to_occluded

FOLDER is Market-1501-v15.09.15; the test sets are sought beside it under the names below. Other
places: --config.eval.datasets="('occluded_reid=/data/o', 'partial_reid/occluded=/data/p')".
Published for Occluded-REID: rank-1 87.0 %, mAP 79.5 % (arXiv 2402.10435); for the other two no
score of this method is known to us. Not run here.
"""

from ml_collections import ConfigDict

from configs import default


def get_config(preset: str = "") -> ConfigDict:
    """Market-1501's recipe; tested on sets that have no training images."""
    config = default.get_config(preset)
    config.data.builder = "market1501"
    config.eval.datasets = (
        "occluded_reid=../Occluded_REID",
        "partial_reid=../Partial-REID_Dataset",
        "partial_ilids=../Partial_iLIDS",
    )
    return config
