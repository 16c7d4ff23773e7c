import dataclasses
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from benchmarks.ctr_features import NAMES, features_of
from benchmarks.ctr_protocol import Clicks
from benchmarks.ctr_ratings import RatingLog, read_ratings
from recloop.errors import BadInput

ROWS = [(3, 7, 4.0, 300), (1, 8, 2.5, 100), (3, 9, 5.0, 100), (2, 7, 0.5, 200)]
FORMS = {
    "ratings.csv": ("userId,movieId,rating,timestamp\n", ",", 1.0),
    "ratings.dat": ("", "::", 1.0),
    "u.data": ("", "\t", 1.0),
}


@pytest.mark.parametrize("name", FORMS)
@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_the_three_forms_are_read_oldest_first(tmp_path: Path, name: str, newline: str) -> None:
    header, between, _ = FORMS[name]
    lines = [between.join(str(value) for value in row) for row in ROWS]
    text = (header + "\n".join(lines) + "\n").replace("\n", newline)
    (tmp_path / name).write_text(text, newline="")
    log = read_ratings(tmp_path / name)
    # Equal times stay in the order of the file.
    assert log.times.tolist() == [100, 100, 200, 300]
    assert log.user_keys.tolist() == [1, 3, 2, 3]
    assert log.item_keys.tolist() == [8, 9, 7, 7]
    assert log.ratings.tolist() == [2.5, 5.0, 0.5, 4.0]
    assert log.user_keys.dtype == log.item_keys.dtype == log.times.dtype == np.int64
    part = log.between(100, 300)
    assert part.times.tolist() == [100, 100, 200]
    assert len(log.between(101, None)) == 2
    assert len(log.between(500, 400)) == 0


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a,b,c\n1,2,3\n", "first line is 'a,b,c'"),
        ("", "first line is ''"),
        ("userId,movieId,tag,timestamp\n1,2,fun,3\n", "doesn't look like MovieLens ratings"),
        ("userId,movieId,rating,timestamp\n1,2,x,3\n", "can't be read as ratings"),
        ("userId,movieId,rating,timestamp\n1,2,3.0\n", "can't be read as ratings"),
        ("userId,movieId,rating,timestamp\n", "has no ratings"),
        ("userId,movieId,rating,timestamp\n4,5,3.0,9\n0,5,3.0,9\n", r"`userId`.*0 in rating 2"),
    ],
)
def test_other_files_are_refused_with_what_they_should_be(tmp_path, text, message) -> None:
    path = tmp_path / "file.csv"
    path.write_text(text)
    with pytest.raises(BadInput, match=message):
        read_ratings(path)


def test_a_missing_file_and_a_folder_are_refused(tmp_path) -> None:
    for path in (tmp_path, tmp_path / "none.csv"):
        with pytest.raises(BadInput, match="no ratings file at"):
            read_ratings(path)


def make_log(count: int = 120, seed: int = 0) -> RatingLog:
    """Few users, items and seconds: many ratings of one second."""
    rng = np.random.default_rng(seed)
    return RatingLog(
        rng.integers(1, 6, count),
        rng.integers(1, 9, count),
        (rng.integers(1, 11, count) / 2).astype(np.float32),
        np.sort(rng.integers(0, 40, count)) * 86_400,
    )


def oracle(log: RatingLog, moments: np.ndarray) -> dict[str, list[float]]:
    """One rating at a time, looking at those of earlier moments."""
    rows = list(zip(log.user_keys, log.item_keys, log.ratings, log.times, strict=True))
    found: dict[str, list[float]] = {name: [] for name in NAMES}
    expected_likes: dict[str, list[float]] = {"user": [], "item": []}
    for (user, item, _, _), now in zip(rows, moments, strict=True):
        before = [n for n in range(len(rows)) if moments[n] < now]
        liked = {n: float(rows[n][2] >= 4) for n in before}
        everyone = (sum(liked.values()) + 0.5) / (len(before) + 1)
        mean = (sum(rows[n][2] for n in before) + 3.5) / (len(before) + 1)
        found["all_likes"].append(everyone)
        for side, key, place, pull in (("user", user, 0, 5), ("item", item, 1, 20)):
            own = [n for n in before if rows[n][place] == key]
            likes = (sum(liked[n] for n in own) + pull * everyone) / (len(own) + pull)
            latest = own[-20:]
            other = "item" if side == "user" else "user"
            surprise = sum(liked[n] - expected_likes[other][n] for n in own)
            found[f"{side}_count"].append(np.log1p(len(own)))
            found[f"{side}_likes"].append(likes)
            recent = sum(liked[n] for n in latest) + pull * likes
            found[f"{side}_latest"].append(recent / (len(latest) + pull))
            found[f"{side}_mean"].append(
                (sum(rows[n][2] for n in own) + pull * mean) / (len(own) + pull)
            )
            days = (now - rows[own[-1]][3]) / 86_400 if own else 30 * 365
            found[f"{side}_recency"].append(np.log1p(days))
            found[f"{side}_offset"].append(surprise / (len(own) + pull))
            if side == "item":
                age = (now - rows[own[0]][3]) / 86_400 if own else 30 * 365
                found["item_age"].append(np.log1p(age))
        for side in ("user", "item"):
            expected_likes[side].append(found[f"{side}_likes"][-1])
        found["expected"].append(found["item_likes"][-1] + found["user_offset"][-1])
    return found


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("frozen", [False, True])
def test_features_are_those_of_an_oracle_that_looks_at_one_rating_at_a_time(
    seed: int, frozen: bool
) -> None:
    log = make_log(seed=seed)
    moments = np.repeat(log.times[::30], 30) if frozen else log.times
    got = features_of(log, log.ratings >= 4, moments)
    assert (got.shape, got.dtype) == ((120, len(NAMES)), np.float32)
    for name, values in oracle(log, moments).items():
        assert got[:, NAMES.index(name)] == pytest.approx(np.array(values), abs=1e-5), name


def test_nothing_of_the_future_or_the_same_second_is_known() -> None:
    log = make_log()
    before = features_of(log, log.ratings >= 4, log.times)
    for moment in (0, 5 * 86_400, 20 * 86_400):
        later = log.times >= moment
        changed = dataclasses.replace(log, ratings=np.where(later, 5.5 - log.ratings, log.ratings))
        after = features_of(changed, changed.ratings >= 4, changed.times)
        unaffected = log.times <= moment
        assert np.array_equal(after[unaffected], before[unaffected])
        assert (after[log.times > moment] != before[log.times > moment]).any()


def test_frozen_nothing_of_a_period_is_known_within_it() -> None:
    log, bounds = make_log(), np.array([0, 40, 80, 110])
    clicks = Clicks.of(log, bounds)
    assert len(clicks) == 110, "what is in no period is dropped"
    for low, high in pairwise(bounds):
        flipped = log.ratings.copy()
        flipped[low:] = 5.5 - flipped[low:]
        changed = Clicks.of(dataclasses.replace(log, ratings=flipped), bounds)
        # Sums over the past are differences of running sums: the last digit may differ.
        np.testing.assert_allclose(changed.features[:high], clicks.features[:high], atol=1e-6)
        assert len(set(clicks.moments[low:high])) == 1
        # Online, the period's own labels are known as soon as a second has passed.
        online = Clicks.of(log).features[low:high]
        assert np.abs(online - clicks.features[low:high]).max() > 1e-2
    assert (clicks.features[40:80] != clicks.features[:40]).any(), "of earlier periods they are"
