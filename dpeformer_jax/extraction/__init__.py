"""Any number of pictures to a file of features."""
