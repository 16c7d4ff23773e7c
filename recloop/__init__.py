"""recloop: what happens to data and decisions when a recommender is kept fresh.

Keep out: `import airflow` (see `dags/`, `plugins/`) and Keras layers (see `models/`). The rooms,
from the top; nothing imports upward (`pyproject.toml` has the contract):

    main, demo, cli                    commands
    stages                             what DAG tasks and commands call
    release                            the champion's change, and answering from it
    planning                           what the model needs, and why
    evaluation, silos                  judging; federated silos
    training, validation, runtime      making a challenger; which lines are good; Airflow's processes
    features, behavior                 what is known at a moment; from lines to events
    ledger                             each window's passage, each update, each release
    config, database                   what a person edits; PostgreSQL
    settings, calendar, home, project  the environment; time; the folders that it all lies in
    contracts, errors, page, addresses
"""

__version__ = "0.1.0"
