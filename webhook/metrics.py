"""Prometheus metrics of the webhook."""

from __future__ import annotations

from enum import StrEnum
from typing import Final

from prometheus_client import Counter, Gauge, Histogram


class ReviewAnswer(StrEnum):
    """What became of a review: one of the decisions, or why the webhook could not decide."""

    ALLOW = "allow"
    PATCH = "patch"
    DENY = "deny"
    MALFORMED = "malformed"
    OVERLOADED = "overloaded"
    ERROR = "error"


REVIEWS: Final = Counter(
    "session_storage_webhook_reviews_total",
    "Answers to admission reviews: allow; patch, which connects a consumer; deny; or, without a decision, malformed,"
    " overloaded or error.",
    ["path", "answer"],
)
REVIEW_SECONDS: Final = Histogram(
    "session_storage_webhook_review_seconds",
    "Time from a review's last byte to its answer.",
    ["path"],
    # The API server sees 5 ms at best (its own first bucket); what is spent here should not be seen there.
    buckets=(0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.1, 0.5, 2.5),
)
CERTIFICATE_NOT_AFTER: Final = Gauge(
    "session_storage_webhook_certificate_not_after_seconds", "Unix time at which the certificate in use expires."
)
CERTIFICATES_REFUSED: Final = Counter(
    "session_storage_webhook_certificates_refused_total", "Serving Secrets that were not fit to be used."
)
SECRET_USABLE: Final = Gauge(
    "session_storage_webhook_serving_secret_usable",
    "1 while the certificate in the serving Secret is the one in use, 0 while an older one has to do.",
)
