import pytest

from models.learning.recipes import INCREMENT, REBUILD, Recipe


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
        ("replay", "fifo"),
        ("memory_size", 0),
        ("memory_half_life", 0.0),
        ("distillation_temperature", 0.0),
        ("shuffle", "weekly"),
    ],
)
def test_a_bad_value_is_refused_by_name(name, value) -> None:
    sound = {"epochs": 1, "learning_rate": 0.1, "batch_size": 8}
    with pytest.raises(ValueError, match=f"`{name}` should be .* Received: .*{value}"):
        Recipe(**{**sound, name: value})


def test_an_increment_is_lighter_than_a_rebuild() -> None:
    assert INCREMENT.epochs <= REBUILD.epochs


@pytest.mark.parametrize(
    "values", [{"replay": "uniform"}, {"replay_share": 0.5}, {"distillation": 0.5}]
)
def test_replay_needs_both_examples_and_a_use_for_them(values) -> None:
    with pytest.raises(ValueError, match="give both or none"):
        Recipe(1, 0.1, 8, **values)


@pytest.mark.parametrize("use", [{"replay_share": 0.5}, {"distillation": 0.5}, {"ewc": 1.0}])
def test_past_examples_have_three_uses(use) -> None:
    assert Recipe(1, 0.1, 8, replay="herding", **use).replay == "herding"
