"""Features: what recloop knows about users and items at a moment, and the examples made of it.

Belongs here: daily aggregates in SQL, Feast's store, the point-in-time join and its leak guard, the
training-set artefact. Keep out: what an event is (`behavior/`), which events are good
(`validation/`), what a feature is called (`feature_repo/`), tensors (`models/`).
"""
