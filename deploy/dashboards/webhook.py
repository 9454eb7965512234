"""The dashboard of the webhook: what it answers, how fast, and how long its certificates are valid."""

from __future__ import annotations

from typing import Final

from deploy.dashboards.dashboard import Dashboard, Row, Scope
from deploy.dashboards.panels import GREEN, RED, YELLOW, Figure, Graph, Query, States, Steps
from deploy.dashboards.storage_queries import OF_LOSS

EVERY: Final = Scope()
DAY: Final = 86400
OF_LIFE: Final = Steps(RED, ((DAY, YELLOW), (3 * DAY, GREEN)))
"""Alerts begin when a day is left."""
DENIED: Final = 'answer="deny"'
FAILED: Final = 'answer=~"malformed|overloaded|error"'
SERVED: Final = "min by (pod) (session_storage_webhook_certificate_not_after_seconds > 0) - time()"
BEHIND: Final = 'session_storage_webhook_pods_seen{serving!="current"}'

NOW: Final = Row(
    "Now",
    (
        Figure(
            title="Reviews",
            description="Objects that API servers ask the webhook about, in a second.",
            unit="reqps",
            queries=(Query(f"sum({EVERY.rate('session_storage_webhook_reviews_total')})"),),
        ),
        Figure(
            title="Refused",
            description="Reviews in the time shown whose object the webhook refused; their authors were told why.",
            unit="short",
            queries=(Query(f"sum({EVERY.total('session_storage_webhook_reviews_total', DENIED)})"),),
        ),
        Figure(
            title="Not decided",
            description="Reviews in the time shown that the webhook could not decide, because they were malformed,"
            " too many at once, or met an error that nobody foresaw.",
            unit="short",
            queries=(Query(f"sum({EVERY.total('session_storage_webhook_reviews_total', FAILED)})"),),
            steps=OF_LOSS,
        ),
        Figure(
            title="Slowest reviews",
            description="99 % of the reviews take at most this long in the webhook.",
            unit="s",
            queries=(Query(f"{EVERY.quantile(0.99, 'session_storage_webhook_review_seconds')} >= 0"),),
            steps=Steps(GREEN, ((0.1, YELLOW), (1, RED))),
        ),
        Figure(
            title="Certificate in use",
            description="How long the certificate that expires first of those that webhook pods serve is still valid.",
            unit="s",
            queries=(Query(f"min({SERVED})"),),
            steps=OF_LIFE,
        ),
        Figure(
            title="CA bundle",
            description="How long the first authority to expire in a webhook configuration's `caBundle` is still"
            " valid.",
            unit="s",
            queries=(Query("min(session_storage_ca_bundle_not_after_seconds) - time()"),),
            steps=OF_LIFE,
        ),
        Figure(
            title="Pods behind",
            description="Ready webhook pods that do not serve a certificate of the current authority.",
            unit="short",
            queries=(Query(f"sum(max by (serving) ({BEHIND}))"),),
            steps=OF_LOSS,
        ),
        Figure(
            title="Connections",
            description="Connections of API servers and of others to all webhook pods.",
            unit="short",
            queries=(Query("sum(session_storage_webhook_connections)"),),
        ),
    ),
)
ADMISSIONS: Final = Row(
    "Admissions",
    (
        Graph(
            title="Admissions by answer",
            description="Reviews by what the webhook answered: `allow`, `patch`, which connects a consumer, `deny`,"
            " or that it could not decide.",
            unit="reqps",
            queries=(Query(f"sum by (answer) ({EVERY.rate('session_storage_webhook_reviews_total')})", "{{answer}}"),),
            is_stacked=True,
        ),
        Graph(
            title="Admissions by path",
            description="Reviews by the path of the webhook that API servers call.",
            unit="reqps",
            queries=(Query(f"sum by (path) ({EVERY.rate('session_storage_webhook_reviews_total')})", "{{path}}"),),
            is_stacked=True,
        ),
        Graph(
            title="Latency",
            description="Half and 99 % of the reviews of each path take at most this long, from a review's last byte"
            " to its answer. API servers measure the network and TLS besides.",
            unit="s",
            queries=(
                Query(EVERY.quantile(0.5, "session_storage_webhook_review_seconds", "path"), "{{path}}: half"),
                Query(EVERY.quantile(0.99, "session_storage_webhook_review_seconds", "path"), "{{path}}: 99 %"),
            ),
        ),
        Graph(
            title="Connections by pod",
            description="Connections of clients to each webhook pod.",
            unit="short",
            queries=(Query("sum by (pod) (session_storage_webhook_connections)", "{{pod}}"),),
            width=12,
        ),
        Graph(
            title="Clients cut off",
            description="Clients that the webhook cut off to have room for others, by reason.",
            unit="cps",
            queries=(
                Query(f"sum by (reason) ({EVERY.rate('session_storage_webhook_clients_cut_off_total')})", "{{reason}}"),
            ),
            width=12,
        ),
    ),
)
CERTIFICATES: Final = Row(
    "Certificates",
    (
        Graph(
            title="Validity",
            description="How long each certificate is still valid: of the authority, of its successor during a"
            " rotation, and the serving certificate in the Secret.",
            unit="s",
            queries=(
                Query("min by (kind) (session_storage_certificate_not_after_seconds) - time()", "{{kind}}"),
                Query(
                    "min by (configuration) (session_storage_ca_bundle_not_after_seconds) - time()", "{{configuration}}"
                ),
            ),
        ),
        Graph(
            title="Validity of what pods serve",
            description="How long the certificate that each webhook pod serves is still valid.",
            unit="s",
            queries=(Query(SERVED, "{{pod}}"),),
        ),
        Graph(
            title="Until renewal",
            description="How long until each certificate is due. It stays at zero for moments only; an alert tells of"
            " an hour.",
            unit="s",
            queries=(
                Query("clamp_min(min by (kind) (session_storage_certificate_due_seconds) - time(), 0)", "{{kind}}"),
            ),
        ),
        States(
            title="Phase of the rotation",
            description="How far the rotation of certificates is; `Stable` while there is none.",
            queries=(Query("max by (phase) (session_storage_certificate_phase)", "{{phase}}"),),
        ),
        Graph(
            title="Pods by certificate",
            description="Ready webhook pods by what they serve: a certificate of the current authority, another, or"
            " nothing.",
            unit="short",
            queries=(Query("max by (serving) (session_storage_webhook_pods_seen)", "{{serving}}"),),
            is_stacked=True,
        ),
        States(
            title="Serving Secret usable",
            description="Whether each webhook pod serves what the Secret holds; if not, it goes on with an older"
            " certificate.",
            queries=(Query("min by (pod) (session_storage_webhook_serving_secret_usable)", "{{pod}}"),),
            color=GREEN,
        ),
        Graph(
            title="Issued, repaired, refused",
            description="In each interval: certificates issued, `caBundle`s restored after somebody else wrote them,"
            " and Secrets that a webhook pod could not use.",
            unit="short",
            queries=(
                Query(
                    f"sum by (kind) ({EVERY.grown('session_storage_certificates_issued_total')})", "issued: {{kind}}"
                ),
                Query(
                    f"sum by (configuration) ({EVERY.grown('session_storage_ca_bundle_repairs_total')})",
                    "repaired: {{configuration}}",
                ),
                Query(f"sum({EVERY.grown('session_storage_webhook_certificates_refused_total')})", "refused"),
            ),
            width=12,
        ),
        Graph(
            title="Failures of the controller",
            description="Failures to manage certificates in each interval, by kind.",
            unit="short",
            queries=(
                Query(f"sum by (error) ({EVERY.grown('session_storage_certificate_errors_total')})", "{{error}}"),
            ),
            width=12,
        ),
    ),
)
WEBHOOK: Final = Dashboard(
    name="webhook",
    title="Session storage / webhook",
    description="Admissions by the session storage webhook, their latency, and its certificates.",
    rows=(NOW, ADMISSIONS, CERTIFICATES),
)
