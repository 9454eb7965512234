"""Which namespaces may use a storage. Pure.

A storage's owner shares it with namespaces (`spec.allowedNamespaces`) or with users: a user with the verb `use` on it
can refer to it from any namespace. The webhook checks that right by SubjectAccessReview and records it on the consumer.

That right counts for people. A service account that applies what others wrote, such as Argo CD's or Flux's, may use
every storage, though the author of a manifest may not. So it counts for those service accounts alone that the chart's
value `trustedServiceAccounts` names.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Self

from shared.objects.field_path import read
from shared.session_storage.validation import ALL_NAMESPACES

if TYPE_CHECKING:
    from shared.consumers.identity import Usage
    from shared.objects.resources import Object

UNADMITTED: Final = frozenset({"kube-system"})
"""Namespaces for which the API server does not call the webhook, so that nobody has checked their objects."""

SERVICE_ACCOUNT: Final = "system:serviceaccount:"
"""Prefix of the user name of every service account; the rest is `namespace:name`."""
_ACCOUNT_PATTERN: Final = re.compile(rf"{SERVICE_ACCOUNT}[-a-z0-9.*]+:[-a-z0-9.*]+")


def is_service_account(username: object) -> bool:
    """Tell whether a user name is that of a service account."""
    return isinstance(username, str) and username.startswith(SERVICE_ACCOUNT)


@dataclass(frozen=True, slots=True)
class TrustedAccounts:
    """The service accounts whose right to use a storage counts as a person's does.

    Attributes:
        patterns: User names, in which `*` stands for any part of a namespace or name.
    """

    patterns: tuple[re.Pattern[str], ...] = ()

    @classmethod
    def of(cls, *globs: str) -> Self:
        """Read user names with `*`. The chart's policy makes the same expression of them (`policy.yaml`)."""
        return cls(tuple(re.compile(re.escape(glob).replace(r"\*", "[-a-z0-9.]*")) for glob in globs))

    def is_judged(self, username: object) -> bool:
        """Tell whether a user's right to use a storage counts."""
        return not is_service_account(username) or any(pattern.fullmatch(str(username)) for pattern in self.patterns)


def parse_account(text: str) -> str | None:
    """Read the user name of a service account, in which `*` may stand for anything; None if it is none."""
    return text if _ACCOUNT_PATTERN.fullmatch(text) else None


def is_shared_with(storage: Object, namespace: str) -> bool:
    """Tell whether every consumer in a namespace may use a storage."""
    if namespace == storage["metadata"]["namespace"]:
        return True
    allowed = read(storage, ("spec", "allowedNamespaces"))
    if namespace in UNADMITTED or not isinstance(allowed, list):
        return False
    return namespace in allowed or ALL_NAMESPACES in allowed


def is_admitted(storage: Object, usage: Usage) -> bool:
    """Tell whether a consumer may use a storage: its namespace may, or the author of its reference had the right."""
    namespace = usage.consumer.namespace
    return is_shared_with(storage, namespace) or (usage.is_granted and namespace not in UNADMITTED)
