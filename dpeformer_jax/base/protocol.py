"""The field's conventions about who counts, as the data sets and the scores share them."""

JUNK = -1  # identity of a picture that shows nobody whole; it takes part in no ranking
