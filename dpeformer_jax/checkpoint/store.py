"""Saves and restores the training state with orbax.

weights.py says which items a checkpoint has, and reads the network without its training.
"""

import itertools
import logging
import shutil
import warnings
from pathlib import Path
from typing import Any

import jax
import numpy as np
import orbax.checkpoint as ocp

from dpeformer_jax.base.errors import UserError, mismatch
from dpeformer_jax.checkpoint.checksums import (
    DamagedError,
    fingerprints,
    forms,
    forms_of,
    read_contents,
    seal,
    verify,
)
from dpeformer_jax.model.spec import NetworkSpec
from dpeformer_jax.runtime.processes import agreed, is_first, same_everywhere

Items = dict[str, Any]  # name -> pytree of arrays
KEPT = 3  # newest checkpoints that stay on disk
LOG = logging.getLogger(__name__)


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
        self._manager = ocp.CheckpointManager(directory.absolute(), options=options)
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

        Raises:
            UserError: a value is not finite; the disk has no room; the checkpoint before this one
                could not be written.
        """
        if step == self.newest:
            return
        host = jax.device_get(items)
        _refuse_nonfinite(step, host)
        self._refuse_full(sum(array.nbytes for array in jax.tree.leaves(host)))
        contents = {
            "arrays": {name: fingerprints(tree) for name, tree in host.items()},
            "model": self._spec,
            "notes": notes or {},
            "step": step,
        }
        saved = {name: ocp.args.StandardSave(tree) for name, tree in items.items()}
        saved["model"] = ocp.args.JsonSave(self._spec)
        saved["contents"] = ocp.args.JsonSave(seal(contents))
        try:
            self._manager.save(step, args=ocp.args.Composite(**saved))
        except Exception as error:
            raise self._unwritable(error) from error

    def restore(self, like: Items) -> Items:
        """Returns the newest items that are whole, laid out on the devices as `like`.

        A damaged checkpoint is reported, moved aside to `damaged-STEP` and passed over.

        Raises:
            UserError: there is none, or it is of another network.
        """
        for step in sorted(self._manager.all_steps(), reverse=True):
            damage = None
            try:
                host, self.notes = self._read(step, like)
            except DamagedError as error:
                damage = error
            if any(agreed(damage is not None)):
                self._pass_over(step, damage or DamagedError("another process cannot read it"))
            else:
                return jax.device_put(host, jax.tree.map(lambda x: x.sharding, like))
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

        Raises:
            UserError: it could not be written.
        """
        try:
            self._manager.close()
        except Exception as error:
            raise self._unwritable(error) from error

    def _read(self, step: int, like: Items) -> tuple[Items, dict[str, Any]]:
        """Returns items in host memory and notes; raises DamagedError where they are not whole."""
        try:
            contents = read_contents(self._directory / str(step))
            NetworkSpec.from_json(contents["model"])  # refuses that of a newer version
        except (PermissionError, UserError):
            raise  # says nothing of damage
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise DamagedError(_first_line(error)) from error
        self._refuse_other(step, contents["arrays"], like)
        target = jax.tree.map(lambda x: np.empty(x.shape, x.dtype), like)
        wanted = {name: ocp.args.StandardRestore(tree) for name, tree in target.items()}
        try:
            found = dict(self._manager.restore(step, args=ocp.args.Composite(**wanted)))
            for name, prints in contents["arrays"].items():
                verify(found[name], prints)
        except (MemoryError, PermissionError):
            raise
        except Exception as error:  # what orbax and tensorstore raise is of many types
            raise DamagedError(_first_line(error)) from error
        return found, contents["notes"]

    def _refuse_other(self, step: int, arrays: dict[str, Any], like: Items) -> None:
        """Raises UserError where whole arrays are those of another network."""
        theirs = {f"{item}/{n}": f for item, p in arrays.items() for n, f in forms(p).items()}
        ours = forms_of(like)
        other = [
            f"{n}: {ours[n]}, saved {theirs[n]}"
            for n in sorted(ours.keys() & theirs.keys())
            if ours[n] != theirs[n]
        ]
        missing, left_over = (
            sorted(a - b) for a, b in ((ours.keys(), theirs), (theirs.keys(), ours))
        )
        if problems := mismatch(missing, left_over, other):
            raise UserError(
                f"{self._directory}: step {step} does not fit the network of this config "
                f"(- missing there, + left over): {problems}"
            )

    def _pass_over(self, step: int, damage: DamagedError) -> None:
        aside = self._aside(step)
        self._manager.reload()
        LOG.warning(
            "checkpoint %s is damaged: %s; moved to %s; the one before it is taken",
            *(self._directory / str(step), damage, aside),
        )

    def _refuse_full(self, size: int) -> None:
        """Raises UserError where the disk has no room for so many bytes, before any is written."""
        disk = shutil.disk_usage(self._directory)
        if any(agreed(0 < disk.total and disk.free < size)):
            told = f"it has {size / 1e6:,.1f} MB, and {disk.free / 1e6:,.1f} MB are free"
            raise self._unwritable(OSError(told))

    def _aside(self, step: int) -> Path:
        """Moves a checkpoint to a free name, once for all processes."""
        names = (f"damaged-{step}" + (f"-{n}" if n > 1 else "") for n in itertools.count(1))
        aside = next(
            self._directory / name for name in names if not (self._directory / name).exists()
        )
        agreed()  # all have looked for the name
        if is_first():
            (self._directory / str(step)).rename(aside)
        agreed()  # it is moved
        return aside

    def _unwritable(self, error: Exception) -> UserError:
        # Each array whose write did not end would tell the same again.
        logging.getLogger("asyncio").setLevel(logging.CRITICAL)
        warnings.filterwarnings("ignore", "coroutine .* was never awaited", RuntimeWarning)
        whole = [p.name for p in self._directory.glob("*") if p.name.isdigit()]
        kept = f"step {max(map(int, whole))} is whole" if whole else "there is none yet"
        return UserError(
            f"{self._directory}: a checkpoint could not be written ({_first_line(error)}); "
            f"of those before it {kept}. Make room (df -h {self._directory}), then give the same "
            "command again"
        )


def _refuse_nonfinite(step: int, host: Items) -> None:
    """Raises UserError where a value is not finite: the last good checkpoint is to stay."""
    for path, array in jax.tree_util.tree_leaves_with_path(host):
        if not np.isfinite(array).all():
            name = jax.tree_util.keystr(path, simple=True, separator="/")
            raise UserError(
                f"step {step}: {name} is not finite; the training diverged, and its last good "
                "checkpoint is kept. Try a lower config.optim.lr or config.train.on_nonfinite = "
                "'skip'"
            )


def _first_line(error: Exception) -> str:
    return (str(error) or type(error).__name__).splitlines()[0]
