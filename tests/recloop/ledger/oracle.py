"""What must become of every line that a shop delivers, in plain Python: the independent oracle.

It knows nothing of parts, updates or SQL. Of each line it says whether it is accepted, a duplicate,
quarantined or still waiting; what has been learnt is read from the models themselves (`life.py`).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

WEEKS = ["2011-01-10", "2011-01-17", "2011-01-24", "2011-01-31", "2011-02-07"]
POISON = "66666"
"""An item that the judge of these tests refuses a window for."""
LATE_LINES, LATE_SHARE = 6, 0.5
"""So many late lines at once, and more than such a share of the events, are too many."""


@dataclass(frozen=True)
class Line:
    """A line of the shop. No two different ones have the same moment."""

    week: str
    number: int
    item: str = "20001"
    price: str = "2.00"

    @property
    def moment(self) -> datetime:
        start = datetime.fromisoformat(self.week).replace(tzinfo=UTC)
        return start + timedelta(hours=8 + 24 * (self.number % 5), minutes=self.number)

    def columns(self) -> dict[str, str]:
        """As Online Retail writes it."""
        return {
            "InvoiceNo": str(500_000 + self.number),
            "StockCode": self.item,
            "Description": f"ITEM {self.item}",
            "Quantity": "1",
            "InvoiceDate": self.moment.strftime("%m/%d/%Y %H:%M"),
            "UnitPrice": self.price,
            "CustomerID": str(12_000 + self.number % 7),
            "Country": "France",
        }


@dataclass
class Fates:
    """What became of the lines so far."""

    landed: list[tuple[str, Line]] = field(default_factory=list)
    """(file, line) that nobody has decided on."""
    accepted: set[Line] = field(default_factory=set)
    quarantined: list[Line] = field(default_factory=list)
    duplicates: int = 0
    judged: set[str] = field(default_factory=set)
    """Weeks that were accepted: what comes now is late."""

    def land(self, file: str, lines: list[Line]) -> None:
        """A file, or a newer version of it: lines of the older one that were decided on stay so."""
        self.landed = [pair for pair in self.landed if pair[0] != file]
        self.landed += [(file, line) for line in lines]

    def validate(self, week: str) -> bool:
        """The week's lines are judged. Returns whether they were accepted."""
        lines = [line for _, line in self.landed if line.week == week]
        late = week in self.judged
        if not late and any(line.item == POISON for line in lines):
            return False
        self.judged.add(week)
        self.landed = [pair for pair in self.landed if pair[1].week != week]
        good: list[Line] = []
        for line in lines:
            if line in self.accepted or line in self.quarantined or line in good:
                self.duplicates += 1
            elif line.price == "0.00":
                self.quarantined.append(line)
            else:
                good.append(line)
        known = sum(line.week == week for line in self.accepted)
        if late and len(good) >= LATE_LINES and len(good) > LATE_SHARE * known:
            self.quarantined += good
        else:
            self.accepted |= set(good)
        return True
