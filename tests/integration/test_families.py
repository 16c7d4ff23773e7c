"""Each family from a file that arrives to an answer, through the stages.

A first champion, two increments, a refused challenger, a rebuild, a rollback, `recommend`, and the
export in a process that knows no recloop.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from recloop.cli.loop import run_update
from recloop.database.connection import transaction
from recloop.errors import BadInput
from recloop.ledger import releases
from recloop.release.recommend import recommend
from recloop.settings import Settings
from recloop.stages import update_stages
from recloop.stages.ingest_stages import ingest_windows
from recloop.stages.status import read_status
from tests.integration.family_shop import LOADED, MODELS, deliver, key, refuse_all, settings_of

Json = dict[str, Any]


@pytest.mark.parametrize("name", [one for one in MODELS if one != "retrieve_and_rank"])
def test_a_family_goes_the_whole_way(name: str, database_url: str, tmp_path: Path) -> None:
    settings = settings_of(database_url, tmp_path, MODELS[name])
    deliver(settings, 0, 1, 2, 3)
    ingested = ingest_windows(settings)
    assert ingested["done"] == [key(week) for week in range(4)], ingested
    first = run_update(settings, key(1), "rebuild", {})
    assert first["outcome"] == "promoted", first["gate"]
    for week in (2, 3):
        done = run_update(settings, key(week), "increment", {})
        assert done["outcome"] == "promoted", done["gate"]
        metrics = done["gate"]["challenger"]["values"]
        assert all(value > 0 for value in metrics.values()), metrics

    deliver(settings, 4)
    ingest_windows(settings)
    refused = refused_by_more_users(settings)
    assert refused["outcome"] == "rejected"
    assert "catalogue_share" in {r["name"] for r in refused["gate"]["rules"] if not r["passed"]}
    assert read_status(settings)["pending"] == [key(4)]
    rebuilt = run_update(settings, None, "rebuild", {})
    assert rebuilt["plan"]["decision"] == "rebuild"
    assert rebuilt["outcome"] in ("promoted", "rejected")

    before = champion(settings)
    back = update_stages.roll_back(2, "a test", settings)
    assert back["version"] == 2 != before.version
    found = recommend(settings, "v00", 5)
    assert len(found.items) == 5
    assert found.known_user
    if name == "sessions":
        after = recommend(settings, session=["film 03", "film 04"], k=6).items
        shown = {item.item_id for item in after}
        assert "film 05" in shown
        assert shown < {f"film {n:02}" for n in range(20)}, "of the other camp"
        with pytest.raises(BadInput, match="'film 99', which no event had"):
            recommend(settings, session=["film 99"])
    elif name != "click_through":
        with pytest.raises(BadInput, match="to which a session says nothing"):
            recommend(settings, session=["film 03"])
    else:
        after = recommend(settings, session=["film 03", "film 04"], k=6).items
        assert len({item.item_id for item in after} - {"film 03", "film 04"}) == 6
    export = Path(champion(settings).uri) / "saved_model"
    done = subprocess.run(
        [sys.executable, "-c", LOADED, str(export)], capture_output=True, text=True, cwd=tmp_path
    )
    assert done.stdout.strip() == "5", done.stderr[-2000:]


def refused_by_more_users(settings: Settings) -> Json:
    """An update whose gate asks for more users than there are."""
    with refuse_all(settings):
        return run_update(settings, key(4), "increment", {})


def champion(settings: Settings) -> Any:
    with transaction(settings.database_url) as cursor:
        return releases.champion(cursor)


def test_another_family_in_the_dataset_file_wants_a_rebuild(
    database_url: str, tmp_path: Path
) -> None:
    settings = settings_of(database_url, tmp_path, MODELS["ratings"])
    deliver(settings, 0, 1)
    ingest_windows(settings)
    assert run_update(settings, key(0), "rebuild", {})["outcome"] == "promoted"
    path = settings.config / "datasets" / "films.toml"
    path.write_text(
        path.read_text().replace('"ratings"', '"sessions"').replace("dimension = 8\n", "")
    )
    with pytest.raises(BadInput, match=r"champion is of family ratings.*a file of its own"):
        run_update(settings, key(1), "increment", {})
