"""What a person may do on a recommender's page as things stand: the forms, each with its fields.

Which of them somebody is shown is for the plugin to say, which knows roles.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from recloop.config.dag_ids import DAG_IDS
from recloop.dashboard.freshness import asked_of_a_person

Json = dict[str, Any]
PLANS = (
    ("auto", "Let the policy decide"),
    ("increment", "Increment: learn from the new windows"),
    ("rebuild", "Rebuild from scratch"),
    ("skip", "Skip: keep the champion"),
)


@dataclass(frozen=True)
class Field:
    """A field beside the reason; without choices, a text."""

    name: str
    label: str
    choices: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Form:
    """One action: `given` goes with it unseen; each button has its value, empty where there is one."""

    action: str
    title: str
    told: str
    buttons: tuple[tuple[str, str], ...]
    fields: tuple[Field, ...] = ()
    given: dict[str, str] = field(default_factory=dict)


def offered_forms(fresh: Json, releases: list[Json]) -> list[Form]:
    """The forms that make sense now, in the order of how urgent they are.

    Args:
        fresh: of `read_freshness`.
        releases: of `read_releases`: the newest, to one of which one may roll back.
    """
    found = []
    live, champion = fresh["live"], fresh["champion"]
    if asked_of_a_person(fresh) and run_of(live["holder"]):
        buttons = (("approve", "Approve"), ("reject", "Reject"))
        told = (
            f"Update {live['update_id']} of window {live['target']} has passed the gate and waits."
        )
        given = {"update": str(live["update_id"])}
        found.append(Form("answer", "Promote the challenger?", told, buttons, (), given))
    if fresh["refused"]:
        choices = tuple((key, key) for key in fresh["refused"][:100])
        told = "Its events are taken although it breaks window rules, and reach the next update."
        window = Field("window", "Window", choices)
        found.append(Form("accept", "Accept a refused window", told, (("", "Accept"),), (window,)))
    told = "A run of incremental_update: plan, train, judge, and promote if the gate lets it."
    found.append(
        Form("start", "Start a plan", told, (("", "Start"),), (
            Field("plan", "Plan", PLANS),
            Field("window", "Window (empty: the oldest that waits)"),
            Field("approval", "Ask a person before promotion", (("no", "No"), ("yes", "Yes"))),
        ))
    )  # fmt: skip
    if champion and fresh["pin"]:
        told = "Challengers may be promoted again."
        found.append(Form("unpin", "Unpin the champion", told, (("", "Unpin"),)))
    elif champion:
        told = "Nothing is promoted until it is unpinned; windows wait."
        found.append(Form("pin", f"Pin release {champion['version']}", told, (("", "Pin"),)))
    now = champion["version"] if champion else None
    earlier = [row for row in releases if now not in (None, row["version"]) and not row["thinned"]]
    if earlier:
        first = fresh["previous"]["version"] if fresh["previous"] else None
        earlier.sort(key=lambda row: (row["version"] != first, -row["version"]))
        choices = tuple(
            (str(row["version"]), f"{row['version']}: {row['decision']} on {row['target']}")
            for row in earlier
        )
        told = "An earlier release is champion again; what was learnt since waits."
        to = Field("version", "To release", choices)
        found.append(Form("rollback", "Roll back", told, (("", "Roll back"),), (to,)))
    return found


def run_of(holder: str) -> tuple[str, str] | None:
    """The DAG's id and the run's, of `<dag> <run>`: the holder of an update; None: it is no run."""
    dag_id, _, run_id = holder.partition(" ")
    known = dag_id.rpartition(".")[2] in DAG_IDS
    return (dag_id, run_id) if known and run_id else None
