import numpy as np
import pytest

from models.ids.starts import MOST_SHARING, Groups, by_groups, by_words
from models.tables.vocabulary import Vocabulary


def words(*items: list[int]) -> np.ndarray:
    return np.array(items, np.int64)


def test_shared_words_by_hand() -> None:
    known = words([0, 0], [1, 2], [1, 0], [3, 0])
    [(rows, weights), (nothing, no_weights)] = by_words(words([2, 1], [9, 0]), known)
    # Word 1 is in 2 of 3 known items, word 2 in 1 of 3.
    one, two = np.log(1 + 3 / 2), np.log(1 + 3 / 1)
    assert rows.tolist() == [1, 2]
    assert weights == pytest.approx([one + two, one])
    assert len(nothing) == len(no_weights) == 0


def test_a_word_repeated_in_one_item_counts_once() -> None:
    [(rows, weights)] = by_words(words([1, 1]), words([0, 0], [1, 1], [1, 0]))
    assert rows.tolist() == [1, 2]
    assert weights == pytest.approx([np.log(2), np.log(2)])


def test_items_without_words_share_none() -> None:
    [first, second] = by_words(words([0, 0], [7, 0]), words([0, 0], [0, 0], [5, 0]))
    assert len(first[0]) == len(second[0]) == 0


def test_of_the_items_with_a_common_word_the_newest_take_part() -> None:
    known = np.zeros((1001, 2), np.int64)
    known[1:, 0] = 4
    known[1, 1] = 5
    [(rows, weights)] = by_words(words([4, 5]), known)
    assert rows.tolist() == [1, *range(1001 - MOST_SHARING, 1001)]
    assert weights[0] == pytest.approx(np.log(1001))
    assert weights[1:] == pytest.approx(np.log(2))


@pytest.mark.parametrize("distinct", [3, 254, 255, 256, 300])
def test_behaves_like_the_loop_that_it_replaces(distinct) -> None:
    rng = np.random.default_rng(distinct)
    new = rng.permutation(np.resize(np.arange(distinct), 420)).reshape(70, 6)
    known = rng.permutation(np.resize(np.arange(distinct + 9), 1203)).reshape(401, 3)
    known[0] = 0
    sets = [set(row.tolist()) - {0} for row in known]
    for row, (rows, weights) in zip(new, by_words(new, known), strict=True):
        expected: dict[int, float] = {}
        for word in set(row.tolist()) - {0}:
            having = [i for i, has in enumerate(sets) if word in has]
            for i in having:
                expected[i] = expected.get(i, 0.0) + np.log(1 + 400 / len(having))
        assert rows.tolist() == sorted(expected)
        assert weights == pytest.approx([expected[i] for i in sorted(expected)])


def test_items_of_the_same_groups_by_hand() -> None:
    # Keys 10, 20, 30 are rows 1, 2, 3; 71 and 72 are new, 99 is neither.
    known = Vocabulary(np.array([10, 20, 30]))
    events = {5: [71, 10, 10, 99], 6: [10, 71, 71, 30], 7: [20, 72], 8: [99, 72], 9: [30]}
    together = Groups(
        np.array([group for group, keys in events.items() for _ in keys]),
        np.array([key for keys in events.values() for key in keys]),
    )
    blends = by_groups(np.array([71, 72, 73]), together, known)
    assert [(rows.tolist(), weights.tolist()) for rows, weights in blends] == [
        ([1, 3], [2.0, 1.0]),
        ([2], [1.0]),
        ([], []),
    ]


def test_no_events_no_company() -> None:
    nothing = np.zeros(0, np.int64)
    [(rows, _)] = by_groups(np.array([71]), Groups(nothing, nothing), Vocabulary(np.array([10])))
    assert len(rows) == 0


def test_groups_and_items_go_together() -> None:
    with pytest.raises(ValueError, match=r"`groups` should have one row per row of `item_keys`"):
        Groups(np.array([1, 2]), np.array([1]))


def test_of_a_robots_group_the_newest_known_items_take_part() -> None:
    known = np.arange(1, 3001)
    new = np.arange(3001, 6001)
    session = np.concatenate([known, new])
    together = Groups(np.zeros(len(session), np.int64), session)
    blends = by_groups(new, together, Vocabulary(known))
    # Each of 3,000 new items beside all 3,000 known ones would be 9,000,000 rows.
    assert sum(len(rows) for rows, _ in blends) == 3000 * MOST_SHARING
    assert blends[0][0].tolist() == list(range(3001 - MOST_SHARING, 3001))
