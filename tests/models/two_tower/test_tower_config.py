import json

import pytest

from models.two_tower.tower_config import ModelConfig


def test_survives_json() -> None:
    config = ModelConfig(dimension=12, temperature=0.3, shared_history_table=True)
    assert ModelConfig(**json.loads(json.dumps(config.to_json()))) == config


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("dimension", 0),
        ("dimension", 8.0),
        ("history_length", -1),
        ("statistics_width", -1),
        ("word_buckets", 1),
        ("uniform_negatives", -1),
        ("temperature", 0.0),
        ("temperature", float("nan")),
        ("initial_accumulator", float("inf")),
    ],
)
def test_a_bad_value_is_refused_by_name(name, value) -> None:
    with pytest.raises(ValueError, match=f"`{name}` should be .* Received: {value}"):
        ModelConfig(**{name: value})
