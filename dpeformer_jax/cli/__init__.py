"""The command `dpeformer`: a file for each of its commands, over functions of other rooms."""
