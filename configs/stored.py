"""The config of a workdir: python main.py --config=WORKDIR/config.json --workdir=OTHER

configs/finding.py comes here for a --config that ends in .json, and for a workdir without --config.
"""

from pathlib import Path

from ml_collections import ConfigDict

from configs import default
from configs.record import stored_fields


def get_config(path: str) -> ConfigDict:
    """Returns the config in a config.json; raises UserError where it holds none."""
    config = default.get_config()
    config.update_from_flattened_dict(stored_fields(Path(path)))
    return config
