"""The one exception that stands for a user's mistake."""

LISTED = 20  # names that a message spells out


class ConfigError(ValueError):
    """A config, a folder or a checkpoint that cannot be used as it is.

    The message is one paragraph for the user: what was wrong, where, and how to mend it. The
    command line prints it without a traceback and exits with code 2.
    """


def mismatch(missing: list[str], left_over: list[str], misshapen: list[str]) -> str:
    """What does not fit between two lists of names, for a message; empty where all fits."""
    problems = [f"-{name}" for name in missing] + [f"+{name}" for name in left_over] + misshapen
    more = f" and {len(problems) - LISTED} more" if len(problems) > LISTED else ""
    return ", ".join(problems[:LISTED]) + more
