"""What the API server itself counts of its calls to webhooks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from prometheus_client.parser import text_string_to_metric_families

if TYPE_CHECKING:
    from prometheus_client.samples import Sample

SOON_SECONDS: Final = 0.005
"""The shortest duration that API servers count separately (`k8s.io/apiserver/pkg/admission/metrics`)."""
_CALLS: Final = "apiserver_admission_webhook_admission_duration_seconds"
_ANSWERS: Final = "rest_client_request_duration_seconds"


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


@dataclass(frozen=True)
class Webhook:
    """A webhook, as metrics call it.

    Attributes:
        name: In its configuration.
        host: Name and port by which it is called.
    """

    name: str
    host: str


@dataclass(frozen=True)
class Asked:
    """What a webhook's part in creates was.

    Attributes:
        calls: From the object as it came to the object as the webhook wants it.
        answers: Of that, from the request's first byte to the head of the answer.
    """

    calls: Calls
    answers: Calls

    def since(self, earlier: Asked) -> Asked:
        """Leave out what was counted before."""
        return Asked(self.calls.since(earlier.calls), self.answers.since(earlier.answers))


def asked(metrics: str, webhook: Webhook) -> Asked:
    """Tell how often the API server has called a webhook because of new objects."""
    calls = counted(metrics, _CALLS, name=webhook.name, operation="CREATE")
    return Asked(calls, counted(metrics, _ANSWERS, host=webhook.host, verb="POST"))


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
