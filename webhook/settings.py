"""The webhook's settings, from its environment. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Self

from shared.consumers.access import SERVICE_ACCOUNT, TrustedAccounts, parse_account
from shared.consumers.targets import Target
from shared.process.environment import FromEnvironment
from shared.session_storage.allowed_hosts import ENTRY_FORM, AllowedHosts, parse_entry
from shared.session_storage.size_settings import parse_sizes
from shared.session_storage.sizes import DEFAULT_SIZES

if TYPE_CHECKING:
    from shared.process.environment import Environment
    from shared.session_storage.sizes import Sizes

_ACCOUNT_FORM: Final = f"{SERVICE_ACCOUNT}namespace:name"


@dataclass(frozen=True, slots=True)
class ClientAuthority:
    """Where the certificates are that sign API servers' certificates.

    Attributes:
        config_map: Name of a ConfigMap in the webhook's namespace.
        key: The key in it.
    """

    config_map: str
    key: str


@dataclass(frozen=True, slots=True)
class Settings(FromEnvironment):
    """The webhook's settings.

    Attributes:
        namespace: Namespace of the webhook's Service and Secret.
        service: Name of the Service by which the API server calls the webhook; its certificate must name it.
        tls_secret: Secret that holds certificate and key.
        webhook_port: Port of admission reviews.
        http_port: Port of probes and metrics.
        answer_seconds: How long API servers wait for an answer.
        drain_seconds: How long to go on serving after SIGTERM, until every API server knows that this pod is leaving.
        default_target: Which parts of a consumer are connected, if the consumer does not say.
        allowed_hosts: Which hosts external storages may name.
        log_level: Log level, as Python names it.
        client_ca: Where the authority for clients' certificates is; None if clients need none.
        watch_namespaces: The namespaces in which the webhook connects consumers; none stands for all.
        trusted_accounts: Service accounts whose right to use a storage counts.
        sizes: What the sizes stand for.
    """

    namespace: str
    service: str
    tls_secret: str
    webhook_port: int
    http_port: int
    answer_seconds: int
    drain_seconds: int
    default_target: Target
    allowed_hosts: AllowedHosts
    log_level: str
    client_ca: ClientAuthority | None
    watch_namespaces: tuple[str, ...]
    trusted_accounts: TrustedAccounts
    sizes: Sizes

    @classmethod
    def _read(cls, env: Environment) -> Self:
        return cls(
            namespace=env.required("POD_NAMESPACE"),
            service=env.required("WEBHOOK_SERVICE"),
            tls_secret=env.required("TLS_SECRET"),
            webhook_port=env.number("WEBHOOK_PORT", 10250, 65535),
            http_port=env.number("HTTP_PORT", 8080, 65535),
            answer_seconds=env.number("WEBHOOK_TIMEOUT_SECONDS", 5, 10),
            drain_seconds=env.number("DRAIN_SECONDS", 5, 300),
            default_target=env.choice("DEFAULT_TARGETS", Target, Target.ALL),
            allowed_hosts=AllowedHosts.of(
                env.optional_entries("EXTERNAL_ALLOWED_HOSTS", parse_entry, ENTRY_FORM)
            ).without_api_server([env.text("KUBERNETES_SERVICE_HOST", "")]),
            log_level=env.log_level("LOG_LEVEL"),
            client_ca=_client_ca(env),
            watch_namespaces=env.namespaces("WATCH_NAMESPACES"),
            trusted_accounts=TrustedAccounts.of(
                *env.optional_entries("TRUSTED_SERVICE_ACCOUNTS", parse_account, _ACCOUNT_FORM)
            ),
            sizes=env.structured("VALKEY_SIZES", parse_sizes, DEFAULT_SIZES),
        )


def _client_ca(env: Environment) -> ClientAuthority | None:
    config_map = env.text("CLIENT_CA_CONFIG_MAP", "")
    return ClientAuthority(config_map, env.text("CLIENT_CA_KEY", "ca.crt")) if config_map else None
