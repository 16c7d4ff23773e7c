"""Federated silos: several shops keep one model fresh, and none shows its events to another.

    coordinator  make_offer     the champion without its users, and the items' ids
    silo         train_silo     learns its own windows from the offer; its delta holds item rows and
                                dense weights, and nothing that is a user's
    coordinator  stages.plan    an ordinary update whose challenger also has the deltas merged in,
                                with the same gate and promotion

Rooms: `offer.py` what the coordinator gives, `naming.py` the same items under two databases' keys,
`training.py` a silo's round, `delta.py` what leaves it, `privacy.py` clipping and noise, `claims.py`,
`archive_headers.py` and `values.py` what a delta is asked, `joining.py` what the coordinator accepts.
Keep out: the arithmetic of merging (`models.learning.merging`).
"""
