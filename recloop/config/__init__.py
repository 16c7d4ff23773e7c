"""Everything that a person edits, checked: dataset files, rules, limits, strategies.

Belongs here: the form of each file and its bounds, with remedies. Keep out: applying them.
"""
