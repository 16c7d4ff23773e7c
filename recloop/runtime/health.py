"""Whether Airflow works now: one judgement for `recloop up`, `recloop doctor` and the supervisor.

A component is well if its process runs, if its last heartbeat is young, and if what it is there for
happens: the api-server answers with its database, and a task that is queued is taken up by an executor
process that is free. Airflow's own health page knows the heartbeats alone.

Belongs here: evidence, and what follows from it. Keep out: what is done about it (see
`airflow_process.py` and `supervisor.py`).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Literal

import psycopg2
from psycopg2.extensions import connection as Connection

from recloop.errors import ServiceAway
from recloop.runtime import process_sessions
from recloop.runtime.airflow_client import DIRECT
from recloop.runtime.environment import HOST, PARALLELISM
from recloop.runtime.process_sessions import COMPONENTS, SUPERVISOR, State

FRESH = timedelta(seconds=30)
"""Age of a heartbeat from which its component is said to hang. All three beat every 5 s."""
QUEUED = timedelta(seconds=30)
"""Time in which a free executor process has to take up a task; it takes a fraction of a second."""
STARTING = timedelta(seconds=600)
"""Time that a component may take to its first heartbeat, with the libraries that it preloads: ten on an
idle machine. Ending it earlier on a busy one would never let it come up."""
ANSWER_TIMEOUT = 10.0
"""Seconds that the api-server has for an answer."""

JOBS = {
    "scheduler": "SchedulerJob",
    "dag-processor": "DagProcessorJob",
    "triggerer": "TriggererJob",
}

Kind = Literal["dead", "starting", "hangs", "silent", "stuck"]
"""Silent is an api-server that gives no answer: it hangs, or the machine has more to do than it can."""


@dataclass(frozen=True)
class Complaint:
    """What is wrong with a component."""

    component: str
    kind: Kind
    text: str

    def __str__(self) -> str:
        return f"{self.component} {self.text}"


@dataclass(frozen=True)
class Evidence:
    """What was seen at `now` (UTC, as all times here)."""

    now: datetime
    started: Mapping[str, datetime]
    """When each process that is alive was started, the supervisor's included."""
    beats: Mapping[str, datetime]
    """The last heartbeat of each of these processes, not of its predecessors."""
    silence: str = ""
    """Why the api-server gives no good answer; empty if it does."""
    executors_at_work: int = 0
    tasks: int = 0
    """Tasks that the scheduler handed to its executors and that have not ended: queued and running."""
    queued_since: datetime | None = None
    """When the oldest of those was handed over that does not run yet."""
    lost_idle: int = 0
    """Executor processes that died with nothing to do. One of the idle ones holds the lock of the
    queue of tasks, and takes it along: then no other ever gets a task."""
    watched: tuple[str, ...] = field(default=(*COMPONENTS, SUPERVISOR))


def judge(seen: Evidence) -> list[Complaint]:
    """What is wrong, in the order of the components; empty if all is well."""
    found = []
    for name in seen.watched:
        if name not in seen.started:
            found.append(Complaint(name, "dead", "does not run"))
        elif name == "api-server":
            if seen.silence:
                found.append(_late(seen, name, f"does not answer: {seen.silence}", "silent"))
        elif name in JOBS:
            beat = seen.beats.get(name)
            if beat is None:
                found.append(_late(seen, name, "has not sent a heartbeat yet"))
            elif seen.now - beat > FRESH:
                age = (seen.now - beat).total_seconds()
                found.append(Complaint(name, "hangs", f"sent its last heartbeat {age:.0f} s ago"))
    if not any(complaint.component == "scheduler" for complaint in found):
        found += _stuck(seen)
    return found


def _late(seen: Evidence, name: str, text: str, otherwise: Kind = "hangs") -> Complaint:
    """A component that has yet to show itself: it starts, or has taken too long for that."""
    starting = seen.now - seen.started[name] < STARTING
    return Complaint(name, "starting" if starting else otherwise, text)


def _stuck(seen: Evidence) -> list[Complaint]:
    waited = timedelta() if seen.queued_since is None else seen.now - seen.queued_since
    # One that an executor has taken up is queued until its process has told the api-server.
    untaken = seen.tasks - seen.executors_at_work
    if waited > QUEUED and untaken > 0 and seen.executors_at_work < PARALLELISM:
        text = (
            f"starts no task: one is queued for {waited.total_seconds():.0f} s while "
            f"{PARALLELISM - seen.executors_at_work} of {PARALLELISM} executor processes are free"
        )
        return [Complaint("scheduler", "stuck", text)]
    if seen.lost_idle and not seen.executors_at_work:
        return [
            Complaint("scheduler", "stuck", "lost an idle executor process, and maybe its queue")
        ]
    return []


def look(state: State, connection: Connection, silence: str, lost_idle: int = 0) -> Evidence:
    """Gather the evidence.

    Args:
        connection: to Airflow's database, in autocommit mode.
        silence: what `silence_of_api` found, now or lately.
        lost_idle: see `Evidence`.

    Raises:
        ServiceAway: the connection was lost.
    """
    living = process_sessions.living(state)
    started = {name: datetime.fromtimestamp(one["created"], UTC) for name, one in living.items()}
    try:
        beats, tasks, queued_since = _ask_database(connection, started)
    except psycopg2.Error as error:
        raise ServiceAway(f"Airflow's database is away: {str(error).strip()}") from None
    return Evidence(
        now=datetime.now(UTC),
        started=started,
        beats=beats,
        silence=silence,
        executors_at_work=len(process_sessions.executors(living.get("scheduler")).at_work),
        tasks=tasks,
        queued_since=queued_since,
        lost_idle=lost_idle,
    )


def _ask_database(
    connection: Connection, started: Mapping[str, datetime]
) -> tuple[dict[str, datetime], int, datetime | None]:
    """The last heartbeat of each process, the scheduler's tasks, and since when one of them waits."""
    beats: dict[str, datetime] = {}
    tasks, queued_since = 0, None
    with connection.cursor() as cursor:
        for name, job_type in JOBS.items():
            if name not in started:
                continue
            cursor.execute(
                "select id, latest_heartbeat from job where job_type = %s and start_date >= %s "
                "order by id desc limit 1",
                (job_type, started[name] - timedelta(seconds=2)),
            )
            for job_id, beat in cursor.fetchall():
                beats[name] = beat
                if name == "scheduler":
                    cursor.execute(
                        "select count(*), min(queued_dttm) filter (where state = 'queued') "
                        "from task_instance "
                        "where state in ('queued', 'running') and queued_by_job_id = %s",
                        (job_id,),
                    )
                    tasks, queued_since = cursor.fetchone() or (0, None)
    return beats, tasks, queued_since


def silence_of_api(state: State) -> str:
    """Why the api-server does not answer as it should; empty if it does."""
    address = f"http://{HOST}:{state['port']}/api/v2/monitor/health"
    try:
        with DIRECT.open(address, timeout=ANSWER_TIMEOUT) as response:
            database = json.load(response)["metadatabase"]["status"]
    except (OSError, ValueError, KeyError) as error:
        return str(error)
    return "" if database == "healthy" else f"its database is {database}"
