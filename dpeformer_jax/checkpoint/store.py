"""Saves and restores the training state with orbax.

weights.py says which items a checkpoint has, and reads the network without its training.
"""

import logging
import shutil
import warnings
from pathlib import Path
from typing import Any

import jax
import numpy as np
import orbax.checkpoint as ocp

from dpeformer_jax.base.errors import UserError
from dpeformer_jax.checkpoint import checksums
from dpeformer_jax.checkpoint.checksums import DamagedError, by_path
from dpeformer_jax.checkpoint.weights import refuse_unfit, steps_of
from dpeformer_jax.model.spec import NetworkSpec
from dpeformer_jax.runtime.processes import agreed, is_first, same_everywhere

Items = dict[str, Any]  # name -> pytree of arrays
KEPT = 3  # newest checkpoints that stay on disk
LOG = logging.getLogger(__name__)


class _Manager(ocp.CheckpointManager):
    """Leaves signals to the training, which saves on SIGTERM itself (runtime/processes.py).

    orbax before 0.12.3 fails in several processes where JAX's preemption service is off.
    """

    def reached_preemption(self, step: int) -> bool:
        return False


class Checkpoints:
    """The checkpoints of one workdir, named by their step.

    A checkpoint is written in the background under a temporary name and renamed when complete, so
    that a killed process never leaves a half checkpoint that passes for a whole one.

    Attributes:
        notes: what `save` was given with the checkpoint that was restored.
    """

    def __init__(self, directory: Path, spec: NetworkSpec):
        """Opens the folder, or makes it, and removes what a killed process left half-written."""
        self.notes: dict[str, Any] = {}
        self._directory, self._spec = directory, spec.to_json()
        options = ocp.CheckpointManagerOptions(
            max_to_keep=KEPT,
            cleanup_tmp_directories=True,
            lightweight_initialize=True,  # a damaged one must not stop the others from being found
        )
        self._manager = _Manager(directory.absolute(), options=options)
        if not same_everywhere(self.newest or 0):
            raise UserError(
                f"{directory}: the processes see different checkpoints; --workdir must lie on a "
                "disk that all of them share"
            )

    @property
    def newest(self) -> int | None:
        """Step of the newest complete checkpoint, or None."""
        return self._manager.latest_step()

    def save(self, step: int, items: Items, notes: dict[str, Any] | None = None) -> None:
        """Writes the items, the notes (JSON) and the spec in the background, once a step.

        Raises UserError where a value is not finite, the disk has no room, or the checkpoint before
        this one could not be written.
        """
        if step == self.newest:
            return
        host = jax.device_get(items)
        for name, array in by_path(host).items():
            if not np.isfinite(array).all():
                raise UserError(
                    f"step {step}: {name} is not finite; the training diverged, and its last good "
                    "checkpoint is kept. Try a lower config.optim.lr or config.train.on_nonfinite "
                    "= 'skip'"
                )
        self._refuse_full(sum(array.nbytes for array in jax.tree.leaves(host)))
        contents = {
            "arrays": {name: checksums.fingerprints(tree) for name, tree in host.items()},
            "model": self._spec,
            "notes": notes or {},
            "step": step,
        }
        # Not the devices' arrays, of which orbax would cut a slice for each device.
        saved = {name: ocp.args.StandardSave(tree) for name, tree in host.items()}
        saved["model"] = ocp.args.JsonSave(self._spec)
        saved["contents"] = ocp.args.JsonSave(checksums.seal(contents))
        try:
            self._manager.save(step, args=ocp.args.Composite(**saved))
        except Exception as error:
            raise self._unwritable(error) from error

    def restore(self, like: Items) -> Items:
        """Returns the newest items that are whole, laid out on the devices as `like`.

        A damaged checkpoint is reported, moved aside to `damaged-STEP` and passed over. Raises
        UserError where there is none, or it is of another network.
        """
        for step in sorted(self._manager.all_steps(), reverse=True):
            damage = None
            try:
                host, self.notes = self._read(step, like)
            except DamagedError as error:
                damage = error
            if not any(agreed(damage is not None)):
                return jax.device_put(host, jax.tree.map(lambda x: x.sharding, like))
            self._pass_over(step, damage or DamagedError("another process cannot read it"))
        self.refuse_damaged()
        raise UserError(f"{self._directory}: holds no checkpoint; train first")

    def refuse_damaged(self) -> None:
        """Raises UserError where there are damaged checkpoints and no other.

        A training that began anew would write over its records.
        """
        if self.newest is None and any(self._directory.glob("damaged-*")):
            raise UserError(
                f"{self._directory}: holds only damaged checkpoints; remove them to begin anew, or "
                "choose another --workdir"
            )

    def __enter__(self) -> "Checkpoints":
        return self

    def __exit__(self, *_) -> None:
        """Waits for what is being written, also where the training failed.

        Raises UserError where it could not be written.
        """
        try:
            self._manager.close()
        except Exception as error:
            raise self._unwritable(error) from error

    def _read(self, step: int, like: Items) -> tuple[Items, dict[str, Any]]:
        """Returns items in host memory and notes; raises DamagedError where they are not whole."""
        try:
            contents = checksums.read_contents(self._directory / str(step))
            NetworkSpec.from_json(contents["model"])  # refuses that of a newer version
            expected = {name: f"{x.dtype}{list(x.shape)}" for name, x in by_path(like).items()}
            saved = {
                f"{item}/{name}": f"{dtype}{shape}"
                for item, prints in contents["arrays"].items()
                for name, (shape, dtype, _) in prints.items()
            }
            refuse_unfit(f"{self._directory}: step {step}", expected, saved)
            target = jax.tree.map(lambda x: np.empty(x.shape, x.dtype), like)
            wanted = {name: ocp.args.StandardRestore(tree) for name, tree in target.items()}
            found = dict(self._manager.restore(step, args=ocp.args.Composite(**wanted)))
            for name, prints in contents["arrays"].items():
                checksums.verify(found[name], prints)
        except (MemoryError, PermissionError, UserError):
            raise  # says nothing of damage
        except Exception as error:  # what orbax and tensorstore raise is of many types
            raise DamagedError(_first_line(error)) from error
        return found, contents["notes"]

    def _pass_over(self, step: int, damage: DamagedError) -> None:
        """Moves a checkpoint to a free name, once for all processes."""
        folder, aside, number = self._directory / str(step), f"damaged-{step}", 1
        while (self._directory / aside).exists():
            number += 1
            aside = f"damaged-{step}-{number}"
        agreed()  # all have looked for the name
        if is_first():
            folder.rename(self._directory / aside)
        agreed()  # it is moved
        self._manager.reload()
        told = "checkpoint %s is damaged: %s; moved to %s; the one before it is taken"
        LOG.warning(told, folder, damage, self._directory / aside)

    def _refuse_full(self, size: int) -> None:
        """Raises UserError where the disk has no room for so many bytes, before any is written."""
        disk = shutil.disk_usage(self._directory)
        if any(agreed(0 < disk.total and disk.free < size)):
            told = f"it has {size / 1e6:,.1f} MB, and {disk.free / 1e6:,.1f} MB are free"
            raise self._unwritable(OSError(told))

    def _unwritable(self, error: Exception) -> UserError:
        # Each array whose write did not end would tell the same again.
        logging.getLogger("asyncio").setLevel(logging.CRITICAL)
        warnings.filterwarnings("ignore", "coroutine .* was never awaited", RuntimeWarning)
        whole = steps_of(self._directory)
        kept = f"step {whole[0].name} is whole" if whole else "there is none yet"
        return UserError(
            f"{self._directory}: a checkpoint could not be written ({_first_line(error)}); "
            f"of those before it {kept}. Make room (df -h {self._directory}), then give the same "
            "command again"
        )


def _first_line(error: Exception) -> str:
    return (str(error) or type(error).__name__).splitlines()[0]
