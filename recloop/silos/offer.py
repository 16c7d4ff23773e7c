"""What a coordinator gives its silos: the champion without its users, and the ids of its items.

offer/
├── offer.json    version, digests of the deltas that its lineage has merged, item ids by key
└── checkpoint/   the champion, without users, remembered examples or counts of who was seen
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from psycopg2.extensions import cursor as Cursor

from models.data.events import Events
from models.data.queries import OwnItems
from models.data.ragged import look_up
from recloop.database.connection import asked, transaction
from recloop.errors import BadInput, ReleaseMissing
from recloop.ledger import releases, updates
from recloop.settings import Settings
from recloop.training.recommender import CHECKPOINT, family_of, family_of_release, restore_model

if TYPE_CHECKING:
    from recloop.contracts import Release

OFFER = "offer.json"


@dataclass(frozen=True)
class Offer:
    """A release as silos see it.

    Attributes:
        folder: where it lies.
        release: its version.
        merged: names of the deltas that its lineage has merged.
        items: the coordinator's key of each item, by id.
    """

    folder: Path
    release: int
    merged: tuple[str, ...]
    items: dict[str, int]


def make_offer(settings: Settings, folder: Path) -> Offer:
    """Write the champion's offer to `folder`, replacing one that is there.

    Raises:
        ReleaseMissing: there is no champion yet.
        BadInput: something else is there, or the family has no silos.
    """
    from models.merging.changes import forget_users

    if folder.exists() and not (folder / OFFER).exists() and any(folder.iterdir()):
        raise BadInput(f"{folder} holds something else than an offer; give a new folder.")
    family = family_of(settings)
    if not family.silos:
        raise BadInput(f"family {family.name} has no silos; learn all shops' events in one place.")
    with transaction(settings.database_url) as cursor:
        champion = releases.champion(cursor)
        if champion is None:
            raise ReleaseMissing("there is no champion to offer yet; run `recloop update` first.")
        merged = merged_deltas(cursor, champion)
    model = restore_model(champion.uri)
    ids = asked(settings.database_url, item_ids, model.item_keys)
    for state in model.states.values():
        forget_users(state)
    shutil.rmtree(folder, ignore_errors=True)
    model.save(folder / CHECKPOINT)
    content = {"release": champion.version, "merged": merged, "items": ids}
    (folder / OFFER).write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    return read_offer(folder)


def read_offer(folder: Path) -> Offer:
    """The offer in `folder`.

    Raises:
        BadInput: there is none.
    """
    try:
        content = json.loads((folder / OFFER).read_text(encoding="utf-8"))
        release, merged, items = (content[name] for name in ("release", "merged", "items"))
        _must("`release` should be a version", release, type(release) is int and release > 0)
        named = isinstance(merged, list) and all(isinstance(one, str) for one in merged)
        _must("`merged` should be a list of deltas' names", merged, named)
        _must("`items` should be a table", items, isinstance(items, dict))
        keys: dict[str, int] = {}
        for key, item_id in items.items():
            known = isinstance(item_id, str) and item_id not in keys
            number = key.isascii() and key.isdecimal() and len(key) < 16
            says = "`items` should have numbers from 1, each with an id of its own"
            _must(says, {key: item_id}, known and number and 0 < int(key) < LOCAL)
            keys[item_id] = int(key)
        return Offer(folder, release, tuple(merged), keys)
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise BadInput(
            f"{folder} holds no offer ({error}); have the coordinator make one with "
            "`recloop silo offer`."
        ) from error


def _must(what: str, value: object, holds: bool) -> None:
    if not holds:
        raise ValueError(f"{what}. Received: {str(value)[:60]}")


def offered_items(release: Release) -> np.ndarray:
    """int64, the item keys of a release's offer, in the order of its rows.

    Raises:
        BadInput: the release's files are gone.
    """
    from models.errors import RestoreError
    from models.storage.archive import ARRAYS

    try:
        path = Path(release.uri) / CHECKPOINT / family_of_release(release).states[0] / ARRAYS
        with np.load(path, allow_pickle=False) as stored:
            return np.asarray(stored["item_keys"], np.int64)
    except (OSError, KeyError, ValueError, RestoreError) as error:
        raise BadInput(
            f"the items of release {release.version} cannot be read ({error}), so no delta of it can "
            "be checked; have the silo train from a new offer."
        ) from error


def merged_deltas(cursor: Cursor, release: Release) -> list[str]:
    """Names of the deltas that the release's lineage has merged, oldest first."""
    return [
        Path(uri).name
        for one in releases.lineage(cursor, release, release.version)
        for uri in updates.plan_of(cursor, one.update_id).strategy.silos
    ]


# The same items under two databases' keys.
#
# Each database counts its own keys, so that silos agree on items by their *ids*, which are the
# shops' (`behavior.item.item_id`). An item that the offer doesn't know gets a key beyond all of
# the offer's: the silo learns it for itself, and it never leaves.

LOCAL = 1 << 40
"""Keys from here on are a silo's own. A database that counted so far has other problems."""


def item_ids(cursor: Cursor, keys: np.ndarray) -> dict[int, str]:
    """Ids of items by this database's keys."""
    wanted = "select item_key, item_id from behavior.item where item_key = any(%s)"
    cursor.execute(wanted, (keys.tolist(),))
    return dict(cursor.fetchall())


def renaming(cursor: Cursor, offered: Mapping[str, int]) -> dict[int, int]:
    """This database's keys to those of the offer (id → key), for every item."""
    cursor.execute("select item_key, item_id from behavior.item")
    return {key: offered.get(item_id, LOCAL + key) for key, item_id in cursor.fetchall()}


def renamed(examples: Events, names: Mapping[int, int]) -> Events:
    """The same examples with the other keys of items."""
    old = np.fromiter(sorted(names), np.int64, len(names))
    new = np.array([names[key] for key in old.tolist()], np.int64)

    def of(keys: np.ndarray) -> np.ndarray:
        found = np.concatenate([np.zeros(1, np.int64), new])
        known, place = look_up(old, keys)
        return found[np.where(known, place + 1, 0)]

    catalogue = of(examples.catalogue)
    order = np.argsort(catalogue, kind="stable")
    items = of(examples.items.item_keys)
    columns = np.argsort(items, kind="stable")
    own = examples.own
    return replace(
        examples,
        history=of(examples.history),
        item_keys=of(examples.item_keys),
        catalogue=catalogue[order],
        words=examples.words[order],
        own=OwnItems(own.offsets, of(own.item_keys), own.values, own.totals),
        items=replace(
            examples.items, item_keys=items[columns], values=examples.items.values[:, columns]
        ),
    )
