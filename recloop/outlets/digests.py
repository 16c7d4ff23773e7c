"""A digest of many lists that does not depend on their order: lists can be added and taken away.

    digest = sum over the lists of SHA-256(name, 0, items, scores, reasons), modulo 2^256

So a publication that computes one list in a hundred anew has the digest of the whole, and the same as
one that computed all of them (Bellare and Micciancio, A new paradigm for collision-free hashing, 1997).
It finds accidents; against somebody who makes up lists to that end, 2^256 is short for such a sum.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256

import numpy as np

MODULUS = 1 << 256


def sum_of(names: Sequence[str], items: np.ndarray, scores: np.ndarray, reasons: np.ndarray) -> int:
    """Of these lists.

    Args:
        names: whose each of the B is.
        items: int64 [B, k], keys; 0 after the end of a list.
        scores, reasons: float32 and uint8 [B, k].
    """
    lengths = np.count_nonzero(items, axis=1).tolist()
    total = 0
    for name, length, some, their, why in zip(
        names, lengths, items.astype("<i8"), scores.astype("<f4"), reasons, strict=True
    ):
        if length:
            content = some[:length].tobytes() + their[:length].tobytes() + why[:length].tobytes()
            one = sha256(name.encode() + b"\0" + content).digest()
            total += int.from_bytes(one, "big")
    return total % MODULUS


def text_of(total: int) -> str:
    """As the ledger keeps it: 64 digits."""
    return f"{total % MODULUS:064x}"


def number_of(text: str) -> int:
    """The sum of a text."""
    return int(text, 16)
