"""Saving and restoring the training state with orbax.

A checkpoint is a folder of items: `variables` (params, batch_stats), `memory`, `training` (step and
optimiser), `model`, the network in words, and `contents`: checksums of it all and the caller's
notes. weights.py reads the parts that stand on their own.
"""

import itertools
import json
import logging
import shutil
from pathlib import Path
from typing import Any

import jax
import numpy as np
import orbax.checkpoint as ocp

from dpeformer_jax.checksums import fingerprints, forms, forms_of, seal, unseal, verify
from dpeformer_jax.errors import ConfigError, mismatch
from dpeformer_jax.model.description import Description
from dpeformer_jax.processes import agreed, is_first, same_everywhere

Items = dict[str, Any]  # name -> pytree of arrays
KEPT = 3  # newest checkpoints that stay on disk


class DamagedError(Exception):
    """A checkpoint is not what was saved; the message says in what."""


class Checkpoints:
    """The checkpoints of one workdir, named by their step.

    Written in the background under a temporary name and renamed when complete, so that a killed
    process never leaves a half checkpoint that is taken for a whole one.
    """

    def __init__(self, directory: Path, model: Description, read_only: bool = False):
        """read_only: nothing in the folder is changed, so that a training may go on in it.

        notes: what `save` was given with the checkpoint that was restored.
        """
        self.notes: dict[str, Any] = {}
        self._directory, self._model, self._read_only = directory, model, read_only
        options = ocp.CheckpointManagerOptions(
            max_to_keep=KEPT,
            create=not read_only,
            read_only=read_only,
            cleanup_tmp_directories=not read_only,
            lightweight_initialize=True,  # a damaged one must not stop the others from being found
        )
        self._manager = ocp.CheckpointManager(directory.absolute(), options=options)
        if not same_everywhere(self.newest or 0):
            raise ConfigError(
                f"{directory}: the processes see different checkpoints; --workdir must lie on a "
                "disk that all of them share"
            )

    @property
    def newest(self) -> int | None:
        """Step of the newest complete checkpoint."""
        return self._manager.latest_step()

    def save(self, step: int, items: Items, notes: dict[str, Any] | None = None) -> None:
        """Writes the items, notes (JSON) and the model in the background, once a step.

        Raises:
            ConfigError: a value is not finite; the disk has no room; the checkpoint before this one
                could not be written.
        """
        if step == self.newest:
            return
        host = jax.device_get(items)
        _refuse_nonfinite(step, host)
        self._refuse_full(sum(array.nbytes for array in jax.tree.leaves(host)))
        contents = {
            "arrays": {name: fingerprints(tree) for name, tree in host.items()},
            "model": self._model,
            "notes": notes or {},
        }
        saved = {name: ocp.args.StandardSave(tree) for name, tree in items.items()}
        saved["model"] = ocp.args.JsonSave(self._model)
        saved["contents"] = ocp.args.JsonSave(seal(contents))
        try:
            self._manager.save(step, args=ocp.args.Composite(**saved))
        except Exception as error:
            raise self._unwritable(error) from error

    def restore(self, like: Items) -> Items:
        """The newest items that are whole, laid out on the devices as `like`.

        A damaged checkpoint is reported, moved aside to `damaged-STEP` and passed over.

        Raises:
            ConfigError: there is none, or it is of another network.
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
        raise ConfigError(f"{self._directory}: holds no checkpoint; train first")

    def refuse_damaged(self) -> None:
        """Raises ConfigError where there are damaged checkpoints and no other.

        A training that began anew would write over its records.
        """
        if self.newest is None and any(self._directory.glob("damaged-*")):
            raise ConfigError(
                f"{self._directory}: holds only damaged checkpoints; remove them to begin anew, or "
                "choose another --workdir"
            )

    def __enter__(self) -> "Checkpoints":
        return self

    def __exit__(self, *_) -> None:
        """Waits for what is being written, also where the training failed.

        Raises:
            ConfigError: it could not be written.
        """
        try:
            self._manager.close()
        except Exception as error:
            raise self._unwritable(error) from error

    def _read(self, step: int, like: Items) -> tuple[Items, dict[str, Any]]:
        """Items in host memory and notes, as they were saved; DamagedError where they are not."""
        try:
            contents = self._contents(step)
        except PermissionError:
            raise  # says nothing of the checkpoint
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

    def _contents(self, step: int) -> dict[str, Any]:
        return unseal(json.loads((self._directory / f"{step}/contents/metadata").read_text()))

    def _refuse_other(self, step: int, arrays: dict[str, Any], like: Items) -> None:
        """Raises ConfigError where whole arrays are those of another network."""
        theirs = {f"{item}/{n}": f for item, p in arrays.items() for n, f in forms(p).items()}
        ours = forms_of(like)
        other = [
            f"{n}: {ours[n]}, saved {theirs[n]}"
            for n in sorted(ours.keys() & theirs.keys())
            if ours[n] != theirs[n]
        ]
        missing, left_over = (
            sorted(ours.keys() - theirs.keys()),
            sorted(theirs.keys() - ours.keys()),
        )
        if problems := mismatch(missing, left_over, other):
            raise ConfigError(
                f"{self._directory}: step {step} does not fit the network of this config "
                f"(- missing there, + left over): {problems}"
            )

    def _pass_over(self, step: int, damage: DamagedError) -> None:
        told = f"warning: checkpoint {self._directory / str(step)} is damaged: {damage}"
        if not self._read_only:
            told += f"; moved to {self._aside(step)}"
            self._manager.reload()
        print(f"{told}; the one before it is taken", flush=True)

    def _refuse_full(self, size: int) -> None:
        """Raises ConfigError where so many bytes have no place: said before it is half-written."""
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

    def _unwritable(self, error: Exception) -> ConfigError:
        logging.getLogger("asyncio").setLevel(logging.CRITICAL)  # where each array tells the same
        whole = [p.name for p in self._directory.glob("*") if p.name.isdigit()]
        kept = f"step {max(map(int, whole))} is whole" if whole else "there is none yet"
        return ConfigError(
            f"{self._directory}: a checkpoint could not be written ({_first_line(error)}); "
            f"of those before it {kept}. Make room (df -h {self._directory}), then give the same "
            "command again"
        )


def _refuse_nonfinite(step: int, host: Items) -> None:
    """Raises ConfigError where a value is not finite: the last good checkpoint is to stay."""
    for path, array in jax.tree_util.tree_leaves_with_path(host):
        if not np.isfinite(array).all():
            name = jax.tree_util.keystr(path, simple=True, separator="/")
            raise ConfigError(
                f"step {step}: {name} is not finite; the training diverged, and its last good "
                "checkpoint is kept. Try a lower config.optim.lr or config.train.on_nonfinite = "
                "'skip'"
            )


def _first_line(error: Exception) -> str:
    return (str(error) or type(error).__name__).splitlines()[0]
