"""PostgreSQL: starting the embedded one, connecting, and the tables recloop owns.

Belongs here: connections, transactions, `COPY`, migrations. Keep out: what the rows mean (see
`behavior/`, `features/`, `ledger/`).
"""
