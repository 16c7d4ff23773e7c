"""What was shown, and whether it was clicked: the probability of a click, by the ranker alone."""
