"""The ledger: each window's passage, each update, each release, in PostgreSQL.

It, not Airflow's events or clocks, says what is pending. Functions take an open cursor, so that a
transition is one transaction together with the work it records; repeating one changes nothing.
`window_states.py` keeps the states of windows, `parts.py` what of a window is learnt at once,
`updates.py` plans, leases and outcomes, `verdicts.py` what people and retrainings said of them,
`releases.py` the champion's lineage, `pins.py` that a champion stays, `deletions.py` which of the
lineage's files are gone, `forgetting.py` which answers are.
"""
