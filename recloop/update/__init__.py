"""Updates: decide what the model needs, train it, hold it against the champion, judge it.

Three stages, each a file that calls the rest of its own:

- decide: `planning.py` asks `policy.py`, which asks one of `policies.py` and `adaptive.py`. They go by
  `targets.py`, `signals.py`, `history.py`, `outcomes.py` and `efforts.py`; `strategy.py` checks what a
  person asked for.
- train: `train.py` makes a challenger out of `material.py` by `learning.py`; `sharding.py` does so in
  shards, `maintenance.py` without anything new.
- judge: `challenge.py` scores (`heldout.py`, `scoring.py`, `bootstrap.py`), `gate.py` judges by the
  rules of `config/gate.toml`, `asking.py` says when a person is asked, `report.py` draws the verdict.

Beside them, `shadow.py` measures what a full retraining would have given, and `model.py` says which
model it all is about. Keep out: tensors (see `models/`), when and in what order things run (see
`dags/`), the champion's change (see `release/`).
"""
