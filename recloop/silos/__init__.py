"""Federated silos: several shops keep one model fresh, and none shows its events to another.

    coordinator  make_offer     the champion without its users, and the items' ids
    silo         train_silo     learns its own windows from the offer; its delta holds item rows and
                                dense weights, and nothing that is a user's
    coordinator  plan           an ordinary update whose challenger also has the deltas merged in,
                                with the same gate and promotion

`offer.py` is what the coordinator gives, and the same items under two databases' keys;
`silo_training.py` a silo's round; `silo_delta.py` what leaves it; `privacy.py` clipping and noise;
`claims.py` and `archive_headers.py` what a delta is asked; `joining.py` what the coordinator
accepts. Keep out: the arithmetic of merging (`models.merging.merging`).
"""
