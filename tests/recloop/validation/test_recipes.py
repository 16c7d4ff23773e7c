"""The recipe "Add an expectation", followed in a copy of the package, does what it says."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from recloop.settings import PROJECT, Settings
from tests.recloop.behavior.shop import WEEKS, shop_week, write

pytestmark = pytest.mark.slow

EDITS = {
    "recloop/validation/row_rules.py": (
        "    table = [\n",
        '        RowRule("discontinued", "item_id = %(gone)s", "still sold", "Ask the buyers."),\n',
    ),
    "recloop/validation/statistics.sql": (
        "    (select count(*) from by_user) as users,\n",
        "    (select count(distinct user_id)::float8 from good) as distinct_users,\n",
    ),
    "recloop/validation/learnt.py": (
        "TABLE = (\n",
        '    LearntRule("distinct_users", "amount", "both", 1.5, 0.3, "users with good lines",\n'
        '               "Look for a lost branch."),\n',
    ),
    "recloop/config/limits.py": (
        "    lines_per_day: Range | None = None\n",
        "    distinct_users: Range | None = None\n",
    ),
}
DATASET = "config/datasets/online_retail.toml"
FIXED = "\n[limits.fixed]\ndistinct_users = [100000, 1e9]\n"
"""File, and after which of its lines what is added."""

VALIDATE = """
import json, sys
from pathlib import Path
url, home, data, copy, week = sys.argv[1:]
sys.path.insert(0, copy)
import recloop
from recloop.behavior.landing import land
from recloop.errors import WindowRefused
from recloop.settings import Settings
from recloop.validation.window import validate_window
assert Path(recloop.__file__).is_relative_to(copy), recloop.__file__
limits = Path(copy) / "config" / "datasets" / "online_retail.toml"
config = Path(copy) / "config"
settings = Settings(home=Path(home), database_url=url, data=Path(data), config=config)
land(settings)
try:
    validate_window(settings, week)
    refused = ""
except WindowRefused as error:
    refused = str(error)
limits.write_text(limits.read_text().replace("distinct_users = [100000,", "distinct_users = [1,"))
print(json.dumps({"refused": refused, **validate_window(settings, week).quarantined}))
"""


def test_an_expectation_added_by_the_recipe_quarantines_and_refuses(
    settings: Settings, tmp_path: Path
) -> None:
    recipe = (PROJECT / "docs" / "howto" / "changing_it.md").read_text()
    recipe = recipe.partition("## Add an expectation")[2].partition("## Add a gate rule")[0]
    lines = shop_week(WEEKS[0])
    gone = lines[0]["StockCode"]
    copy = tmp_path / "copy"
    for folder in ("recloop", "models", "config", "feature_repo"):
        shutil.copytree(PROJECT / folder, copy / folder, ignore=shutil.ignore_patterns("*.pyc"))
    for name, (after, added) in EDITS.items():
        assert Path(name).name in recipe, f"the recipe does not name {name}"
        text = (copy / name).read_text()
        assert text.count(after) >= 1, f"{after!r} is not in {name}"
        added = added.replace("%(gone)s", f"'{gone}'")
        (copy / name).write_text(text.replace(after, after + added, 1))
    (copy / DATASET).write_text((copy / DATASET).read_text() + FIXED)
    data = write(tmp_path / "shop.csv", lines)
    done = subprocess.run(
        [sys.executable, "-c", VALIDATE, settings.database_url, str(tmp_path / "home"), str(data),
         str(copy), WEEKS[0]],
        capture_output=True, text=True, check=False, cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    found = json.loads(done.stdout.splitlines()[-1])
    assert "distinct_users" in found["refused"]
    assert found["discontinued"] == sum(line["StockCode"] == gone for line in lines) > 0
