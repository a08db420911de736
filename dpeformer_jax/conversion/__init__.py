"""Brings other programs' weights in and writes ours for torch: names, formats, files."""
