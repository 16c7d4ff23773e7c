"""Releases: the registry, the champion's change, and answering from it.

`registry.py` keeps model versions in MLflow, `promotion.py` moves the champion and lays out files for
TF Serving, `recommend.py` answers. The ledger decides who is champion; registry and serving
folder follow it and can always be made to agree again (`promotion.publish`).
"""
