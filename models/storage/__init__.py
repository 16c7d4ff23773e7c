"""Networks on disk: checkpoints, deltas, averages, seals."""
