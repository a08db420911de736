"""Placeholder."""

HELP = "x"


def add_arguments(parser): ...
def run(given):
    return 0
