"""The names of what a memory of pairs tells a ranker. Light: forms and DAG files ask for them."""

PAIR_MEMORY_FEATURES = ("together", "together_lifted", "gap", "rebuy")
"""The first two on a log scale, at least log of `models.cooccurrence.pair_scores.LEAST_VOTES`."""
