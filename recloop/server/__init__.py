"""The HTTP server, `recloop serve`: a process beside Airflow that answers from champions.

Belongs here: requests, keys, limits, following the ledger, impressions. Keep out: what is answered
(`recloop/release/answering.py`), which is the same for `recommend` and for tables. No TensorFlow in an
answer's path, and no Feast.
"""
