"""Judging probabilities of a click: of what was shown, was the clicked likelier, and as likely as said?

Units are impressions of items seen before the cut. The AUC is a mean over clicks (of the share of what
was not clicked that is ranked below), so that a difference of two has an interval as every other. The
calibration error, precision, recall and F1 are of all impressions; a yes is a probability of at least
the share of clicks before the cut, because where one in fifty is clicked hardly any reaches a half.
Where the log has clicks alone, negatives are drawn (`models.click_through.negatives`), the same for
every model; measures then say how well a click is told from chance, not from what was shown.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from psycopg2.extensions import cursor as Cursor

from models.click_through.negatives import NEGATIVES, labelled
from models.data.events import Events
from models.data.queries import Queries
from models.metrics.classification import (
    calibration_error,
    log_losses,
    placements,
    threshold_metrics,
)
from models.recommenders.family import Recommender
from recloop.config.learnable import EXAMPLES, LEARNABLE
from recloop.evaluation.scoring import Float64, Int64, Judge, Measure, Scores
from recloop.features.heldout import Past

PULL = 20.0
"""Impressions of the average item that an item's own click rate is pulled by."""


@dataclass(frozen=True, eq=False)
class HeldImpressions:
    """N impressions.

    Attributes:
        events: with labels.
        catalogue: int64 [C], items shown before the cut, ascending.
        rates: float64 [C], their click rates before the cut.
        rate: that of all.
    """

    events: Events
    catalogue: Int64
    rates: Float64
    rate: float

    @property
    def queries(self) -> Queries:
        """Those that the impressions were of."""
        return self.events.queries()


class ClicksJudge(Judge):
    name = "clicks"
    unit = "users"
    held_out = "users with a click on a known item"
    measures = (
        Measure("auc", "AUC of clicks"),
        Measure("log_loss", "log loss of clicks", -1),
    )
    metrics = ("auc", "log_loss")
    headline = ("auc", "log_loss")
    quality = ("log_loss", "auc")
    baseline = "click_rates"

    def hold_out(self, cursor: Cursor, events: Events, past: Past) -> HeldImpressions:
        cursor.execute(
            f"select item_key, count(*) filter (where {LEARNABLE}), count(*) from behavior.event "
            f"where event_timestamp < %(cut)s and {EXAMPLES} group by 1 order by 1",
            past.parameters(),
        )
        items = np.array(cursor.fetchall(), np.int64).reshape(-1, 3)
        catalogue, clicks, shown = items[:, 0].copy(), *items[:, 1:].T.astype(np.float64)
        if not past.meaning.labelled:
            shown = clicks + NEGATIVES * clicks.sum() / max(len(catalogue), 1)
        rate = float(clicks.sum() / max(shown.sum(), 1.0))
        known = events.where(np.isin(events.item_keys, catalogue))
        return HeldImpressions(
            events=labelled(known, catalogue, 0),
            catalogue=catalogue,
            rates=(clicks + PULL * rate) / (shown + PULL),
            rate=rate,
        )

    def score(self, model: Recommender, heldout: HeldImpressions) -> Scores:
        scores = _scores(heldout, model.expected(heldout.events).astype(np.float64))
        off = _value_errors(model, heldout)
        if not len(off):
            return scores
        return replace(
            scores, totals={**scores.totals, "value_rmse": float(np.sqrt(np.mean(off**2)))}
        )

    def owners(self, heldout: HeldImpressions) -> Int64:
        return heldout.events.user_keys[heldout.events.query]

    def no_skill(self, heldout: HeldImpressions) -> Mapping[str, float]:
        """By giving each the share of clicks before, always."""
        labels = _labels(heldout)
        if not len(labels):
            return {}
        constant = np.full(len(labels), heldout.rate)
        return {"auc": 0.5, "log_loss": float(np.mean(log_losses(labels, constant)))}

    def counts(self, heldout: HeldImpressions) -> dict[str, float]:
        labels = _labels(heldout)
        return {
            "users": float(len(np.unique(self.owners(heldout)))),
            "impressions": float(len(labels)),
            "clicks": float(labels.sum()),
        }

    def baselines(self) -> Mapping[str, Callable[[Any], Scores]]:
        return {"click_rates": _click_rates}


JUDGE = ClicksJudge()


def _click_rates(heldout: HeldImpressions) -> Scores:
    """Every item's click rate before the cut, for everybody."""
    place = np.searchsorted(heldout.catalogue, heldout.events.item_keys)
    return _scores(heldout, heldout.rates[place])


def _value_errors(model: Recommender, heldout: HeldImpressions) -> Float64:
    """By how much the worth of each click was missed, where it has one and the model expects one."""
    worth = heldout.events.values
    if worth is None:
        return np.zeros(0)
    clicked = heldout.events.where(_labels(heldout) > 0)
    off = model.expected_values(clicked).astype(np.float64) - np.asarray(clicked.values)
    return off[np.isfinite(off)]


def _labels(heldout: HeldImpressions) -> Float64:
    labels = heldout.events.labels
    return np.zeros(0) if labels is None else labels.astype(np.float64)


def _scores(heldout: HeldImpressions, chances: Float64) -> Scores:
    labels = _labels(heldout)
    if not len(labels):
        return Scores({name: np.zeros(0) for name in JUDGE.metrics})
    said = threshold_metrics(labels, chances, heldout.rate)
    totals = {name: said[name] for name in ("precision", "recall", "f1")}
    totals = {"calibration_error": calibration_error(labels, chances), **totals}
    values = {"auc": placements(labels, chances), "log_loss": log_losses(labels, chances)}
    return Scores(values, totals=totals)
