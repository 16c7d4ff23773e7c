"""The stages: what DAG tasks and commands call, plain JSON in and out.

    ingest_stages.py    land → validate → featurize        also of many windows
    update_stages.py    plan → train → evaluate → promote
    shard_stages.py     train, in shards
    upkeep_stages.py    what is done now and then, beside the flow
    approval_stages.py  asking a person
    status.py           what happened so far

Keep out: when, and in what order (`dags/`); how (the rooms below).
"""
