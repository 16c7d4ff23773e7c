"""Which releases keep their files, by the ledger."""

from __future__ import annotations

import pytest

from recloop.errors import ReleaseMissing
from recloop.ledger import deletions, releases, updates
from tests.recloop.ledger.builders import feature, judge, plan, promote, train, window


@pytest.fixture
def seven(cursor):
    """Release 1 and 4 from scratch, 2, 3 and 5, 6, 7 by increments after them."""
    for number in range(7):
        feature(cursor, number)
        promote(cursor, number, "rebuild" if number in (0, 3) else "increment")
    return cursor


def test_the_latest_stay_and_the_release_that_their_lineage_began_with(seven) -> None:
    keeping, fresh = deletions.mark(seven, 2)
    assert list(keeping.kept) == [4, 6, 7]
    assert fresh == [1, 2, 3, 5]
    assert keeping.thinned[5].startswith("/release/")


def test_marking_again_marks_nothing_but_still_lists_what_is_to_go(seven) -> None:
    first, _ = deletions.mark(seven, 2)
    second, fresh = deletions.mark(seven, 2)
    assert fresh == []
    assert second == first


def test_one_cannot_roll_back_to_what_was_thinned(seven) -> None:
    deletions.mark(seven, 2)
    with pytest.raises(ReleaseMissing, match=r"release 5 .* releases with files: 4, 6, 7"):
        releases.roll_back(seven, 5, "please")
    assert releases.champion(seven).version == 7
    assert releases.roll_back(seven, 6, "please").version == 6


def test_after_a_rollback_the_champions_lineage_stays(seven) -> None:
    """The reigns are 3, then 7, 6, …; the lineage of 3 is 1, 2, 3."""
    releases.roll_back(seven, 3, "much worse")
    keeping, _ = deletions.mark(seven, 2)
    assert list(keeping.kept) == [1, 2, 3, 4, 7]


def test_the_parent_of_a_live_update_stays(seven) -> None:
    feature(seven, 7)
    made = plan(seven, 7)
    lease = updates.begin_update(seven, made, "run")
    train(seven, lease, made)
    for version in (1, 2):  # the champion moves meanwhile, twice
        releases.roll_back(seven, version, "x")
    keeping, _ = deletions.mark(seven, 2)
    assert list(keeping.kept) == [1, 2, 4, 7]
    assert keeping.live_updates == {lease.update_id}
    assert keeping.candidates == ("/c",)


def test_before_the_first_release_nothing_is_marked(cursor) -> None:
    keeping, fresh = deletions.mark(cursor, 5)
    assert (keeping.kept, keeping.thinned, fresh) == ({}, {}, [])


def test_averaging_leaves_out_what_was_thinned(seven) -> None:
    deletions.mark(seven, 2)
    lineage = releases.lineage(seven, releases.champion(seven), 4)
    assert [release.version for release in lineage] == [4, 5, 6, 7]
    assert [r.version for r in deletions.with_files(seven, lineage)] == [4, 6, 7]


def test_a_maintained_champion_stays_in_its_lineage(cursor) -> None:
    feature(cursor, 0)
    parent = promote(cursor, 0, "rebuild")
    made = plan(cursor, 0).model_copy(update={"decision": "maintain"})
    assert made.windows == ()
    lease = updates.begin_update(cursor, made, "run")
    train(cursor, lease, made)
    judge(cursor, lease, made, passed=True)
    release = releases.promote(cursor, lease, "/small")
    assert (release.parent_version, release.windows) == (parent.version, (window(0).key,))
    assert releases.pending(cursor) == []


def test_what_a_rebuild_would_be_held_against_stays(seven) -> None:
    assert deletions.mark(seven, 2)[0].lesson == "/c"
    made = plan(seven, 6).model_copy(update={"decision": "maintain", "windows": ()})
    lease = updates.begin_update(seven, made, "run")
    seven.execute(
        "update ledger.update set candidate = jsonb_set(candidate, '{uri}', to_jsonb('/c' || update_id))"
        " where candidate is not null"
    )
    train(seven, lease, made)
    judge(seven, lease, made, passed=True)
    releases.promote(seven, lease, "/maintained")
    # Release 8 is release 7 made smaller: what 7's update had trained is what counts.
    assert deletions.mark(seven, 2)[0].lesson == "/c7"
