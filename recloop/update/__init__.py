"""Updates: decide what the model needs, train it, hold it against the champion, judge it.

`policy.py` decides, `train.py` makes a challenger, `heldout.py` and `scoring.py` measure, `gate.py`
judges by the rules of `config/gate.toml`, `report.py` draws the verdict. Keep out: tensors (see
`models/`), when and in what order things run (see `dags/`), the champion's change (see `release/`).
"""
