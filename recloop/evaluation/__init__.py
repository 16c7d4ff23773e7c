"""Judging: challenger and champion on the same held-out events, the gate, its pages.

`challenge.py` scores both by `scoring.py`, `gate.py` judges by the rules of `config/gate.toml` and
says when a person is asked, `gate_page.py` draws the verdict. `shadow.py` measures what a full
retraining would have given. Keep out: training (`training/`), making a challenger the champion
(`release/`).
"""
