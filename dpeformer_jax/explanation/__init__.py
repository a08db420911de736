"""What a network looked at, and what its distances are made of."""
