"""Any folder of person images in Market-1501's layout, a small network from scratch on a CPU.

python main.py --config=configs/folder.py --config.data.root=FOLDER --workdir=runs/folder
"""

from ml_collections import ConfigDict

from configs import quickstart


def get_config() -> ConfigDict:
    """The quickstart's network and recipe on the user's own pictures."""
    config = quickstart.get_config()
    config.data.builder = "reid_folder"
    return config
