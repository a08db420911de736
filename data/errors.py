"""The one exception that stands for data that cannot be used, and how it lists things."""

from collections.abc import Sequence

NAMED_AT_MOST = 10  # files or identities that a message lists


class DataError(ValueError):
    """Files that are missing, damaged or do not fit together.

    The message is one paragraph for the user: which file or folder, what was wrong with it, and
    how to mend it. The command line prints it without a traceback and exits with code 2.
    """


def some(values: Sequence) -> str:
    """The first of the values, and how many more there are."""
    listed = ", ".join(map(str, values[:NAMED_AT_MOST]))
    rest = len(values) - NAMED_AT_MOST
    return listed + (f" and {rest} more" if rest > 0 else "")
