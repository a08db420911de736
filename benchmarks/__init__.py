"""One script a figure that the documentation quotes."""
