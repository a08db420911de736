"""What the commands do, as functions: a checkpoint at work on the user's own pictures."""
