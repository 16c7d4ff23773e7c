"""The engineer's project: the folder with dags/, plugins/, feature_repo/, config/ and recloop.toml.

Belongs here: which folder that is, what its `recloop.toml` says, and laying one out (`recloop init`).
Keep out: what settings mean (see `recloop/settings.py`, which asks this room), and what lies in the
four folders.
"""
