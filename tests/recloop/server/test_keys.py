"""Who may call what, and how often."""

from __future__ import annotations

import json
import stat

import pytest

from recloop.errors import BadInput
from recloop.server.keys import ANYBODY, Doorkeeper, drop_key, keys_file, make_key, read_file
from recloop.settings import Settings


class Clock:
    """Seconds that pass when a test says so."""

    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def door(settings: Settings, clock: Clock, per_second: float = 10, burst: int = 3) -> Doorkeeper:
    return Doorkeeper(settings, per_second, burst, clock)


@pytest.fixture
def settings(tmp_path) -> Settings:
    return Settings(home=tmp_path / "home")


def test_the_file_has_digests_alone_and_is_its_owners(settings: Settings) -> None:
    key = make_key(settings, "shop", ("recommend", "feedback"))
    path = keys_file(settings)
    assert key not in path.read_text()
    assert key.removeprefix("rl_") not in path.read_text()
    assert len(key) > 30
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert read_file(settings)["shop"]["scopes"] == ["feedback", "recommend"]
    assert [one.name for one in path.parent.iterdir()] == [path.name]


def test_a_key_tells_its_caller_and_another_in_its_place_ends_it(
    settings: Settings, clock: Clock
) -> None:
    first = make_key(settings, "shop", ("recommend",))
    desk = door(settings, clock)
    caller = desk.caller(first)
    assert caller is not None
    assert (caller.name, caller.scopes) == ("shop", {"recommend"})
    assert desk.caller("rl_another") is None
    assert desk.caller(None) is None
    assert desk.caller("") is None
    second = make_key(settings, "shop", ("recommend",))
    clock.now += 1.1
    assert desk.caller(first) is None
    assert desk.caller(second) is not None


def test_a_dropped_key_is_noticed_within_a_second_and_the_last_does_not_open_the_door(
    settings: Settings, clock: Clock
) -> None:
    key = make_key(settings, "shop", ("recommend",))
    desk = door(settings, clock)
    drop_key(settings, "shop")
    clock.now += 0.9
    assert desk.caller(key) is not None
    clock.now += 0.2
    assert desk.caller(key) is None
    assert desk.caller(None) is None
    assert door(settings, clock).caller(None) is None  # nor does a new start
    keys_file(settings).unlink()
    clock.now += 1.1
    assert desk.caller(None) is None
    assert door(settings, clock).caller(None) is ANYBODY
    with pytest.raises(BadInput, match="no key 'shop', but none at all"):
        drop_key(settings, "shop")


def test_the_first_key_shuts_a_door_that_stood_open(settings: Settings, clock: Clock) -> None:
    desk = door(settings, clock)
    assert desk.caller("anything") is ANYBODY
    make_key(settings, "shop", ("read",))
    clock.now += 1.1
    assert desk.caller("anything") is None


@pytest.mark.parametrize(
    "content",
    ["", "{", "[]", '{"a": 1}', '{"a": {"sha256": "zz", "scopes": []}}', '{"a": {"sha256": "00"}}'],
)
def test_a_broken_file_leaves_the_keys_as_they_were(
    content: str, settings: Settings, clock: Clock
) -> None:
    key = make_key(settings, "shop", ("recommend",))
    desk = door(settings, clock)
    keys_file(settings).write_text(content)
    clock.now += 1.1
    assert desk.caller(key) is not None
    assert desk.caller("another") is None
    with pytest.raises(BadInput, match=r"cannot be read: .* make the keys anew"):
        door(settings, clock)


@pytest.mark.parametrize(
    ("name", "scopes", "told"),
    [
        ("shop", ("recommend", "root"), "Received: 'root'"),
        ("shop", (), "Received: none"),
        (" ", ("read",), "Received: an empty text"),
    ],
)
def test_what_cannot_be_a_key_is_told(
    name: str, scopes: tuple[str, ...], told: str, settings: Settings
) -> None:
    with pytest.raises(BadInput, match=told):
        make_key(settings, name, scopes)
    assert not keys_file(settings).exists()


def test_a_bucket_of_three_filled_eight_times_a_second(settings: Settings, clock: Clock) -> None:
    desk = door(settings, clock, per_second=8, burst=3)
    waits = [desk.wait_of(ANYBODY) for _ in range(5)]
    assert waits == pytest.approx([0, 0, 0, 0.125, 0.125])
    clock.now += 0.125
    assert desk.wait_of(ANYBODY) == 0
    assert desk.wait_of(ANYBODY) == pytest.approx(0.125)
    clock.now += 1000  # no more than the burst is saved up
    assert [desk.wait_of(ANYBODY) > 0 for _ in range(4)] == [False, False, False, True]


def test_callers_have_a_bucket_each(settings: Settings, clock: Clock) -> None:
    one = make_key(settings, "one", ("recommend",))
    other = make_key(settings, "other", ("recommend",))
    desk = door(settings, clock, burst=1)
    first, second = desk.caller(one), desk.caller(other)
    assert first is not None
    assert second is not None
    assert [desk.wait_of(first) > 0, desk.wait_of(first) > 0] == [False, True]
    assert desk.wait_of(second) == 0
    assert json.loads(keys_file(settings).read_text()).keys() == {"one", "other"}
