"""What Prometheus is told: requests, seconds, releases, and impressions that wait or were lost."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, Counter, Histogram
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

if TYPE_CHECKING:
    from recloop.server.following import Follower
    from recloop.server.impressions import Recorder

BUCKETS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.04, 0.08, 0.16, 0.5, 1, 2)


class Metrics:
    """A registry of this server's own.

    Attributes:
        requests: by path and status.
        seconds: of answers, by what was asked, without the network.
        degraded: answers without what the database knows of the user.
    """

    def __init__(self, follower: Follower, recorder: Recorder) -> None:
        self.registry = CollectorRegistry()
        self.requests = Counter(
            "recloop_requests", "Requests.", ("path", "status"), registry=self.registry
        )
        self.seconds = Histogram(
            "recloop_answer_seconds",
            "Answers.",
            ("asked",),
            buckets=BUCKETS,
            registry=self.registry,
        )
        self.degraded = Counter(
            "recloop_degraded_answers",
            "Answers without what is known of the user.",
            registry=self.registry,
        )
        self._follower, self._recorder = follower, recorder
        self.registry.register(self)  # type: ignore[arg-type]

    def collect(self) -> Iterator[Metric]:
        """What is read when Prometheus asks."""
        labels = ["recommender"]
        release = GaugeMetricFamily(
            "recloop_release", "The release that answers; 0: none.", labels=labels
        )
        refused = GaugeMetricFamily(
            "recloop_refused_release", "A champion that cannot be served; 0: none.", labels=labels
        )
        away = GaugeMetricFamily(
            "recloop_database_away", "Whether the ledger cannot be read.", labels=labels
        )
        for name, state in self._follower.states.items():
            release.add_metric([name], state.serving.release.version if state.serving else 0)
            refused.add_metric([name], state.refused)
            away.add_metric([name], bool(state.away))
        yield from (release, refused, away)
        recorder = self._recorder
        yield GaugeMetricFamily(
            "recloop_impressions_waiting", "Records not yet written.", recorder.waiting
        )
        for name, value in (("written", recorder.written), ("lost", recorder.lost)):
            yield CounterMetricFamily(f"recloop_impressions_{name}", f"Records {name}.", value)
