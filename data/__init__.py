"""Reads data sets: from image files on disk to uint8 batches."""
