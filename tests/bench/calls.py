"""Reads from the API server's own metrics how long its calls to webhooks took."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from prometheus_client.parser import text_string_to_metric_families

if TYPE_CHECKING:
    from prometheus_client.samples import Sample

FAST_SECONDS: Final = 0.005
"""The smallest bucket of the API server's histograms (`k8s.io/apiserver/pkg/admission/metrics`)."""
_CALLS: Final = "apiserver_admission_webhook_admission_duration_seconds"
_ANSWERS: Final = "rest_client_request_duration_seconds"


@dataclass(frozen=True)
class Calls:
    """Calls that have ended.

    Attributes:
        total: Their number.
        fast: The number of those that took at most `FAST_SECONDS`.
        seconds: The sum of their durations.
    """

    total: int
    fast: int
    seconds: float

    @property
    def mean_ms(self) -> float:
        """The mean duration of a call, in milliseconds."""
        return 1000 * self.seconds / self.total

    def since(self, earlier: Calls) -> Calls:
        """Subtract the calls of an earlier reading."""
        return Calls(self.total - earlier.total, self.fast - earlier.fast, self.seconds - earlier.seconds)


@dataclass(frozen=True)
class Webhook:
    """The names of a webhook in the API server's metrics.

    Attributes:
        name: Its name in the MutatingWebhookConfiguration.
        host: The host and port that the API server connects to.
    """

    name: str
    host: str


@dataclass(frozen=True)
class WebhookCalls:
    """The calls of the API server to one webhook about new objects.

    Attributes:
        calls: Whole calls: the API server writes the review, waits for the answer and applies the patch.
        answers: The wait alone, from the request's first byte to the answer's headers.
    """

    calls: Calls
    answers: Calls

    def since(self, earlier: WebhookCalls) -> WebhookCalls:
        """Subtract the calls of an earlier reading."""
        return WebhookCalls(self.calls.since(earlier.calls), self.answers.since(earlier.answers))


def webhook_calls(metrics: str, webhook: Webhook) -> WebhookCalls:
    """Find a webhook's calls in the API server's metrics."""
    calls = counted(metrics, _CALLS, name=webhook.name, operation="CREATE")
    return WebhookCalls(calls, counted(metrics, _ANSWERS, host=webhook.host, verb="POST"))


def counted(metrics: str, histogram: str, **labels: str) -> Calls:
    """Sum all series of a histogram that have the given labels.

    Args:
        metrics: Prometheus' text format.
        histogram: Name of the histogram.
        labels: Labels that a series must have; it may have others.
    """
    samples = [
        sample
        for family in text_string_to_metric_families(metrics)
        if family.name == histogram
        for sample in family.samples
        if labels.items() <= sample.labels.items()
    ]
    count, seconds = (_sum(samples, f"{histogram}_{part}") for part in ("count", "sum"))
    fast = _sum([sample for sample in samples if sample.labels.get("le") == str(FAST_SECONDS)], f"{histogram}_bucket")
    return Calls(int(count), int(fast), seconds)


def _sum(samples: list[Sample], name: str) -> float:
    return sum(sample.value for sample in samples if sample.name == name)
