"""Trains and scores DPEFormer: python main.py --config=configs/quickstart.py --workdir=DIR"""

import signal
import sys
from pathlib import Path

try:
    from absl import app, flags
    from ml_collections import ConfigDict, config_flags

    from configs import calibration, modes, unpack
    from configs.parsing import parse
except ModuleNotFoundError as error:
    print(f"main.py: {error}; it needs more: pip install -e '.[train]'", file=sys.stderr)
    sys.exit(2)

from dpeformer_jax.base.command import log_to_stderr, one_paragraph
from dpeformer_jax.base.errors import UserError
from dpeformer_jax.runtime.compilation import keep_compiled
from dpeformer_jax.runtime.devices import memory_explained
from dpeformer_jax.runtime.processes import failing_together, join_processes

CONFIG = config_flags.DEFINE_config_file(
    "config",
    None,
    "File of the config, or a workdir's config.json. Without it: that of the workdir.",
    lock_config=True,
)
WORKDIR = flags.DEFINE_string(
    "workdir", None, "Folder of checkpoints and records. With --mode=compare: two, A,B."
)
CHECKPOINT = flags.DEFINE_string(
    "checkpoint",
    None,
    "This one instead of the workdir's newest, where a mode looks at one.",
)
MODE = flags.DEFINE_enum(
    "mode",
    "train",
    ["train", "eval", "calibrate", "rank", "explain", "report", "verify_data", "compare"],
    "What to do.",
)
JSON = flags.DEFINE_boolean(
    "json", False, "With --mode=verify_data and --mode=compare: the report as JSON."
)
QUERIES = flags.DEFINE_string(
    "queries", "worst:8", "With --mode=rank and --mode=explain: worst:8, random:8, or names."
)
FEATURES = flags.DEFINE_list(
    "features", [], "With --mode=rank and --mode=explain: of the network, as parts,concat."
)
COMPARE = flags.DEFINE_list(
    "compare", [], "With --mode=rank and --mode=report: other workdirs, as B,C."
)
# The modes that have a flag, besides --config and --workdir, and what to do in others.
OF_MODES = {
    "json": (("verify_data", "compare"), "; eval.json holds the scores"),
    "checkpoint": (
        ("eval", "calibrate", "rank", "explain"),
        "; to train from weights set --config.init.checkpoint",
    ),
    "queries": (("rank", "explain"), ""),
    "features": (("rank", "explain"), ""),
    "compare": (("rank", "report"), "; two workdirs' scores: --mode=compare --workdir=A,B"),
}


def run() -> None:
    """Runs the mode that the command line asks for."""
    check_flags()
    if MODE.value == "compare":
        modes.compare_runs(WORKDIR.value, JSON.value)
        return
    config = CONFIG.value
    join_processes(unpack.distributed_of(config))
    keep_compiled()
    if MODE.value == "verify_data":
        modes.verify_data(config, JSON.value)
        return
    workdir = Path(WORKDIR.value).expanduser()
    looking = config, workdir, CHECKPOINT.value
    if MODE.value == "train":
        modes.run_training(config, workdir)
    elif MODE.value == "eval":
        modes.run_evaluation(*looking)
    elif MODE.value == "calibrate":
        calibration.run_calibration(*looking)
    else:
        draw(config, workdir)


def draw(config: ConfigDict, workdir: Path) -> None:
    """Runs a mode that makes pictures; what draws them takes a second to load."""
    import jax

    from configs import explain_pictures, rank_pictures, report_pages

    if jax.process_count() > 1:
        raise UserError(
            f"--mode={MODE.value} runs in one process; leave config.distributed.enabled out"
        )
    others = [Path(name).expanduser() for name in COMPARE.value]
    looking = config, workdir, CHECKPOINT.value
    if MODE.value == "rank":
        rank_pictures.run_rank(*looking, QUERIES.value, FEATURES.value, others)
    elif MODE.value == "explain":
        explain_pictures.run_explain(*looking, QUERIES.value, FEATURES.value)
    else:
        report_pages.run_report(config, workdir, others)


def check_flags() -> None:
    """Raises UserError for a flag that the mode does not have, or lacks."""
    mode = MODE.value
    for name, (having, instead) in OF_MODES.items():
        if flags.FLAGS[name].present and mode not in having:
            raise UserError(f"--{name} is for --mode={' and --mode='.join(having)}{instead}")
    if WORKDIR.value is None and mode != "verify_data":
        raise UserError(f"--mode={mode} needs --workdir=DIR, for what it writes")
    if CONFIG.value is None and mode != "compare":
        raise UserError(
            f"--mode={mode} needs --config=FILE, for example configs/quickstart.py; only with a "
            "--workdir that holds a config.json it does not"
        )


def main(_: list[str]) -> None:
    # While there is nothing to save; the training takes both signals itself.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    log_to_stderr()
    with failing_together(), one_paragraph("main.py"), memory_explained():
        run()


if __name__ == "__main__":
    app.run(main, flags_parser=parse)
