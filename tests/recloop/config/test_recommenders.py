"""Files of `config/recommenders/`: whose settings they make, what they override, and what is refused."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from recloop.addresses import database_name
from recloop.config.dataset import load_dataset
from recloop.config.recommenders import chosen, recommenders, settings_of, usable
from recloop.config.rules import load_gate_rules, load_update_rules, read_clock, read_family
from recloop.errors import BadInput
from recloop.settings import DEFAULT, PROJECT, Settings, process_environment
from tests.recloop.behavior.datasets import as_toml

URL = "postgresql+psycopg2://me@host/shop?sslmode=require"


@pytest.fixture
def base(tmp_path: Path) -> Settings:
    shutil.copytree(PROJECT / "config", tmp_path / "config")
    (tmp_path / "config" / "recommenders").mkdir()
    return Settings(
        home=tmp_path, config=tmp_path / "config", database_url=URL, data=tmp_path / "x"
    )


def write(base: Settings, name: str, **content: object) -> None:
    (base.config / "recommenders" / f"{name}.toml").write_text(as_toml(content))


def test_without_files_there_is_one_with_the_plain_names(base: Settings) -> None:
    assert recommenders(base) == [DEFAULT]
    one = chosen(base)
    assert (one.database_url, one.artifacts) == (URL, base.home / "artifacts")
    assert (one.data, one.model_name) == (base.data, "recommender")
    assert load_update_rules(one) == load_update_rules(base)
    with pytest.raises(BadInput, match="there is no recommender 'shop', but default"):
        settings_of(base, "shop")


def test_two_on_one_dataset_share_its_database_and_pages_but_no_files(base: Settings) -> None:
    write(base, "home_page")
    write(base, "product_page", dataset="online_retail", model={"family": "sessions"})
    assert recommenders(base) == ["home_page", "product_page"]
    home, product = (settings_of(base, name) for name in recommenders(base))
    assert {database_name(one.database_url) for one in (home, product)} == {"shop"}
    assert "recloop.recommender%3Dhome_page" in home.database_url
    assert "sslmode=require" in product.database_url
    assert home.artifacts == base.home / "recommenders" / "home_page" / "artifacts"
    assert home.artifacts != product.artifacts
    assert home.data_docs == product.data_docs == base.home / "data_docs"
    assert (home.data, home.serving, home.cache) == (base.data, base.serving, base.cache)
    families = [load_dataset(one).model.family for one in (home, product)]
    assert families == ["retrieve_and_rank", "sessions"]
    assert read_family(product).inputs == ("sessions",)
    assert settings_of(product, "home_page") == home, "from one recommender's to another's"


def test_another_dataset_has_a_database_and_a_folder_beside(base: Settings) -> None:
    write(base, "films", dataset="movielens")
    films = settings_of(base, "films")
    assert database_name(films.database_url) == "shop_movielens"
    assert films.data_docs == base.home / "datasets" / "movielens" / "data_docs"
    assert films.data is None, "RECLOOP_DATA is the main dataset's"
    assert load_dataset(films).name == "movielens"
    assert films.environment()["RECLOOP_DATABASE_URL"] == URL
    assert films.environment()["RECLOOP_DATASET"] == "online_retail"


def test_a_path_is_relative_to_the_file_and_one_of_the_datasets_is_known_by_its_name(
    base: Settings,
) -> None:
    write(base, "near", dataset="../datasets/online_retail.toml")
    assert settings_of(base, "near").on_main_dataset
    shutil.copy(base.config / "datasets" / "movielens.toml", base.home / "other.toml")
    write(base, "far", dataset="../../other.toml")
    far = settings_of(base, "far")
    assert far.dataset_file == base.home / "other.toml"
    assert database_name(far.database_url) == "shop_other"


def test_a_child_process_is_of_the_same_recommender(base: Settings) -> None:
    write(base, "films", dataset="movielens")
    films = settings_of(base, "films")
    code = (
        "from recloop.config.recommenders import chosen; from recloop.settings import Settings;"
        "one = chosen(Settings.from_environment()); print(one.database_url, one.artifacts)"
    )
    environment = process_environment() | films.environment() | {"PYTHONPATH": str(PROJECT)}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True
    )
    assert done.stdout.split() == [films.database_url, str(films.artifacts)], done.stderr


def test_its_tables_lie_over_the_shared_files_and_leave_the_rest(base: Settings) -> None:
    write(
        base,
        "one",
        event={"goal": {"types": ["purchase"]}},
        update={"policy": {"name": "volume"}, "schedules": {"full_rebuild": "1 2 3 * *"}},
        gate={"errors": {"margin": 0.2}},
    )
    one = settings_of(base, "one")
    rules, shared = load_update_rules(one), load_update_rules(base)
    assert rules.policy.name == "volume"
    assert rules.policy.minimum_events == shared.policy.minimum_events
    assert rules.holdout == shared.holdout
    assert (read_clock(one).full_rebuild, read_clock(base).full_rebuild) == (
        "1 2 3 * *",
        "0 3 1 * *",
    )
    assert load_gate_rules(one).errors.margin == 0.2
    assert load_gate_rules(one).rules == load_gate_rules(base).rules
    goal = load_dataset(one).event.goal
    assert goal is not None
    assert goal.types == ("purchase",)
    assert load_dataset(base).event.goal is None


def test_weights_of_a_shared_dataset_are_for_who_can_learn_them(base: Settings) -> None:
    shop = {
        "name": "shop",
        "source": {"kind": "file", "path": "events.csv"},
        "columns": {"user": "text", "item": "text", "at": "time", "kind": "text"},
        "event": {
            "user_id": "user",
            "item_id": "item",
            "timestamp": "at",
            "type_column": "kind",
            "learn_from": {"weights": {"click": 0.1, "purchase": 1.0}},
        },
    }
    (base.config / "datasets" / "shop.toml").write_text(as_toml(shop))
    write(base, "home_page", dataset="shop")
    write(base, "product_page", dataset="shop", model={"family": "sessions"})
    home, product = (
        load_dataset(settings_of(base, name)) for name in ("home_page", "product_page")
    )
    assert (home.weighs_in_vain, product.weighs_in_vain) == (False, True)
    assert product.event.learn_from == home.event.learn_from
    assert product.reading == home.reading
    (base.config / "datasets" / "shop.toml").write_text(
        as_toml(shop | {"model": {"family": "sessions"}})
    )
    with pytest.raises(BadInput, match=r"shop\.toml.*learns their order, each alike"):
        load_dataset(settings_of(base, "home_page"))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"datset": "x"}, r"one\.toml: unknown key `datset` = 'x'; did you mean `dataset`"),
        ({"update": {"policy": {"nam": 1}}}, r"one\.toml \[update\]: unknown key `policy.nam`"),
        ({"gate": {"errors": {"margin": -1}}}, r"one\.toml \[gate\]: `errors.margin` = -1"),
        ({"model": {"family": "sesions"}}, r"one\.toml: .*family 'sesions' is not known"),
        ({"event": {"goal": {"types": ["clik"]}}}, r"one\.toml: .*'clik'"),
        ({"event": {"learn_from": {}}}, r"one\.toml: unknown key `event.learn_from`"),
    ],
)
def test_a_mistake_is_blamed_on_the_file_that_has_it(
    base: Settings, content: dict[str, object], message: str
) -> None:
    write(base, "one", **content)
    with pytest.raises(BadInput, match=message):
        read_all(base)


def read_all(base: Settings) -> None:
    one = settings_of(base, "one")
    read_clock(one)
    load_update_rules(one)
    load_gate_rules(one)
    load_dataset(one)


def test_a_mistake_in_a_shared_file_is_blamed_on_that(base: Settings) -> None:
    write(base, "one", update={"policy": {"name": "never"}})
    shared = base.config / "update.toml"
    shared.write_text(shared.read_text().replace("price = 0.02", "price = 7"))
    with pytest.raises(BadInput, match=r"update\.toml: `policy.adaptive.price` = 7"):
        load_update_rules(settings_of(base, "one"))


@pytest.mark.parametrize("name", ["Home", "a.b", "recommender", "airflow", "ä", "x" * 41, "-"])
def test_a_name_that_cannot_be_one_is_refused(base: Settings, name: str) -> None:
    write(base, name)
    with pytest.raises(BadInput, match="a recommender cannot be called"):
        recommenders(base)


def test_a_misnamed_file_stops_no_other(base: Settings) -> None:
    write(base, "good")
    write(base, "Ugly")
    assert recommenders(base) == ["good"]
    found, wrong = usable(base)
    assert ([one.recommender for one in found], list(wrong)) == (["good"], ["Ugly"])
    with pytest.raises(BadInput, match="a recommender cannot be called 'Ugly'"):
        settings_of(base, "Ugly")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"update": {"schedules": "daily"}}, r"one\.toml \[update.schedules\]: .*'daily'"),
        (
            {"update": {"policy": "every-window"}},
            r"one\.toml \[update\]: `policy` = 'every-window'",
        ),
        ({"gate": {"errors": [0.1]}}, r"one\.toml \[gate\]: `errors` = \[0.1\]"),
        ({"update": 3}, r"one\.toml: `update` = 3"),
        ({"dataset": ["films"]}, r"one\.toml: `dataset` = \['films'\]"),
        ({"model": "sessions"}, r"one\.toml: `model` = 'sessions'"),
    ],
)
def test_a_value_where_a_table_should_be_is_told(
    base: Settings, content: dict[str, object], message: str
) -> None:
    write(base, "one", **content)
    with pytest.raises(BadInput, match=message):
        read_all(base)


def test_where_there_are_several_one_has_to_be_named(base: Settings) -> None:
    write(base, "a")
    assert chosen(base).recommender == "a"
    write(base, "b")
    with pytest.raises(BadInput, match="there are several recommenders: a, b"):
        chosen(base)
    assert chosen(base.model_copy(update={"recommender": "b"})).recommender == "b"


def test_one_file_that_cannot_be_used_stops_no_other(base: Settings) -> None:
    write(base, "good")
    write(base, "gone", dataset="moviemens")
    (base.config / "recommenders" / "torn.toml").write_text("dataset = ")
    shutil.copy(base.config / "datasets" / "movielens.toml", base.home / "online_retail.toml")
    write(base, "twin", dataset="../../online_retail.toml")
    (base.config / "recommenders" / "lost.toml").symlink_to("/nowhere")
    found, wrong = usable(base)
    assert [one.recommender for one in found] == ["good"]
    assert sorted(wrong) == ["gone", "lost", "torn", "twin"]
    assert "lost.toml cannot be read" in str(wrong["lost"])
    assert "gone.toml: dataset = 'moviemens': there is no file" in str(wrong["gone"])
    assert "is not valid TOML" in str(wrong["torn"])
    assert "another dataset of that name" in str(wrong["twin"])
