"""From bytes on disk to uint8 batches."""
