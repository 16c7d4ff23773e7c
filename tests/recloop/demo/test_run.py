"""The demonstration's steps that need no Airflow: which windows, what waits, what is shown."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from recloop.config.dataset import load_dataset
from recloop.database.connection import transaction
from recloop.demo import run
from recloop.errors import BadInput
from recloop.ledger import updates
from recloop.settings import Settings
from tests.recloop.behavior.datasets import customised
from tests.recloop.behavior.shop import WEEKS, shop_week, write
from tests.recloop.ledger.builders import accept, feature, plan, promote, window


def test_the_first_windows_are_the_warm_up_and_as_many_follow_as_there_are(
    settings: Settings, shop_file: Path, tmp_path: Path
) -> None:
    settings = customised(settings, "online_retail", tmp_path, window={"warm_up": 1})
    settings = settings.model_copy(update={"data": shop_file})
    warm_up, following = run._windows(settings, load_dataset(settings), weeks=5)
    assert [one.key for one in warm_up] == [WEEKS[0]]
    assert [one.key for one in following] == [WEEKS[1]]


def test_a_source_without_lines_or_with_too_few_windows_is_named(
    folder_settings: Settings,
) -> None:
    spec = load_dataset(folder_settings)
    with pytest.raises(BadInput, match="online_retail has no lines with a usable timestamp"):
        run._windows(folder_settings, spec, weeks=1)
    assert folder_settings.data is not None
    write(folder_settings.data / "a.csv", shop_week(WEEKS[0]) + shop_week(WEEKS[2]))
    with pytest.raises(BadInput, match=r"has 3 windows, and its warm-up takes 26; lower"):
        run._windows(folder_settings, spec, weeks=1)


def test_a_window_waits_until_it_is_decided_on_or_refused(
    settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    keys = [window(number).key for number in range(5)]
    before = run._fingerprint(settings)
    with transaction(settings.database_url) as cursor:
        feature(cursor, 0)
        promote(cursor, 0, "rebuild")
        accept(cursor, 1)
        cursor.execute("update ledger.window set state = 'refused' where state = 'validated'")
        accept(cursor, 2)
        feature(cursor, 3)
    assert run._waiting(settings, keys) == keys[2:], "of window 4 the ledger has never heard"
    there = run._fingerprint(settings)
    assert there != before
    with transaction(settings.database_url) as cursor:
        feature(cursor, 0, events=5)
        updates.begin_update(cursor, plan(cursor, 3), "another run")
    assert run._fingerprint(settings) != there
    assert run._waiting(settings, keys) == keys[2:]
    run._run_through_airflow(settings, [window(0), window(1)])
    assert "the ledger has all of them; nothing to run" in capsys.readouterr().err


def test_what_the_warm_up_recommended_is_kept_for_a_second_run(
    settings: Settings, tmp_path: Path
) -> None:
    assert run._recommendations_before(settings, tmp_path) == []
    kept = [{"user_id": "12346", "release": 1, "items": []}]
    (tmp_path / "before.json").write_text(json.dumps(kept))
    assert run._recommendations_before(settings, tmp_path) == kept


def test_what_is_shown_has_the_reasons_the_differences_and_both_answers(
    capsys: pytest.CaptureFixture[str],
) -> None:
    difference = {
        "recall@20": 0.0212, "low": -0.01, "high": 0.05,
        "ndcg@20": -0.003, "ndcg_low": -0.02, "ndcg_high": 0.0,
    }  # fmt: skip
    nothing_new = {"recall@20": None, "ndcg@20": None}
    champion = nothing_new | {"all_pairs": {"recall@20": 0.5, "ndcg@20": 0.25}}
    row: dict[str, Any] = {
        "window": "2011-05-30", "events": 1234, "late": [], "kinds": {}, "quarantined": 7,
        "pending": False, "decision": "increment", "reason": "news in [brackets]", "gate": None,
        "release": 2, "champion": None, "challenger": None, "seconds": {},
    }  # fmt: skip
    lines = {"total": 0, "accepted": 0, "duplicates": 0, "quarantined": {}, "pending": 0}
    item = {"item_id": "20001", "name": "RED CUP"}
    before = [{"user_id": "12346", "release": 1, "items": [item]}]
    report = {
        "windows": [row],
        "lines": lines,
        "summary": {"weeks": 1, "champion": champion, "champion_minus_static": difference},
        "recommendations": {"after": [{"user_id": "12346", "release": 2, "items": []}]},
    }
    run._show(report, before)
    shown = capsys.readouterr()
    assert "2011-05-30: increment: news in [brackets]" in shown.err
    assert "recall@20 +0.0212 [-0.0100, +0.0500]  NDCG@20 -0.0030 [-0.0200, +0.0000]" in shown.out
    told = next(line for line in shown.out.splitlines() if line.startswith("│ champion "))
    assert told.replace("│", "").split() == ["champion", "0.5000", "0.2500", "–", "–"]
    assert "customer 12346, before (release 1)" in shown.out
    assert "after (release 2)" in shown.out
    assert "RED CUP (20001)" in shown.out
