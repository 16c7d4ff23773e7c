"""Compose is checked against this process's Airflow, in a home of its own."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import tests.airflow_home  # noqa: F401  (sets the environment before Airflow is imported)
