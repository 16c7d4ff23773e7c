"""What goes into a model: arrays that check themselves, ragged lists, sessions. NumPy only."""
