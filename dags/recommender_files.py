"""
### Recommenders whose files cannot be used

Makes no DAG. Airflow shows this file's import error, which says what is wrong in which file of
`config/recommenders/`; the DAGs of the other recommenders go on.
"""

from __future__ import annotations

from recloop_fleet import WRONG

from recloop.errors import BadInput

if WRONG:
    raise BadInput(" ".join(str(error) for error in WRONG.values()))
