"""One prediction for each sequence."""
