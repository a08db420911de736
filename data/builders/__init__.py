"""Builds each data set: one TFDS builder a file."""
