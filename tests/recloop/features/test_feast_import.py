"""Feast is imported without typeguard's rewriting, and nobody else loses what typeguard does."""

from __future__ import annotations

import subprocess
import sys

from recloop.settings import PROJECT

SCRIPT = """
import typeguard
before = typeguard.typechecked
from recloop.features.store import import_feast
import_feast()
assert typeguard.typechecked is before

import feast
from feast.infra.offline_stores.contrib.postgres_offline_store.postgres_source import PostgreSQLSource
for kind in (feast.Entity, feast.FeatureView, feast.FeatureService, feast.Field, PostgreSQLSource):
    assert "typeguard" not in str(kind.__init__.__code__.co_names), kind  # as Feast wrote it
print("as written")
"""


def test_feast_s_classes_are_as_they_were_written_and_the_decorator_is_back() -> None:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT], cwd=PROJECT, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (0, "as written\n"), done.stderr
