"""What is served is what `recommend` says: list by list, from a whole export or not at all."""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from recloop.database.connection import transaction
from recloop.errors import BadInput, ReleaseDamaged
from recloop.features.online import online_queries, release_snapshot
from recloop.ledger import releases
from recloop.release import promotion
from recloop.release.recommend import recommend
from recloop.settings import Settings
from recloop.stages import update_stages
from recloop.training.recommender import restore_model
from tests.recloop.release.tensorflow_serving import ModelServer


@pytest.fixture
def mine(prepared: Settings) -> Settings:
    """The prepared loop with a copy of the champion's files, to be damaged; published."""
    with transaction(prepared.database_url) as cursor:
        champion = releases.champion(cursor)
        assert champion
        folder = shutil.copytree(champion.uri, prepared.artifacts / "releases" / "copy")
        cursor.execute("update ledger.release set uri = %s", (str(folder),))
    promotion.publish(prepared)
    return prepared


def asked(settings: Settings) -> list[tuple[int, str, list[int]]]:
    """Forty users: key, id, and the keys of what each has bought."""
    with transaction(settings.database_url) as cursor:
        cursor.execute(
            "select user_key, user_id, array(select distinct item_key from behavior.event e "
            "where e.user_key = a.user_key and event_type = 'purchase' order by 1) "
            "from behavior.account a order by user_key limit 40"
        )
        return list(cursor.fetchall())


def test_forty_of_forty_lists_of_the_exported_signature_are_those_of_recommend(
    mine: Settings,
) -> None:
    """The client has the served folder, and features of its queries; windows came since the release,
    so that it knows more of users' own items than the release did: `top_k_of_own`. Exported anew, the
    release knows them by itself: `top_k`."""
    people = asked(mine)
    assert len(people) == 40
    expected = [[item.item_id for item in recommend(mine, name, 10).items] for _, name, _ in people]
    assert lists(mine, people, "top_k_of_own") == expected
    assert lists(mine, people, "top_k") != expected
    shutil.rmtree(Path(releases_uri(mine)) / "saved_model")
    assert update_stages.publish(None, mine)["mended"]
    assert lists(mine, people, "top_k") == lists(mine, people, "serving_default") == expected
    judged = restore_model(releases_uri(mine))
    known = release_snapshot(mine, datetime(2011, 1, 17, tzinfo=UTC))
    for (key, _, bought), items in zip(people, expected, strict=True):
        query = dataclasses.replace(online_queries(mine, [key]), items=known.items)
        keys, _ = judged.top_k(query, 10, exclude=[np.array(bought)])
        assert names(mine, keys[0]) == items


def lists(
    settings: Settings, people: list[tuple[int, str, list[int]]], name: str
) -> list[list[str]]:
    """What a server answers each of them, asked in rows."""
    import tensorflow as tf

    server = ModelServer(str, base=settings.serving / "recommender")
    server.poll()
    folder = Path(server.answer() or "")
    model = tf.saved_model.load(str(folder)).signatures[name]
    with np.load(folder / "assets.extra" / "vocabulary.npz") as rows:
        users = {int(key): row for row, key in enumerate(rows["user_keys"], 1)}
        items = {int(key): row for row, key in enumerate(rows["item_keys"], 1)}
    found = []
    for key, _, bought in people:
        query = online_queries(settings, [key])
        request = {
            "user_row": [users.get(key, 0)],
            "history_rows": [[items.get(int(k), 0) for k in query.history[0]]],
            "statistics": query.statistics,
            "exclude_rows": [[items.get(k, 0) for k in bought]],
            "k": 10,
        }
        if name == "top_k_of_own":
            assert query.own is not None
            request["own_rows"] = [[items.get(int(k), 0) for k in query.own.item_keys]]
            request["own_values"] = query.own.values[None]
            request["own_totals"] = query.own.totals
        takes = model.structured_input_signature[1]
        answer = model(**{n: tf.constant(value, takes[n].dtype) for n, value in request.items()})
        found.append(names(settings, answer["keys"].numpy()[0]))
    return found


def names(settings: Settings, keys: np.ndarray) -> list[str]:
    """The items' ids, in order; without the 0s at the end."""
    with transaction(settings.database_url) as cursor:
        cursor.execute("select item_key, item_id from behavior.item")
        by_key = dict(cursor.fetchall())
    return [by_key[int(key)] for key in keys if key]


def test_whatever_the_user_is_there_is_an_answer_or_a_sentence(prepared: Settings) -> None:
    for user in ("a\0b", "\ud800", "x\udcff", "'; drop", "%s", "x" * 100_000, "\x1b[2J"):
        answer = recommend(prepared, user, 3)
        assert (answer.known_user, len(answer.items)) == (False, 3)
    for user in ("", "   ", "\0", "\u200b\ufeff"):
        with pytest.raises(BadInput, match="Received: an empty text"):
            recommend(prepared, user, 3)


def test_more_than_there_is_gives_all_there_is(prepared: Settings) -> None:
    many = recommend(prepared, "nobody ever saw me", 10**12)
    assert len({item.item_id for item in many.items}) == len(many.items) > 1000
    for k in (0, -1):
        with pytest.raises(BadInput, match="positive"):
            recommend(prepared, "nobody ever saw me", k)


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.unlink()  # the served copy may be a link to it
    path.write_bytes(content)


DAMAGES: list[tuple[Callable[[Path], None], str]] = [
    (Path.unlink, "saved_model.pb"),
    (flip, "variables/variables.data-00000-of-00001"),
    (shutil.rmtree, "assets.extra"),
    (shutil.rmtree, "."),
]


def test_a_damaged_export_is_told_in_one_sentence_and_written_anew_by_the_remedy(
    mine: Settings,
) -> None:
    before = recommend(mine, "nobody ever saw me", 5)
    whole = Path(releases_uri(mine))
    for number, (damage, where) in enumerate(DAMAGES):
        # A folder of its own for each: `recommend` keeps what it read from one.
        damaged = shutil.copytree(whole, whole.with_name(f"damaged-{number}"))
        with transaction(mine.database_url) as cursor:
            cursor.execute("update ledger.release set uri = %s", (str(damaged),))
        damage(damaged / "saved_model" / where)
        with pytest.raises(ReleaseDamaged) as told:
            recommend(mine, "nobody ever saw me", 5)
        assert "`recloop publish --release 1` writes it anew" in str(told.value)
    assert update_stages.publish(1, mine)["mended"]
    assert recommend(mine, "nobody ever saw me", 5) == before
    assert not update_stages.publish(None, mine)["mended"]


def test_without_export_and_checkpoint_nothing_is_rolled_back(mine: Settings) -> None:
    uri = Path(releases_uri(mine))
    shutil.rmtree(uri / "saved_model")
    shutil.rmtree(uri / "checkpoint")
    with pytest.raises(ReleaseDamaged, match="so is the checkpoint"):
        promotion.roll_back(mine, 1, "a test")
    with transaction(mine.database_url) as cursor:
        cursor.execute("select count(*) from ledger.reign")
        assert cursor.fetchone() == (1,)


def releases_uri(settings: Settings) -> str:
    with transaction(settings.database_url) as cursor:
        champion = releases.champion(cursor)
    assert champion
    return champion.uri
