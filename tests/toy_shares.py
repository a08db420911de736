"""A process's share of the toy images' features, as a process of its own.

python tests/toy_shares.py FILE BATCH_SIZE PROCESS PROCESSES COORDINATOR

FILE, an .npz, gets the features by name and the `places` of the pictures.
"""

import sys

import numpy as np
from toy import ToyImages, toy_spec, toy_variables

from dpeformer_jax.features import FeaturePass
from dpeformer_jax.model.families import build_network
from dpeformer_jax.runtime.devices import data_mesh, on_each
from dpeformer_jax.runtime.processes import Distributed, failing_together, join_processes

NAMES = ("holistic", "parts")


def main(file: str, batch_size: str, process: str, processes: str, coordinator: str) -> None:
    join_processes(Distributed(True, coordinator, int(processes), int(process)))
    spec, mesh, images = toy_spec(), data_mesh(), ToyImages()
    variables = on_each(toy_variables(spec), mesh)
    network = FeaturePass(build_network(spec), mesh, int(batch_size))
    features, places = network.share(variables, images, images.camera_rows, NAMES)
    np.savez(file, places=places, **features)


if __name__ == "__main__":
    with failing_together():
        main(*sys.argv[1:])
