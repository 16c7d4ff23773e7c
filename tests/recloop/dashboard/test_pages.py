"""The pages as a whole: what they say, what they leave out, and that text is nothing but text."""

from __future__ import annotations

import re

import pytest

from recloop.dashboard import pages, recommended
from recloop.database.connection import transaction
from recloop.errors import ReleaseDamaged
from recloop.settings import Settings
from tests.recloop.dashboard.lives import NOW, RUN, evaluate, key, live, shadow

EVIL = '"><script>alert(1)</script>'


@pytest.fixture
def shop(settings: Settings) -> Settings:
    with transaction(settings.database_url) as cursor:
        live(cursor)
        shadow(cursor)
    return settings


def test_the_page_tells_everything(shop: Settings) -> None:
    page = pages.recommender_page(shop, NOW)
    for said in (
        'release <a href="../default/releases/2">2</a>',
        f"with the next update: {key(0)}+1, {key(3)}",
        "ndcg@20 on each window before anything learnt from it",
        "champion, 2011-06-13: 0.2000</title>",
        f'<a href="../default/shadow/{key(2)}">the shadow rebuild of window {key(2)}</a>',
        "Full retrainings in their place would have cost about 180.0 CPU s",
        "promoted in at most 5 % of cases",
        '<a href="../../dags/incremental_update/runs/manual__1">run</a>',
        "✗ refused by validation",
        "3 events, not 90",
        "price: 4 lines",
    ):
        assert said in page, said
    assert '<form method="post"' not in page, "nobody in particular may do nothing"


def test_only_what_somebody_may_do_is_shown_and_carries_the_token(shop: Settings) -> None:
    page = pages.recommender_page(shop, NOW, may=("pin", "accept"), csrf="the-token")
    actions = re.findall(r'<form method="post" action="([^"]+)"', page)
    assert actions == ["../default/actions/accept", "../default/actions/pin"]
    assert page.count('name="csrf" value="the-token"') == 2
    assert page.count('name="reason" required minlength="3"') == 2


def test_text_of_others_is_escaped_everywhere(shop: Settings) -> None:
    with transaction(shop.database_url) as cursor:
        cursor.execute("update ledger.update set reason = %s, holder = %s", (EVIL, f"{RUN}{EVIL}"))
        cursor.execute(
            "update ledger.window set quarantined = jsonb_build_object(%s::text, 1)", (EVIL,)
        )
        cursor.execute("update ledger.reign set reason = %s", (EVIL,))
    shown = [
        pages.recommender_page(
            shop, NOW, run=f"{RUN}{EVIL}", metric=EVIL, said=EVIL, said_run=EVIL
        ),
        pages.index_page(shop, NOW, EVIL),
        pages.windows_page(shop, None),
        pages.releases_page(shop, None),
        pages.lineage_page(shop, 2),
    ]
    for page in shown:
        assert "<script" not in page
    assert all("&lt;script&gt;" in page for page in shown)


def test_a_run_is_told_of_what_it_did(shop: Settings) -> None:
    page = pages.recommender_page(shop, NOW, run=RUN)
    section = page[page.index("This run") : page.index("How fresh")]
    assert f"of window {key(2)}: increment, promoted" in section
    assert f"of window {key(1)}: skip, skipped" in section


@pytest.mark.parametrize(
    ("change", "state"),
    [
        ("select 1", "✗ a window was refused and waits for a person"),
        ("delete from ledger.window where state = 'refused'", "… windows wait"),
    ],
)
def test_a_card_says_what_is_the_matter(shop: Settings, change: str, state: str) -> None:
    with transaction(shop.database_url) as cursor:
        cursor.execute(change)
    page = pages.index_page(shop, NOW)
    assert f"<strong>{state}</strong>" in page
    assert '<a href="default/">default</a>' in page
    with transaction(shop.database_url) as cursor:
        evaluate(cursor, 4, ask="a rule")
    assert "? a challenger waits" in pages.index_page(shop, NOW)


def test_long_lists_are_paged(shop: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pages.window_fates, "PAGE", 3)
    monkeypatch.setattr(pages.release_lineage, "PAGE", 1)
    page = pages.windows_page(shop, None)
    assert f'<a href="?before={key(5)}">Older</a>' in page
    page = pages.windows_page(shop, key(3))
    assert "Older" not in page
    assert key(3) not in page
    assert '<a href="?before=2">Older</a>' in pages.releases_page(shop, None)


def test_a_user_is_shown_two_releases_side_by_side(
    shop: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def read(settings: Settings, user: str, versions: list[int]) -> list[dict]:
        asked.append((user, versions))
        items = [{"item_id": "85123A", "name": EVIL, "score": 0.5}]
        return [{"release": n, "items": items, "error": "", "known_user": True} for n in versions]

    monkeypatch.setattr(pages, "read_recommended", read)
    page = pages.recommended_page(shop, "17850", NOW)
    assert asked == [("17850", [2, 1])]
    assert "Now, by release 2" in page
    assert "By the release before, 1" in page
    assert "85123A" in page
    assert "<script" not in page


def test_a_release_that_cannot_answer_says_why(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    from recloop.release import recommend

    def damaged(*_: object) -> None:
        raise ReleaseDamaged("the export of release 1 is damaged")

    monkeypatch.setattr(recommend, "recommend", damaged)
    (answer,) = recommended.read_recommended(settings, "17850", [1])
    assert (answer["items"], answer["error"]) == ([], "the export of release 1 is damaged")
