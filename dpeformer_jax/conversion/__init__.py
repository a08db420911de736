"""Weights of other programs: their names, their formats, our arrays."""
