"""Training a challenger: what it learns from, how, and what is written.

`material.py` reads the plan's events, `fitting.py` learns them, `candidate.py` saves what was
learned; `sharding.py` does it in shards, `candidate.py` also without new events. `recommender.py` says
which model it is all about. Keep out: tensors (`models/`), whether to train (`planning/`).
"""
