"""How it is scored: features of whole test sets and the ranking metrics."""
