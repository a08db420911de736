"""The one exception that stands for data that cannot be used."""


class DataError(ValueError):
    """Files that are missing, damaged or do not fit together.

    The message is one paragraph for the user: which file or folder, what was wrong with it, and
    how to mend it. The command line prints it without a traceback and exits with code 2.
    """
