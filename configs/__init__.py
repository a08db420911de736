"""One file an experiment; default.py names every field."""
