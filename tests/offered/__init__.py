"""Every value that a form or a plan file offers for a family, run once to a gate report."""
