"""Validation: which lines of a window are good, and whether the window may be learnt from.

Great Expectations judges and documents; one SQL statement per window finds the broken rules of each
line. Belongs here: row rules, window rules, their limits, accepting and refusing. Keep out: reading
sources (see `behavior/`), what happens to an accepted window (see `features/`, `training/`).
"""
