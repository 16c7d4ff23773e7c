"""Everything that touches tensors: networks, losses, optimizers, vocabularies, training, ranking.

What belongs here: functions and objects from arrays to arrays. What does not: databases, Airflow,
pandas, environment variables (save the two that `models.tables.backend` sets), and any decision
about *whether* to train or promote; those live in `recloop`.

Six floors; nothing imports upward (`pyproject.toml` has the contract):

    6  retrieve_and_rank/                       retrieval and ranker as one: the default family
    5  two_tower/  ranker/  sessions/  factors/ a family each: configuration, network, batches, facade
    4  recommenders/  merging/                  what all families answer alike; what was learned apart
    3  learning/  ids/  storage/  cooccurrence/ the training loop; rows; files; what goes with what
    2  tables/  metrics/                        what a network is made of; how good answers are
    1  data/  errors                            what goes in; what can go wrong

Configurations, recipes, arrays, metrics and vocabularies import without TensorFlow. No TensorFlow
op runs at import, so a process may import and then fork.
"""
