"""A file of behavior that the repository has never seen: its names, its form, its shop."""

from __future__ import annotations

import random
from datetime import datetime, time, timedelta
from pathlib import Path

DAYS = 30


def write_events(path: Path, today: datetime, seed: int = 11) -> Path:
    """A month until yesterday, of visitors in three crowds, each with its own third of the products."""
    chance = random.Random(seed)
    lines = ["when|who|product|what|paid"]
    first = datetime.combine(today.date() - timedelta(days=DAYS), time())
    for day in range(DAYS):
        for second in sorted(chance.randrange(8 * 3600, 22 * 3600) for _ in range(150)):
            visitor = chance.randrange(120)
            crowd = visitor % 3 if chance.random() < 0.9 else chance.randrange(3)
            at = first + timedelta(days=day, seconds=second)
            what = chance.choice(["view", "view", "order"])
            product, paid = 3 * chance.randrange(20) + crowd, chance.randrange(100, 5000) / 100
            lines.append(f"{at:%Y/%m/%d %H:%M:%S}|visitor-{visitor}|P{product:03d}|{what}|{paid}")
    path.write_text("\n".join(lines) + "\n")
    return path
