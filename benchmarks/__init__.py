"""Measures the figures that the documentation quotes: one script a figure."""
