"""Deciding what the model needs: skip, an increment, a rebuild, or maintenance.

`planning.py` gathers the situation from the ledger (`targets.py`, `signals.py`, `history.py`,
`outcomes.py`) and asks `policy.py`, which asks one of `decisions.py` and
`adaptive.py`. Keep out: what a person may ask for (`config/strategy.py`), doing it (`training/`).
"""
