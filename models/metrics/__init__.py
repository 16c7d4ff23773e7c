"""How good answers are: ranking and classification metrics. NumPy only."""
