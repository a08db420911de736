"""dpeformer COMMAND ...: a trained network at work on your own pictures."""

import argparse
import os
import signal
import sys

from dpeformer_jax import __version__
from dpeformer_jax.base.command import log_to_stderr, one_paragraph
from dpeformer_jax.cli import explain, export, extract, forget, index, info, match, search

COMMANDS = {
    "extract": extract,
    "match": match,
    "explain": explain,
    "index": index,
    "search": search,
    "forget": forget,
    "export": export,
    "info": info,
}
EPILOG = """\
A first walk, with a checkpoint (the workdir of a training, or what convert_weights.py wrote):

  dpeformer info runs/mine
  dpeformer match a.jpg b.jpg --checkpoint runs/mine
  dpeformer explain a.jpg b.jpg --checkpoint runs/mine --out why.png
  dpeformer index add people.index FOLDER --folders --checkpoint runs/mine
  dpeformer search people.index a.jpg --checkpoint runs/mine --sheet answers.jpg
  dpeformer forget people.index --identity anna

dpeformer COMMAND --help tells about one of them. Exit code: 0 it is done, or the answer is yes;
1 the answer is no (another person, nobody found); 2 something must be mended first.
"""


def main(arguments: list[str] | None = None) -> None:
    """Runs the command line and ends the process with its exit code."""
    given = parse(arguments)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    log_to_stderr()
    try:
        with one_paragraph("dpeformer"):
            code = given.run(given)
            sys.stdout.flush()
    except BrokenPipeError:  # as `| head` ends; Python would complain of it once more at its end
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 128 + signal.SIGPIPE
    sys.exit(code)


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    """Parses the command line; `run` of the result is the function of its command."""
    parser = argparse.ArgumentParser(
        prog="dpeformer",
        description=__doc__,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"dpeformer_jax {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for name, command in COMMANDS.items():
        own = commands.add_parser(
            name,
            help=command.HELP,
            description=command.__doc__,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        command.add_arguments(own)
        own.set_defaults(run=command.run)
    return parser.parse_args(arguments)
