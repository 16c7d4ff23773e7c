"""recloop: what happens to data and decisions when a recommender is kept fresh.

Belongs here: the behavior log, validation, features, training sets, update policy, gate,
ledger, release and serving. Keep out: `import airflow` (see `dags/`, `plugins/`) and Keras layers
(see `models/`).
"""

__version__ = "0.1.0"
