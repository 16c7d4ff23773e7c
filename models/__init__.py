"""Everything that touches tensors: networks, losses, optimizers, vocabularies, training, ranking.

What belongs here: pure functions and objects from arrays to arrays. What does not: databases,
Airflow, pandas, environment variables (save the two that `models.backend` sets), and any decision
about *whether* to train or promote; those live in `recloop`.

    arrays, lists, errors        what goes in (NumPy, validated); what can go wrong
    bounds, families             what configurations may say; the families by name
    backend                      TensorFlow, devices, precision: the one door
    network, state               what every family gives the core; all that a model is
    facade, retriever            what all recommenders do alike; what those that retrieve answer
    asking, top_k                what a model is asked; the k best
    ranking, classification      metrics, NumPy only

    learning/    recipes, the training loop, optimizers, scopes, penalties, replay, distillation
    ids/         keys and rows, admission, where new rows start, expiry
    storage/     checkpoints, deltas, averaging, SavedModels and those who answer from them
    upkeep/      the same model, smaller
    retrieval/   two towers                          a family each: configuration,
    factors/     matrix factorisation                network, feed, facade
    sequential/  the causal Transformer on sessions
    ordering/    the ranker, and the cascade of retrieval and ranker: the default recommender

Configurations, recipes, arrays, metrics and vocabularies import without TensorFlow. No TensorFlow
op runs at import, so a process may import and then fork.
"""
