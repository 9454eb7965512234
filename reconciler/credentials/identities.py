"""Who may log in to a storage's Valkey, with which rights, and where each password is kept. Pure.

The auth Secret holds every password and the `users.acl` made from them, so that both change in one write and no
crash can leave one without the other. Valkey itself only ever sees hashes.
"""

from __future__ import annotations

import base64
import hashlib
import string
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from shared import names

if TYPE_CHECKING:
    from collections.abc import Mapping

PASSWORD_LENGTH: Final = 32
PASSWORD_ALPHABET: Final = string.ascii_letters + string.digits
"""Needs no escaping in a URL, a shell, an ACL file or YAML; 32 of these hold 190 bits."""


@dataclass(frozen=True, slots=True)
class Identity:
    """One Valkey user.

    Attributes:
        user: Its name in Valkey.
        key: Its password's key in the auth Secret.
        rule: Its rights, in the language of `ACL SETUSER`.
    """

    user: str
    key: str
    rule: str


CONSUMER: Final = Identity(
    "default",  # ToolHive's proxies authenticate with a password alone, which means this user
    names.KEY_PASSWORD,
    "~* resetchannels -@all +@read +@write +@keyspace +@connection +@transaction +@scripting -@admin -@dangerous"
    " -script|flush -script|kill -function +info +time",  # TIME: without it ToolHive's rate limiter fails open
)
OPERATOR: Final = Identity(
    "operator",
    "operator-password",
    # Every command that a rotation or a switchover needs: to add a right later, every instance has to restart, which
    # costs a small storage its data.
    "resetkeys resetchannels -@all +ping +role +info +wait +replicaof +config|get +config|set +acl|setuser +acl|getuser"
    " +acl|save +multi +exec +client|id +client|setinfo +client|list +client|kill +client|pause +client|unpause"
    " +script|kill +function|kill +shutdown",
)
REPLICATION: Final = Identity(
    "replication", "replication-password", "resetkeys resetchannels -@all +ping +psync +replconf"
)
EXPORTER: Final = Identity("exporter", "exporter-password", "resetkeys resetchannels -@all +ping +info")
PROBE: Final = Identity("probe", "probe-password", "resetkeys resetchannels -@all +ping +role")
BACKUP: Final = Identity(
    "backup", "backup-password", "resetkeys resetchannels -@all +ping +info +sync +psync +replconf"
)

IDENTITIES: Final = (CONSUMER, OPERATOR, REPLICATION, EXPORTER, PROBE, BACKUP)
PASSWORD_KEYS: Final = tuple(identity.key for identity in IDENTITIES)


def rules() -> str:
    """Write what every identity may do, without any password; when this text changes, instances need a restart."""
    return "\n".join(f"{identity.user} {identity.rule}" for identity in IDENTITIES)


def users_acl(*generations: Mapping[str, str]) -> str:
    """Write Valkey's `aclfile`.

    Args:
        generations: Password of each identity by its key in the auth Secret; while passwords change, more than one.
    """
    lines = []
    for each in IDENTITIES:
        accepted = dict.fromkeys(
            f"#{sha256(passwords[each.key])}" for passwords in generations if each.key in passwords
        )
        lines.append(f"user {each.user} on {' '.join(accepted)} {each.rule}")
    return "\n".join([*lines, ""])


def hashes(*generations: Mapping[str, str]) -> dict[str, frozenset[str]]:
    """Hash passwords as Valkey does; by user.

    Args:
        generations: As for `users_acl`; a password that is missing has no hash.
    """
    return {
        each.user: frozenset(sha256(passwords[each.key]) for passwords in generations if each.key in passwords)
        for each in IDENTITIES
    }


def decoded(data: Mapping[str, str] | None) -> dict[str, str]:
    """Read a Secret's `data`; this leaves out values that are no base64 or UTF-8, as if they did not exist."""
    values: dict[str, str] = {}
    for key, value in (data or {}).items():
        try:
            values[key] = base64.b64decode(value, validate=True).decode()
        except ValueError:
            continue
    return values


def encoded(values: Mapping[str, str]) -> dict[str, str]:
    """Write a Secret's `data`."""
    return {key: base64.b64encode(value.encode()).decode() for key, value in values.items()}


def is_password(value: str) -> bool:
    """Tell whether a value can be one of our passwords: long enough, and without characters that need escaping."""
    return len(value) >= PASSWORD_LENGTH and set(value) <= set(PASSWORD_ALPHABET)


def sha256(password: str) -> str:
    """Hash a password as Valkey does."""
    return hashlib.sha256(password.encode()).hexdigest()
