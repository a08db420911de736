"""The one exception that stands for a user's mistake."""


class ConfigError(ValueError):
    """A config, a folder or a checkpoint that cannot be used as it is.

    The message is one paragraph for the user: what was wrong, where, and how to mend it. The
    command line prints it without a traceback and exits with code 2.
    """
