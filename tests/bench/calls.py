"""What metrics tell of calls to webhooks: the API server's, and our own."""

from __future__ import annotations

import contextlib
import http.client
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from prometheus_client.parser import text_string_to_metric_families

if TYPE_CHECKING:
    from prometheus_client.samples import Sample

    from deploy.local import api

SOON_SECONDS: Final = 0.005
"""The shortest duration that API servers count separately (`k8s.io/apiserver/pkg/admission/metrics`)."""
_CALLS: Final = "apiserver_admission_webhook_admission_duration_seconds"
_REVIEWS: Final = "session_storage_webhook_review_seconds"


@dataclass(frozen=True)
class Calls:
    """Calls that have ended.

    Attributes:
        total: How many.
        soon: How many within `SOON_SECONDS`.
        seconds: How long all took together.
    """

    total: int
    soon: int
    seconds: float

    @property
    def mean_ms(self) -> float:
        """How long one took, in milliseconds."""
        return 1000 * self.seconds / self.total

    def since(self, earlier: Calls) -> Calls:
        """Leave out what was counted before."""
        return Calls(self.total - earlier.total, self.soon - earlier.soon, self.seconds - earlier.seconds)


def made_by(client: api.Client, webhook: str) -> Calls:
    """Read how often the API server has called a webhook because of new objects, from review to changed object."""
    # A connection of its own, because an API server closes one that is idle for as long as a measurement takes.
    with contextlib.closing(client.connection()) as connection:
        connection.request("GET", "/metrics")
        answer = connection.getresponse()
        text = answer.read().decode()
    assert answer.status == http.client.OK, text
    return counted(text, _CALLS, name=webhook, operation="CREATE")


def answered(metrics: str, path: str) -> Calls:
    """Read how often our webhook has answered, from a review's last byte to the answer's first."""
    return counted(metrics, _REVIEWS, path=path)


def counted(metrics: str, histogram: str, **labels: str) -> Calls:
    """Add the series of a histogram up that have these labels.

    Args:
        metrics: In Prometheus' text format.
        histogram: Its name.
        labels: Others are not looked at.
    """
    samples = [
        sample
        for family in text_string_to_metric_families(metrics)
        if family.name == histogram
        for sample in family.samples
        if labels.items() <= sample.labels.items()
    ]
    count, seconds = (_sum(samples, f"{histogram}_{part}") for part in ("count", "sum"))
    soon = _sum([sample for sample in samples if sample.labels.get("le") == str(SOON_SECONDS)], f"{histogram}_bucket")
    return Calls(int(count), int(soon), seconds)


def _sum(samples: list[Sample], name: str) -> float:
    return sum(sample.value for sample in samples if sample.name == name)
