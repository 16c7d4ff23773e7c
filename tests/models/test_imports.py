"""Light code may import the light files; and a process may import everything and then fork."""

import subprocess
import sys

import pytest

pytestmark = pytest.mark.slow


def run(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_light_modules_leave_tensorflow_alone() -> None:
    names = ["errors", "data.checks", "data.events", "data.queries", "data.ragged", "data.sessions"]
    names += ["metrics.classification", "metrics.ranking", "tables.vocabulary", "ids.starts"]
    names += ["learning.memory", "learning.recipes"]
    names += ["factors.factorisation_config", "ranker.ranker_config", "sessions.transformer_config"]
    names += ["two_tower.tower_config", "retrieve_and_rank.two_stage_config", "storage.archive"]
    names += ["storage.seal", "recommenders.family"]
    code = f"""
import sys, importlib, models
for name in {names}:
    importlib.import_module("models." + name)
print([m for m in ("tensorflow", "tf_keras", "pandas", "airflow") if m in sys.modules])
"""
    assert run(code) == "[]"


def test_importing_everything_runs_no_op_and_a_fork_can_train() -> None:
    code = """
import os, sys
import models.two_tower.tower_recommender
from tensorflow.python.eager import context
assert not context.context()._initialized, "an op ran at import"
child = os.fork()
if child == 0:
    from models.two_tower.tower_config import ModelConfig
    towers = models.two_tower.tower_recommender.TwoTowerRecommender
    model = towers.create(ModelConfig(dimension=2), seed=0)
    os._exit(0 if model.parameters()["user"].shape == (1, 2) else 3)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""
    assert run(code) == "0"


def test_keras_3_imported_first_is_refused_with_the_remedy() -> None:
    code = """
import os
os.environ["TF_USE_LEGACY_KERAS"] = "0"
import tensorflow as tf
try:
    tf.keras.Model
    import models.tables.backend
except Exception as error:
    print(type(error).__name__, "TF_USE_LEGACY_KERAS" in str(error))
"""
    assert run(code) == "ImportError True"
