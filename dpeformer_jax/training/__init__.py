"""How it learns: views, losses, memory bank, optimiser, the loop."""
