"""Outlets in batches: every user's recommendations as tables of the database, or as files.

`publication.py` computes and records, `lists.py` asks the release for many users, `tables.py` and
`files.py` are where rows go, each whole and of one release; `digests.py` tells what was given. Keep
out: how a release answers (`recloop/release/`), and answers over HTTP (`recloop/server/`).
"""
