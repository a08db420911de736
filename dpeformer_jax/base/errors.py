"""The exception that stands for a user's mistake, and how its messages list things."""

from collections.abc import Sequence

LISTED = 10  # values that a message spells out


class UserError(ValueError):
    """A config, a file, a data set or a checkpoint cannot be used as it is.

    The message is one paragraph for the user. It names what is wrong, where, and how to mend it. A
    command prints it without a traceback and exits with code 2.
    """


def some(values: Sequence, most: int = LISTED) -> str:
    """Lists the first values and counts the others."""
    listed = ", ".join(map(str, values[:most]))
    rest = len(values) - most
    return listed + (f" and {rest} more" if rest > 0 else "")


def mismatch(missing: list[str], left_over: list[str], misshapen: list[str]) -> str:
    """Lists what does not fit between two lists of names; empty where all fits."""
    problems = [f"-{name}" for name in missing] + [f"+{name}" for name in left_over] + misshapen
    return some(problems, most=20)
