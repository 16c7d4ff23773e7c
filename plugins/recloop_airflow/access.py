"""Who may do what on the pages, and whether a form was sent from one of them.

Roles are Airflow's: an action that starts a run of a DAG is for those who may start that DAG, an answer
for those who may answer it in Airflow. A form goes with a token that only its reader has, and comes from
this origin; else somebody else's page has sent it.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from fastapi import HTTPException, Request

from recloop.config.dag_ids import dag_id
from recloop.settings import Settings

STARTS = {
    "accept": "ingest_behavior",
    "start": "incremental_update",
    "rollback": "rollback_release",
    "pin": "rollback_release",
    "unpin": "rollback_release",
    "answer": "incremental_update",
}
"""The DAG that somebody must be allowed to start, or to answer, to do this."""
HOURS = 12
"""How long a page that was left open can still be used."""


def may(user: Any, settings: Settings, action: str, dag: str = "") -> bool:
    """Whether somebody may do this with a recommender.

    Args:
        dag: the DAG whose run asks, of an answer.
    """
    from airflow.api_fastapi.app import get_auth_manager
    from airflow.api_fastapi.auth.managers.models.resource_details import (
        DagAccessEntity,
        DagDetails,
    )
    from airflow.models.dag import DagModel

    name = dag or dag_id(settings, STARTS[action])
    answers = action == "answer"
    return bool(
        get_auth_manager().is_authorized_dag(
            method="PUT" if answers else "POST",
            access_entity=DagAccessEntity.HITL_DETAIL if answers else DagAccessEntity.RUN,
            details=DagDetails(id=name, team_name=DagModel.get_team_name(name)),
            user=user,
        )
    )


def token_for(user: Any) -> str:
    """What goes with each form of this reader."""
    return str(_signer().dumps(str(user.get_id())))


def refuse_foreign(request: Request, user: Any, token: str) -> None:
    """Raises 403 for a form that was not sent from a page of ours, or not by its reader."""
    from itsdangerous import BadSignature

    origin = request.headers.get("origin", "")
    if not origin or origin not in _origins(request):
        raise HTTPException(403, "The form comes from another site; open the page here.")
    try:
        owner = _signer().loads(token, max_age=HOURS * 3600)
    except BadSignature:
        owner = None
    if owner != str(user.get_id()):
        raise HTTPException(403, "The form is too old, or not yours; load the page again.")


def _origins(request: Request) -> set[str]:
    """The address by which this request came, and the one that Airflow is told to be reached by."""
    from airflow.configuration import conf

    base = urlsplit(conf.get("api", "base_url", fallback=""))
    own = {f"{request.url.scheme}://{request.headers.get('host', '')}"}
    return own | ({f"{base.scheme}://{base.netloc}"} if base.netloc else set())


def _signer() -> Any:
    from airflow.configuration import conf
    from itsdangerous import URLSafeTimedSerializer

    return URLSafeTimedSerializer(conf.get("api", "secret_key"), salt="recloop page")
