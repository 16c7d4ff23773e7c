import pytest

from models.recipes import INCREMENT, REBUILD, Recipe


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("epochs", 0),
        ("batch_size", 1),
        ("learning_rate", 0.0),
        ("learning_rate", float("nan")),
        ("dropout", 1.0),
        ("user_dropout", -0.1),
        ("clip_norm", -1.0),
        ("seed", -1),
        ("shuffle", "weekly"),
    ],
)
def test_a_bad_value_is_refused_by_name(name, value) -> None:
    sound = {"epochs": 1, "learning_rate": 0.1, "batch_size": 8}
    with pytest.raises(ValueError, match=f"`{name}` should be .* Received: .*{value}"):
        Recipe(**{**sound, name: value})


def test_an_increment_is_lighter_than_a_rebuild() -> None:
    assert INCREMENT.epochs <= REBUILD.epochs
